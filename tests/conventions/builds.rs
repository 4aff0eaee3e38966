//! `samconfig.toml`: `sam build` compiles what has changed.

use crate::{Violations, read};

/// SAM's cache tells by the hash of a function's `CodeUri` whether to build it again
/// (<https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-cli-command-reference-sam-build.html>),
/// and what a function consists of is mostly in other folders.
#[test]
fn no_environment_builds_from_sams_cache() {
    let mut violations = Violations::default();
    let mut environment = String::new();

    for line in read("samconfig.toml").lines().map(str::trim) {
        if line.starts_with('[') {
            line.clone_into(&mut environment);
        }
        let setting = line.split('=').next().unwrap_or_default().trim();
        violations.unless(setting != "cached", || {
            format!(
                "samconfig.toml, {environment}: take `cached` out, SAM would ship a function that was built before \
                 functions/platform changed"
            )
        });
    }

    violations.report();
}

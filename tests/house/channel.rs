//! A channel is whole: what it needs outside the template and the OpenAPI document, which have
//! tests of their own.

use crate::{Violations, function_folders, pascal_case, read};
use domain::Channel;

#[test]
fn every_channel_is_played_described_and_tested() {
    let (readme, sandbox) = (read("README.md"), read("infra/sandbox/src/control/routes.rs"));
    let mut violations = Violations::default();
    for channel in Channel::ALL {
        let name = channel.name();
        violations.unless(sandbox.contains(&format!("\"{name}\" => Ok(&self.providers.{name})")), || {
            format!("nobody plays {name}'s provider: write infra/sandbox/src/{name}.rs and name it in `Control::channel`")
        });
        let heading = |line: &str| {
            line.strip_prefix("### ").map(|title| title.to_lowercase().replace("e-mail", "email"))
        };
        violations.unless(readme.lines().filter_map(heading).any(|title| title.contains(name)), || {
            format!("README.md has no page for {name}: write one under Channels, with its limits and their sources")
        });
        for suite in [
            "tests/system/delivery.rs",
            "tests/crash/main.rs",
            "tests/company/main.rs",
            "tests/src/oracle.rs",
        ] {
            violations.unless(read(suite).contains(&format!("\"{name}\"")), || {
                format!("{suite} leaves {name} out: add it to the channels there")
            });
        }
    }
    violations.report();
}

#[test]
fn the_local_system_can_run_every_function() {
    let bootstrap = read("infra/local/src/bootstrap.rs");
    let mut violations = Violations::default();
    for folder in function_folders() {
        violations.unless(bootstrap.contains(&format!("\"{folder}\" => ")), || {
            format!(
                "`cargo local` cannot run {}: add \"{folder}\" to infra/local/src/bootstrap.rs",
                pascal_case(&folder)
            )
        });
    }
    violations.report();
}

//! A channel is whole: what it needs outside the template and the OpenAPI document, which have
//! tests of their own.

use crate::{Violations, files, function_folders, pascal_case, read};
use domain::Channel;

#[test]
fn every_channel_is_played_described_and_tested() {
    let sandbox = read("infra/sandbox/src/control/system.rs");
    let all = files("functions").into_iter().filter(|path| path.ends_with("README.md"));
    let pages: Vec<String> = all.map(read).collect();
    let mut violations = Violations::default();

    for channel in Channel::ALL {
        let name = channel.name();
        violations.unless(sandbox.contains(&format!("\"{name}\" => Ok(&self.providers.{name}.channel)")), || {
            format!("the sandbox does not play {name}'s provider: write infra/sandbox/src/{name}.rs and name it in `System::channel`")
        });
        let is_its_page = |page: &String| {
            let title = page.lines().next().unwrap_or_default();
            title.to_lowercase().replace("e-mail", "email").contains(name)
                && page.contains("| limit | is | source |")
        };
        violations.unless(pages.iter().any(is_its_page), || {
            format!("no README.md below functions/ is {name}'s: write one in functions/deliver-{name}, with its limits and their sources")
        });
        for suite in [
            "tests/system/delivery.rs",
            "tests/crash/main.rs",
            "tests/src/lib.rs",
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

//! How builds and checks are run: `samconfig.toml`, the workflow and what tests/mutants goes by.

use std::collections::BTreeSet;

use yaml_serde::Value;

use crate::{Violations, function_folders, read};

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

/// Without a build, `sam deploy` falls back to the template in the current folder and uploads the
/// functions' sources
/// (<https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-cli-command-reference-sam-deploy.html>):
/// every function would be replaced by one that does not start.
#[test]
fn every_environment_deploys_what_was_built() {
    let text = read("samconfig.toml");
    let sections: Vec<&str> = text.split("\n[").collect();
    let deployments = sections.iter().filter(|section| section.contains(".deploy.parameters]"));

    let mut violations = Violations::default();
    let mut found = 0;

    for section in deployments {
        found += 1;
        let name = section.lines().next().unwrap_or_default();
        let built =
            section.lines().any(|line| line == r#"template_file = ".aws-sam/build/template.yaml""#);
        violations.unless(built, || {
            format!(
                "samconfig.toml, [{name}: name the built template in `template_file`, or SAM \
                 uploads sources where nothing was built"
            )
        });
    }

    violations.unless(found >= 2, || {
        "samconfig.toml has no settings of deployments for default and prod".to_owned()
    });
    violations.report();
}

/// GitHub's arm64 images have no browser
/// (<https://github.com/actions/partner-runner-images/blob/main/images/arm-ubuntu-24-image.md>), and
/// the tests of the widget fail without one.
#[test]
fn machines_without_a_browser_get_one_before_the_tests() {
    let workflow: Value =
        yaml_serde::from_str(&read(".github/workflows/ci.yml")).expect("it is YAML");
    let job = &workflow["jobs"]["run"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let included = job["strategy"]["matrix"]["include"].as_sequence().into_iter().flatten();
    let tested_on_arm = included
        .filter(|entry| text(&entry["machine"]).ends_with("-arm"))
        .any(|entry| text(&entry["steps"]).split(' ').any(|step| step == "tests"));

    let steps = job["steps"].as_sequence().into_iter().flatten();
    let before = steps.take_while(|step| !text(&step["run"]).starts_with(".ci/run"));
    let installs = before.into_iter().any(|step| {
        text(&step["if"]).contains("matrix.machine") && text(&step["run"]).contains("chrome")
    });
    assert!(
        installs || !tested_on_arm,
        ".github/workflows/ci.yml: install Chrome on arm64 before .ci/run tests"
    );
}

/// tests/mutants/code asks for the checks of each package that it makes mistakes in.
#[test]
fn every_package_of_the_product_has_its_checks_against_mutants() {
    let areas = read("tests/mutants/areas.toml");
    let areas: BTreeSet<&str> =
        areas.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')).collect();
    let functions = function_folders();
    let packages = functions.iter().map(String::as_str).chain(["admin", "domain", "platform"]);

    assert_eq!(
        areas,
        packages.collect::<BTreeSet<_>>(),
        "tests/mutants/areas.toml: one area for each package in functions/, and admin"
    );
}

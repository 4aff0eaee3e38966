//! The README: its links lead somewhere, its table of settings is complete.

use crate::template::{Template, entries};
use crate::{Violations, read, root};
use platform::telemetry::metrics::METRICS;

#[test]
fn links_lead_somewhere() {
    let readme = read("README.md");
    let anchors: Vec<String> =
        readme.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
    let mut violations = Violations::default();
    for target in
        readme.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
    {
        let there = match target.strip_prefix('#') {
            Some(anchor) => anchors.iter().any(|known| known == anchor),
            None => target.contains("://") || root().join(target).exists(),
        };
        violations.unless(there, || {
            format!("README.md links to {target}, which is not there: correct the link")
        });
    }
    violations.report();
}

#[test]
fn every_setting_is_described() {
    let readme = read("README.md");
    let mut violations = Violations::default();
    for environment in Template::read().environments() {
        for (variable, _) in entries(environment) {
            violations.unless(readme.contains(&format!("`{variable}`")), || {
                format!(
                    "template.yaml sets {variable}: describe it in README.md, under Configuration"
                )
            });
        }
    }
    violations.report();
}

#[test]
fn every_metric_is_described() {
    let readme = read("README.md");
    let mut violations = Violations::default();
    for (metric, by) in METRICS {
        let described = |line: &str| {
            line.contains(&format!("`{metric}`")) && line.contains(&format!("| {by} |"))
        };
        violations.unless(readme.lines().any(described), || {
            format!(
                "README.md: say under Operating what {metric} is, and that it is told apart by {by}"
            )
        });
    }
    violations.report();
}

/// The anchor that GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

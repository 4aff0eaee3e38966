//! The documents: their links lead somewhere, their tables of settings and metrics are complete.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::template::{Template, entries};
use crate::{Violations, files, read, root};
use platform::telemetry::metrics::METRICS;

/// The root README is for the first ten minutes; whatever exceeds this stands beside its code.
const README_BYTES: usize = 9_000;

#[test]
fn links_lead_somewhere() {
    let documents: BTreeMap<PathBuf, String> =
        documents().into_iter().map(|path| (path.clone(), read(path))).collect();
    let anchors = |path: &Path| -> Vec<String> {
        let text = documents.get(path).map(String::as_str).unwrap_or_default();
        text.lines().filter(|line| line.starts_with('#')).map(anchor).collect()
    };

    let mut violations = Violations::default();

    for (document, text) in &documents {
        for target in links(text).filter(|target| !target.contains("://")) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let there = match path {
                "" => document.clone(),
                path => resolved(document, path),
            };
            let found = root().join(&there).exists()
                && (anchor.is_empty() || anchors(&there).iter().any(|known| known == anchor));
            violations.unless(found, || {
                format!(
                    "{} links to {target}, which is not there: correct the link",
                    document.display()
                )
            });
        }
    }

    violations.report();
}

#[test]
fn the_readme_is_short() {
    let length = read("README.md").len();
    let mut violations = Violations::default();
    violations.unless(length <= README_BYTES, || {
        format!("README.md has {length} bytes of {README_BYTES}: move what is not for the first ten minutes beside its code")
    });
    violations.report();
}

#[test]
fn every_setting_is_described() {
    let page = read("infra/README.md");
    let mut violations = Violations::default();
    for environment in Template::read().environments() {
        for (variable, _) in entries(environment) {
            violations.unless(page.contains(&format!("`{variable}`")), || {
                format!("template.yaml sets {variable}: describe it in infra/README.md, under Configuration")
            });
        }
    }
    violations.report();
}

#[test]
fn every_metric_is_described() {
    let page = read("infra/OPERATIONS.md");
    let mut violations = Violations::default();
    for (metric, by) in METRICS {
        let described = |line: &str| {
            line.contains(&format!("`{metric}`")) && line.contains(&format!("| {by} |"))
        };
        violations.unless(page.lines().any(described), || {
            format!("infra/OPERATIONS.md: describe {metric} under Logs and metrics, and that its dimension is {by}")
        });
    }
    violations.report();
}

/// Every Markdown file, named from the root.
fn documents() -> Vec<PathBuf> {
    let mut all = files(".");
    all.extend(files(".github"));
    all.retain(|path| path.extension() == Some(OsStr::new("md")));
    all
}

/// The targets of a text's links; what stands in code is not a link.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// A path that a document names, named from the root.
fn resolved(document: &Path, path: &str) -> PathBuf {
    let mut resolved = document.parent().map(Path::to_owned).unwrap_or_default();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }
    resolved
}

/// The anchor that GitHub makes of a heading.
pub(crate) fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

//! The threat model and the list of attacks: the tests that they name exist.

use std::collections::BTreeSet;

use crate::inputs::{is_test, named_tests};
use crate::{Violations, read};

const PAGE: &str = ".github/SECURITY.md";
const ATTACKS: &str = "tests/attacks.toml";

/// OWASP's risks.
const RISKS: usize = 10;

#[test]
fn each_risk_has_a_control_and_tests_that_exist() {
    let page = read(PAGE);
    let mut violations = Violations::default();

    let risk = |line: &str| {
        let number = line.strip_prefix("| ")?.split(' ').next()?;
        number.parse::<usize>().ok()
    };
    let risks: BTreeSet<usize> = page.lines().filter_map(risk).collect();
    violations.unless(risks == (1..=RISKS).collect(), || {
        format!("{PAGE} has the risks {risks:?}: name each of OWASP's {RISKS}")
    });

    for line in page.lines() {
        // Named from `.github/`, which is beside `tests/`.
        let named = named_tests(line);
        violations.unless(risk(line).is_none() || !named.is_empty(), || {
            format!("{PAGE}: name a test that shows `{line}`")
        });
        for (path, name) in named {
            violations.unless(is_test(&path, name), || {
                format!("{PAGE}: there is no test {name} in {path}")
            });
        }
    }
    violations.report();
}

#[test]
fn each_attack_is_made_by_tests_that_exist() {
    let mut violations = Violations::default();
    let mut count = 0;
    let mut suite = "";

    for line in read(ATTACKS).lines() {
        if let Some((name, _)) = line.split_once(" = [") {
            suite = if name == "system" { "system" } else { "browser" };
        }
        // A name of a test is the last part of its module's path.
        for name in line.split('"').skip(1).step_by(2) {
            let is_name = !name.contains(' ') && name.contains('_');
            if !is_name {
                continue;
            }
            count += 1;
            let (modules, test) = name.rsplit_once("::").unwrap_or(("main", name));
            let path = format!("{suite}/{}.rs", modules.replace("::", "/"));
            violations.unless(is_test(&path, test), || {
                format!("{ATTACKS}: there is no test {test} in tests/{path}")
            });
        }
    }

    violations.unless(count >= 40, || format!("{ATTACKS} names only {count} tests"));
    violations.report();
}

//! `tests/INPUTS.md` against the tests that it names.

use std::path::Path;

use crate::{Violations, read, root};

/// The columns of each table.
const COLUMNS: usize = 6;

#[test]
fn every_kind_of_input_has_its_source_and_its_tests() {
    let page = read("tests/INPUTS.md");
    let rows: Vec<Vec<&str>> = page.lines().filter_map(cells).collect();
    let mut violations = Violations::default();

    let kinds = rows.iter().filter(|row| row[0] != "kind" && !row[0].starts_with("---"));
    let mut count = 0;
    for row in kinds {
        count += 1;
        let [kind, _, source, _, tests, siblings] = row[..] else {
            violations.add(format!("tests/INPUTS.md, {}: a row has {COLUMNS} cells", row[0]));
            continue;
        };

        violations.unless(source.contains("](https://"), || {
            format!("tests/INPUTS.md, {kind}: link to the page that says so")
        });
        violations.unless(siblings.contains(|one: char| one.is_ascii_digit()), || {
            format!("tests/INPUTS.md, {kind}: say how many siblings are tried")
        });

        let named = named_tests(tests);
        violations.unless(!named.is_empty(), || format!("tests/INPUTS.md, {kind}: name its test"));
        for (path, test) in named {
            let is_there = is_test(&path, test);
            violations.unless(is_there, || {
                format!("tests/INPUTS.md, {kind}: there is no test {test} in {path}")
            });
        }
    }

    violations.unless(count >= 20, || format!("tests/INPUTS.md has only {count} kinds of input"));
    violations.report();
}

/// Returns the cells of a table's row.
fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(row.split('|').map(str::trim).collect())
}

/// Returns the tests of a text, each with the file that was linked to before it.
pub(crate) fn named_tests(cell: &str) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    for file in cell.split(';') {
        let Some((_, rest)) = file.split_once("](") else { continue };
        let Some((path, names)) = rest.split_once(')') else { continue };
        let names = names.split('`').skip(1).step_by(2);
        found.extend(names.map(|name| (path.to_owned(), name)));
    }
    found
}

/// True if the file, named from `tests/`, has a test of that name.
pub(crate) fn is_test(path: &str, name: &str) -> bool {
    let text = std::fs::read_to_string(root().join("tests").join(Path::new(path)));
    let text = text.unwrap_or_default();
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else { return false };

    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
    attributes.contains("#[test]") || attributes.contains("#[tokio::test")
}

//! The conventions that no compiler checks: which way dependencies point, what is called how, and
//! that template, OpenAPI document, documents and code name the same functions, channels, routes
//! and problems.
//!
//! Every violation is a sentence that says what to do. What the system does at run time is tested
//! elsewhere.

#[path = "conventions/alarms.rs"]
mod alarms;
#[path = "conventions/bounds.rs"]
mod bounds;
#[path = "conventions/builds.rs"]
mod builds;
#[path = "conventions/channel.rs"]
mod channel;
#[path = "conventions/circles.rs"]
mod circles;
#[path = "conventions/contract.rs"]
mod contract;
#[path = "conventions/crates.rs"]
mod crates;
#[path = "conventions/documents.rs"]
mod documents;
#[path = "conventions/events.rs"]
mod events;
#[path = "conventions/grants.rs"]
mod grants;
#[path = "conventions/http_api.rs"]
mod http_api;
#[path = "conventions/inputs.rs"]
mod inputs;
#[path = "conventions/operations.rs"]
mod operations;
#[path = "conventions/permissions.rs"]
mod permissions;
#[path = "conventions/printing.rs"]
mod printing;
#[path = "conventions/released.rs"]
mod released;
#[path = "conventions/security.rs"]
mod security;
#[path = "conventions/template.rs"]
mod template;
#[path = "conventions/values.rs"]
mod values;
#[path = "conventions/widget.rs"]
mod widget;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Violations, one sentence each. Dropping it fails the test if there is any.
#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn add(&mut self, sentence: impl Into<String>) {
        self.0.push(sentence.into());
    }

    /// Adds `sentence` unless `kept`.
    fn unless(&mut self, kept: bool, sentence: impl FnOnce() -> String) {
        if !kept {
            self.add(sentence());
        }
    }

    /// Ends a test: fails it with every sentence.
    fn report(self) {
        assert!(self.0.is_empty(), "\n\n  - {}\n", self.0.join("\n  - "));
    }
}

/// The repository's root.
fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(tests::contract::root);
    &ROOT
}

/// The text of a file, named from the root.
fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder, named from the root; nothing hidden, nothing built.
fn files(below: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.expect("a readable folder").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match path.is_dir() {
                true if name == "target" || name.starts_with('.') => {}
                true => folders.push(path),
                false => found.push(path.strip_prefix(root()).expect("below the root").to_owned()),
            }
        }
    }

    found.sort();
    found
}

/// The folders directly in `functions/` that hold a function: all but the two libraries they share.
fn function_folders() -> Vec<String> {
    let entries = fs::read_dir(root().join("functions")).expect("the functions' folder");
    let folders = entries
        .map(|entry| entry.expect("a readable folder"))
        .filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> =
        names.filter(|name| name != "domain" && name != "platform").collect();
    names.sort();
    names
}

/// `deliver-chat` → `DeliverChat`: the name in the template of what is called `deliver-chat`
/// everywhere else.
fn pascal_case(name: &str) -> String {
    let words = name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect()
}

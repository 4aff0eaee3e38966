//! The widget's script: it is built of its sources, small enough, and the one that documents name.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use brotli::enc::BrotliEncoderParams;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha384};

use platform::widget_script::{WIDGET_SCRIPTS, WidgetScript};

use crate::{Violations, read, root};

const FOLDER: &str = "functions/chat-socket/widget";

/// The most that a customer's browser loads, in bytes as Brotli makes them.
const MAX_SCRIPT_BYTES: usize = 10 * 1024;

const BUILD: &str = "run `.ci/run widget`, which names the command";

#[test]
fn the_newest_script_is_built_of_the_sources() {
    let mut hash = Sha256::new();
    for name in files(&format!("{FOLDER}/src")) {
        hash.update(read(format!("{FOLDER}/src/{name}")));
    }
    let sources = hex::encode(&hash.finalize()[..8]);

    let package: Value =
        serde_json::from_str(&read(format!("{FOLDER}/package.json"))).expect("JSON");
    let version = package["version"].as_str().expect("a version");
    let script = WidgetScript::newest();
    assert_eq!(script.name, format!("chat-{version}.js"), "platform::widget_script");
    let head = format!("/* pingback-chat {version}, made of {sources} */\n");
    let text = read(format!("{FOLDER}/dist/{}", script.name));
    assert!(text.starts_with(&head), "{FOLDER}/src is newer than dist: {BUILD}");
    assert_eq!(text, script.text, "the build is older than {FOLDER}/dist");
}

#[test]
fn every_version_is_served_and_small() {
    let served: BTreeSet<String> =
        WIDGET_SCRIPTS.iter().map(|script| script.name.to_owned()).collect();
    assert_eq!(served, files(&format!("{FOLDER}/dist")), "platform::widget_script and dist");

    let mut violations = Violations::default();
    for script in WIDGET_SCRIPTS {
        let best = BrotliEncoderParams::default();
        let mut text = script.text.as_bytes();
        let size = brotli::BrotliCompress(&mut text, &mut std::io::sink(), &best);
        let size = size.expect("nothing is written anywhere");
        println!("{}: {size} bytes", script.name);
        violations.unless(size <= MAX_SCRIPT_BYTES, || {
            format!("{}: {size} bytes, which is more than {MAX_SCRIPT_BYTES}", script.name)
        });
    }
    violations.report();
}

/// A browser runs no script whose hash is another one.
#[test]
fn documents_name_the_newest_script_and_its_hash() {
    let script = WidgetScript::newest();
    let hash = BASE64_STANDARD.encode(Sha384::digest(script.text));
    assert_eq!(script.integrity(), format!("sha384-{hash}"));
    let readme = read("functions/chat-socket/README.md");
    let mut violations = Violations::default();

    let snippets = readme.split("```").filter(|block| block.starts_with("html\n"));
    let snippets: Vec<&str> = snippets.filter(|block| block.contains("<script")).collect();
    violations.unless(!snippets.is_empty(), || "the README has no snippet".to_owned());
    for snippet in snippets {
        for wanted in [
            format!("/api/v1/chat/scripts/{}\"", script.name),
            format!("integrity=\"{}\"", script.integrity()),
            "crossorigin".to_owned(),
        ] {
            violations.unless(snippet.contains(&wanted), || {
                format!("functions/chat-socket/README.md: a snippet lacks {wanted}")
            });
        }
    }
    violations.report();
}

/// The names of the files in a folder.
fn files(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join(folder)).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names.map(|name| name.into_string().expect("a name in UTF-8")).collect()
}

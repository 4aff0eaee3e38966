//! Looks for barriers with [axe-core](https://github.com/dequelabs/axe-core), and keeps pictures.

use std::path::PathBuf;

use serde_json::Value;

use crate::chromium::Page;

/// Runs axe on the page; each finding is a sentence.
const RUN: &str = "axe.run(document, {iframes: false}).then(({violations}) => violations.map( \
    ({id, nodes}) => `${id}: ${nodes.map(({html}) => html.slice(0, 160)).join(' | ')}`))";

/// Returns the script of axe-core, which `.ci/run` installs and names in `AXE`; `None` without it,
/// unless this is CI.
pub(crate) fn axe() -> Option<String> {
    let Some(path) = std::env::var_os("AXE") else {
        assert!(std::env::var_os("CI").is_none(), "no axe-core: name its axe.min.js in AXE");
        eprintln!("not looked at for barriers: name axe-core's axe.min.js in AXE");
        return None;
    };
    Some(std::fs::read_to_string(path).expect("AXE names axe-core's script"))
}

/// Returns the barriers of the page, if there is an axe to find them.
pub(crate) async fn barriers(page: &Page) -> Vec<String> {
    let Some(axe) = axe() else { return Vec::new() };
    page.ask(&format!("{axe}; null")).await;
    let found: Value = page.ask(RUN).await;
    serde_json::from_value(found).expect("axe answers")
}

/// Keeps a picture in the folder that `SCREENSHOTS` names, if it names one.
pub(crate) fn keep(name: &str, picture: &[u8]) {
    assert!(picture.len() > 2_000, "{name}: the picture is empty");
    let Some(folder) = std::env::var_os("SCREENSHOTS").map(PathBuf::from) else { return };
    let folder = tests::contract::root().join(folder);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    std::fs::write(folder.join(format!("{name}.png")), picture).expect("it can be written");
}

//! The widget on a page whose server does what each check says, by a clock that goes as the check
//! says: `checks/index.html`, which any browser shows by hand.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use serde_json::Value;

use crate::chromium::{Browser, Page};

/// The longest wait for the page and its scripts.
const LOADING: Duration = Duration::from_secs(10);

/// True once the page has all its scripts.
pub(crate) const LOADED: &str =
    "document.readyState === 'complete' && typeof PingbackChat === 'object'";

/// Characters of a path that mean something else in an address.
const SPECIAL: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'?');

#[tokio::test]
async fn the_widget_keeps_its_side_of_the_protocol_whatever_its_server_does() {
    let Some(browser) = Browser::start().await else { return };
    let page = open(&browser).await;
    let outcome = page.ask("runChecks()").await;
    judge(&outcome);
}

/// Opens the page of the checks, with its scripts.
pub(crate) async fn open(browser: &Browser) -> Page {
    let page = browser.open(&address()).await;
    let begun = Instant::now();
    while page.ask(LOADED).await != true {
        assert!(begun.elapsed() < LOADING, "the page of the checks is not loaded");
    }
    page
}

/// Fails with the names of the checks that failed.
pub(crate) fn judge(outcome: &Value) {
    let failures = outcome["failures"].as_array().expect("the checks end");
    let failures: Vec<String> = failures
        .iter()
        .map(|failure| format!("failed: {}", failure.as_str().unwrap_or_default()))
        .collect();

    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(outcome["checks"].as_u64() > Some(100), "the checks are all there");
}

/// Returns the address of the page, in the checkout that cargo names when this runs: an edited copy
/// of it needs no build.
pub(crate) fn address() -> String {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let package = package.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).to_owned());
    let page = package.join("browser/checks/index.html");
    let path = percent_encode(page.as_os_str().as_encoded_bytes(), SPECIAL);
    format!("file://{path}#waiting")
}

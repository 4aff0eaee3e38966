//! The chat widget's script, in each version that pages may name.
//!
//! A page names the script's hash, so a version keeps its bytes for ever; and a page that names an
//! old version gets it, so a release adds one here and takes none away.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha384};

/// A version of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WidgetScript {
    /// The file's name, with the version in it.
    pub name: &'static str,
    /// The script.
    pub text: &'static str,
}

/// Every version, the newest first.
pub const WIDGET_SCRIPTS: [WidgetScript; 1] = [WidgetScript {
    name: "chat-1.0.0.js",
    text: include_str!("../../chat-socket/widget/dist/chat-1.0.0.js"),
}];

impl WidgetScript {
    /// Returns the version that new pages get.
    #[must_use]
    pub fn newest() -> WidgetScript {
        let [newest, ..] = WIDGET_SCRIPTS;
        newest
    }

    /// Returns the version of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<WidgetScript> {
        WIDGET_SCRIPTS.into_iter().find(|script| script.name == name)
    }

    /// Returns the hash by which a browser knows the script ([Subresource
    /// Integrity](https://www.w3.org/TR/SRI/#integrity-metadata-description)).
    #[must_use]
    pub fn integrity(self) -> String {
        format!("sha384-{}", BASE64_STANDARD.encode(Sha384::digest(self.text)))
    }
}

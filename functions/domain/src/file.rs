//! Files that go with messages: their names, their sizes, and how long they are kept. Their types
//! are [`MediaType`]s.

mod link;
mod media_type;
mod unreferenced;

pub use link::FileLink;
pub use media_type::{MediaType, SNIFFED_BYTES};
pub use unreferenced::{
    MAX_UNREFERENCED_BYTES, MAX_UNREFERENCED_FILES, UnreferencedUploads, last_counted_day,
};

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::text::{is_blank, without_encoded_words};

/// The largest file, in bytes: the largest of the channels' limits.
pub const MAX_FILE_BYTES: u64 = 100 << 20;

/// The largest file that can be uploaded through the API itself, in bytes. Lambda takes requests of
/// 6 MB ([quotas](https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)), and
/// bytes reach it in base64, which makes 5.6 MB of 4 MiB.
pub const MAX_FORM_FILE_BYTES: u64 = 4 << 20;

/// How long an upload can be referenced; the record of one that no message referenced expires then.
pub const UPLOAD_TTL: TimeDelta = TimeDelta::hours(24);

/// Days after which a file that no message referenced is deleted: twice [`UPLOAD_TTL`], so that no
/// file is deleted while a message may still reference it. The bucket's lifecycle rule says the
/// same.
pub const UNREFERENCED_DAYS: u32 = 2;

/// Days after which a referenced file is deleted, counted from its upload. The bucket's
/// lifecycle rule says the same.
pub const REFERENCED_DAYS: u32 = 365;

/// How long before its deletion a file can be referenced for the last time. Delivery gives a
/// message up after a day, and a customer who is away finds the file on return.
pub const REFERENCE_MARGIN: TimeDelta = TimeDelta::days(30);

/// The longest name, in bytes: the limit of common file systems.
pub const MAX_NAME_BYTES: usize = 255;

/// The state of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// Announced: whether the file arrived, and with the announced size and type, has to be
    /// checked.
    Announced,
    /// Stored, with its type confirmed; no message has referenced it.
    Stored,
    /// Referenced by a message that was accepted: the file is kept.
    Ready,
}

impl UploadState {
    /// Returns until when a message may reference an upload of `created_at`.
    #[must_use]
    pub fn referenceable_until(self, created_at: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            UploadState::Announced | UploadState::Stored => created_at + UPLOAD_TTL,
            UploadState::Ready => self.kept_until(created_at) - REFERENCE_MARGIN,
        }
    }

    /// Returns when the record of an upload of `created_at` expires.
    #[must_use]
    pub fn kept_until(self, created_at: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            UploadState::Announced | UploadState::Stored => created_at + UPLOAD_TTL,
            UploadState::Ready => created_at + TimeDelta::days(i64::from(REFERENCED_DAYS)),
        }
    }
}

/// A name to show to people; never a path, and nothing is ever stored under it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileName(String);

impl FileName {
    /// Makes a safe name of any text: the last part of a path, without control characters, without
    /// those that change the direction of writing (`exe.gpj` must not look like `jpg.exe`), at most
    /// 255 bytes long with its ending kept. A name that shows nothing becomes `file`.
    ///
    /// Nothing in it begins an encoded word ([`without_encoded_words`]).
    #[must_use]
    pub fn new(text: &str) -> FileName {
        let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
        let is_visible = |one: &char| !one.is_control() && !is_format_control(*one);
        let visible: String = last.chars().filter(is_visible).collect();
        let plain = without_encoded_words(&visible);

        let name = plain.trim().trim_start_matches('.').trim_end_matches([' ', '.']);
        FileName(if is_blank(name) { "file".to_owned() } else { truncated(name) })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileName(…)")
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Explicit bidirectional formatting ([UAX #9 §2](https://www.unicode.org/reports/tr9/)) and line
/// separators.
fn is_format_control(one: char) -> bool {
    matches!(
        one,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// Cuts a name to [`MAX_NAME_BYTES`] and keeps its ending.
fn truncated(name: &str) -> String {
    let (stem, ending) =
        name.rsplit_once('.').filter(|(_, ending)| ending.len() <= 32).unwrap_or((name, ""));
    let dot = if ending.is_empty() { "" } else { "." };
    let room = MAX_NAME_BYTES - ending.len() - dot.len();
    format!("{}{dot}{ending}", &stem[..stem.floor_char_boundary(room)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_no_path_and_has_no_hidden_characters() {
        for (given, name) in [
            ("invoice.pdf", "invoice.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\Bild 1.png", "Bild 1.png"),
            ("a\r\nSet-Cookie: b", "aSet-Cookie: b"),
            ("evil\u{202e}gpj.exe", "evilgpj.exe"),
            (".htaccess", "htaccess"),
            (" résumé.doc. ", "résumé.doc"),
            ("..", "file"),
            ("dir/", "file"),
            ("", "file"),
            ("\u{200b}\u{3164}", "file"),
            ("=?utf-8?B?c2V0dXAuZXhl?=", "=_utf-8?B?c2V0dXAuZXhl?="),
            ("=\u{202e}?utf-8?Q?setup.exe?=", "=_utf-8?Q?setup.exe?="),
        ] {
            assert_eq!(FileName::new(given).as_str(), name, "{given:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_ending() {
        let name = FileName::new(&format!("{}.jpeg", "é".repeat(200)));
        assert!(name.as_str().len() <= 255 && name.as_str().ends_with("é.jpeg"), "{name}");
        assert_eq!(FileName::new(&"x".repeat(300)).as_str().len(), 255);
    }

    #[test]
    fn a_file_outlives_every_message_that_can_reference_it() {
        let made: DateTime<Utc> = "2026-03-01T09:05:00Z".parse().expect("a time");
        let deleted = made + TimeDelta::days(i64::from(UNREFERENCED_DAYS));
        assert!(UploadState::Stored.referenceable_until(made) < deleted);
        // The contract: a year, and referenced again for the first eleven months.
        let kept: DateTime<Utc> = "2027-03-01T09:05:00Z".parse().expect("a time");
        assert_eq!(UploadState::Ready.kept_until(made), kept);
        let last = kept - TimeDelta::days(30);
        assert_eq!(UploadState::Ready.referenceable_until(made), last);
    }

    proptest! {
        #[test]
        fn every_name_is_safe(text in "\\PC{0,300}|[\\x00-\\x7f]{0,300}") {
            let name = FileName::new(&text);
            prop_assert!(!name.as_str().is_empty() && name.as_str().len() <= 255);
            prop_assert!(!name.as_str().contains(['/', '\\', '\r', '\n', '\0']));
            prop_assert!(!name.as_str().contains("=?") && !is_blank(name.as_str()));
        }
    }
}

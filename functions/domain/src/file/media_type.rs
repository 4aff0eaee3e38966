//! The type of a file, by its declaration and by its first bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of first bytes by which a file's type is recognized.
pub const SNIFFED_BYTES: usize = 8192;

/// The longest type or subtype, in characters ([RFC 6838
/// §4.2](https://www.rfc-editor.org/rfc/rfc6838#section-4.2)).
const MAX_NAME_CHARACTERS: usize = 127;

/// A media type without parameters, in lower case: `image/png`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(String);

impl MediaType {
    const UNKNOWN: &str = "application/octet-stream";

    /// The type of a file without a declaration: `application/octet-stream`.
    #[must_use]
    pub fn unknown() -> MediaType {
        MediaType(MediaType::UNKNOWN.to_owned())
    }

    /// Parses a media type ([RFC 9110
    /// §8.3.1](https://www.rfc-editor.org/rfc/rfc9110#section-8.3.1)); its parameters are dropped.
    #[must_use]
    pub fn parse(text: &str) -> Option<MediaType> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;

        let is_name = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_alphanumeric())
                && name.len() <= MAX_NAME_CHARACTERS
                && name
                    .bytes()
                    .all(|one| one.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&one))
        };
        (is_name(kind) && is_name(subtype)).then_some(MediaType(essence))
    }

    /// The type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if a browser may show a file of this type inline instead of saving it: pictures without
    /// scripts, sound, films, and PDF.
    #[must_use]
    pub fn shows_inline(&self) -> bool {
        let picture =
            matches!(self.as_str(), "image/png" | "image/jpeg" | "image/gif" | "image/webp");
        picture
            || self.0.starts_with("audio/")
            || self.0.starts_with("video/")
            || self.0 == "application/pdf"
    }

    /// Compares this declared type with a file's first [`SNIFFED_BYTES`] bytes, and returns the
    /// file's type: this one, or the recognized one if the declaration says nothing.
    ///
    /// # Errors
    /// The type that the bytes show instead.
    pub fn confirmed(self, head: &[u8]) -> Result<MediaType, MediaType> {
        let found = recognize(head);
        if self.0 == MediaType::UNKNOWN {
            return Ok(found.map_or(self, |found| MediaType(found.to_owned())));
        }

        match found {
            Some(found) if are_compatible(&self.0, found) => Ok(self),
            // Markup is text, and a text may begin with markup.
            Some(found) if self.is_text() && found.starts_with("text/") => Ok(self),
            Some(found) => Err(MediaType(found.to_owned())),
            None if self.is_recognizable() || (self.is_text() && is_binary(head)) => {
                Err(MediaType::unknown())
            }
            None => Ok(self),
        }
    }

    /// True if every file of this type has first bytes by which it is recognized.
    fn is_recognizable(&self) -> bool {
        let known = |name: &str| infer::is_mime_supported(name);
        !self.is_text() && (known(canonical(&self.0)) || container(&self.0).is_some())
    }

    fn is_text(&self) -> bool {
        let text = self.0.starts_with("text/") || self.0.ends_with("+json");
        text || matches!(self.0.as_str(), "application/json" | "application/xml")
            || container(&self.0) == Some(XML)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const XML: &str = "text/xml";
const ZIP: &str = "application/zip";
const OLE: &str = "application/x-ole-storage";

/// ISO base media, for sound and film: their first bytes do not tell them apart for certain.
const ISO: &str = "video/mp4";
const MP3: &str = "audio/mpeg";

/// Returns the type that a file's first bytes show.
fn recognize(head: &[u8]) -> Option<&'static str> {
    match infer::get(head) {
        Some(found) => Some(found.mime_type()),
        None if head.get(4..8) == Some(b"ftyp") => Some(ISO),
        // Every frame of MPEG audio begins with eleven set bits; the layer bits 01 mean layer III.
        None if head.len() > 2 && head[0] == 0xff && head[1] & 0xe6 == 0xe2 => Some(MP3),
        None => None,
    }
}

/// True for bytes that are no text: a text has no zeros unless a byte order mark says UTF-16.
fn is_binary(head: &[u8]) -> bool {
    let wide = head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]);
    !wide && head.contains(&0)
}

/// True if both names mean the same type, or one is the container format of the other.
fn are_compatible(declared: &str, found: &str) -> bool {
    let declared = canonical(declared);
    let found = canonical(found);

    declared == found || container(declared) == Some(found) || container(found) == Some(declared)
}

/// Returns one name for types that have several names, or that the first bytes do not tell apart.
fn canonical(name: &str) -> &str {
    match name {
        "image/jpg" | "image/pjpeg" => "image/jpeg",
        "image/x-ms-bmp" => "image/bmp",
        "image/x-icon" => "image/vnd.microsoft.icon",
        "image/heic" | "image/heic-sequence" | "image/heif-sequence" => "image/heif",
        "audio/mp3" | "audio/x-mpeg" => MP3,
        "audio/wav" | "audio/wave" | "audio/vnd.wave" => "audio/x-wav",
        "audio/flac" => "audio/x-flac",
        "audio/opus" | "application/ogg" | "video/ogg" => "audio/ogg",
        "audio/mp4" | "audio/m4a" | "audio/x-m4a" | "video/x-m4v" | "video/quicktime"
        | "video/3gpp" | "video/3gp" | "audio/3gpp" => ISO,
        "audio/webm" | "video/x-matroska" | "audio/x-matroska" => "video/webm",
        "video/avi" | "video/msvideo" => "video/x-msvideo",
        "application/xml" => XML,
        "application/x-zip-compressed" => ZIP,
        "application/x-gzip" => "application/gzip",
        "application/x-rar-compressed" | "application/x-rar" => "application/vnd.rar",
        "text/rtf" => "application/rtf",
        "application/x-msdownload" | "application/x-dosexec" => {
            "application/vnd.microsoft.portable-executable"
        }
        "application/x-sh" => "text/x-shellscript",
        other => other,
    }
}

/// Returns the container format of a type; the first bytes may show no more than that.
fn container(name: &str) -> Option<&'static str> {
    let zipped =
        ["application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument."];

    match name {
        "application/msword" | "application/vnd.ms-excel" | "application/vnd.ms-powerpoint" => {
            Some(OLE)
        }
        "application/java-archive" | "application/vnd.android.package-archive" => Some(ZIP),
        _ if name.ends_with("+zip") || zipped.iter().any(|family| name.starts_with(family)) => {
            Some(ZIP)
        }
        _ if name.ends_with("+xml") => Some(XML),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    fn confirmed(declared: &str, head: &[u8]) -> Result<String, String> {
        let declared = MediaType::parse(declared).expect("a media type");
        declared.confirmed(head).map(|found| found.0).map_err(|found| found.0)
    }

    #[test]
    fn media_types_are_read_without_their_parameters() {
        let read = |text| MediaType::parse(text).map(|name| name.0);
        assert_eq!(read("Text/Plain; charset=utf-8"), Some("text/plain".into()));
        assert_eq!(read("application/vnd.ms-excel"), Some("application/vnd.ms-excel".into()));

        for wrong in [
            "",
            "image",
            "image/",
            "/png",
            "image/png/x",
            "im age/png",
            "image/p\r\nX: y",
            "*/*",
            "a/b,c/d",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_type_that_fits_the_bytes_is_confirmed() {
        let mut docx = b"PK\x03\x04".to_vec();
        docx.resize(64, 0);
        for (declared, head) in [
            ("image/png", PNG),
            ("image/jpg", b"\xff\xd8\xff\xe0JFIF"),
            ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", &docx),
            ("application/msword", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
            ("audio/mp4", b"\0\0\0\x18ftypmp42\0\0\0\0"),
            ("video/3gpp", b"\0\0\0\x18ftyp3gp4\0\0\0\0"),
            ("audio/mpeg", b"\xff\xfa\x90\x00"),
            ("image/svg+xml", b"<?xml version=\"1.0\"?><svg/>"),
            ("image/svg+xml", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
            ("text/plain", b"hello"),
            ("text/markdown", b"<p align=\"center\">"),
            ("image/svg+xml", b"<!-- drawn by hand --><svg/>"),
            ("text/plain", b"\xff\xfeh\0i\0"),
            ("application/json", b"{}"),
            ("application/x-of-our-own", b"\0\x01\x02"),
        ] {
            assert_eq!(confirmed(declared, head), Ok(declared.to_owned()));
        }

        assert_eq!(confirmed("application/octet-stream", PNG), Ok("image/png".into()));
    }

    #[test]
    fn a_type_that_contradicts_the_bytes_is_refused() {
        let unknown = MediaType::UNKNOWN;
        for (declared, head, found) in [
            ("image/jpeg", PNG, "image/png"),
            ("application/pdf", b"hello", unknown),
            ("text/plain", b"a\0b", unknown),
            ("image/gif", b"<html><script>", "text/html"),
            ("application/json", PNG, "image/png"),
            ("image/png", b"MZ\x90\0\x03\0\0\0", "application/vnd.microsoft.portable-executable"),
            (
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                b"hello",
                unknown,
            ),
            ("video/mp4", b"", unknown),
        ] {
            assert_eq!(confirmed(declared, head), Err(found.to_owned()), "{declared}");
        }
    }

    #[test]
    fn types_with_scripts_are_not_shown_inline() {
        let inline = |name: &str| MediaType::parse(name).expect("a media type").shows_inline();
        assert!(inline("image/png") && inline("application/pdf") && inline("video/mp4"));
        assert!(
            !inline("text/html") && !inline("image/svg+xml") && !inline("application/xhtml+xml")
        );
    }
}

//! The type of a file, by its declaration and by its first bytes.

mod names;
mod signature;

use std::fmt;

use serde::{Deserialize, Serialize};

use signature::Finding;

/// The number of first bytes by which a file's type is recognized.
pub const SNIFFED_BYTES: usize = 16 * 1024;

/// The longest type or subtype, in characters ([RFC 6838
/// §4.2](https://www.rfc-editor.org/rfc/rfc6838#section-4.2)).
const MAX_NAME_CHARACTERS: usize = 127;

/// The longest name of a charset, in characters ([RFC 2978
/// §2.3](https://www.rfc-editor.org/rfc/rfc2978#section-2.3)).
const MAX_CHARSET_CHARACTERS: usize = 40;

/// A media type by its one name, in lower case: `image/png`.
///
/// Of its parameters only those are kept that a reader needs: the charset of a text that is not in
/// UTF-8 (`text/plain; charset=shift_jis`), and the codec of Ogg (`audio/ogg; codecs=opus`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct MediaType(String);

/// Reads a stored type; records from before types had one name have other ones.
impl From<String> for MediaType {
    fn from(stored: String) -> MediaType {
        MediaType::parse(&stored).unwrap_or(MediaType(stored))
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> String {
        media_type.0
    }
}

impl MediaType {
    const UNKNOWN: &str = "application/octet-stream";

    /// The type of a file without a declaration: `application/octet-stream`.
    #[must_use]
    pub fn unknown() -> MediaType {
        MediaType::named(MediaType::UNKNOWN)
    }

    fn named(name: &str) -> MediaType {
        MediaType(name.to_owned())
    }

    /// Parses a media type ([RFC 9110
    /// §8.3.1](https://www.rfc-editor.org/rfc/rfc9110#section-8.3.1)), whatever its spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<MediaType> {
        let mut pieces = text.split(';');
        let essence = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;

        let is_name = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_alphanumeric())
                && name.len() <= MAX_NAME_CHARACTERS
                && name
                    .bytes()
                    .all(|one| one.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&one))
        };
        if !is_name(kind) || !is_name(subtype) {
            return None;
        }

        let name = names::canonical(&essence);
        let parameter = pieces.find_map(|parameter| kept_parameter(name, parameter));
        Some(MediaType(format!("{name}{}", parameter.unwrap_or_default())))
    }

    /// The type, with its parameter if it has one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The type without its parameter.
    #[must_use]
    pub fn essence(&self) -> &str {
        self.0.split(';').next().unwrap_or_default()
    }

    /// The charset of a text that is not in UTF-8, as far as it was declared.
    #[must_use]
    pub fn charset(&self) -> Option<&str> {
        self.0.split_once("; charset=").map(|(_, charset)| charset)
    }

    /// The codec of Ogg, as far as it is known.
    #[must_use]
    pub fn codec(&self) -> Option<&str> {
        self.0.split_once("; codecs=").map(|(_, codec)| codec)
    }

    /// True if a browser may show a file of this type inline instead of saving it: pictures, sound
    /// and films in formats that can hold no script, and PDF. Of other types, such as
    /// `video/x-of-their-own+xml`, a browser decides by itself what to run.
    #[must_use]
    pub fn shows_inline(&self) -> bool {
        matches!(
            self.essence(),
            "application/pdf"
                | "audio/3gpp"
                | "audio/aac"
                | "audio/flac"
                | "audio/mp4"
                | "audio/mpeg"
                | "audio/ogg"
                | "audio/wav"
                | "audio/webm"
                | "image/gif"
                | "image/jpeg"
                | "image/png"
                | "image/webp"
                | "video/3gpp"
                | "video/3gpp2"
                | "video/mp4"
                | "video/ogg"
                | "video/quicktime"
                | "video/webm"
        )
    }

    /// Compares this declared type with a file's first [`SNIFFED_BYTES`] bytes, and returns the
    /// file's type.
    ///
    /// An honest name stands, also where the bytes show no more than a container, or nothing.
    /// Pictures, sound and films are what their bytes say, and so is a file whose declaration says
    /// nothing.
    ///
    /// # Errors
    /// The type that the bytes show instead: that of a program, a text where none should be, or
    /// another kind of file.
    pub fn confirmed(self, head: &[u8]) -> Result<MediaType, MediaType> {
        let declared = self.essence();
        let found = signature::recognize(head);
        let refused = || Err(found.map_or(MediaType::unknown(), |found| found.media_type()));

        if declared == MediaType::UNKNOWN {
            return Ok(self.guessed(found, head));
        }
        if let Some(found) = found
            && declared == "application/postscript"
            && matches!(found.name, "application/postscript" | "application/pdf")
        {
            // Illustrator writes PDF, under the ending that browsers call PostScript.
            return Ok(found.media_type());
        }
        if names::is_text(declared) {
            if signature::is_utf16_in(self.charset(), head) && !is_program(found) {
                return Ok(self);
            }
            let is_readable = signature::is_text(head) || found.is_none();
            return if is_readable && !signature::is_binary(head) {
                Ok(self)
            } else {
                self.confirmed_media(found).map_or_else(refused, Ok)
            };
        }
        if let Some(Finding { name, .. }) = found
            && (names::is_program(name) || (name == "text/html" && self.is_seen()))
        {
            return if names::is_program(declared) { Ok(self) } else { refused() };
        }

        if names::may_be_text(declared) && signature::is_text(head) {
            return Ok(self);
        }
        let is_shown = signature::is_shown(declared, head);
        if is_shown && found.is_none_or(|found| found.codec.is_none()) {
            return Ok(self);
        }
        if let Some(confirmed) = self.confirmed_media(found) {
            return Ok(confirmed);
        }
        if !signature::is_recognizable(declared) {
            return Ok(self);
        }

        let found_name = found.map_or("", |found| found.name);
        if names::is_office(declared) && names::is_office(found_name) {
            return Ok(MediaType::named(found_name));
        }

        let share = |container| names::containers(found_name).contains(container);
        if names::containers(declared).iter().any(share) {
            Ok(self)
        } else if names::is_archive(declared) && names::is_archive(found_name) {
            Ok(MediaType::named(found_name))
        } else {
            refused()
        }
    }

    /// True for pictures, sound, films and PDF: files that a reader opens without a thought.
    fn is_seen(&self) -> bool {
        self.shows_inline() || media_kind(self.essence()).is_some()
    }

    /// Returns the type of a file whose declaration says nothing.
    fn guessed(self, found: Option<Finding>, head: &[u8]) -> MediaType {
        match found {
            Some(found) => found.media_type(),
            None if !head.is_empty() && signature::is_utf8(head) => MediaType::named("text/plain"),
            None => self,
        }
    }

    /// Returns the type of a picture, of sound or of a film; `None` if it was not declared as one,
    /// or is none.
    fn confirmed_media(&self, found: Option<Finding>) -> Option<MediaType> {
        let found = found?;
        let declared = self.essence();
        let declared_kind = media_kind(declared)?;
        let found_kind = media_kind(found.name)?;

        let container = names::containers(found.name);
        let share_container = !container.is_empty() && names::containers(declared) == container;
        // A film's container without a picture is sound; that stands further back in the file.
        let is_sound = declared_kind == "audio" && found_kind == "video" && found.codec.is_none();
        let are_pictures = declared_kind == "image" && found_kind == "image";
        // Pages with moving pictures serve films under the ending of a GIF.
        let is_moving = declared_kind == "image" && found_kind == "video";

        if share_container && (found.is_generic || is_sound || are_pictures) {
            Some(self.clone())
        } else if declared_kind == found_kind || share_container || is_moving {
            Some(found.media_type())
        } else {
            None
        }
    }
}

fn is_program(found: Option<Finding>) -> bool {
    found.is_some_and(|found| names::is_program(found.name))
}

impl Finding {
    fn media_type(self) -> MediaType {
        match self.codec {
            Some(codec) => MediaType(format!("{}; codecs={codec}", self.name)),
            None => MediaType::named(self.name),
        }
    }
}

/// Returns `image`, `audio` or `video` of a type of such a kind.
fn media_kind(name: &str) -> Option<&str> {
    let (kind, _) = name.split_once('/')?;
    matches!(kind, "image" | "audio" | "video").then_some(kind)
}

/// Returns a parameter as it is kept, if it is.
fn kept_parameter(name: &str, parameter: &str) -> Option<String> {
    let (key, value) = parameter.split_once('=')?;
    let value = value.trim().trim_matches('"').to_ascii_lowercase();

    match key.trim().to_ascii_lowercase().as_str() {
        "charset" if names::is_text(name) && is_foreign_charset(&value) => {
            Some(format!("; charset={value}"))
        }
        "codecs" if names::OGG_CODECS.contains(&(name, value.as_str())) => {
            Some(format!("; codecs={value}"))
        }
        _ => None,
    }
}

/// True for the name of a charset other than UTF-8, of which ASCII is a part.
fn is_foreign_charset(value: &str) -> bool {
    let is_name = value.len() <= MAX_CHARSET_CHARACTERS
        && value.bytes().all(|one| one.is_ascii_alphanumeric() || b"-_.:+".contains(&one));
    is_name && !["", "utf-8", "utf8", "us-ascii", "ascii"].contains(&value)
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;

//! Reads a request into the file that it brings or announces.

use std::fmt;

use bytes::Bytes;
use lambda_http::http::HeaderMap;
use lambda_http::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use multer::{Field, Multipart};
use serde_json::{Map, Value};

use crate::disposition::Disposition;
use domain::file::{FileName, MAX_FILE_BYTES, MAX_FORM_FILE_BYTES, MediaType, SNIFFED_BYTES};
use domain::problem::{FieldError, MAX_BODY_BYTES, MAX_LISTED_ERRORS, Refusal};
use domain::text::is_blank;
use platform::api;

/// A request to upload a file.
#[derive(Clone, PartialEq, Eq)]
pub enum UploadRequest {
    /// A file that came with the request.
    Stored {
        /// Its name.
        filename: FileName,
        /// Its type; its first bytes agree.
        content_type: MediaType,
        /// The file.
        bytes: Bytes,
    },
    /// A file that the client will put into the bucket directly.
    Announced {
        /// Its name.
        filename: FileName,
        /// Its declared type.
        content_type: MediaType,
        /// Its size in bytes, 1 to [`MAX_FILE_BYTES`].
        size: u64,
    },
}

impl fmt::Debug for UploadRequest {
    /// Which of the two it is, and its size.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UploadRequest::Stored { bytes, .. } => write!(f, "Stored({} bytes)", bytes.len()),
            UploadRequest::Announced { size, .. } => write!(f, "Announced({size} bytes)"),
        }
    }
}

impl UploadRequest {
    /// Returns the file's size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            UploadRequest::Stored { bytes, .. } => bytes.len() as u64,
            UploadRequest::Announced { size, .. } => *size,
        }
    }
}

/// Room for what a form has beside its file: boundaries and headers.
pub const FORM_OVERHEAD_BYTES: u64 = 64 << 10;

/// The longest `Content-Disposition` of a part, in bytes: a name of 255 bytes takes less in every
/// spelling, and most servers take header lines of [8
/// KB](https://httpd.apache.org/docs/2.4/mod/core.html#limitrequestfieldsize).
pub const MAX_DISPOSITION_BYTES: usize = 8 << 10;

/// The kinds of bodies.
#[derive(Clone, PartialEq, Eq)]
pub enum BodyKind {
    /// `multipart/form-data` with one `file`.
    Form {
        /// The line between its parts.
        boundary: String,
    },
    /// JSON.
    Announcement,
}

impl fmt::Debug for BodyKind {
    /// Writes which of the two it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyKind::Form { .. } => "Form",
            BodyKind::Announcement => "Announcement",
        })
    }
}

impl BodyKind {
    /// Returns the kind that the headers tell: a form, or else JSON.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> BodyKind {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = content_type.and_then(|text| multer::parse_boundary(text).ok());
        boundary.map_or(BodyKind::Announcement, |boundary| BodyKind::Form { boundary })
    }

    /// Returns the most bytes of a body of this kind.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        match self {
            BodyKind::Form { .. } => MAX_FORM_FILE_BYTES + FORM_OVERHEAD_BYTES,
            BodyKind::Announcement => MAX_BODY_BYTES as u64,
        }
    }

    /// Reads a body of this kind.
    ///
    /// # Errors
    /// [`Refusal::BodyTooLarge`] for a file that is too large for a form, or everything that is
    /// wrong.
    pub async fn read(self, body: Bytes) -> Result<UploadRequest, Refusal> {
        match self {
            BodyKind::Form { boundary } => form(body, boundary).await,
            BodyKind::Announcement => announcement(&body).map_err(Refusal::Invalid),
        }
    }
}

/// Reads a form. It is read no further once it has more errors than an answer lists.
async fn form(body: Bytes, boundary: String) -> Result<UploadRequest, Refusal> {
    let undecodable = |fault: &str| {
        let msg = format!("The form cannot be read: {fault}");
        Refusal::Invalid(vec![FieldError::new(["body"], msg, "form_invalid")])
    };
    let unreadable = |error: multer::Error| undecodable(in_words(&error));

    let stream =
        futures_util::stream::once(std::future::ready(Ok::<_, std::convert::Infallible>(body)));
    let mut form = Multipart::new(stream, boundary);

    let mut file = None;
    let mut charset = None;
    let mut errors = Vec::new();
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        let disposition = field.headers().get(CONTENT_DISPOSITION);
        let disposition = disposition.map_or(&[][..], |value| value.as_bytes());
        if disposition.len() > MAX_DISPOSITION_BYTES {
            let most = MAX_DISPOSITION_BYTES;
            let fault = format!("a part's Content-Disposition has more than {most} bytes");
            return Err(undecodable(&fault));
        }

        let disposition = Disposition::parse(disposition);
        match disposition.text("name").as_deref() {
            Some("file") if file.is_none() => {
                file = Some(read_part(field, disposition).await.map_err(unreadable)?);
            }
            // The charset of the form's texts, wherever it stands (RFC 7578 §4.6).
            Some("_charset_") if charset.is_none() => {
                charset = Some(field.bytes().await.map_err(unreadable)?);
            }
            Some("file") => {
                errors.push(FieldError::new(FILE, "Only one file may be given", "too_long"));
            }
            other => errors.push(FieldError::forbidden(["body", other.unwrap_or_default()])),
        }
        if errors.len() > MAX_LISTED_ERRORS {
            return Err(Refusal::Invalid(errors));
        }
    }

    let file = match file {
        None => Err(FieldError::missing(FILE)),
        Some((_, _, bytes)) if bytes.is_empty() => {
            Err(FieldError::new(FILE, "The file is empty", "too_short"))
        }
        Some((_, _, bytes)) if bytes.len() as u64 > MAX_FORM_FILE_BYTES => {
            return Err(Refusal::BodyTooLarge { most: MAX_FORM_FILE_BYTES });
        }
        Some((disposition, declared, bytes)) => {
            let name = disposition.text_in("filename", charset.as_deref());
            let filename = FileName::new(&name.unwrap_or_default());
            let head = &bytes[..bytes.len().min(SNIFFED_BYTES)];
            match declared.clone().confirmed(head) {
                Ok(content_type) => Ok((filename, content_type, bytes)),
                Err(found) => {
                    let msg = format!("Declared as {declared}, and is {found}");
                    Err(FieldError::new(FILE, msg, "content_type_mismatch"))
                }
            }
        }
    };

    match file {
        Ok((filename, content_type, bytes)) if errors.is_empty() => {
            Ok(UploadRequest::Stored { filename, content_type, bytes })
        }
        file => Err(Refusal::Invalid(file.err().into_iter().chain(errors).collect())),
    }
}

/// Returns an error for people in our own words; multer's show names as Rust does.
fn in_words(error: &multer::Error) -> &'static str {
    match error {
        multer::Error::IncompleteFieldData { .. } => "a part has no end",
        multer::Error::IncompleteHeaders => "a part's headers have no end",
        multer::Error::ReadHeaderFailed(_) => "a part has a header that cannot be read",
        multer::Error::DecodeHeaderName { .. } => "a part has a header without a name",
        multer::Error::DecodeHeaderValue { .. } => "a part has a header whose value is no text",
        multer::Error::IncompleteStream => "it has no end",
        _ => "it cannot be read",
    }
}

const FILE: [&str; 2] = ["body", "file"];

/// Reads a part's type and bytes. Without a declared type, the bytes decide.
async fn read_part(
    field: Field<'_>,
    disposition: Disposition,
) -> Result<(Disposition, MediaType, Bytes), multer::Error> {
    let declared = field.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let declared = declared.and_then(MediaType::parse).unwrap_or_else(MediaType::unknown);
    Ok((disposition, declared, field.bytes().await?))
}

const FIELDS: [&str; 3] = ["filename", "content_type", "size"];

fn announcement(body: &[u8]) -> Result<UploadRequest, Vec<FieldError>> {
    let fields = match serde_json::from_slice(api::without_bom(body)) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => {
            return Err(vec![FieldError::wrong(["body"], "a valid dictionary", "dict_type")]);
        }
        Err(error) => return Err(vec![api::json_fault(&error)]),
    };

    let filename = filename(&fields);
    let content_type = content_type(&fields);
    let size = size(&fields);
    let unknown: Vec<_> = fields.keys().filter(|name| !FIELDS.contains(&name.as_str())).collect();

    match (filename, content_type, size) {
        (Ok(filename), Ok(content_type), Ok(size)) if unknown.is_empty() => {
            Ok(UploadRequest::Announced { filename, content_type, size })
        }
        (filename, content_type, size) => {
            let errors = [filename.err(), content_type.err(), size.err()].into_iter().flatten();
            let unknown = unknown.into_iter().map(|name| FieldError::forbidden(["body", name]));
            Err(errors.chain(unknown).take(MAX_LISTED_ERRORS + 1).collect())
        }
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, FieldError> {
    let loc = ["body", name];
    let value = fields.get(name).ok_or_else(|| FieldError::missing(loc))?;
    value.as_str().ok_or_else(|| FieldError::wrong(loc, "a valid string", "string_type"))
}

fn filename(fields: &Map<String, Value>) -> Result<FileName, FieldError> {
    let text = text(fields, "filename")?;
    if is_blank(text) {
        return Err(FieldError::blank(["body", "filename"]));
    }
    Ok(FileName::new(text))
}

fn content_type(fields: &Map<String, Value>) -> Result<MediaType, FieldError> {
    let text = text(fields, "content_type")?;
    MediaType::parse(text).ok_or_else(|| {
        let expected = "a media type such as image/png";
        FieldError::wrong(["body", "content_type"], expected, "string_pattern_mismatch")
    })
}

#[expect(clippy::cast_precision_loss, reason = "100 MiB are exact")]
fn size(fields: &Map<String, Value>) -> Result<u64, FieldError> {
    let loc = ["body", "size"];
    let value = fields.get("size").ok_or_else(|| FieldError::missing(loc))?;
    if let Some(size @ 1..=MAX_FILE_BYTES) = value.as_u64() {
        return Ok(size);
    }

    // Also of whole numbers that no integer of ours holds.
    match value.as_f64().filter(|number| number.fract() == 0.0) {
        Some(number) if number < 1.0 => {
            Err(FieldError::wrong(loc, "greater than or equal to 1", "greater_than_equal"))
        }
        Some(number) if number > MAX_FILE_BYTES as f64 => {
            let expected = format!("less than or equal to {MAX_FILE_BYTES}");
            Err(FieldError::wrong(loc, expected, "less_than_equal"))
        }
        Some(_) | None => Err(FieldError::wrong(loc, "a valid integer", "int_type")),
    }
}

#[cfg(test)]
mod tests;

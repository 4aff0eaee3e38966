//! Reads a request into the file that it brings or announces.

use bytes::Bytes;
use lambda_http::http::HeaderMap;
use lambda_http::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use multer::{Field, Multipart};
use serde_json::{Map, Value};

use crate::disposition::Disposition;
use domain::file::{FileName, MAX_FILE_BYTES, MAX_FORM_FILE_BYTES, MediaType, SNIFFED_BYTES};
use domain::problem::{FieldError, Loc, MAX_BODY_BYTES, Refusal};
use domain::text::is_blank;
use platform::api;

/// A request to upload a file.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Room for what a form has beside its file: boundaries and headers.
pub const FORM_OVERHEAD_BYTES: u64 = 64 << 10;

/// Returns the most bytes of a body of this kind.
#[must_use]
pub fn max_body_bytes(headers: &HeaderMap) -> u64 {
    if boundary(headers).is_some() {
        MAX_FORM_FILE_BYTES + FORM_OVERHEAD_BYTES
    } else {
        MAX_BODY_BYTES as u64
    }
}

/// Reads a body, `multipart/form-data` with one `file` or else JSON.
///
/// # Errors
/// [`Refusal::BodyTooLarge`] for a file that is too large for a form, or everything that is wrong.
pub async fn read(headers: &HeaderMap, body: Bytes) -> Result<UploadRequest, Refusal> {
    match boundary(headers) {
        Some(boundary) => form(body, boundary).await,
        None => announcement(&body).map_err(Refusal::Invalid),
    }
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    multer::parse_boundary(headers.get(CONTENT_TYPE)?.to_str().ok()?).ok()
}

async fn form(body: Bytes, boundary: String) -> Result<UploadRequest, Refusal> {
    let unreadable = |error: multer::Error| {
        let msg = format!("Form decode error: {}", in_words(&error));
        Refusal::Invalid(vec![FieldError::new(["body"], msg, "form_invalid")])
    };

    let stream =
        futures_util::stream::once(std::future::ready(Ok::<_, std::convert::Infallible>(body)));
    let mut form = Multipart::new(stream, boundary);

    let mut file = None;
    let mut charset = None;
    let mut errors = Vec::new();
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        let disposition = field.headers().get(CONTENT_DISPOSITION);
        let disposition =
            disposition.map(|value| Disposition::parse(value.as_bytes())).unwrap_or_default();
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

/// Returns an error for people; multer's own words show names as Rust does.
fn in_words(error: &multer::Error) -> String {
    match error {
        multer::Error::IncompleteFieldData { .. } => "a part has no end".to_owned(),
        multer::Error::DecodeHeaderName { .. } => "a part has a header without a name".to_owned(),
        other => other.to_string(),
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
        Err(error) => {
            let loc = [Loc::from("body"), error.column().into()];
            let msg = format!("JSON decode error: {error}");
            return Err(vec![FieldError::new(loc, msg, "json_invalid")]);
        }
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
            Err(errors.chain(unknown).collect())
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

fn size(fields: &Map<String, Value>) -> Result<u64, FieldError> {
    let loc = ["body", "size"];
    let value = fields.get("size").ok_or_else(|| FieldError::missing(loc))?;
    match value.as_u64() {
        Some(size @ 1..=MAX_FILE_BYTES) => Ok(size),
        Some(0) => Err(FieldError::wrong(loc, "greater than or equal to 1", "greater_than_equal")),
        Some(_) => {
            let expected = format!("less than or equal to {MAX_FILE_BYTES}");
            Err(FieldError::wrong(loc, expected, "less_than_equal"))
        }
        None => Err(FieldError::wrong(loc, "a valid integer", "int_type")),
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::http::HeaderValue;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    fn part_of(disposition: &str, content_type: &str, bytes: &[u8]) -> Vec<u8> {
        let head =
            format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n{content_type}\r\n");
        [head.as_bytes(), bytes, b"\r\n"].concat()
    }

    async fn sent(parts: &[Vec<u8>]) -> Result<UploadRequest, Refusal> {
        let body = [parts.concat(), b"--b--\r\n".to_vec()].concat();
        let content_type = HeaderValue::from_static("multipart/form-data; boundary=b");
        read(&HeaderMap::from_iter([(CONTENT_TYPE, content_type)]), body.into()).await
    }

    async fn announced(body: &str) -> Result<UploadRequest, Refusal> {
        read(&HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes())).await
    }

    fn kinds(refused: Result<UploadRequest, Refusal>) -> Vec<(String, &'static str)> {
        let Err(Refusal::Invalid(errors)) = refused else {
            panic!("a form that is wrong was taken: {refused:?}")
        };
        let loc = |error: &FieldError| serde_json::to_string(&error.loc).expect("plain data");
        errors.iter().map(|error| (loc(error), error.kind)).collect()
    }

    #[tokio::test]
    async fn a_form_brings_one_file() {
        let file =
            part_of(r#"name="file"; filename="a/cat.png""#, "Content-Type: image/png\r\n", PNG);
        let Ok(UploadRequest::Stored { filename, content_type, bytes }) = sent(&[file]).await
        else {
            panic!("a right form")
        };

        assert_eq!(
            (filename.as_str(), content_type.as_str(), &bytes[..]),
            ("cat.png", "image/png", PNG)
        );

        let spelled = part_of(
            r#"filename*=utf-8''Zo%C3%AB.png; name=file; filename="=?utf-8?B?Wm/Dqy5wbmc=?=""#,
            "Content-Type: image/x-png\r\n",
            PNG,
        );
        let Ok(UploadRequest::Stored { filename, content_type, .. }) = sent(&[spelled]).await
        else {
            panic!("a right form")
        };

        assert_eq!((filename.as_str(), content_type.as_str()), ("Zoë.png", "image/png"));

        let bare = part_of(r#"name="file""#, "", PNG);
        let Ok(UploadRequest::Stored { filename, content_type, .. }) = sent(&[bare]).await else {
            panic!("a right form")
        };

        assert_eq!((filename.as_str(), content_type.as_str()), ("file", "image/png"));
    }

    /// The charset's part may stand before the file or behind it.
    #[tokio::test]
    async fn a_form_may_name_the_charset_of_its_texts() {
        let in_charset = async |charset: &str, name: &[u8], charset_is_first: bool| {
            let head = [b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"", name]
                .concat();
            let file = [head.as_slice(), b"\"\r\n\r\nhello\r\n"].concat();
            let mut parts = vec![file, part_of(r#"name="_charset_""#, "", charset.as_bytes())];
            if charset_is_first {
                parts.reverse();
            }
            match sent(&parts).await {
                Ok(UploadRequest::Stored { filename, .. }) => filename.as_str().to_owned(),
                refused => panic!("{charset}: {refused:?}"),
            }
        };

        for (charset, bytes, name) in [
            ("UTF-8", "Zoë.txt".as_bytes(), "Zoë.txt"),
            ("iso-8859-1", b"Zo\xeb.txt", "Zoë.txt"),
            ("windows-1251", b"\xf1\xf7\xb8\xf2.txt", "счёт.txt"),
            ("koi8-r", b"\xd3\xde\xa3\xd4.txt", "счёт.txt"),
            ("euc-jp", b"\xc0\xc1\xb5\xe1.txt", "請求.txt"),
            ("gb18030", b"\xb7\xa2\xc6\xb1.txt", "发票.txt"),
            // One that is not known, or that the name is not in.
            ("klingon", "Zoë.txt".as_bytes(), "Zoë.txt"),
            ("utf-8", b"Zo\xeb.txt", "Zoë.txt"),
            ("", "Zoë.txt".as_bytes(), "Zoë.txt"),
        ] {
            assert_eq!(in_charset(charset, bytes, false).await, name, "{charset}");
            assert_eq!(in_charset(charset, bytes, true).await, name, "{charset} first");
        }

        let file = part_of(r#"name="file"; filename="a""#, "", b"hello");
        let charset = || part_of(r#"name="_charset_""#, "", b"utf-8");
        let twice = sent(&[file, charset(), charset()]).await;
        assert_eq!(kinds(twice), [(r#"["body","_charset_"]"#.into(), "extra_forbidden")]);
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_form_is_said() {
        let file =
            || part_of(r#"name="file"; filename="a""#, "Content-Type: text/plain\r\n", b"hello");
        assert_eq!(kinds(sent(&[]).await), [(r#"["body","file"]"#.into(), "missing")]);
        assert_eq!(
            kinds(sent(&[file(), file()]).await),
            [(r#"["body","file"]"#.into(), "too_long")]
        );

        let other = part_of(r#"name="note""#, "", b"x");
        assert_eq!(
            kinds(sent(&[file(), other]).await),
            [(r#"["body","note"]"#.into(), "extra_forbidden")]
        );

        let empty = part_of(r#"name="file"; filename="a""#, "", b"");
        assert_eq!(kinds(sent(&[empty]).await), [(r#"["body","file"]"#.into(), "too_short")]);
        let lie =
            part_of(r#"name="file"; filename="a""#, "Content-Type: image/png\r\n", b"MZ\x90\0");

        assert_eq!(
            kinds(sent(&[lie]).await),
            [(r#"["body","file"]"#.into(), "content_type_mismatch")]
        );

        let cut = part_of(r#"name="file"; filename="a""#, "", b"hello")[..60].to_vec();
        let content_type = HeaderValue::from_static("multipart/form-data; boundary=b");
        let cut = read(&HeaderMap::from_iter([(CONTENT_TYPE, content_type)]), cut.into()).await;

        assert_eq!(kinds(cut), [(r#"["body"]"#.into(), "form_invalid")]);
    }

    #[test]
    fn what_is_wrong_with_a_form_is_said_for_people() {
        let field_name = Some("a \"b\"".to_owned());
        let cut = multer::Error::IncompleteFieldData { field_name };
        assert_eq!(in_words(&cut), "a part has no end");
        assert_eq!(in_words(&multer::Error::IncompleteStream), "incomplete multipart stream");
    }

    #[tokio::test]
    async fn a_file_of_exactly_the_limit_belongs_into_a_form() {
        let text = |size: u64| vec![b'x'; usize::try_from(size).expect("a size")];
        let file = |size| {
            part_of(r#"name="file"; filename="a""#, "Content-Type: text/plain\r\n", &text(size))
        };
        assert!(matches!(sent(&[file(4_194_304)]).await, Ok(UploadRequest::Stored { .. })));
        let refused = sent(&[file(4_194_305)]).await;
        assert_eq!(refused, Err(Refusal::BodyTooLarge { most: 4_194_304 }));
    }

    #[tokio::test]
    async fn an_announcement_says_what_comes() {
        let wanted =
            announced(r#"{"filename":"a.mp4","content_type":"Video/MP4","size":104857600}"#).await;
        let Ok(UploadRequest::Announced { filename, content_type, size }) = wanted else {
            panic!("a right body")
        };
        assert_eq!(
            (filename.as_str(), content_type.as_str(), size),
            ("a.mp4", "video/mp4", 104_857_600)
        );
    }

    /// A byte order mark is no error ([RFC 8259 §8.1](https://www.rfc-editor.org/rfc/rfc8259#section-8.1)).
    #[tokio::test]
    async fn an_announcement_may_begin_with_a_byte_order_mark() {
        let body =
            r#"{"filename":"a.txt","content_type":"text/plain; charset=Shift_JIS","size":1}"#;
        let announced = announced(&format!("\u{feff}{body}")).await;
        let Ok(UploadRequest::Announced { content_type, .. }) = announced else {
            panic!("a right body: {announced:?}")
        };
        assert_eq!(content_type.as_str(), "text/plain; charset=shift_jis");
    }

    /// A form's file is confirmed when it comes, an announced one when a message references it.
    #[tokio::test]
    async fn a_form_and_an_announcement_agree_on_a_type() {
        for (declared, bytes) in [
            ("image/jpg", PNG),
            ("application/vnd.ms-excel", b"name;price"),
            ("text/plain; charset=iso-8859-1", b"BMW X5, gr\xfcn"),
            ("application/octet-stream", b"hello"),
            ("image/png", b"MZ\x90\0"),
            ("audio/opus", b"hello"),
        ] {
            let head = format!("Content-Type: {declared}\r\n");
            let form = sent(&[part_of(r#"name="file"; filename="a""#, &head, bytes)]).await;
            let stored = match form {
                Ok(UploadRequest::Stored { content_type, .. }) => Some(content_type),
                _ => None,
            };

            let body = serde_json::json!({"filename": "a", "content_type": declared, "size": 9});
            let Ok(UploadRequest::Announced { content_type, .. }) =
                announced(&body.to_string()).await
            else {
                panic!("a right body")
            };
            assert_eq!(content_type.confirmed(bytes).ok(), stored, "{declared}");
        }
    }

    #[tokio::test]
    async fn everything_that_is_wrong_with_an_announcement_is_said_at_once() {
        let kind_of = async |body: &str| {
            kinds(announced(body).await).into_iter().map(|(_, kind)| kind).collect::<Vec<_>>()
        };

        assert_eq!(kind_of("{}").await, ["missing", "missing", "missing"]);
        assert_eq!(
            kind_of(r#"{"filename":" ","content_type":"png","size":0,"public":true}"#).await,
            [
                "string_too_short",
                "string_pattern_mismatch",
                "greater_than_equal",
                "extra_forbidden"
            ]
        );

        assert_eq!(
            kind_of(r#"{"filename":1,"content_type":null,"size":104857601}"#).await,
            ["string_type", "string_type", "less_than_equal"]
        );

        assert_eq!(
            kind_of(r#"{"filename":"a","content_type":"a/b","size":-1}"#).await,
            ["int_type"]
        );

        assert_eq!(kind_of("[]").await, ["dict_type"]);
        assert_eq!(kind_of("").await, ["json_invalid"]);
    }
}

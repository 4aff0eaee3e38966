//! From a request to the file that it brings or announces: after this file nothing is a bare string
//! any more.

use bytes::Bytes;
use lambda_http::http::HeaderMap;
use lambda_http::http::header::CONTENT_TYPE;
use multer::{Field, Multipart};
use serde_json::{Map, Value};

use domain::file::{FileName, MAX_FILE_BYTES, MAX_FORM_FILE_BYTES, MediaType, SNIFFED_BYTES};
use domain::problem::{FieldError, Loc, MAX_BODY_BYTES, Refusal};

/// What somebody wants uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadRequest {
    /// A file that came with the request.
    Stored {
        /// What it is called.
        filename: FileName,
        /// What it is; its first bytes agree.
        content_type: MediaType,
        /// The file.
        bytes: Bytes,
    },
    /// A file that is to be put into the bucket without us.
    Announced {
        /// What it is called.
        filename: FileName,
        /// What it is said to be.
        content_type: MediaType,
        /// Its size in bytes, 1 to [`MAX_FILE_BYTES`].
        size: u64,
    },
}

/// What a form has beside its file: boundaries and headers.
const ROUND_THE_FILE: u64 = 64 << 10;

/// The most bytes of a body of this kind.
#[must_use]
pub fn max_body_bytes(headers: &HeaderMap) -> u64 {
    if boundary(headers).is_some() {
        MAX_FORM_FILE_BYTES + ROUND_THE_FILE
    } else {
        MAX_BODY_BYTES as u64
    }
}

/// Reads a body, `multipart/form-data` with one `file` or else JSON.
///
/// # Errors
/// [`Refusal::BodyTooLarge`] for a file that does not belong into a form, or everything that is
/// wrong.
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
        let msg = format!("Form decode error: {error}");
        Refusal::Invalid(vec![FieldError { loc: vec!["body".into()], msg, kind: "form_invalid" }])
    };
    let stream =
        futures_util::stream::once(std::future::ready(Ok::<_, std::convert::Infallible>(body)));
    let mut form = Multipart::new(stream, boundary);
    let (mut file, mut errors) = (None, Vec::new());
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        match field.name() {
            Some("file") if file.is_none() => file = Some(part(field).await.map_err(unreadable)?),
            Some("file") => errors.push(wrong("file", "Only one file may be given", "too_long")),
            other => errors.push(forbidden(other.unwrap_or_default())),
        }
    }
    let file = match file {
        None => Err(missing("file")),
        Some((_, _, bytes)) if bytes.is_empty() => {
            Err(wrong("file", "The file is empty", "too_short"))
        }
        Some((_, _, bytes)) if bytes.len() as u64 > MAX_FORM_FILE_BYTES => {
            return Err(Refusal::BodyTooLarge { most: MAX_FORM_FILE_BYTES });
        }
        Some((filename, declared, bytes)) => {
            let named = declared.clone();
            declared
                .confirmed(&bytes[..bytes.len().min(SNIFFED_BYTES)])
                .map(|found| (filename, found, bytes))
                .map_err(|found| {
                    wrong(
                        "file",
                        format!("Declared as {named}, and is {found}"),
                        "content_type_mismatch",
                    )
                })
        }
    };
    match file {
        Ok((filename, content_type, bytes)) if errors.is_empty() => {
            Ok(UploadRequest::Stored { filename, content_type, bytes })
        }
        file => Err(Refusal::Invalid(file.err().into_iter().chain(errors).collect())),
    }
}

/// A part's name, type and bytes. One without a type is taken for what its bytes tell.
async fn part(field: Field<'_>) -> Result<(FileName, MediaType, Bytes), multer::Error> {
    let filename = FileName::new(field.file_name().unwrap_or_default());
    let declared =
        field.content_type().and_then(|declared| MediaType::parse(declared.essence_str()));
    let declared = declared.unwrap_or_else(MediaType::unknown);
    Ok((filename, declared, field.bytes().await?))
}

const FIELDS: [&str; 3] = ["filename", "content_type", "size"];

fn announcement(body: &[u8]) -> Result<UploadRequest, Vec<FieldError>> {
    let fields = match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(vec![at(&[], "Input should be a valid dictionary", "dict_type")]),
        Err(error) => {
            let msg = format!("JSON decode error: {error}");
            return Err(vec![at(&[error.column().into()], msg, "json_invalid")]);
        }
    };
    let (filename, content_type, size) = (filename(&fields), content_type(&fields), size(&fields));
    let unknown: Vec<_> = fields.keys().filter(|name| !FIELDS.contains(&name.as_str())).collect();
    match (filename, content_type, size) {
        (Ok(filename), Ok(content_type), Ok(size)) if unknown.is_empty() => {
            Ok(UploadRequest::Announced { filename, content_type, size })
        }
        (filename, content_type, size) => {
            let errors = [filename.err(), content_type.err(), size.err()].into_iter().flatten();
            Err(errors.chain(unknown.into_iter().map(|name| forbidden(name))).collect())
        }
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, FieldError> {
    let value = fields.get(name).ok_or_else(|| missing(name))?;
    value.as_str().ok_or_else(|| wrong(name, "Input should be a valid string", "string_type"))
}

fn filename(fields: &Map<String, Value>) -> Result<FileName, FieldError> {
    let text = text(fields, "filename")?;
    if text.trim().is_empty() {
        return Err(wrong("filename", "String should not be blank", "string_too_short"));
    }
    Ok(FileName::new(text))
}

fn content_type(fields: &Map<String, Value>) -> Result<MediaType, FieldError> {
    let text = text(fields, "content_type")?;
    let wrong = || {
        wrong(
            "content_type",
            "Input should be a media type such as image/png",
            "string_pattern_mismatch",
        )
    };
    MediaType::parse(text).ok_or_else(wrong)
}

fn size(fields: &Map<String, Value>) -> Result<u64, FieldError> {
    let value = fields.get("size").ok_or_else(|| missing("size"))?;
    match value.as_u64() {
        Some(size @ 1..=MAX_FILE_BYTES) => Ok(size),
        Some(0) => {
            Err(wrong("size", "Input should be greater than or equal to 1", "greater_than_equal"))
        }
        Some(_) => Err(wrong(
            "size",
            format!("Input should be less than or equal to {MAX_FILE_BYTES}"),
            "less_than_equal",
        )),
        None => Err(wrong("size", "Input should be a valid integer", "int_type")),
    }
}

fn at(path: &[Loc], msg: impl Into<String>, kind: &'static str) -> FieldError {
    let loc = std::iter::once("body".into()).chain(path.iter().cloned()).collect();
    FieldError { loc, msg: msg.into(), kind }
}

fn wrong(name: &str, msg: impl Into<String>, kind: &'static str) -> FieldError {
    at(&[name.into()], msg, kind)
}

fn missing(name: &str) -> FieldError {
    wrong(name, "Field required", "missing")
}

fn forbidden(name: &str) -> FieldError {
    wrong(name, "Extra inputs are not permitted", "extra_forbidden")
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
        let bare = part_of(r#"name="file""#, "", PNG);
        let Ok(UploadRequest::Stored { filename, content_type, .. }) = sent(&[bare]).await else {
            panic!("a right form")
        };
        assert_eq!((filename.as_str(), content_type.as_str()), ("file", "image/png"));
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

    #[tokio::test]
    async fn a_file_of_exactly_the_limit_belongs_into_a_form() {
        let text = |size: u64| vec![b'x'; usize::try_from(size).expect("a size")];
        let file = |size| {
            part_of(r#"name="file"; filename="a""#, "Content-Type: text/plain\r\n", &text(size))
        };
        assert!(matches!(
            sent(&[file(MAX_FORM_FILE_BYTES)]).await,
            Ok(UploadRequest::Stored { .. })
        ));
        let refused = sent(&[file(MAX_FORM_FILE_BYTES + 1)]).await;
        assert_eq!(refused, Err(Refusal::BodyTooLarge { most: MAX_FORM_FILE_BYTES }));
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
            ("a.mp4", "video/mp4", MAX_FILE_BYTES)
        );
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

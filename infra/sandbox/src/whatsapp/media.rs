//! Uploaded files, with the Cloud API's checks. The sandbox keeps a file's size and digest, for as
//! long as it runs.
//!
//! Types and sizes:
//! <https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types>.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use multer::Multipart;
use sha2::{Digest, Sha256};

use super::error::{Error, missing};
use crate::fault::Faults;

/// Largest upload in bytes: the largest file, the form around it, and some more, to be refused
/// here.
pub(crate) const MEDIA_LIMIT: usize = 104 << 20;

/// The kinds of message that carry a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Video,
    Audio,
    Document,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Image => "image",
            Kind::Video => "video",
            Kind::Audio => "audio",
            Kind::Document => "document",
        }
    }

    /// Largest file of its kind, in bytes.
    fn limit(self) -> usize {
        match self {
            Kind::Image => 5 << 20,
            Kind::Video | Kind::Audio => 16 << 20,
            Kind::Document => 100 << 20,
        }
    }
}

const TYPES: [(&str, Kind); 17] = [
    ("image/jpeg", Kind::Image),
    ("image/png", Kind::Image),
    ("video/mp4", Kind::Video),
    ("video/3gpp", Kind::Video),
    ("audio/aac", Kind::Audio),
    ("audio/amr", Kind::Audio),
    ("audio/mpeg", Kind::Audio),
    ("audio/mp4", Kind::Audio),
    ("audio/ogg; codecs=opus", Kind::Audio),
    ("text/plain", Kind::Document),
    ("application/pdf", Kind::Document),
    ("application/msword", Kind::Document),
    ("application/vnd.ms-excel", Kind::Document),
    ("application/vnd.ms-powerpoint", Kind::Document),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", Kind::Document),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", Kind::Document),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", Kind::Document),
];

/// A file that was uploaded.
#[derive(Debug, Clone)]
pub(super) struct MediaFile {
    pub(super) kind: Kind,
    pub(super) content_type: String,
    pub(super) size: usize,
    pub(super) sha256: String,
}

/// The uploaded files, by number and id.
#[derive(Debug, Default)]
pub(crate) struct Media {
    /// The fault of uploads that is in force.
    pub(crate) faults: Faults,
    stored: Mutex<HashMap<(String, String), MediaFile>>,
}

impl Media {
    /// Checks an upload, keeps it and returns its id.
    pub(super) async fn store(
        &self,
        number: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<String, Error> {
        let stored = read(headers, body).await?;
        let id = rand::random_range(1_000_000_000_000_000_u64..9_999_999_999_999_999).to_string();
        let mut all = self.stored.lock().expect("nothing panics while it holds this lock");
        all.insert((number.to_owned(), id.clone()), stored);
        Ok(id)
    }

    /// Returns the file that was uploaded for the number under this id.
    pub(super) fn find(&self, number: &str, id: &str) -> Option<MediaFile> {
        let all = self.stored.lock().expect("nothing panics while it holds this lock");
        all.get(&(number.to_owned(), id.to_owned())).cloned()
    }
}

async fn read(headers: &HeaderMap, body: Bytes) -> Result<MediaFile, Error> {
    let unreadable =
        |error: multer::Error| Error::new(100, format!("The body is no form: {error}."));
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();

    let boundary = multer::parse_boundary(content_type).map_err(unreadable)?;
    let stream = futures_util::stream::once(std::future::ready(Ok::<_, Infallible>(body)));
    let mut form = Multipart::new(stream, boundary);
    let (mut product, mut declared, mut file) = (None, None, None);

    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        match field.name() {
            Some("messaging_product") => product = Some(field.text().await.map_err(unreadable)?),
            Some("type") => declared = Some(field.text().await.map_err(unreadable)?),
            Some("file") => {
                let kind = field.content_type().map(|kind| kind.to_string()).unwrap_or_default();
                let named = field.file_name().is_some_and(|name| !name.is_empty());
                file = Some((kind, named, field.bytes().await.map_err(unreadable)?));
            }
            other => {
                return Err(Error::new(
                    100,
                    format!("Unexpected parameter '{}'.", other.unwrap_or_default()),
                ));
            }
        }
    }

    if product.as_deref() != Some("whatsapp") {
        return Err(Error::new(100, "The parameter messaging_product is required."));
    }

    let declared = declared.ok_or_else(|| missing("type"))?;
    // A field without a file name is a text, as a browser sends one.
    let (kind, _, bytes) = file.filter(|(_, named, _)| *named).ok_or_else(|| missing("file"))?;
    if kind != declared {
        return Err(Error::new(
            131009,
            format!("Parameter 'type' is '{declared}', the file's own type '{kind}'."),
        ));
    }

    check_file(kind, &bytes)
}

fn check_file(content_type: String, bytes: &[u8]) -> Result<MediaFile, Error> {
    let Some((_, kind)) = TYPES.into_iter().find(|(known, _)| *known == content_type) else {
        let known = TYPES.map(|(known, _)| known).join(", ");
        let sentence = format!(
            "Param file must be a file with one of the following types: {known}. Received file of type '{content_type}'."
        );
        return Err(Error::new(100, sentence));
    };

    if bytes.is_empty() {
        return Err(Error::new(131053, "The file is empty."));
    }

    if bytes.len() > kind.limit() {
        let sentence = format!(
            "A {} of {} bytes; at most {} are taken.",
            kind.name(),
            bytes.len(),
            kind.limit()
        );
        return Err(Error::new(131053, sentence));
    }

    Ok(MediaFile {
        kind,
        content_type,
        size: bytes.len(),
        sha256: hex::encode(Sha256::digest(bytes)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "106540352242922";

    fn form(fields: &[(&str, &str, &str)]) -> (HeaderMap, Bytes) {
        let field = |(name, kind, value): &(&str, &str, &str)| match *kind {
            "" => {
                format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            }
            kind => format!(
                "--x\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a\"\r\nContent-Type: {kind}\r\n\r\n{value}\r\n"
            ),
        };
        let body = fields.iter().map(field).collect::<String>() + "--x--\r\n";
        let headers = [(header::CONTENT_TYPE, "multipart/form-data; boundary=x".parse().unwrap())];
        (headers.into_iter().collect(), body.into())
    }

    async fn taken(fields: &[(&str, &str, &str)]) -> Result<MediaFile, (u32, String)> {
        let media = Media::default();
        let (headers, body) = form(fields);
        let id = media
            .store(NUMBER, &headers, body)
            .await
            .map_err(|error| (error.code, error.details))?;
        assert!(media.find("1", &id).is_none(), "an id is good for its own number");
        Ok(media.find(NUMBER, &id).unwrap())
    }

    #[tokio::test]
    async fn a_file_is_taken_with_its_type_and_its_bytes() {
        let product = ("messaging_product", "", "whatsapp");
        let stored = taken(&[product, ("type", "", "image/png"), ("file", "image/png", "abc")])
            .await
            .unwrap();
        assert_eq!(
            (stored.kind, stored.content_type.as_str(), stored.size),
            (Kind::Image, "image/png", 3)
        );
        assert_eq!(stored.sha256, hex::encode(Sha256::digest("abc")));
    }

    #[tokio::test]
    async fn what_is_wrong_is_refused_with_its_code_and_its_name() {
        let product = ("messaging_product", "", "whatsapp");
        let kind = ("type", "", "image/png");
        let large = "x".repeat((5 << 20) + 1);

        for (fields, code, named) in [
            (vec![kind, ("file", "image/png", "abc")], 100, "messaging_product"),
            (
                vec![("messaging_product", "", "sms"), kind, ("file", "image/png", "abc")],
                100,
                "messaging_product",
            ),
            (vec![product, ("file", "image/png", "abc")], 131008, "type"),
            (vec![product, kind], 131008, "file"),
            (vec![product, kind, ("file", "", "abc")], 131008, "file"),
            (vec![product, kind, ("file", "image/jpeg", "abc")], 131009, "image/jpeg"),
            (
                vec![product, ("type", "", "image/webp"), ("file", "image/webp", "abc")],
                100,
                "image/webp",
            ),
            // "OPUS codecs only; base audio/ogg not supported"
            (
                vec![product, ("type", "", "audio/ogg"), ("file", "audio/ogg", "abc")],
                100,
                "'audio/ogg'",
            ),
            (vec![product, kind, ("file", "image/png", "")], 131053, "empty"),
            (vec![product, kind, ("file", "image/png", &large)], 131053, "5242881"),
            (
                vec![
                    product,
                    kind,
                    ("file", "image/png", "abc"),
                    ("link", "", "https://a.example"),
                ],
                100,
                "link",
            ),
        ] {
            let (given, details) = taken(&fields).await.unwrap_err();
            assert_eq!(given, code, "{details}");
            assert!(details.contains(named), "{details} does not name {named}");
        }

        let unreadable = Media::default().store(NUMBER, &HeaderMap::new(), Bytes::new()).await;
        assert_eq!(unreadable.unwrap_err().code, 100);
    }
}

//! The bucket of files that go with messages.
//!
//! An object is tagged `state=pending` when it is made, and `state=referenced` before the first
//! message with it is accepted; the bucket's rules delete by tag and age. S3 can tell objects apart
//! by prefix, tag or size, so the other way were a prefix, and to copy the object out of it: the
//! same price a request, but every byte of it would be moved while somebody waits. A tag is one
//! small call whatever the size, once per file, and costs a millionth of a dollar a month
//! ([pricing](https://aws.amazon.com/s3/pricing/)).

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Tag, Tagging};
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::aws::Aws;
use crate::error::InternalError;
use crate::settings::{self, SettingError};
use domain::file::{FileName, MediaType, SNIFFED_BYTES};
use domain::{BusinessId, ConversationId, UploadId};

/// How long an announced file may take to begin arriving.
pub const UPLOAD_URL_TTL: Duration = Duration::from_secs(15 * 60);

/// How long the address behind a file's URL is good. A browser that plays a film comes back for
/// more of it.
const DOWNLOAD_URL_TTL: Duration = Duration::from_secs(5 * 60);

const PENDING: &str = "state=pending";

/// An object's place: its key is made here and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectKey {
    /// Whose file.
    pub business: BusinessId,
    /// For which conversation's messages.
    pub conversation: ConversationId,
    /// Which upload.
    pub upload: UploadId,
}

impl ObjectKey {
    fn key(self) -> String {
        format!("{}/{}/{}", self.business, self.conversation, self.upload)
    }
}

/// How to put a file into the bucket, without us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignedUpload {
    /// The method, `PUT`.
    pub method: String,
    /// Where to.
    pub url: String,
    /// The headers to send, all of them as they are: they are signed.
    pub headers: Vec<(String, String)>,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its size in bytes.
    pub size: u64,
    /// Its first bytes.
    pub head: Bytes,
}

/// The bucket.
#[derive(Debug, Clone)]
pub struct Files {
    client: Client,
    bucket: String,
}

impl Files {
    /// Reads `ATTACHMENTS_BUCKET`.
    ///
    /// # Errors
    /// The variable that is missing.
    pub fn from_env(aws: &Aws) -> Result<Files, SettingError> {
        Ok(Files { client: client(aws), bucket: settings::required("ATTACHMENTS_BUCKET")? })
    }

    /// Puts a file there.
    ///
    /// # Errors
    /// If S3 does not take it.
    pub async fn store(
        &self,
        place: ObjectKey,
        content_type: &MediaType,
        bytes: Bytes,
    ) -> Result<(), InternalError> {
        let call = self.client.put_object().bucket(&self.bucket).key(place.key()).tagging(PENDING);
        let call = call.content_type(content_type.as_str()).body(ByteStream::from(bytes));
        call.send().await.map(drop).map_err(|error| InternalError::aws("PutObject", error))
    }

    /// Lets somebody put a file of this type and size there, once: a file that was looked at must
    /// not become another one. (`If-None-Match` and the tag are signed with the rest; [conditional
    /// writes](https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).)
    ///
    /// # Errors
    /// If it cannot be signed.
    pub async fn presign_upload(
        &self,
        place: ObjectKey,
        content_type: &MediaType,
        size: u64,
    ) -> Result<PresignedUpload, InternalError> {
        let size = i64::try_from(size)
            .map_err(|error| InternalError::because("signing an upload", error))?;
        let call = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(place.key())
            .tagging(PENDING)
            .if_none_match("*");
        let call = call.content_type(content_type.as_str()).content_length(size);
        let signed = call
            .presigned(valid_for(UPLOAD_URL_TTL)?)
            .await
            .map_err(|error| InternalError::aws("PutObject", error))?;
        Ok(presigned_upload(&signed))
    }

    /// Looks at what has arrived, if anything has. One ranged `GetObject` tells what `HeadObject`
    /// would, and the first bytes as well, of one and the same object.
    ///
    /// # Errors
    /// If S3 does not answer.
    pub async fn inspect(&self, place: ObjectKey) -> Result<Option<StoredObject>, InternalError> {
        let range = format!("bytes=0-{}", SNIFFED_BYTES - 1);
        let call = self.client.get_object().bucket(&self.bucket).key(place.key()).range(range);
        let output = match call.send().await {
            Ok(output) => output,
            Err(error) => return absent(error),
        };
        let size = whole_size(&output).ok_or_else(|| {
            InternalError::new("reading the size of an object out of S3's answer")
        })?;
        let body = output
            .body
            .collect()
            .await
            .map_err(|error| InternalError::because("reading an object", error))?;
        Ok(Some(StoredObject { size, head: body.into_bytes() }))
    }

    /// The whole file; `None` if it is not there any more.
    ///
    /// # Errors
    /// If S3 does not answer.
    pub async fn read(&self, place: ObjectKey) -> Result<Option<Bytes>, InternalError> {
        let output =
            match self.client.get_object().bucket(&self.bucket).key(place.key()).send().await {
                Ok(output) => output,
                Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
                Err(error) => return Err(InternalError::aws("GetObject", error)),
            };
        let body = output
            .body
            .collect()
            .await
            .map_err(|error| InternalError::because("reading an object", error))?;
        Ok(Some(body.into_bytes()))
    }

    /// Has a file kept, for a message is about to reference it; false if it is not there any more.
    ///
    /// # Errors
    /// If S3 does not answer.
    pub async fn mark_referenced(&self, place: ObjectKey) -> Result<bool, InternalError> {
        let tag =
            Tag::builder().key("state").value("referenced").build().expect("key and value are set");
        let tags = Tagging::builder().tag_set(tag).build().expect("a tag is set");
        let call =
            self.client.put_object_tagging().bucket(&self.bucket).key(place.key()).tagging(tags);
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(false),
            Err(error) => Err(InternalError::aws("PutObjectTagging", error)),
        }
    }

    /// An address under which anybody can read the file for some minutes. What a browser makes of
    /// it is fixed: nothing that could run is shown, and the file is what we know it to be.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub async fn presign_download(
        &self,
        place: ObjectKey,
        name: &FileName,
        content_type: &MediaType,
    ) -> Result<String, InternalError> {
        let call = self.client.get_object().bucket(&self.bucket).key(place.key());
        let call = call.response_content_type(content_type.as_str());
        let call = call.response_content_disposition(disposition(name, content_type));
        let signed = call
            .presigned(valid_for(DOWNLOAD_URL_TTL)?)
            .await
            .map_err(|error| InternalError::aws("GetObject", error))?;
        Ok(signed.uri().to_owned())
    }
}

/// Without checksums: what is presigned has no bytes yet, of which there could be one.
fn client(aws: &Aws) -> Client {
    let config = aws_sdk_s3::config::Builder::from(&aws.service("S3"));
    Client::from_conf(
        config.request_checksum_calculation(RequestChecksumCalculation::WhenRequired).build(),
    )
}

fn valid_for(time: Duration) -> Result<PresigningConfig, InternalError> {
    PresigningConfig::expires_in(time)
        .map_err(|error| InternalError::because("signing an address", error))
}

/// The request, with those of its headers that are signed: the SDK adds our own trace to it as
/// well, which is nobody else's.
fn presigned_upload(request: &PresignedRequest) -> PresignedUpload {
    let signed = request.uri().split_once("X-Amz-SignedHeaders=").map_or("", |(_, rest)| rest);
    let signed: Vec<&str> = signed.split('&').next().unwrap_or_default().split("%3B").collect();
    let headers = request.headers().filter(|(name, _)| signed.contains(name));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    PresignedUpload { method: request.method().to_owned(), url: request.uri().to_owned(), headers }
}

fn absent<R: std::fmt::Debug + Send + Sync + 'static>(
    error: SdkError<GetObjectError, R>,
) -> Result<Option<StoredObject>, InternalError> {
    match error.code() {
        Some("NoSuchKey") => Ok(None),
        // There is no first byte of an empty file.
        Some("InvalidRange") => Ok(Some(StoredObject { size: 0, head: Bytes::new() })),
        _ => Err(InternalError::aws("GetObject", error)),
    }
}

/// `Content-Range: bytes 0-8191/20000`.
fn whole_size(output: &GetObjectOutput) -> Option<u64> {
    output.content_range()?.rsplit_once('/')?.1.parse().ok()
}

/// The name in the one form that can carry every letter
/// ([RFC 6266 §4.3](https://www.rfc-editor.org/rfc/rfc6266#section-4.3)).
fn disposition(name: &FileName, content_type: &MediaType) -> String {
    let shown = if content_type.shows_inline() { "inline" } else { "attachment" };
    format!("{shown}; filename*=UTF-8''{}", utf8_percent_encode(name.as_str(), NON_ALPHANUMERIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ticket_says_what_is_signed_and_nothing_else() {
        let credentials = aws_sdk_s3::config::Credentials::new("key", "secret", None, None, "test");
        let aws = Aws::new("eu-central-1".to_owned(), credentials);
        let files = Files { client: client(&aws), bucket: "files".to_owned() };
        let id = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse::<uuid::Uuid>().expect("a UUID");
        let place = ObjectKey {
            business: BusinessId(id),
            conversation: ConversationId(id),
            upload: UploadId(id),
        };
        let content_type = MediaType::parse("video/mp4").expect("a type");
        let presigned_upload = files.presign_upload(place, &content_type, 9).await.expect("signed");
        let names: Vec<&str> =
            presigned_upload.headers.iter().map(|(name, _)| name.as_str()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ["content-length", "content-type", "if-none-match", "x-amz-tagging"]);
        let host = "https://files.s3.eu-central-1.amazonaws.com/";
        assert!(
            presigned_upload.url.starts_with(host),
            "at AWS the bucket is in the host's name: {}",
            presigned_upload.url
        );
    }

    #[test]
    fn a_browser_is_told_what_to_do_with_a_file() {
        let told = |name: &str, kind: &str| {
            disposition(&FileName::new(name), &MediaType::parse(kind).expect("a type"))
        };
        assert_eq!(told("Bild 1.png", "image/png"), "inline; filename*=UTF-8''Bild%201%2Epng");
        assert_eq!(told("é\".html", "text/html"), "attachment; filename*=UTF-8''%C3%A9%22%2Ehtml");
    }
}

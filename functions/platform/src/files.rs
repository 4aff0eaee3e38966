//! The bucket of files that go with messages.
//!
//! An object is tagged `state=pending` when it is made, and `state=referenced` once the first
//! message with it is accepted; the bucket's rules delete by tag and age. S3 can tell objects apart
//! by prefix, tag or size, so the other way were a prefix, and to copy the object out of it: the
//! same price a request, but every byte would be moved while the caller waits. A tag is one small
//! call whatever the size, once per file, and costs a millionth of a dollar a month
//! ([pricing](https://aws.amazon.com/s3/pricing/)).

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, StalledStreamProtectionConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{Tag, Tagging};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::aws::{Aws, LazyClient};
use crate::error::InternalError;
use crate::settings::{self, SettingError};
use domain::file::{FileName, MediaType, SNIFFED_BYTES};
use domain::{BusinessId, ConversationId, UploadId};

/// How long an announced file may take to begin arriving.
pub const UPLOAD_URL_TTL: Duration = Duration::from_secs(15 * 60);

/// How long the address behind a file's URL is good. A browser that plays a film requests it
/// several times.
pub const DOWNLOAD_URL_TTL: Duration = Duration::from_secs(5 * 60);

/// How long a file may stand still while it is read or written, the SDK's own default.
const STALLED_STREAM_GRACE: Duration = Duration::from_secs(5);

const PENDING: &str = "state=pending";

/// An object's key, which is made here and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectKey {
    /// The file's business.
    pub business_id: BusinessId,
    /// The conversation whose messages may carry the file.
    pub conversation_id: ConversationId,
    /// The upload.
    pub upload: UploadId,
}

impl ObjectKey {
    fn path(self) -> String {
        format!("{}/{}/{}", self.business_id, self.conversation_id, self.upload)
    }
}

/// `Content-Encoding` of a file that is read: none. S3 can replace a value, and not remove it.
const SERVED_CONTENT_ENCODING: &str = "identity";

/// `Content-Language` of a file that is read:
/// [undetermined](https://www.rfc-editor.org/rfc/rfc5646#section-2.2.1).
const SERVED_CONTENT_LANGUAGE: &str = "und";

/// A presigned request that puts a file into the bucket directly.
#[derive(Clone, PartialEq, Eq)]
pub struct PresignedUpload {
    /// The method, `PUT`.
    pub method: String,
    /// The address to send it to.
    pub url: String,
    /// The headers to send, all of them as they are: they are signed.
    pub headers: Vec<(String, String)>,
}

/// A file in the bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its size in bytes.
    pub size: u64,
    /// Its first bytes.
    pub head: Bytes,
}

/// The bucket.
#[derive(Debug, Clone)]
pub struct Files {
    client: LazyClient<Client>,
    bucket: String,
}

impl Files {
    /// Reads `ATTACHMENTS_BUCKET`.
    ///
    /// # Errors
    /// The variable that is missing.
    pub fn from_env(aws: &Aws) -> Result<Files, SettingError> {
        Ok(Files::named(aws, settings::required("ATTACHMENTS_BUCKET")?))
    }

    /// The bucket of this name.
    #[must_use]
    pub fn named(aws: &Aws, bucket: String) -> Files {
        Files { client: client(aws), bucket }
    }

    /// Stores a file.
    ///
    /// # Errors
    /// If S3 does not take it.
    pub async fn store(
        &self,
        key: ObjectKey,
        content_type: &MediaType,
        bytes: Bytes,
    ) -> Result<(), InternalError> {
        let call = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key.path())
            .tagging(PENDING)
            .content_type(content_type.as_str())
            .body(ByteStream::from(bytes));
        call.send().await.map(drop).map_err(|error| InternalError::aws("PutObject", error))
    }

    /// Presigns an upload of one file of this type and size. It works once, because a file that was
    /// inspected must not become another one. (`If-None-Match` and the tag are signed with the
    /// rest; [conditional
    /// writes](https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).)
    ///
    /// # Errors
    /// If it cannot be signed.
    pub async fn presign_upload(
        &self,
        key: ObjectKey,
        content_type: &MediaType,
        size: u64,
    ) -> Result<PresignedUpload, InternalError> {
        let size = i64::try_from(size)
            .map_err(|error| InternalError::because("signing an upload", error))?;
        let call = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key.path())
            .tagging(PENDING)
            .if_none_match("*")
            .content_type(content_type.as_str())
            .content_length(size);

        let signed = call
            .presigned(valid_for(UPLOAD_URL_TTL)?)
            .await
            .map_err(|error| InternalError::aws("PutObject", error))?;

        Ok(presigned_upload(&signed))
    }

    /// Returns the size and the first bytes of a file, if it has arrived. One ranged `GetObject`
    /// tells what `HeadObject` would, and the first bytes as well, of one and the same object.
    ///
    /// # Errors
    /// If S3 does not answer, or with fewer bytes than it was asked for.
    pub async fn inspect(&self, key: ObjectKey) -> Result<Option<StoredObject>, InternalError> {
        let range = format!("bytes=0-{}", SNIFFED_BYTES - 1);
        let call = self.client.get_object().bucket(&self.bucket).key(key.path()).range(range);
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

        let head = body.into_bytes();
        match head.len() as u64 == size.min(SNIFFED_BYTES as u64) {
            true => Ok(Some(StoredObject { size, head })),
            false => {
                Err(InternalError::new("reading the first bytes of an object: some are missing"))
            }
        }
    }

    /// Returns whether a file is there.
    ///
    /// # Errors
    /// If S3 does not answer.
    pub async fn exists(&self, key: ObjectKey) -> Result<bool, InternalError> {
        let call = self.client.head_object().bucket(&self.bucket).key(key.path());
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("NotFound") => Ok(false),
            Err(error) => Err(InternalError::aws("HeadObject", error)),
        }
    }

    /// Returns the whole file, of `size` bytes; `None` if it is not there any more.
    ///
    /// # Errors
    /// If S3 does not answer, or with another number of bytes: a file never changes once a message
    /// has it, so the answer was spoilt on its way.
    pub async fn read(&self, key: ObjectKey, size: u64) -> Result<Option<Bytes>, InternalError> {
        let output =
            match self.client.get_object().bucket(&self.bucket).key(key.path()).send().await {
                Ok(output) => output,
                Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
                Err(error) => return Err(InternalError::aws("GetObject", error)),
            };
        let body = output
            .body
            .collect()
            .await
            .map_err(|error| InternalError::because("reading an object", error))?;

        let bytes = body.into_bytes();
        match bytes.len() as u64 == size {
            true => Ok(Some(bytes)),
            false => {
                Err(InternalError::new("reading an object that has another size than its file"))
            }
        }
    }

    /// Marks a file as referenced, so that the bucket keeps it; returns false if it is not there
    /// any more.
    ///
    /// # Errors
    /// If S3 does not answer.
    pub async fn mark_referenced(&self, key: ObjectKey) -> Result<bool, InternalError> {
        let tag =
            Tag::builder().key("state").value("referenced").build().expect("key and value are set");
        let tags = Tagging::builder().tag_set(tag).build().expect("a tag is set");
        let call =
            self.client.put_object_tagging().bucket(&self.bucket).key(key.path()).tagging(tags);
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(false),
            Err(error) => Err(InternalError::aws("PutObjectTagging", error)),
        }
    }

    /// Deletes the files of a conversation but those to keep; returns how many it deleted.
    ///
    /// # Errors
    /// If S3 does not answer.
    pub async fn delete_all(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        to_keep: &BTreeSet<UploadId>,
    ) -> Result<usize, InternalError> {
        let path =
            |upload: &UploadId| ObjectKey { business_id, conversation_id, upload: *upload }.path();
        let kept: BTreeSet<String> = to_keep.iter().map(path).collect();
        let list = self.client.list_objects_v2().bucket(&self.bucket);
        let list = list.prefix(format!("{business_id}/{conversation_id}/"));

        let mut pages = list.into_paginator().send();
        let mut deleted = 0;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| InternalError::aws("ListObjectsV2", error))?;
            let keys = page.contents.into_iter().flatten().filter_map(|object| object.key);
            for key in keys.filter(|key| !kept.contains(key)) {
                let call = self.client.delete_object().bucket(&self.bucket).key(key);
                let answer = call.send().await;
                answer.map_err(|error| InternalError::aws("DeleteObject", error))?;
                deleted += 1;
            }
        }

        Ok(deleted)
    }

    /// Presigns a download, an address that is good for some minutes. Type and disposition are
    /// fixed, so that a browser never shows a file that could run.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub async fn presign_download(
        &self,
        key: ObjectKey,
        name: &FileName,
        content_type: &MediaType,
    ) -> Result<String, InternalError> {
        let call = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key.path())
            .response_content_type(content_type.as_str())
            .response_content_disposition(disposition(name, content_type))
            .response_cache_control(served_cache_control())
            .response_content_encoding(SERVED_CONTENT_ENCODING)
            .response_content_language(SERVED_CONTENT_LANGUAGE)
            .response_expires(served_expires());
        let signed = call
            .presigned(valid_for(DOWNLOAD_URL_TTL)?)
            .await
            .map_err(|error| InternalError::aws("GetObject", error))?;
        Ok(signed.uri().to_owned())
    }

    /// Presigns a `HEAD` of a download, with the same headers; the signature covers the method.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub async fn presign_head(
        &self,
        key: ObjectKey,
        name: &FileName,
        content_type: &MediaType,
    ) -> Result<String, InternalError> {
        let call = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(key.path())
            .response_content_type(content_type.as_str())
            .response_content_disposition(disposition(name, content_type))
            .response_cache_control(served_cache_control())
            .response_content_encoding(SERVED_CONTENT_ENCODING)
            .response_content_language(SERVED_CONTENT_LANGUAGE)
            .response_expires(served_expires());
        let signed = call
            .presigned(valid_for(DOWNLOAD_URL_TTL)?)
            .await
            .map_err(|error| InternalError::aws("HeadObject", error))?;
        Ok(signed.uri().to_owned())
    }
}

/// Returns `Cache-Control` of a file that is read: as long as its address is good, and in no shared
/// cache.
///
/// S3 keeps the headers that a `PUT` brings and its signature does not cover; it refuses only those
/// whose names begin with `x-amz-`. A presigned read replaces [all
/// six](https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html#API_GetObject_RequestParameters)
/// that it serves, so that nothing of the uploader's is among them.
fn served_cache_control() -> String {
    format!("private, max-age={}", DOWNLOAD_URL_TTL.as_secs())
}

/// Returns `Expires` of a file that is read. It counts for nothing beside `Cache-Control` ([RFC
/// 9111 §5.3](https://www.rfc-editor.org/rfc/rfc9111#section-5.3)).
fn served_expires() -> DateTime {
    DateTime::from_secs(0)
}

/// Makes a client without checksums: a presigned upload has no bytes yet to sum up. A file is read
/// after the call that gets it has ended, with its timeouts: only the protection against stalled
/// streams watches over that.
fn client(aws: &Aws) -> LazyClient<Client> {
    let stalled_streams =
        StalledStreamProtectionConfig::enabled().grace_period(STALLED_STREAM_GRACE).build();
    let config = aws_sdk_s3::config::Builder::from(&aws.service("S3"))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .stalled_stream_protection(stalled_streams);
    LazyClient::new(|| Client::from_conf(config.build()))
}

fn valid_for(time: Duration) -> Result<PresigningConfig, InternalError> {
    PresigningConfig::expires_in(time)
        .map_err(|error| InternalError::because("signing an address", error))
}

/// Returns the request with only those of its headers that are signed: the SDK also adds our trace,
/// which is of no use to others.
fn presigned_upload(request: &PresignedRequest) -> PresignedUpload {
    let list = request.uri().split_once("X-Amz-SignedHeaders=").map_or("", |(_, rest)| rest);
    let signed: Vec<&str> = list.split('&').next().unwrap_or_default().split("%3B").collect();
    let headers = request
        .headers()
        .filter(|(name, _)| signed.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    PresignedUpload { method: request.method().to_owned(), url: request.uri().to_owned(), headers }
}

fn absent(
    error: SdkError<GetObjectError, HttpResponse>,
) -> Result<Option<StoredObject>, InternalError> {
    match error.code() {
        Some("NoSuchKey") => Ok(None),
        // An empty file has no first byte.
        Some("InvalidRange") => Ok(Some(StoredObject { size: 0, head: Bytes::new() })),
        _ => Err(InternalError::aws("GetObject", error)),
    }
}

/// Reads the whole size from `Content-Range: bytes 0-16383/20000`.
fn whole_size(output: &GetObjectOutput) -> Option<u64> {
    output.content_range()?.rsplit_once('/')?.1.parse().ok()
}

/// Returns the `Content-Disposition` with the file's name, in the one form that carries every
/// letter ([RFC 6266 §4.3](https://www.rfc-editor.org/rfc/rfc6266#section-4.3)).
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
        let key = ObjectKey {
            business_id: BusinessId(id),
            conversation_id: ConversationId(id),
            upload: UploadId(id),
        };

        let content_type = MediaType::parse("video/mp4").expect("a type");
        let presigned_upload = files.presign_upload(key, &content_type, 9).await.expect("signed");
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
        let disposition_of = |name: &str, kind: &str| {
            disposition(&FileName::new(name), &MediaType::parse(kind).expect("a type"))
        };
        assert_eq!(
            disposition_of("Bild 1.png", "image/png"),
            "inline; filename*=UTF-8''Bild%201%2Epng"
        );
        assert_eq!(
            disposition_of("é\".html", "text/html"),
            "attachment; filename*=UTF-8''%C3%A9%22%2Ehtml"
        );
    }
}

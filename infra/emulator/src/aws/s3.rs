//! The embedded S3 with the template's bucket: s3s speaks the protocol and checks every signature,
//! s3s-fs keeps the objects in files. This adds what both lack: tags, the check of unsigned
//! headers, and expiration.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use chrono::{DateTime, Days, NaiveTime, Utc};
use http::request::Parts;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{
    BucketName, DeleteObjectInput, DeleteObjectOutput, GetObjectInput, GetObjectOutput,
    GetObjectTaggingInput, GetObjectTaggingOutput, HeadObjectInput, HeadObjectOutput,
    ListBucketsInput, ListBucketsOutput, ListObjectsV2Input, ListObjectsV2Output, ObjectKey,
    PutObjectInput, PutObjectOutput, PutObjectTaggingInput, PutObjectTaggingOutput, Tag,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use s3s_fs::FileSystem;

use super::answer::{self, Answer};
use super::call::bucket_and_key;
use super::error::AwsError;
use crate::template::{Bucket, Expiration};

/// The secret access key of all callers; access keys tell the workers apart.
const SECRET: &str = "local";
/// The access key that `sam local` gives to functions where it finds no credentials
/// (`EnvironmentVariables` in its source).
const SAMS_ACCESS_KEY: &str = "defaultkey";
/// The secret of that key.
const SAMS_SECRET: &str = "defaultsecret";

/// S3, and the bucket in it.
pub(super) struct EmbeddedS3 {
    pub(super) bucket: Bucket,
    service: S3Service,
    storage: Storage,
}

/// The directories of objects and tags; temporary unless a data directory was given.
#[derive(Debug, Clone)]
struct Storage {
    objects: PathBuf,
    tags: PathBuf,
    _scratch: Option<Arc<TemporaryDirectory>>,
}

/// A directory that is removed when this is dropped.
#[derive(Debug)]
struct TemporaryDirectory(PathBuf);

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl EmbeddedS3 {
    /// Makes the bucket, in the directory if there is one. A bucket that is there already is kept,
    /// without the objects that have expired meanwhile.
    pub(super) fn start(bucket: &Bucket, data_dir: Option<&Path>) -> Result<Self, AwsError> {
        let failed =
            |error: String| AwsError::Bucket { bucket: bucket.logical_id.clone(), reason: error };
        let storage =
            Storage::make(data_dir, &bucket.name).map_err(|error| failed(error.to_string()))?;
        let files =
            FileSystem::new(&storage.objects).map_err(|error| failed(format!("{error:?}")))?;
        let mut builder = S3ServiceBuilder::new(TaggedFiles { files, storage: storage.clone() });
        builder.set_auth(OneSecret);
        let s3 = Self { bucket: bucket.clone(), service: builder.build(), storage };
        s3.expire(Utc::now()).map_err(|error| failed(error.to_string()))?;
        Ok(s3)
    }

    /// Answers one request.
    pub(super) async fn answer(&self, parts: Parts, body: Bytes) -> Answer {
        if let Some(header) = unsigned_header(&parts) {
            let message = format!(
                "There were headers present in the request which were not signed: {header}"
            );
            return answer::s3_error(StatusCode::FORBIDDEN, "AccessDenied", &message);
        }

        let response = match self.service.call(Request::from_parts(parts, Body::from(body))).await {
            Ok(response) => response,
            Err(error) => return answer::bad_gateway(&format!("{error:?}")),
        };

        let (head, body) = response.into_parts();

        match body.collect().await {
            Ok(body) => Answer::from_parts(head, Full::new(body.to_bytes())),
            Err(error) => answer::bad_gateway(&error.to_string()),
        }
    }

    /// Removes the objects that have expired by `now`, as S3 does once a day.
    pub(super) fn expire(&self, now: DateTime<Utc>) -> std::io::Result<()> {
        let bucket = self.storage.objects.join(&self.bucket.name);
        for (key, path) in objects(&bucket)? {
            let made =
                DateTime::from(path.metadata()?.modified().unwrap_or(SystemTime::UNIX_EPOCH));
            let tags = self.storage.read_tags(&self.bucket.name, &key);
            if self.bucket.expirations.iter().any(|rule| rule.has_expired(&key, &tags, made, now)) {
                std::fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

impl Expiration {
    /// Returns whether an object has expired. The days count from when it was made, and the end is
    /// rounded up to the next midnight UTC.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html#intro-lifecycle-rules-days>
    fn has_expired(
        &self,
        key: &str,
        tags: &[Tag],
        made: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> bool {
        let tagged = |(name, value): &(String, String)| {
            tags.iter()
                .any(|tag| tag.key.as_ref() == Some(name) && tag.value.as_ref() == Some(value))
        };
        let end = made.checked_add_days(Days::new(u64::from(self.days) + 1));
        let end = end.map(|end| end.date_naive().and_time(NaiveTime::MIN).and_utc());

        key.starts_with(&self.prefix)
            && self.tags.iter().all(tagged)
            && end.is_some_and(|end| end <= now)
    }
}

impl Storage {
    fn make(data_dir: Option<&Path>, bucket: &str) -> std::io::Result<Self> {
        let scratch = data_dir
            .is_none()
            .then(|| std::env::temp_dir().join(format!("s3-{}", uuid::Uuid::new_v4())));

        let root = data_dir
            .map_or_else(|| scratch.clone().unwrap_or_default(), |directory| directory.join("s3"));
        let storage = Self {
            objects: root.join("objects"),
            tags: root.join("tags"),
            _scratch: scratch.map(|path| Arc::new(TemporaryDirectory(path))),
        };

        std::fs::create_dir_all(storage.objects.join(bucket))?;
        std::fs::create_dir_all(&storage.tags)?;

        Ok(storage)
    }

    fn tags_of(&self, bucket: &str, key: &str) -> PathBuf {
        self.tags.join(
            percent_encoding::utf8_percent_encode(&format!("{bucket}/{key}"), FLAT).to_string(),
        )
    }

    fn read_tags(&self, bucket: &str, key: &str) -> Vec<Tag> {
        let text = std::fs::read(self.tags_of(bucket, key)).unwrap_or_default();
        parse_tags(&text)
    }

    fn write_tags(&self, bucket: &str, key: &str, tags: &[Tag]) -> S3Result<()> {
        let mut text = form_urlencoded::Serializer::new(String::new());
        for tag in tags {
            text.append_pair(
                tag.key.as_deref().unwrap_or_default(),
                tag.value.as_deref().unwrap_or_default(),
            );
        }
        std::fs::write(self.tags_of(bucket, key), text.finish()).map_err(S3Error::internal_error)
    }
}

/// Characters that a file's name must not hold, so that it is one name and not a path.
const FLAT: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'/').add(b'%').add(b'.');

/// Returns every object of a bucket: its key and its file. The bucket's own notes are hidden files
/// above it.
fn objects(bucket: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut left = vec![bucket.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else if let Ok(key) = path.strip_prefix(bucket) {
                found.push((key.to_string_lossy().into_owned(), path));
            }
        }
    }

    Ok(found)
}

/// Returns bucket and key of a request as JSON, for rules and records.
pub(super) fn describe_request(uri: &Uri) -> Bytes {
    let (bucket, key) = bucket_and_key(uri).unwrap_or_default();
    Bytes::from(serde_json::json!({ "Bucket": bucket, "Key": key }).to_string())
}

fn parse_tags(text: &[u8]) -> Vec<Tag> {
    let pairs = form_urlencoded::parse(text).into_owned();
    pairs.map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}

/// Returns an `x-amz-` header that a presigned URL's signature does not cover: S3 refuses the
/// request then. <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>
fn unsigned_header(parts: &Parts) -> Option<&str> {
    let query = parts.uri.query()?;
    let signed =
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "X-Amz-SignedHeaders")?.1;
    let amazons =
        parts.headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("x-amz-"));
    amazons
        .into_iter()
        .find(|name| *name != "x-amz-content-sha256" && !signed.split(';').any(|one| one == *name))
}

/// Answers a header as the request asks for it, and otherwise as it was stored with the object.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html#API_HeadObject_RequestParameters>
fn replace<T>(stored: &mut Option<T>, asked_for: Option<T>) {
    if asked_for.is_some() {
        *stored = asked_for;
    }
}

/// Knows one secret, of all callers: what a caller may do, the proxy has decided before.
struct OneSecret;

#[async_trait::async_trait]
impl S3Auth for OneSecret {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        Ok(SecretKey::from(if access_key == SAMS_ACCESS_KEY { SAMS_SECRET } else { SECRET }))
    }
}

/// The file system, with tags.
struct TaggedFiles {
    files: FileSystem,
    storage: Storage,
}

impl TaggedFiles {
    fn is_there(&self, bucket: &BucketName, key: &ObjectKey) -> S3Result<()> {
        let there = self.storage.objects.join(bucket).join(key).is_file();
        if there { Ok(()) } else { Err(S3Error::new(S3ErrorCode::NoSuchKey)) }
    }
}

#[async_trait::async_trait]
impl S3 for TaggedFiles {
    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.files.get_object(request).await
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input.clone();
        let mut response = self.files.head_object(request).await?;

        let output = &mut response.output;
        replace(&mut output.cache_control, input.response_cache_control);
        replace(&mut output.content_disposition, input.response_content_disposition);
        replace(&mut output.content_encoding, input.response_content_encoding);
        replace(&mut output.content_language, input.response_content_language);
        replace(&mut output.content_type, input.response_content_type);
        replace(&mut output.expires, input.response_expires);
        Ok(response)
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &request.input;
        let bucket = input.bucket.clone();
        let key = input.key.clone();
        let tags = parse_tags(input.tagging.as_deref().unwrap_or_default().as_bytes());
        let response = self.files.put_object(request).await?;
        self.storage.write_tags(&bucket, &key, &tags)?;
        Ok(response)
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let tags = self.storage.tags_of(&request.input.bucket, &request.input.key);
        let response = self.files.delete_object(request).await?;
        // An object that was put here by other means has none.
        let _ = std::fs::remove_file(tags);
        Ok(response)
    }

    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        self.files.list_buckets(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.files.list_objects_v2(request).await
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let GetObjectTaggingInput { bucket, key, .. } = request.input;
        self.is_there(&bucket, &key)?;
        let tag_set = self.storage.read_tags(&bucket, &key);
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id: None }))
    }

    async fn put_object_tagging(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let PutObjectTaggingInput { bucket, key, tagging, .. } = request.input;
        self.is_there(&bucket, &key)?;
        self.storage.write_tags(&bucket, &key, &tagging.tag_set)?;
        Ok(S3Response::new(PutObjectTaggingOutput::default()))
    }
}

//! Files on their way to WhatsApp: read out of the bucket, and remembered by the id that WhatsApp
//! gave them. They are uploaded and sent by id, never by link: a link would have to be open to
//! everybody for as long as WhatsApp likes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use domain::delivery::{Failure, Reason};
use domain::{Attachment, UploadId};
use platform::delivery::OutboundMessage;
use platform::error::InternalError;
use platform::files::{Files, ObjectKey};

/// WhatsApp keeps what was uploaded for 30 days
/// ([media](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media)); what is
/// tried again is so within one.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// More ids than this are not kept at once.
const MOST: usize = 1_000;

/// So much of files is in memory at once, in MiB: two of the largest, which count as 101 each.
/// Reading one takes its size once more, for a moment.
const ROOM: u32 = 202;

/// The files of one process.
#[derive(Debug)]
pub struct Media {
    files: Files,
    known: Mutex<HashMap<(String, UploadId), (Instant, String)>>,
    room: Semaphore,
}

/// What an upload is answered.
#[derive(Debug, Deserialize)]
pub struct Uploaded {
    /// The file's id.
    pub id: String,
}

/// A file in memory, and the room that it takes there.
#[derive(Debug)]
pub struct LoadedFile<'a> {
    bytes: bytes::Bytes,
    file: &'a Attachment,
    _room: SemaphorePermit<'a>,
}

impl Media {
    /// Files out of the bucket.
    #[must_use]
    pub fn new(files: Files) -> Media {
        Media { files, known: Mutex::default(), room: Semaphore::new(ROOM as usize) }
    }

    /// The id that the number's WhatsApp has given the file before. Ids are good for the number
    /// they were made with.
    #[must_use]
    pub fn id(&self, number: &str, file: UploadId) -> Option<String> {
        let known = self.known();
        let (since, id) = known.get(&(number.to_owned(), file))?;
        (since.elapsed() < KEPT).then(|| id.clone())
    }

    /// Remembers an id, so that a message which is tried again does not bring its files again.
    pub fn learn(&self, number: &str, file: UploadId, id: &str) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((number.to_owned(), file), (Instant::now(), id.to_owned()));
    }

    /// Reads a file of the parcel's message, as soon as there is room for it.
    ///
    /// # Errors
    /// If S3 does not answer: the message waits. If the file is gone: it never goes.
    pub async fn load<'a>(
        &'a self,
        parcel: &OutboundMessage<'_>,
        file: &'a Attachment,
    ) -> Result<LoadedFile<'a>, Failure> {
        let room = u32::try_from(file.size >> 20).unwrap_or(ROOM).saturating_add(1).min(ROOM);
        let room = self.room.acquire_many(room).await.expect("nobody closes it");
        let OutboundMessage { business, conversation_id: conversation, .. } = *parcel;
        let read = self.files.read(ObjectKey { business, conversation, upload: file.id }).await;
        let bytes = read.map_err(|broken| unavailable(&broken))?.ok_or_else(|| {
            Failure::Permanent(Reason::new(
                "file_unavailable",
                "a file of the message is not kept any more",
            ))
        })?;
        if bytes.len() as u64 != file.size {
            // No file changes once a message has it: this is an answer that something on the way
            // has spoilt.
            return Err(unavailable(&InternalError::new(
                "reading a file that has another size than its message says",
            )));
        }
        Ok(LoadedFile { bytes, file, _room: room })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(String, UploadId), (Instant, String)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LoadedFile<'_> {
    /// The form that uploads it ([upload
    /// media](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#upload-media)).
    ///
    /// # Errors
    /// If its type cannot be written into a form.
    pub fn form(&self) -> reqwest::Result<Form> {
        let (kind, size) = (self.file.content_type.as_str().to_owned(), self.bytes.len() as u64);
        let file = Part::stream_with_length(self.bytes.clone(), size).mime_str(&kind)?;
        let file = file.file_name(self.file.filename.as_str().to_owned());
        Ok(Form::new().text("messaging_product", "whatsapp").text("type", kind).part("file", file))
    }
}

fn unavailable(broken: &InternalError) -> Failure {
    tracing::error!(error = broken.chain(), "a message's file could not be read");
    let reason = Reason::new("file_unavailable", "a file of the message could not be read");
    Failure::Transient { reason, retry_after: None }
}

//! Files on their way to WhatsApp: read from the bucket, uploaded, and remembered by the id that
//! WhatsApp gave them. Messages refer to files by id and never by link: a link would have to be
//! public for as long as WhatsApp likes.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use tokio::sync::{Semaphore, SemaphorePermit};

use domain::channel::WhatsappMedia;
use domain::delivery::{Failure, Reason};
use domain::{Attachment, UploadId};
use platform::cache::TtlCache;
use platform::delivery::OutboundMessage;
use platform::error::InternalError;
use platform::files::{Files, ObjectKey};

/// How long an id is used. WhatsApp keeps an upload for 30 days
/// ([media](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media)); a message is
/// tried again within one day.
pub const MEDIA_ID_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// How many ids are kept at once.
const MAX_MEDIA_IDS: usize = 1_000;

/// How much of files is in memory at once, in MiB: two of the largest, which count as 101 each.
/// While a file is read it takes its size once more.
pub const MAX_MEMORY_MIB: u32 = 202;

/// The files of one process.
#[derive(Debug)]
pub struct Media {
    files: Files,
    /// Ids by the phone number's id and the file.
    ids: TtlCache<(String, UploadId), String>,
    memory: Semaphore,
}

/// A file in memory, and its share of the memory.
pub struct LoadedFile<'a> {
    bytes: bytes::Bytes,
    file: &'a Attachment,
    _memory: SemaphorePermit<'a>,
}

impl Media {
    /// Reads files from the bucket.
    #[must_use]
    pub fn new(files: Files) -> Media {
        Media {
            files,
            ids: TtlCache::new(MEDIA_ID_TTL, MAX_MEDIA_IDS),
            memory: Semaphore::new(MAX_MEMORY_MIB as usize),
        }
    }

    /// Returns the id that WhatsApp has given the file for this phone number. An id is good for the
    /// number it was made with.
    #[must_use]
    pub fn known_id(&self, phone_number_id: &str, file: UploadId) -> Option<String> {
        self.ids.get(&(phone_number_id.to_owned(), file))
    }

    /// Remembers an id, so that a message that is tried again does not upload its files again.
    pub fn remember_id(&self, phone_number_id: &str, file: UploadId, id: &str) {
        self.ids.insert((phone_number_id.to_owned(), file), id.to_owned());
    }

    /// Reads a file of the message, as soon as there is memory for it.
    ///
    /// # Errors
    /// [`Failure::Transient`] if S3 does not answer with the whole file, [`Failure::Permanent`] if
    /// the file is gone.
    pub async fn load<'a>(
        &'a self,
        outbound: &OutboundMessage<'_>,
        file: &'a Attachment,
    ) -> Result<LoadedFile<'a>, Failure> {
        let mib = u32::try_from(file.size >> 20).unwrap_or(MAX_MEMORY_MIB).saturating_add(1);
        let memory = self.memory.acquire_many(mib.min(MAX_MEMORY_MIB)).await;
        let memory = memory.expect("the semaphore is never closed");

        let key = ObjectKey {
            business_id: outbound.business_id,
            conversation_id: outbound.conversation_id,
            upload: file.id,
        };

        let bytes = self.files.read(key, file.size).await;
        let bytes = bytes.map_err(|error| file_unavailable(&error))?;
        let bytes = bytes.ok_or_else(|| {
            Failure::Permanent(Reason::new(
                "file_unavailable",
                "a file of the message is not kept any more",
            ))
        })?;

        Ok(LoadedFile { bytes, file, _memory: memory })
    }
}

impl LoadedFile<'_> {
    /// Returns the form that uploads the file ([upload
    /// media](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#upload-media)).
    ///
    /// # Errors
    /// If its type cannot be written into a form.
    pub fn form(&self) -> reqwest::Result<Form> {
        let content_type = WhatsappMedia::upload_type(&self.file.content_type).to_owned();
        let size = self.bytes.len() as u64;

        let file = Part::stream_with_length(self.bytes.clone(), size)
            .mime_str(&content_type)?
            .file_name(self.file.filename.as_str().to_owned());
        Ok(Form::new()
            .text("messaging_product", "whatsapp")
            .text("type", content_type)
            .part("file", file))
    }
}

fn file_unavailable(error: &InternalError) -> Failure {
    tracing::error!(
        error = error.chain(),
        "file of a message not read; the message is tried again"
    );
    let reason = Reason::new("file_unavailable", "a file of the message could not be read");
    Failure::Transient { reason, retry_after: None }
}

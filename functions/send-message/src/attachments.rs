//! The files of a message: found among the conversation's uploads, inspected when a message first
//! references them, and kept once that message is accepted. A file that was kept before costs
//! nothing here.

use chrono::{DateTime, Utc};
use futures_util::future::{join_all, try_join_all};

use domain::file::UploadState;
use domain::problem::{Refusal, UploadFault};
use domain::{Attachment, BusinessId, Channel, ConversationId, UploadId};
use platform::api::ApiError;
use platform::capability::Capability;
use platform::files::{Files, ObjectKey};
use platform::origin::ApiAddress;
use platform::table::Table;
use platform::table::record::Upload;

/// Returns the uploads of this conversation that `urls` may name, each once. At most as many URLs
/// are read as any channel carries files; a message with more is refused for that.
pub(crate) fn referenced(
    urls: &[String],
    business_id: BusinessId,
    conversation_id: ConversationId,
) -> Vec<UploadId> {
    let is_own = |capability: &Capability| {
        capability.business_id == business_id && capability.conversation_id == conversation_id
    };

    let mut uploads: Vec<UploadId> = urls
        .iter()
        .take(Channel::MAX_ATTACHMENTS)
        .filter_map(|url| Capability::of_url(url))
        .map(|(_, capability)| capability)
        .filter(is_own)
        .map(|capability| capability.upload)
        .collect();

    uploads.sort_unstable();
    uploads.dedup();
    uploads
}

/// Returns the uploads among `attachments` that no message has referenced, each once, with the
/// types that their files have.
pub(crate) fn new_uploads(attachments: &[Attachment], uploads: &[Upload]) -> Vec<Upload> {
    let new = uploads.iter().filter(|upload| upload.state != UploadState::Ready);
    let referenced = new.filter_map(|upload| {
        let attachment = attachments.iter().find(|attachment| attachment.id == upload.id)?;
        Some(Upload { content_type: attachment.content_type.clone(), ..upload.clone() })
    });
    referenced.collect()
}

/// Resolves the attachments of one conversation's messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttachmentResolver<'a> {
    pub(crate) files: &'a Files,
    pub(crate) table: &'a Table,
    pub(crate) business_id: BusinessId,
    pub(crate) conversation_id: ConversationId,
    pub(crate) address: &'a ApiAddress,
}

impl AttachmentResolver<'_> {
    /// Returns the files under `urls`, in their order, each of which must be among `uploads`. A
    /// file that no message referenced before is inspected now: it must be there, and be what was
    /// announced.
    ///
    /// # Errors
    /// [`Refusal::AttachmentNotFound`] for the first that cannot be referenced, or if S3 does not
    /// answer.
    pub(crate) async fn resolve(
        self,
        urls: &[String],
        uploads: &[Upload],
        now: DateTime<Utc>,
    ) -> Result<Vec<Attachment>, ApiError> {
        let is_usable =
            |upload: &&Upload| now < upload.state.referenceable_until(upload.created_at);
        let known = urls.iter().map(|url| {
            let upload = uploads.iter().find(|upload| self.is_named(upload, url));
            let upload = upload.filter(is_usable);
            upload.map(|upload| (url, upload)).ok_or_else(|| refusal(url, UploadFault::Unknown))
        });

        let known = known.collect::<Result<Vec<_>, _>>()?;
        try_join_all(known.into_iter().map(|(url, upload)| self.inspect(url, upload))).await
    }

    /// Whether `url` is the file's, under an address that the API has or had.
    fn is_named(self, upload: &Upload, url: &str) -> bool {
        Capability::of_url(url).is_some_and(|(host, capability)| {
            let is_own = self.address.is_own(host) || upload.link.host() == Some(host);
            is_own && upload.is_opened_by(&capability)
        })
    }

    async fn inspect(self, url: &str, upload: &Upload) -> Result<Attachment, ApiError> {
        let mut attachment = upload.attachment();
        match upload.state {
            UploadState::Ready => return Ok(attachment),
            // Its type was confirmed when it came; it may have been deleted since.
            UploadState::Stored => {
                let is_there = self.files.exists(self.object_key(upload.id)).await?;
                let missing = || refusal(url, UploadFault::Unknown).into();
                return is_there.then_some(attachment).ok_or_else(missing);
            }
            UploadState::Announced => {}
        }

        let refusal = |fault| refusal(url, fault);
        let object = self.files.inspect(self.object_key(upload.id)).await?;
        let object = object.ok_or_else(|| refusal(UploadFault::Unfinished))?;
        if object.size != upload.size {
            let fault = UploadFault::OtherSize { announced: upload.size, found: object.size };
            return Err(refusal(fault).into());
        }

        let announced = upload.content_type.clone();
        attachment.content_type = announced
            .clone()
            .confirmed(&object.head)
            .map_err(|found| refusal(UploadFault::OtherType { announced, found }))?;

        Ok(attachment)
    }

    /// Has the bucket keep the files of an accepted message, as far as they are new. What fails is
    /// done by the sweeper: the uploads are in the outbox since the message was accepted.
    pub(crate) async fn keep(self, new_uploads: &[Upload]) {
        let kept = new_uploads.iter().map(async |upload| {
            let place = self.object_key(upload.id);
            if let Err(error) = self.table.keep_file_of(self.files, place, upload).await {
                let error = error.chain();
                tracing::warn!(upload = %upload.id, error, "file not kept; the sweeper retries");
            }
        });
        join_all(kept).await;
    }

    fn object_key(self, upload: UploadId) -> ObjectKey {
        let AttachmentResolver { business_id, conversation_id, .. } = self;
        ObjectKey { business_id, conversation_id, upload }
    }
}

fn refusal(url: &str, fault: UploadFault) -> Refusal {
    Refusal::AttachmentNotFound { url: url.to_owned(), fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_of_this_conversation_are_looked_up_each_once() {
        let id = |text: &str| text.parse().expect("a UUID");
        let business_id = "00000000-0000-4000-8000-000000000001";
        let other = "00000000-0000-4000-8000-000000000002";
        let conversation_id = ConversationId(id(other));
        let own = Capability::generate(BusinessId(id(business_id)), conversation_id);
        let foreign = Capability::generate(BusinessId(id(other)), conversation_id);
        let elsewhere =
            Capability::generate(BusinessId(id(business_id)), ConversationId(id(business_id)));

        let url = |capability: &Capability| capability.link().url("https://api.example.com");
        let urls = [url(&own), "nonsense".to_owned(), url(&foreign), url(&own), url(&elsewhere)];
        assert_eq!(referenced(&urls, own.business_id, conversation_id), [own.upload]);

        let many = vec![url(&own); 1000];
        assert_eq!(referenced(&many, own.business_id, conversation_id).len(), 1);
    }
}

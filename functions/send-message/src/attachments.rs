//! The files of a message: found among the conversation's uploads, inspected when a message first
//! references them, and kept from then on. A file that was kept before costs nothing here.

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;

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
    /// file that was only announced is inspected now: it must be there, and be what was announced.
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
            UploadState::Stored | UploadState::Ready => return Ok(attachment),
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

    /// Keeps the files that no message has referenced before. The file comes first and its record
    /// second: in the other order, a crash between the two would leave a record of a file that is
    /// deleted.
    ///
    /// # Errors
    /// [`Refusal::AttachmentNotFound`] for one that has just expired, or if AWS does not answer.
    pub(crate) async fn keep_new(
        self,
        attachments: &[Attachment],
        uploads: &[Upload],
    ) -> Result<(), ApiError> {
        let new = uploads.iter().filter(|upload| upload.state != UploadState::Ready);
        let referenced = new.filter_map(|upload| {
            let attachment = attachments.iter().find(|attachment| attachment.id == upload.id)?;
            Some((upload, attachment))
        });

        let kept = referenced.map(async |(upload, attachment)| -> Result<(), ApiError> {
            let key = self.object_key(upload.id);
            let is_kept = self.files.mark_referenced(key).await?
                && self.table.keep_upload(key, upload, &attachment.content_type).await?;
            let url = || upload.link.url(&self.address.origin);
            if is_kept { Ok(()) } else { Err(refusal(&url(), UploadFault::Unknown).into()) }
        });

        try_join_all(kept).await.map(drop)
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

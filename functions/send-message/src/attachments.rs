//! The files of a message: found among the conversation's uploads, looked at when they are first
//! referenced, and kept from then on. A file that was kept before costs nothing here.

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;

use domain::file::UploadState;
use domain::problem::{Refusal, UploadFault};
use domain::{Attachment, BusinessId, Channel, ConversationId, UploadId};
use platform::api::ApiError;
use platform::capability::Capability;
use platform::files::{Files, ObjectKey};
use platform::table::Table;
use platform::table::record::Upload;

/// The uploads that `urls` may mean, each once: those of this conversation. No more than any
/// channel carries; a message with more is refused for that.
pub(crate) fn referenced(
    urls: &[String],
    business: BusinessId,
    conversation: ConversationId,
) -> Vec<UploadId> {
    let own = |capability: &Capability| {
        capability.business == business && capability.conversation == conversation
    };
    let urls = urls.iter().take(Channel::MAX_ATTACHMENTS).filter_map(|url| Capability::of_url(url));
    let mut uploads: Vec<UploadId> = urls.filter(own).map(|capability| capability.upload).collect();
    uploads.sort_unstable();
    uploads.dedup();
    uploads
}

/// Where a conversation's files are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttachmentResolver<'a> {
    pub(crate) files: &'a Files,
    pub(crate) table: &'a Table,
    pub(crate) business: BusinessId,
    pub(crate) conversation: ConversationId,
}

impl AttachmentResolver<'_> {
    /// What is under `urls`, in their order, as far as it is among `uploads`. Whatever nobody has
    /// looked at yet is looked at now: whether it is there, and is what it was announced as.
    ///
    /// # Errors
    /// [`Refusal::AttachmentNotFound`] for the first that cannot be referenced, or if S3 does not
    /// answer.
    pub(crate) async fn find(
        self,
        urls: &[String],
        uploads: &[Upload],
        now: DateTime<Utc>,
    ) -> Result<Vec<Attachment>, ApiError> {
        let usable = |upload: &&Upload| now < upload.state.referenceable_until(upload.created_at);
        let known = urls.iter().map(|url| {
            let found = uploads.iter().find(|upload| upload.url == *url).filter(usable);
            found.ok_or_else(|| refused(url, UploadFault::Unknown))
        });
        let known = known.collect::<Result<Vec<_>, _>>()?;
        try_join_all(known.into_iter().map(|upload| self.inspect(upload))).await
    }

    async fn inspect(self, upload: &Upload) -> Result<Attachment, ApiError> {
        let mut attachment = upload.attachment();
        match upload.state {
            UploadState::Stored | UploadState::Ready => return Ok(attachment),
            UploadState::Announced => {}
        }
        let refused = |fault| refused(&upload.url, fault);
        let found = self.files.inspect(self.place(upload.id)).await?;
        let found = found.ok_or_else(|| refused(UploadFault::Unfinished))?;
        if found.size != upload.size {
            return Err(refused(UploadFault::OtherSize {
                announced: upload.size,
                found: found.size,
            })
            .into());
        }
        let announced = upload.content_type.clone();
        let confirmed = upload.content_type.clone().confirmed(&found.head);
        attachment.content_type =
            confirmed.map_err(|found| refused(UploadFault::OtherType { announced, found }))?;
        Ok(attachment)
    }

    /// Has the files kept that no message referenced before. First the file itself, then the record
    /// that says so: the other way round, what came between them would be a record of a file that
    /// is deleted.
    ///
    /// # Errors
    /// [`Refusal::AttachmentNotFound`] for one that expired in this moment, or if AWS does not
    /// answer.
    pub(crate) async fn keep(
        self,
        attachments: &[Attachment],
        uploads: &[Upload],
    ) -> Result<(), ApiError> {
        let of = |upload: &Upload| attachments.iter().find(|attachment| attachment.id == upload.id);
        let new = uploads.iter().filter(|upload| upload.state != UploadState::Ready);
        try_join_all(new.filter_map(|upload| Some((upload, of(upload)?))).map(
            async |(upload, attachment)| {
                let place = self.place(upload.id);
                let kept = self.files.mark_referenced(place).await?
                    && self.table.keep_upload(place, upload, &attachment.content_type).await?;
                kept.then_some(())
                    .ok_or_else(|| ApiError::from(refused(&upload.url, UploadFault::Unknown)))
            },
        ))
        .await
        .map(drop)
    }

    fn place(self, upload: UploadId) -> ObjectKey {
        ObjectKey { business: self.business, conversation: self.conversation, upload }
    }
}

fn refused(url: &str, fault: UploadFault) -> Refusal {
    Refusal::AttachmentNotFound { url: url.to_owned(), fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_of_this_conversation_are_looked_up_each_once() {
        let id = |text: &str| text.parse().expect("a UUID");
        let (business, other) =
            ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002");
        let conversation = ConversationId(id(other));
        let own = Capability::generate(BusinessId(id(business)), conversation);
        let foreign = Capability::generate(BusinessId(id(other)), conversation);
        let elsewhere =
            Capability::generate(BusinessId(id(business)), ConversationId(id(business)));
        let url = |capability: &Capability| capability.url("https://api.example.com");
        let urls = [url(&own), "nonsense".to_owned(), url(&foreign), url(&own), url(&elsewhere)];
        assert_eq!(referenced(&urls, own.business, conversation), [own.upload]);
        let many = vec![url(&own); 1000];
        assert_eq!(referenced(&many, own.business, conversation).len(), 1);
    }
}

//! The files of a message: small ones are part of the mail, the others are linked to.

use crate::email::{InlineFile, LinkedFile};
use domain::Attachment;
use domain::delivery::{Failure, Reason};
use platform::delivery::OutboundMessage;
use platform::error::InternalError;
use platform::files::{Files, ObjectKey};

/// The most bytes of files in one mail: encoded they are a third more, and SES slows down mails
/// above 10 MB ([quotas](https://docs.aws.amazon.com/ses/latest/dg/quotas.html)).
pub const MAX_INLINE_BYTES: u64 = 7_000_000;

/// Reads the files that go inside, and returns links to the others at `api_url`. A file that is
/// gone is linked to: its URL says that it is gone.
///
/// # Errors
/// [`Failure::Transient`] if S3 does not answer with the whole file.
pub async fn read_files(
    files: &Files,
    api_url: &str,
    outbound: &OutboundMessage<'_>,
) -> Result<(Vec<InlineFile>, Vec<LinkedFile>), Failure> {
    let (embedded, linked) = split_by_size(&outbound.message.attachments);
    let OutboundMessage { business_id, conversation_id, .. } = *outbound;

    let mut inside = Vec::new();
    let mut links = Vec::new();
    for file in embedded {
        let key = ObjectKey { business_id, conversation_id, upload: file.id };
        let bytes = files.read(key, file.size).await.map_err(|error| file_unavailable(&error))?;
        match bytes {
            Some(bytes) => inside.push(InlineFile {
                filename: file.filename.as_str().to_owned(),
                content_type: file.content_type.as_str().to_owned(),
                bytes: bytes.into(),
            }),
            None => links.push(link(file, api_url)),
        }
    }

    links.extend(linked.into_iter().map(|file| link(file, api_url)));
    Ok((inside, links))
}

fn file_unavailable(error: &InternalError) -> Failure {
    tracing::error!(
        error = error.chain(),
        "file of a message not read; the message is tried again"
    );
    let reason = Reason::new("file_unavailable", "a file of the message could not be read");
    Failure::Transient { reason, retry_after: None }
}

fn link(file: &Attachment, api_url: &str) -> LinkedFile {
    LinkedFile {
        filename: file.filename.as_str().to_owned(),
        url: file.link.url(api_url),
        size: file.size,
    }
}

/// Returns the files that go inside and those that are linked to, both in their order. A file goes
/// inside if there is room left. Files for which SES would refuse the whole mail were not accepted
/// ([`domain::Channel::check_files`]).
#[must_use]
fn split_by_size(files: &[Attachment]) -> (Vec<&Attachment>, Vec<&Attachment>) {
    let mut room = MAX_INLINE_BYTES;
    files.iter().partition(|file| {
        let inside = file.size <= room;
        room -= if inside { file.size } else { 0 };
        inside
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::file::{FileName, MediaType};

    #[test]
    fn files_go_inside_while_there_is_room() {
        let file = |filename: &str, size| Attachment {
            id: domain::UploadId(uuid::Uuid::nil()),
            link: domain::FileLink::new("f"),
            filename: FileName::new(filename),
            content_type: MediaType::parse("application/octet-stream").expect("a type"),
            size,
        };

        let files = [
            file("a.pdf", 1_000),
            file("b.mp4", 7_000_000),
            file("c.png", 6_999_000),
            file("d.zip", 1),
        ];
        let (inside, outside) = split_by_size(&files);
        let names = |files: Vec<&Attachment>| {
            files.into_iter().map(|file| file.filename.as_str().to_owned()).collect::<Vec<_>>()
        };

        assert_eq!(
            (names(inside), names(outside)),
            (vec!["a.pdf".into(), "c.png".into()], vec!["b.mp4".into(), "d.zip".into()])
        );

        let many = vec![file("e.png", 3_500_001); 2];
        assert_eq!(split_by_size(&many).0.len(), 1);
    }
}

//! The files of a message: which are part of the mail, and which it only links to.

use crate::email::{InlineFile, LinkedFile};
use domain::Attachment;
use domain::delivery::{Failure, Reason};
use platform::delivery::OutboundMessage;
use platform::files::{Files, ObjectKey};

/// So many bytes of files go into one mail: encoded they are a third more, and SES slows down mails
/// above 10 MB ([quotas](https://docs.aws.amazon.com/ses/latest/dg/quotas.html)).
pub const MOST_INSIDE: u64 = 7_000_000;

/// The files, those inside with their bytes. One that is gone is linked to: its URL says so.
///
/// # Errors
/// If S3 does not answer: the message waits.
pub async fn of(
    files: &Files,
    parcel: &OutboundMessage<'_>,
) -> Result<(Vec<InlineFile>, Vec<LinkedFile>), Failure> {
    let (within, without) = places(&parcel.message.attachments);
    let (mut inside, mut links) = (Vec::new(), Vec::new());
    for file in within {
        let OutboundMessage { business, conversation_id: conversation, .. } = *parcel;
        let bytes = files
            .read(ObjectKey { business, conversation, upload: file.id })
            .await
            .map_err(|broken| {
                tracing::error!(error = broken.chain(), "a message's file could not be read");
                let reason =
                    Reason::new("file_unavailable", "a file of the message could not be read");
                Failure::Transient { reason, retry_after: None }
            })?;
        match bytes {
            Some(bytes) => inside.push(InlineFile {
                filename: file.filename.as_str().to_owned(),
                content_type: file.content_type.as_str().to_owned(),
                bytes: bytes.into(),
            }),
            None => links.push(link(file)),
        }
    }
    links.extend(without.into_iter().map(link));
    Ok((inside, links))
}

fn link(file: &Attachment) -> LinkedFile {
    LinkedFile {
        filename: file.filename.as_str().to_owned(),
        url: file.url.clone(),
        size: file.size,
    }
}

/// Which files go inside and which are linked to, each in the order they came in: inside for as
/// long as there is room. What SES refuses a whole mail for never came this far
/// ([`domain::Channel::check_files`]).
#[must_use]
fn places(files: &[Attachment]) -> (Vec<&Attachment>, Vec<&Attachment>) {
    let mut room = MOST_INSIDE;
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
            url: "https://api.example.com/f".into(),
            filename: FileName::new(filename),
            content_type: MediaType::parse("application/octet-stream").expect("a type"),
            size,
        };
        let files = [
            file("a.pdf", 1_000),
            file("b.mp4", MOST_INSIDE),
            file("c.png", MOST_INSIDE - 1_000),
            file("d.zip", 1),
        ];
        let (inside, outside) = places(&files);
        let names = |files: Vec<&Attachment>| {
            files.into_iter().map(|file| file.filename.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            (names(inside), names(outside)),
            (vec!["a.pdf".into(), "c.png".into()], vec!["b.mp4".into(), "d.zip".into()])
        );
        let many = vec![file("e.png", MOST_INSIDE / 2 + 1); 2];
        assert_eq!(places(&many).0.len(), 1);
    }
}

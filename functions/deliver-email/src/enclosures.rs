//! The files of a message: which are part of the mail, and which it only links to.

use crate::letter::{Inside, Link};
use domain::Attachment;
use domain::delivery::{Failure, Reason};
use platform::delivery::Parcel;
use platform::files::{Files, Place};

/// So many bytes of files go into one mail: encoded they are a third more, and SES slows down mails above 10 MB
/// ([quotas](https://docs.aws.amazon.com/ses/latest/dg/quotas.html)).
pub const MOST_INSIDE: u64 = 7_000_000;

/// The files, those inside with their bytes. One that is gone is linked to: its URL says so.
///
/// # Errors
/// If S3 does not answer: the message waits.
pub async fn of(files: &Files, parcel: &Parcel<'_>) -> Result<(Vec<Inside>, Vec<Link>), Failure> {
    let (within, without) = places(&parcel.message.attachments);
    let (mut inside, mut links) = (Vec::new(), Vec::new());
    for file in within {
        let Parcel { business, conversation_id: conversation, .. } = *parcel;
        let bytes = files.read(Place { business, conversation, upload: file.id }).await.map_err(|broken| {
            tracing::error!(error = broken.chain(), "a message's file could not be read");
            let reason = Reason::new("file_unavailable", "a file of the message could not be read");
            Failure::Transient { reason, retry_after: None }
        })?;
        match bytes {
            Some(bytes) => inside.push(Inside {
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

fn link(file: &Attachment) -> Link {
    Link { filename: file.filename.as_str().to_owned(), url: file.url.clone(), size: file.size }
}

/// Which files go inside and which are linked to, each in the order they came in: inside is what SES takes, for as long as
/// there is room.
#[must_use]
fn places(files: &[Attachment]) -> (Vec<&Attachment>, Vec<&Attachment>) {
    let mut room = MOST_INSIDE;
    files.iter().partition(|file| {
        let inside = may_be_inside(&file.filename.as_str()) && file.size <= room;
        room -= if inside { file.size } else { 0 };
        inside
    })
}

/// Whether a file may be part of a mail: SES refuses a whole mail for one file with a name like these
/// ([unsupported types](https://docs.aws.amazon.com/ses/latest/dg/mime-types.html)).
fn may_be_inside(filename: &str) -> bool {
    let extension = filename.trim_end_matches(['.', ' ']).rsplit_once('.').map(|(_, end)| end.to_lowercase());
    extension.is_none_or(|extension| !REFUSED.split_whitespace().any(|refused| refused == extension))
}

const REFUSED: &str = "ade adp app asp bas bat cer chm cmd com cpl crt csh der exe fxp gadget hlp hta inf ins isp its js \
    jse ksh lib lnk mad maf mag mam maq mar mas mat mau mav maw mda mdb mde mdt mdw mdz msc msh msh1 msh2 mshxml msh1xml \
    msh2xml msi msp mst ops pcd pif plg prf prg ps1 ps1xml ps2 ps2xml psc1 psc2 reg scf scr sct shb shs sys tmp url vb \
    vbe vbs vps vsmacros vss vst vsw vxd ws wsc wsf wsh xnk";

#[cfg(test)]
mod tests {
    use super::*;
    use domain::file::{FileName, MediaType};

    #[test]
    fn what_ses_would_refuse_stays_outside() {
        for name in ["a.exe", "A.EXE", "a.pdf.js", "a.bat.", "x.vbs "] {
            assert!(!may_be_inside(name), "{name}");
        }
        for name in ["a.pdf", "js", "photo.jpeg", "a.exe.zip", "Rechnung"] {
            assert!(may_be_inside(name), "{name}");
        }
    }

    #[test]
    fn files_go_inside_while_there_is_room() {
        let file = |filename: &str, size| Attachment {
            id: domain::UploadId(uuid::Uuid::nil()),
            url: "https://api.example.com/f".into(),
            filename: FileName::new(filename),
            content_type: MediaType::parse("application/octet-stream").expect("a type"),
            size,
        };
        let files =
            [file("a.pdf", 1_000), file("b.mp4", MOST_INSIDE), file("c.exe", 1), file("d.png", MOST_INSIDE - 1_000)];
        let (inside, outside) = places(&files);
        let names = |files: Vec<&Attachment>| {
            files.into_iter().map(|file| file.filename.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            (names(inside), names(outside)),
            (vec!["a.pdf".into(), "d.png".into()], vec!["b.mp4".into(), "c.exe".into()])
        );
        let many = vec![file("e.png", MOST_INSIDE / 2 + 1); 2];
        assert_eq!(places(&many).0.len(), 1);
    }
}

//! The mails as they came, to be shown as a mail program does. Only the last ones are kept, in
//! memory.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use mail_parser::{MessageParser, MimeHeaders};
use serde_json::{Value, json};
use uuid::Uuid;

/// Most mails that are kept.
const MOST_MAILS: usize = 100;
/// Most bytes of all mails that are kept.
const MOST_BYTES: usize = 16 << 20;

/// The last mails that were accepted.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Mutex<VecDeque<RawMail>>);

/// A mail as it came.
#[derive(Clone)]
struct RawMail {
    message_id: Uuid,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for RawMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawMail").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

impl Inbox {
    /// Keeps a mail, and drops the oldest if there are too many.
    pub(super) fn keep(&self, message_id: Uuid, bytes: Vec<u8>) {
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mails.push_back(RawMail { message_id, bytes });
        let size =
            |mails: &VecDeque<RawMail>| mails.iter().map(|mail| mail.bytes.len()).sum::<usize>();
        while mails.len() > MOST_MAILS || size(&mails) > MOST_BYTES {
            mails.pop_front();
        }
    }

    /// Returns the bytes of a message's last mail.
    pub(crate) fn raw(&self, message_id: Uuid) -> Option<Vec<u8>> {
        let mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mail = mails.iter().rev().find(|mail| mail.message_id == message_id)?;
        Some(mail.bytes.clone())
    }

    /// Returns the HTML of a message's last mail.
    pub(crate) fn html(&self, message_id: Uuid) -> Option<String> {
        let bytes = self.raw(message_id)?;
        Some(MessageParser::default().parse(&bytes)?.body_html(0)?.into_owned())
    }

    /// Describes a message's last mail: its texts, headers and files.
    pub(crate) fn mail(&self, message_id: Uuid) -> Option<Value> {
        let bytes = self.raw(message_id)?;
        let mail = MessageParser::default().parse(&bytes)?;
        let headers = mail.headers_raw().map(
            |(name, value)| json!({ "name": name, "value": value.replace("\r\n", "").trim() }),
        );
        let files = mail.attachments().map(|part| {
            let kind = part
                .content_type()
                .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("*")));
            json!({
                "filename": part.attachment_name(),
                "content_type": kind,
                "size": part.contents().len(),
            })
        });

        Some(json!({
            "message_id": message_id,
            "subject": mail.subject(),
            "text": mail.body_text(0),
            "headers": headers.collect::<Vec<_>>(),
            "attachments": files.collect::<Vec<_>>(),
            "size": bytes.len(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mails_are_kept() {
        let inbox = Inbox::default();
        let [first, last] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        inbox.keep(first, b"Subject: One\r\n\r\nHi\r\n".to_vec());
        for _ in 0..MOST_MAILS {
            inbox.keep(last, b"Subject: Two\r\n\r\nHi\r\n".to_vec());
        }
        assert!(inbox.raw(first).is_none());
        let mail = inbox.mail(last).unwrap();
        assert_eq!((&mail["subject"], &mail["text"]), (&json!("Two"), &json!("Hi\r\n")));

        inbox.keep(first, vec![b' '; MOST_BYTES + 1]);
        assert!(inbox.raw(first).is_none() && inbox.raw(last).is_none());
    }
}

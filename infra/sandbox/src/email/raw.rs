//! `Content.Raw`: a mail as bytes, checked for what SES demands. Two checks are stricter, because
//! the reader, `mail-parser`, forgives both: every line ends with CR LF (RFC 5322 §2.3), and every
//! multipart has its end.
//!
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_RawMessage.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use serde_json::{Value, json};

use super::mail::{Mail, bad_request};
use crate::accepted::Header;
use crate::aws_error::AwsError;

/// Largest mail in bytes, its files encoded:
/// <https://docs.aws.amazon.com/ses/latest/dg/quotas.html>.
const SIZE_LIMIT: usize = 40 << 20;
/// Longest line in bytes, with its end.
const LINE_LIMIT: usize = 1_000;
/// Most parts of a mail: <https://docs.aws.amazon.com/ses/latest/dg/quotas.html>.
const PART_LIMIT: usize = 500;
/// Some of the headers that may be there only once:
/// <https://docs.aws.amazon.com/ses/latest/dg/header-fields.html>.
const UNIQUE: [&str; 10] = [
    "Content-Type",
    "Date",
    "From",
    "In-Reply-To",
    "Message-ID",
    "MIME-Version",
    "References",
    "Reply-To",
    "Sender",
    "Subject",
];
/// Some of the file types that SES refuses:
/// <https://docs.aws.amazon.com/ses/latest/dg/mime-types.html>.
const ILLEGAL_FILES: [&str; 6] = ["bat", "cmd", "com", "exe", "js", "vbs"];

/// Decodes a mail.
pub(super) fn decode(data: &str) -> Result<Vec<u8>, AwsError> {
    STANDARD.decode(data).map_err(|_| bad_request("Content.Raw.Data is not base64."))
}

/// Reads a mail, if SES would take it.
pub(super) fn read(bytes: &[u8]) -> Result<Mail, AwsError> {
    if bytes.len() > SIZE_LIMIT {
        return Err(bad_request(format!("Message length is more than {SIZE_LIMIT} bytes long.")));
    }

    lines(bytes)?;
    let mail = MessageParser::default().parse(bytes).filter(|mail| !mail.headers().is_empty());
    let mail = mail.ok_or_else(|| bad_request("Content.Raw.Data is no MIME message."))?;
    headers(&mail)?;
    parts(&mail, bytes)?;
    let content = mail.body_text(0).ok_or_else(|| bad_request("Content.Raw.Data has no body."))?;

    Ok(Mail {
        subject: mail.subject().map(str::to_owned),
        content: content.replace("\r\n", "\n"),
        attachments: attachments(&mail)?,
        headers: mail
            .headers_raw()
            .map(|(name, value)| Header { name: name.into(), value: unfolded(value) })
            .collect(),
    })
}

/// Returns a mail with these headers in place of its own, as its reader's program gets it.
pub(super) fn with_headers(bytes: &[u8], headers: &[Header]) -> Vec<u8> {
    let mut mail = Vec::with_capacity(bytes.len() + 256);
    for Header { name, value } in headers {
        mail.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    mail.extend_from_slice(&bytes[end.map_or(0, |end| end + 2)..]);
    mail
}

fn lines(bytes: &[u8]) -> Result<(), AwsError> {
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let inner = line.strip_suffix(b"\r\n").or_else(|| (!line.ends_with(b"\n")).then_some(line));
        if inner.is_none_or(|inner| inner.contains(&b'\r')) {
            return Err(bad_request("A line of the message does not end with CR LF."));
        }
        if line.len() > LINE_LIMIT {
            return Err(bad_request(format!(
                "A line of the message is longer than {LINE_LIMIT} characters."
            )));
        }
        if !line.is_ascii() {
            return Err(bad_request("The message is not in seven bits."));
        }
    }

    match bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        true => Ok(()),
        false => Err(bad_request("The message has no blank line between its header and its body.")),
    }
}

fn headers(mail: &Message<'_>) -> Result<(), AwsError> {
    let count = |name: &str| {
        mail.headers().iter().filter(|header| header.name().eq_ignore_ascii_case(name)).count()
    };
    if let Some(name) = UNIQUE.into_iter().find(|name| count(name) > 1) {
        return Err(bad_request(format!("Duplicate header '{name}'.")));
    }
    match ["From", "MIME-Version", "Content-Type"].into_iter().find(|name| count(name) == 0) {
        Some(name) => Err(bad_request(format!("Missing required header '{name}'."))),
        None => Ok(()),
    }
}

fn parts(mail: &Message<'_>, bytes: &[u8]) -> Result<(), AwsError> {
    if mail.parts.len() > PART_LIMIT {
        return Err(bad_request(format!("The message has more than {PART_LIMIT} MIME parts.")));
    }
    for part in mail.parts.iter().filter(|part| matches!(part.body, PartType::Multipart(_))) {
        let boundary =
            part.content_type().and_then(|kind| kind.attribute("boundary")).unwrap_or_default();
        let end = format!("\r\n--{boundary}--");
        if boundary.is_empty() || !bytes.windows(end.len()).any(|window| window == end.as_bytes()) {
            return Err(bad_request("A multipart of the message has no end."));
        }
    }
    Ok(())
}

fn attachments(mail: &Message<'_>) -> Result<Vec<Value>, AwsError> {
    let described = mail.attachments().map(|part| {
        let name = part.attachment_name();
        let extension =
            name.and_then(|name| name.rsplit_once('.')).map(|(_, end)| end.to_lowercase());
        if extension.is_some_and(|extension| ILLEGAL_FILES.contains(&extension.as_str())) {
            return Err(bad_request(format!("Illegal filename '{}'.", name.unwrap_or_default())));
        }
        let kind =
            part.content_type().map(|of| format!("{}/{}", of.ctype(), of.subtype().unwrap_or("*")));
        Ok(json!({ "filename": name, "content_type": kind }))
    });
    described.collect()
}

/// Joins a folded value to one line (RFC 5322 §2.2.3).
fn unfolded(value: &str) -> String {
    value.replace("\r\n", "").trim().to_owned()
}

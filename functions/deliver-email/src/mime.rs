//! Encodes an email: RFC 5322 and MIME, seven bits, no line longer than 78 characters where that is
//! possible. The same email always makes the same bytes.
//!
//! ```text
//! multipart/mixed            only if files are inside
//! ├ multipart/alternative
//! │ ├ text/plain             the agent's text, and under it the links to files
//! │ └ text/html              the same, see html.rs
//! └ every file
//! ```
//!
//! It has no `Message-ID`, because SES gives each mail its own ([header
//! fields](https://docs.aws.amazon.com/ses/latest/dg/header-fields.html)). SES would add a `Date`
//! too, but RFC 5322 §3.6 requires one.

use std::time::SystemTime;

use email_encoding::headers::rfc2047;
use email_encoding::headers::writer::EmailWriter;
use lettre::message::header::{
    ContentDisposition, ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue,
    InReplyTo, References, Subject,
};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};

use crate::email::{Email, InlineFile, LinkedFile};
use crate::html;
use domain::delivery::Thread;
use domain::text::without_encoded_words;

/// Returns the mail's bytes.
///
/// # Errors
/// If lettre finds a header missing, which cannot be.
pub fn build(email: &Email<'_>) -> Result<Vec<u8>, lettre::error::Error> {
    let mut message = Message::builder()
        .from(email.from.clone())
        .to(email.to.clone())
        .reply_to(Mailbox::new(None, email.reply_to.clone()))
        .raw_header(subject(&email.subject))
        .date(SystemTime::from(email.date));

    for header in in_thread(email.thread) {
        message = message.raw_header(header);
    }
    let texts = MultiPart::alternative()
        .boundary(boundary(email, "texts"))
        .singlepart(text(ContentType::TEXT_PLAIN, plain(email)))
        .singlepart(text(ContentType::TEXT_HTML, html::page(&lines(email.text), &email.links)));

    let whole = if email.inside.is_empty() {
        texts
    } else {
        let whole = MultiPart::mixed().boundary(boundary(email, "files")).multipart(texts);
        email.inside.iter().map(file).fold(whole, MultiPart::singlepart)
    };

    Ok(message.multipart(whole)?.formatted())
}

/// Encodes the subject as lettre does, but for two kinds that it would leave as they are. One that
/// looks encoded although it is not, the reader's mail program would decode ([RFC 2047
/// §7](https://www.rfc-editor.org/rfc/rfc2047#section-7)); and of several blanks in a row, of which
/// some may stand at a line's end, servers and programs leave one.
fn subject(text: &str) -> HeaderValue {
    if !text.contains("=?") && !text.contains("  ") {
        return Subject::from(text.to_owned()).display();
    }
    let mut encoded = String::new();
    rfc2047::encode(text, &mut EmailWriter::new(&mut encoded, "Subject: ".len(), 0, false))
        .expect("a string takes it");
    HeaderValue::dangerous_new_pre_encoded(Subject::name(), text.to_owned(), encoded)
}

/// Returns `In-Reply-To` with the last message and `References` with all that are kept ([RFC 5322
/// §3.6.4](https://www.rfc-editor.org/rfc/rfc5322#section-3.6.4)). They are written by hand: a name
/// must not be broken over two lines, however long it is, and [`Thread`] takes no name that would
/// leave its header.
fn in_thread(thread: &Thread) -> Vec<HeaderValue> {
    let named: Vec<String> = thread.names().iter().map(|name| format!("<{name}>")).collect();
    let Some(last) = named.last() else { return Vec::new() };
    let header = |name: HeaderName, value: &[String]| {
        HeaderValue::dangerous_new_pre_encoded(name, value.join(" "), value.join("\r\n "))
    };
    vec![header(InReplyTo::name(), std::slice::from_ref(last)), header(References::name(), &named)]
}

/// Returns a boundary that no part can contain: neither of the two encodings ever makes `=_`
/// ([RFC 2045 §6.7](https://www.rfc-editor.org/rfc/rfc2045#section-6.7)).
fn boundary(email: &Email<'_>, of: &str) -> String {
    format!("=_{of}-{}", email.id)
}

/// Returns the text with one kind of line end.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn plain(email: &Email<'_>) -> String {
    let mut text = lines(email.text);
    for LinkedFile { filename, url, size } in &email.links {
        let filename: String =
            filename.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        text.push_str(&format!("\n\n{filename} ({})\n{url}", html::in_words(*size)));
    }
    text
}

/// Makes a part of text, always encoded, so that no mail server has a reason to change it.
fn text(kind: ContentType, text: String) -> SinglePart {
    let foreign = text.bytes().filter(|byte| !byte.is_ascii()).count();
    // Each byte beyond ASCII takes three characters in one encoding, and every byte a third more in
    // the other.
    let encoding = match foreign * 6 > text.len() {
        true => ContentTransferEncoding::Base64,
        false => ContentTransferEncoding::QuotedPrintable,
    };
    SinglePart::builder().header(kind).body(encoded(text, encoding))
}

fn file(InlineFile { filename, content_type, bytes }: &InlineFile) -> SinglePart {
    let one_line: String = filename
        .chars()
        .map(|c| if c.is_control() || "/\\".contains(c) { '_' } else { c })
        .collect();
    let name = without_encoded_words(&one_line);

    SinglePart::builder()
        .header(FileType::new(content_type, &name, bytes))
        .header(ContentDisposition::attachment(&name))
        .body(encoded(bytes.clone(), ContentTransferEncoding::Base64))
}

/// The `Content-Type` of a file. It has the file's name as well, encoded in the way of [RFC
/// 2047](https://www.rfc-editor.org/rfc/rfc2047): programs that do not know the one of [RFC
/// 2231](https://www.rfc-editor.org/rfc/rfc2231), which the `Content-Disposition` has, read it here.
#[derive(Clone)]
struct FileType {
    value: String,
}

impl FileType {
    fn new(content_type: &str, name: &str, bytes: &[u8]) -> FileType {
        let known =
            content_type.is_ascii().then(|| ContentType::parse(content_type).ok()).flatten();
        // A message inside would have to be left unencoded (RFC 2046 §5.2.1), and a multipart would
        // need its boundaries.
        let is_structured = ["message/", "multipart/"]
            .iter()
            .any(|kind| content_type.to_lowercase().starts_with(kind));
        let kind = match known {
            Some(_) if !is_structured => content_type,
            _ => "application/octet-stream",
        };

        let charset = charset(kind, bytes).map(|name| format!("; charset={name}"));
        let charset = charset.unwrap_or_default();
        FileType { value: format!("{kind}{charset};\r\n name=\"{}\"", encoded_name(name)) }
    }
}

impl Header for FileType {
    fn name() -> HeaderName {
        ContentType::name()
    }

    fn parse(_: &str) -> Result<FileType, Box<dyn std::error::Error + Send + Sync>> {
        Err("mails are written here, and not read".into())
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::dangerous_new_pre_encoded(Self::name(), self.value.clone(), self.value.clone())
    }
}

/// Returns the charset to add to a text's type, as far as its bytes show one. A text without is read
/// as ASCII ([RFC 2046 §4.1.2](https://www.rfc-editor.org/rfc/rfc2046#section-4.1.2)).
fn charset(kind: &str, bytes: &[u8]) -> Option<&'static str> {
    if !kind.starts_with("text/") || kind.contains("charset=") {
        None
    } else if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        Some("utf-16")
    } else {
        std::str::from_utf8(bytes).is_ok().then_some("utf-8")
    }
}

/// Returns a name as it stands between quotes.
fn encoded_name(name: &str) -> String {
    if name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return name.replace('\\', "\\\\").replace('"', "\\\"");
    }

    let mut words = String::new();
    rfc2047::encode(name, &mut EmailWriter::new(&mut words, " name=\"".len(), 0, false))
        .expect("a string takes it");
    words
}

fn encoded(of: impl Into<lettre::message::MaybeString>, encoding: ContentTransferEncoding) -> Body {
    Body::new_with_encoding(of, encoding).expect("these two can encode anything")
}

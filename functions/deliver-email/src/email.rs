//! The contents of a mail before it is encoded: sender, recipient, subject, thread, text and files.

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::message::Mailbox;

use domain::MessageId;
use domain::delivery::Thread;

/// The subject of a conversation that has none.
pub const DEFAULT_SUBJECT: &str = "A message for you";

/// The longest subject, in characters. Mail programs show no more, and some mail servers take a
/// much longer one for an attack.
const MAX_SUBJECT_CHARACTERS: usize = 200;

/// A mail.
#[derive(Debug, Clone)]
pub struct Email<'a> {
    /// The message's id. Boundaries are made of it, so that the same message always makes the same
    /// mail.
    pub id: MessageId,
    /// The sender.
    pub from: Mailbox,
    /// The recipient.
    pub to: Mailbox,
    /// The address for answers.
    pub reply_to: Address,
    /// The subject, on one line.
    pub subject: String,
    /// The messages that came before.
    pub thread: &'a Thread,
    /// The time at which the agent wrote.
    pub date: DateTime<Utc>,
    /// The text.
    pub text: &'a str,
    /// The files inside the mail.
    pub inside: Vec<InlineFile>,
    /// The files that the mail links to.
    pub links: Vec<LinkedFile>,
}

/// A file that is part of the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// The name the agent gave it.
    pub filename: String,
    /// Its media type.
    pub content_type: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A file that the mail links to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedFile {
    /// The name the agent gave it.
    pub filename: String,
    /// Its address.
    pub url: String,
    /// Size in bytes.
    pub size: u64,
}

/// Returns the conversation's subject as an answer to it, on one line. Mail programs put mails into
/// one thread only if their subjects differ in nothing but such a prefix ([RFC 5322
/// §3.6.5](https://www.rfc-editor.org/rfc/rfc5322#section-3.6.5)).
#[must_use]
pub fn subject(of_conversation: Option<&str>, thread: &Thread) -> String {
    let clean: String = of_conversation
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();

    let words: Vec<&str> = clean.split_whitespace().collect();
    let subject: String = words.join(" ").chars().take(MAX_SUBJECT_CHARACTERS).collect();
    match subject.trim_end() {
        "" if thread.is_empty() => DEFAULT_SUBJECT.to_owned(),
        "" => format!("Re: {DEFAULT_SUBJECT}"),
        subject if is_answer(subject) => subject.to_owned(),
        subject => format!("Re: {subject}"),
    }
}

/// Returns whether a subject has the prefix of an answer already, in English or in the words of
/// mail programs in other languages.
fn is_answer(subject: &str) -> bool {
    let prefix = subject.split_once(':').map_or("", |(prefix, _)| prefix);
    ["re", "aw", "sv", "antw", "vs", "odp", "ynt", "res", "回复", "回覆", "回信"]
        .contains(&prefix.trim_end().to_lowercase().as_str())
}

/// Returns an address as SES takes it: letters beyond ASCII only in its domain, and that in
/// Punycode
/// ([`Destination`](https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html)).
/// `None` if the text is no address, or cannot be written so.
#[must_use]
pub fn address(text: &str) -> Option<Address> {
    let (local, domain) = text.trim().rsplit_once('@')?;
    let domain = idna::domain_to_ascii(domain).ok()?;
    let address = Address::new(local, domain).ok()?;
    // lettre allows more than mail without SMTPUTF8 can carry.
    local.is_ascii().then_some(address)
}

/// Returns a sender with or without a name, with its address as SES takes it.
#[must_use]
pub fn sender(text: &str) -> Option<Mailbox> {
    let (name, bare) = match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, bare)) => (name.trim().trim_matches('"'), bare),
        None => ("", text),
    };
    let name = name.chars().filter(|c| !c.is_control()).collect::<String>();
    Some(Mailbox::new((!name.is_empty()).then_some(name), address(bare)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_answers_once_and_stays_on_its_line() {
        let (fresh, begun) = (Thread::default(), Thread::begun_by("1@example.com"));
        let subject_of = |text: &str| subject(Some(text), &fresh);
        assert_eq!(subject_of("Where is my parcel?"), "Re: Where is my parcel?");
        for answer in
            ["Re: your order", "RE: your order", "AW: Bestellung", "Re : order", "回复: 订单"]
        {
            assert_eq!(subject_of(answer), answer, "it is an answer already");
        }

        assert_eq!(subject_of("Reply: x"), "Re: Reply: x");
        assert_eq!(
            subject_of("Your order\r\nBcc: x@example.com\u{0}"),
            "Re: Your order Bcc: x@example.com"
        );

        assert_eq!(subject_of("  "), "A message for you");
        assert_eq!(subject(None, &fresh), "A message for you");
        assert_eq!(subject(None, &begun), "Re: A message for you");
        let long = subject_of(&"ä".repeat(1_000));
        assert_eq!(long, format!("Re: {}", "ä".repeat(200)));
    }

    #[test]
    fn an_address_is_one_that_ses_can_write_to() {
        let address_of = |text| address(text).map(|address| address.to_string());
        assert_eq!(address_of(" anna@example.com"), Some("anna@example.com".into()));
        assert_eq!(address_of("anna@bücher.example"), Some("anna@xn--bcher-kva.example".into()));

        for odd in [
            "",
            "anna",
            "@example.com",
            "änna@example.com",
            "a b@example.com",
            "a@b.example\r\nBcc: c@d.example",
        ] {
            assert_eq!(address_of(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_sender_may_have_a_name() {
        let sender_of = |text| sender(text).map(|sender| (sender.name, sender.email.to_string()));
        let shop = "shop@example.com".to_owned();
        assert_eq!(sender_of("shop@example.com"), Some((None, shop.clone())));
        assert_eq!(
            sender_of("Zoë's Shop <shop@example.com>"),
            Some((Some("Zoë's Shop".into()), shop.clone()))
        );
        assert_eq!(
            sender_of("\"Shop, the\" <shop@example.com>"),
            Some((Some("Shop, the".into()), shop))
        );
        assert_eq!(sender_of("Shop"), None);
    }
}

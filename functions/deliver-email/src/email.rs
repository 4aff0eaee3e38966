//! What a mail is made of, before it is one: who writes to whom, under which subject, in which
//! thread, with which files.

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::message::Mailbox;

use domain::MessageId;
use domain::delivery::Thread;

/// The subject of a conversation that has none.
pub const DEFAULT_SUBJECT: &str = "A message for you";

/// The longest subject, in characters. Nobody reads more, and what is much longer some mail servers
/// take for an attack.
const LONGEST_SUBJECT: usize = 200;

/// A mail.
#[derive(Debug, Clone)]
pub struct Email<'a> {
    /// The message; boundaries are made of it, so that the same message is the same mail, however
    /// often it is built.
    pub id: MessageId,
    /// Who writes.
    pub from: Mailbox,
    /// To whom.
    pub to: Mailbox,
    /// Where answers go.
    pub reply_to: Address,
    /// Of one line.
    pub subject: String,
    /// What came before.
    pub thread: &'a Thread,
    /// When the agent wrote.
    pub date: DateTime<Utc>,
    /// The text.
    pub text: &'a str,
    /// The files that go along.
    pub inside: Vec<InlineFile>,
    /// The files that stay where they are.
    pub links: Vec<LinkedFile>,
}

/// A file that is part of the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// The name the agent gave it.
    pub filename: String,
    /// Its media type.
    pub content_type: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// A file that the mail links to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedFile {
    /// The name the agent gave it.
    pub filename: String,
    /// Where it is.
    pub url: String,
    /// Size in bytes.
    pub size: u64,
}

/// The subject: the conversation's, as an answer to it, on one line. Mail programs put mails into
/// one thread only if their subjects agree but for such a prefix ([RFC 5322
/// §3.6.5](https://www.rfc-editor.org/rfc/rfc5322#section-3.6.5)).
#[must_use]
pub fn subject(of_conversation: Option<&str>, thread: &Thread) -> String {
    let clean: String = of_conversation
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let words: Vec<&str> = clean.split_whitespace().collect();
    let subject: String = words.join(" ").chars().take(LONGEST_SUBJECT).collect();
    match subject.trim_end() {
        "" if thread.is_empty() => DEFAULT_SUBJECT.to_owned(),
        "" => format!("Re: {DEFAULT_SUBJECT}"),
        subject if is_answer(subject) => subject.to_owned(),
        subject => format!("Re: {subject}"),
    }
}

/// Whether a subject says already that it answers, in English or as mail programs in other
/// languages say it.
fn is_answer(subject: &str) -> bool {
    let said =
        subject.split_once(':').map(|(said, _)| said.trim_end().to_lowercase()).unwrap_or_default();
    ["re", "aw", "sv", "antw", "vs", "odp", "ynt", "res", "回复", "回覆", "回信"]
        .contains(&said.as_str())
}

/// An address as SES takes it: letters beyond ASCII only in its domain, and that in Punycode
/// ([`Destination`](https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html)).
/// `None` if it is none, or cannot be written so.
#[must_use]
pub fn address(text: &str) -> Option<Address> {
    let (local, domain) = text.trim().rsplit_once('@')?;
    let domain = idna::domain_to_ascii(domain).ok()?;
    let address = Address::new(local, domain).ok()?;
    // lettre allows more than mail without SMTPUTF8 can carry.
    local.is_ascii().then_some(address)
}

/// A sender with or without a name, the same.
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
        let told = |text: &str| subject(Some(text), &fresh);
        assert_eq!(told("Where is my parcel?"), "Re: Where is my parcel?");
        for answer in
            ["Re: your order", "RE: your order", "AW: Bestellung", "Re : order", "回复：订单:"]
        {
            assert_eq!(
                told(answer).matches("Re: ").count(),
                usize::from(!is_answer(answer) || answer.starts_with("Re: "))
            );
        }
        assert_eq!(told("Reply: x"), "Re: Reply: x");
        assert_eq!(
            told("Your order\r\nBcc: x@example.com\u{0}"),
            "Re: Your order Bcc: x@example.com"
        );
        assert_eq!(
            (told("  "), subject(None, &fresh)),
            (DEFAULT_SUBJECT.into(), DEFAULT_SUBJECT.into())
        );
        assert_eq!(subject(None, &begun), "Re: A message for you");
        assert_eq!(told(&"ä".repeat(1_000)).chars().count(), LONGEST_SUBJECT + "Re: ".len());
    }

    #[test]
    fn an_address_is_one_that_ses_can_write_to() {
        let told = |text| address(text).map(|address| address.to_string());
        assert_eq!(told(" anna@example.com"), Some("anna@example.com".into()));
        assert_eq!(told("anna@bücher.example"), Some("anna@xn--bcher-kva.example".into()));
        for odd in [
            "",
            "anna",
            "@example.com",
            "änna@example.com",
            "a b@example.com",
            "a@b.example\r\nBcc: c@d.example",
        ] {
            assert_eq!(told(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_sender_may_have_a_name() {
        let told = |text| sender(text).map(|sender| (sender.name, sender.email.to_string()));
        let shop = "shop@example.com".to_owned();
        assert_eq!(told("shop@example.com"), Some((None, shop.clone())));
        assert_eq!(
            told("Zoë's Shop <shop@example.com>"),
            Some((Some("Zoë's Shop".into()), shop.clone()))
        );
        assert_eq!(
            told("\"Shop, the\" <shop@example.com>"),
            Some((Some("Shop, the".into()), shop))
        );
        assert_eq!(told("Shop"), None);
    }
}

//! The contents of a mail before it is encoded: sender, recipient, subject, thread, text and files.

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::message::Mailbox;

use domain::MessageId;
use domain::channel::email::{self, NamedAddress};
use domain::delivery::Thread;
use domain::text::without_encoded_words;
use platform::encoded_word;

/// The subject of a conversation that has none.
pub const DEFAULT_SUBJECT: &str = "A message for you";

/// The prefixes of answers in mail programs' languages ([list of e-mail subject
/// abbreviations](https://en.wikipedia.org/wiki/List_of_email_subject_abbreviations#Abbreviations_in_other_languages)),
/// in lower case.
const ANSWER_PREFIXES: [&str; 30] = [
    "re",
    "aw",
    "antw",
    "antwort",
    "sv",
    "svar",
    "vs",
    "odp",
    "ynt",
    "yan",
    "res",
    "r",
    "rif",
    "atb",
    "bls",
    "tl",
    "trả lời",
    "vá",
    "απ",
    "σχετ",
    "на",
    "отв",
    "ответ",
    "відп",
    "رد",
    "השב",
    "回复",
    "回覆",
    "答复",
    "返信",
];

/// A mail.
#[derive(Clone)]
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
#[derive(Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// The name the agent gave it.
    pub filename: String,
    /// Its media type.
    pub content_type: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A file that the mail links to.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkedFile {
    /// The name the agent gave it.
    pub filename: String,
    /// Its address.
    pub url: String,
    /// Size in bytes.
    pub size: u64,
}

/// Returns the conversation's subject as an answer to it, on one line, and otherwise word for word.
/// Mail programs put mails into one thread only if their subjects differ in nothing but such a
/// prefix ([RFC 5322 §3.6.5](https://www.rfc-editor.org/rfc/rfc5322#section-3.6.5)).
#[must_use]
pub fn subject(of_conversation: Option<&str>, thread: &Thread) -> String {
    let line = unfolded(of_conversation.unwrap_or_default());
    match line.trim() {
        "" if thread.is_empty() => DEFAULT_SUBJECT.to_owned(),
        "" => format!("Re: {DEFAULT_SUBJECT}"),
        subject if is_answer(subject) => subject.to_owned(),
        subject => format!("Re: {subject}"),
    }
}

/// Returns a header's value on one line: a line end before a blank is dropped ([RFC 5322
/// §2.2.3](https://www.rfc-editor.org/rfc/rfc5322#section-2.2.3)), and other line ends and control
/// characters become a space.
fn unfolded(text: &str) -> String {
    let mut lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    let joined = lines.fold(first, |joined, line| {
        let blank = if line.starts_with([' ', '\t']) { "" } else { " " };
        joined + blank + line
    });
    joined.chars().map(|one| if one.is_control() { ' ' } else { one }).collect()
}

/// Returns whether a subject has the prefix of an answer already. Some programs put a blank before
/// the colon, East Asian ones a wide colon behind, and some count the answers: `Re[2]:`, `Re^3:`.
fn is_answer(subject: &str) -> bool {
    let Some((prefix, _)) = subject.split_once([':', '：']) else { return false };
    let is_count = |one: char| one.is_ascii_digit() || "[]()^*".contains(one);
    let word = prefix.trim_end().trim_end_matches(is_count).trim_end().to_lowercase();
    ANSWER_PREFIXES.contains(&word.trim_end_matches('.'))
}

/// Returns an address as SES takes it ([`domain::channel::email::Address`]); `None` if the text is
/// no address, or cannot be written so.
#[must_use]
pub fn address(text: &str) -> Option<Address> {
    email::Address::parse(text).and_then(built)
}

fn built(address: email::Address) -> Option<Address> {
    Address::new(address.local, address.domain).ok()
}

/// Returns a sender with or without a name, with its address as SES takes it. A name that is stored
/// as encoded words is decoded; encoded once more, it would be shown as it is stored.
#[must_use]
pub fn sender(text: &str) -> Option<Mailbox> {
    let NamedAddress { name, address } = NamedAddress::parse(text)?;

    let decoded = encoded_word::decode(&name);
    let plain: String = decoded.chars().filter(|one| !one.is_control()).collect();
    let name = without_encoded_words(plain.trim());
    Some(Mailbox::new((!name.is_empty()).then_some(name), built(address)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_answers_once_and_stays_on_its_line() {
        let fresh = Thread::default();
        let begun = Thread::begun_by("1@example.com");
        let subject_of = |text: &str| subject(Some(text), &fresh);
        assert_eq!(subject_of("Where is my parcel?"), "Re: Where is my parcel?");
        assert_eq!(
            subject_of("Your order\r\nBcc: x@example.com\u{0}"),
            "Re: Your order Bcc: x@example.com"
        );
        assert_eq!(
            subject_of("a long subject\r\n  that was folded\r\n\ttwice"),
            "Re: a long subject  that was folded twice"
        );

        assert_eq!(subject_of("  "), "A message for you");
        assert_eq!(subject(None, &fresh), "A message for you");
        assert_eq!(subject(None, &begun), "Re: A message for you");
    }

    #[test]
    fn a_subject_that_answers_already_is_left_as_it_is() {
        for answer in [
            "Re: your order",
            "RE: your order",
            "Re : votre commande",
            "AW: Bestellung",
            "Antwort: Bestellung",
            "Antw.: Bestellung",
            "SV: bestilling",
            "VS: tilaus",
            "Odp: zamówienie",
            "YNT: sipariş",
            "RES: pedido",
            "R: ordine",
            "RIF: ordine",
            "Vá: rendelés",
            "ΑΠ: παραγγελία",
            "ΣΧΕΤ: παραγγελία",
            "Отв: заказ",
            "Ответ: заказ",
            "НА: заказ",
            "Trả lời: đơn hàng",
            "BLS: pesanan",
            "השב: הזמנה",
            "رد: طلب",
            "回复：订单",
            "回覆: 訂單",
            "答复：订单:",
            "返信：注文",
            "Re：注文",
            "Re[2]: your order",
            "RE(3): your order",
            "Re^2: your order",
        ] {
            assert_eq!(subject(Some(answer), &Thread::default()), answer);
        }

        for first in [
            "Reply: x",
            "Fwd: your order",
            "Order 4: where is it",
            "Re your order",
            "re",
            "12: x",
            "： x",
        ] {
            assert_eq!(subject(Some(first), &Thread::default()), format!("Re: {first}"));
        }
    }

    /// A mail program that finds another subject begins a new thread.
    #[test]
    fn a_subject_is_not_reworded() {
        let long = "Where is my parcel? ".repeat(30);
        for text in
            ["Two  blanks,   three", "a\u{a0}b", long.trim(), &"ä".repeat(1_000), "=?utf-8?q?x?="]
        {
            assert_eq!(subject(Some(text), &Thread::default()), format!("Re: {text}"));
        }
    }

    #[test]
    fn an_address_is_one_that_ses_can_write_to() {
        let address_of = |text| address(text).map(|address| address.to_string());
        assert_eq!(address_of(" anna@example.com"), Some("anna@example.com".into()));
        assert_eq!(address_of("anna@bücher.example"), Some("anna@xn--bcher-kva.example".into()));
        assert_eq!(address_of("\"anna\"@example.com"), Some("anna@example.com".into()));
        assert_eq!(address_of("a\r\nBcc: c@d.example"), None);
    }

    #[test]
    fn a_sender_is_shown_by_the_name_that_was_meant() {
        for (text, name) in [
            ("shop@example.com", None),
            ("Zoë's Shop <shop@example.com>", Some("Zoë's Shop")),
            ("\"Shop, the\" <shop@example.com>", Some("Shop, the")),
            ("\"Bob \\\"B\\\" Smith\" <shop@example.com>", Some("Bob \"B\" Smith")),
            ("=?utf-8?Q?Zo=C3=AB?= <shop@example.com>", Some("Zoë")),
            ("\"=?iso-8859-1?B?Wm/r?= Shop\" <shop@example.com>", Some("Zoë Shop")),
            ("=?klingon?Q?x?= <shop@example.com>", Some("=_klingon?Q?x?=")),
            ("Shop\r\nBcc: a@b.example <shop@example.com>", Some("ShopBcc: a@b.example")),
        ] {
            let sender = sender(text).expect("a sender");
            assert_eq!(
                (sender.name.as_deref(), sender.email.to_string()),
                (name, "shop@example.com".into())
            );
        }
        assert_eq!(sender("Shop"), None);
    }
}

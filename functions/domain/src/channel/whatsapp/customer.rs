//! The names by which Meta knows a customer: their phone number, a user id, or both.
//!
//! | subject | source |
//! |---|---|
//! | user ids | [business-scoped user IDs](https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids/): customers with a user name may come without their number, and are written to by `recipient` |
//! | changes | [system messages](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/system/): `user_changed_number`, `user_changed_user_id` |
//! | Brazil | Mobile numbers got a ninth digit, and WhatsApp knows older accounts without it ([waha](https://waha.devlike.pro/docs/apps/brazilian-phone-numbers/), [Chatwoot](https://github.com/chatwoot/chatwoot/issues/5840)) |
//! | Mexico | WhatsApp writes a 1 behind the country code, which numbers have not had [since 2019](https://waha.devlike.pro/docs/apps/phone-numbers/) |
//! | Argentina | WhatsApp writes the 9 of calls from abroad behind the country code, or does not ([Chatwoot](https://github.com/chatwoot/chatwoot/issues/13932)) |

use std::fmt;

/// The longest phone number, in digits ([E.164](https://www.itu.int/rec/T-REC-E.164)).
pub(super) const MAX_DIGITS: usize = 15;

/// One of the names of a customer on WhatsApp.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CustomerId {
    /// A phone number, in digits with its country code.
    Number(String),
    /// A business-scoped user ID, such as `US.13491208655302741918`, or that of a parent business,
    /// such as `US.ENT.11815799212886844830`.
    UserId(String),
}

impl fmt::Debug for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerId(…)")
    }
}

impl CustomerId {
    /// Parses a name, as Meta or a conversation has it; `None` for a text without a digit, or with
    /// more of them than a number has.
    #[must_use]
    pub fn parse(text: &str) -> Option<CustomerId> {
        let text = text.trim();
        if is_user_id(text) {
            return Some(CustomerId::UserId(text.to_owned()));
        }
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        (1..=MAX_DIGITS).contains(&digits.len()).then_some(CustomerId::Number(digits))
    }

    /// Returns the name by which conversations are found: the same for every way to write a number.
    #[must_use]
    pub fn lookup_key(&self) -> String {
        match self {
            CustomerId::Number(digits) => one_spelling(digits),
            CustomerId::UserId(id) => id.clone(),
        }
    }

    /// Returns which of a customer's new names takes the place of this one: the first of the same
    /// kind, or else the first.
    #[must_use]
    pub fn replaced_by<'a>(&self, new: &'a [CustomerId]) -> Option<&'a CustomerId> {
        let same_kind =
            |other: &&CustomerId| std::mem::discriminant(*other) == std::mem::discriminant(self);
        new.iter().find(same_kind).or_else(|| new.first())
    }

    /// Returns the name as Meta writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            CustomerId::Number(digits) => digits,
            CustomerId::UserId(id) => id,
        }
    }
}

/// True for a country's two letters, perhaps `ENT`, and up to 128 letters and digits, with dots
/// between them.
fn is_user_id(text: &str) -> bool {
    let Some((country, rest)) = text.split_once('.') else { return false };
    let id = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|letter| letter.is_ascii_uppercase())
        && (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Returns one spelling of a number that WhatsApp may write in two ways.
fn one_spelling(digits: &str) -> String {
    let is_mobile = |subscriber: &str| subscriber.starts_with(['6', '7', '8', '9']);
    match (digits.get(..2), digits.len()) {
        // 55, two digits of the area, eight of the subscriber.
        (Some("55"), 12) if is_mobile(&digits[4..]) => {
            format!("{}9{}", &digits[..4], &digits[4..])
        }
        (Some("52"), 13) if digits.starts_with("521") => format!("52{}", &digits[3..]),
        (Some("54"), 13) if digits.starts_with("549") => format!("54{}", &digits[3..]),
        _ => digits.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        CustomerId::parse(text).expect("a name").lookup_key()
    }

    #[test]
    fn a_name_is_a_number_or_a_user_id() {
        let number = |digits: &str| Some(CustomerId::Number(digits.to_owned()));
        let user_id = |id: &str| Some(CustomerId::UserId(id.to_owned()));
        let long = format!("BR.{}", "7".repeat(128));

        for (text, parsed) in [
            ("16505551234", number("16505551234")),
            (" +1 (650) 555-1234 ", number("16505551234")),
            ("US.13491208655302741918", user_id("US.13491208655302741918")),
            ("US.ENT.11815799212886844830", user_id("US.ENT.11815799212886844830")),
            ("BR.aB3", user_id("BR.aB3")),
            (&long, user_id(&long)),
            (&format!("{long}7"), None),
            (&"7".repeat(15), number(&"7".repeat(15))),
            (&"7".repeat(16), None),
            ("us.1", number("1")),
            ("US.1.2", number("12")),
            ("USA.1", number("1")),
            ("US.ENT.", None),
            ("US.", None),
            ("visitor", None),
            ("", None),
        ] {
            assert_eq!(CustomerId::parse(text), parsed, "{text}");
        }
    }

    #[test]
    fn both_spellings_of_a_number_find_the_same_customer() {
        for (one, other) in [
            ("+55 31 98888-7777", "553188887777"),
            ("+55 11 96123-4567", "551161234567"),
            ("+52 55 1234 5678", "5215512345678"),
            ("+54 11 2345-6789", "5491123456789"),
            ("+54 9 223 555-1234", "542235551234"),
        ] {
            assert_eq!(key(one), key(other), "{one}");
        }
    }

    #[test]
    fn other_numbers_keep_their_digits() {
        for digits in [
            "551133334444",   // a landline of São Paulo
            "5531988887777",  // a mobile number with its ninth digit
            "525512345678",   // Mexico without the 1
            "541123456789",   // Argentina without the 9
            "5511",           // too short for any of them
            "55119888877770", // too long
            "5233312345678",  // as long as Mexico with the 1, and without it
            "5433312345678",  // as long as Argentina with the 9, and without it
            "16505551234",
            "5212345",
            "549",
        ] {
            assert_eq!(key(digits), digits);
        }
        assert_ne!(key("551133334444"), key("5511933334444"), "a landline is no mobile number");
    }

    #[test]
    fn a_new_name_of_the_same_kind_replaces_the_old_one() {
        let id = |text: &str| CustomerId::parse(text).expect("a name");
        let new = [id("16505550000"), id("US.2"), id("US.ENT.3")];
        assert_eq!(id("16505551234").replaced_by(&new), Some(&new[0]));
        assert_eq!(id("US.1").replaced_by(&new), Some(&new[1]));
        assert_eq!(id("16505551234").replaced_by(&new[1..]), Some(&new[1]));
        assert_eq!(id("16505551234").replaced_by(&[]), None);
    }
}

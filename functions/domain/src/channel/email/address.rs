//! Addresses that SES can write to and from: ASCII before the `@`, a domain in Punycode behind it
//! ([`Destination`](https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html)).
//!
//! Two forms of [RFC 5321 §4.1.2](https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2) are refused:
//! a quoted local part that needs its quotes, and an address literal (`anna@[192.0.2.1]`). SES says
//! of neither that it takes them, and no mail program makes them.

use std::fmt;

/// The longest local part and the longest address, in bytes ([RFC 5321
/// §4.5.3.1](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1); a path of 256 has two
/// brackets).
const MAX_LOCAL_BYTES: usize = 64;
const MAX_ADDRESS_BYTES: usize = 254;

/// The longest label of a domain, in bytes ([RFC 1035
/// §2.3.4](https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4)).
const MAX_LABEL_BYTES: usize = 63;

/// An address as SES takes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// The part before the `@`, without quotes.
    pub local: String,
    /// The domain, in Punycode and in lower case.
    pub domain: String,
}

impl Address {
    /// Parses an address, blanks around it left out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Address> {
        let (local, domain) = text.trim().rsplit_once('@')?;
        // Quotes that are not needed are left out (RFC 5321 §4.1.2).
        let local = local
            .strip_prefix('"')
            .and_then(|local| local.strip_suffix('"'))
            .filter(|inner| is_dot_atom(inner))
            .unwrap_or(local);
        let domain = idna::domain_to_ascii(domain).ok()?;

        let address = Address { local: local.to_owned(), domain };
        let fits = address.local.len() <= MAX_LOCAL_BYTES
            && address.local.len() + 1 + address.domain.len() <= MAX_ADDRESS_BYTES;
        (fits && is_dot_atom(&address.local) && is_domain(&address.domain)).then_some(address)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// A sender: an address, perhaps behind a name.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedAddress {
    /// The name without its quotes, empty if there is none. It may have encoded words in it.
    pub name: String,
    /// The address.
    pub address: Address,
}

impl fmt::Debug for NamedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamedAddress(…)")
    }
}

impl NamedAddress {
    /// Parses `anna@example.com`, `Anna <anna@example.com>` or `"Anna, \"the\" agent" <…>` ([RFC 5322
    /// §3.4](https://www.rfc-editor.org/rfc/rfc5322#section-3.4)).
    #[must_use]
    pub fn parse(text: &str) -> Option<NamedAddress> {
        let text = text.trim();
        match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, address)) => Some(NamedAddress {
                name: unquoted(name.trim()),
                address: Address::parse(address)?,
            }),
            None => Some(NamedAddress { name: String::new(), address: Address::parse(text)? }),
        }
    }
}

/// Takes the quotes off a name, and the backslash off what is escaped in it ([RFC 5322
/// §3.2.4](https://www.rfc-editor.org/rfc/rfc5322#section-3.2.4)).
fn unquoted(name: &str) -> String {
    let Some(inner) = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) else {
        return name.to_owned();
    };

    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(one) = characters.next() {
        let escaped = if one == '\\' { characters.next() } else { None };
        plain.push(escaped.unwrap_or(one));
    }
    plain
}

/// True for words of ordinary characters between single dots ([RFC 5322
/// §3.2.3](https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3)).
fn is_dot_atom(text: &str) -> bool {
    let is_atext =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    text.split('.').all(|word| !word.is_empty() && word.bytes().all(is_atext))
}

/// True for at least two labels of letters, digits and inner hyphens, the last of them no number.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();

    text.contains('.')
        && text.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<String> {
        Address::parse(text).map(|address| address.to_string())
    }

    #[test]
    fn an_address_is_one_that_ses_can_write_to() {
        for (given, address) in [
            (" anna@example.com", "anna@example.com"),
            ("anna@bücher.example", "anna@xn--bcher-kva.example"),
            ("anna@Example.COM", "anna@example.com"),
            ("Anna.O'Hara+orders@mail.example.co.uk", "Anna.O'Hara+orders@mail.example.co.uk"),
            ("\"anna\"@example.com", "anna@example.com"),
            ("anna@例え.テスト", "anna@xn--r8jz45g.xn--zckzah"),
            ("!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"),
        ] {
            assert_eq!(read(given).as_deref(), Some(address), "{given}");
        }
    }

    #[test]
    fn an_address_has_at_most_254_bytes_of_which_64_are_before_the_at() {
        let domain = |last: usize| {
            format!("{}.{}.com", ["x".repeat(60).as_str(); 3].join("."), "y".repeat(last))
        };
        let address = |local: usize, last| format!("{}@{}", "a".repeat(local), domain(last));

        assert_eq!(address(64, 2).len(), 254);
        assert!(read(&address(64, 2)).is_some());
        assert_eq!(read(&address(64, 3)), None);
        assert_eq!(read(&address(65, 1)), None);
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("{}@example.com", "x".repeat(65));
        let longer = format!("anna@{}.com", ["x".repeat(60).as_str(); 5].join("."));
        for odd in [
            "",
            "anna",
            "@example.com",
            "anna@",
            "anna@example",
            "anna@localhost",
            "änna@example.com",
            "a b@example.com",
            "anna@@example.com",
            "anna@exa mple.com",
            "anna@example..com",
            "anna@-example.com",
            "anna@exam_ple.com",
            ".anna@example.com",
            "anna.@example.com",
            "an..na@example.com",
            "\"an na\"@example.com",
            "\"anna@home\"@example.com",
            "anna@[192.0.2.1]",
            "anna@[IPv6:2001:db8::1]",
            "anna@192.0.2.1",
            "anna(comment)@example.com",
            "Anna <anna@example.com>",
            "anna@example.com, bert@example.com",
            "anna@example.com;bert@example.com",
            "mailto:anna@example.com?subject=x",
            "a@b.example\r\nBcc: c@d.example",
            "anna\0@example.com",
            &long,
            &longer,
        ] {
            assert_eq!(read(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_sender_may_have_a_name() {
        for (given, name) in [
            ("shop@example.com", ""),
            ("<shop@example.com>", ""),
            ("Zoë's Shop <shop@example.com>", "Zoë's Shop"),
            ("\"Shop, the\" <shop@example.com>", "Shop, the"),
            ("\"Bob \\\"B\\\" Smith\" <shop@example.com>", "Bob \"B\" Smith"),
            ("\"back\\\\slash\" <shop@example.com>", "back\\slash"),
            ("\"Shop\\\" <shop@example.com>", "Shop\\"),
            ("\"a <b> c\" <shop@example.com>", "a <b> c"),
        ] {
            let sender = NamedAddress::parse(given).expect("a sender");
            assert_eq!(
                (sender.name.as_str(), sender.address.to_string().as_str()),
                (name, "shop@example.com")
            );
        }
        for odd in ["Shop", "Shop <shop>", "Shop <shop@example.com", "Shop <>", ""] {
            assert_eq!(NamedAddress::parse(odd), None, "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_one_line_of_ascii_without_blanks(text in "\\PC{0,40}|[ -~]{0,30}@[ -~]{0,30}|[a-z\"\\r\\n<>@.]{0,20}") {
            if let Some(address) = read(&text) {
                prop_assert!(address.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert_eq!(read(&address), Some(address.clone()), "it is read again as it is");
            }
        }
    }
}

//! Encoded words, `=?charset?B or Q?…?=`: how mails and forms write what is not ASCII ([RFC
//! 2047](https://www.rfc-editor.org/rfc/rfc2047)).

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use encoding_rs::Encoding;
use percent_encoding::percent_decode;

/// Decodes the encoded words of a text. Blanks between two of them are not part of it
/// ([§6.2](https://www.rfc-editor.org/rfc/rfc2047#section-6.2)); a word that cannot be decoded
/// stays.
#[must_use]
pub fn decode(text: &str) -> String {
    let mut decoded = String::new();
    let mut rest = text;
    let mut follows_word = false;

    while let Some(place) = rest.find("=?") {
        let (before, word) = rest.split_at(place);
        let Some((text, left)) = decode_word(word) else {
            decoded.push_str(&rest[..place + 2]);
            rest = &rest[place + 2..];
            follows_word = false;
            continue;
        };

        if !(follows_word && before.trim().is_empty()) {
            decoded.push_str(before);
        }
        decoded.push_str(&text);
        rest = left;
        follows_word = true;
    }

    decoded + rest
}

/// Decodes bytes whose charset is said; `None` if they are not in it, or if it is not known.
#[must_use]
pub fn decode_charset(label: &[u8], bytes: &[u8]) -> Option<String> {
    let encoding = Encoding::for_label(label)?;
    encoding.decode_without_bom_handling_and_without_replacement(bytes).map(Cow::into_owned)
}

/// Decodes the encoded word that a text begins with, and returns what follows it. A word has no
/// `?` but the four that make it ([§2](https://www.rfc-editor.org/rfc/rfc2047#section-2)). So the
/// fourth is its end or it is none, and no beginning has the whole rest of the text searched.
fn decode_word(text: &str) -> Option<(String, &str)> {
    let (label, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (encoded, rest) = rest.split_once('?')?;
    let rest = rest.strip_prefix('=')?;

    // A language may follow the charset (RFC 2231 §5).
    let label = label.split('*').next().unwrap_or_default();
    let bytes = match encoding {
        "B" | "b" => BASE64_STANDARD.decode(encoded).ok()?,
        "Q" | "q" => {
            let percent = encoded.replace('%', "%25").replace('_', " ").replace('=', "%");
            percent_decode(percent.as_bytes()).collect()
        }
        _ => return None,
    };
    Some((decode_charset(label.as_bytes(), &bytes)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2047 §8 has the first six, and what a reader shows for each.
    #[test]
    fn encoded_words_are_decoded_as_the_rfc_shows_them() {
        for (text, shown) in [
            ("=?ISO-8859-1?Q?a?=", "a"),
            ("=?ISO-8859-1?Q?a?= b", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a?=\r\n   =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a_b?=", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
            ("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
            ("=?iso-2022-jp?B?GyRCJUYlOSVIGyhC?=", "テスト"),
            ("=?utf-8?q?50%=25?=", "50%%"),
            ("=?utf-8?q?a", "=?utf-8?q?a"),
            ("=?klingon?q?a?= b", "=?klingon?q?a?= b"),
            ("=?utf-8?b?!?=", "=?utf-8?b?!?="),
            ("=?utf-8?q?=EB?=", "=?utf-8?q?=EB?="),
            ("=?utf-8?q?a?b?=", "=?utf-8?q?a?b?="),
            ("=?utf-8?q?a=?utf-8?q?b?=", "=?utf-8?q?ab"),
            ("plain = text?", "plain = text?"),
        ] {
            assert_eq!(decode(text), shown, "{text}");
        }
    }
}

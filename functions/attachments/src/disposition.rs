//! The names in a part's `Content-Disposition`, in the spellings of the world's clients.
//!
//! | client | writes `Zoë.txt` as | source |
//! |---|---|---|
//! | browsers, curl, urllib3 2, Go | UTF-8 as it is, `"` and line ends as `%22`, `%0D`, `%0A` | [HTML](https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data) |
//! | pages that are not in UTF-8, Apache HttpClient with a charset | Latin-1 or Shift_JIS as it is | [RFC 7578 §5.1.2](https://www.rfc-editor.org/rfc/rfc7578#section-5.1.2) |
//! | .NET | `"=?utf-8?B?Wm/Dqy50eHQ=?="` and `filename*=utf-8''Zo%C3%AB.txt` | [RFC 2047](https://www.rfc-editor.org/rfc/rfc2047), [RFC 8187](https://www.rfc-editor.org/rfc/rfc8187) |
//! | Python's requests with urllib3 1 | `filename*=utf-8''Zo%C3%AB.txt` alone | [RFC 5987](https://www.rfc-editor.org/rfc/rfc5987) |
//! | Python's email | `filename*0*=utf-8''Zo%C3%AB; filename*1*=.txt` | [RFC 2231 §3](https://www.rfc-editor.org/rfc/rfc2231#section-3) |
//! | Apache HttpClient 5 | `filename*="UTF-8''Zo%C3%AB.txt"` | [RFC 8187](https://www.rfc-editor.org/rfc/rfc8187) |
//! | forms with a `_charset_` | in the charset that this part names | [RFC 7578 §4.6](https://www.rfc-editor.org/rfc/rfc7578#section-4.6) |
//! | strict clients | `Zo%C3%AB.txt` | [RFC 7578 §4.2](https://www.rfc-editor.org/rfc/rfc7578#section-4.2) |

use std::collections::BTreeMap;

use encoding_rs::{SHIFT_JIS, WINDOWS_1252};
use percent_encoding::percent_decode;

use platform::encoded_word;

/// The parameters of one `Content-Disposition`, by their names in lower case; the first one of a
/// name counts. They are a map because a name can come in as many pieces as there is room for.
#[derive(Default)]
pub(crate) struct Disposition {
    parameters: BTreeMap<String, Vec<u8>>,
}

impl Disposition {
    /// Reads the header's value.
    pub(crate) fn parse(value: &[u8]) -> Disposition {
        let mut parameters = BTreeMap::new();
        let mut rest = after(value, b';');

        while !rest.is_empty() {
            let Some(equals) = rest.iter().position(|byte| matches!(byte, b'=' | b';')) else {
                break;
            };
            let name = String::from_utf8_lossy(rest[..equals].trim_ascii()).to_ascii_lowercase();
            if rest[equals] == b';' {
                rest = &rest[equals + 1..];
                continue;
            }

            let (value, left) = parameter_value(rest[equals + 1..].trim_ascii_start());
            parameters.entry(name).or_insert(value);
            rest = left;
        }

        Disposition { parameters }
    }

    /// Returns the text of a parameter. The extended form is the better one if it can be read ([RFC
    /// 6266 §4.3](https://www.rfc-editor.org/rfc/rfc6266#section-4.3)), in whatever order they come.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.text_in(name, None)
    }

    /// Returns the text of a parameter as [`text`](Disposition::text) does, in a form that names
    /// the charset of its texts.
    pub(crate) fn text_in(&self, name: &str, charset: Option<&[u8]>) -> Option<String> {
        let extended = self.value(&format!("{name}*")).and_then(extended_text);
        let plain = || self.value(name).map(|value| plain_text_in(value, charset));
        extended.or_else(|| self.continued_text(name)).or_else(plain)
    }

    fn value(&self, name: &str) -> Option<&[u8]> {
        self.parameters.get(name).map(Vec::as_slice)
    }

    /// Joins `name*0`, `name*1` and so on; those with a `*` behind are percent-encoded ([RFC 2231
    /// §4.1](https://www.rfc-editor.org/rfc/rfc2231#section-4.1)).
    fn continued_text(&self, name: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let mut charset = None;
        for number in 0..self.parameters.len() {
            if let Some(section) = self.value(&format!("{name}*{number}*")) {
                let section = if number == 0 {
                    let (label, section) = charset_and_text(section)?;
                    charset = Some(label);
                    section
                } else {
                    section
                };
                bytes.extend(percent_decode(section));
            } else if let Some(section) = self.value(&format!("{name}*{number}")) {
                bytes.extend(section);
            } else {
                break;
            }
        }

        match charset {
            _ if bytes.is_empty() => None,
            Some(label) => decode(label, &bytes),
            None => Some(plain_text(&bytes)),
        }
    }
}

fn after(value: &[u8], mark: u8) -> &[u8] {
    value.iter().position(|byte| *byte == mark).map_or(&[], |place| &value[place + 1..])
}

/// Returns a value that may be in quotes, and the parameters behind it.
fn parameter_value(text: &[u8]) -> (Vec<u8>, &[u8]) {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        // A Shift_JIS character may end with the byte of a backslash, and a path with one.
        let end = closing_quote(quoted, true).or_else(|| closing_quote(quoted, false));
        let end = end.unwrap_or(quoted.len());
        return (unescaped(&quoted[..end]), after(quoted.get(end..).unwrap_or_default(), b';'));
    }

    let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
    (text[..end].trim_ascii().to_vec(), text.get(end + 1..).unwrap_or_default())
}

fn closing_quote(text: &[u8], with_escapes: bool) -> Option<usize> {
    let mut place = 0;
    while place < text.len() {
        match text[place] {
            b'"' => return Some(place),
            b'\\' if with_escapes && text.get(place + 1) == Some(&b'"') => place += 2,
            _ => place += 1,
        }
    }
    None
}

/// Takes the backslash from `\"` and `\\`. Any other stands for itself: old browsers send paths.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escaped = bytes.next_if(|next| byte == b'\\' && matches!(next, b'"' | b'\\'));
        plain.push(escaped.unwrap_or(byte));
    }
    plain
}

/// Reads `charset'language'percent-encoded` ([RFC 8187
/// §3.2](https://www.rfc-editor.org/rfc/rfc8187#section-3.2)).
fn extended_text(value: &[u8]) -> Option<String> {
    // Some write no more than the text.
    let (label, text) = charset_and_text(value).unwrap_or((b"", value));
    let bytes: Vec<u8> = percent_decode(text).collect();
    decode(label, &bytes)
}

fn charset_and_text(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut pieces = value.splitn(3, |byte| *byte == b'\'');
    let label = pieces.next()?;
    let _language = pieces.next()?;
    Some((label, pieces.next()?))
}

/// Decodes bytes by the charset in front of them; an empty one is UTF-8, as most are.
fn decode(label: &[u8], bytes: &[u8]) -> Option<String> {
    let label = if label.is_empty() { b"utf-8" } else { label };
    encoded_word::decode_charset(label, bytes)
}

/// Reads a name of the older form.
fn plain_text(value: &[u8]) -> String {
    plain_text_in(value, None)
}

/// Reads a name of the older form. A charset that is not known, or that the name is not in, is
/// guessed.
fn plain_text_in(value: &[u8], charset: Option<&[u8]>) -> String {
    let named = charset.and_then(|label| encoded_word::decode_charset(label, value));
    let text = named.unwrap_or_else(|| match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => old_text(value),
    });
    percent_decoded(&encoded_word::decode(&text))
}

/// Decodes a name in Shift_JIS or Latin-1. Nearly every Japanese name has a byte from 0x80 to 0x9f,
/// the first of each kana and of the common kanji; Latin-1 has no letters there.
fn old_text(value: &[u8]) -> String {
    let is_private = |text: &str| text.chars().any(|one| matches!(one, '\u{e000}'..='\u{f8ff}'));
    let has_lead = value.iter().any(|byte| (0x80..=0x9f).contains(byte));

    SHIFT_JIS
        .decode_without_bom_handling_and_without_replacement(value)
        .filter(|text| has_lead && !is_private(text))
        .unwrap_or_else(|| WINDOWS_1252.decode_without_bom_handling(value).0)
        .into_owned()
}

/// Undoes percent-encoding. A browser escapes only `"` and line ends, and sends any other `%` as it
/// is, so a name with a `%` that is no escape, or whose escapes are no UTF-8, has only those three.
fn percent_decoded(text: &str) -> String {
    let pieces = text.split('%').skip(1);
    let is_escape = |piece: &str| {
        piece.len() >= 2 && piece.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())
    };
    let all_are_escapes = text.is_ascii() && pieces.into_iter().all(is_escape);

    match percent_decode(text.as_bytes()).decode_utf8() {
        Ok(decoded) if all_are_escapes => decoded.into_owned(),
        _ => {
            let quotes = text.replace("%22", "\"");
            ["%0D", "%0d", "%0A", "%0a"].iter().fold(quotes, |text, end| text.replace(end, ""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filename(header: &[u8]) -> Option<String> {
        Disposition::parse(header).text("filename")
    }

    #[test]
    fn a_name_is_read_in_every_clients_spelling() {
        for (client, header) in [
            ("browsers", "form-data; name=\"file\"; filename=\"Zoë.txt\"".as_bytes()),
            (".NET", b"form-data; name=file; filename=\"=?utf-8?B?Wm/Dqy50eHQ=?=\"; filename*=utf-8''Zo%C3%AB.txt"),
            (".NET Framework", b"form-data; name=file; filename=\"=?utf-8?B?Wm/Dqy50eHQ=?=\""),
            ("urllib3 1", b"form-data; name=\"file\"; filename*=utf-8''Zo%C3%AB.txt"),
            ("filename* without a charset", b"form-data; name=\"file\"; filename*=Zo%C3%AB.txt"),
            ("filename* first", b"form-data; filename*=UTF-8''Zo%C3%AB.txt; name=\"file\"; filename=\"Zo_.txt\""),
            ("filename* last", b"form-data; name=\"file\"; filename=\"Zo?.txt\"; filename*=UTF-8'en'Zo%c3%ab.txt"),
            ("Latin-1 of RFC 5987", b"form-data; name=\"file\"; filename*=iso-8859-1''Zo%EB.txt"),
            ("Apache HttpClient 5", b"form-data; name=\"file\"; filename*=\"UTF-8''Zo%C3%AB.txt\""),
            ("Python's email", b"form-data; name=\"file\"; filename*0*=utf-8''Zo%C3; filename*1*=%AB.t; filename*2=\"xt\""),
            ("RFC 7578", b"form-data; name=\"file\"; filename=\"Zo%C3%AB.txt\""),
            ("capitals", b"Form-Data; Name=\"file\"; FileName=\"=?UTF-8?Q?Zo=C3=AB=2Etxt?=\""),
            ("capitals, extended", b"FORM-DATA; NAME=file; FILENAME*=Utf-8''Zo%C3%AB.txt"),
            ("no blanks", b"form-data;name=\"file\";filename=\"Zo\xc3\xab.txt\""),
            ("Latin-1", b"form-data; name=\"file\"; filename=\"Zo\xeb.txt\""),
            ("Latin-1 word", b"form-data; name=\"file\"; filename=\"=?iso-8859-1?q?Zo=EB.txt?=\""),
            ("two words", b"form-data; filename=\"=?utf-8?B?Wm8=?= =?utf-8*en?Q?=C3=AB.txt?=\""),
            ("no quotes", b"form-data; name=file; filename=Zo\xc3\xab.txt"),
            ("name in the name", "form-data; filename=\"Zoë.txt\"; name=\"filename=x.exe\"".as_bytes()),
            ("a bad extended one", "form-data; filename*=utf-8''Zo%EB; filename=\"Zoë.txt\"".as_bytes()),
            ("an unknown charset", "form-data; filename*=klingon''Zo; filename=\"Zoë.txt\"".as_bytes()),
        ] {
            assert_eq!(filename(header).as_deref(), Some("Zoë.txt"), "{client}");
        }
    }

    #[test]
    fn a_name_in_shift_jis_is_read() {
        for (bytes, name) in [
            (b"\x90\xbf\x8b\x81\x8f\x91.pdf".as_slice(), "請求書.pdf"),
            (b"\x83\x65\x83\x58\x83\x67.txt", "テスト.txt"),
            // Characters whose second byte is that of a backslash, of `|` and of a quote's escape.
            (b"\x83\x5c\x83\x74\x83\x67.txt", "ソフト.txt"),
            (b"\x95\x5c", "表"),
            (b"\x82\xa0\xb1.txt", "あｱ.txt"),
        ] {
            let header = [b"form-data; name=\"file\"; filename=\"", bytes, b"\""].concat();
            assert_eq!(filename(&header).as_deref(), Some(name));
        }
        let header = b"form-data; name=\"file\"; filename*=shift_jis'ja'%83e%83X%83g.txt";
        assert_eq!(filename(header).as_deref(), Some("テスト.txt"));
    }

    #[test]
    fn a_name_in_latin_1_is_not_taken_for_japanese() {
        for (bytes, name) in [
            (b"Stra\xdfe.txt".as_slice(), "Straße.txt"),
            (b"gar\xe7on.txt", "garçon.txt"),
            (b"r\xe9sum\xe9.doc", "résumé.doc"),
            (b"K\xf6ln M\xfcller.pdf", "Köln Müller.pdf"),
            (b"Preis \x80 5 \x96 neu.pdf", "Preis € 5 – neu.pdf"),
        ] {
            let header = [b"form-data; filename=\"", bytes, b"\""].concat();
            assert_eq!(filename(&header).as_deref(), Some(name));
        }
    }

    #[test]
    fn escapes_are_undone_and_other_percent_signs_stay() {
        let quoted = |text: &str| filename(format!("form-data; filename=\"{text}\"").as_bytes());
        for (given, name) in [
            ("a%22b.txt", "a\"b.txt"),
            ("ä%22b%0D%0A.txt", "ä\"b.txt"),
            ("a\\\"b.txt", "a\"b.txt"),
            ("C:\\Users\\me\\a.txt", "C:\\Users\\me\\a.txt"),
            ("a\\\\b.txt", "a\\b.txt"),
            ("100%.txt", "100%.txt"),
            ("5% off, 10% more.txt", "5% off, 10% more.txt"),
            ("50%20off.txt", "50 off.txt"),
            ("100%ff.txt", "100%ff.txt"),
            ("=?utf-8?X?a?=.txt", "=?utf-8?X?a?=.txt"),
            ("a=?b.txt", "a=?b.txt"),
            ("50%_=?utf-8?Q?50%=5F_a?=", "50%_50%_ a"),
            ("", ""),
        ] {
            assert_eq!(quoted(given).as_deref(), Some(name), "{given}");
        }
        assert_eq!(filename(b"form-data; name=\"file\""), None);
        assert_eq!(filename(b"form-data; filename=\"a.txt").as_deref(), Some("a.txt"));
        assert_eq!(filename(b""), None);
    }

    #[test]
    fn the_field_is_named_in_capitals_or_behind_the_file() {
        for header in [
            b"form-data; name=\"file\"; filename=\"a\"".as_slice(),
            b"form-data; filename=\"x; name=other\"; name=\"file\"",
            b"form-data; NAME=file",
            b"form-data; name*=utf-8''file",
        ] {
            assert_eq!(Disposition::parse(header).text("name").as_deref(), Some("file"));
        }
    }
}

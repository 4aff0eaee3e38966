//! Texts that show nothing, characters that no text may have, and encoded words.

use icu_properties::props::{BinaryProperty, DefaultIgnorableCodePoint};

/// True if a reader of `text` sees nothing: it is empty, or has only characters without a mark of
/// their own.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_invisible)
}

/// Returns the first control character of `text` that is neither a tab nor a line end. They are the
/// category `Cc` of Unicode: U+0000 to U+001F and U+007F to U+009F.
#[must_use]
pub fn control_character(text: &str) -> Option<char> {
    text.chars().find(|one| one.is_control() && !matches!(one, '\t' | '\n' | '\r'))
}

/// Returns a text in which no program finds an encoded word ([RFC 2047
/// §2](https://www.rfc-editor.org/rfc/rfc2047#section-2)): a mail program would decode it, and show
/// `setup.exe` for a name without that ending.
#[must_use]
pub fn without_encoded_words(text: &str) -> String {
    text.replace("=?", "=_")
}

/// True for characters without a mark of their own: white space, control characters, and those that
/// Unicode asks programs to show nothing for.
///
/// These are the [`Default_Ignorable_Code_Point`](https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point)s:
/// zero-width spaces, joiners, Hangul fillers, marks of the direction of writing, variation
/// selectors, tags. What that property leaves out is listed here.
fn is_invisible(one: char) -> bool {
    one.is_whitespace()
        || one.is_control()
        || DefaultIgnorableCodePoint::for_char(one)
        || matches!(
            one,
            // A Braille cell without dots (https://www.unicode.org/charts/PDF/U2800.pdf).
            '\u{2800}'
            // Joiners and fillers that are combining marks: Tifinagh, Brahmi, Khitan.
            | '\u{2d7f}' | '\u{1107f}' | '\u{16fe4}'
            // Stands for an object that a plain text does not have, and for a note without a head.
            | '\u{fffc}' | '\u{1d159}'
            // Format characters (`Cf`): interlinear annotation, Egyptian hieroglyphs.
            | '\u{fff9}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every kind of character that shows nothing, with its first and last characters, by the names
    /// of [Unicode's charts](https://www.unicode.org/charts/).
    const INVISIBLE: [(&str, &str); 34] = [
        ("nothing", ""),
        ("spaces", " \u{a0}\u{1680}\u{2000}\u{200a}\u{202f}\u{205f}\u{3000}"),
        ("line ends", "\n\r\u{85}\u{2028}\u{2029}\u{b}\u{c}"),
        ("control characters", "\0\u{1f}\u{7f}\u{9f}"),
        ("soft hyphen", "\u{ad}"),
        ("combining grapheme joiner", "\u{34f}"),
        ("Arabic letter mark", "\u{61c}"),
        ("Hangul choseong filler", "\u{115f}"),
        ("Hangul jungseong filler", "\u{1160}"),
        ("Khmer inherent vowels", "\u{17b4}\u{17b5}"),
        ("Mongolian free variation selectors", "\u{180b}\u{180d}\u{180f}"),
        ("Mongolian vowel separator", "\u{180e}"),
        ("zero width space", "\u{200b}"),
        ("zero width non-joiner", "\u{200c}"),
        ("zero width joiner", "\u{200d}"),
        ("marks of the direction", "\u{200e}\u{200f}"),
        ("embeddings and overrides", "\u{202a}\u{202e}"),
        ("word joiner", "\u{2060}"),
        ("invisible operators", "\u{2061}\u{2064}"),
        ("reserved for format characters", "\u{2065}\u{fff0}\u{fff8}"),
        ("isolates", "\u{2066}\u{2069}"),
        ("deprecated format characters", "\u{206a}\u{206f}"),
        ("Braille blank", "\u{2800}"),
        ("Tifinagh consonant joiner", "\u{2d7f}"),
        ("Hangul filler", "\u{3164}"),
        ("halfwidth Hangul filler", "\u{ffa0}"),
        ("variation selectors", "\u{fe00}\u{fe0f}\u{e0100}\u{e01ef}"),
        ("byte order mark", "\u{feff}"),
        ("interlinear annotation", "\u{fff9}\u{fffb}"),
        ("Brahmi number joiner, Khitan filler", "\u{1107f}\u{16fe4}"),
        ("Egyptian format controls", "\u{13430}\u{1343f}"),
        ("shorthand format controls", "\u{1bca0}\u{1bca3}"),
        ("musical format controls", "\u{1d159}\u{1d173}\u{1d17a}"),
        ("tags", "\u{e0001}\u{e0020}\u{e007f}\u{e0fff}"),
    ];

    #[test]
    fn text_that_shows_nothing_is_blank() {
        for (kind, text) in INVISIBLE {
            assert!(is_blank(text), "{kind}");
            for one in text.chars() {
                assert!(is_blank(&one.to_string()), "{kind}: {}", one.escape_unicode());
                assert!(!is_blank(&format!("{one}x{one}")), "{kind}: {}", one.escape_unicode());
            }
        }
    }

    #[test]
    fn text_with_a_mark_is_not_blank() {
        // A heart with its variation selector, a family of joined people, Persian with a joiner, a
        // flag of tags, marks that combine with others, private use, signs named after blanks.
        for text in [
            "❤\u{fe0f}",
            "👩\u{200d}👧",
            "می\u{200c}خواهم",
            "🏴\u{e0067}\u{e007f}",
            "\u{301}",
            "\u{e000}",
            "\u{2422}",
            "\u{a8f9}",
            "\u{600}",
            "\u{70f}",
            ".",
            "한",
            "⠁",
            "\u{fffd}",
        ] {
            assert!(!is_blank(text), "{text}");
        }
    }

    #[test]
    fn tabs_and_line_ends_are_the_only_control_characters_of_a_text() {
        assert_eq!(control_character("one\ttwo\nthree\r\nfour\rfive \u{2028}\u{ad}"), None);

        let refused = (0..=0x9f_u8).map(char::from).filter(|one| one.is_control());
        let refused: Vec<char> = refused.filter(|one| !"\t\n\r".contains(*one)).collect();
        assert_eq!(refused.len(), 65 - 3, "C0, delete, C1");
        for one in refused {
            assert_eq!(
                control_character(&format!("a{one}b")),
                Some(one),
                "{}",
                one.escape_unicode()
            );
        }
    }

    proptest! {
        #[test]
        fn a_letter_among_any_invisible_characters_is_seen(
            kinds in prop::collection::vec(prop::sample::select(INVISIBLE.to_vec()), 0..8)
        ) {
            let hidden: String = kinds.iter().map(|(_, text)| *text).collect();
            prop_assert!(is_blank(&hidden));
            let shown = format!("{hidden}a{hidden}");
            prop_assert!(!is_blank(&shown));
        }
    }
}

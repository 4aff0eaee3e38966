//! Recipients on WhatsApp.

/// True for a phone number ([E.164](https://www.itu.int/rec/T-REC-E.164): at most 15 digits), written
/// as people do, and for a [business-scoped user
/// id](https://developers.facebook.com/docs/whatsapp/business-scoped-user-ids): a country's two
/// letters, a dot, and up to 128 letters, digits and dots.
pub(super) fn is_recipient(text: &str) -> bool {
    let is_separator = |one: char| " -().".contains(one);
    let number = text.strip_prefix('+').unwrap_or(text);
    let digits = number.chars().filter(char::is_ascii_digit).count();
    let is_number = (7..=15).contains(&digits)
        && number.chars().all(|one| one.is_ascii_digit() || is_separator(one));

    let is_user = text.split_once('.').is_some_and(|(country, id)| {
        country.len() == 2
            && country.bytes().all(|byte| byte.is_ascii_uppercase())
            && (1..=128).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    });

    is_number || is_user
}

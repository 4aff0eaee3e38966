//! How arguments are parsed. Each error says what is right.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use domain::delivery::OnUnknownOutcome;
use domain::request_limit::MAX_REQUESTS_PER_MINUTE;
use domain::{Channel, Month, Scope};

/// The beginning of a time that lasts until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// A time.
    At(DateTime<Utc>),
    /// A while ago.
    Ago(TimeDelta),
}

impl Since {
    /// Returns the time, as seen from `now`.
    pub(crate) fn at(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Since::At(time) => time,
            Since::Ago(ago) => now - ago,
        }
    }
}

/// The longest while ago, within the years that times have.
const MAX_AGO: TimeDelta = TimeDelta::days(36_500);

/// Parses the requests a minute that a plan may allow.
pub(super) fn parse_requests_per_minute() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(MAX_REQUESTS_PER_MINUTE))
}

pub(super) fn parse_since(text: &str) -> Result<Since, String> {
    let expected = || "30m, 2h or 3d until now, or a time such as 2026-11-25T09:00:00Z".to_owned();

    if let Ok(time) = text.parse::<DateTime<Utc>>() {
        return Ok(Since::At(time));
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(Since::At(date.and_time(NaiveTime::MIN).and_utc()));
    }

    let unit = text.chars().last().ok_or_else(expected)?;
    let number = text.strip_suffix(unit).and_then(|number| number.parse::<u32>().ok());
    let number = number.map(i64::from).ok_or_else(expected)?;
    let ago = match unit {
        'm' => TimeDelta::try_minutes(number),
        'h' => TimeDelta::try_hours(number),
        'd' => TimeDelta::try_days(number),
        _ => None,
    };
    let ago = ago.filter(|ago| *ago <= MAX_AGO);
    ago.map(Since::Ago).ok_or_else(expected)
}

pub(super) fn parse_channel(text: &str) -> Result<Channel, String> {
    Channel::from_wire(text).ok_or_else(|| "chat, whatsapp and email are the channels".to_owned())
}

pub(super) fn parse_on_unknown_outcome(text: &str) -> Result<OnUnknownOutcome, String> {
    match text {
        "resend" => Ok(OnUnknownOutcome::Resend),
        "hold" => Ok(OnUnknownOutcome::Hold),
        _ => Err("resend or hold".to_owned()),
    }
}

pub(super) fn parse_scope(text: &str) -> Result<Scope, String> {
    let found = Scope::ALL.into_iter().find(|scope| scope.to_string() == text);
    found.ok_or_else(|| "send or read; leave it out for both".to_owned())
}

pub(super) fn parse_month(text: &str) -> Result<Month, String> {
    Month::try_from(text.to_owned()).map_err(|_| "a month looks like 2026-11".to_owned())
}

pub(super) fn parse_name(text: &str) -> Result<String, String> {
    parse_text(text, 100)
}

/// Parses the name or ARN of a secret, as long as
/// [GetSecretValue](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html)
/// takes it.
pub(super) fn parse_secret(text: &str) -> Result<String, String> {
    parse_text(text, 2048)
}

/// Parses a subject as long as a header line may be (RFC 5322 §2.1.1).
pub(super) fn parse_subject(text: &str) -> Result<String, String> {
    parse_text(text, 998)
}

pub(super) fn parse_recipient(text: &str) -> Result<String, String> {
    parse_text(text, 320)
}

fn parse_text(text: &str, max_characters: usize) -> Result<String, String> {
    let text = text.trim();
    let length = text.chars().count();
    if (1..=max_characters).contains(&length) {
        Ok(text.to_owned())
    } else {
        Err(format!("1 to {max_characters} characters, not {length}"))
    }
}

pub(super) fn parse_key_id(text: &str) -> Result<String, String> {
    let is_id = text.len() == 64
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if is_id || text == "-" {
        Ok(text.to_owned())
    } else {
        Err("64 hexadecimal digits in small letters, or `-`; a key itself does not belong on a \
             command line"
            .to_owned())
    }
}

/// Parses Meta's id of a number, which is not the number itself.
pub(super) fn parse_phone_number_id(text: &str) -> Result<String, String> {
    let is_id = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_id {
        Ok(text.to_owned())
    } else {
        Err("Meta's id of the number: digits alone, such as 106540352242922".to_owned())
    }
}

/// Parses a template's name
/// ([WhatsAppParameters](https://docs.aws.amazon.com/end-user-messaging/latest/APIReference/API_WhatsAppParameters.html)).
pub(super) fn parse_template(text: &str) -> Result<String, String> {
    parse_word(text, 1, 512, "a template's name, such as agent_answers")
}

/// Parses a template's language, as long as
/// [WhatsAppParameters](https://docs.aws.amazon.com/end-user-messaging/latest/APIReference/API_WhatsAppParameters.html)
/// takes it.
pub(super) fn parse_language(text: &str) -> Result<String, String> {
    parse_word(text, 2, 35, "a language, such as en or en_US")
}

/// Parses the name of an SES
/// [configuration set](https://docs.aws.amazon.com/ses/latest/APIReference/API_ConfigurationSet.html).
pub(super) fn parse_configuration_set(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 letters, digits, `_` and `-`; the stack's output EmailConfigurationSet has it"
            .to_owned())
    }
}

/// Parses a text without spaces.
fn parse_word(text: &str, least: usize, most: usize, what: &str) -> Result<String, String> {
    let length = text.chars().count();
    let is_word = !text.chars().any(|one| one.is_whitespace() || one.is_control());
    if is_word && (least..=most).contains(&length) {
        Ok(text.to_owned())
    } else {
        Err(format!("{what}: {least} to {most} characters without spaces"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_while_ago_a_date_and_a_time_are_understood() {
        let now: DateTime<Utc> = "2026-11-29T12:00:00Z".parse().expect("a time");
        for (text, time) in [
            ("30m", "2026-11-29T11:30:00Z"),
            ("2h", "2026-11-29T10:00:00Z"),
            ("3d", "2026-11-26T12:00:00Z"),
            ("2026-11-25", "2026-11-25T00:00:00Z"),
            ("2026-11-25T09:00:00+01:00", "2026-11-25T08:00:00Z"),
        ] {
            let since = parse_since(text).expect(text).at(now);
            assert_eq!(since, time.parse::<DateTime<Utc>>().expect("a time"), "{text}");
        }

        for text in
            ["", "h", "2", "-2h", "2w", "2 h", "yesterday", "4000000000d", "4294967295h", "2é"]
        {
            assert!(parse_since(text).expect_err(text).contains("such as"), "{text}");
        }
    }

    #[test]
    fn a_text_is_kept_as_it_is_as_long_as_it_may_be() {
        type Parse = fn(&str) -> Result<String, String>;
        let table: [(Parse, usize, usize); 7] = [
            (parse_name, 1, 100),
            (parse_secret, 1, 2_048),
            (parse_subject, 1, 998),
            (parse_recipient, 1, 320),
            (parse_template, 1, 512),
            (parse_language, 2, 35),
            (parse_configuration_set, 1, 64),
        ];
        for (parse, least, most) in table {
            for length in [least, most] {
                let text = "x".repeat(length);
                assert_eq!(parse(&text).as_deref(), Ok(&*text));
            }
            for length in [least - 1, most + 1] {
                assert!(parse(&"x".repeat(length)).is_err(), "{length}");
            }
        }

        assert_eq!(parse_subject(" Your order ").as_deref(), Ok("Your order"));
        assert!(parse_subject("  ").is_err(), "nothing is left of it");
        assert!(parse_name(&"é".repeat(100)).is_ok(), "characters count, not bytes");
    }

    #[test]
    fn a_while_is_at_most_a_hundred_years() {
        assert_eq!(parse_since("36500d"), Ok(Since::Ago(TimeDelta::days(36_500))));
        assert!(parse_since("36501d").is_err());
    }

    #[test]
    fn a_keys_id_is_no_key() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(parse_key_id(&id).as_deref(), Ok(&*id));
        assert_eq!(parse_key_id("-").as_deref(), Ok("-"));
        for other in ["", "--", &id[1..], &id.replace('f', "F"), &id.replace('f', "g")] {
            assert!(parse_key_id(other).is_err(), "{other}");
        }
        assert!(parse_key_id(&format!("{id}0")).is_err());
    }

    #[test]
    fn settings_that_no_provider_takes_are_refused() {
        assert!(parse_phone_number_id("106540352242922").is_ok());
        for nonsense in ["", "+16505551234", "nonsense", "1 2"] {
            assert!(parse_phone_number_id(nonsense).is_err(), "{nonsense}");
        }

        assert!(parse_template("agent_answers").is_ok() && parse_language("pt_BR").is_ok());
        assert!(parse_template("agent answers").is_err() && parse_template("").is_err());
        assert!(parse_language("e").is_err() && parse_language("en US").is_err());

        assert!(parse_configuration_set("pingback-messages-dev_1").is_ok());
        for nonsense in ["", "a b", "set!", &"x".repeat(65)] {
            assert!(parse_configuration_set(nonsense).is_err(), "{nonsense}");
        }
    }
}

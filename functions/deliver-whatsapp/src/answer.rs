//! The meaning of the Cloud API's answers for a message. The meaning of its error codes is in
//! [`domain::channel::whatsapp`].

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use domain::channel::whatsapp::{self, CustomerId, GraphError};
use domain::delivery::{Failure, Reason, of_bare_status};
use platform::lenient_json::{self, Node};

/// The Cloud API's answer to one call.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The wait that it asks for, if it does.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: bytes::Bytes,
}

impl fmt::Debug for Answer {
    /// The status: the body may repeat the message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({})", self.status)
    }
}

/// The Graph API's codes for a token that it does not accept.
const TOKEN_CODES: [i64; 3] = [0, 102, 190];

impl Answer {
    /// Returns why the call failed; `None` if it succeeded.
    ///
    /// | answer | means |
    /// |---|---|
    /// | 2xx with the id of a message or a file | success |
    /// | any status with an `error` | what its code says |
    /// | 2xx without an `error` | success: a message is accepted even if its id cannot be read |
    /// | any other status | what the status alone says |
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let Answer { status, retry_after, .. } = *self;
        let is_success = (200..300).contains(&status);

        match self.error() {
            Some(_) if is_success && self.id().is_some() => None,
            Some(error) => Some(whatsapp::failure(status, error, retry_after)),
            None if is_success => None,
            None => Some(of_bare_status("WhatsApp", status, retry_after)),
        }
    }

    /// True if the token was not accepted, so that one that has replaced it may be.
    #[must_use]
    pub fn rejects_token(&self) -> bool {
        let code = self.error().and_then(|error| error.code);
        self.status == 401 || code.is_some_and(|code| TOKEN_CODES.contains(&code))
    }

    /// Reads the
    /// [error](https://developers.facebook.com/docs/graph-api/guides/error-handling#errorresponse)
    /// in the body.
    fn error(&self) -> Option<GraphError> {
        let body = lenient_json::repair(&self.body);
        let error = Node::document(&body)?.member("error")?;
        Some(GraphError {
            code: error.member("code").and_then(Node::integer),
            subcode: error.member("error_subcode").and_then(Node::integer),
            is_transient: error.member("is_transient").is_some_and(Node::is_true),
        })
    }

    /// Returns the id of the message or the file that WhatsApp took.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        let body = lenient_json::repair(&self.body);
        let document = Node::document(&body)?;
        let message = || document.member("messages")?.items()?.first()?.member("id");
        document.member("id").or_else(message).and_then(Node::text)
    }

    /// Returns the names of the person who got the message, as Meta knows them: "`wa_id`" may be
    /// another number than the one that was written to ([contacts of an
    /// answer](https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids/#send-message-response)).
    #[must_use]
    pub fn recipients(&self) -> Vec<CustomerId> {
        let body = lenient_json::repair(&self.body);
        let contact = || Node::document(&body)?.member("contacts")?.items()?.first().copied();
        let Some(contact) = contact() else { return Vec::new() };

        ["wa_id", "user_id", "parent_user_id"]
            .into_iter()
            .filter_map(|name| CustomerId::parse(&contact.member(name)?.text()?))
            .collect()
    }
}

/// Returns what a call without an answer means: one that never connected sent nothing.
#[must_use]
pub fn of_transport(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        let reason = Reason::new("unreachable", "WhatsApp could not be reached");
        return Failure::Transient { reason, retry_after: None };
    }
    Failure::Unknown(Reason::new("no_answer", "WhatsApp did not answer"))
}

/// Returns `Retry-After` in seconds ([RFC 9110
/// §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)); Meta never sends a date there.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(status: u16, body: impl ToString) -> Answer {
        Answer { status, retry_after: None, body: body.to_string().into() }
    }

    /// Names a failure's kind and its code at WhatsApp.
    fn shown(answer: &Answer) -> (&'static str, Option<String>) {
        match answer.failure() {
            None => ("success", None),
            Some(Failure::Permanent(reason)) => ("permanent", reason.provider_code),
            Some(Failure::Transient { reason, .. }) => ("transient", reason.provider_code),
            Some(Failure::ChannelDown { reason, .. }) => ("channel", reason.provider_code),
            Some(Failure::Unknown(reason)) => ("unknown", reason.provider_code),
            Some(Failure::Away) => panic!("WhatsApp knows no such failure"),
        }
    }

    fn error(error: Value) -> Value {
        json!({ "error": error })
    }

    #[test]
    fn a_status_without_whatsapps_own_words_is_judged_alone() {
        let html = "<!DOCTYPE html><html><body>502 Bad Gateway</body></html>";
        let foreign = json!({ "message": "upstream connect error", "code": 131_026 }).to_string();
        let no_error = [json!({ "error": null }).to_string(), "[]".into(), "7".into(), "{".into()];

        for (status, kind) in [
            (301, "channel"),
            (302, "channel"),
            (303, "unknown"),
            (307, "channel"),
            (308, "channel"),
            (400, "permanent"),
            (401, "channel"),
            (403, "channel"),
            (404, "channel"),
            (405, "channel"),
            (408, "transient"),
            (413, "permanent"),
            (422, "permanent"),
            (425, "transient"),
            (429, "transient"),
            (500, "unknown"),
            (501, "unknown"),
            (502, "unknown"),
            (503, "unknown"),
            (504, "unknown"),
        ] {
            for body in ["", html, &foreign].into_iter().chain(no_error.iter().map(String::as_str))
            {
                assert_eq!(shown(&answer(status, body)), (kind, None), "{status} {body}");
            }
        }
    }

    #[test]
    fn a_success_is_one_unless_it_says_otherwise() {
        let taken = json!({ "messaging_product": "whatsapp",
            "contacts": [{ "input": "+1 650 555 1234", "wa_id": "16505551234" }],
            "messages": [{ "id": "wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI1QjJB", "message_status": "accepted" }] });
        let mut taken_with_null = taken.clone();
        taken_with_null["error"] = Value::Null;
        let mut taken_with_warning = taken.clone();
        taken_with_warning["error"] = json!({ "code": 131_026 });

        for body in [
            taken.to_string(),
            taken_with_null.to_string(),
            taken_with_warning.to_string(),
            json!({ "id": "1037543291543636" }).to_string(),
            "{}".into(),
            String::new(),
            "<html>200 OK</html>".into(),
        ] {
            assert_eq!(shown(&answer(200, &body)), ("success", None), "{body}");
        }
        let id = |body: &Value| answer(200, body).id();
        assert_eq!(id(&taken).as_deref(), Some("wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI1QjJB"));
        assert_eq!(id(&json!({ "id": "1037543291543636" })).as_deref(), Some("1037543291543636"));
        assert_eq!(id(&json!({ "messages": [{}] })), None);

        let code =
            |code: i64| error(json!({ "message": "…", "type": "OAuthException", "code": code }));
        for (body, verdict) in [
            (code(131_026), ("permanent", Some("131026"))),
            (code(190), ("channel", Some("190"))),
            (code(2), ("transient", Some("2"))),
            (code(999), ("transient", Some("999"))),
            (error(json!({ "message": "no code" })), ("unknown", None)),
            (error(json!("a text")), ("unknown", None)),
        ] {
            let (kind, code) = shown(&answer(200, &body));
            assert_eq!((kind, code.as_deref()), verdict, "{body}");
        }
    }

    #[test]
    fn an_answer_says_who_got_the_message() {
        let names_of = |contacts: Value| {
            let names = answer(200, json!({ "contacts": contacts })).recipients();
            names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
        };
        let number = json!([{ "input": "+55 31 98888-7777", "wa_id": "553188887777" }]);
        assert_eq!(names_of(number), ["553188887777"]);
        let both = json!([{ "input": "US.1", "wa_id": "16505551234", "user_id": "US.1" }]);
        assert_eq!(names_of(both), ["16505551234", "US.1"]);
        for none in [json!([]), json!(null), json!([{}]), json!([{ "wa_id": null }]), json!([7])] {
            assert_eq!(names_of(none), [""; 0]);
        }
    }

    #[test]
    fn an_error_is_read_however_its_members_are_written() {
        for (members, verdict) in [
            (json!({ "code": 131_026 }), ("permanent", Some("131026"))),
            (json!({ "code": "131026" }), ("permanent", Some("131026"))),
            (json!({ "code": 131_026.0 }), ("permanent", Some("131026"))),
            (json!({ "code": " 999 " }), ("permanent", Some("999"))),
            (json!({ "code": 999, "is_transient": true }), ("transient", Some("999"))),
            (json!({ "code": 100, "error_subcode": 33 }), ("channel", Some("100"))),
            (json!({ "code": "100", "error_subcode": "33" }), ("channel", Some("100"))),
            (json!({ "code": 100, "error_subcode": null }), ("permanent", Some("100"))),
            (json!({ "code": 100, "is_transient": true }), ("transient", Some("100"))),
            (json!({ "code": 100, "is_transient": "true" }), ("transient", Some("100"))),
            (json!({ "code": 100, "is_transient": false }), ("permanent", Some("100"))),
            (json!({ "code": null }), ("permanent", None)),
            (json!({ "code": "OAuthException" }), ("permanent", None)),
            (json!({ "code": [100] }), ("permanent", None)),
            (json!({ "code": 1e30 }), ("permanent", None)),
            (json!({ "is_transient": true }), ("transient", None)),
        ] {
            let (kind, code) = shown(&answer(400, error(members.clone())));
            assert_eq!((kind, code.as_deref()), verdict, "{members}");
        }

        for odd in [
            "\u{feff}{\"error\": {\"code\": 131026}}",
            r#"{"error": {"message": "\ud83d", "code": 131026}}"#,
            r#"{"error": {"code": 131026, "error_subcode": 1e999}}"#,
        ] {
            assert_eq!(shown(&answer(400, odd)), ("permanent", Some("131026".into())), "{odd}");
        }
    }

    #[test]
    fn a_token_is_rejected_with_any_status() {
        let code = |code: i64| error(json!({ "code": code }));
        for (status, body, rejects) in [
            (401, code(190), true),
            (400, code(190), true),
            (400, code(0), true),
            (400, code(102), true),
            (401, json!(null), true),
            (403, code(10), false),
            (400, code(100), false),
            (403, json!(null), false),
        ] {
            assert_eq!(answer(status, &body).rejects_token(), rejects, "{status} {body}");
        }
    }

    #[test]
    fn a_wait_is_read_if_it_is_a_number() {
        let asked = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a header"))]);
            retry_after(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!((asked("120"), asked(" 7 "), asked("soon")), (Some(120), Some(7), None));
        let waiting = Answer { retry_after: Some(Duration::from_secs(9)), ..answer(429, "") };
        let Some(Failure::Transient { retry_after: Some(wait), .. }) = waiting.failure() else {
            panic!("it waits")
        };
        assert_eq!(wait.as_secs(), 9);
    }
}

//! Mails that SES takes, and mails that it refuses.

use base64::Engine as _;
use serde_json::Value;

use super::*;

fn email(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut body = json!({
        "FromEmailAddress": "Sandbox Shop <support@shop.example>",
        "Destination": { "ToAddresses": ["anna@example.com"] },
        "ReplyToAddresses": ["c+0190b3a0@reply.example.com"],
        "Content": { "Raw": { "Data": base64::engine::general_purpose::STANDARD.encode(MIME) } },
        "ConfigurationSetName": "receipts",
        "EmailTags": [
            { "Name": "conversation", "Value": "0190b3a0-0000-4000-8000-000000000002" },
            { "Name": "message", "Value": "0190b3a0-0000-7000-8000-000000000003" },
        ],
    });

    change(&mut body);

    body.to_string().into_bytes()
}

#[test]
fn a_message_is_taken_and_its_tags_name_the_systems_message() {
    let AcceptedMail { message: taken, record: kept, .. } =
        read(&email(|_| ()), DateTime::UNIX_EPOCH).unwrap();
    assert_eq!(taken.to, "anna@example.com");
    assert_eq!(taken.conversation_id.unwrap().to_string(), "0190b3a0-0000-4000-8000-000000000002");
    assert_eq!(taken.message_id.unwrap().to_string(), "0190b3a0-0000-7000-8000-000000000003");
    assert_eq!(kept.tags["message"], ["0190b3a0-0000-7000-8000-000000000003"]);
    assert_eq!(
        (kept.subject.as_deref(), kept.configuration_set.as_deref()),
        (Some("Größe"), Some("receipts"))
    );
}

#[test]
fn a_raw_message_is_read_as_mail() {
    let AcceptedMail { message: taken, record: kept, .. } =
        read(&raw(MIME), "2026-03-01T09:05:00Z".parse().unwrap()).unwrap();
    assert_eq!(taken.content.trim_end(), "Zürich");
    assert_eq!(
        taken.attachments,
        [json!({ "filename": "label.pdf", "content_type": "application/pdf" })]
    );

    assert_eq!(taken.subject.as_deref(), Some("Größe"));
    let header = |name: &str| {
        let found: Vec<_> = taken.headers.iter().filter(|header| header.name == name).collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0].value.clone()
    };

    assert_eq!(header("Message-ID"), format!("<{}@email.amazonses.com>", kept.message_id));
    assert_eq!(header("Date"), "Sun, 1 Mar 2026 09:05:00 +0000");

    assert_eq!(header("References"), "<1@example.com> <2@example.com>");
}

const MIME: &str = "From: a@b.example\r\nTo: anna@example.com\r\nSubject: =?utf-8?b?R3LDtsOfZQ==?=\r\n\
                    MIME-Version: 1.0\r\nMessage-ID: <ours@b.example>\r\nDate: Sat, 01 Jan 2000 00:00:00 +0000\r\n\
                    References: <1@example.com>\r\n <2@example.com>\r\n\
                    Content-Type: multipart/mixed; boundary=x\r\n\r\n\
                    --x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
                    WsO8cmljaA==\r\n--x\r\nContent-Type: application/pdf\r\n\
                    Content-Disposition: attachment; filename=label.pdf\r\n\r\n%PDF\r\n--x--\r\n";

fn raw(mime: &str) -> Vec<u8> {
    let data = base64::engine::general_purpose::STANDARD.encode(mime);
    email(|body| body["Content"] = json!({ "Raw": { "Data": data } }))
}

#[test]
fn a_raw_message_that_is_no_proper_mail_is_refused() {
    let folder = "\r\n".to_owned() + &"x".repeat(999) + "\r\n";
    for (sentence, mime) in [
        ("does not end with CR LF", MIME.replace("\r\n", "\n")),
        ("longer than 1000", MIME.replace("\r\n%PDF\r\n", &folder)),
        ("seven bits", MIME.replace("label", "läbel")),
        ("no blank line", "From: a@b.example\r\n".to_owned()),
        (
            "Duplicate header 'Subject'",
            MIME.replacen("MIME-Version", "Subject: b\r\nMIME-Version", 1),
        ),
        ("Missing required header 'From'", MIME.replace("From: ", "X-From: ")),
        ("has no end", MIME.replace("--x--", "--y--")),
        ("Illegal filename 'label.exe'", MIME.replace("label.pdf", "label.exe")),
    ] {
        let error = read(&raw(&mime), DateTime::UNIX_EPOCH).unwrap_err();
        assert!(error.message().contains(sentence), "{} does not say {sentence}", error.message());
        assert_eq!(error.into_response().headers()["x-amzn-errortype"], "BadRequestException");
    }

    let no_base64 = email(|body| body["Content"] = json!({ "Raw": { "Data": "%%%" } }));
    assert!(read(&no_base64, DateTime::UNIX_EPOCH).unwrap_err().message().contains("base64"));
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 8] = [
        ("FromEmailAddress", |body| drop(body.as_object_mut().unwrap().remove("FromEmailAddress"))),
        ("Illegal address: anna", |body| body["Destination"]["ToAddresses"] = json!(["anna"])),
        ("no recipient", |body| body["Destination"] = json!({})),
        ("more than 50", |body| {
            body["Destination"]["ToAddresses"] = json!(vec!["a@b.example"; 51])
        }),
        ("Content.Raw", |body| body["Content"] = json!({})),
        ("Content.Raw", |body| body["Content"] = json!({ "Template": { "TemplateName": "x" } })),
        ("Illegal message tag", |body| {
            body["EmailTags"] = json!([{ "Name": "a b", "Value": "c" }])
        }),
        ("Illegal message tag", |body| {
            body["EmailTags"] = json!([{ "Name": "a", "Value": "c".repeat(257) }])
        }),
    ];

    for (sentence, change) in cases {
        let error = read(&email(change), DateTime::UNIX_EPOCH).unwrap_err();
        assert!(error.message().contains(sentence), "{} does not say {sentence}", error.message());
        assert_eq!(error.into_response().headers()["x-amzn-errortype"], "BadRequestException");
    }

    assert_eq!(
        read(b"{", DateTime::UNIX_EPOCH).unwrap_err().into_response().headers()["x-amzn-errortype"],
        "SerializationException"
    );
}

#[test]
fn an_unsigned_call_is_refused() {
    assert_eq!(check_signature(&HeaderMap::new()).unwrap_err().into_response().status(), 403);
    let mut headers = HeaderMap::new();
    headers.insert(
        header::AUTHORIZATION,
        "AWS4-HMAC-SHA256 Credential=worker/20260301".parse().unwrap(),
    );
    assert!(check_signature(&headers).is_ok());
}

#[test]
fn a_fault_answers_its_status_with_the_exception_that_belongs_to_it() {
    for (status, name) in [
        (400, "MessageRejected"),
        (429, "TooManyRequestsException"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailable"),
    ] {
        let fault: ProviderFault =
            serde_json::from_value(json!({ "status": status, "retry_after": 3 })).unwrap();
        let answer = refuse(&fault);
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["x-amzn-errortype"], name);
        assert_eq!(answer.headers()["retry-after"], "3");
    }
}

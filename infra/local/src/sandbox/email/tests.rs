//! What SES takes and what it refuses.

use super::*;

fn email(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut body = json!({
        "FromEmailAddress": "Sandbox Shop <support@shop.example>",
        "Destination": { "ToAddresses": ["anna@example.com"] },
        "ReplyToAddresses": ["c+0190b3a0@reply.example.com"],
        "Content": { "Simple": {
            "Subject": { "Data": "Re: your parcel" },
            "Body": { "Text": { "Data": "It is on its way." }, "Html": { "Data": "<p>It is on its way.</p>" } },
            "Headers": [{ "Name": "In-Reply-To", "Value": "<0107@eu-central-1.amazonses.com>" }],
        }},
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
fn a_simple_message_is_taken_and_its_tags_lead_back_to_ours() {
    let (taken, kept) = message(&email(|_| ()), DateTime::UNIX_EPOCH).unwrap();
    assert_eq!((taken.to.as_str(), taken.content.as_str()), ("anna@example.com", "It is on its way."));
    assert_eq!(taken.conversation_id.unwrap().to_string(), "0190b3a0-0000-4000-8000-000000000002");
    assert_eq!(taken.message_id.unwrap().to_string(), "0190b3a0-0000-7000-8000-000000000003");
    assert_eq!(kept.tags["message"], ["0190b3a0-0000-7000-8000-000000000003"]);
    assert_eq!(
        (kept.subject.as_deref(), kept.configuration_set.as_deref()),
        (Some("Re: your parcel"), Some("receipts"))
    );
}

#[test]
fn a_raw_message_is_read_as_mail() {
    let mime = "From: a@b.example\r\nTo: anna@example.com\r\nSubject: Hi\r\nMIME-Version: 1.0\r\n\
                Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\
                Content-Transfer-Encoding: base64\r\n\r\nWsO8cmljaA==\r\n--x\r\nContent-Type: application/pdf\r\n\
                Content-Disposition: attachment; filename=label.pdf\r\n\r\n%PDF\r\n--x--\r\n";
    let raw = |data: String| email(|body| body["Content"] = json!({ "Raw": { "Data": data } }));
    let (taken, _) = message(&raw(STANDARD.encode(mime)), DateTime::UNIX_EPOCH).unwrap();
    assert_eq!(taken.content.trim_end(), "Zürich");
    assert_eq!(taken.attachments, [json!({ "filename": "label.pdf", "content_type": "application/pdf" })]);
    assert!(message(&raw("%%%".into()), DateTime::UNIX_EPOCH).unwrap_err().message().contains("base64"));
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 10] = [
        ("FromEmailAddress", |body| drop(body.as_object_mut().unwrap().remove("FromEmailAddress"))),
        ("Illegal address: anna", |body| body["Destination"]["ToAddresses"] = json!(["anna"])),
        ("no recipient", |body| body["Destination"] = json!({})),
        ("more than 50", |body| body["Destination"]["ToAddresses"] = json!(vec!["a@b.example"; 51])),
        ("exactly one", |body| body["Content"] = json!({})),
        ("templates", |body| body["Content"] = json!({ "Template": { "TemplateName": "x" } })),
        ("Text or Html", |body| body["Content"]["Simple"]["Body"] = json!({})),
        ("Illegal header: X", |body| body["Content"]["Simple"]["Headers"] = json!([{ "Name": "X", "Value": "é" }])),
        ("Illegal message tag", |body| body["EmailTags"] = json!([{ "Name": "a b", "Value": "c" }])),
        ("Illegal message tag", |body| body["EmailTags"] = json!([{ "Name": "a", "Value": "c".repeat(257) }])),
    ];
    for (sentence, change) in cases {
        let error = message(&email(change), DateTime::UNIX_EPOCH).unwrap_err();
        assert!(error.message().contains(sentence), "{} does not say {sentence}", error.message());
        assert_eq!(error.into_response().headers()["x-amzn-errortype"], "BadRequestException");
    }
    assert_eq!(
        message(b"{", DateTime::UNIX_EPOCH).unwrap_err().into_response().headers()["x-amzn-errortype"],
        "SerializationException"
    );
}

#[test]
fn an_unsigned_call_is_refused() {
    assert_eq!(signed(&HeaderMap::new()).unwrap_err().into_response().status(), 403);
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, "AWS4-HMAC-SHA256 Credential=worker/20260301".parse().unwrap());
    assert!(signed(&headers).is_ok());
}

#[test]
fn a_fault_answers_its_status_with_the_exception_that_belongs_to_it() {
    for (status, name) in [
        (400, "MessageRejected"),
        (429, "TooManyRequestsException"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailable"),
    ] {
        let fault: ProviderFault = serde_json::from_value(json!({ "status": status, "retry_after": 3 })).unwrap();
        let answer = refuse(&fault);
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["x-amzn-errortype"], name);
        assert_eq!(answer.headers()["retry-after"], "3");
    }
}

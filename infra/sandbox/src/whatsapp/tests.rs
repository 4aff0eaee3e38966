//! Messages that the Cloud API takes, and messages that it refuses.

use serde_json::Value;

use super::error::default_code;
use super::error::missing;
use super::message::read;
use super::*;
use crate::accepted::ReceivedParts;
use crate::fault::ProviderFault;

fn message(number: &str, body: &[u8]) -> Result<(Submission, MessageRecord), Error> {
    read(number, body, &Media::default())
}

fn body(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut body = json!({
        "messaging_product": "whatsapp", "recipient_type": "individual", "to": "+31 6 1234 5678", "type": "text",
        "text": { "preview_url": false, "body": "Your parcel is on its way." },
        "biz_opaque_callback_data": "0190b3a0-0000-4000-8000-000000000001.0190b3a0-0000-4000-8000-000000000002.\
                                     0190b3a0-0000-7000-8000-000000000003",
    });
    change(&mut body);
    body.to_string().into_bytes()
}

fn refusal(change: impl FnOnce(&mut Value)) -> (u32, String) {
    let error = message("106540352242922", &body(change)).unwrap_err();
    (error.code, error.details)
}

#[test]
fn the_documented_text_message_is_taken_and_refers_to_the_systems_message() {
    let (taken, kept) = message("106540352242922", &body(|_| ())).unwrap();
    assert_eq!(taken.content, "Your parcel is on its way.");
    assert_eq!(taken.to, "+31 6 1234 5678");
    assert_eq!(taken.conversation_id.unwrap().to_string(), "0190b3a0-0000-4000-8000-000000000002");
    assert_eq!(taken.message_id.unwrap().to_string(), "0190b3a0-0000-7000-8000-000000000003");
    let comes_back = kept.callback_data.unwrap();
    assert!(
        comes_back.ends_with("0190b3a0-0000-7000-8000-000000000003") && comes_back.len() == 110
    );
}

#[test]
fn a_callback_of_another_form_is_taken_and_refers_to_nothing() {
    let (taken, _) =
        message("1", &body(|body| body["biz_opaque_callback_data"] = json!("campaign.7"))).unwrap();
    assert_eq!((taken.message_id, taken.conversation_id), (None, None));
    let taken = message(
        "1",
        &body(|body| drop(body.as_object_mut().unwrap().remove("biz_opaque_callback_data"))),
    );
    let (taken, kept) = taken.unwrap();
    assert_eq!((taken.message_id, kept.callback_data), (None, None));
}

#[test]
fn lengths_are_counted_in_characters_up_to_the_limit() {
    assert!(message("1", &body(|body| body["text"]["body"] = "é".repeat(4096).into())).is_ok());
    assert_eq!(refusal(|body| body["text"]["body"] = "é".repeat(4097).into()).0, 131009);
    assert!(
        message("1", &body(|body| body["biz_opaque_callback_data"] = "x".repeat(512).into()))
            .is_ok()
    );
    assert_eq!(refusal(|body| body["biz_opaque_callback_data"] = "x".repeat(513).into()).0, 131009);
}

#[test]
fn what_is_wrong_is_refused_with_its_code_and_its_name() {
    type Change = fn(&mut Value);
    let cases: [(u32, &str, Change); 9] = [
        (131008, "messaging_product", |body| {
            drop(body.as_object_mut().unwrap().remove("messaging_product"))
        }),
        (131009, "messaging_product", |body| body["messaging_product"] = json!("sms")),
        (131009, "recipient_type", |body| body["recipient_type"] = json!("group")),
        (131009, "'to'", |body| body["to"] = json!("anna")),
        (131051, "sticker", |body| body["type"] = json!("sticker")),
        (131008, "text.body", |body| body["text"]["body"] = json!("")),
        (131009, "text.preview_url", |body| body["text"]["preview_url"] = json!("yes")),
        (100, "text.boddy", |body| body["text"]["boddy"] = json!("")),
        (100, "internal", |body| body["internal"] = json!(true)),
    ];

    for (code, name, change) in cases {
        let (given, details) = refusal(change);
        assert_eq!(given, code, "{details}");
        assert!(details.contains(name), "{details} does not name {name}");
    }

    assert_eq!(message("1", b"[").unwrap_err().code, 100);
    let wrong_id = message("me", &body(|_| ())).unwrap_err();
    assert_eq!((wrong_id.code, wrong_id.subcode), (100, Some(33)));
}

#[test]
fn a_message_is_for_a_number_or_a_user_id() {
    let to = |change: fn(&mut Value)| message("1", &body(change)).map(|(taken, _)| taken.to);
    let user_id = "US.13491208655302741918";
    let only_user_id = to(|body| {
        drop(body.as_object_mut().unwrap().remove("to"));
        body["recipient"] = json!("US.13491208655302741918");
    });
    assert_eq!(only_user_id.unwrap(), user_id);
    let both = to(|body| body["recipient"] = json!("US.13491208655302741918"));
    assert_eq!(both.unwrap(), "+31 6 1234 5678", "the number takes precedence");
    assert_eq!(refusal(|body| body["to"] = json!("US.13491208655302741918")).0, 131009);
    assert_eq!(refusal(|body| drop(body.as_object_mut().unwrap().remove("to"))).0, 131008);
}

#[test]
fn a_part_says_which_it_is() {
    let part = |suffix: &str| {
        let callback_data = |body: &mut Value| {
            let whole = body["biz_opaque_callback_data"].as_str().unwrap().to_owned();
            body["biz_opaque_callback_data"] = json!(format!("{whole}{suffix}"));
        };
        let (taken, _) = message("1", &body(callback_data)).unwrap();
        (taken.message_id.is_some(), taken.part)
    };
    assert_eq!(part(""), (true, None));
    assert_eq!(part(".2.3"), (true, Some(ReceivedParts { of: 3, got: vec![2] })));
    assert_eq!(part(".tag"), (true, None));
    assert_eq!(part(".2.3.tag"), part(".2.3"));
    assert_eq!(part(".2"), (false, None));
}

/// A message with a file that was uploaded, of this type and with these fields beside its id.
async fn with_file(
    kind: &str,
    content_type: &str,
    fields: Value,
) -> Result<Submission, (u32, String)> {
    let media = Media::default();
    let form = format!(
        "--x\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n\
         --x\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\n{content_type}\r\n\
         --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nContent-Type: {content_type}\r\n\r\nabc\r\n--x--\r\n"
    );

    let headers = [(header::CONTENT_TYPE, "multipart/form-data; boundary=x".parse().unwrap())]
        .into_iter()
        .collect();
    let id = media
        .store("1", &headers, form.into())
        .await
        .map_err(|error| (error.code, error.details))?;

    let mut file = json!({ "id": id });
    file.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let body = body(|body| {
        body["type"] = json!(kind);
        body.as_object_mut().unwrap().remove("text");
        body[kind] = file;
    });

    read("1", &body, &media).map(|(taken, _)| taken).map_err(|error| (error.code, error.details))
}

#[tokio::test]
async fn every_kind_of_file_is_taken_by_its_id() {
    for (kind, content_type, fields) in [
        ("image", "image/png", json!({ "caption": "Look" })),
        ("video", "video/mp4", json!({ "caption": "Look" })),
        ("audio", "audio/ogg; codecs=opus", json!({})),
        ("document", "application/pdf", json!({ "caption": "Look", "filename": "a b.pdf" })),
        ("document", "image/jpeg", json!({})),
    ] {
        let taken = with_file(kind, content_type, fields.clone()).await.unwrap();
        let attachment = &taken.attachments[0];
        assert_eq!(
            (&attachment["kind"], &attachment["content_type"]),
            (&json!(kind), &json!(content_type))
        );
        assert_eq!(
            (&attachment["filename"], &attachment["size"]),
            (&fields["filename"], &json!(3))
        );
        assert_eq!(taken.content, fields["caption"].as_str().unwrap_or_default());
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_or_not_so_is_refused() {
    for (kind, content_type, fields, code, named) in [
        ("image", "image/png", json!({ "id": "7" }), 100, "image['id'] is not a valid"),
        ("image", "image/png", json!({ "link": "https://a.example/a.png" }), 131052, "upload"),
        ("image", "image/png", json!({ "filename": "a.png" }), 100, "image.filename"),
        ("image", "image/png", json!({ "caption": "x".repeat(1025) }), 131009, "image.caption"),
        ("audio", "audio/ogg; codecs=opus", json!({ "caption": "Listen" }), 100, "audio.caption"),
        ("video", "image/png", json!({}), 131053, "image/png"),
    ] {
        let (given, details) = with_file(kind, content_type, fields).await.unwrap_err();
        assert_eq!(given, code, "{details}");
        assert!(details.contains(named), "{details} does not name {named}");
    }
}

#[test]
fn a_template_has_to_exist_and_to_be_filled() {
    let template = |change: &dyn Fn(&mut Value)| {
        let parameters = json!([{ "type": "text", "text": "It is on its way." }]);
        let mut template = json!({ "name": "agent_answers", "language": { "code": "en_US" },
            "components": [{ "type": "body", "parameters": parameters }] });
        change(&mut template);
        let body = body(|body| {
            body["type"] = json!("template");
            body.as_object_mut().unwrap().remove("text");
            body["template"] = template;
        });
        message("1", &body).map(|(taken, _)| (taken.content, taken.template.unwrap()))
    };

    let (content, shown) = template(&|_| ()).unwrap();
    assert_eq!(content, "It is on its way.");
    assert_eq!(shown["shown"], "An answer to your question: It is on its way.");
    let refused = |change: &dyn Fn(&mut Value)| template(change).unwrap_err().code;
    let say = |text: &str| {
        refused(&|template| template["components"][0]["parameters"][0]["text"] = json!(text))
    };

    assert_eq!(refused(&|template| template["name"] = json!("other")), 132001);
    assert_eq!(refused(&|template| template["language"]["code"] = json!("nl")), 132001);
    assert_eq!(refused(&|template| template["components"] = json!([])), 132000);
    assert_eq!(
        refused(&|template| template["components"][0]["parameters"][0]["type"] = json!("image")),
        132012
    );

    assert_eq!(refused(&|template| template["namespace"] = json!("x")), 100);

    for text in ["two\nlines", "a\ttable", "a     gap"] {
        assert_eq!(say(text), 100, "{text:?}");
    }

    assert_eq!(say(&"x".repeat(1024)), 132005);
}

#[tokio::test]
async fn an_error_has_the_graph_apis_shape() {
    let answer = missing("to").into_response();
    assert_eq!(answer.status(), 400);
    let body: Value =
        serde_json::from_slice(&axum::body::to_bytes(answer.into_body(), 4096).await.unwrap())
            .unwrap();

    assert_eq!(body["error"]["message"], "(#131008) Required parameter is missing");
    assert_eq!(body["error"]["type"], "OAuthException");
    assert_eq!(body["error"]["code"], 131008);
    assert_eq!(
        body["error"]["error_data"],
        json!({ "messaging_product": "whatsapp", "details": "Parameter 'to' is mandatory." })
    );

    assert!(body["error"]["fbtrace_id"].is_string());
}

#[test]
fn a_fault_answers_its_status_with_the_code_that_belongs_to_it() {
    let rule = |body: Value| serde_json::from_value::<ProviderFault>(body).unwrap();
    for (body, status, code) in [
        (json!({ "status": 429 }), 429, 130429),
        (json!({ "status": 500 }), 500, 131000),
        (json!({ "status": 503 }), 503, 2),
        (json!({ "status": 401 }), 401, 190),
        (json!({ "status": 400 }), 400, 100),
    ] {
        let rule = rule(body);
        assert_eq!(default_code(rule.status), code);
        assert_eq!(refuse(&rule).status(), status);
    }

    assert_eq!(refuse(&rule(json!({ "code": 131056 }))).status(), 400);
    let limited = refuse(&rule(json!({ "status": 429, "code": 131056, "retry_after": 7 })));
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
}

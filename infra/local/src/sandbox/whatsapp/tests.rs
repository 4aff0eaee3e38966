//! What the Cloud API takes and what it refuses.

use super::*;

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
fn the_documented_text_message_is_taken_and_finds_its_way_back_to_ours() {
    let (taken, kept) = message("106540352242922", &body(|_| ())).unwrap();
    assert_eq!(taken.content, "Your parcel is on its way.");
    assert_eq!(taken.to, "+31 6 1234 5678");
    assert_eq!(taken.conversation_id.unwrap().to_string(), "0190b3a0-0000-4000-8000-000000000002");
    assert_eq!(taken.message_id.unwrap().to_string(), "0190b3a0-0000-7000-8000-000000000003");
    let comes_back = kept.callback_data.unwrap();
    assert!(comes_back.ends_with("0190b3a0-0000-7000-8000-000000000003") && comes_back.len() == 110);
}

#[test]
fn a_callback_of_another_form_is_taken_and_refers_to_nothing() {
    let (taken, _) = message("1", &body(|body| body["biz_opaque_callback_data"] = json!("campaign.7"))).unwrap();
    assert_eq!((taken.message_id, taken.conversation_id), (None, None));
    let taken = message("1", &body(|body| drop(body.as_object_mut().unwrap().remove("biz_opaque_callback_data"))));
    let (taken, kept) = taken.unwrap();
    assert_eq!((taken.message_id, kept.callback_data), (None, None));
}

#[test]
fn lengths_are_counted_in_characters_up_to_the_limit() {
    assert!(message("1", &body(|body| body["text"]["body"] = "é".repeat(4096).into())).is_ok());
    assert_eq!(refusal(|body| body["text"]["body"] = "é".repeat(4097).into()).0, 131009);
    assert!(message("1", &body(|body| body["biz_opaque_callback_data"] = "x".repeat(512).into())).is_ok());
    assert_eq!(refusal(|body| body["biz_opaque_callback_data"] = "x".repeat(513).into()).0, 131009);
}

#[test]
fn what_is_wrong_is_refused_with_its_code_and_its_name() {
    type Change = fn(&mut Value);
    let cases: [(u32, &str, Change); 9] = [
        (131008, "messaging_product", |body| drop(body.as_object_mut().unwrap().remove("messaging_product"))),
        (131009, "messaging_product", |body| body["messaging_product"] = json!("sms")),
        (131009, "recipient_type", |body| body["recipient_type"] = json!("group")),
        (131009, "'to'", |body| body["to"] = json!("anna")),
        (131051, "text", |body| body["type"] = json!("image")),
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
    assert_eq!(message("me", &body(|_| ())).unwrap_err().code, 33);
}

#[tokio::test]
async fn an_error_has_the_graph_apis_shape() {
    let answer = missing("to").into_response();
    assert_eq!(answer.status(), 400);
    let body: Value = serde_json::from_slice(&axum::body::to_bytes(answer.into_body(), 4096).await.unwrap()).unwrap();
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
    assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"7".parse().unwrap()));
}

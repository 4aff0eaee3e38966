//! Answers that a caller can act on: methods that an address does not have, bodies of another type,
//! sentences in our own words, and the id by which support finds a request.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use tests::contract::Contract;
use tests::{Answer, Business, World};

/// Replaces the parameters of a path by values that could be right.
fn fill(path: &str) -> String {
    let file = "A".repeat(86);
    let filled = path.replace("{file}", &file).replace("{script}", "chat-1.0.0.js");
    ["{conversation_id}", "{message_id}"]
        .into_iter()
        .fold(filled, |path, name| path.replace(name, &Uuid::from_u128(7).to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_an_address_does_not_have_is_told_which_it_has() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let contract = Contract::get();
    let paths: std::collections::BTreeSet<&str> =
        contract.operations().map(|operation| operation.path).collect();

    for path in paths {
        let own: Vec<String> = contract
            .operations()
            .filter(|operation| operation.path == path)
            .map(|operation| operation.method.to_uppercase())
            .collect();
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PURGE"] {
            if own.iter().any(|one| one == method) {
                continue;
            }
            // Nobody is asked who they are: the methods are public.
            for token in ["", business.api_key.as_str()] {
                let verb = Method::from_bytes(method.as_bytes()).expect("a method");
                let url = format!("{}{}", world.ready.api, fill(path));
                let request = world.http().request(verb, url);
                let request = if token.is_empty() { request } else { request.bearer_auth(token) };
                let answer = world.ask(request).await;

                assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text);
                let mut allowed = own.clone();
                allowed.sort();
                assert_eq!(answer.header("allow"), Some(&*allowed.join(", ")), "{method} {path}");
            }
        }
    }
    assert_eq!(world.usage(&business.api_key).await, (0, 10));
}

async fn post(world: &World, business: &Business, media_type: &str, body: &str) -> Answer {
    let conversation_id = business.conversation_id("email");
    let path = format!("/api/v1/conversations/{conversation_id}/messages");
    let request = world.http().post(format!("{}{path}", world.ready.api));
    let request = request.bearer_auth(&business.api_key).body(body.to_owned());
    world.ask(request.header("Content-Type", media_type)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_type_is_refused_with_the_type_that_is_taken() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let body = json!({ "content": "hello" }).to_string();

    // The first is what curl says of --data.
    for wrong in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "x"] {
        let answer = post(&world, &business, wrong, &body).await;
        assert_eq!(answer.problem(), (415, "unsupported_media_type".into()), "{wrong}");
        assert_eq!(answer.header("accept"), Some("application/json"));
        let detail = answer.json()["detail"].clone();
        assert_eq!(detail, "the Content-Type of the body has to be application/json");
    }
    assert_eq!(world.usage(&business.api_key).await, (0, 10));

    for (route, taken) in [("upload", "multipart/form-data"), ("uploads", "application/json")] {
        let conversation_id = business.conversation_id("email");
        let url = format!("{}/api/v1/conversations/{conversation_id}/{route}", world.ready.api);
        let request = world.http().post(url).bearer_auth(&business.api_key).body("hello");
        let answer = world.ask(request.header("Content-Type", "text/plain")).await;
        assert_eq!(answer.problem(), (415, "unsupported_media_type".into()), "{route}");
        assert_eq!(answer.header("accept"), Some(taken));
    }

    let answer = post(&world, &business, "Application/JSON; charset=UTF-8", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    world.ledger().note_answer(&business.api_key, None, "hello", &answer);
    let texts = ["hello".to_owned()];
    world.until_received("email", business.conversation_id("email"), &texts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_error_is_told_in_a_sentence_of_our_own() {
    let world = World::start().await;
    let business = world.business(10, 1).await;

    for (body, detail) in [
        (r#"{"content":"#, "the body is not valid: JSON ends too early, in line 1, column 11"),
        ("hello", "the body is not valid: JSON is broken in line 1, column 1"),
        ("[]", "the body is not valid: Input should be a valid dictionary"),
        ("{}", "content in the body is not valid: Field required"),
        (
            r#"{"content":"x","attachments":[{"url":"u"},{}],"metadata":{"a":1}}"#,
            "attachments[1].url in the body is not valid: Field required; errors lists 1 more",
        ),
    ] {
        let answer = post(&world, &business, "application/json", body).await;
        assert_eq!(answer.problem(), (422, "validation_error".into()), "{body}");
        assert_eq!(answer.json()["detail"], detail, "{body}");
    }
}

/// The id of a request, as support finds it in the log.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_names_its_request_and_a_page_of_another_origin_may_read_it() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let usage = format!("{}/api/v1/usage", world.ready.api);

    for (answer, is_ours) in [
        (world.get(&business.api_key, "/api/v1/usage").await, false),
        (world.get("", "/api/v1/usage").await, true),
        (world.get(&business.api_key, "/api/v1/usage?x").await, true),
        (world.ask(world.http().patch(&usage)).await, true),
        (world.get(&business.api_key, "/api/v1/nowhere").await, false),
    ] {
        let id = answer.header("apigw-requestid").expect("every answer has it").to_owned();
        let instance = answer.json()["instance"].clone();
        let named = format!("urn:pingback:request:{id}");
        let expected = if is_ours { json!(named) } else { Value::Null };
        assert_eq!(instance, expected, "{}", answer.text);
    }

    let request = world.http().get(&usage).header("Origin", "https://shop.example.com");
    let answer = world.ask(request).await;
    let exposed = answer.header("access-control-expose-headers").expect("pages may read some");
    assert!(exposed.split(", ").any(|name| name == "apigw-requestid"), "{exposed}");
}

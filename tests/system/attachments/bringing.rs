//! Files are brought: with a form, or announced and put past the API; and what is not taken.

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::{announce, bring, lead, send, store};
use tests::{PNG, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_from_a_form_goes_with_a_message() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");
    let answer =
        store(&world, &business.api_key, conversation_id, "dir/cat picture.png", "image/png", PNG)
            .await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);

    let uploaded = answer.json();
    let name = &uploaded["filename"];
    let kind = &uploaded["content_type"];
    let size = &uploaded["size"];
    assert_eq!(
        (name, kind, size),
        (&json!("cat picture.png"), &json!("image/png"), &json!(PNG.len()))
    );
    assert!(uploaded.get("upload").is_none());

    // Everything that the upload answered may be sent along; only the URL is read.
    let mut reference = uploaded.clone();

    reference["filename"] = json!("another-name.exe");
    let body = json!({"content": "look at the cat", "attachments": [reference]}).to_string();
    let sent =
        world.send(&business.api_key, conversation_id, "look at the cat").body(body).go().await;
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);
    assert_eq!(sent.json()["attachments"], json!([uploaded]));

    let path = format!("/api/v1/conversations/{conversation_id}/messages/{}", sent.id());
    assert_eq!(world.get(&business.api_key, &path).await.json()["attachments"], json!([uploaded]));
    assert_eq!(world.usage(&business.api_key).await, (1, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_brings_a_file_and_sends_it() {
    let world = World::start().await;
    let demo = world.ready.demo.clone().expect("the demo is seeded");
    let agent = demo.token.as_str();
    let conversation_id = demo.conversations.chat;
    let uploaded = store(&world, agent, conversation_id, "cat.png", "image/png", PNG).await.json();
    let body = json!({"content": "look at the cat", "attachments": [{"url": uploaded["url"]}]})
        .to_string();
    let sent = world.send(agent, conversation_id, "look at the cat").body(body).go().await;
    let by = &sent.json()["sender_type"];
    let who = &sent.json()["sender_id"];
    assert_eq!((by, who), (&json!("agent"), &json!(demo.agent_id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_file_is_put_past_the_api_and_looked_at_once() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    let film = [b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".as_slice(), &vec![0; 5 << 20]].concat();
    let size = film.len() as u64;
    let answer =
        announce(&world, &business.api_key, conversation_id, "tour.mp4", "video/mp4", size).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);

    let announced = answer.json();
    let upload = &announced["upload"];
    assert_eq!(
        (&upload["method"], &upload["headers"]["content-type"]),
        (&json!("PUT"), &json!("video/mp4"))
    );
    assert_eq!(upload["headers"]["content-length"], json!(size.to_string()));

    let names: Vec<&str> =
        upload["headers"].as_object().expect("headers").keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["content-length", "content-type", "if-none-match", "x-amz-tagging"],
        "and no trace of ours"
    );

    let early = send(&world, &business, conversation_id, &[&announced["url"]]).await;
    assert_eq!(early.problem(), (422, "attachment_not_found".into()));
    assert!(early.text.contains("has not arrived"), "{}", early.text);
    assert_eq!(lead(&world, &announced["url"]).await.status, 404, "it is not checked yet");

    assert_eq!(bring(upload, &film[1..]).await.status(), 403, "the size is signed");
    assert_eq!(bring(upload, &film).await.status(), 200);
    assert_eq!(bring(upload, &film).await.status(), 412, "it is there already");

    let send_again = async || {
        let before = world.calls();
        let sent = send(&world, &business, conversation_id, &[&announced["url"]]).await;
        let shown = json!([{"id": announced["id"], "url": announced["url"], "filename": "tour.mp4",
            "content_type": "video/mp4", "size": size}]);
        assert_eq!(sent.json()["attachments"], shown, "{}", sent.text);
        let made = |((function, operation), times): ((String, String), u64)| {
            let key = (function, operation);
            let new = times - before.get(&key).copied().unwrap_or(0);
            (key.0 == "SendMessage" && new > 0).then_some((key.1, new))
        };
        world
            .calls()
            .into_iter()
            .filter_map(made)
            .map(|(operation, times)| format!("{operation} {times}"))
            .collect()
    };
    let first: Vec<String> = send_again().await;

    // A transaction opens the month, one accepts the message, and one takes the file out of outbox
    // and count.
    for call in ["s3:GetObject 1", "s3:PutObjectTagging 1", "dynamodb:TransactWriteItems 3"] {
        assert!(first.iter().any(|made| made == call), "{call}: {first:?}");
    }

    let second: Vec<String> = send_again().await;
    assert_eq!(
        second,
        ["dynamodb:BatchGetItem 1", "dynamodb:TransactWriteItems 1", "sqs:SendMessage 1"]
    );

    let file = Client::new()
        .get(announced["url"].as_str().expect("a URL"))
        .send()
        .await
        .expect("it is led to");
    assert_eq!(
        (file.status().as_u16(), &file.headers()["content-type"]),
        (200, &"video/mp4".parse().expect("a type"))
    );

    assert_eq!(file.bytes().await.expect("a file").len(), film.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_still_announced_where_forms_go_and_the_answer_names_the_new_path() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");
    let path = format!("/api/v1/conversations/{conversation_id}/upload");
    let bearer = format!("Bearer {}", business.api_key);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = json!({"filename": "a.png", "content_type": "image/png", "size": PNG.len()});

    let old = world.call(Method::POST, &path, &headers, body.to_string().into()).await;
    assert_eq!(old.status, StatusCode::CREATED, "{}", old.text);
    assert_eq!(old.header("deprecation"), Some("@1795910400"));
    let link = format!("<{path}s>; rel=\"successor-version\"");
    assert_eq!(old.header("link"), Some(link.as_str()));
    assert_eq!(bring(&old.json()["upload"], PNG).await.status(), 200);

    // No form goes where files are announced.
    let form = [("content-type", "multipart/form-data; boundary=edge"), headers[0]];
    let refused = world.call(Method::POST, &format!("{path}s"), &form, b"--edge--".into()).await;
    assert_eq!(refused.problem(), (415, "unsupported_media_type".into()));
    assert_eq!(refused.header("accept"), Some("application/json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_cannot_be_is_told_what_is_wrong() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    let largest = vec![b'x'; 4 << 20];
    let stored =
        store(&world, &business.api_key, conversation_id, "large.txt", "text/plain", &largest)
            .await;
    assert_eq!(stored.status, StatusCode::CREATED, "{}", stored.text);

    let larger = [&largest[..], b"x"].concat();
    let file =
        store(&world, &business.api_key, conversation_id, "large.txt", "text/plain", &larger).await;
    assert_eq!(file.problem(), (413, "body_too_large".into()));

    let body = store(
        &world,
        "",
        conversation_id,
        "large.txt",
        "text/plain",
        &vec![b'x'; (4 << 20) + (65 << 10)],
    )
    .await;
    assert_eq!(body.problem(), (413, "body_too_large".into()), "before the token is read");

    let most = 100 << 20;
    assert_eq!(
        announce(&world, &business.api_key, conversation_id, "a.zip", "application/zip", most)
            .await
            .status,
        201
    );

    for (kind, size) in [("application/zip", most + 1), ("application/zip", 0), ("zip", 1)] {
        let wrong = announce(&world, &business.api_key, conversation_id, "a.zip", kind, size).await;
        assert_eq!(wrong.problem(), (422, "validation_error".into()), "{kind} {size}");
    }

    let path = "/api/v1/conversations/not-an-id/uploads";
    let anonymous = world
        .call(Method::POST, path, &[("content-type", "application/json")], b"{".to_vec())
        .await;
    assert_eq!(
        anonymous.problem(),
        (401, "unauthorized".into()),
        "the answer does not say what else is wrong"
    );

    let bearer = format!("Bearer {}", business.api_key);
    let wrong = world.call(Method::POST, path, &[("authorization", &bearer)], b"{}".to_vec()).await;
    let kinds: Vec<Value> = wrong.json()["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|e| e["type"].clone())
        .collect();

    assert_eq!(kinds, ["uuid_parsing", "missing", "missing", "missing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_contradict_are_refused() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");
    let exe = [b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff".as_slice(), &[0; 50]].concat();
    let lie = store(&world, &business.api_key, conversation_id, "cat.png", "image/png", &exe).await;
    assert_eq!(lie.problem(), (422, "validation_error".into()));
    assert_eq!(lie.json()["errors"][0]["type"], "content_type_mismatch");

    let size = exe.len() as u64;
    let announced =
        announce(&world, &business.api_key, conversation_id, "cat.png", "image/png", size)
            .await
            .json();
    assert_eq!(bring(&announced["upload"], &exe).await.status(), 200);

    let refused = send(&world, &business, conversation_id, &[&announced["url"]]).await;
    assert_eq!(refused.problem(), (422, "attachment_not_found".into()));
    assert!(
        refused.text.contains("image/png") && refused.text.contains("portable-executable"),
        "{}",
        refused.text
    );
    assert_eq!(lead(&world, &announced["url"]).await.status, 404);

    // Where nothing is said, the bytes are asked.
    let kind = "application/octet-stream";
    let silent =
        announce(&world, &business.api_key, conversation_id, "cat", kind, PNG.len() as u64)
            .await
            .json();
    assert_eq!(bring(&silent["upload"], PNG).await.status(), 200);

    let sent = send(&world, &business, conversation_id, &[&silent["url"]]).await;
    assert_eq!(sent.json()["attachments"][0]["content_type"], "image/png");
    assert_eq!(world.usage(&business.api_key).await, (1, 10));
}

//! A file can be read with its URL and nothing else, until its time is over.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{announce, bring, lead, send, store};
use domain::{BusinessId, ConversationId};
use platform::capability::Capability;
use tests::{PNG, World};

const DAY: i64 = 24 * 60 * 60;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_can_be_read_with_its_url_and_not_without() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");
    let page = b"<!DOCTYPE html> <script>alert(1)</script>";
    let html =
        store(&world, &business.api_key, conversation_id, "page\u{fc}.html", "text/html", page)
            .await
            .json();
    let led = lead(&world, &html["url"]).await;
    assert_eq!(led.status, 302);
    assert_eq!(
        (led.header("cache-control"), led.header("referrer-policy")),
        (Some("no-store"), Some("no-referrer"))
    );

    let address = led.header("location").expect("a URL").to_owned();
    assert!(address.contains("X-Amz-Expires=300"), "it is good for five minutes: {address}");

    let file = reqwest::get(&address).await.expect("S3 answers");
    assert_eq!(
        file.headers()["content-disposition"],
        "attachment; filename*=UTF-8''page%C3%BC%2Ehtml"
    );
    assert_eq!(file.text().await.expect("a file").as_bytes(), page);

    let picture =
        store(&world, &business.api_key, conversation_id, "cat.png", "image/png", PNG).await.json();
    let picture =
        reqwest::get(picture["url"].as_str().expect("a URL")).await.expect("it is led to");
    assert_eq!(picture.headers()["content-disposition"], "inline; filename*=UTF-8''cat%2Epng");

    // RFC 9110 §9.3.2: `HEAD` is `GET` without the body, here and where it is led to.
    let head = reqwest::Client::new().head(html["url"].as_str().expect("a URL"));
    let head = head.send().await.expect("it is led to");
    assert_eq!(head.status(), 200);
    assert_eq!(
        (&head.headers()["content-type"], &head.headers()["content-length"]),
        (&"text/html".parse().unwrap(), &page.len().to_string().parse().unwrap())
    );

    let url = html["url"].as_str().expect("a URL");
    let (base, token) = url.rsplit_once('/').expect("a path");
    let other_secret = format!("{}{}", &token[..64], "A".repeat(token.len() - 64));
    let unknown =
        Capability::generate(BusinessId(business.business_id), ConversationId(conversation_id));
    let unknown = unknown.link().secret().to_owned();
    let mut answers = Vec::new();

    for wrong in [other_secret, unknown, token[1..].to_owned(), "nonsense".to_owned()] {
        let answer = lead(&world, &json!(format!("{base}/{wrong}"))).await;
        answers.push((answer.status.as_u16(), answer.without_instance()));
    }

    assert_eq!(answers[0].0, 404);
    assert!(
        answers[0].1.contains("file_not_found")
            && answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_an_uploader_adds_to_a_file_is_served_with_it() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");
    let notes = "no text, if it is taken for gzip";
    let announce = async || {
        let name = "notes.txt";
        let size = notes.len() as u64;
        let kind = "text/plain";
        announce(&world, &business.api_key, conversation_id, name, kind, size).await.json()
    };
    let put = async |file: &Value, more: &[(&str, &str)]| {
        let mut upload = file["upload"].clone();
        for (name, value) in more {
            upload["headers"][name] = json!(value);
        }
        bring(&upload, notes.as_bytes()).await.status().as_u16()
    };

    // What S3 keeps although it is not signed.
    let added = [
        ("cache-control", "public, max-age=31536000, immutable"),
        ("content-disposition", "inline; filename=\"page.html\""),
        ("content-encoding", "gzip"),
        ("content-language", "tlh"),
        ("expires", "Fri, 01 Jan 2100 00:00:00 GMT"),
    ];
    let file = announce().await;
    assert_eq!(put(&file, &added).await, 200);
    send(&world, &business, conversation_id, &[&file["url"]]).await.id();

    let url = file["url"].as_str().expect("a URL");
    let client = reqwest::Client::new();
    for read in [client.get(url), client.head(url)] {
        let served = read.send().await.expect("it is led to");
        assert_eq!(served.status(), 200);
        for (name, value) in added {
            let header = served.headers().get(name).map(|header| header.to_str().expect("text"));
            assert!(header.is_some_and(|header| header != value), "{name}: {header:?}");
        }
        let is_encoded = served.headers()["content-encoding"] != "identity";
        assert!(!is_encoded && !served.headers().keys().any(|name| name == "x-amz-meta-a"));
    }

    // What it refuses, because it is not signed.
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-grant-read", "uri=http://acs.amazonaws.com/groups/global/AllUsers"),
        ("x-amz-meta-a", "b"),
        ("x-amz-object-lock-mode", "COMPLIANCE"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-storage-class", "DEEP_ARCHIVE"),
        ("x-amz-website-redirect-location", "https://example.org"),
        ("x-amz-tagging", "kept=yes"),
        ("content-type", "text/html"),
    ] {
        assert_eq!(put(&announce().await, &[(name, value)]).await, 403, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_message_references_expires_and_what_one_does_is_kept() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    let store = async |name| {
        store(&world, &business.api_key, conversation_id, name, "image/png", PNG).await.json()
    };
    let kept = store("kept-picture.png").await;
    let late = store("late-picture.png").await;

    send(&world, &business, conversation_id, &[&kept["url"]]).await.id();
    let announced =
        announce(&world, &business.api_key, conversation_id, "tour.mp4", "video/mp4", 9)
            .await
            .json();
    let until: DateTime<Utc> =
        serde_json::from_value(announced["upload"]["expires_at"].clone()).expect("a time");
    assert!(until - Utc::now() <= TimeDelta::minutes(15));
    assert!(
        announced["upload"]["url"].as_str().is_some_and(|url| url.contains("X-Amz-Expires=900")),
        "{announced}"
    );

    let address =
        async |url: &Value| lead(&world, url).await.header("location").expect("a URL").to_owned();
    let kept_at = address(&kept["url"]).await;
    let late_at = address(&late["url"]).await;

    world.pass(DAY).await;
    assert_eq!(lead(&world, &late["url"]).await.status, 404);

    let refused = send(&world, &business, conversation_id, &[&late["url"]]).await;
    assert_eq!(refused.problem(), (422, "attachment_not_found".into()));
    assert_eq!(
        reqwest::get(&late_at).await.expect("S3 answers").status(),
        200,
        "the file outlives its record"
    );

    world.pass(2 * DAY).await;
    assert_eq!(reqwest::get(&late_at).await.expect("S3 answers").status(), 404);
    assert_eq!(reqwest::get(&kept_at).await.expect("S3 answers").status(), 200);

    world.pass(331 * DAY).await;
    send(&world, &business, conversation_id, &[&kept["url"]]).await.id();
    world.pass(2 * DAY).await;

    let refused = send(&world, &business, conversation_id, &[&kept["url"]]).await;
    assert_eq!(refused.problem(), (422, "attachment_not_found".into()), "it would not last");
    assert_eq!(lead(&world, &kept["url"]).await.status, 302);

    world.pass(30 * DAY).await;
    assert_eq!(lead(&world, &kept["url"]).await.status, 404);
    assert_eq!(reqwest::get(&kept_at).await.expect("S3 answers").status(), 404);
}

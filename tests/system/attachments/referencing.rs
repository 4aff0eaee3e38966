//! Messages reference files: their own conversation's, as many and as large as the channel carries,
//! before anything is counted.

use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{announce, bring, send, store};
use domain::file::{FileName, MediaType, UploadState};
use domain::{BusinessId, ConversationId};
use platform::capability::Capability;
use platform::files::ObjectKey;
use platform::table::record::Upload;
use tests::{Business, PNG, World};

/// A record of an upload as if it were there, for what is decided by records alone.
async fn pretend(
    world: &World,
    business: &Business,
    channel: &str,
    kind: &str,
    size: u64,
) -> Value {
    let of = BusinessId(business.business_id);
    let conversation_id = ConversationId(business.conversation_id(channel));
    let capability = Capability::generate(of, conversation_id);
    let upload = Upload {
        id: capability.upload,
        link: capability.link(),
        filename: FileName::new("pretended.bin"),
        content_type: MediaType::parse(kind).expect("a media type"),
        size,
        state: UploadState::Ready,
        created_at: Utc::now(),
        expires_at: (Utc::now() + TimeDelta::days(1)).timestamp(),
    };
    let place = ObjectKey { business_id: of, conversation_id, upload: capability.upload };
    world.table().put_upload(place, &upload).await.expect("a record");
    Value::from(upload.link.url(&world.ready.api))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_belongs_to_its_conversation_and_its_business() {
    let world = World::start().await;
    let mine = world.business(10, 1).await;
    let theirs = world.business(10, 1).await;
    let chat = mine.conversation_id("chat");
    let missing = store(&world, &mine.api_key, Uuid::new_v4(), "cat.png", "image/png", PNG).await;
    let foreign =
        store(&world, &mine.api_key, theirs.conversation_id("chat"), "cat.png", "image/png", PNG)
            .await;
    assert_eq!(missing.problem(), (404, "conversation_not_found".into()));
    assert_eq!(missing.without_instance(), foreign.without_instance());

    let upload = async |business: &Business, channel| {
        let conversation_id = business.conversation_id(channel);
        store(&world, &business.api_key, conversation_id, "cat.png", "image/png", PNG).await.json()
            ["url"]
            .take()
    };
    let own = upload(&mine, "chat").await;
    let elsewhere = upload(&mine, "email").await;
    let foreign = upload(&theirs, "chat").await;
    let unknown = Capability::generate(BusinessId(mine.business_id), ConversationId(chat));
    let unknown = unknown.link().url(&world.ready.api);
    let own_text = own.as_str().expect("a URL");

    // Another last character than the signature's own: four end a signature of 64 bytes, and "A" is
    // one of them.
    let last = if own_text.ends_with('A') { 'Q' } else { 'A' };
    let spoiled = format!("{}{last}", &own_text[..own_text.len() - 1]);
    let abroad = own_text.replacen("http://", "http://evil.", 1);
    let mut details = Vec::new();

    for url in [
        json!(unknown),
        elsewhere,
        foreign,
        json!(spoiled),
        json!(abroad),
        json!("https://example.com/a"),
    ] {
        let refused = send(&world, &mine, chat, &[&own, &url]).await;
        assert_eq!(refused.problem(), (422, "attachment_not_found".into()), "{url}");
        details.push(refused.without_instance().replace(url.as_str().expect("a URL"), "…"));
    }

    assert!(details.iter().all(|detail| *detail == details[0]), "{details:?}");
    assert_eq!(world.usage(&mine.api_key).await, (0, 10));

    // The same file twice is what was asked for.
    let twice = send(&world, &mine, chat, &[&own, &own]).await;
    assert_eq!(twice.json()["attachments"].as_array().map(Vec::len), Some(2), "{}", twice.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_channel_carries_what_it_can_and_is_asked_before_the_month() {
    let world = World::start().await;
    let business = world.business(0, 1).await;
    const MIB: u64 = 1 << 20;

    for (channel, kind, most) in [
        ("chat", "application/zip", 25 * MIB),
        ("email", "application/zip", 25 * MIB),
        ("whatsapp", "image/jpeg", 5 * MIB),
        ("whatsapp", "video/mp4", 16 * MIB),
        ("whatsapp", "audio/mpeg", 16 * MIB),
        ("whatsapp", "application/pdf", 100 * MIB),
    ] {
        let conversation_id = business.conversation_id(channel);
        let fits = pretend(&world, &business, channel, kind, most).await;
        let answer = send(&world, &business, conversation_id, &[&fits]).await;
        assert_eq!(
            answer.problem(),
            (403, "quota_exceeded".into()),
            "{channel} {kind}: the limit itself is carried"
        );
        let large = pretend(&world, &business, channel, kind, most + 1).await;
        let answer = send(&world, &business, conversation_id, &[&large]).await;
        assert_eq!(answer.problem(), (422, "content_not_allowed".into()), "{channel} {kind}");
        assert!(answer.text.contains(&most.to_string()), "{}", answer.text);
    }

    let strange = pretend(&world, &business, "whatsapp", "application/zip", 1).await;
    let answer = send(&world, &business, business.conversation_id("whatsapp"), &[&strange]).await;
    assert_eq!(answer.problem(), (422, "content_not_allowed".into()));

    let half = pretend(&world, &business, "email", "application/pdf", 13 * MIB).await;
    let answer = send(&world, &business, business.conversation_id("email"), &[&half, &half]).await;
    assert_eq!(
        answer.problem(),
        (422, "content_not_allowed".into()),
        "together they are too large"
    );

    let one = pretend(&world, &business, "chat", "image/png", 1).await;
    let answer = send(&world, &business, business.conversation_id("chat"), &[&one; 10]).await;
    assert_eq!(answer.problem(), (403, "quota_exceeded".into()));

    let answer = send(&world, &business, business.conversation_id("chat"), &[&one; 11]).await;
    assert_eq!(answer.problem(), (422, "content_not_allowed".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_a_message_with_its_files() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");
    let one =
        store(&world, &business.api_key, conversation_id, "cat.png", "image/png", PNG).await.json();
    let other =
        store(&world, &business.api_key, conversation_id, "cat.png", "image/png", PNG).await.json();
    let call = async |file: Option<&Value>| {
        let files: Vec<&Value> = file.into_iter().collect();
        let body = json!({"content": "see the file", "attachments": files}).to_string();
        world
            .send(&business.api_key, conversation_id, "see the file")
            .body(body)
            .key("k")
            .go()
            .await
    };
    let first = call(Some(&one)).await;
    let again = call(Some(&one)).await;
    assert_eq!(
        (first.text.clone(), again.header("idempotent-replayed")),
        (again.text.clone(), Some("true"))
    );
    assert_eq!(call(Some(&other)).await.problem(), (422, "idempotency_key_reused".into()));
    assert_eq!(call(None).await.problem(), (422, "idempotency_key_reused".into()));

    assert_eq!(world.usage(&business.api_key).await, (1, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_the_storage_counts_nothing() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");
    let upload = async || {
        store(&world, &business.api_key, conversation_id, "cat.png", "image/png", PNG).await
    };

    world.fault("aws", json!({"operation": "PutObject", "error": "SlowDown"})).await;
    assert_eq!(upload().await.problem(), (503, "busy".into()));

    world.heal("aws").await;
    let stored = upload().await.json();
    let size = PNG.len() as u64;
    let announced =
        announce(&world, &business.api_key, conversation_id, "cat.png", "image/png", size)
            .await
            .json();
    assert_eq!(bring(&announced["upload"], PNG).await.status(), 200);

    for (operation, error, refused) in [
        ("GetObject", "SlowDown", (503, "busy")),
        ("GetObject", "AccessDenied", (500, "internal")),
        ("TransactWriteItems", "kill", (500, "")),
    ] {
        let fault = json!({"operation": operation, "error": error, "function": "send-message"});
        world.fault("aws", fault).await;
        let answer =
            send(&world, &business, conversation_id, &[&stored["url"], &announced["url"]]).await;
        assert_eq!(
            answer.status.as_u16() / 100,
            refused.0 / 100,
            "{operation} {error}: {}",
            answer.text
        );
        assert!(
            refused.1.is_empty() || answer.problem() == (refused.0, refused.1.into()),
            "{operation} {error}: {}",
            answer.text
        );
        world.heal("aws").await;
    }

    assert_eq!(world.usage(&business.api_key).await, (0, 10));

    send(&world, &business, conversation_id, &[&stored["url"], &announced["url"]]).await.id();
    assert_eq!(world.usage(&business.api_key).await, (1, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_before_it_is_sent_fails_a_whatsapp_message_and_not_a_mail() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    world.sandbox(Method::PUT, "/queues/held", json!({"held": true})).await;

    let mut sent = Vec::new();
    for channel in ["whatsapp", "email"] {
        let conversation_id = business.conversation_id(channel);
        let stored = store(&world, &business.api_key, conversation_id, "cat.png", "image/png", PNG)
            .await
            .json();
        let id = send(&world, &business, conversation_id, &[&stored["url"]]).await.id();
        sent.push((conversation_id, id, stored["url"].clone()));
    }

    world.engine().expire_objects(Utc::now() + TimeDelta::days(366)).expect("files can be removed");
    world.sandbox(Method::PUT, "/queues/held", json!({"held": false})).await;
    let [(whatsapp, photo, _), (email, mail, url)] = &sent[..] else { panic!("two were sent") };
    let delivery = world.until_status(&business.api_key, *whatsapp, *photo, "failed").await;
    assert_eq!(delivery["error"]["code"], "file_unavailable");
    world.until_status(&business.api_key, *email, *mail, "sent").await;

    let got = world.received("email", *email).await;
    assert!(got[0].contains(url.as_str().expect("a URL")), "{got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_deleted_is_not_found() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");
    let stored =
        store(&world, &business.api_key, conversation_id, "cat.png", "image/png", PNG).await.json();
    let size = PNG.len() as u64;
    let announced =
        announce(&world, &business.api_key, conversation_id, "cat.png", "image/png", size)
            .await
            .json();
    assert_eq!(bring(&announced["upload"], PNG).await.status(), 200);

    world.engine().expire_objects(Utc::now() + TimeDelta::days(3)).expect("files can be removed");
    for url in [&stored["url"], &announced["url"]] {
        let refused = send(&world, &business, conversation_id, &[url]).await;
        assert_eq!(refused.problem(), (422, "attachment_not_found".into()));
    }

    assert_eq!(world.usage(&business.api_key).await, (0, 10));
}

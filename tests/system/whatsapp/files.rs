//! Files on WhatsApp: each is a message of its own there, and all of them together are one of ours.

use hmac::digest::Digest;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use super::messages;
use crate::attachments::{announce, bring, store};
use domain::file::MAX_FILE_BYTES;
use domain::{BusinessId, ConversationId};
use tests::{Answer, Business, DOUBT_SECONDS, LEASE_SECONDS, PNG, World};

/// The beginning of a film, of a recording and of a document, as far as it is looked at.
const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom a film";
const OGG: &[u8] = b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead\x01\x02";
/// WhatsApp takes Ogg with its codec only.
const OPUS: &str = "audio/ogg; codecs=opus";
const PDF: &[u8] = b"%PDF-1.7\n% a document\n";

/// More than any other kind of file may have, in bytes.
const LARGE: usize = 20 << 20;

/// Uploads these, and sends them with a text.
pub(crate) async fn send(
    world: &World,
    business: &Business,
    text: &str,
    files: &[(&str, &str, &[u8])],
) -> Answer {
    let conversation_id = business.conversation_id("whatsapp");
    let mut attachments = Vec::new();
    for (name, kind, bytes) in files {
        let upload = store(world, &business.api_key, conversation_id, name, kind, bytes).await;
        assert_eq!(upload.status, StatusCode::CREATED, "{}", upload.text);
        attachments.push(json!({ "url": upload.json()["url"] }));
    }

    let body = json!({ "content": text, "attachments": attachments }).to_string();
    world.send(&business.api_key, conversation_id, text).body(body).go().await
}

/// Returns what a customer has of a file.
fn received_file(
    kind: &str,
    content_type: &str,
    bytes: &[u8],
    filename: Option<&str>,
    caption: Option<&str>,
) -> Value {
    json!({ "kind": kind, "filename": filename, "content_type": content_type, "size": bytes.len(),
        "sha256": hex::encode(Sha256::digest(bytes)), "caption": caption })
}

/// Three parts: a text, since a recording has no caption, and two files.
const THREE: [(&str, &str, &[u8]); 2] =
    [("voice 1.ogg", "audio/ogg", OGG), ("Rechnung é 7.pdf", "application/pdf", PDF)];

fn three_received_files() -> [Value; 2] {
    [
        received_file("audio", OPUS, OGG, None, None),
        received_file("document", "application/pdf", PDF, Some("Rechnung é 7.pdf"), None),
    ]
}

/// Which parts of each copy of a message its customer has.
fn copies(messages: &[Value]) -> Vec<Value> {
    messages.iter().map(|message| message["parts"]["got"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_file_arrives_with_its_bytes_and_its_text() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    let text = Some("see the file");
    let none = None;

    for (number, (name, content_type, bytes, expected)) in [
        ("photo 1.png", "image/png", PNG, received_file("image", "image/png", PNG, None, text)),
        ("film.mp4", "video/mp4", MP4, received_file("video", "video/mp4", MP4, None, text)),
        ("voice.ogg", "audio/opus", OGG, received_file("audio", OPUS, OGG, None, none)),
        (
            "é 7.pdf",
            "application/pdf",
            PDF,
            received_file("document", "application/pdf", PDF, Some("é 7.pdf"), text),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let id = send(&world, &business, "see the file", &[(name, content_type, bytes)]).await.id();
        world.until_status(&business.api_key, conversation_id, id, "sent").await;
        let message = &messages(&world, conversation_id).await[number];
        assert_eq!(
            (&message["content"], &message["attachments"]),
            (&json!("see the file"), &json!([expected]))
        );
    }
}

/// Brings a document of this many bytes past the API, and sends it; returns the message's id, and
/// the bytes.
async fn send_large(world: &World, business: &Business, size: usize) -> (Uuid, Vec<u8>) {
    let conversation_id = business.conversation_id("whatsapp");
    let bytes = [PDF, &vec![b'%'; size - PDF.len()]].concat();
    let (name, kind) = ("atlas.pdf", "application/pdf");
    let announced =
        announce(world, &business.api_key, conversation_id, name, kind, bytes.len() as u64);
    let upload = announced.await.json();
    assert_eq!(bring(&upload["upload"], &bytes).await.status(), StatusCode::OK);

    let body =
        json!({ "content": "an atlas", "attachments": [{ "url": upload["url"] }] }).to_string();
    let sent = world.send(&business.api_key, conversation_id, "an atlas").body(body).go().await;
    (sent.id(), bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_document_arrives_whole() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    let (id, bytes) = send_large(&world, &business, LARGE).await;
    world.until_status(&business.api_key, conversation_id, id, "sent").await;

    let expected =
        received_file("document", "application/pdf", &bytes, Some("atlas.pdf"), Some("an atlas"));
    assert_eq!(messages(&world, conversation_id).await[0]["attachments"], json!([expected]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_document_waits_for_an_invocation_that_has_time_for_it() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    // The worker has 20 seconds, and the document may take 17.
    world.fault("whatsapp", json!({ "delay_ms": 3_200, "times": 1 })).await;
    world.sandbox(Method::PUT, "/queues/held", json!({ "held": true })).await;
    send(&world, &business, "before it", &[]).await;
    let (id, _) = send_large(&world, &business, MAX_FILE_BYTES as usize).await;
    world.sandbox(Method::PUT, "/queues/held", json!({ "held": false })).await;

    let delivery = world.until_status(&business.api_key, conversation_id, id, "sent").await;
    assert_eq!(delivery["attempts"], 1, "{delivery}");
    let (business_id, conversation_id) =
        (BusinessId(business.business_id), ConversationId(conversation_id));
    let conversation = world.table().conversation(business_id, conversation_id).await;
    let conversation = conversation.expect("the table answers").expect("the conversation");
    assert!(conversation.fence > 1, "it was begun by the invocation that had waited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_and_many_files_are_one_message_in_this_order() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    world
        .report("whatsapp", json!({ "statuses": ["sent", "delivered", "read"], "delay_ms": 0 }))
        .await;

    let id = send(&world, &business, "three things", &THREE).await.id();
    let next =
        world.send(&business.api_key, conversation_id, "and this comes after").go().await.id();
    for id in [id, next] {
        let delivery = world.until_status(&business.api_key, conversation_id, id, "read").await;
        assert_eq!(delivery["attempts"], 1);
    }

    let messages = messages(&world, conversation_id).await;
    assert_eq!(messages.len(), 2);
    assert_eq!(
        (&messages[0]["content"], &messages[1]["content"]),
        (&json!("three things"), &json!("and this comes after"))
    );
    assert_eq!(messages[0]["parts"], json!({ "of": 3, "got": [1, 2, 3] }));

    assert_eq!(messages[0]["attachments"], json!(three_received_files()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_has_to_wait_is_waited_for_and_the_ones_before_are_not_sent_again() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    world.fault("whatsapp", json!({ "code": 131_056, "skip": 1, "times": 1 })).await;

    let id = send(&world, &business, "three things", &THREE).await.id();
    world
        .until("the second part is put back", async || {
            let delivery = world.delivery(&business.api_key, conversation_id, id).await;
            (delivery["error"]["provider_code"] == "131056").then_some(())
        })
        .await;
    assert_eq!(copies(&messages(&world, conversation_id).await), [json!([1])]);

    world.pass(60).await;
    world.sweep().await;
    let delivery = world.until_status(&business.api_key, conversation_id, id, "sent").await;
    assert_eq!(delivery["attempts"], 2);
    assert_eq!(copies(&messages(&world, conversation_id).await), [json!([1, 2, 3])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_leaves_nothing_in_doubt() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");

    for fault in [json!({ "after_effect": true, "times": 1 }), json!({ "status": 503, "times": 1 })]
    {
        world.fault("whatsapp-media", fault).await;
        let id =
            send(&world, &business, "see the file", &[("photo.png", "image/png", PNG)]).await.id();
        world
            .until("it is put back", async || {
                let delivery = world.delivery(&business.api_key, conversation_id, id).await;
                (delivery["status"] == "queued" && delivery["attempts"] == 1).then_some(())
            })
            .await;
        world.pass(60).await;
        world.sweep().await;
        let delivery = world.until_status(&business.api_key, conversation_id, id, "sent").await;
        assert_eq!(delivery["history"][0]["outcome"], "postponed");
    }

    world.fault("whatsapp-media", json!({ "code": 131_053, "times": 1 })).await;
    let id = send(&world, &business, "see the file", &[("photo.png", "image/png", PNG)]).await.id();
    let delivery = world.until_status(&business.api_key, conversation_id, id, "failed").await;
    assert_eq!(delivery["error"]["code"], "file_rejected");
    assert_eq!(messages(&world, conversation_id).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_keys_of_its_receipts_a_message_waits_and_its_file_is_not_uploaded() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    let keys = world.engine().secret_id("ReceiptKeys").expect("the template declares it");
    let silent = json!({ "operation": "GetSecretValue", "error": "timeout", "about": keys });
    world.fault("aws", silent).await;

    // An upload would end the message.
    world.fault("whatsapp-media", json!({ "code": 131_053, "times": 1 })).await;
    let id = send(&world, &business, "see the file", &[("photo.png", "image/png", PNG)]).await.id();
    let tried = async || {
        let delivery = world.delivery(&business.api_key, conversation_id, id).await;
        delivery["error"].is_object().then_some(delivery)
    };
    let delivery = world.until("it was tried", tried).await;
    assert_eq!(
        (&delivery["status"], &delivery["error"]["code"]),
        (&json!("queued"), &json!("keys_unavailable"))
    );

    for part in ["aws", "whatsapp-media"] {
        world.heal(part).await;
    }
    world.pass(60).await;
    world.sweep().await;
    let delivery = world.until_status(&business.api_key, conversation_id, id, "sent").await;
    assert_eq!(delivery["history"][0]["outcome"], "postponed");
}

/// A message of three parts over whose second one something happens; returns its conversation, and
/// its id.
async fn in_doubt(world: &World, business: &Business, fault: Value) -> (Uuid, Uuid) {
    let conversation_id = business.conversation_id("whatsapp");
    world.fault("whatsapp", fault).await;
    let id = send(world, business, "three things", &THREE).await.id();
    world
        .until("the fault has hit", async || {
            let fault = world.sandbox(Method::GET, "/whatsapp/faults", Value::Null).await;
            fault.is_null().then_some(())
        })
        .await;
    (conversation_id, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_in_doubt_is_the_only_one_that_may_come_twice() {
    for fault in [
        json!({ "after_effect": true, "skip": 1, "times": 1 }),
        json!({ "kill": true, "after_effect": true, "skip": 1, "times": 1 }),
    ] {
        let world = World::start().await;
        let business = world.business(10, 1).await;
        let (conversation_id, id) = in_doubt(&world, &business, fault).await;
        world.pass(LEASE_SECONDS).await;
        world.sweep().await;
        world.until_status(&business.api_key, conversation_id, id, "in_doubt").await;
        assert_eq!(
            copies(&messages(&world, conversation_id).await),
            [json!([1, 2])],
            "nothing is sent again in doubt"
        );
        world.pass(DOUBT_SECONDS).await;
        world.sweep().await;
        world.until_status(&business.api_key, conversation_id, id, "sent").await;
        assert_eq!(
            copies(&messages(&world, conversation_id).await),
            [json!([1, 2, 3]), json!([2])]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_the_part_in_doubt_lets_the_message_go_on_behind_it_at_once() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    world.report("whatsapp", json!({ "statuses": ["sent", "delivered"], "held": true })).await;

    let fault = json!({ "after_effect": true, "skip": 1, "times": 1 });
    let (conversation_id, id) = in_doubt(&world, &business, fault).await;
    world.until_status(&business.api_key, conversation_id, id, "in_doubt").await;
    assert_eq!(world.release("whatsapp").await, 4);

    world
        .until("the rest follows", async || {
            let copies = copies(&messages(&world, conversation_id).await);
            (copies == [json!([1, 2, 3])]).then_some(())
        })
        .await;
    world.until_status(&business.api_key, conversation_id, id, "sent").await;

    world.release("whatsapp").await;
    world.until_status(&business.api_key, conversation_id, id, "delivered").await;
    assert_eq!(copies(&messages(&world, conversation_id).await), [json!([1, 2, 3])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_two_parts_goes_on_with_the_next() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    // Its writes: claim, mark, and the note that the first part is through.
    let kill = json!({ "operation": "UpdateItem", "error": "kill", "times": 1, "skip": 2, "function": "deliver-whatsapp",
        "after_effect": true });

    world.fault("aws", kill).await;
    let id = send(&world, &business, "three things", &THREE).await.id();
    world
        .until("the worker was killed", async || {
            let faults = world.sandbox(Method::GET, "/aws/faults", Value::Null).await;
            faults.as_array().expect("an array").is_empty().then_some(())
        })
        .await;

    for seconds in [LEASE_SECONDS, DOUBT_SECONDS] {
        world.pass(seconds).await;
        world.sweep().await;
        world
            .until("the file was looked at", async || {
                let status =
                    world.delivery(&business.api_key, conversation_id, id).await["status"].clone();
                (status != "sending").then_some(())
            })
            .await;
    }

    world.until_status(&business.api_key, conversation_id, id, "sent").await;
    assert_eq!(copies(&messages(&world, conversation_id).await), [json!([1, 2, 3])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_that_whatsapp_cannot_use_fails_the_message_and_not_the_next_one() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    world.fault("whatsapp", json!({ "code": 131_053, "skip": 1, "times": 1 })).await;

    let id = send(&world, &business, "three things", &THREE).await.id();
    let next =
        world.send(&business.api_key, conversation_id, "and this one proceeds").go().await.id();
    world.until_status(&business.api_key, conversation_id, next, "sent").await;

    let delivery = world.delivery(&business.api_key, conversation_id, id).await;
    assert_eq!(
        (&delivery["status"], &delivery["error"]["code"]),
        (&json!("failed"), &json!("file_rejected"))
    );
    assert_eq!(copies(&messages(&world, conversation_id).await)[0], json!([1]));
}

//! Receipts that a provider vouches for, and that are about a message which was not sent so: by
//! another number or configuration set, on another channel, or without the proof that went out with
//! it. They are counted, and change nothing.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::Utc;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::meta::{Meta, NUMBER, notification, notification_of, tag};
use emulator::Event;
use tests::{Business, World};

/// Meta's id of a number of another business, which the same app of Meta's reports on.
const OTHER_NUMBER: &str = "106540352242923";

/// How many receipts were ignored because they prove nothing.
fn unproven(world: &World) -> usize {
    let is_one = |line: &emulator::LogLine| line.text.contains("that was not sent so; ignored");
    world.logged().iter().filter(|line| is_one(line)).count()
}

async fn send(world: &World, business: &Business, channel: &str) -> (Uuid, Uuid, String) {
    let conversation_id = business.conversation_id(channel);
    let text = format!("no foreign receipt is about this, by {channel}");
    let id = world.send(&business.api_key, conversation_id, &text).go().await.id();
    world.until_status(&business.api_key, conversation_id, id, "sent").await;
    let reference = format!("{}.{conversation_id}.{id}", business.business_id);
    (conversation_id, id, reference)
}

fn status(callback_data: &str, status: &str) -> Value {
    json!({ "id": "wamid.1", "status": status, "timestamp": Utc::now().timestamp().to_string(),
        "recipient_id": "15550000000", "biz_opaque_callback_data": callback_data })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_counts_for_what_was_sent_by_its_number_alone() {
    let world = World::start().await;
    let meta = Meta::of(&world).await;
    let business = world.business(10, 1).await;
    let (whatsapp, message, reference) = send(&world, &business, "whatsapp").await;
    let (email, mail, mails_reference) = send(&world, &business, "email").await;
    let encode = |tag: [u8; 16]| BASE64_URL_SAFE_NO_PAD.encode(tag);
    let configuration_set = configuration_set(&world);
    let good = encode(tag(&world, "whatsapp", NUMBER, &reference).await);
    let mails = encode(tag(&world, "email", &configuration_set, &mails_reference).await);

    let forged = [
        // Another number of the same app, with what a business may see of its own messages.
        (OTHER_NUMBER, format!("{reference}.{good}")),
        ("", format!("{reference}.{good}")),
        // Its own number, and no proof, a part of it, or another message's.
        (NUMBER, reference.clone()),
        (NUMBER, format!("{reference}.")),
        (NUMBER, format!("{reference}.{}", &good[..10])),
        (NUMBER, format!("{reference}.{mails}")),
        (NUMBER, format!("{reference}.2.3.{good}")),
        (OTHER_NUMBER, reference.clone()),
        // A mail, as if it had been sent by WhatsApp.
        (NUMBER, mails_reference.clone()),
        (NUMBER, format!("{mails_reference}.{mails}")),
        (NUMBER, format!("{mails_reference}.{good}")),
    ];
    for (number, callback_data) in &forged {
        for word in ["failed", "read"] {
            let body = notification_of(number, &[status(callback_data, word)]);
            let answer = meta.notify(&body).await;
            assert_eq!(answer.status, StatusCode::OK, "{number} {callback_data}");
        }
    }

    for (conversation_id, id) in [(whatsapp, message), (email, mail)] {
        let delivery = world.delivery(&business.api_key, conversation_id, id).await;
        assert_eq!(delivery["status"], "sent", "{delivery}");
    }
    assert_eq!(unproven(&world), 2 * forged.len());

    let genuine = notification(&[status(&format!("{reference}.{good}"), "read")]);
    assert_eq!(meta.notify(&genuine).await.status, StatusCode::OK);
    world.until_status(&business.api_key, whatsapp, message, "read").await;
}

fn configuration_set(world: &World) -> String {
    let environments = world.engine().environments();
    environments["ReceiptsEmail"]["EMAIL_CONFIGURATION_SET"].clone()
}

fn bounce(tags: &Value) -> Event {
    Event {
        source: "aws.ses",
        detail_type: "Email Bounced",
        time: Utc::now(),
        resources: Vec::new(),
        detail: json!({
            "eventType": "Bounce",
            "mail": { "messageId": "0107-1", "timestamp": Utc::now(), "tags": tags },
            "bounce": { "bounceType": "Permanent", "bounceSubType": "General",
                "timestamp": Utc::now() },
        }),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_sess_counts_for_what_was_sent_with_its_configuration_set_alone() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let (email, mail, reference) = send(&world, &business, "email").await;
    let (whatsapp, message, other) = send(&world, &business, "whatsapp").await;
    let set = configuration_set(&world);
    let tags = |id: Uuid, conversation_id: Uuid, tag: Option<[u8; 16]>| {
        let mut tags = json!({ "ses:configuration-set": [set], "business": [business.business_id],
            "conversation": [conversation_id], "message": [id] });
        if let Some(tag) = tag {
            tags["tag"] = json!([BASE64_URL_SAFE_NO_PAD.encode(tag)]);
        }
        tags
    };

    let by_another_set = tag(&world, "email", "another-set", &reference).await;
    let of_another = tag(&world, "whatsapp", NUMBER, &other).await;
    let good = tag(&world, "email", &set, &reference).await;
    let forged = [
        tags(mail, email, None),
        tags(mail, email, Some([0; 16])),
        tags(mail, email, Some(by_another_set)),
        tags(mail, email, Some(of_another)),
        // A WhatsApp message, as if it had been mailed.
        tags(message, whatsapp, None),
        tags(message, whatsapp, Some(of_another)),
        tags(message, whatsapp, Some(good)),
    ];
    for tags in &forged {
        world.engine().publish(&bounce(tags)).await.expect("it is no failure");
    }

    for (conversation_id, id) in [(email, mail), (whatsapp, message)] {
        let delivery = world.delivery(&business.api_key, conversation_id, id).await;
        assert_eq!(delivery["status"], "sent", "{delivery}");
    }
    assert_eq!(unproven(&world), forged.len());

    let genuine = bounce(&tags(mail, email, Some(good)));
    world.engine().publish(&genuine).await.expect("it is no failure");
    world.until_status(&business.api_key, email, mail, "failed").await;
    world.allow(|allowed| allowed.undelivered = true);
}

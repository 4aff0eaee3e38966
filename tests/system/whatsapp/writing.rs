//! Customers who write on WhatsApp: their texts and the ids of their files are kept in their
//! conversation, once however often Meta tells of them.

use serde_json::{Value, json};

use super::window::{closed, shop};
use crate::receipts::meta::{Meta, NUMBER};
use tests::World;

/// A notification of what customers wrote.
fn written(messages: &[Value]) -> Value {
    let metadata = json!({ "display_phone_number": "15550783881", "phone_number_id": NUMBER });
    let value =
        json!({ "messaging_product": "whatsapp", "metadata": metadata, "messages": messages });
    let changes = json!([{ "field": "messages", "value": value }]);
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": changes }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customer_writes_on_whatsapp_is_kept_once_and_in_order() {
    let world = World::start().await;
    let meta = Meta::of(&world).await;
    let shop = shop(&world, false, closed()).await;
    let list = async |query: &str| {
        let conversation_id = shop.conversation_id;
        let path = format!("/api/v1/conversations/{conversation_id}/messages?{query}");
        world.get(&shop.api_key, &path).await.json()["messages"].take()
    };
    let message = |id: &str, kind: &str, part: Value| {
        let mut message = json!({ "from": shop.customer, "id": id, "timestamp": "1772355902",
            "type": kind });
        message[kind] = part;
        message
    };
    for text in ["where is my parcel?", "this is the shop", "it comes on Tuesday"] {
        world.ledger().texts.push(text.to_owned());
    }

    // As the sandbox's customers write, and then by Meta's own hand: twice, at once, and beside
    // what is no text.
    shop.write(&world, "where is my parcel?").await;
    let id = shop.send(&world, "it comes on Tuesday").await.id();
    world.until_status(&shop.api_key, shop.conversation_id, id, "sent").await;
    let picture = json!({ "id": "1479537139650973", "mime_type": "image/jpeg", "sha256": "…",
        "caption": "this is the shop" });
    let notification = written(&[
        message("wamid.1", "image", picture),
        message("wamid.2", "reaction", json!({ "emoji": "👍", "message_id": "wamid.0" })),
        message("wamid.3", "sticker", json!({ "id": "2", "mime_type": "image/webp" })),
    ]);
    for _ in 0..3 {
        let (one, other) = tokio::join!(meta.notify(&notification), meta.notify(&notification));
        for answer in [one, other] {
            // What could not be written at that moment, Meta brings again.
            assert!(answer.status == 200 || answer.status == 500, "{}", answer.text);
        }
    }
    assert_eq!(meta.notify(&notification).await.status, 200);

    let all = list("sender_type=any").await;
    let told = all.as_array().expect("a list").iter();
    let told: Vec<_> = told
        .map(|one| (one["sender_type"].clone(), one["content"].clone(), one["media"].clone()))
        .collect();
    let customer = |content: &str, media: Value| (json!("customer"), json!(content), media);
    let image = json!({ "kind": "image", "id": "1479537139650973" });
    assert_eq!(
        told,
        [
            customer("where is my parcel?", Value::Null),
            (json!("agent"), json!("it comes on Tuesday"), Value::Null),
            customer("this is the shop", image),
            customer("", json!({ "kind": "sticker", "id": "2" })),
        ]
    );
    assert_eq!(list("").await.as_array().map(Vec::len), Some(1), "agents' messages alone");
    assert_eq!(world.usage(&shop.api_key).await.0, 1);
}

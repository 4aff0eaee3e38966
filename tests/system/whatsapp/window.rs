//! The 24 hours after a customer's message: within them anything is sent, after them the channel's
//! template or nothing; and the customer begins them anew.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::messages;
use crate::attachments;
use crate::receipts::meta::Meta;
use domain::{BusinessId, ConversationId};
use platform::table::key;
use tests::{Answer, PNG, World};

/// A business whose WhatsApp channel has a template, or none, and a conversation whose window
/// closes then.
pub(super) struct Shop {
    business_id: Uuid,
    pub(super) api_key: String,
    pub(super) conversation_id: Uuid,
    pub(super) customer: String,
}

pub(super) async fn shop(
    world: &World,
    has_template: bool,
    window_expires_at: DateTime<Utc>,
) -> Shop {
    shop_with(world, has_template, window_expires_at, None).await
}

/// A shop whose customer has this name at WhatsApp, or a number of their own.
async fn shop_with(
    world: &World,
    has_template: bool,
    window_expires_at: DateTime<Utc>,
    customer: Option<&str>,
) -> Shop {
    let template = has_template.then(|| json!({ "name": "agent_answers", "language": "en_US" }));
    let new = json!({ "limit": 10, "shards": 1, "whatsapp_template": template });
    let business = world.sandbox(Method::POST, "/businesses", new).await;
    let word = |answer: &Value, name: &str| answer[name].as_str().expect("a text").to_owned();
    let new = json!({ "business_id": business["business_id"], "channel": "whatsapp",
        "window_expires_at": window_expires_at, "customer": customer });
    let conversation = world.sandbox(Method::POST, "/conversations", new).await;
    let shop = Shop {
        business_id: word(&business, "business_id").parse().expect("an id"),
        api_key: word(&business, "api_key"),
        conversation_id: word(&conversation, "conversation_id").parse().expect("an id"),
        customer: word(&conversation, "customer"),
    };

    world.ledger().secrets.push(shop.api_key.clone());
    shop
}

impl Shop {
    pub(super) async fn send(&self, world: &World, text: &str) -> Answer {
        world.send(&self.api_key, self.conversation_id, text).go().await
    }

    /// The shop's customer writes.
    pub(super) async fn write(&self, world: &World, text: &str) {
        world.ledger().texts.push(text.to_owned());
        let wrote = json!({ "from": self.customer, "text": text });
        world.sandbox(Method::POST, "/whatsapp/customers", wrote).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_only_we_think_open_fails_the_message_and_says_why() {
    let world = World::start().await;
    let shop = shop(&world, false, closed()).await;
    // Ours says otherwise, as after a customer's message that Meta counts from an earlier time.
    let place =
        key::conversation(BusinessId(shop.business_id), ConversationId(shop.conversation_id));
    let open = AttributeValue::N((Utc::now() + TimeDelta::hours(1)).timestamp_millis().to_string());
    let change = world
        .dynamodb()
        .update_item()
        .table_name(&world.ready.table)
        .set_key(Some(place.attributes()));
    let change = change
        .update_expression("SET window_expires_at = :open")
        .expression_attribute_values(":open", open);

    change.send().await.expect("the conversation is there");

    let id = shop.send(&world, "too late").await.id();
    let delivery = world.until_status(&shop.api_key, shop.conversation_id, id, "failed").await;
    let code = &delivery["error"]["code"];
    assert_eq!(
        (code, &delivery["error"]["provider_code"]),
        (&json!("outside_messaging_window"), &json!("131047"))
    );

    assert!(
        messages(&world, shop.conversation_id).await.is_empty(),
        "the customer has nothing of it"
    );
}

/// Sends a message, which arrives, and returns whom WhatsApp was told to send it to.
async fn recipient_of(world: &World, shop: &Shop, text: &str) -> String {
    let id = shop.send(world, text).await.id();
    world.until_status(&shop.api_key, shop.conversation_id, id, "sent").await;
    let last = messages(world, shop.conversation_id).await.pop().expect("it arrived");
    assert_eq!(last["content"], text);
    last["to"].as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_found_and_answered_by_whatever_name_whatsapp_has_for_them() {
    let world = World::start().await;
    let write = async |names: Value| {
        let mut wrote = names;
        wrote["text"] = json!("where is my parcel, please?");
        world.sandbox(Method::POST, "/whatsapp/customers", wrote).await;
    };
    world.ledger().texts.push("where is my parcel, please?".to_owned());

    // Only a user id, as customers with a user name have.
    let user_id = "US.13491208655302741918";
    let named = shop_with(&world, false, closed(), Some(user_id)).await;
    let answer = named.send(&world, "may I write to you?").await;
    assert_eq!(answer.problem(), (422, "outside_messaging_window".into()));
    write(json!({ "user_id": user_id })).await;
    assert_eq!(recipient_of(&world, &named, "it is on its way to you").await, user_id);

    // Both first, then only the user id.
    let both = shop(&world, false, closed()).await;
    write(json!({ "from": both.customer, "user_id": "US.2" })).await;
    world.pass(25 * 60 * 60).await;
    write(json!({ "user_id": "US.2", "from": null })).await;
    assert_eq!(recipient_of(&world, &both, "it is with the carrier").await, both.customer);

    // A number that WhatsApp spells in another way, and one that only its answer tells.
    let brazil = shop_with(&world, false, closed(), Some("+55 31 98888-7777")).await;
    write(json!({ "from": "553188887777" })).await;
    recipient_of(&world, &brazil, "it leaves our house today").await;
    let benin = shop_with(&world, true, closed(), Some("+229 90 01 12 34")).await;
    recipient_of(&world, &benin, "it left our house yesterday").await;
    write(json!({ "from": "2290190011234" })).await;
    recipient_of(&world, &benin, "two\nlines about it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_calls_or_changes_their_number_is_written_to_all_the_same() {
    let world = World::start().await;
    let meta = Meta::of(&world).await;
    let shop = shop(&world, false, closed()).await;
    let tell = async |field: &str, content: Value| {
        let mut value = json!({ "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "15550783881", "phone_number_id": "106540352242922" } });
        value[if field == "calls" { "calls" } else { "messages" }] = json!([content]);
        let changes = json!([{ "field": field, "value": value }]);
        let body = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": changes }] });
        assert_eq!(meta.notify(&body).await.status, StatusCode::OK);
    };
    let old = shop.customer.trim_start_matches('+').to_owned();

    // The sandbox's window opens with a text; ours with the call that Meta tells of.
    let now = Utc::now().timestamp().to_string();
    tell(
        "calls",
        json!({ "id": "wacid.1", "from": old, "to": "15550783881", "event": "connect",
        "timestamp": now, "direction": "USER_INITIATED" }),
    )
    .await;
    let answer = shop.send(&world, "you have called us").await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    world.until_status(&shop.api_key, shop.conversation_id, answer.id(), "failed").await;

    tell("messages", json!({ "from": old, "id": "wamid.1", "timestamp": now, "type": "system",
        "system": { "body": "User A changed", "type": "user_changed_number", "wa_id": "15559990001" } })).await;
    let wrote = json!({ "from": "15559990001", "text": "this is my new number" });
    world.ledger().texts.push("this is my new number".to_owned());
    world.sandbox(Method::POST, "/whatsapp/customers", wrote).await;
    assert_eq!(recipient_of(&world, &shop, "thank you, noted").await, "15559990001");
    world.allow(|allowed| allowed.undelivered = true);
}

pub(super) fn closed() -> DateTime<Utc> {
    Utc::now() - TimeDelta::seconds(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_window_a_message_goes_as_the_channels_template() {
    let world = World::start().await;
    let shop = shop(&world, true, closed()).await;
    let id = shop.send(&world, "Your parcel is here — 📦").await.id();
    world.until_status(&shop.api_key, shop.conversation_id, id, "sent").await;

    let messages = messages(&world, shop.conversation_id).await;
    assert_eq!(messages[0]["content"], "Your parcel is here — 📦");

    let shown = "An answer to your question: Your parcel is here — 📦";
    assert_eq!(
        messages[0]["template"],
        json!({ "name": "agent_answers", "language": "en_US", "shown": shown })
    );

    // Once the customer has written, everything goes as it is again.
    shop.write(&world, "thank you very much").await;
    let id = shop.send(&world, "two\nlines").await.id();
    world.until_status(&shop.api_key, shop.conversation_id, id, "sent").await;
    assert_eq!(super::messages(&world, shop.conversation_id).await[1].get("template"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_template_can_carry_is_refused_before_it_is_counted() {
    let world = World::start().await;
    let shop = shop(&world, true, closed()).await;
    for (text, named) in [
        ("two\nlines", "line breaks"),
        ("a\ttable of things", "tabs"),
        ("a     gap in a text", "four spaces"),
        (&*"x".repeat(1_025), "1024 characters; content has 1025"),
    ] {
        let answer = shop.send(&world, text).await;
        assert_eq!(answer.problem(), (422, "content_not_allowed".into()), "{text:?}");
        let detail = answer.json()["detail"].as_str().expect("a sentence").to_owned();
        assert!(detail.contains(named) && detail.contains("window is closed"), "{detail}");
    }

    let upload = attachments::store(
        &world,
        &shop.api_key,
        shop.conversation_id,
        "photo 1.png",
        "image/png",
        PNG,
    )
    .await;
    assert_eq!(upload.status, StatusCode::CREATED, "{}", upload.text);

    let body =
        json!({ "content": "see the file", "attachments": [{ "url": upload.json()["url"] }] })
            .to_string();
    let answer =
        world.send(&shop.api_key, shop.conversation_id, "see the file").body(body).go().await;
    assert_eq!(answer.problem(), (422, "content_not_allowed".into()));
    assert_eq!(world.usage(&shop.api_key).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_closes_before_delivery_leaves_the_template_or_nothing() {
    let world = World::start().await;
    let shops = [
        shop(&world, true, Utc::now() + TimeDelta::hours(1)).await,
        shop(&world, false, Utc::now() + TimeDelta::hours(1)).await,
    ];

    world.sandbox(Method::PUT, "/queues/held", json!({ "held": true })).await;
    let mut sent = Vec::new();
    for shop in &shops {
        for text in ["one plain line of text", "two\nlines of text"] {
            sent.push(shop.send(&world, text).await.id());
        }
    }

    world.pass(2 * 60 * 60).await;
    world.sandbox(Method::PUT, "/queues/held", json!({ "held": false })).await;
    world.sweep().await;

    let [with, without] = &shops;
    world.until_status(&with.api_key, with.conversation_id, sent[0], "sent").await;

    for (shop, id, named) in [
        (with, sent[1], "line breaks"),
        (without, sent[2], "24 hours"),
        (without, sent[3], "24 hours"),
    ] {
        let delivery = world.until_status(&shop.api_key, shop.conversation_id, id, "failed").await;
        assert_eq!(delivery["error"]["code"], "outside_messaging_window");
        let detail = delivery["error"]["detail"].as_str().expect("a sentence");
        assert!(detail.contains(named), "{detail}");
    }

    let arrived = messages(&world, with.conversation_id).await;
    assert_eq!((arrived.len(), &arrived[0]["template"]["name"]), (1, &json!("agent_answers")));
    assert!(messages(&world, without.conversation_id).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_writes_opens_their_own_window_for_a_day() {
    let world = World::start().await;
    let open = shop(&world, false, closed()).await;
    let other = shop(&world, false, closed()).await;
    let refused = async |shop: &Shop| {
        let answer = shop.send(&world, "may I write to you?").await;
        assert_eq!(answer.problem(), (422, "outside_messaging_window".into()));
    };

    refused(&open).await;
    open.write(&world, "where is my parcel?").await;
    let id = open.send(&world, "it is on its way").await.id();
    world.until_status(&open.api_key, open.conversation_id, id, "sent").await;
    assert_ne!(open.business_id, other.business_id);

    refused(&other).await;
    // Meta tells of messages late as well, and the last one counts.
    world.pass(23 * 60 * 60).await;

    let id = open.send(&world, "it is still on its way").await.id();
    world.until_status(&open.api_key, open.conversation_id, id, "sent").await;

    world.pass(2 * 60 * 60).await;
    refused(&open).await;
}

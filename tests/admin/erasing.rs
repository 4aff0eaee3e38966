//! `erase`: nothing that identifies a customer is left in the table or the bucket, and everything
//! that is counted is.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::Utc;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{admin, admin_json, text};
use domain::message::MediaKind;
use domain::{BusinessId, ConversationId, Media};
use platform::table::{CustomerDraft, CustomerMessageOutcome};
use tests::{Business, CHANNELS, World};

const TEXT: &str = "canary-text-7f3a";
const FILE_NAME: &str = "canary-file-91bc.txt";
const BYTES: &str = "canary-bytes-44de";
const SUBJECT: &str = "canary-subject-0c2e";
const NOTE: &str = "canary-note-51d7";
const WRITTEN: &str = "canary-written-6b20";
const MEDIA: &str = "canary-media-e83d";

/// A conversation with a customer of its own, who has a message with a file.
struct Talk {
    channel: &'static str,
    conversation_id: Uuid,
    customer: &'static str,
    message_id: Uuid,
    /// The secret of the file's link.
    secret: String,
}

async fn talk(world: &World, business: &Business, channel: &'static str) -> Talk {
    let customer = match channel {
        "whatsapp" => "+16505550177",
        "email" => "Canary.Customer@example.com",
        _ => "canary-visitor-5d1f",
    };
    let new = json!({ "business_id": business.business_id, "channel": channel,
        "customer": customer });
    let made = world.sandbox(Method::POST, "/conversations", new).await;
    let conversation_id: Uuid =
        serde_json::from_value(made["conversation_id"].clone()).expect("an id");
    let pk = format!("B#{}#C#{conversation_id}", business.business_id);
    let update = world.dynamodb().update_item().table_name(&world.ready.table);
    let update = update
        .key("pk", AttributeValue::S(pk))
        .key("sk", AttributeValue::S("CONVERSATION".to_owned()))
        .update_expression("SET subject = :subject")
        .expression_attribute_values(":subject", AttributeValue::S(SUBJECT.to_owned()));
    update.send().await.expect("it is there");

    let (message_id, secret) = send(world, business, conversation_id).await;
    write(world, business, conversation_id).await;
    Talk { channel, conversation_id, customer, message_id, secret }
}

/// Uploads a file and sends it with a text; returns the message's id and the secret of the file's
/// link.
async fn send(world: &World, business: &Business, conversation_id: Uuid) -> (Uuid, String) {
    let body = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{FILE_NAME}\"\r\n\
         Content-Type: text/plain\r\n\r\n{BYTES}\r\n--edge--\r\n"
    );
    let bearer = format!("Bearer {}", business.api_key);
    let kind = "multipart/form-data; boundary=edge";
    let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
    let path = format!("/api/v1/conversations/{conversation_id}/upload");
    let file = world.call(Method::POST, &path, &headers, body.into_bytes()).await.json();

    let body = json!({
        "content": TEXT, "attachments": [{ "url": file["url"] }], "metadata": { "note": NOTE },
    });
    let request = world.send(&business.api_key, conversation_id, TEXT).body(body.to_string());
    let id = request.key(key_of(conversation_id)).go().await.id();
    (id, text(&file, "url").rsplit_once('/').expect("a path").1.to_owned())
}

/// Has the customer write a text with a picture.
async fn write(world: &World, business: &Business, conversation_id: Uuid) {
    world.ledger().texts.push(WRITTEN.to_owned());
    let draft = CustomerDraft {
        business_id: BusinessId(business.business_id),
        conversation_id: ConversationId(conversation_id),
        name: "canary-name-c71f".into(),
        content: WRITTEN.into(),
        media: Some(Media { kind: MediaKind::Image, id: MEDIA.into() }),
        per_minute: None,
        keep_until: None,
        now: Utc::now(),
    };
    let stored = world.table().store_customer_message(&draft).await.expect("the table answers");
    assert!(matches!(stored, CustomerMessageOutcome::Stored(_)), "{stored:?}");
}

fn key_of(conversation_id: Uuid) -> String {
    format!("key-of-{conversation_id}")
}

impl Talk {
    /// Everything that identifies the customer.
    fn canaries(&self) -> Vec<String> {
        let constant = [TEXT, NOTE, FILE_NAME, BYTES, SUBJECT, WRITTEN, MEDIA].map(str::to_owned);
        let own = [self.secret.clone(), self.customer.trim_start_matches('+').to_owned()];
        constant.into_iter().chain(own).collect()
    }

    /// The command that erases it. An address is written in another way than it is stored.
    fn command(&self, business: &Business) -> Vec<String> {
        let (what, whom) = match self.channel {
            "chat" => ("conversation", self.conversation_id.to_string()),
            "email" => ("recipient", self.customer.to_lowercase()),
            _ => ("recipient", self.customer.replace("+1650555", "+1 (650) 555-")),
        };
        let business_id = business.business_id.to_string();
        ["erase", what, "--business", &business_id, &whom].map(str::to_owned).to_vec()
    }
}

fn words<'a>(command: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    command.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

/// The names and contents of the whole bucket.
async fn objects(world: &World) -> BTreeMap<String, String> {
    let client = world.s3();
    let buckets = client.list_buckets().send().await.expect("S3 answers").buckets;
    let mut all = BTreeMap::new();
    for bucket in buckets.into_iter().flatten().filter_map(|bucket| bucket.name) {
        let listed = client.list_objects_v2().bucket(&bucket).send().await.expect("S3 answers");
        for key in listed.contents.into_iter().flatten().filter_map(|object| object.key) {
            let object = client.get_object().bucket(&bucket).key(&key).send().await;
            let bytes = object.expect("S3 answers").body.collect().await.expect("bytes");
            all.insert(key, String::from_utf8_lossy(&bytes.into_bytes()).into_owned());
        }
    }
    all
}

/// Returns the canaries that are left in the table or the bucket.
async fn find_canaries(world: &World, canaries: &[String]) -> Vec<String> {
    let pages = world.dynamodb().scan().table_name(&world.ready.table).consistent_read(true);
    let items = pages.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    let items = format!("{:?}", items.expect("the table can be read"));
    let all = format!("{items}{:?}", objects(world).await);
    canaries.iter().filter(|canary| all.contains(canary.as_str())).cloned().collect()
}

/// Returns the ids that providers gave messages.
async fn provider_ids(world: &World) -> Vec<String> {
    let pages = world.dynamodb().scan().table_name(&world.ready.table).consistent_read(true);
    let items = pages.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    let items = items.expect("the table can be read");
    items.iter().filter_map(|item| item.get("provider_id")?.as_s().ok()).cloned().collect()
}

/// Returns the messages of a conversation as the API shows them.
async fn shown(world: &World, business: &Business, conversation_id: Uuid) -> Value {
    let path = format!("/api/v1/conversations/{conversation_id}/messages?sender_type=any");
    world.get(&business.api_key, &path).await.json()["messages"].take()
}

async fn until_taken(world: &World, business: &Business, talk: &Talk) {
    let Talk { channel, conversation_id, message_id, .. } = *talk;
    let status = if channel == "chat" { "delivered" } else { "sent" };
    world.until_status(&business.api_key, conversation_id, message_id, status).await;
    // The worker releases the conversation a moment later.
    let id = conversation_id.to_string();
    world
        .until("the conversation is released", async || {
            let stuck = admin_json(world, 0, &["list", "stuck"]).await;
            (!stuck.to_string().contains(&id)).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_customer_is_nowhere_and_still_counted() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let of = business.business_id.to_string();
    let mut talks = Vec::new();
    for channel in CHANNELS {
        talks.push(talk(&world, &business, channel).await);
    }
    for talk in &talks {
        until_taken(&world, &business, talk).await;
    }
    let mut canaries: Vec<String> = talks.iter().flat_map(Talk::canaries).collect();
    let provider_ids = provider_ids(&world).await;
    assert_eq!(provider_ids.len(), 2, "WhatsApp's, which has the number in it, and SES's");
    canaries.extend(provider_ids);
    assert_eq!(find_canaries(&world, &canaries).await, canaries, "all of it is stored");
    let usage = world.usage(&business.api_key).await;

    let visitor_token = world.visitor_token(talks[0].conversation_id).await;
    let own_message = format!("/api/v1/chat/messages/{}", talks[0].message_id);
    assert_eq!(world.get(&visitor_token, &own_message).await.json()["content"], TEXT);

    for talk in &talks {
        let command = talk.command(&business);
        let refused = admin(&world, &words(&command, &[])).await;
        assert!(refused.code == 3 && refused.stderr.contains("for good"), "{}", refused.stderr);
        assert_eq!(
            find_canaries(&world, &talk.canaries()).await,
            talk.canaries(),
            "it was not confirmed"
        );

        let mut expected = shown(&world, &business, talk.conversation_id).await;
        let erased = admin_json(&world, 0, &words(&command, &["--yes"])).await;
        let outcome = json!({ "conversation_id": talk.conversation_id, "erased": true,
            "message_count": 1, "customer_message_count": 1, "withdrawn_count": 0,
            "file_count": 1, "unsettled_count": 0, "files_in_use_count": 0 });
        assert_eq!(erased["conversations"], json!([outcome]), "{}", talk.channel);

        // What is left of a message is what is counted, and how it was delivered.
        expected[0]["content"] = json!("");
        expected[0]["attachments"] = json!([]);
        expected[0].as_object_mut().expect("a message").remove("metadata");
        assert_eq!(expected[1]["content"], WRITTEN);
        expected[1]["content"] = json!("");
        expected[1].as_object_mut().expect("a message").remove("media");
        assert_eq!(shown(&world, &business, talk.conversation_id).await, expected);
    }

    assert_eq!(find_canaries(&world, &canaries).await, [""; 0]);
    assert_eq!(objects(&world).await, BTreeMap::new());
    let fetched = world.get(&visitor_token, &own_message).await;
    assert_eq!(fetched.problem(), (404, "message_not_found".into()), "no widget shows it");
    assert_eq!(world.usage(&business.api_key).await, usage);
    admin_json(&world, 0, &["audit", "--business", &of]).await;

    for talk in &talks {
        // The key still makes no second message.
        let request = world.send(&business.api_key, talk.conversation_id, TEXT);
        let again = request.key(key_of(talk.conversation_id)).go().await;
        assert_eq!(again.problem(), (422, "idempotency_key_reused".into()));

        // The chat goes on; the other two have no address to write to, and say so.
        let request = world.send(&business.api_key, talk.conversation_id, "afterwards");
        let id = request.go().await.id();
        let status = if talk.channel == "chat" { "delivered" } else { "failed" };
        let ended = world.until_status(&business.api_key, talk.conversation_id, id, status).await;
        if talk.channel != "chat" {
            assert_eq!(ended["error"]["code"], "recipient_unreachable", "{}", talk.channel);
            let command = talk.command(&business);
            let gone = admin(&world, &words(&command, &["--yes"])).await;
            assert!(gone.code == 1 && gone.stderr.contains("no conversation"), "{}", gone.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_settled_yet_is_delivered_first() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    world.fault("email", json!({ "status": 429 })).await;
    let talk = talk(&world, &business, "email").await;
    let Talk { conversation_id, message_id, .. } = talk;
    world
        .until("it is put back", async || {
            let delivery = world.delivery(&business.api_key, conversation_id, message_id).await;
            (delivery["error"]["code"] == "rate_limited").then_some(())
        })
        .await;

    let command = talk.command(&business);
    let waits = admin_json(&world, 1, &words(&command, &["--yes"])).await;
    let outcome = json!({ "conversation_id": conversation_id, "erased": false,
        "message_count": 0, "customer_message_count": 0, "withdrawn_count": 0,
        "file_count": 0, "unsettled_count": 1, "files_in_use_count": 0 });
    assert_eq!(waits["conversations"], json!([outcome]));
    assert_eq!(find_canaries(&world, &talk.canaries()).await, talk.canaries());

    world.heal("email").await;
    world.pass(60).await;
    world.sweep().await;
    until_taken(&world, &business, &talk).await;
    assert_eq!(world.received("email", conversation_id).await, [TEXT]);
    admin_json(&world, 0, &words(&command, &["--yes"])).await;
    assert_eq!(find_canaries(&world, &talk.canaries()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_wait_for_a_customer_who_stays_away_are_withdrawn_and_erased() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let talk = talk(&world, &business, "chat").await;
    let Talk { conversation_id, message_id, .. } = talk;
    until_taken(&world, &business, &talk).await;
    world.sandbox(Method::DELETE, "/chat/widgets", Value::Null).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let sent = world.send(&business.api_key, conversation_id, TEXT).go().await;
        waiting.push(sent.id());
    }
    let pk = format!("B#{}#C#{conversation_id}", business.business_id);
    world
        .until("it is parked", async || {
            let parked = conversation_item(&world, &pk).await;
            let is_held = parked.contains_key("lease_owner");
            (parked["fence"] != AttributeValue::N("1".to_owned()) && !is_held).then_some(())
        })
        .await;
    let usage = world.usage(&business.api_key).await;

    let command = talk.command(&business);
    let waits = admin(&world, &words(&command, &["--yes"])).await;
    assert!(waits.code == 1 && waits.stdout.contains("--withdraw-waiting"), "{}", waits.stdout);
    assert_eq!(find_canaries(&world, &talk.canaries()).await, talk.canaries());

    // Cut short between a message's end and the conversation's step past it.
    let withdraw = ["--withdraw-waiting", "--yes"];
    let fault = json!({ "operation": "UpdateItem", "error": "AccessDeniedException", "skip": 2,
        "times": 1, "function": "*" });
    world.fault("aws", fault).await;
    assert_eq!(admin(&world, &words(&command, &withdraw)).await.code, 1);
    world.heal("aws").await;
    world.pass(60).await; // Its lease is over.

    let erased = admin_json(&world, 0, &words(&command, &withdraw)).await;
    let outcome = json!({ "conversation_id": conversation_id, "erased": true,
        "message_count": 3, "customer_message_count": 1, "withdrawn_count": 1,
        "file_count": 1, "unsettled_count": 0, "files_in_use_count": 0 });
    assert_eq!(erased["conversations"], json!([outcome]));
    assert_eq!(find_canaries(&world, &talk.canaries()).await, [""; 0]);

    // What the customer had is as it was; what waited has failed, and never comes.
    let messages = shown(&world, &business, conversation_id).await;
    assert_eq!(messages[0]["id"], json!(message_id));
    assert_eq!(messages[0]["delivery"]["status"], "delivered");
    // Between them is what the customer wrote.
    for (message, id) in [(&messages[2], waiting[0]), (&messages[3], waiting[1])] {
        assert_eq!((&message["id"], &message["content"]), (&json!(id), &json!("")));
        let delivery = &message["delivery"];
        assert_eq!(delivery["status"], "failed");
        assert_eq!(delivery["error"]["code"], "customer_erased");
    }
    world.let_customers_in().await;
    let id = world.send(&business.api_key, conversation_id, "afterwards").go().await.id();
    world.until_status(&business.api_key, conversation_id, id, "delivered").await;
    assert_eq!(world.received("chat", conversation_id).await, [TEXT, "afterwards"]);

    let (used, limit) = usage;
    assert_eq!(world.usage(&business.api_key).await, (used + 1, limit));
    let of = business.business_id.to_string();
    admin_json(&world, 0, &["audit", "--business", &of]).await;
}

/// Returns the stored conversation.
async fn conversation_item(world: &World, pk: &str) -> HashMap<String, AttributeValue> {
    let get = world.dynamodb().get_item().table_name(&world.ready.table).consistent_read(true);
    let get = get
        .key("pk", AttributeValue::S(pk.to_owned()))
        .key("sk", AttributeValue::S("CONVERSATION".to_owned()));
    get.send().await.expect("an answer").item.expect("it is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_is_cut_short_is_ended_by_the_next_run() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let mut last = None;

    // Each fault cuts it short at another step; a scan comes first, and one for references later.
    for (operation, skip) in [
        ("UpdateItem", 1),
        ("Query", 1),
        ("UpdateItem", 2),
        ("Query", 3),
        ("DeleteItem", 0),
        ("ListObjectsV2", 0),
        ("DeleteObject", 0),
        ("Scan", 1),
        ("DeleteItem", 1),
        ("UpdateItem", 3),
        ("UpdateItem", 4),
    ] {
        let talk = talk(&world, &business, "whatsapp").await;
        until_taken(&world, &business, &talk).await;
        let command = talk.command(&business);

        let fault = json!({ "operation": operation, "error": "AccessDeniedException", "skip": skip,
            "times": 1, "function": "*" });
        world.fault("aws", fault).await;
        let broken = admin(&world, &words(&command, &["--yes"])).await;
        assert_eq!(broken.code, 1, "{operation} {skip}: {} {}", broken.stdout, broken.stderr);
        world.heal("aws").await;

        // The address is gone first, and the name that leads to the conversation last: from then on
        // another run ends what was begun, and says that it is not sure of whom that was.
        let is_found = (operation, skip) != ("UpdateItem", 4);
        let code = if is_found { 0 } else { 1 };
        let erased = admin_json(&world, code, &words(&command, &["--yes"])).await;
        let matching_count = u64::from(is_found);
        assert_eq!(erased["matching_count"], matching_count, "{operation} {skip}");
        assert_eq!(erased["conversations"][0]["erased"], true, "{operation} {skip}");
        assert_eq!(find_canaries(&world, &talk.canaries()).await, [""; 0], "{operation} {skip}");
        last = Some(command);
    }

    let gone = admin(&world, &words(&last.expect("one of them"), &["--yes"])).await;
    assert!(gone.code == 1 && gone.stderr.contains("no conversation"), "{}", gone.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_recipient_is_not_taken_for_erased_because_another_erasure_was_ended() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let talk = talk(&world, &business, "email").await;
    until_taken(&world, &business, &talk).await;
    let fault = json!({ "operation": "UpdateItem", "error": "AccessDeniedException", "skip": 1,
        "times": 1, "function": "*" });
    world.fault("aws", fault).await;
    let command = talk.command(&business);
    assert_eq!(admin(&world, &words(&command, &["--yes"])).await.code, 1, "it is cut short");
    world.heal("aws").await;

    let of = business.business_id.to_string();
    let misspelt = ["erase", "recipient", "--business", &of, "ana@example.com", "--yes"];
    let ended = admin(&world, &misspelt).await;
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(ended.stdout.contains("no conversation with it"), "{}", ended.stdout);
    assert_eq!(find_canaries(&world, &talk.canaries()).await, [""; 0], "the other one has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_on_whatsapp_is_erased_by_each_of_their_names() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let talk = talk(&world, &business, "whatsapp").await;
    until_taken(&world, &business, &talk).await;
    let user_id = "US.13491208655302741918";
    let wrote = json!({ "from": talk.customer, "user_id": user_id, "text": "a question of mine" });
    world.sandbox(Method::POST, "/whatsapp/customers", wrote).await;
    assert_eq!(find_canaries(&world, &[user_id.to_owned()]).await, [user_id], "it is linked");

    let of = business.business_id.to_string();
    let by_user_id = ["erase", "recipient", "--business", &of, user_id, "--yes"];
    let erased = admin_json(&world, 0, &by_user_id).await;
    assert_eq!(erased["matching_count"], 1);
    let mut canaries = talk.canaries();
    canaries.push(user_id.to_owned());
    assert_eq!(find_canaries(&world, &canaries).await, [""; 0]);
}

/// The key of the first message of a conversation.
fn first_message(business: &Business, conversation_id: Uuid) -> HashMap<String, AttributeValue> {
    let pk = format!("B#{}#C#{conversation_id}", business.business_id);
    let key = [("pk", pk), ("sk", "M#000000000001".to_owned())];
    key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into()
}

async fn read_first_message(
    world: &World,
    business: &Business,
    conversation_id: Uuid,
) -> HashMap<String, AttributeValue> {
    let get = world.dynamodb().get_item().table_name(&world.ready.table);
    let get = get.set_key(Some(first_message(business, conversation_id))).consistent_read(true);
    get.send().await.expect("an answer").item.expect("it is there")
}

/// Deletes the first message of a conversation, as DynamoDB does when its time is over.
async fn delete_first_message(world: &World, business: &Business, conversation_id: Uuid) {
    let delete = world.dynamodb().delete_item().table_name(&world.ready.table);
    let delete = delete.set_key(Some(first_message(business, conversation_id)));
    delete.send().await.expect("it is deleted");
}

async fn put_back(world: &World, item: HashMap<String, AttributeValue>) {
    let put = world.dynamodb().put_item().table_name(&world.ready.table);
    put.set_item(Some(item)).send().await.expect("it is back");
}

/// Returns when DynamoDB may delete an item, in seconds since 1970.
fn expires_at(item: &HashMap<String, AttributeValue>) -> Option<i64> {
    item.get("expires_at")?.as_n().ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_stay_for_ever_or_as_long_as_the_parameter_says() {
    for (days, kept) in [("0", None), ("30", Some(30 * 24 * 60 * 60))] {
        let parameters = BTreeMap::from([("MessageRetentionDays".to_owned(), days.to_owned())]);
        let world = World::start_with(parameters).await;
        let business = world.business(10, 1).await;
        let conversation_id = business.conversation_id("email");
        let id = world.send(&business.api_key, conversation_id, "for a while").go().await.id();
        world.until_status(&business.api_key, conversation_id, id, "sent").await;
        let item = read_first_message(&world, &business, conversation_id).await;
        let created_at = item["created_at"].as_s().expect("a time");
        let created_at: chrono::DateTime<chrono::Utc> = created_at.parse().expect("a time");
        let stays = expires_at(&item).map(|at| at - created_at.timestamp());
        assert_eq!(stays, kept, "{days} days");

        // The message goes as DynamoDB lets it go. A month that may miss some is no drift.
        delete_first_message(&world, &business, conversation_id).await;
        let of = business.business_id.to_string();
        let early = admin(&world, &["audit", "--business", &of]).await;
        assert_eq!(early.code, 2, "{days} days: it is too early for that: {}", early.stdout);
        world.pass(61 * 24 * 60 * 60).await;
        let late = admin(&world, &["audit", "--business", &of, "--json"]).await;
        assert_eq!(late.code, if kept.is_some() { 0 } else { 2 }, "{days}: {}", late.stdout);
        assert_eq!(late.json()["accounts"][0]["expiring"], kept.is_some());

        put_back(&world, item).await; // For the oracle.
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_longer_than_messages_stay_is_not_deleted_before_it_is_delivered() {
    const DAY: i64 = 24 * 60 * 60;
    let parameters = BTreeMap::from([("MessageRetentionDays".to_owned(), "30".to_owned())]);
    let world = World::start_with(parameters).await;
    world.sandbox(Method::DELETE, "/chat/widgets", Value::Null).await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");

    let id = world.send(&business.api_key, conversation_id, "when you are back").go().await.id();
    world.pass(31 * DAY).await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation_id, id, "queued").await;
    let waiting = read_first_message(&world, &business, conversation_id).await;
    assert_eq!(expires_at(&waiting), None, "it may be deleted before the customer is back");

    world.let_customers_in().await;
    world.until_status(&business.api_key, conversation_id, id, "delivered").await;
    let delivered = read_first_message(&world, &business, conversation_id).await;
    let sent_at = delivered["sent_at"].as_s().expect("a time");
    let sent_at: chrono::DateTime<chrono::Utc> = sent_at.parse().expect("a time");
    let stays = expires_at(&delivered).map(|at| at - sent_at.timestamp());
    assert_eq!(stays, Some(7 * DAY), "it stays for a while, because receipts follow");
}

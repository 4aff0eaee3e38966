//! Accepted messages arrive: in order, whatever the queues, the providers and the customers do.

use aws_sdk_dynamodb::types::ReturnValue;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use domain::{BusinessId, ConversationId, Seq};
use platform::table::key;
use tests::{Business, World};

const CHANNELS: [&str; 3] = ["chat", "whatsapp", "email"];

/// Sends numbered texts and returns them with their ids.
async fn send(
    world: &World,
    business: &Business,
    channel: &str,
    count: usize,
) -> (Vec<String>, Vec<Uuid>) {
    let mut sent = (Vec::new(), Vec::new());
    for number in 1..=count {
        let text = format!("message number {number} by {channel}");
        let answer =
            world.send(&business.api_key, business.conversation_id(channel), &text).go().await;
        sent.0.push(text);
        sent.1.push(answer.id());
    }

    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_arrives_in_order_on_every_channel() {
    let world = World::start().await;
    let business = world.business(100, 4).await;
    let all = CHANNELS.map(|channel| send(&world, &business, channel, 15));
    let all = futures_util::future::join_all(all).await;
    for (channel, (texts, ids)) in CHANNELS.iter().zip(&all) {
        let conversation_id = business.conversation_id(channel);
        world.until_received(channel, conversation_id, texts).await;
        let end = if *channel == "chat" { "delivered" } else { "sent" };
        for id in ids {
            world.until_status(&business.api_key, conversation_id, *id, end).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_queue_down_messages_arrive_after_a_sweep() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    for operation in ["SendMessage", "SendMessageBatch"] {
        world.fault("aws", json!({"operation": operation, "error": "InternalError"})).await;
    }

    let mut all = Vec::new();
    for channel in CHANNELS {
        all.push(send(&world, &business, channel, 3).await.0);
    }

    world.sweep().await;
    for (channel, _) in CHANNELS.iter().zip(&all) {
        assert!(
            world.received(channel, business.conversation_id(channel)).await.is_empty(),
            "no doorbell rang"
        );
    }

    world.heal("aws").await;
    world.sweep().await;
    for (channel, texts) in CHANNELS.iter().zip(&all) {
        world.until_received(channel, business.conversation_id(channel), texts).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_whose_channel_is_removed_while_they_wait_end_failed() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let business_id = BusinessId(business.business_id);
    world.sandbox(Method::PUT, "/queues/held", json!({ "held": true })).await;

    let mut waiting = Vec::new();
    for channel in CHANNELS {
        let conversation_id = business.conversation_id(channel);
        let ids = send(&world, &business, channel, 2).await.1;
        let conversation =
            world.table().conversation(business_id, ConversationId(conversation_id)).await;
        let conversation = conversation.expect("the table answers").expect("a conversation");
        let key = key::channel(business_id, conversation.channel_id).attributes();
        let dynamodb = world.dynamodb();
        let deleted =
            dynamodb.delete_item().table_name(&world.ready.table).set_key(Some(key)).send();
        deleted.await.expect("deleted");
        waiting.push((channel, conversation_id, ids));
    }

    world.sandbox(Method::PUT, "/queues/held", json!({ "held": false })).await;
    for (channel, conversation_id, ids) in waiting {
        for id in ids {
            world.until_status(&business.api_key, conversation_id, id, "failed").await;
            let delivery = world.delivery(&business.api_key, conversation_id, id).await;
            assert_eq!(delivery["error"]["code"], "channel_missing", "{channel}");
        }
        assert_eq!(world.received(channel, conversation_id).await, [""; 0], "{channel}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_earlier_than_the_provider_asked() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    world.fault("whatsapp", json!({"status": 429, "retry_after": 300, "times": 1})).await;

    let (texts, ids) = send(&world, &business, "whatsapp", 2).await;
    let refused = world
        .until("the first attempt was refused", async || {
            let delivery = world.delivery(&business.api_key, conversation_id, ids[0]).await;
            (delivery["error"]["code"] == "rate_limited").then_some(delivery)
        })
        .await;
    assert_eq!((&refused["status"], &refused["attempts"]), (&json!("queued"), &json!(1)));
    assert_eq!(refused["error"]["provider_code"], "130429");
    assert_eq!(refused["error"]["retryable"], true);

    // The refusal is younger than 40 seconds.
    let asked = Utc::now() + TimeDelta::seconds(300) - TimeDelta::seconds(40);
    let mut passed = 0;
    let arrived = world.until("it arrives", async || {
        (!world.received("whatsapp", conversation_id).await.is_empty()).then_some(())
    });
    let time_flies = async {
        while passed < 320 {
            world.pass(40).await;
            world.sweep().await;
            passed += 40;
        }
    };

    tokio::join!(arrived, time_flies);
    world.until_received("whatsapp", conversation_id, &texts).await;

    let all = world.sandbox(Method::GET, "/whatsapp/messages", Value::Null).await;
    let first: DateTime<Utc> = serde_json::from_value(all[0]["at"].clone()).expect("a time");
    assert!(first >= asked, "sent at {first}, asked for {asked}");

    let delivery = world.until_status(&business.api_key, conversation_id, ids[0], "sent").await;
    assert_eq!((&delivery["attempts"], &delivery["error"]), (&json!(2), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_tells_what_became_of_each_attempt() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    world.fault("whatsapp", json!({"code": 131_056, "times": 2})).await;

    let (_, ids) = send(&world, &business, "whatsapp", 1).await;
    let attempted = async |times: u64, status: &str| {
        world
            .until(&format!("attempt {times} is over"), async || {
                let delivery = world.delivery(&business.api_key, conversation_id, ids[0]).await;
                (delivery["attempts"] == times && delivery["status"] == status).then_some(delivery)
            })
            .await
    };

    attempted(1, "queued").await;
    world.pass(10).await;
    world.sweep().await;
    attempted(2, "queued").await;
    // The third is taken, and the answer is lost; no receipt comes either.
    world.fault("whatsapp", json!({"after_effect": true, "times": 1})).await;
    world.pass(20).await;
    world.sweep().await;
    attempted(3, "in_doubt").await;
    world.pass(121).await;
    world.sweep().await;

    let delivery = attempted(4, "sent").await;
    let mut history = delivery["history"].clone();
    let times: Vec<DateTime<Utc>> = history
        .as_array_mut()
        .expect("an array")
        .iter_mut()
        .map(|attempt| {
            let at = attempt.as_object_mut().and_then(|attempt| attempt.remove("at"));
            serde_json::from_value(at.expect("its time")).expect("a time")
        })
        .collect();
    let waits: Vec<i64> = times.windows(2).map(|two| (two[1] - two[0]).num_seconds()).collect();
    assert!(waits[0] >= 6 && waits[1] >= 8 && waits[2] >= 120, "{waits:?}");

    let busy = |attempt: u32| {
        json!({"attempt": attempt, "outcome": "postponed", "code": "rate_limited", "provider_code": "131056",
               "detail": "too many messages to this person in a short time"})
    };
    let lost = json!({"attempt": 3, "outcome": "in_doubt", "code": "no_answer", "provider_code": null,
                      "detail": "WhatsApp did not answer"});
    let sent = json!({"attempt": 4, "outcome": "sent", "code": null, "provider_code": null, "detail": null});
    assert_eq!(history, json!([busy(1), busy(2), lost, sent]));
    assert_eq!(delivery["error"], Value::Null, "what went wrong before is over");

    let page = world
        .get(&business.api_key, &format!("/api/v1/conversations/{conversation_id}/messages"))
        .await
        .json();
    assert_eq!(page["messages"][0]["delivery"], delivery, "the list tells the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_delivered_fails_and_the_next_one_proceeds() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    world.fault("whatsapp", json!({"code": 131_026, "times": 1})).await;

    let (texts, ids) = send(&world, &business, "whatsapp", 2).await;
    let delivery = world.until_status(&business.api_key, conversation_id, ids[0], "failed").await;
    assert_eq!(delivery["error"]["code"], "recipient_unreachable");
    assert_eq!(
        (&delivery["error"]["retryable"], &delivery["sent_at"]),
        (&json!(false), &Value::Null)
    );
    assert!(delivery["failed_at"].is_string());

    let attempt = &delivery["history"][0];
    assert_eq!(
        (&attempt["outcome"], &attempt["code"]),
        (&json!("refused"), &json!("recipient_unreachable"))
    );
    world.until_received("whatsapp", conversation_id, &texts[1..]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_had_its_day_is_given_up_and_buried_on_every_channel() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let mut waiting = Vec::new();

    for channel in ["chat", "whatsapp", "email"] {
        world.fault(channel, json!({"status": 429, "times": 1})).await;
        let (_, ids) = send(&world, &business, channel, 1).await;
        waiting.push((channel, business.conversation_id(channel), ids[0]));
    }

    for (_, conversation_id, id) in &waiting {
        let put_back = async || {
            let delivery = world.delivery(&business.api_key, *conversation_id, *id).await;
            (delivery["history"][0]["outcome"] == "postponed").then_some(())
        };
        world.until("it was refused once", put_back).await;
    }

    world.pass(24 * 3600).await;
    world.sweep().await;
    for (channel, conversation_id, id) in waiting {
        let delivery = world.until_status(&business.api_key, conversation_id, id, "failed").await;
        assert_eq!(
            (&delivery["error"]["code"], &delivery["attempts"]),
            (&json!("expired"), &json!(1)),
            "{channel}"
        );
        let letters = world.dead_letters(channel).await;
        assert_eq!((letters.len(), &letters[0]["message"]), (1, &json!(id)), "{channel}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_is_away_finds_everything_on_return() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let conversation_id = business.conversation_id("chat");
    world.sandbox(Method::DELETE, "/chat/widgets", Value::Null).await;

    let (texts, ids) = send(&world, &business, "chat", 3).await;
    let delivery = world
        .until("no customer was connected", async || {
            let writes = world.calls_of("DeliverChat").get("dynamodb:UpdateItem").copied();
            let delivery = world.delivery(&business.api_key, conversation_id, ids[0]).await;
            // Claim, mark, put back, leave.
            (writes >= Some(4) && delivery["status"] == "queued").then_some(delivery)
        })
        .await;
    assert_eq!(delivery["attempts"], 0, "no customer was connected, so nothing was tried");
    assert_eq!(delivery["history"], json!([]));

    world.sandbox(Method::POST, "/chat/widgets", Value::Null).await;
    world.until_received("chat", conversation_id, &texts).await;
    world.until_status(&business.api_key, conversation_id, ids[2], "delivered").await;

    // Those who come back a second time are shown nothing twice.
    world.sandbox(Method::DELETE, "/chat/widgets", Value::Null).await;
    world.sandbox(Method::POST, "/chat/widgets", Value::Null).await;

    let more = world.send(&business.api_key, conversation_id, "and one more thing").go().await.id();
    world.until_status(&business.api_key, conversation_id, more, "delivered").await;

    let texts: Vec<_> = texts.into_iter().chain(["and one more thing".into()]).collect();
    world.until_received("chat", conversation_id, &texts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_message_that_is_missing_is_not_sent_and_the_worker_says_so() {
    let world = World::start().await;
    let business = world.business(100, 1).await;

    // The second time nothing follows it.
    for (channel, count) in [("email", 2), ("chat", 1)] {
        let conversation_id = business.conversation_id(channel);
        let function = format!("deliver-{channel}");
        world.sandbox(Method::PUT, "/queues/held", json!({ "held": true })).await;
        let (texts, ids) = send(&world, &business, channel, count).await;

        let business_id = BusinessId(business.business_id);
        let first = key::message(business_id, ConversationId(conversation_id), Seq(1)).attributes();
        let delete = world.dynamodb().delete_item().table_name(&world.ready.table);
        let delete = delete.set_key(Some(first)).return_values(ReturnValue::AllOld);
        let deleted = delete.send().await.expect("an answer").attributes;

        world.sandbox(Method::PUT, "/queues/held", json!({ "held": false })).await;
        world
            .until("the worker says what is missing", async || {
                let words = "reading message 1, which is missing";
                let own = world.logged().into_iter().filter(|line| line.function == function);
                own.map(|line| line.text).any(|text| text.contains(words)).then_some(())
            })
            .await;
        assert_eq!(world.received(channel, conversation_id).await, [""; 0], "{channel}");

        // An operator has restored it, and the dead worker's lease is over.
        let put = world.dynamodb().put_item().table_name(&world.ready.table);
        put.set_item(deleted).send().await.expect("it is back");
        world.pass(60).await;
        world.sweep().await;
        world.until_received(channel, conversation_id, &texts).await;
        let end = if channel == "chat" { "delivered" } else { "sent" };
        world.until_status(&business.api_key, conversation_id, ids[count - 1], end).await;
    }
}

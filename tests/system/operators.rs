//! What operators are told: every message that is sent, fails or is given up is one line that is counted, with the ids
//! of what it is about and nothing of what it says or to whom. What the dead-letter queue keeps tells the same.

use serde_json::{Map, Value, json};
use tests::{Business, World};
use uuid::Uuid;

/// The lines that are metrics as well, as JSON.
fn counted(world: &World) -> Vec<Map<String, Value>> {
    let lines = world.logged().into_iter().filter(|line| line.text.contains("\"_aws\""));
    lines.map(|line| serde_json::from_str(&line.text).expect("one JSON object on a line")).collect()
}

/// Waits until something is counted as `metric`, and returns every line that counts it.
async fn until_counted(world: &World, metric: &str) -> Vec<Map<String, Value>> {
    world
        .until(&format!("{metric} is counted"), async || {
            let lines: Vec<_> = counted(world).into_iter().filter(|line| line.contains_key(metric)).collect();
            (!lines.is_empty()).then_some(lines)
        })
        .await
}

/// A line without what differs from run to run: its time, and how long something took.
fn timeless(mut line: Map<String, Value>) -> Value {
    let aws = line.remove("_aws").expect("the metric's description");
    assert!(aws["Timestamp"].is_u64() && line.remove("timestamp").is_some_and(|time| time.is_string()));
    for directive in aws["CloudWatchMetrics"].as_array().expect("an array") {
        assert_eq!(directive["Namespace"], "Pingback/Messages");
        for metric in directive["Metrics"].as_array().expect("an array") {
            let name = metric["Name"].as_str().expect("a name");
            assert!(line[name].is_number(), "{name} is counted");
            if metric["Unit"] == "Seconds" {
                assert!(line.remove(name).is_some_and(|took| took.as_f64() >= Some(0.0)));
            }
        }
    }
    line.insert("by".into(), aws["CloudWatchMetrics"][0]["Dimensions"].clone());
    line.into()
}

async fn send(world: &World, business: &Business, channel: &str, text: &str) -> Uuid {
    world.send(&business.api_key, business.conversation(channel), text).go().await.id()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_is_one_line_with_everything_but_what_it_says_and_to_whom() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation = business.conversation("whatsapp");
    world.fault("whatsapp", json!({"code": 131_026, "times": 1})).await;
    let id = send(&world, &business, "whatsapp", "it never arrives").await;
    world.until_status(&business.api_key, conversation, id, "failed").await;
    let next = send(&world, &business, "whatsapp", "and this one does").await;
    world.until_status(&business.api_key, conversation, next, "sent").await;
    let failed = until_counted(&world, "Failed").await;
    let expected = json!({
        "level": "WARN", "message": "failed", "Failed": 1, "by": [["Channel"], ["Channel", "Reason"]],
        "Channel": "whatsapp", "Reason": "recipient_unreachable",
        "detail": "WhatsApp cannot deliver to this person", "provider_code": "131026",
        "business": business.business_id, "conversation": conversation, "message_id": id, "seq": 1, "attempts": 1,
    });
    assert_eq!(failed.into_iter().map(timeless).collect::<Vec<_>>(), [expected]);
    assert!(world.dead_letters("whatsapp").await.is_empty(), "there is nothing to try again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_taken_and_fails_later_is_a_line_as_well() {
    let world = World::start().await;
    world.allow(|allowed| allowed.undelivered = true);
    let business = world.business(10, 1).await;
    let conversation = business.conversation("whatsapp");
    world.report("whatsapp", json!({"statuses": ["failed", "failed"]})).await;
    let id = send(&world, &business, "whatsapp", "taken, and not delivered").await;
    let error = world.until_status(&business.api_key, conversation, id, "failed").await["error"].clone();
    world
        .until("the same again is only a receipt", async || {
            let receipts = world.logged().into_iter().filter(|line| line.text.contains("\"receipt\""));
            (receipts.count() == 1).then_some(())
        })
        .await;
    let failed = until_counted(&world, "Failed").await;
    let expected = json!({
        "level": "WARN", "message": "failed", "Failed": 1, "by": [["Channel"], ["Channel", "Reason"]],
        "Channel": "whatsapp", "Reason": error["code"], "detail": error["detail"],
        "provider_code": error["provider_code"],
        "business": business.business_id, "conversation": conversation, "message_id": id, "seq": 1, "attempts": 1, "effect": "moved",
    });
    assert_eq!(failed.into_iter().map(timeless).collect::<Vec<_>>(), [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_given_up_is_one_line_and_one_dead_letter() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation = business.conversation("email");
    world.fault("email", json!({"status": 429})).await;
    let id = send(&world, &business, "email", "it waits for a day").await;
    let put_back = until_counted(&world, "PutBack").await;
    let subject = json!({
        "level": "WARN", "by": [["Channel"], ["Channel", "Reason"]], "Channel": "email",
        "business": business.business_id, "conversation": conversation, "message_id": id, "seq": 1, "attempts": 1,
    });
    let about = |members: Value| {
        let all = [&subject, &members].map(|some| some.as_object().cloned().expect("an object"));
        Value::from(all.into_iter().flatten().collect::<Map<_, _>>())
    };
    let expected = about(json!({
        "message": "put back", "PutBack": 1, "Reason": "rate_limited", "detail": "the account sends more a second than it may",
        "provider_code": "TooManyRequestsException",
    }));
    assert_eq!(put_back.into_iter().map(timeless).collect::<Vec<_>>(), [expected]);
    world.pass(24 * 3600).await;
    world.heal("email").await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation, id, "failed").await;
    let next = send(&world, &business, "email", "it does not wait").await;
    world.until_status(&business.api_key, conversation, next, "sent").await;
    let given_up = until_counted(&world, "GivenUp").await;
    let detail = "not delivered within 24 hours";
    let expected = about(json!({"message": "given up", "GivenUp": 1, "Reason": "expired", "detail": detail}));
    assert_eq!(given_up.into_iter().map(timeless).collect::<Vec<_>>(), [expected]);
    assert!(counted(&world).iter().all(|line| !line.contains_key("Failed")), "what is given up is not counted twice");
    let letter = json!({
        "v": 1, "business": business.business_id, "conversation": conversation, "message": id, "channel": "email",
        "reason": {"code": "expired", "detail": detail, "provider_code": null}, "attempts": 1,
    });
    assert_eq!(world.dead_letters("email").await, [letter]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_and_sent_is_counted_with_the_time_it_took() {
    let world = World::start().await;
    let business = world.business(1, 1).await;
    let conversation = business.conversation("whatsapp");
    let id = send(&world, &business, "whatsapp", "all is well").await;
    let refused = world.send(&business.api_key, conversation, "one too many").go().await;
    assert_eq!(refused.problem(), (403, "quota_exceeded".into()));
    world.until_status(&business.api_key, conversation, id, "sent").await;
    let ids = |line: Value| {
        let mut line = line.as_object().cloned().expect("an object");
        let ids = json!({"business": business.business_id, "conversation": conversation, "message_id": id, "seq": 1});
        line.extend(ids.as_object().cloned().expect("an object"));
        Value::from(line)
    };
    let by_channel = json!([["Channel"]]);
    let lines = |lines: Vec<_>| lines.into_iter().map(timeless).collect::<Vec<_>>();
    let accepted = ids(json!({
        "level": "INFO", "message": "accepted", "Accepted": 1, "by": by_channel, "Channel": "whatsapp"
    }));
    assert_eq!(lines(until_counted(&world, "Accepted").await), [accepted]);
    let sent = until_counted(&world, "Sent").await;
    assert!(sent[0].contains_key("DeliverySeconds"));
    let expected = json!({
        "level": "INFO", "message": "sent", "Sent": 1, "by": by_channel, "Channel": "whatsapp", "attempts": 1
    });
    assert_eq!(lines(sent), [ids(expected)]);
    let expected = json!({
        "level": "INFO", "message": "refused", "Refused": 1, "by": [["Code"]], "Code": "quota_exceeded", "status": 403
    });
    assert_eq!(lines(until_counted(&world, "Refused").await), [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_counted() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    world.fault("whatsapp", json!({"after_effect": true, "times": 1})).await;
    let id = send(&world, &business, "whatsapp", "the answer is lost").await;
    let doubted = until_counted(&world, "InDoubt").await;
    assert_eq!((doubted.len(), &doubted[0]["message_id"], &doubted[0]["Reason"]), (1, &json!(id), &json!("no_answer")));
    world.pass(121).await;
    world.sweep().await;
    world.until_status(&business.api_key, business.conversation("whatsapp"), id, "sent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_that_was_not_rung_and_what_waits_for_it_are_counted() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation = business.conversation("email");
    for operation in ["SendMessage", "SendMessageBatch"] {
        world.fault("aws", json!({"operation": operation, "error": "InternalError"})).await;
    }
    let id = send(&world, &business, "email", "the queue is down").await;
    let not_rung = until_counted(&world, "BellNotRung").await;
    assert_eq!((&not_rung[0]["Channel"], &not_rung[0]["conversation"]), (&json!("email"), &json!(conversation)));
    world.pass(300).await;
    world.sweep().await;
    // The schedule may have run as well, a while before.
    let swept = until_counted(&world, "OldestDueSeconds").await.pop().expect("a line");
    assert!(swept["OldestDueSeconds"].as_f64() >= Some(300.0), "{swept:?}");
    let expected = json!({
        "level": "INFO", "message": "swept", "Due": 1, "Rung": 0, "BellNotRung": 1, "by": [["Channel"]],
        "Channel": "email"
    });
    assert_eq!(timeless(swept), expected);
    world.heal("aws").await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation, id, "sent").await;
}

//! The operators' log and metrics: every message that is sent, fails or is given up is one line,
//! with the ids of what it is about and nothing of what it says or to whom, and is counted in its
//! invocation's record. What the dead-letter queue keeps tells the same.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use platform::credential::ApiKey;
use tests::{Business, World};

/// Returns the functions' log lines as JSON.
fn written(world: &World) -> Vec<Map<String, Value>> {
    let lines = world.logged().into_iter();
    lines.map(|line| serde_json::from_str(&line.text).expect("one JSON object on a line")).collect()
}

/// The records that are metrics.
fn records(world: &World) -> Vec<Map<String, Value>> {
    written(world).into_iter().filter(|line| line.contains_key("_aws")).collect()
}

/// How often something was counted on a channel.
fn counted(world: &World, metric: &str, channel: &str) -> u64 {
    let of_channel =
        records(world).into_iter().filter(|record| record.get("Channel") == Some(&json!(channel)));
    of_channel.filter_map(|record| record.get(metric)?.as_u64()).sum()
}

/// Waits until something is said, and returns every line that says it.
async fn until_logged(world: &World, message: &str) -> Vec<Map<String, Value>> {
    world
        .until(&format!("operators are told `{message}`"), async || {
            let lines: Vec<_> = written(world)
                .into_iter()
                .filter(|line| line.get("message") == Some(&json!(message)))
                .collect();
            (!lines.is_empty()).then_some(lines)
        })
        .await
}

/// Waits until something has been counted so often on a channel.
async fn until_counted(world: &World, metric: &str, channel: &str, times: u64) {
    let is_it = async || (counted(world, metric, channel) == times).then_some(());
    world.until(&format!("{metric} is counted {times} times on {channel}"), is_it).await;
}

/// Returns the members that are a line's own: neither when and where, nor of which invocation, nor
/// how long something took.
fn own(mut line: Map<String, Value>) -> Value {
    for always in ["timestamp", "location", "service", "cold_start"] {
        assert!(line.remove(always).is_some(), "{always} is missing: {line:?}");
    }

    for of_function in
        ["function_name", "function_memory_size", "function_arn", "function_request_id"]
    {
        assert!(line.remove(of_function).is_some(), "{of_function} is missing: {line:?}");
    }

    for it_depends in ["xray_trace_id", "correlation_id", "delivery_seconds", "oldest_due_seconds"]
    {
        line.remove(it_depends);
    }

    line.into()
}

async fn send(world: &World, business: &Business, channel: &str, text: &str) -> Uuid {
    world.send(&business.api_key, business.conversation_id(channel), text).go().await.id()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_is_one_line_with_everything_but_what_it_says_and_to_whom() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    world.fault("whatsapp", json!({"code": 131_026, "times": 1})).await;

    let id = send(&world, &business, "whatsapp", "it never arrives").await;
    world.until_status(&business.api_key, conversation_id, id, "failed").await;

    let next = send(&world, &business, "whatsapp", "and this one does").await;
    world.until_status(&business.api_key, conversation_id, next, "sent").await;

    let failed = until_logged(&world, "failed").await;
    let expected = json!({
        "level": "WARN", "message": "failed", "channel": "whatsapp", "reason": "recipient_unreachable",
        "detail": "WhatsApp cannot deliver to this person", "provider_code": "131026",
        "business": business.business_id, "conversation": conversation_id, "message_id": id, "seq": 1, "attempts": 1,
    });
    assert_eq!(failed.into_iter().map(own).collect::<Vec<_>>(), [expected]);
    until_counted(&world, "Failed", "whatsapp", 1).await;

    assert!(world.dead_letters("whatsapp").await.is_empty(), "there is nothing to try again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_taken_and_fails_later_is_a_line_as_well() {
    let world = World::start().await;
    world.allow(|allowed| allowed.undelivered = true);
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");

    world.report("whatsapp", json!({"statuses": ["failed", "failed"]})).await;
    let id = send(&world, &business, "whatsapp", "taken, and not delivered").await;
    let error =
        world.until_status(&business.api_key, conversation_id, id, "failed").await["error"].clone();
    assert_eq!(until_logged(&world, "receipt").await.len(), 1, "the same again is only a receipt");

    let failed = until_logged(&world, "failed").await;
    let expected = json!({
        "level": "WARN", "message": "failed", "channel": "whatsapp", "reason": error["code"], "detail": error["detail"],
        "provider_code": error["provider_code"],
        "business": business.business_id, "conversation": conversation_id, "message_id": id, "seq": 1, "attempts": 1, "effect": "moved",
    });
    assert_eq!(failed.into_iter().map(own).collect::<Vec<_>>(), [expected]);

    until_counted(&world, "Failed", "whatsapp", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_given_up_is_one_line_and_one_dead_letter() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    world.fault("email", json!({"status": 429})).await;

    let id = send(&world, &business, "email", "it waits for a day").await;
    let put_back = until_logged(&world, "put back").await;
    let subject = json!({
        "level": "WARN", "channel": "email",
        "business": business.business_id, "conversation": conversation_id, "message_id": id, "seq": 1, "attempts": 1,
    });
    let about = |members: Value| {
        let all = [&subject, &members].map(|some| some.as_object().cloned().expect("an object"));
        Value::from(all.into_iter().flatten().collect::<Map<_, _>>())
    };
    let expected = about(json!({
        "message": "put back", "reason": "rate_limited", "detail": "the account sends more a second than it may",
        "provider_code": "TooManyRequestsException",
    }));
    assert_eq!(put_back.into_iter().map(own).collect::<Vec<_>>(), [expected]);
    until_counted(&world, "PutBack", "email", 1).await;

    world.pass(24 * 3600).await;
    world.heal("email").await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation_id, id, "failed").await;

    let next = send(&world, &business, "email", "it does not wait").await;
    world.until_status(&business.api_key, conversation_id, next, "sent").await;

    let given_up = until_logged(&world, "given up").await;
    let detail = "not delivered within 24 hours";
    let expected = about(json!({
        "message": "given up", "reason": "expired", "detail": detail, "last_reason": "rate_limited",
        "provider_code": "TooManyRequestsException",
    }));
    assert_eq!(given_up.into_iter().map(own).collect::<Vec<_>>(), [expected]);
    until_counted(&world, "GivenUp", "email", 1).await;
    assert_eq!(counted(&world, "Failed", "email"), 0, "what is given up is not counted twice");

    let letter = json!({
        "v": 1, "business": business.business_id, "conversation": conversation_id, "message": id, "channel": "email",
        "reason": {"code": "expired", "detail": detail, "provider_code": null},
        "last_reason": {
            "code": "rate_limited", "detail": "the account sends more a second than it may",
            "provider_code": "TooManyRequestsException",
        },
        "attempts": 1,
    });
    assert_eq!(world.dead_letters("email").await, [letter]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_and_sent_is_counted_with_the_time_it_took() {
    let world = World::start().await;
    let business = world.business(1, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    let id = send(&world, &business, "whatsapp", "all is well").await;
    let refused = world.send(&business.api_key, conversation_id, "one too many").go().await;
    assert_eq!(refused.problem(), (403, "quota_exceeded".into()));
    world.until_status(&business.api_key, conversation_id, id, "sent").await;

    // An operator finds the key by these digits; `refusals` compares them with the stored ones.
    let hash = ApiKey::parse(&business.api_key).expect("a key").hash();
    let api_key = &hash[..8];
    let accepted = json!({
        "level": "INFO", "message": "accepted", "channel": "whatsapp", "api_key": api_key,
        "business": business.business_id, "conversation": conversation_id, "message_id": id, "seq": 1,
    });
    assert_eq!(own(until_logged(&world, "accepted").await.remove(0)), accepted);

    let sent = until_logged(&world, "sent").await.remove(0);
    assert!(sent["delivery_seconds"].is_number());

    let mut expected = accepted.as_object().cloned().expect("an object");
    expected.extend([("message".into(), json!("sent")), ("attempts".into(), json!(1))]);
    expected.remove("api_key");
    assert_eq!(own(sent), Value::from(expected));

    let refused = json!({
        "level": "INFO", "message": "refused", "code": "quota_exceeded", "status": 403,
        "business": business.business_id, "api_key": api_key,
    });
    assert_eq!(own(until_logged(&world, "refused").await.remove(0)), refused);

    for metric in ["Accepted", "Sent"] {
        until_counted(&world, metric, "whatsapp", 1).await;
    }

    let record =
        |metric: &str| records(&world).into_iter().find(|record| record.contains_key(metric));
    assert!(record("Sent").expect("a record")["DeliverySeconds"][0].is_number());
    world.until("a refusal is counted", async || record("Refused")).await;
    assert_eq!(record("Refused").expect("a record")["Code"], "quota_exceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_call_to_the_last_receipt_everything_is_told_under_the_calls_id() {
    let world = World::start().await;
    world.allow(|allowed| allowed.undelivered = true);
    let business = world.business(10, 1).await;
    // A bounce is an event of SES, and WhatsApp's status a call of Meta's, which has an id of its
    // own.
    let late = [
        ("email", json!(["sent", "bounced", "bounced"])),
        ("whatsapp", json!(["sent", "failed", "failed"])),
    ];

    for (channel, statuses) in late {
        world.report(channel, json!({ "statuses": statuses, "held": true })).await;
        let conversation_id = business.conversation_id(channel);
        let answer = world.send(&business.api_key, conversation_id, "whose was it?").go().await;
        let id = answer.header("apigw-requestid").expect("API Gateway's id").to_owned();
        let message_id = answer.id();
        world.until_status(&business.api_key, conversation_id, message_id, "sent").await;
        world.release(channel).await;
        for (said, times) in [("accepted", 1), ("sent", 1), ("failed", 1), ("receipt", 2)] {
            let of_channel = async || {
                let lines = until_logged(&world, said).await.into_iter();
                let lines: Vec<_> = lines.filter(|line| line["channel"] == channel).collect();
                (lines.len() == times).then_some(lines)
            };
            for line in world
                .until(&format!("`{said}` is told {times} times on {channel}"), of_channel)
                .await
            {
                assert_eq!(line["correlation_id"], json!(id), "{line:?}");
                assert!(said == "accepted" || line["attempts"] == 1, "{line:?}");
                assert_ne!(
                    line["function_request_id"],
                    json!(id),
                    "who brought it is told as well"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_is_one_record_however_much_happens_in_it() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let conversation_id = business.conversation_id("email");
    world.sandbox(reqwest::Method::PUT, "/queues/held", json!({"held": true})).await;

    let mut last = Uuid::nil();
    for number in 0..5 {
        last = send(&world, &business, "email", &format!("message {number}")).await;
    }

    world.sandbox(reqwest::Method::PUT, "/queues/held", json!({"held": false})).await;
    world.until_status(&business.api_key, conversation_id, last, "sent").await;
    until_counted(&world, "Sent", "email", 5).await;

    let mut ids: Vec<Value> =
        records(&world).iter().map(|record| record["function_request_id"].clone()).collect();
    let count = ids.len();
    ids.sort_by_key(Value::to_string);
    ids.dedup();
    assert_eq!(ids.len(), count, "no invocation has two");

    let sent = records(&world).into_iter().filter(|record| record.contains_key("Sent"));
    assert_eq!(
        sent.filter_map(|record| record["DeliverySeconds"].as_array().map(Vec::len)).sum::<usize>(),
        5
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_counted() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    world.fault("whatsapp", json!({"after_effect": true, "times": 1})).await;

    let id = send(&world, &business, "whatsapp", "the answer is lost").await;
    let doubted = until_logged(&world, "in doubt").await;
    assert_eq!(
        (doubted.len(), &doubted[0]["message_id"], &doubted[0]["reason"]),
        (1, &json!(id), &json!("no_answer"))
    );
    until_counted(&world, "InDoubt", "whatsapp", 1).await;

    world.pass(121).await;
    world.sweep().await;
    world.until_status(&business.api_key, business.conversation_id("whatsapp"), id, "sent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_that_was_not_rung_and_what_waits_for_it_are_counted() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");

    for operation in ["SendMessage", "SendMessageBatch"] {
        world.fault("aws", json!({"operation": operation, "error": "InternalError"})).await;
    }

    let id = send(&world, &business, "email", "the queue is down").await;
    let ring_failed =
        until_logged(&world, "the doorbell was not rung; the sweeper will ring").await;
    assert_eq!(
        (&ring_failed[0]["channel"], &ring_failed[0]["conversation"]),
        (&json!("email"), &json!(conversation_id))
    );
    until_counted(&world, "WakeupFailed", "email", 1).await;

    world.pass(300).await;
    world.sweep().await;
    // The schedule may have run as well, a while before.
    let swept = until_logged(&world, "swept").await.pop().expect("a line");
    assert!(swept["oldest_due_seconds"].as_f64() >= Some(300.0), "{swept:?}");

    let expected = json!({"level": "INFO", "message": "swept", "channel": "email", "due": 1, "wakeups": 0, "wakeup_failed": 1});
    assert_eq!(own(swept), expected);

    let mut oldest = records(&world)
        .into_iter()
        .filter_map(|record| record.get("OldestDueSeconds")?[0].as_f64());
    assert!(oldest.next_back() >= Some(300.0));

    world.heal("aws").await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation_id, id, "sent").await;
}

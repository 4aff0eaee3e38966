//! Receipts: they end doubts, they never move a message back, and only the provider's own count.

pub(crate) mod meta;
mod proof;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use uuid::Uuid;

use meta::{Meta, Sent, notification, signature};
use tests::{Business, DOUBT_SECONDS, World};

/// Both channels whose providers report.
const CHANNELS: [&str; 2] = ["whatsapp", "email"];

/// Sends a message whose answer the provider loses, and another one behind it; receipts are held.
async fn in_doubt(world: &World, channel: &str, statuses: &[&str]) -> (String, Uuid, [Uuid; 2]) {
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id(channel);
    world.report(channel, json!({ "statuses": statuses, "held": true })).await;
    world.fault(channel, json!({ "after_effect": true, "times": 1 })).await;
    let first =
        world.send(&business.api_key, conversation_id, "the answer is lost").go().await.id();
    world.until_status(&business.api_key, conversation_id, first, "in_doubt").await;
    let second = world.send(&business.api_key, conversation_id, "this one waits").go().await.id();
    world.sweep().await;
    assert_eq!(
        world.delivery(&business.api_key, conversation_id, second).await["status"],
        "queued"
    );
    (business.api_key, conversation_id, [first, second])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_ends_the_doubt_and_the_next_message_follows_at_once() {
    for channel in CHANNELS {
        let world = World::start().await;
        let (key, conversation_id, [first, second]) =
            in_doubt(&world, channel, &["sent", "delivered"]).await;
        // The second message's receipts are held, too.
        assert_eq!(world.release(channel).await, 2);
        let delivery = world.until_status(&key, conversation_id, first, "delivered").await;
        assert_eq!((&delivery["attempts"], &delivery["error"]), (&json!(1), &Value::Null));
        world.until_status(&key, conversation_id, second, "sent").await;
        let texts = ["the answer is lost", "this one waits"].map(str::to_owned);
        world.until_received(channel, conversation_id, &texts).await;
        assert_eq!(world.release(channel).await, 2);
        world.until_status(&key, conversation_id, second, "delivered").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_before_or_after_the_workers_write_neither_delays_nor_doubles_a_message() {
    for channel in CHANNELS {
        let world = World::start().await;
        let business = world.business(100, 1).await;
        // The answer is lost after 20 ms: what the worker makes of that, receipts meet before, amid
        // and after.
        for delay in [0, 10, 18, 20, 22, 24, 26, 28, 32, 40] {
            let conversation_id = world.another_conversation(&business, channel).await;
            world.report(channel, json!({ "delay_ms": delay })).await;
            world.fault(channel, json!({ "after_effect": true, "delay_ms": 20, "times": 1 })).await;
            let texts = ["the answer is lost", "the next one"].map(str::to_owned);
            for text in &texts {
                world.send(&business.api_key, conversation_id, text).go().await.id();
            }
            world.until_received(channel, conversation_id, &texts).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_news_ends_a_doubt_as_well() {
    for (channel, status) in [("whatsapp", "failed"), ("email", "bounced")] {
        let world = World::start().await;
        let (key, conversation_id, [first, second]) = in_doubt(&world, channel, &[status]).await;
        world.release(channel).await;
        world.until_status(&key, conversation_id, second, "sent").await;
        let delivery = world.delivery(&key, conversation_id, first).await;
        assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("failed"), &json!(1)));
        // The provider had it, and could not deliver it.
        world.allow(|allowed| allowed.undelivered = true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_dies_over_a_receipt_delays_and_doubles_nothing_else() {
    let world = World::start().await;
    let (key, conversation_id, [first, second]) = in_doubt(&world, "whatsapp", &["sent"]).await;
    // The message has moved on; its conversation was not told.
    let kill = json!({
        "operation": "UpdateItem", "error": "kill", "times": 1, "after_effect": true, "function": "receipts-whatsapp",
    });

    world.fault("aws", kill).await;
    world.release("whatsapp").await;
    world.until_status(&key, conversation_id, first, "sent").await;

    world.sweep().await;
    assert_eq!(world.delivery(&key, conversation_id, second).await["status"], "queued");

    world.pass(DOUBT_SECONDS).await;
    world.sweep().await;
    world.until_status(&key, conversation_id, second, "sent").await;

    let texts = ["the answer is lost", "this one waits"].map(str::to_owned);
    world.until_received("whatsapp", conversation_id, &texts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_cannot_be_written_down_is_asked_for_again() {
    let world = World::start().await;
    let meta = Meta::of(&world).await;
    let business = world.business(10, 1).await;
    let message = Sent::by_whatsapp(&world, &business, "the table is down for a moment").await;
    let mut refuse = json!({ "operation": "UpdateItem", "error": "ValidationException", "function": "ReceiptsWhatsapp" });

    world.fault("aws", refuse.clone()).await;
    let answer = meta.notify(&notification(&[message.status("delivered")])).await;
    assert_eq!(answer.problem(), (500, "internal".into()));

    world.heal("aws").await;
    meta.report_status(&message, "delivered").await;
    world.until_status(&business.api_key, message.conversation_id, message.id, "delivered").await;

    // The providers of the sandbox do ask again.
    for (channel, function) in [("whatsapp", "ReceiptsWhatsapp"), ("email", "ReceiptsEmail")] {
        refuse["function"] = json!(function);
        refuse["times"] = json!(1);
        world.report(channel, json!({ "statuses": ["delivered"], "delay_ms": 0 })).await;
        world.fault("aws", refuse.clone()).await;
        let conversation_id = business.conversation_id(channel);
        let id = world.send(&business.api_key, conversation_id, "reported twice").go().await.id();
        world.until_status(&business.api_key, conversation_id, id, "delivered").await;
        let left = world.sandbox(Method::GET, "/aws/faults", Value::Null).await;
        assert_eq!(left, json!([]), "the first try was to fail");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_meta_did_not_sign_is_refused_and_changes_nothing() {
    let world = World::start().await;
    let meta = Meta::of(&world).await;
    let business = world.business(10, 1).await;
    let message = Sent::by_whatsapp(&world, &business, "this cannot be forged").await;
    let body = notification(&[message.status("read")]).to_string();
    let body = body.as_bytes();
    let other = notification(&[]).to_string();
    let good = meta.sign(body);

    for forged in [
        None,
        Some(String::new()),
        Some("sha256=".into()),
        Some(good.replace("sha256", "sha1")),
        Some(good["sha256=".len()..].to_owned()),
        Some(good[..good.len() - 2].to_owned()),
        Some(meta.sign(other.as_bytes())),
        Some(meta.sign(&[body, b" "].concat())),
        Some(signature("the secret before this one", body)),
        Some(signature("", body)),
        Some(signature(&meta.verify_token, body)),
    ] {
        let answer = meta.call(body, forged.as_deref()).await;
        assert_eq!(answer.problem(), (403, "not_from_provider".into()), "{forged:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }

    let delivery = world.delivery(&business.api_key, message.conversation_id, message.id).await;
    assert_eq!((&delivery["status"], &delivery["read_at"]), (&json!("sent"), &Value::Null));
    assert_eq!(meta.call(body, Some(&good)).await.status, StatusCode::OK);
    world.until_status(&business.api_key, message.conversation_id, message.id, "read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_meta_gets_its_challenge_back() {
    let world = World::start().await;
    let meta = Meta::of(&world).await;
    let token = &meta.verify_token;
    let answer = meta
        .challenge(&format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}"))
        .await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "1158201444"));
    assert_eq!(answer.header("content-type"), Some("text/plain"));

    for query in [
        String::new(),
        "hub.mode=subscribe&hub.challenge=1".to_owned(),
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=".to_owned(),
        format!("hub.mode=subscribe&hub.challenge=1&hub.verify_token={token}x"),
        format!("hub.mode=subscribe&hub.challenge=1&hub.verify_token={}", meta.app_secret),
        format!("hub.mode=unsubscribe&hub.challenge=1&hub.verify_token={token}"),
        format!("hub.mode=subscribe&hub.verify_token={token}"),
    ] {
        assert_eq!(
            meta.challenge(&query).await.problem(),
            (403, "not_from_provider".into()),
            "{query}"
        );
    }
}

/// How far a message is, as far as receipts can move it: a failure counts until a delivery.
fn rank(status: &str) -> usize {
    let order = ["sent", "failed", "delivered", "read"];
    order.iter().position(|known| *known == status).expect("a status that receipts lead to")
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_in_any_order_and_number_only_move_a_message_forward() {
    let world = World::start().await;
    let meta = Meta::of(&world).await;
    let business = world.business(100, 1).await;
    let any = prop::sample::select(vec!["sent", "delivered", "read", "failed", "played"]);
    let config = Config {
        cases: 12,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(any, 1..7), |reports| {
        block_in_place(|| {
            Handle::current().block_on(async {
                let message = Sent::by_whatsapp(&world, &business, "told many times").await;
                let mut times = BTreeMap::new();
                let mut before = "sent".to_owned();
                for report in &reports {
                    meta.report_status(&message, report).await;
                    let delivery = world
                        .delivery(&business.api_key, message.conversation_id, message.id)
                        .await;
                    let status = delivery["status"].as_str().expect("a word").to_owned();
                    assert!(
                        rank(&status) >= rank(&before),
                        "{before}, told {report}: {status} ({reports:?})"
                    );
                    before = status;
                    for time in ["sent_at", "delivered_at", "read_at", "failed_at"] {
                        let known = times.entry(time).or_insert(Value::Null);
                        assert!(
                            known.is_null() || *known == delivery[time],
                            "{time} of {reports:?}"
                        );
                        *known = delivery[time].clone();
                    }
                }
                let known = reports.iter().copied().filter(|report| *report != "played");
                let furthest = known.max_by_key(|report| rank(report)).unwrap_or("sent");
                assert_eq!(before, furthest, "{reports:?}");
            });
        });
        Ok(())
    });

    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    world.allow(|allowed| allowed.undelivered = true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandboxs_receipts_may_come_often_and_in_any_order() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let opened = json!(["sent", "out_of_office", "delivered", "opened", "delayed"]);
    end_in_any_order(&world, &business, "whatsapp", json!(["sent", "delivered", "read"]), "read")
        .await;
    end_in_any_order(&world, &business, "email", opened, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_may_come_often_and_in_any_order() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let bounced = json!(["sent", "delivered", "soft_bounced", "opened"]);
    end_in_any_order(&world, &business, "email", bounced, "failed").await;
    world.allow(|allowed| allowed.undelivered = true);
}

/// Sends three messages and waits until each has this status, after reports that come three times
/// and shuffled.
async fn end_in_any_order(
    world: &World,
    business: &Business,
    channel: &str,
    statuses: Value,
    end: &str,
) {
    let reports = json!({ "statuses": statuses, "copies": 3, "shuffle": true, "delay_ms": 0 });
    world.report(channel, reports).await;

    let conversation_id = world.another_conversation(business, channel).await;
    let texts: Vec<String> = (1..=3).map(|number| format!("{channel} message {number}")).collect();
    for text in &texts {
        let id = world.send(&business.api_key, conversation_id, text).go().await.id();
        world.until_status(&business.api_key, conversation_id, id, end).await;
    }
    world.until_received(channel, conversation_id, &texts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_says_why_in_our_words_and_in_the_providers() {
    let world = World::start().await;
    let business = world.business(20, 1).await;
    for (channel, receipts, code, provider_code) in [
        (
            "whatsapp",
            json!({ "statuses": ["failed"], "code": 131_026 }),
            "recipient_unreachable",
            "131026",
        ),
        (
            "whatsapp",
            json!({ "statuses": ["sent", "failed"], "code": 131_049 }),
            "recipient_unreachable",
            "131049",
        ),
        ("whatsapp", json!({ "statuses": ["failed"], "code": 999 }), "undeliverable", "999"),
        (
            "email",
            json!({ "statuses": ["sent", "bounced"] }),
            "recipient_unreachable",
            "Permanent/General",
        ),
        ("email", json!({ "statuses": ["soft_bounced"] }), "mailbox_full", "Transient/MailboxFull"),
        ("email", json!({ "statuses": ["sent", "rejected"] }), "message_rejected", "Reject"),
    ] {
        let conversation_id = business.conversation_id(channel);
        world.report(channel, receipts.clone()).await;
        let id =
            world.send(&business.api_key, conversation_id, "it will not arrive").go().await.id();
        let delivery = world.until_status(&business.api_key, conversation_id, id, "failed").await;
        let error = &delivery["error"];
        assert_eq!(
            (&error["code"], &error["provider_code"]),
            (&json!(code), &json!(provider_code)),
            "{receipts}"
        );
        assert_eq!(error["retryable"], false);
        assert!(
            delivery["failed_at"].is_string() && delivery["delivered_at"].is_null(),
            "{delivery}"
        );
    }

    let said = |what: &str| world.logged().iter().filter(|line| line.text.contains(what)).count();
    let all_logged = async || (said("\"message\":\"failed\"") == 6).then_some(());
    world.until("operators are told of each", all_logged).await;

    // The providers took them all the same.
    world.allow(|allowed| allowed.undelivered = true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complaint_is_a_delivery_and_an_open_is_nothing() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    for (statuses, end) in [
        (json!(["opened", "complained"]), "delivered"),
        (json!(["delivered", "out_of_office"]), "delivered"),
    ] {
        world.report("email", json!({ "statuses": statuses })).await;
        let id = world.send(&business.api_key, conversation_id, "is this spam?").go().await.id();
        let delivery = world.until_status(&business.api_key, conversation_id, id, end).await;
        assert_eq!((&delivery["read_at"], &delivery["failed_at"]), (&Value::Null, &Value::Null));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_after_a_delivery_ends_a_message_failed_in_whatever_order_they_come() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    for (statuses, provider_code) in [
        (json!(["sent", "delivered", "bounced"]), "Permanent/General"),
        (json!(["bounced", "delivered", "sent"]), "Permanent/General"),
        (json!(["delivered", "out_of_office", "soft_bounced"]), "Transient/MailboxFull"),
    ] {
        world.report("email", json!({ "statuses": statuses })).await;
        let id = world.send(&business.api_key, conversation_id, "no such box").go().await.id();
        let bounced = async || {
            let delivery = world.delivery(&business.api_key, conversation_id, id).await;
            (delivery["error"]["provider_code"] == provider_code).then_some(delivery)
        };
        let delivery = world.until("the message has come back", bounced).await;
        assert_eq!(delivery["status"], "failed", "{delivery}");
        assert!(delivery["failed_at"].is_string(), "{delivery}");
    }

    world.allow(|allowed| allowed.undelivered = true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_nothing_that_is_ours_is_taken_and_changes_nothing() {
    let world = World::start().await;
    let meta = Meta::of(&world).await;
    let business = world.business(10, 1).await;
    let other = world.business(10, 1).await;
    let message = Sent::by_whatsapp(&world, &business, "this one's alone").await;
    let foreign = [
        Sent { business_id: other.business_id, ..message },
        Sent { conversation_id: other.conversation_id("whatsapp"), ..message },
        Sent {
            business_id: other.business_id,
            conversation_id: other.conversation_id("whatsapp"),
            ..message
        },
        Sent { id: Uuid::new_v4(), ..message },
        Sent { conversation_id: Uuid::new_v4(), ..message },
    ];

    for foreign in foreign {
        meta.report_status(&foreign, "read").await;
    }

    let mut campaign = message.status("read");
    campaign["biz_opaque_callback_data"] = json!("campaign.7");
    let anonymous = json!({ "id": "wamid.1", "status": "read", "timestamp": "1772355902" });
    let shapeless = json!({ "statuses": 7 });

    for body in [
        notification(&[campaign, anonymous, shapeless.clone()]),
        notification(&[]),
        shapeless,
        json!({ "object": "page", "entry": [{ "changes": [{ "field": "account_update", "value": {} }] }] }),
    ] {
        assert_eq!(meta.notify(&body).await.status, StatusCode::OK, "{body}");
    }

    let delivery = world.delivery(&business.api_key, message.conversation_id, message.id).await;
    assert_eq!((&delivery["status"], &delivery["read_at"]), (&json!("sent"), &Value::Null));

    // One of ours among them is found all the same.
    let mut with_foreign: Vec<Value> =
        foreign.iter().map(|foreign| foreign.status("read")).collect();
    with_foreign.insert(2, message.status("delivered"));
    assert_eq!(meta.notify(&notification(&with_foreign)).await.status, StatusCode::OK);
    world.until_status(&business.api_key, message.conversation_id, message.id, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_skipped_and_only_a_call_of_nothing_else_is_refused() {
    let world = World::start().await;
    let meta = Meta::of(&world).await;
    let business = world.business(10, 1).await;
    let message = Sent::by_whatsapp(&world, &business, "this one's between odd ones").await;
    let mut odd = message.status("read");
    odd["status"] = json!("MARK");

    let unreadable = notification(&[odd.clone()]).to_string().replace("MARK", "\\ud83d");
    for body in ["{ \"entry\": [", "\"Where is my parcel?\"", r#"{"entry": 7}"#, &unreadable] {
        let answer = meta.call(body.as_bytes(), Some(&meta.sign(body.as_bytes()))).await;
        assert_eq!(answer.problem(), (422, "validation_error".into()), "{body}");
    }

    let mut failed = message.status("failed");
    failed["errors"] = Value::Null;
    failed["biz_opaque_callback_data"] = json!(7);
    let statuses = [odd, failed, message.status("delivered")];
    let body = format!("\u{feff}{}", notification(&statuses)).replace("\"MARK\"", "1e999");
    let answer = meta.call(body.as_bytes(), Some(&meta.sign(body.as_bytes()))).await;
    assert_eq!(answer.status, StatusCode::OK);
    world.until_status(&business.api_key, message.conversation_id, message.id, "delivered").await;

    let counted = world.logged().iter().any(|line| line.text.contains("\"unreadable\":2"));
    assert!(counted, "operators are told how many");
}

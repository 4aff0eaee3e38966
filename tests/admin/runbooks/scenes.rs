//! The faults that ring the alarms.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::figures::point;
use super::{Evidence, anchors, page, shows, walk};
use crate::dead_letters::give_up_messages;
use platform::credential::ApiKey;
use tests::{Business, LEASE_SECONDS, SECRET_TTL_SECONDS, World, contract};

/// Makes a test of each runbook: its heading, the alarm's channel, and the scene.
macro_rules! runbooks {
    ($($name:ident $anchor:literal $channel:literal $scene:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let world = world_of($anchor).await;
                let business = world.business(100, 1).await;
                let evidence = $scene(&world, &business).await;
                walk(&world, $anchor, $channel, &evidence).await;
                world.heal("aws").await;
                if $anchor.starts_with("Webhook") {
                    // No bell is left that would ring soon.
                    world.pass(60).await;
                    world.sweep().await;
                }
            }
        )*

        #[test]
        fn every_runbook_is_walked() {
            assert_eq!(anchors(&page()), [$($anchor),*]);
        }
    };
}

runbooks! {
    given_up "GivenUp" "email" messages_are_given_up;
    in_doubt "InDoubt" "whatsapp" a_worker_dies_during_a_call;
    paused "Paused" "email" a_provider_takes_nothing;
    stands_still "StandsStill" "email" a_worker_fails_on_each_doorbell;
    is_slow "IsSlow" "whatsapp" a_provider_throttles;
    has_dead_letters "HasDeadLetters" "email" messages_of_a_queue_are_given_up;
    email_receipts_are_lost "EmailReceiptsAreLost" "email" receipts_cannot_be_stored;
    receipts_are_unproven "ReceiptsAreUnproven" "whatsapp" a_receipt_has_another_number;
    events_are_unpublished "EventsAreUnpublished" "email" changes_cannot_be_published;
    endpoints_are_switched_off "EndpointsAreSwitchedOff" "email" an_endpoint_fails;
    webhook_stands_still "WebhookStandsStill" "email" no_bell_of_events_is_answered;
    webhook_has_dead_letters "WebhookHasDeadLetters" "email" no_bell_of_events_is_answered;
    events_are_late "EventsAreLate" "email" changes_are_published_late;
    email_bounces "EmailBounces" "email" mail_bounces;
    email_complaints "EmailComplaints" "email" a_customer_complains;
    api_is_broken "ApiIsBroken" "email" a_request_fails;
    api_answers_5xx "ApiAnswers5xx" "email" requests_are_busy;
    api_refuses_callers "ApiRefusesCallers" "email" a_caller_sends_too_fast;
    chat_socket_fails "ChatSocketFails" "chat" a_widget_is_not_served;
    requests_crash "RequestsCrash" "email" a_request_dies;
    workers_crash "WorkersCrash" "email" a_worker_dies;
    requests_are_throttled "RequestsAreThrottled" "email" more_callers_than_are_reserved;
    workers_are_throttled "WorkersAreThrottled" "email" callers_leave_no_run_for_a_worker;
    concurrency_runs_out "ConcurrencyRunsOut" "email" callers_use_four_fifths_of_the_account;
    workers_are_taken_for_a_loop "WorkersAreTakenForALoop" "email" a_doorbell_goes_round_too_often;
    events_are_dropped "EventsAreDropped" "email" sweeps_and_receipts_fail;
    table_is_throttled "TableIsThrottled" "email" a_loop_of_messages_is_throttled;
    table_fails "TableFails" "email" no_worker_can_write;
    sweeper_is_gone "SweeperIsGone" "email" sweeps_fail;
}

/// Starts the system in which an alarm can ring.
async fn world_of(anchor: &str) -> World {
    let parameters = |all: &[(&str, &str)]| {
        all.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    let account_of_ten =
        [("LambdaQuota", "10"), ("SendMessageConcurrency", "0"), ("ChatSocketConcurrency", "0")];
    match anchor {
        "RequestsAreThrottled" => {
            World::start_with(parameters(&[("SendMessageConcurrency", "1")])).await
        }
        "WorkersAreThrottled" | "ConcurrencyRunsOut" => {
            World::start_with(parameters(&account_of_ten)).await
        }
        "WorkersAreTakenForALoop" => {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("runbooks/template");
            let line = "      RecursiveLoop: Allow\n";
            World::start_of(contract::edited_template(&folder, line, ""), BTreeMap::new()).await
        }
        _ => World::start().await,
    }
}

async fn send(world: &World, business: &Business, channel: &str) -> Uuid {
    let sent = world.send(&business.api_key, business.conversation_id(channel), "a text").go();
    sent.await.id()
}

/// Waits until a function has written such a line.
async fn until_logged(world: &World, function: &str, part: &str) {
    let wait = format!("{function} writes {part}");
    world
        .until(&wait, async || {
            let lines = world.logged();
            let is_written =
                lines.iter().any(|line| line.function == function && line.text.contains(part));
            is_written.then_some(())
        })
        .await;
}

async fn messages_are_given_up(world: &World, business: &Business) -> Vec<Evidence> {
    let id = give_up_messages(world, business, &["one"]).await[0];
    let business_id = business.business_id;
    vec![shows(1, business_id), shows(1, "rate_limited"), shows(2, id), shows(3, "given up")]
}

async fn a_worker_dies_during_a_call(world: &World, business: &Business) -> Vec<Evidence> {
    world.allow(|allowed| allowed.waiting = true);
    world.fault("whatsapp", json!({ "kill": true, "after_effect": true, "times": 1 })).await;
    send(world, business, "whatsapp").await;
    until_logged(world, "deliver-whatsapp", "Runtime exited").await;
    let conversation_id = world.another_conversation(business, "whatsapp").await;
    world.fault("whatsapp", json!({ "after_effect": true, "times": 1 })).await;
    let lost = world.send(&business.api_key, conversation_id, "a text").go().await.id();
    world.until_status(&business.api_key, conversation_id, lost, "in_doubt").await;
    vec![shows(1, lost), shows(2, lost), shows(3, "Runtime exited")]
}

async fn a_provider_takes_nothing(world: &World, business: &Business) -> Vec<Evidence> {
    world.allow(|allowed| allowed.waiting = true);
    world.fault("email", json!({ "status": 403 })).await;
    let id = send(world, business, "email").await;
    until_logged(world, "deliver-email", "channel paused").await;
    vec![shows(1, business.business_id), shows(2, id)]
}

async fn a_worker_fails_on_each_doorbell(world: &World, business: &Business) -> Vec<Evidence> {
    world.allow(|allowed| allowed.waiting = true);
    let refused = json!({ "operation": "UpdateItem", "error": "AccessDeniedException",
        "function": "deliver-email" });
    world.fault("aws", refused).await;
    send(world, business, "email").await;
    until_logged(world, "deliver-email", "AccessDenied").await;
    world.pass(11 * 60).await;
    vec![shows(1, business.conversation_id("email")), shows(4, "AccessDenied")]
}

async fn a_provider_throttles(world: &World, business: &Business) -> Vec<Evidence> {
    world.allow(|allowed| allowed.waiting = true);
    world.fault("whatsapp", json!({ "status": 429, "retry_after": 300 })).await;
    let id = send(world, business, "whatsapp").await;
    until_logged(world, "deliver-whatsapp", "put back").await;
    vec![shows(1, "whatsapp"), shows(2, id), shows(2, "rate_limited")]
}

async fn messages_of_a_queue_are_given_up(world: &World, business: &Business) -> Vec<Evidence> {
    give_up_messages(world, business, &["one"]).await;
    let conversation_id = business.conversation_id("email");
    vec![
        shows(1, conversation_id),
        shows(1, "rate_limited"),
        shows(2, conversation_id),
        shows(3, conversation_id),
    ]
}

/// Has the table take no event for a while.
async fn refuse_events(world: &World, business: &Business) {
    let fault = json!({ "operation": "TransactWriteItems", "error": "AccessDeniedException",
        "times": 2, "function": "publish-events" });
    world.fault("aws", fault).await;
    send(world, business, "email").await;
    until_logged(world, "publish-events", "events not published").await;
}

async fn changes_cannot_be_published(world: &World, business: &Business) -> Vec<Evidence> {
    refuse_events(world, business).await;
    vec![shows(2, "AccessDeniedException")]
}

async fn changes_are_published_late(world: &World, business: &Business) -> Vec<Evidence> {
    refuse_events(world, business).await;
    vec![shows(1, "AccessDeniedException")]
}

/// Makes an endpoint at one of the sandbox's receivers, which answers this status once.
async fn make_endpoint(world: &World, business: &Business, status: u16) {
    let receiver = business.business_id;
    let answers = json!({ "status": status, "times": 1 });
    world.sandbox(Method::PUT, &format!("/receivers/{receiver}"), answers).await;
    let url = format!("{}/receivers/{receiver}", world.ready.sandbox);
    let path = format!("{}/api/v1/webhook_endpoints", world.ready.api);
    let request = world.http().post(path).bearer_auth(&business.api_key);
    let made = world.ask(request.json(&json!({ "url": url }))).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

async fn an_endpoint_fails(world: &World, business: &Business) -> Vec<Evidence> {
    make_endpoint(world, business, 503).await;
    send(world, business, "email").await;
    until_logged(world, "deliver-webhook", "retried").await;
    world
        .until("the endpoint is known to fail", async || {
            let list = world.get(&business.api_key, "/api/v1/webhook_endpoints").await.json();
            list["endpoints"][0]["failing_since"].is_string().then_some(())
        })
        .await;
    vec![shows(2, "503"), shows(3, business.business_id)]
}

async fn no_bell_of_events_is_answered(world: &World, business: &Business) -> Vec<Evidence> {
    make_endpoint(world, business, 200).await;
    let fault = json!({ "operation": "Query", "error": "AccessDeniedException",
        "function": "deliver-webhook" });
    world.fault("aws", fault).await;
    send(world, business, "email").await;
    until_logged(world, "deliver-webhook", "bell not answered").await;
    vec![shows(1, "AccessDeniedException")]
}

async fn receipts_cannot_be_stored(world: &World, business: &Business) -> Vec<Evidence> {
    let refused = json!({ "operation": "*", "error": "AccessDeniedException",
        "function": "receipts-email" });
    world.fault("aws", refused).await;
    world.report("email", json!({ "statuses": ["sent", "delivered"] })).await;
    send(world, business, "email").await;
    until_logged(world, "receipts-email", "AccessDenied").await;
    vec![shows(2, "AccessDenied")]
}

async fn a_receipt_has_another_number(world: &World, business: &Business) -> Vec<Evidence> {
    let held = json!({ "statuses": ["sent", "delivered"], "held": true });
    world.report("whatsapp", held).await;
    let conversation_id = business.conversation_id("whatsapp");
    let id = send(world, business, "whatsapp").await;
    world.until_status(&business.api_key, conversation_id, id, "sent").await;

    // The old key is retired while receipts of its messages are on their way.
    let keys = json!({ "kid": "new", "secret": "a new key of thirty-two bytes or more" });
    world.put_secret("ReceiptKeys", keys).await;
    world.pass(SECRET_TTL_SECONDS).await;
    world.release("whatsapp").await;
    until_logged(world, "receipts-whatsapp", "that was not sent so").await;
    vec![shows(1, id), shows(2, "new"), shows(3, business.business_id)]
}

async fn mail_bounces(world: &World, business: &Business) -> Vec<Evidence> {
    world.allow(|allowed| allowed.undelivered = true);
    world.report("email", json!({ "statuses": ["bounced"] })).await;
    let conversation_id = business.conversation_id("email");
    let id = send(world, business, "email").await;
    world.until_status(&business.api_key, conversation_id, id, "failed").await;
    vec![shows(3, id), shows(3, "recipient_unreachable")]
}

async fn a_customer_complains(world: &World, business: &Business) -> Vec<Evidence> {
    world.report("email", json!({ "statuses": ["sent", "complained"] })).await;
    let id = send(world, business, "email").await;
    until_logged(world, "receipts-email", r#""message":"complaint""#).await;
    vec![shows(3, business.business_id), shows(3, id), shows(4, business.business_id)]
}

async fn a_request_fails(world: &World, business: &Business) -> Vec<Evidence> {
    let refused = json!({ "operation": "BatchGetItem", "error": "AccessDeniedException" });
    world.fault("aws", refused).await;
    let conversation_id = business.conversation_id("email");
    let failed = world.send(&business.api_key, conversation_id, "a text").go().await;
    assert_eq!(failed.problem(), (500, "internal".into()));
    vec![shows(1, "AccessDenied")]
}

async fn requests_are_busy(world: &World, business: &Business) -> Vec<Evidence> {
    let conflict = json!({ "operation": "TransactWriteItems", "error": "TransactionConflict" });
    world.fault("aws", conflict).await;
    let conversation_id = business.conversation_id("email");
    let busy = world.send(&business.api_key, conversation_id, "a text").go().await;
    assert_eq!(busy.problem(), (503, "busy".into()));
    vec![shows(2, "busy")]
}

async fn a_caller_sends_too_fast(world: &World, business: &Business) -> Vec<Evidence> {
    let refused = world.send(&business.api_key, Uuid::nil(), "a text").go().await;
    assert_eq!(refused.problem(), (404, "conversation_not_found".into()));
    let other = world.business_of(json!({ "requests_per_minute": 1 })).await;
    send(world, &other, "email").await;
    let refused = world.send(&other.api_key, other.conversation_id("email"), "a text").go().await;
    assert_eq!(refused.problem(), (429, "too_many_requests".into()));
    until_logged(world, "send-message", "too_many_requests").await;

    let key = ApiKey::parse(&other.api_key).expect("a key").hash();
    vec![
        shows(3, other.business_id),
        shows(3, &key[..8]),
        shows(4, other.business_id),
        shows(4, business.business_id),
        shows(4, "conversation_not_found"),
        shows(5, &key[..8]),
    ]
}

async fn a_widget_is_not_served(world: &World, business: &Business) -> Vec<Evidence> {
    world.allow(|allowed| allowed.waiting = true);
    let refused = json!({ "operation": "*", "error": "AccessDeniedException",
        "function": "chat-socket" });
    world.fault("aws", refused).await;
    send(world, business, "chat").await;
    until_logged(world, "chat-socket", "AccessDenied").await;
    vec![shows(2, "AccessDenied")]
}

async fn a_request_dies(world: &World, business: &Business) -> Vec<Evidence> {
    let kill = json!({ "operation": "BatchGetItem", "error": "kill", "times": 1,
        "function": "send-message" });
    world.fault("aws", kill).await;
    let conversation_id = business.conversation_id("email");
    world.send(&business.api_key, conversation_id, "a text").go().await;
    until_logged(world, "send-message", "Runtime exited").await;
    vec![shows(1, "Runtime exited")]
}

async fn a_worker_dies(world: &World, business: &Business) -> Vec<Evidence> {
    let kill = json!({ "operation": "UpdateItem", "error": "kill", "times": 1,
        "function": "deliver-email" });
    world.fault("aws", kill).await;
    send(world, business, "email").await;
    until_logged(world, "deliver-email", "Runtime exited").await;
    world.pass(LEASE_SECONDS).await;
    world.sweep().await;
    vec![shows(1, "Runtime exited")]
}

/// Has so many callers send at once, whose requests hang at the table, again and again until this
/// is so.
async fn callers_until(
    world: &World,
    business: &Business,
    count: usize,
    is_so: impl AsyncFn() -> bool,
) {
    world.allow(|allowed| (allowed.unheard, allowed.waiting) = (true, true));
    let hang =
        json!({ "operation": "BatchGetItem", "error": "timeout", "function": "send-message" });
    world.fault("aws", hang).await;

    let is_over = AtomicBool::new(false);
    let callers = join_all((0..count).map(async |_| {
        while !is_over.load(Ordering::Relaxed) {
            send_anyway(world, business).await;
        }
    }));
    let watch = async {
        world.until("the callers use it up", async || is_so().await.then_some(())).await;
        is_over.store(true, Ordering::Relaxed);
        world.heal("aws").await;
    };
    join(callers, watch).await;
}

async fn send_anyway(world: &World, business: &Business) -> u16 {
    let conversation_id = business.conversation_id("chat");
    let sent = world.send(&business.api_key, conversation_id, "a text").go().await;
    sent.status.as_u16()
}

async fn more_callers_than_are_reserved(world: &World, business: &Business) -> Vec<Evidence> {
    let throttles = || world.engine().functions()["SendMessage"].throttles;
    callers_until(world, business, 2, async || throttles() > 0).await;
    vec![
        shows(1, format!("SendMessage: {} refused, 1 reserved", throttles())),
        shows(1, "ReadMessages: 0 refused, None reserved"),
        shows(3, format!("SendMessage {}", point(1))),
    ]
}

async fn callers_leave_no_run_for_a_worker(world: &World, business: &Business) -> Vec<Evidence> {
    world.sandbox(Method::PUT, "/queues/held", json!({ "held": true })).await;
    send(world, business, "email").await;
    let throttles = || world.engine().functions()["DeliverEmail"].throttles;
    let is_throttled = async || {
        let held = world.engine().account().most_at_once < 10;
        world.sandbox(Method::PUT, "/queues/held", json!({ "held": held })).await;
        throttles() > 0
    };
    callers_until(world, business, 10, is_throttled).await;
    world.sandbox(Method::PUT, "/queues/held", json!({ "held": true })).await;
    vec![
        shows(1, format!("DeliverEmail: {} refused", throttles())),
        shows(1, "SweepOutbox: 0 refused"),
        shows(2, r#""ConcurrentExecutions": 10"#),
        shows(2, point(10)),
        shows(3, "email"),
    ]
}

async fn callers_use_four_fifths_of_the_account(
    world: &World,
    business: &Business,
) -> Vec<Evidence> {
    let most = || world.engine().account().most_at_once;
    callers_until(world, business, 8, async || most() >= 8).await;
    vec![shows(1, r#""ConcurrentExecutions": 10"#), shows(2, point(most()))]
}

/// The doorbell belongs to a chain of requests that has invoked its worker sixteen times.
async fn a_doorbell_goes_round_too_often(world: &World, business: &Business) -> Vec<Evidence> {
    world.allow(|allowed| allowed.waiting = true);
    world.sandbox(Method::PUT, "/queues/held", json!({ "held": true })).await;
    send(world, business, "email").await;
    let queue = world.queue("email");
    let [doorbell] = &world.take_messages(&queue).await[..] else { panic!("one doorbell") };
    world.ring_in_chain(&queue, doorbell, "Root=1-0-0;Lineage=DeliverEmail:16").await;
    world.sandbox(Method::PUT, "/queues/held", json!({ "held": false })).await;

    let dropped = || world.engine().functions()["DeliverEmail"].dropped_loops;
    world.until("Lambda drops it", async || (dropped() > 0).then_some(())).await;
    world.sandbox(Method::PUT, "/queues/held", json!({ "held": true })).await;
    world.pass(11 * 60).await;
    vec![
        shows(1, format!("DeliverEmail: {} dropped, Terminate", dropped())),
        shows(1, "DeliverChat: 0 dropped"),
        shows(2, business.conversation_id("email")),
    ]
}

async fn sweeps_and_receipts_fail(world: &World, business: &Business) -> Vec<Evidence> {
    receipts_cannot_be_stored(world, business).await;
    sweeps_fail(world, business).await;
    vec![shows(1, "sweep"), shows(1, "AccessDenied")]
}

/// DynamoDB throttles the table and not its index, whose name is in no error of a write.
async fn a_loop_of_messages_is_throttled(world: &World, business: &Business) -> Vec<Evidence> {
    for _ in 0..3 {
        send(world, business, "email").await;
    }
    until_logged(world, "send-message", r#""message":"accepted""#).await;

    let throttled = json!({ "operation": "TransactWriteItems", "error": "ThrottlingException",
        "function": "send-message" });
    world.fault("aws", throttled).await;
    let conversation_id = business.conversation_id("email");
    let busy = world.send(&business.api_key, conversation_id, "a text").go().await;
    assert_eq!(busy.problem(), (503, "busy".into()));
    let times = failed(world, "TransactWriteItems", "ThrottlingException");
    vec![
        shows(1, "ReadThrottleEvents: 0 of the table"),
        shows(1, format!("WriteThrottleEvents: {times} of the table")),
        shows(3, conversation_id),
    ]
}

async fn no_worker_can_write(world: &World, business: &Business) -> Vec<Evidence> {
    world.allow(|allowed| allowed.waiting = true);
    let fails = json!({ "operation": "UpdateItem", "error": "InternalServerError",
        "function": "deliver-email" });
    world.fault("aws", fails).await;
    send(world, business, "email").await;
    until_logged(world, "deliver-email", "InternalServerError").await;
    world.sandbox(Method::PUT, "/queues/held", json!({ "held": true })).await;
    let times = failed(world, "UpdateItem", "InternalServerError");
    vec![
        shows(1, "GetItem: 0 errors"),
        shows(1, format!("UpdateItem: {times} errors in this hour, last {}", point(times))),
        shows(2, "email"),
    ]
}

/// Returns how often an operation was answered with an error.
fn failed(world: &World, operation: &str, code: &str) -> u64 {
    let failed = world.engine().calls().failed();
    failed[&(operation.to_owned(), code.to_owned())]
}

async fn sweeps_fail(world: &World, _business: &Business) -> Vec<Evidence> {
    let refused = json!({ "operation": "Query", "error": "AccessDeniedException",
        "function": "sweep-outbox" });
    world.fault("aws", refused).await;
    let sweep = world.http().post(format!("{}/sandbox/sweep", world.ready.sandbox));
    assert_eq!(world.ask(sweep).await.status, 502);
    until_logged(world, "sweep-outbox", "AccessDenied").await;
    vec![shows(2, "AccessDenied")]
}

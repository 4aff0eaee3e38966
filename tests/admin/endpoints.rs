//! Endpoints that events are sent to: found, switched on again, and sent what they missed.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{admin, admin_json, text};
use tests::{Business, World};

/// An endpoint at one of the sandbox's receivers, whose URL has a secret in its query.
struct Endpoint {
    id: String,
    receiver: String,
}

/// A part of each endpoint's URL that operators are not shown.
const SECRET_OF_URL: &str = "canary-of-the-url";

async fn endpoint(world: &World, business: &Business, status: u16, events: Value) -> Endpoint {
    let receiver = Uuid::new_v4().to_string();
    answer(world, &receiver, status).await;
    let url = format!("{}/receivers/{receiver}?key={SECRET_OF_URL}", world.ready.sandbox);
    let path = format!("{}/api/v1/webhook_endpoints", world.ready.api);
    let request = world.http().post(path).bearer_auth(&business.api_key);
    let answer = world.ask(request.json(&json!({ "url": url, "events": events }))).await;
    assert_eq!(answer.status, 201, "{}", answer.text);

    let made = answer.json();
    world.ledger().secrets.push(text(&made, "secret").to_owned());
    Endpoint { id: text(&made, "id").to_owned(), receiver }
}

/// Has a receiver answer with this status from now on.
async fn answer(world: &World, receiver: &str, status: u16) {
    let manners = json!({ "status": status });
    world.sandbox(Method::PUT, &format!("/receivers/{receiver}"), manners).await;
}

/// Waits until a receiver has taken so many requests; returns the ids of their events.
async fn until_taken(world: &World, endpoint: &Endpoint, count: usize) -> Vec<String> {
    let path = format!("/receivers/{}", endpoint.receiver);
    let taken = async || {
        let got = world.sandbox(Method::GET, &path, Value::Null).await;
        let requests = got.as_array().expect("a list").iter();
        let taken = requests.filter(|request| request["answered"] == 200);
        let ids: Vec<String> =
            taken.map(|request| text(&request["headers"], "webhook-id").to_owned()).collect();
        (ids.len() >= count).then_some(ids)
    };
    world.until(&format!("it has taken {count} events"), taken).await
}

/// Returns the ids of a business's events, by number.
async fn event_ids(world: &World, business: &Business) -> Vec<String> {
    let list = world.get(&business.api_key, "/api/v1/events").await.json();
    let events = list["events"].as_array().expect("a list").iter();
    events.map(|event| text(event, "id").to_owned()).collect()
}

async fn send(world: &World, business: &Business) -> Uuid {
    world.send(&business.api_key, business.conversation_id("email"), "told").go().await.id()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_endpoint_is_found_switched_on_and_sent_what_it_missed() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let of = ["--business", &business.business_id.to_string()];
    let well = endpoint(&world, &business, 200, json!(["channel.paused"])).await;
    let ill = endpoint(&world, &business, 500, Value::Null).await;
    let other = world.business(10, 1).await;
    let others = endpoint(&world, &other, 200, Value::Null).await;

    let ids_of = |list: &Value| {
        let listed = list["endpoints"].as_array().expect("a list").iter();
        listed.map(|one| text(one, "endpoint_id").to_owned()).collect::<Vec<_>>()
    };
    let all = admin_json(&world, 0, &["list", "endpoints"]).await;
    assert!([&well, &ill, &others].iter().all(|one| ids_of(&all).contains(&one.id)), "{all}");
    let own = admin_json(&world, 0, &["list", "endpoints", of[0], of[1]]).await;
    assert_eq!(ids_of(&own).len(), 2, "{own}");
    assert!(!ids_of(&own).contains(&others.id), "{own}");

    send(&world, &business).await;
    let show = ["endpoint", "show", of[0], of[1], &ill.id];
    let shown = world
        .until("the endpoint fails since an attempt", async || {
            let shown = admin_json(&world, 0, &show).await;
            shown["failing_since"].is_string().then_some(shown)
        })
        .await;
    let mut deliveries = shown["deliveries"].as_array().expect("a list").iter();
    assert!(deliveries.any(|one| one["answer_status"] == 500), "{shown}");
    assert_ne!(shown["failures"], 0, "{shown}");
    let failing = ["list", "endpoints", "--failing", of[0], of[1]];
    assert_eq!(ids_of(&admin_json(&world, 0, &failing).await), [ill.id.as_str()]);

    let disable = ["endpoint", "disable", of[0], of[1], &ill.id];
    assert_eq!(admin(&world, &disable).await.code, 3);
    admin_json(&world, 0, &[&disable[..], &["--yes"]].concat()).await;
    let listed = admin(&world, &failing).await.stdout;
    assert!(listed.contains("1 of them disabled"), "{listed}");

    world.pass(60).await;
    world.sweep().await;
    world
        .until("both events have failed", async || {
            let shown = admin_json(&world, 0, &show).await;
            let deliveries = shown["deliveries"].as_array().expect("a list");
            let failed = deliveries.iter().filter(|one| one["status"] == "failed").count();
            (failed == 2).then_some(())
        })
        .await;

    let redeliver = ["events", "redeliver", of[0], of[1], &ill.id, "--since", "1h"];
    let confirmed = [&redeliver[..], &["--yes"]].concat();
    let refused = admin(&world, &confirmed).await;
    assert!(refused.code == 1 && refused.stderr.contains("endpoint enable"), "{}", refused.stderr);

    answer(&world, &ill.receiver, 200).await;
    let enabled = admin_json(&world, 0, &["endpoint", "enable", of[0], of[1], &ill.id]).await;
    assert_eq!(enabled["status"], "enabled");
    let shown = admin_json(&world, 0, &show).await;
    assert_eq!((&shown["failing_since"], &shown["failures"]), (&Value::Null, &json!(0)));

    assert_eq!(admin(&world, &redeliver).await.code, 3);
    let sent = admin_json(&world, 0, &confirmed).await;
    assert_eq!(sent["sent_count"], 2, "{sent}");
    assert_eq!(until_taken(&world, &ill, 2).await, event_ids(&world, &business).await);

    for args in [&failing[..3], &show[..], &["list", "endpoints", "--wide"]] {
        let result = admin(&world, args).await;
        let printed = format!("{}{}", result.stdout, result.stderr);
        assert!(result.code == 0 && !printed.contains(SECRET_OF_URL), "{printed}");
    }
    let missing = ["endpoint", "show", of[0], of[1], &others.id];
    let refused = admin(&world, &missing).await;
    assert!(refused.code == 1 && refused.stderr.contains("no such endpoint"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_sent_again_page_by_page_and_by_their_ids() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let of = ["--business", &business.business_id.to_string()];
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(send(&world, &business).await);
        let count = 2 * messages.len();
        let listed = async || (event_ids(&world, &business).await.len() == count).then_some(());
        world.until("its events are listed", listed).await;
    }
    let ids = event_ids(&world, &business).await;

    let late = endpoint(&world, &business, 200, json!(["message.sent"])).await;
    let redeliver = async |code, args: &[&str]| {
        let command = ["events", "redeliver", of[0], of[1], &late.id, "--yes"];
        admin_json(&world, code, &[&command[..], args].concat()).await
    };

    // Each page has one event.
    let partial = json!({ "operation": "Query", "error": "partial", "function": "*" });
    world.fault("aws", partial.clone()).await;
    let sent = redeliver(0, &["--since", "1d"]).await;
    assert_eq!((&sent["sent_count"], &sent["not_asked_for_count"]), (&json!(3), &json!(3)));
    world.heal("aws").await;
    assert_eq!(until_taken(&world, &late, 3).await.len(), 3);
    assert_eq!(redeliver(0, &["--until", "1h"]).await["sent_count"], 0);

    let unknown = Uuid::new_v4().to_string();
    let named = ["--event", &ids[1], "--event", &unknown, "--event", &ids[1]];
    let sent = redeliver(1, &named).await;
    assert_eq!((&sent["sent_count"], &sent["unknown_count"]), (&json!(1), &json!(1)));
    assert_eq!(until_taken(&world, &late, 4).await[3], ids[1]);

    // The third message's deliveries cannot be written.
    world.fault("aws", partial).await;
    let refused = json!({ "operation": "PutItem", "error": "AccessDeniedException",
        "function": "*", "about": messages[2] });
    world.fault("aws", refused).await;
    let cut_short = redeliver(1, &["--since", "1d"]).await;
    assert_eq!(cut_short["sent_count"], 2, "{cut_short}");
    world.heal("aws").await;
    let go_on = text(&cut_short, "last_event_at");
    assert_ne!(redeliver(0, &["--since", go_on]).await["sent_count"], 0);
    until_taken(&world, &late, 7).await;

    for (args, complaint) in [
        (&[][..], "required"),
        (&["--since", "1h", "--until", "2h"], "--until: it is not later than --since"),
        (&["--since", "1h", "--event", &ids[0]], "cannot be used with"),
        (&["--event", "nonsense"], "--event"),
    ] {
        let command = ["events", "redeliver", of[0], of[1], &late.id, "--yes"];
        let refused = admin(&world, &[&command[..], args].concat()).await;
        assert!(refused.code == 1 && refused.stderr.contains(complaint), "{}", refused.stderr);
    }
}

//! Events on the bus: the functions that get them, and how often.

use serde_json::{Value, json};

use crate::start;
use emulator::{Event, InvokeError, Logs};

fn event(source: &'static str, detail_type: &'static str, failures: u32) -> Event {
    let time = "2026-03-01T09:05:02.500Z".parse().unwrap();
    let resources = vec!["arn:aws:ses:us-east-1:000000000000:configuration-set/probe".to_owned()];
    Event { source, detail_type, time, resources, detail: json!({ "failures": failures }) }
}

/// The events that a function printed.
fn heard(logs: &Logs, function: &str) -> Vec<Value> {
    let lines = logs.lines().into_iter().filter(|line| line.function == function);
    lines.filter_map(|line| serde_json::from_str(&line.text).ok()).collect()
}

#[tokio::test]
async fn an_event_goes_to_every_function_that_has_a_rule_for_it() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    for (source, detail_type, takers) in [
        ("probe", "Good News", 2),
        ("probe", "No News", 1),
        ("old", "Good News", 1),
        ("nobody", "Good News", 0),
    ] {
        let taken = engine.publish(&event(source, detail_type, 0)).await.unwrap();
        assert_eq!(taken, takers, "{source}, {detail_type}");
    }

    engine.stop().await;
    assert_eq!((heard(&logs, "listener").len(), heard(&logs, "eavesdropper").len()), (1, 3));
    let event = &heard(&logs, "listener")[0];
    assert_eq!((&event["version"], &event["source"]), (&json!("0"), &json!("probe")));
    assert_eq!(
        (&event["detail-type"], &event["time"]),
        (&json!("Good News"), &json!("2026-03-01T09:05:02Z"))
    );
    assert_eq!(
        (&event["account"], &event["region"]),
        (&json!("000000000000"), &json!("us-east-1"))
    );
    assert_eq!(event["resources"][0], "arn:aws:ses:us-east-1:000000000000:configuration-set/probe");

    assert!(event["id"].is_string());
}

#[tokio::test]
async fn a_rule_matches_the_data_of_an_event() {
    let engine = start(Logs::discarded()).await;
    for (detail, takers) in [
        (json!({ "mail": { "tags": { "set": ["probe-Letters"] } } }), 1),
        (json!({ "mail": { "tags": { "set": ["another", "probe-Letters"] } } }), 1),
        (json!({ "mail": { "tags": { "set": "other" } } }), 1),
        (json!({ "mail": { "tags": { "set": ["Letters"] } } }), 0),
        (json!({ "mail": { "tags": {} } }), 0),
        (json!({}), 0),
    ] {
        let event = Event { detail: detail.clone(), ..event("mail", "Sent", 0) };
        assert_eq!(engine.publish(&event).await.unwrap(), takers, "{detail}");
    }
    engine.stop().await;
}

#[tokio::test]
async fn a_function_that_fails_on_an_event_gets_it_twice_more() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    engine.publish(&event("old", "Good News", 2)).await.expect("the third try succeeds");
    assert_eq!(heard(&logs, "eavesdropper").len(), 3);
    let given_up = engine.publish(&event("old", "Bad News", 9)).await;
    assert!(matches!(given_up, Err(InvokeError::Function(_))), "{given_up:?}");
    assert_eq!(heard(&logs, "eavesdropper").len(), 6);
    engine.stop().await;
}

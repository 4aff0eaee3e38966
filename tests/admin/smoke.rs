//! The smoke test, on a system that is well, and with a fault at each stage.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{admin, admin_json, text};
use tests::World;

/// Returns the stage that a run failed at, and why.
fn failed_at(run: &Value) -> (String, String) {
    let stages = run["stages"].as_array().expect("an array").iter();
    let failed = stages.filter(|stage| stage["detail"].is_string()).collect::<Vec<_>>();
    assert_eq!((failed.len(), &run["is_delivered"]), (1, &json!(false)), "{run}");
    (text(failed[0], "stage").to_owned(), text(failed[0], "detail").to_owned())
}

/// Returns a world in which messages may be the command line's own.
async fn world() -> World {
    let world = World::start().await;
    world.allow(|allowed| {
        allowed.unheard = true;
        allowed.elsewhere = true;
    });
    world
}

/// Has the conversation of a run held for a minute, as by a worker that died.
async fn hold(world: &World, run: &Value) {
    let [business, conversation] = ["business_id", "conversation_id"].map(|name| text(run, name));
    let until = Utc::now() + TimeDelta::minutes(1);
    let update = world.dynamodb().update_item().table_name(&world.ready.table);
    let update = update
        .key("pk", AttributeValue::S(format!("B#{business}#C#{conversation}")))
        .key("sk", AttributeValue::S("CONVERSATION".to_owned()))
        .update_expression("SET lease_owner = :owner, lease_until = :until")
        .expression_attribute_values(":owner", AttributeValue::S("one that died".to_owned()))
        .expression_attribute_values(
            ":until",
            AttributeValue::N(until.timestamp_millis().to_string()),
        );
    update.send().await.expect("it is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_well_delivers_the_smoke_tests_message() {
    let world = world().await;
    let demo = world.ready.demo.clone().expect("the demo");
    for count in 1..=2 {
        let run = admin_json(&world, 0, &["smoke"]).await;
        assert!(
            run["stages"]
                .as_array()
                .expect("an array")
                .iter()
                .all(|stage| stage["is_passed"] == true)
        );

        let shown = admin_json(&world, 0, &["message", "show", text(&run, "message_id")]).await;
        assert_eq!((&shown["status"], &shown["seq"]), (&json!("delivered"), &json!(count)));
        let of = ["--business", text(&run, "business_id")];
        let business = admin_json(&world, 0, &["business", "show", of[0], of[1]]).await;
        assert_eq!((&business["used"], text(&business, "business_name")), (&json!(count), "smoke"));
    }

    assert_eq!(world.usage(&demo.api_key).await.0, 0, "no customer's month counts it");
    let table = admin(&world, &["smoke"]).await;
    assert!(table.stdout.contains("the stack sends"), "{}", table.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_found_at_its_stage_and_a_later_run_delivers_what_was_left() {
    let world = world().await;
    let smoke = ["smoke", "--timeout", "6"];

    let of_chat = |operation, function, about| {
        json!({"operation": operation, "error": "AccessDeniedException",
            "function": function, "about": about})
    };
    for (operation, function, about, stage, words) in [
        ("PutItem", "chat-socket", "", "connect", "look at the log of chat-socket"),
        ("TransactWriteItems", "send-message", "", "accept", "500 Internal Server Error, internal"),
        (
            "UpdateItem",
            "chat-socket",
            "delivered_at",
            "confirm",
            "chat-socket has not stored the receipt",
        ),
        ("Query", "deliver-chat", "", "deliver", "a worker has claimed the conversation"),
    ] {
        world.fault("aws", of_chat(operation, function, about)).await;
        let (at, why) = failed_at(&admin_json(&world, 2, &smoke).await);
        assert_eq!(at, stage, "{operation}: {why}");
        assert!(why.contains(words), "{stage}: {why}");
        world.heal("aws").await;
    }

    hold(&world, &admin_json(&world, 2, &smoke).await).await;
    let (_, why) = failed_at(&admin_json(&world, 2, &smoke).await);
    assert!(why.contains("a worker that died before this run holds"), "{why}");
    world.pass(60).await;

    world.sandbox(reqwest::Method::PUT, "/queues/held", json!({"held": true})).await;
    let run = admin_json(&world, 2, &smoke).await;
    let (at, why) = failed_at(&run);
    assert!(at == "deliver" && why.contains("no worker has looked at it"), "{at}: {why}");
    world.sandbox(reqwest::Method::PUT, "/queues/held", json!({"held": false})).await;

    let table = admin(&world, &["smoke"]).await;
    assert_eq!(table.code, 0, "{}", table.stdout);
    let left = admin_json(&world, 0, &["message", "show", text(&run, "message_id")]).await;
    assert!(["sent", "delivered"].contains(&text(&left, "status")), "{left}");
}

//! A message's life, and lists of what needs somebody.

use serde_json::json;

use crate::{admin, admin_json, text};
use tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_messages_life_is_told_and_what_it_says_only_to_who_asks() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let (of, conversation) = (business.business_id.to_string(), business.conversation("email"));
    world.fault("email", json!({"status": 429, "times": 1})).await;
    let id = world.send(&business.api_key, conversation, "a secret of ours").go().await.id();
    world.pass(60).await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation, id, "sent").await;
    let url = format!("{}/api/v1/conversations/{conversation}/messages/{id}", world.ready.api);
    let told = admin_json(&world, 0, &["message", "show", "--business", &of, &url]).await;
    assert_eq!(
        (text(&told, "status"), &told["attempts"], &told["seq"]),
        ("sent", &json!(2), &json!(1))
    );
    let outcomes = [&told["history"][0]["outcome"], &told["history"][1]["outcome"]];
    assert_eq!(outcomes, [&json!("postponed"), &json!("sent")]);
    assert!(told.get("content").is_none() && told.get("recipient").is_none(), "{told}");
    let ids = [conversation.to_string(), id.to_string()];
    let words = ["message", "show", "--business", &of, &ids[0], &ids[1]];
    let table = admin(&world, &words).await;
    assert!(
        table.code == 0 && table.out.contains("postponed") && !table.out.contains("a secret"),
        "{}",
        table.out
    );
    let shown = admin_json(&world, 0, &[words.as_slice(), &["--show-content"]].concat()).await;
    assert_eq!(text(&shown, "content"), "a secret of ours");
    let other = world.business(1, 1).await.business_id.to_string();
    let foreign = admin(&world, &["message", "show", "--business", &other, &url]).await;
    assert!(
        foreign.code == 1 && foreign.complaint.contains("no such conversation"),
        "{}",
        foreign.complaint
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_messages_are_listed_with_their_reason() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let (of, conversation) = (business.business_id.to_string(), business.conversation("whatsapp"));
    assert_eq!(admin_json(&world, 0, &["list", "failed"]).await["messages"], json!([]));
    world.fault("whatsapp", json!({"code": 131_026, "times": 1})).await;
    let id = world.send(&business.api_key, conversation, "it never arrives").go().await.id();
    world.until_status(&business.api_key, conversation, id, "failed").await;
    let in_it = ["--business", &of, "--conversation", &conversation.to_string()];
    for more in [&[][..], &in_it[..2], &in_it] {
        let failed = admin_json(&world, 2, &[&["list", "failed"], more].concat()).await;
        let failed = &failed["messages"][0];
        assert_eq!(
            (&failed["id"], &failed["error"]["code"]),
            (&json!(id), &json!("recipient_unreachable"))
        );
    }
    assert_eq!(admin_json(&world, 0, &["list", "in-doubt"]).await["messages"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_in_doubt_are_listed_as_long_as_they_are() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let (of, conversation) = (business.business_id.to_string(), business.conversation("whatsapp"));
    world.fault("whatsapp", json!({"after_effect": true, "times": 1})).await;
    let id = world.send(&business.api_key, conversation, "the answer is lost").go().await.id();
    world.until_status(&business.api_key, conversation, id, "in_doubt").await;
    // It waits for a receipt, and whatever comes after it waits with it: the conversation is in the
    // outbox, and not due.
    world.send(&business.api_key, conversation, "it waits behind").go().await.id();
    assert_eq!(
        admin_json(&world, 0, &["list", "stuck", "--minutes", "0"]).await["stuck"],
        json!([])
    );
    let in_it = ["--business", &of, "--conversation", &conversation.to_string()];
    // Asked for without reading the table through.
    world
        .fault("aws", json!({"operation": "Scan", "error": "InternalServerError", "function": "*"}))
        .await;
    for more in [&[][..], &in_it[..2], &in_it] {
        let found = admin_json(&world, 2, &[&["list", "in-doubt"], more].concat()).await;
        let messages = found["messages"].as_array().expect("an array");
        assert_eq!(
            (messages.len(), &messages[0]["id"], &messages[0]["seq"]),
            (1, &json!(id), &json!(1))
        );
    }
    let other = world.business(1, 1).await.business_id.to_string();
    admin_json(&world, 0, &["list", "in-doubt", "--business", &other]).await;
    world.heal("aws").await;
    world.pass(121).await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation, id, "sent").await;
    for more in [&[][..], &in_it[..2], &in_it] {
        admin_json(&world, 0, &[&["list", "in-doubt"], more].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_whose_bells_are_lost_is_stuck() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation = business.conversation("email");
    for operation in ["SendMessage", "SendMessageBatch"] {
        world.fault("aws", json!({"operation": operation, "error": "InternalError"})).await;
    }
    let id = world.send(&business.api_key, conversation, "nobody rings").go().await.id();
    assert_eq!(
        admin_json(&world, 0, &["list", "stuck"]).await["stuck"],
        json!([]),
        "it is due, and not for long"
    );
    let of = business.business_id.to_string();
    for more in [&[][..], &["--business", &of]] {
        let stuck =
            admin_json(&world, 2, &[&["list", "stuck", "--minutes", "0"], more].concat()).await;
        let stuck = &stuck["stuck"][0];
        assert_eq!(
            (&stuck["conversation_id"], &stuck["waiting"]),
            (&json!(conversation), &json!(1))
        );
    }
    let other = world.business(1, 1).await.business_id.to_string();
    admin_json(&world, 0, &["list", "stuck", "--minutes", "0", "--business", &other]).await;
    world.heal("aws").await;
    world.pass(60).await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation, id, "sent").await;
    world
        .until("nothing is due", async || {
            (admin(&world, &["list", "stuck", "--minutes", "0"]).await.code == 0).then_some(())
        })
        .await;
}

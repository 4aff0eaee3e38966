//! A message's history, and the lists of what needs attention.

use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::json;

use crate::{admin, admin_json, text};
use tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_messages_history_is_shown_and_its_content_only_on_request() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let of = business.business_id.to_string();
    let conversation_id = business.conversation_id("email");

    world.fault("email", json!({"status": 429, "times": 1})).await;
    let id = world.send(&business.api_key, conversation_id, "a secret of ours").go().await.id();
    world.pass(60).await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation_id, id, "sent").await;

    let url = format!("{}/api/v1/conversations/{conversation_id}/messages/{id}", world.ready.api);
    let shown = admin_json(&world, 0, &["message", "show", "--business", &of, &url]).await;
    assert_eq!(
        (text(&shown, "status"), &shown["attempts"], &shown["seq"]),
        ("sent", &json!(2), &json!(1))
    );

    let outcomes = [&shown["history"][0]["outcome"], &shown["history"][1]["outcome"]];
    assert_eq!(outcomes, [&json!("postponed"), &json!("sent")]);
    assert!(shown.get("content").is_none() && shown.get("recipient").is_none(), "{shown}");

    let ids = [conversation_id.to_string(), id.to_string()];
    let args = ["message", "show", "--business", &of, &ids[0], &ids[1]];
    let table = admin(&world, &args).await;
    assert!(
        table.code == 0 && table.stdout.contains("postponed") && !table.stdout.contains("a secret"),
        "{}",
        table.stdout
    );

    let with_content =
        admin_json(&world, 0, &[args.as_slice(), &["--show-content"]].concat()).await;
    assert_eq!(text(&with_content, "content"), "a secret of ours");

    let other = world.business(1, 1).await.business_id.to_string();
    let foreign = admin(&world, &["message", "show", "--business", &other, &url]).await;
    assert!(
        foreign.code == 1 && foreign.stderr.contains("no such conversation"),
        "{}",
        foreign.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_messages_are_listed_with_their_reason() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let of = business.business_id.to_string();
    let conversation_id = business.conversation_id("whatsapp");
    assert_eq!(admin_json(&world, 0, &["list", "failed"]).await["messages"], json!([]));

    world.fault("whatsapp", json!({"code": 131_026, "times": 1})).await;
    let id = world.send(&business.api_key, conversation_id, "it never arrives").go().await.id();
    world.until_status(&business.api_key, conversation_id, id, "failed").await;

    let in_it = ["--business", &of, "--conversation", &conversation_id.to_string()];
    for more in [&[][..], &in_it[..2], &in_it] {
        let failed = admin_json(&world, 2, &[&["list", "failed"], more].concat()).await;
        let failed = &failed["messages"][0];
        assert_eq!(
            (&failed["message_id"], &failed["reason"]),
            (&json!(id), &json!("recipient_unreachable"))
        );
    }
    assert_eq!(admin_json(&world, 0, &["list", "in-doubt"]).await["messages"], json!([]));

    let later = (Utc::now() + TimeDelta::hours(1)).to_rfc3339_opts(SecondsFormat::Secs, true);
    for (more, count) in [
        (["--channel", "whatsapp", "--since", "1h"], 1),
        (["--channel", "email", "--since", "1h"], 0),
        (["--channel", "whatsapp", "--since", &later], 0),
    ] {
        let code = if count == 0 { 0 } else { 2 };
        let failed = admin_json(&world, code, &[&["list", "failed"], &more[..]].concat()).await;
        assert_eq!(failed["messages"].as_array().map(Vec::len), Some(count), "{more:?}");
    }
    let refused = admin(&world, &["list", "failed", "--since", "lately"]).await;
    assert!(
        refused.code == 1 && refused.stderr.contains("30m, 2h or 3d until now"),
        "{}",
        refused.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_listed_as_long_as_they_are_in_doubt() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let of = business.business_id.to_string();
    let conversation_id = business.conversation_id("whatsapp");

    world.fault("whatsapp", json!({"after_effect": true, "times": 1})).await;
    let id = world.send(&business.api_key, conversation_id, "the answer is lost").go().await.id();
    world.until_status(&business.api_key, conversation_id, id, "in_doubt").await;

    // It waits for a receipt, and later messages wait with it: the conversation is in the outbox,
    // and not due.
    world.send(&business.api_key, conversation_id, "it waits behind").go().await.id();
    assert_eq!(
        admin_json(&world, 0, &["list", "stuck", "--minutes", "0"]).await["stuck"],
        json!([])
    );

    let in_it = ["--business", &of, "--conversation", &conversation_id.to_string()];
    for more in [&[][..], &in_it[..2], &in_it] {
        // Only that of all businesses scans, and no more than the index.
        if !more.is_empty() {
            let fault = json!({
                "operation": "Scan", "error": "InternalServerError", "function": "*",
            });
            world.fault("aws", fault).await;
        }
        let found = admin_json(&world, 2, &[&["list", "in-doubt"], more].concat()).await;
        let messages = found["messages"].as_array().expect("an array");
        assert_eq!(
            (messages.len(), &messages[0]["message_id"], &messages[0]["seq"]),
            (1, &json!(id), &json!(1))
        );
    }
    let other = world.business(1, 1).await.business_id.to_string();
    admin_json(&world, 0, &["list", "in-doubt", "--business", &other]).await;

    world.heal("aws").await;
    world.pass(121).await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation_id, id, "sent").await;
    for more in [&[][..], &in_it[..2], &in_it] {
        admin_json(&world, 0, &[&["list", "in-doubt"], more].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_whose_doorbells_are_lost_is_stuck() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    for operation in ["SendMessage", "SendMessageBatch"] {
        world.fault("aws", json!({"operation": operation, "error": "InternalError"})).await;
    }
    let id = world.send(&business.api_key, conversation_id, "no doorbell rings").go().await.id();
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
            (&json!(conversation_id), &json!(1))
        );
    }
    let other = world.business(1, 1).await.business_id.to_string();
    admin_json(&world, 0, &["list", "stuck", "--minutes", "0", "--business", &other]).await;

    world.heal("aws").await;
    world.pass(60).await;
    world.sweep().await;

    world.until_status(&business.api_key, conversation_id, id, "sent").await;
    world
        .until("nothing is due", async || {
            (admin(&world, &["list", "stuck", "--minutes", "0"]).await.code == 0).then_some(())
        })
        .await;
}

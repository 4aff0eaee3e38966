//! A message is found by whatever a log line, a dead letter or a caller says of it.

use chrono::Utc;
use serde_json::{Value, json};

use crate::dead_letters::give_up_messages;
use crate::{admin, admin_json, text};
use domain::{BusinessId, ConversationId};
use platform::table::{CustomerDraft, CustomerMessageOutcome};
use tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_by_what_is_known_of_it() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email").to_string();
    let sent = world.send(&business.api_key, &conversation_id, "where is it?").go().await;
    let id = sent.id();
    let of_call = sent.header("apigw-requestid").expect("API Gateway's id").to_owned();
    world.until_status(&business.api_key, business.conversation_id("email"), id, "sent").await;

    let of_business = ["--business", &business.business_id.to_string()];
    let id = id.to_string();
    let by_address = ["message", "show", of_business[0], of_business[1], &conversation_id, &id];
    let shown = admin_json(&world, 0, &by_address).await;
    let of_provider = text(&shown, "provider_id").to_owned();
    assert_eq!(text(&shown, "correlation_id"), of_call);

    let lines = world.logged();
    let line = lines.iter().find(|line| line.text.contains(r#""message":"sent""#)).expect("a line");
    let tailed = format!("2026-11-29T02:22:42 {}", line.text);
    for name in [
        vec![line.text.as_str()],
        vec![&tailed],
        vec![&id],
        vec![&of_call],
        vec![&of_provider],
        vec![&conversation_id, "1"],
        vec![&conversation_id, &id],
        vec![of_business[0], of_business[1], &conversation_id, "1"],
    ] {
        let found = admin_json(&world, 0, &[&["message", "show"][..], &name].concat()).await;
        assert_eq!(found, shown, "{name:?}");
    }

    for name in [vec!["no-such-call"], vec![&conversation_id, "2"]] {
        let missing = admin(&world, &[&["message", "show"][..], &name].concat()).await;
        assert!(missing.code == 1 && missing.stderr.contains("no message has"), "{name:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customer_wrote_is_found_by_its_address_and_its_line() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    world.ledger().texts.push("may I ask you something?".to_owned());
    let draft = CustomerDraft {
        business_id: BusinessId(business.business_id),
        conversation_id: ConversationId(conversation_id),
        name: "wamid.1".into(),
        content: "may I ask you something?".into(),
        media: None,
        per_minute: None,
        keep_until: None,
        now: Utc::now(),
    };
    let stored = world.table().store_customer_message(&draft).await.expect("the table answers");
    let CustomerMessageOutcome::Stored(message) = stored else { panic!("{stored:?}") };

    let id = message.id.to_string();
    let of = business.business_id.to_string();
    let line = json!({ "message": "a customer wrote", "business": business.business_id,
        "conversation": conversation_id, "message_id": message.id });
    let (line, conversation_id) = (line.to_string(), conversation_id.to_string());
    let by_address = vec!["--business", &of, &conversation_id, &id];
    for name in [&by_address, &vec![line.as_str()]] {
        let shown = admin_json(&world, 0, &[&["message", "show"][..], name].concat()).await;
        assert_eq!((text(&shown, "message_id"), &shown["number"]), (id.as_str(), &json!(1)));
        assert!(shown.get("content").is_none(), "terminals keep what they print");
    }
    let whole = [&["message", "show", "--show-content"][..], &by_address].concat();
    let shown = admin_json(&world, 0, &whole).await;
    assert_eq!(text(&shown, "content"), "may I ask you something?");

    let alone = admin(&world, &["message", "show", &id]).await;
    assert!(alone.code == 1 && alone.stderr.contains("a customer wrote"), "{}", alone.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_resent_is_found_by_its_letter_and_both_by_their_call() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    give_up_messages(&world, &business, &["it is sent twice"]).await;

    let inspected = admin_json(&world, 2, &["dead-letters", "inspect"]).await;
    let inspected = &inspected["letters"][0];
    let letter = json!({
        "v": 1, "business": inspected["business_id"], "conversation": inspected["conversation_id"],
        "message": inspected["message_id"], "channel": "email",
        "reason": {"code": "expired", "detail": "", "provider_code": null}, "attempts": 1,
    });
    let shown = admin_json(&world, 0, &["message", "show", &letter.to_string()]).await;
    assert_eq!((&shown["message_id"], &shown["status"]), (&letter["message"], &json!("failed")));
    assert_eq!(shown["history"][0]["provider_code"], "TooManyRequestsException");

    let resend = ["dead-letters", "redrive", "--channel", "email", "--resend", "--yes"];
    admin_json(&world, 0, &resend).await;
    let of_call = text(&shown, "correlation_id");
    let both = admin_json(&world, 0, &["message", "show", of_call]).await;
    let seqs = both["messages"].as_array().expect("an array").iter();
    assert_eq!(seqs.map(|one| one["seq"].clone()).collect::<Vec<Value>>(), [json!(1), json!(2)]);
}

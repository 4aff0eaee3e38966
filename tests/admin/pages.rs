//! Reports over tables that DynamoDB answers page by page: here each page has one item.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{admin_json, text};
use domain::{Channel, ConversationId};
use platform::table::key;
use tests::World;

/// Returns a member of each entry of a list.
fn all<'a>(report: &'a Value, list: &str, member: &str) -> BTreeSet<&'a str> {
    let entries = report[list].as_array().expect("an array").iter();
    entries.map(|entry| text(entry, member)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_read_every_page() {
    let world = World::start().await;
    let business = world.business(100, 4).await;
    let of = business.business_id.to_string();
    let conversation_id = business.conversation_id("whatsapp");

    world.fault("whatsapp", json!({ "code": 131_026, "times": 3 })).await;
    let mut failed = BTreeSet::new();
    for number in 0..3 {
        let text = format!("it fails, {number}");
        let id = world.send(&business.api_key, conversation_id, &text).go().await.id();
        world.until_status(&business.api_key, conversation_id, id, "failed").await;
        failed.insert(id.to_string());
    }

    // Two conversations in one of the outbox's sixteen buckets.
    for operation in ["SendMessage", "SendMessageBatch"] {
        world.fault("aws", json!({ "operation": operation, "error": "InternalError" })).await;
    }
    let bucket = |id: &Uuid| key::outbox_bucket(Channel::Email, ConversationId(*id));
    let mut stuck: Vec<Uuid> = Vec::new();
    let mut is_shared = false;
    while !is_shared {
        let id = world.another_conversation(&business, "email").await;
        world.send(&business.api_key, id, "no doorbell rings").go().await.id();
        is_shared = stuck.iter().any(|other| bucket(other) == bucket(&id));
        stuck.push(id);
    }
    let sent = 3 + stuck.len();

    let agent = admin_json(&world, 0, &["create", "agent", "--business", &of]).await;
    let agent = text(&agent, "agent_id");
    for _ in 0..2 {
        let create = ["create", "api-key", "--business", &of, "--agent", agent];
        admin_json(&world, 0, &create).await;
    }

    for operation in ["Query", "Scan", "BatchGetItem"] {
        let partial = json!({ "operation": operation, "error": "partial", "function": "*" });
        world.fault("aws", partial).await;
    }

    for args in [vec!["audit"], vec!["audit", "--business", &of]] {
        let audit = admin_json(&world, 0, &args).await;
        let account = &audit["accounts"][0];
        let counts = [&account["message_count"], &account["used"], &account["used_before"]];
        assert_eq!(counts, [&json!(sent); 3], "{args:?}");
    }

    let in_it = ["--business", &of, "--conversation", &conversation_id.to_string()];
    for more in [&[][..], &in_it[..2], &in_it] {
        let list = admin_json(&world, 2, &[&["list", "failed"], more].concat()).await;
        let expected: BTreeSet<&str> = failed.iter().map(String::as_str).collect();
        assert_eq!(all(&list, "messages", "message_id"), expected, "{more:?}");
    }

    let list = admin_json(&world, 2, &["list", "stuck", "--minutes", "0"]).await;
    let stuck: BTreeSet<String> = stuck.iter().map(Uuid::to_string).collect();
    let found = all(&list, "stuck", "conversation_id");
    assert_eq!(found, stuck.iter().map(String::as_str).collect());

    let revoke = ["revoke", "agent", "--business", &of, agent, "--yes"];
    let revoked = admin_json(&world, 0, &revoke).await;
    assert_eq!(revoked["api_key_ids"].as_array().map(Vec::len), Some(2));

    world.heal("aws").await;
    world.pass(61).await;
    world.sweep().await;
}

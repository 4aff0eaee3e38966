//! The keys that sign tokens, rotated as OPERATIONS.md says, with tokens in use at each step.

use chrono::{TimeDelta, Utc};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{admin, admin_json, text};
use domain::{AgentId, BusinessId};
use platform::credential::SigningKeys;
use tests::{SECRET_TTL_SECONDS, World};

/// Longer than a new key of receipts waits before it signs.
const UNTIL_SIGNING_SECONDS: i64 = 361;

/// Returns a token of the demo's agent that the first key has signed, as PingBack's login does.
async fn log_in(world: &World) -> String {
    let demo = world.ready.demo.clone().expect("the demo");
    let keys: SigningKeys = serde_json::from_value(world.secret("AgentKeys").await).expect("keys");
    let agent_id = AgentId(demo.agent_id);
    let now = Utc::now();
    let token = keys.keys[0].sign_agent(
        BusinessId(demo.business_id),
        agent_id,
        now,
        now + TimeDelta::hours(1),
    );
    token.expect("signed")
}

async fn status(world: &World, token: &str) -> u16 {
    world.get(token, "/api/v1/usage").await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_keys_rotate_while_tokens_of_both_are_in_use() {
    let world = World::start().await;
    let old = log_in(&world).await;
    let before = admin_json(&world, 0, &["keys", "show", "agents"]).await;
    assert_eq!(before["signing_keys"].as_array().map(Vec::len), Some(1));
    let nothing = admin(&world, &["keys", "retire", "agents", "--yes"]).await;
    assert!(nothing.code == 1 && nothing.stderr.contains("keys add"), "{}", nothing.stderr);

    let added = admin_json(&world, 0, &["keys", "add", "agents"]).await;
    let states = [&added["signing_keys"][0]["state"], &added["signing_keys"][1]["state"]];
    assert_eq!(states, [&json!("signs"), &json!("accepted")]);
    assert_eq!(added["signing_keys"][1]["kid"], before["signing_keys"][0]["kid"]);
    world.pass(SECRET_TTL_SECONDS).await;
    let new = log_in(&world).await;
    assert_eq!([status(&world, &old).await, status(&world, &new).await], [200, 200]);

    let third = admin(&world, &["keys", "add", "agents"]).await;
    assert!(third.code == 1 && third.stderr.contains("keys retire"), "{}", third.stderr);
    let unconfirmed = admin(&world, &["keys", "retire", "agents"]).await;
    let old_kid = text(&before["signing_keys"][0], "kid");
    let consequence =
        format!("Tokens that the key {old_kid} has signed are refused within five minutes.");
    assert!(unconfirmed.stderr.contains(&consequence), "{}", unconfirmed.stderr);
    assert_eq!(unconfirmed.code, 3, "not confirmed");
    assert_eq!(status(&world, &old).await, 200, "nothing was done");

    let retired = admin_json(&world, 0, &["keys", "retire", "agents", "--yes"]).await;
    assert_eq!(retired["signing_keys"], json!([added["signing_keys"][0]]));
    world.pass(SECRET_TTL_SECONDS).await;
    assert_eq!([status(&world, &old).await, status(&world, &new).await], [401, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_receipts_signs_once_every_function_knows_it_and_only_then_the_old_one_ends() {
    let world = World::start().await;
    let states = |keys: &Value| {
        let keys = keys["signing_keys"].as_array().expect("keys").iter();
        keys.map(|key| key["state"].as_str().expect("a state").to_owned()).collect::<Vec<_>>()
    };

    let added = admin_json(&world, 0, &["keys", "add", "receipts"]).await;
    assert_eq!(states(&added), ["accepted", "signs"]);
    let early = admin(&world, &["keys", "retire", "receipts", "--yes"]).await;
    assert!(early.code == 1 && early.stderr.contains("signs until"), "{}", early.stderr);

    world.pass(UNTIL_SIGNING_SECONDS).await;
    let shown = admin_json(&world, 0, &["keys", "show", "receipts"]).await;
    assert_eq!(states(&shown), ["signs", "accepted"]);
    assert_eq!(shown["signing_keys"][0]["kid"], added["signing_keys"][0]["kid"]);

    let unconfirmed = admin(&world, &["keys", "retire", "receipts"]).await;
    let old_kid = text(&shown["signing_keys"][1], "kid");
    let consequence =
        format!("Receipts that the key {old_kid} has signed are ignored within five minutes.");
    assert!(unconfirmed.stderr.contains(&consequence), "{}", unconfirmed.stderr);

    let retired = admin_json(&world, 0, &["keys", "retire", "receipts", "--yes"]).await;
    assert_eq!(retired["signing_keys"], json!([shown["signing_keys"][0]]));
    assert_eq!(world.secret("ReceiptKeys").await["signs_from"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_keys_rotate_and_the_smoke_test_passes_at_each_step() {
    let world = World::start().await;
    world.allow(|allowed| {
        allowed.unheard = true;
        allowed.elsewhere = true;
    });

    for step in [vec!["add", "visitors"], vec!["retire", "visitors", "--yes"]] {
        let table = admin(&world, &[&["keys"][..], &step].concat()).await;
        assert_eq!(table.code, 0, "{}", table.stderr);
        world.pass(SECRET_TTL_SECONDS).await;
        let keys: SigningKeys =
            serde_json::from_value(world.secret("VisitorKeys").await).expect("keys");
        assert!(
            keys.keys.iter().all(|key| !table.stdout.contains(key.secret.expose_secret())),
            "a key is shown"
        );
        admin_json(&world, 0, &["smoke"]).await;
    }
}

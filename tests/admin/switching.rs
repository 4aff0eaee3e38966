//! Plans, credentials and channels, changed while somebody uses them.

use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{admin, admin_json, text};
use domain::{BusinessId, ConversationId};
use tests::{Business, World};

/// Within this long what waits on a channel that is resumed goes out, in seconds.
const SOON: i64 = 5 * 60;

/// Switches the channel of a business's conversation.
async fn switch(world: &World, business: &Business, conversation: Uuid, how: &[&str]) {
    let (of, id) = (BusinessId(business.business_id), ConversationId(conversation));
    let item = world.table().conversation(of, id).await.expect("an answer").expect("it is there");
    let (of, channel) = (of.to_string(), item.channel_id.to_string());
    let words = [&["channel", how[0], "--business", &of, &channel], &how[1..]].concat();
    admin_json(world, 0, &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_while_sends_go_on() {
    let world = World::start().await;
    let business = world.business(40, 2).await;
    let id = business.business_id.to_string();
    let conversation = business.conversation("chat");
    let sends = async {
        for number in 0..20 {
            let sent =
                world.send(&business.api_key, conversation, &format!("number {number}")).go().await;
            assert_eq!(sent.status.as_u16(), 201, "{}", sent.text);
        }
    };
    let change = async {
        admin_json(&world, 0, &["plan", "change", "--business", &id, "--limit", "90"]).await
    };
    let named =
        ["plan", "change", "--business", &id, "--limit", "80", "--plan", "pro", "--shards", "4"];
    admin_json(&world, 0, &named).await;
    let ((), changed) = tokio::join!(sends, change);
    assert_eq!(
        (&changed["limit"], &changed["in_force"], &changed["version"]),
        (&json!(90), &json!(90), &json!(3))
    );
    assert_eq!(
        (&changed["plan"], &changed["shards"]),
        (&json!("pro"), &json!(4)),
        "what is not given stays"
    );
    assert_eq!(world.usage(&business.api_key).await, (20, 90));
    let shown = admin_json(&world, 0, &["plan", "show", "--business", &id]).await;
    assert_eq!((&shown["used"], &shown["remaining"]), (&json!(20), &json!(70)));
    admin_json(&world, 0, &["audit", "--business", &id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_below_what_is_used_is_asked_about() {
    let world = World::start().await;
    let business = world.business(5, 1).await;
    let (id, conversation) = (business.business_id.to_string(), business.conversation("email"));
    for text in ["one", "two"] {
        world.send(&business.api_key, conversation, text).go().await.id();
    }
    let words = ["plan", "change", "--business", &id, "--limit", "1"];
    let asked = admin(&world, &words).await;
    assert!(
        asked.code == 3 && asked.complaint.contains("2 messages are used"),
        "{}",
        asked.complaint
    );
    assert_eq!(world.usage(&business.api_key).await, (2, 5), "nothing was done");
    let done = admin_json(&world, 0, &[words.as_slice(), &["--yes"]].concat()).await;
    assert_eq!(
        (&done["limit"], &done["in_force"], &done["remaining"]),
        (&json!(1), &json!(2), &json!(0))
    );
    let refused = world.send(&business.api_key, conversation, "three").go().await;
    assert_eq!(refused.problem(), (403, "quota_exceeded".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_refused_at_once() {
    let world = World::start().await;
    let made = admin_json(&world, 0, &["first-steps"]).await;
    let (of, key, id) =
        (text(&made, "business_id"), text(&made, "api_key"), text(&made, "api_key_id"));
    let revoke = ["revoke", "api-key", "--business", of, id];
    assert_eq!(admin(&world, &revoke).await.code, 3);
    world.usage(key).await;
    admin_json(&world, 0, &[revoke.as_slice(), &["--yes"]].concat()).await;
    assert_eq!(world.get(key, "/api/v1/usage").await.status.as_u16(), 401);
    let unknown =
        admin(&world, &["revoke", "api-key", "--business", of, &"0".repeat(64), "--yes"]).await;
    assert!(
        unknown.code == 1 && unknown.complaint.contains("no such API key"),
        "{}",
        unknown.complaint
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_revoked_with_every_api_key_in_their_name() {
    let world = World::start().await;
    let made = admin_json(&world, 0, &["first-steps"]).await;
    let (of, agent) = (["--business", text(&made, "business_id")], text(&made, "agent_id"));
    let create = ["create", "api-key", of[0], of[1]];
    let second = admin_json(&world, 0, &[&create[..], &["--agent", agent]].concat()).await;
    let colleague = admin_json(&world, 0, &["create", "agent", of[0], of[1]]).await;
    let others =
        admin_json(&world, 0, &[&create[..], &["--agent", text(&colleague, "agent_id")]].concat())
            .await;
    let nobodys = admin_json(&world, 0, &create).await;

    let revoke = ["revoke", "agent", of[0], of[1], agent];
    let asked = admin(&world, &revoke).await;
    assert!(
        asked.code == 3 && asked.complaint.contains("and 2 API keys in their name"),
        "{}",
        asked.complaint
    );
    world.usage(text(&made, "api_key")).await;
    let revoked = admin_json(&world, 0, &[&revoke[..], &["--yes"]].concat()).await;
    let mut ids = [text(&made, "api_key_id"), text(&second, "id")];
    ids.sort_unstable();
    assert_eq!(revoked, json!({"revoked": agent, "api_keys": ids}));
    for key in [&made, &second] {
        assert_eq!(world.get(text(key, "api_key"), "/api/v1/usage").await.status.as_u16(), 401);
    }
    for key in [&others, &nobodys] {
        world.usage(text(key, "api_key")).await;
    }
    for gone in [agent, &uuid::Uuid::new_v4().to_string()] {
        let refused = admin(&world, &[&create[..], &["--agent", gone]].concat()).await;
        assert!(
            refused.code == 1 && refused.complaint.contains("no such agent, or they are revoked")
        );
    }

    let demo = world.ready.demo.clone().expect("the demo");
    let (of, agent) = (demo.business_id.to_string(), demo.agent_id.to_string());
    world.usage(&demo.token).await;
    let revoked =
        admin_json(&world, 0, &["revoke", "agent", "--business", &of, &agent, "--yes"]).await;
    assert_eq!(revoked, json!({"revoked": agent, "api_keys": []}));
    assert_eq!(world.get(&demo.token, "/api/v1/usage").await.status.as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_ended_in_the_middle_is_brought_to_its_end() {
    let world = World::start().await;
    let made = admin_json(&world, 0, &["first-steps"]).await;
    let (of, agent, key) =
        (text(&made, "business_id"), text(&made, "agent_id"), text(&made, "api_key"));
    // The agent's record is written, the key's is not.
    let fault = json!({"operation": "UpdateItem", "error": "AccessDeniedException", "function": "*", "about": "KEY#"});
    world.fault("aws", fault).await;
    let revoke = ["revoke", "agent", "--business", of, agent, "--yes"];
    assert_eq!(admin(&world, &revoke).await.code, 1);
    world.heal("aws").await;
    world.usage(key).await;
    let create = ["create", "api-key", "--business", of, "--agent", agent];
    assert_eq!(
        admin(&world, &create).await.code,
        1,
        "none comes after those that the next run finds"
    );
    assert_eq!(
        admin_json(&world, 0, &revoke).await["api_keys"],
        json!([text(&made, "api_key_id")])
    );
    assert_eq!(world.get(key, "/api/v1/usage").await.status.as_u16(), 401);
    assert_eq!(admin_json(&world, 0, &revoke).await["api_keys"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_takes_no_messages_while_it_is_off_and_holds_them_while_it_is_paused() {
    let world = World::start().await;
    let made = admin_json(&world, 0, &["first-steps"]).await;
    let (of, channel) = (text(&made, "business_id"), text(&made, "channel_id"));
    let (business, id) = (of.parse().expect("an id"), channel.parse().expect("an id"));
    let record = async || {
        world.table().channel(business, id).await.expect("an answer").expect("it is there")
    };
    let switch = async |word, yes: &[&str]| {
        admin_json(&world, 0, &[&["channel", word, "--business", of, channel], yes].concat()).await
    };
    assert_eq!(admin(&world, &["channel", "deactivate", "--business", of, channel]).await.code, 3);
    switch("deactivate", &["--yes"]).await;
    assert!(!record().await.is_active);
    let refused = world
        .send(text(&made, "api_key"), text(&made, "conversation_id"), "Anybody there?")
        .go()
        .await;
    assert_eq!(refused.problem(), (422, "channel_inactive".into()));
    switch("activate", &[]).await;
    let paused = switch("pause", &["--minutes", "5"]).await;
    assert!(
        record().await.is_active
            && record().await.paused_until.is_some()
            && paused["paused_until"].is_string()
    );
    switch("resume", &[]).await;
    assert_eq!(record().await.paused_until, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_on_a_paused_channel_goes_out_soon_after_it_is_resumed() {
    for channel in ["chat", "whatsapp", "email"] {
        let world = World::start().await;
        let business = world.business(10, 1).await;
        let conversation = business.conversation(channel);
        let waits = async |passed| {
            let (of, id) = (BusinessId(business.business_id), ConversationId(conversation));
            let later = async || {
                let item = world.table().conversation(of, id).await.expect("an answer")?;
                let now = Utc::now() + TimeDelta::seconds(passed);
                (item.lease_owner.is_none() && item.not_before? > now).then_some(())
            };
            world.until("it waits", later).await;
        };
        switch(&world, &business, conversation, &["pause", "--minutes", "1440"]).await;
        let texts = ["it waits for its channel", "and this one for it"].map(str::to_owned);
        let mut ids = Vec::new();
        for text in &texts {
            ids.push(world.send(&business.api_key, conversation, text).go().await.id());
        }
        waits(0).await;
        // It looks again, and goes on waiting.
        world.pass(SOON).await;
        world.sweep().await;
        waits(SOON).await;
        for id in &ids {
            let delivery = world.delivery(&business.api_key, conversation, *id).await;
            assert_eq!(
                (&delivery["status"], &delivery["attempts"]),
                (&json!("queued"), &json!(0)),
                "{channel}"
            );
        }
        switch(&world, &business, conversation, &["resume"]).await;
        world.pass(SOON).await;
        world.sweep().await;
        world.until_received(channel, conversation, &texts).await;
        for id in &ids {
            let delivery = world.delivery(&business.api_key, conversation, *id).await;
            assert_eq!(
                (&delivery["attempts"], &delivery["error"]),
                (&json!(1), &Value::Null),
                "{channel}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_before_a_channel_was_switched_off_goes_out_all_the_same() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let texts = ["accepted in time".to_owned()];
    let channels =
        ["chat", "whatsapp", "email"].map(|channel| (channel, business.conversation(channel)));
    world.sandbox(Method::PUT, "/queues/held", json!({"held": true})).await;
    let mut ids = Vec::new();
    for (_, conversation) in channels {
        ids.push(world.send(&business.api_key, conversation, &texts[0]).go().await.id());
        switch(&world, &business, conversation, &["deactivate", "--yes"]).await;
    }
    world.sandbox(Method::PUT, "/queues/held", json!({"held": false})).await;
    for ((channel, conversation), id) in channels.into_iter().zip(ids) {
        world.until_received(channel, conversation, &texts).await;
        let delivery = world.delivery(&business.api_key, conversation, id).await;
        assert_eq!(delivery["attempts"], 1, "{channel}");
    }
    // Every function has seen it by now.
    world.pass(30).await;
    for (channel, conversation) in channels {
        let refused = world.send(&business.api_key, conversation, "too late").go().await;
        assert_eq!(refused.problem(), (422, "channel_inactive".into()), "{channel}");
    }
}

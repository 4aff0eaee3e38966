//! Plans, credentials and channels, changed while they are in use.

use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{admin, admin_json, admin_with_input, text};
use domain::{BusinessId, ConversationId};
use tests::{Business, World};

/// Within this many seconds after a resume, a channel's waiting messages go out.
const RESUME_SECONDS: i64 = 5 * 60;

/// Switches the channel of a business's conversation, by a subcommand and its flags.
pub(crate) async fn switch(
    world: &World,
    business: &Business,
    conversation_id: Uuid,
    subcommand: &[&str],
) {
    let business_id = BusinessId(business.business_id);
    let record = world.table().conversation(business_id, ConversationId(conversation_id)).await;
    let record = record.expect("an answer").expect("it is there");

    let of = business_id.to_string();
    let channel = record.channel_id.to_string();
    let args =
        [&["channel", subcommand[0], "--business", &of, &channel], &subcommand[1..]].concat();
    admin_json(world, 0, &args).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_while_sends_go_on() {
    let world = World::start().await;
    let business = world.business(40, 2).await;
    let id = business.business_id.to_string();
    let conversation_id = business.conversation_id("chat");

    let sends = async {
        for number in 0..20 {
            let sent = world
                .send(&business.api_key, conversation_id, &format!("number {number}"))
                .go()
                .await;
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
async fn a_limit_below_the_used_number_has_to_be_confirmed() {
    let world = World::start().await;
    let business = world.business(5, 1).await;
    let id = business.business_id.to_string();
    let conversation_id = business.conversation_id("email");
    for text in ["one", "two"] {
        world.send(&business.api_key, conversation_id, text).go().await.id();
    }

    let args = ["plan", "change", "--business", &id, "--limit", "1"];
    let asked = admin(&world, &args).await;
    assert!(asked.code == 3 && asked.stderr.contains("2 messages are used"), "{}", asked.stderr);
    assert_eq!(world.usage(&business.api_key).await, (2, 5), "nothing was done");

    let done = admin_json(&world, 0, &[args.as_slice(), &["--yes"]].concat()).await;
    assert_eq!(
        (&done["limit"], &done["in_force"], &done["remaining"]),
        (&json!(1), &json!(2), &json!(0))
    );
    let refused = world.send(&business.api_key, conversation_id, "three").go().await;
    assert_eq!(refused.problem(), (403, "quota_exceeded".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_api_key_is_refused_at_once() {
    let world = World::start().await;
    let made = admin_json(&world, 0, &["first-steps"]).await;
    let of = text(&made, "business_id");
    let key = text(&made, "api_key");
    let id = text(&made, "api_key_id");

    let revoke = ["revoke", "api-key", "--business", of, id];
    assert_eq!(admin(&world, &revoke).await.code, 3);
    world.usage(key).await;
    admin_json(&world, 0, &[revoke.as_slice(), &["--yes"]].concat()).await;
    assert_eq!(world.get(key, "/api/v1/usage").await.status.as_u16(), 401);

    let unknown =
        admin(&world, &["revoke", "api-key", "--business", of, &"0".repeat(64), "--yes"]).await;
    assert!(unknown.code == 1 && unknown.stderr.contains("no such API key"), "{}", unknown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_on_standard_input_is_revoked_if_the_business_owns_it() {
    let world = World::start().await;
    let business = world.business(1, 1).await;
    let other = world.business(1, 1).await;
    let of = business.business_id.to_string();
    let revoke = ["revoke", "api-key", "--business", &of, "-", "--yes"];

    for (input, complaint) in [
        (format!("{}\n", other.api_key), "--business: the key is another business's"),
        (business.api_key[..40].to_owned(), "standard input: this is no API key"),
        (String::new(), "standard input: this is no API key"),
    ] {
        let refused = admin_with_input(&world, &revoke, &input).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{complaint}");
        assert!(refused.stderr.contains(complaint), "{}", refused.stderr);
        assert!(!refused.stderr.contains(&business.api_key[37..40]), "{}", refused.stderr);
        for key in [&business.api_key, &other.api_key] {
            world.usage(key).await;
        }
    }

    let revoked = admin_with_input(&world, &revoke, &format!(" {}\n", business.api_key)).await;
    assert_eq!(revoked.code, 0, "{}", revoked.stderr);
    assert!(!revoked.stdout.contains(&business.api_key[37..]), "{}", revoked.stdout);
    let status = async |key: &str| world.get(key, "/api/v1/usage").await.status.as_u16();
    assert_eq!([status(&business.api_key).await, status(&other.api_key).await], [401, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_revoked_with_every_api_key_in_their_name() {
    let world = World::start().await;
    let made = admin_json(&world, 0, &["first-steps"]).await;
    let of = ["--business", text(&made, "business_id")];
    let agent = text(&made, "agent_id");

    let create = ["create", "api-key", of[0], of[1]];
    let second = admin_json(&world, 0, &[&create[..], &["--agent", agent]].concat()).await;
    let colleague = admin_json(&world, 0, &["create", "agent", of[0], of[1]]).await;
    let others =
        admin_json(&world, 0, &[&create[..], &["--agent", text(&colleague, "agent_id")]].concat())
            .await;
    let without_agent = admin_json(&world, 0, &create).await;

    let revoke = ["revoke", "agent", of[0], of[1], agent];
    let asked = admin(&world, &revoke).await;
    assert!(
        asked.code == 3 && asked.stderr.contains("and 2 API keys in their name"),
        "{}",
        asked.stderr
    );
    world.usage(text(&made, "api_key")).await;
    let revoked = admin_json(&world, 0, &[&revoke[..], &["--yes"]].concat()).await;
    let mut ids = [text(&made, "api_key_id"), text(&second, "api_key_id")];
    ids.sort_unstable();
    assert_eq!(revoked, json!({"agent_id": agent, "revoked": true, "api_key_ids": ids}));

    for key in [&made, &second] {
        assert_eq!(world.get(text(key, "api_key"), "/api/v1/usage").await.status.as_u16(), 401);
    }
    for key in [&others, &without_agent] {
        world.usage(text(key, "api_key")).await;
    }

    for gone in [agent, &uuid::Uuid::new_v4().to_string()] {
        let refused = admin(&world, &[&create[..], &["--agent", gone]].concat()).await;
        assert!(refused.code == 1 && refused.stderr.contains("no such agent, or they are revoked"));
    }

    let demo = world.ready.demo.clone().expect("the demo");
    let of = demo.business_id.to_string();
    let agent = demo.agent_id.to_string();
    world.usage(&demo.token).await;
    let revoked =
        admin_json(&world, 0, &["revoke", "agent", "--business", &of, &agent, "--yes"]).await;
    assert_eq!(revoked, json!({"agent_id": agent, "revoked": true, "api_key_ids": []}));
    assert_eq!(world.get(&demo.token, "/api/v1/usage").await.status.as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_an_interrupted_revocation_completes_it() {
    let world = World::start().await;
    let made = admin_json(&world, 0, &["first-steps"]).await;
    let of = text(&made, "business_id");
    let agent = text(&made, "agent_id");
    let key = text(&made, "api_key");

    // The agent's record is written, the key's is not.
    let fault = json!({
        "operation": "UpdateItem", "error": "AccessDeniedException", "function": "*",
        "about": "KEY#",
    });
    world.fault("aws", fault).await;
    let revoke = ["revoke", "agent", "--business", of, agent, "--yes"];
    assert_eq!(admin(&world, &revoke).await.code, 1);

    world.heal("aws").await;
    world.usage(key).await;
    let create = ["create", "api-key", "--business", of, "--agent", agent];
    assert_eq!(admin(&world, &create).await.code, 1, "a revoked agent gets no new key");
    assert_eq!(
        admin_json(&world, 0, &revoke).await["api_key_ids"],
        json!([text(&made, "api_key_id")])
    );
    assert_eq!(world.get(key, "/api/v1/usage").await.status.as_u16(), 401);
    assert_eq!(admin_json(&world, 0, &revoke).await["api_key_ids"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_channel_refuses_messages_and_a_paused_one_holds_them() {
    let world = World::start().await;
    let made = admin_json(&world, 0, &["first-steps"]).await;
    let of = text(&made, "business_id");
    let channel = text(&made, "channel_id");
    let business_id = of.parse().expect("an id");
    let channel_id = channel.parse().expect("an id");

    let record = async || {
        world
            .table()
            .channel(business_id, channel_id)
            .await
            .expect("an answer")
            .expect("it is there")
    };
    let switch = async |subcommand, flags: &[&str]| {
        admin_json(
            &world,
            0,
            &[&["channel", subcommand, "--business", of, channel], flags].concat(),
        )
        .await
    };

    assert_eq!(admin(&world, &["channel", "deactivate", "--business", of, channel]).await.code, 3);
    switch("deactivate", &["--yes"]).await;
    assert!(!record().await.is_active);
    let refused = world
        .send(text(&made, "api_key"), text(&made, "conversation_id"), "Are you there?")
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
async fn messages_on_a_paused_channel_go_out_soon_after_it_is_resumed() {
    for channel in ["chat", "whatsapp", "email"] {
        let world = World::start().await;
        let business = world.business(10, 1).await;
        let conversation_id = business.conversation_id(channel);
        let waits = async |passed| {
            let business_id = BusinessId(business.business_id);
            let conversation_id = ConversationId(conversation_id);
            let later = async || {
                let record = world.table().conversation(business_id, conversation_id).await;
                let record = record.expect("an answer")?;
                let now = Utc::now() + TimeDelta::seconds(passed);
                (record.lease_owner.is_none() && record.not_before? > now).then_some(())
            };
            world.until("it waits", later).await;
        };

        switch(&world, &business, conversation_id, &["pause", "--minutes", "1440"]).await;
        let texts = ["it waits for its channel", "and this one for it"].map(str::to_owned);
        let mut ids = Vec::new();
        for text in &texts {
            ids.push(world.send(&business.api_key, conversation_id, text).go().await.id());
        }
        waits(0).await;

        // A worker looks again, and the messages go on waiting.
        world.pass(RESUME_SECONDS).await;
        world.sweep().await;
        waits(RESUME_SECONDS).await;

        for id in &ids {
            let delivery = world.delivery(&business.api_key, conversation_id, *id).await;
            assert_eq!(
                (&delivery["status"], &delivery["attempts"]),
                (&json!("queued"), &json!(0)),
                "{channel}"
            );
        }

        switch(&world, &business, conversation_id, &["resume"]).await;
        world.pass(RESUME_SECONDS).await;
        world.sweep().await;
        world.until_received(channel, conversation_id, &texts).await;

        for id in &ids {
            let delivery = world.delivery(&business.api_key, conversation_id, *id).await;
            assert_eq!(
                (&delivery["attempts"], &delivery["error"]),
                (&json!(1), &Value::Null),
                "{channel}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_accepted_before_a_channel_is_deactivated_are_still_sent() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let texts = ["accepted in time".to_owned()];
    let channels =
        ["chat", "whatsapp", "email"].map(|channel| (channel, business.conversation_id(channel)));

    world.sandbox(Method::PUT, "/queues/held", json!({"held": true})).await;
    let mut ids = Vec::new();
    for (_, conversation_id) in channels {
        ids.push(world.send(&business.api_key, conversation_id, &texts[0]).go().await.id());
        switch(&world, &business, conversation_id, &["deactivate", "--yes"]).await;
    }
    world.sandbox(Method::PUT, "/queues/held", json!({"held": false})).await;

    for ((channel, conversation_id), id) in channels.into_iter().zip(ids) {
        world.until_received(channel, conversation_id, &texts).await;
        let delivery = world.delivery(&business.api_key, conversation_id, id).await;
        assert_eq!(delivery["attempts"], 1, "{channel}");
    }

    // By now every function has read that the channel is inactive.
    world.pass(30).await;
    for (channel, conversation_id) in channels {
        let refused = world.send(&business.api_key, conversation_id, "too late").go().await;
        assert_eq!(refused.problem(), (422, "channel_inactive".into()), "{channel}");
    }
}

//! Creating records, and using them.

use serde_json::json;

use crate::{admin, admin_json, text};
use tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_needs_one_command_to_send_the_first_message() {
    let world = World::start().await;
    world.allow(|allowed| allowed.waiting = true); // no browser has the conversation's page open
    let made = admin_json(&world, 0, &["first-steps"]).await;

    assert_eq!(text(&made, "api"), world.ready.api);

    let key = text(&made, "api_key");
    let conversation_id = text(&made, "conversation_id");
    let sent = world.send(key, conversation_id, "The first message.").go().await;
    assert_eq!((sent.status.as_u16(), &sent.json()["sender_id"]), (201, &made["agent_id"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_created_one_by_one_can_be_used() {
    let world = World::start().await;
    let business =
        admin_json(&world, 0, &["create", "business", "--plan", "pro", "--limit", "50"]).await;
    let of = ["--business", text(&business, "business_id")];

    let agent = admin_json(&world, 0, &["create", "agent", of[0], of[1]]).await;
    let agent = ["--agent", text(&agent, "agent_id")];
    let key = admin_json(&world, 0, &["create", "api-key", of[0], of[1], agent[0], agent[1]]).await;

    let secret = "pingback/whatsapp/sandbox";
    for (settings, recipient) in [
        (vec!["--channel", "chat"], "a-visitor"),
        (
            vec![
                "--channel",
                "whatsapp",
                "--phone-number-id",
                "106540352242922",
                "--secret",
                secret,
            ],
            "+16505551234",
        ),
        (vec!["--channel", "email", "--from", "Shop <shop@example.com>"], "anna@example.com"),
    ] {
        let args = [vec!["create", "channel", of[0], of[1]], settings].concat();
        let channel = admin_json(&world, 0, &args).await;

        let channel = text(&channel, "channel_id");
        let create =
            ["create", "conversation", of[0], of[1], "--channel-id", channel, "--recipient"];
        let nonsense = admin(&world, &[&create[..], &["no\none"]].concat()).await;
        assert!(nonsense.stderr.contains("--recipient: not a"), "{}", nonsense.stderr);

        let conversation = admin_json(&world, 0, &[&create[..], &[recipient]].concat()).await;

        if recipient.starts_with('+') {
            let wrote = json!({"from": recipient, "text": "Where is it?"});
            world.sandbox(reqwest::Method::POST, "/whatsapp/customers", wrote).await;
        }

        let sent = world
            .send(text(&key, "api_key"), text(&conversation, "conversation_id"), "Hello.")
            .go()
            .await;
        assert_eq!(sent.status.as_u16(), 201, "{}", sent.text);
    }

    assert_eq!(world.usage(text(&key, "api_key")).await, (3, 50));
    world.allow(|allowed| allowed.waiting = true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whatsapp_channel_with_a_template_can_send_the_first_message() {
    let world = World::start().await;
    let made = admin_json(&world, 0, &["first-steps"]).await;
    let of = ["--business", text(&made, "business_id")];
    let whatsapp = ["--channel", "whatsapp", "--phone-number-id", "106540352242922", "--secret"];
    let template = [
        "pingback/whatsapp/sandbox",
        "--template",
        "agent_answers",
        "--template-language",
        "en_US",
    ];
    let args =
        [vec!["create", "channel"], of.to_vec(), whatsapp.to_vec(), template.to_vec()].concat();

    let channel = admin_json(&world, 0, &args).await;

    let args = [
        "create",
        "conversation",
        of[0],
        of[1],
        "--channel-id",
        text(&channel, "channel_id"),
        "--recipient",
        "+16505551235",
    ];
    let conversation = admin_json(&world, 0, &args).await;
    let conversation_id = text(&conversation, "conversation_id");

    let sent = world.send(text(&made, "api_key"), conversation_id, "We have found it.").go().await;
    assert_eq!(sent.status.as_u16(), 201, "{}", sent.text);

    world
        .until_received(
            "whatsapp",
            conversation_id.parse().expect("an id"),
            &["We have found it.".to_owned()],
        )
        .await;

    let path = format!("/whatsapp/messages?conversation_id={conversation_id}");
    let arrived = world.sandbox(reqwest::Method::GET, &path, json!(null)).await;
    assert_eq!(arrived[0]["template"]["name"], "agent_answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_output_is_a_table_and_the_call_that_sends() {
    let world = World::start().await;
    let result = admin(&world, &["first-steps", "--limit", "7"]).await;
    assert_eq!((result.code, result.stderr.as_str()), (0, ""));
    assert!(result.stdout.contains("start: 7 messages a month"), "{}", result.stdout);
    assert!(
        result.stdout.contains(&format!("curl -i {}/api/v1/conversations/", world.ready.api)),
        "{}",
        result.stdout
    );
    assert!(!result.stdout.contains('\u{1b}'), "no colours without a terminal");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named_and_nothing_is_made() {
    let world = World::start().await;
    let unknown = uuid::Uuid::new_v4().to_string();

    for (args, complaint) in [
        (vec!["create", "business", "--shards", "65"], "1..=64"),
        (vec!["create", "agent", "--business", "me"], "--business"),
        (vec!["create", "agent", "--business", &unknown], "there is no such business"),
        (
            vec!["create", "channel", "--business", &unknown, "--channel", "fax"],
            "chat, whatsapp and email",
        ),
        (
            vec![
                "create",
                "channel",
                "--business",
                &unknown,
                "--channel",
                "whatsapp",
                "--template",
                "a",
            ],
            "--template-language",
        ),
        (vec!["plan", "show", "--business", &unknown], "there is no such business"),
        (vec!["--stack", "another", "first-steps"], "another does not exist"),
        (vec!["--stack", "another", "first-steps"], "(in us-east-1)"),
    ] {
        let result = admin(&world, &args).await;
        assert_eq!((result.code, result.stdout.as_str()), (1, ""), "{args:?}");
        assert!(result.stderr.contains(complaint), "{args:?}: {}", result.stderr);
    }

    let demo = world.ready.demo.as_ref().expect("the demo").business_id.to_string();

    let result =
        admin(&world, &["create", "channel", "--business", &demo, "--channel", "email"]).await;
    assert!(result.code == 1 && result.stderr.contains("--from is missing"), "{}", result.stderr);

    let args = [
        "create",
        "channel",
        "--business",
        &demo,
        "--channel",
        "chat",
        "--from",
        "shop@example.com",
    ];
    let result = admin(&world, &args).await;
    assert!(
        result.code == 1 && result.stderr.contains("--from: chat channels have none"),
        "{}",
        result.stderr
    );

    for (secret, code) in [
        ("pingback/whatsapp/x", 0),
        ("arn:aws:secretsmanager:us-east-1:000000000000:secret:pingback/whatsapp/x-AbCdEf", 0),
        ("pingback/whatsapp/", 1),
        ("pingback-dev/whatsapp/y", 1), // another stack's
        ("x/pingback/whatsapp/y", 1),
        ("arn:aws:secretsmanager:us-east-1:000000000000:secret:x/pingback/whatsapp/y-AbCdEf", 1),
    ] {
        let whatsapp =
            ["--channel", "whatsapp", "--phone-number-id", "106540352242922", "--secret", secret];
        let result =
            admin(&world, &[&["create", "channel", "--business", &demo][..], &whatsapp].concat())
                .await;
        assert_eq!(
            (result.code, result.stderr.contains("begins with pingback/whatsapp/")),
            (code, code == 1),
            "{secret}"
        );
    }

    assert_eq!(admin_json(&world, 0, &["audit"]).await, json!({"accounts": [], "drifting": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_business_is_an_error_in_every_command() {
    let world = World::start().await;
    let unknown = uuid::Uuid::new_v4().to_string();
    let id = uuid::Uuid::new_v4().to_string();

    for args in [
        vec!["audit"],
        vec!["list", "failed"],
        vec!["list", "failed", "--conversation", &id],
        vec!["list", "in-doubt"],
        vec!["list", "in-doubt", "--conversation", &id],
        vec!["list", "stuck"],
        vec!["list", "channels"],
        vec!["list", "api-keys"],
        vec!["list", "paused"],
        vec!["business", "show"],
        vec!["business", "change", "--name", "Shop"],
        vec!["plan", "change", "--limit", "7"],
        vec!["message", "show", &id, &id],
        vec!["create", "api-key"],
        vec!["create", "conversation", "--channel-id", &id, "--recipient", "a-visitor"],
        vec!["revoke", "agent", &id, "--yes"],
        vec!["channel", "pause", &id],
        vec!["channel", "show", &id],
        vec!["channel", "change", &id, "--in-doubt", "hold"],
    ] {
        let result = admin(&world, &[&args[..], &["--business", &unknown]].concat()).await;
        assert_eq!((result.code, result.stdout.as_str()), (1, ""), "{args:?}");
        assert!(result.stderr.contains("there is no such business"), "{args:?}: {}", result.stderr);
    }

    let demo = world.ready.demo.as_ref().expect("the demo").business_id.to_string();
    for list in ["failed", "in-doubt"] {
        let result =
            admin(&world, &["list", list, "--business", &demo, "--conversation", &id]).await;
        assert!(
            result.code == 1 && result.stderr.contains("no such conversation"),
            "{list}: {}",
            result.stderr
        );
    }
}

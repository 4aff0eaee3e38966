//! Making things, and using them.

use serde_json::json;

use crate::{admin, admin_json, text};
use tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_needs_one_command_to_send_the_first_message() {
    let world = World::start().await;
    world.allow(|allowed| allowed.waiting = true); // nobody has the conversation's page open
    let made = admin_json(&world, 0, &["first-steps"]).await;
    assert_eq!(text(&made, "api"), world.ready.api);
    let (key, conversation) = (text(&made, "api_key"), text(&made, "conversation_id"));
    let sent = world.send(key, conversation, "The first message.").go().await;
    assert_eq!((sent.status.as_u16(), &sent.json()["sender_id"]), (201, &made["agent_id"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_one_by_one_can_be_used() {
    let world = World::start().await;
    let business =
        admin_json(&world, 0, &["create", "business", "--plan", "pro", "--limit", "50"]).await;
    let of = ["--business", text(&business, "business_id")];
    let agent = admin_json(&world, 0, &["create", "agent", of[0], of[1]]).await;
    let agent = ["--agent", text(&agent, "agent_id")];
    let key = admin_json(&world, 0, &["create", "api-key", of[0], of[1], agent[0], agent[1]]).await;
    let begun = "pingback/whatsapp/sandbox";
    for (settings, recipient) in [
        (vec!["--channel", "chat"], "somebody"),
        (
            vec![
                "--channel",
                "whatsapp",
                "--phone-number-id",
                "106540352242922",
                "--secret",
                begun,
            ],
            "+16505551234",
        ),
        (vec!["--channel", "email", "--from", "Shop <shop@example.com>"], "anna@example.com"),
    ] {
        let words = [vec!["create", "channel", of[0], of[1]], settings].concat();
        let channel = admin_json(&world, 0, &words).await;
        let channel = text(&channel, "channel_id");
        let words = [
            "create",
            "conversation",
            of[0],
            of[1],
            "--channel",
            channel,
            "--recipient",
            recipient,
        ];
        let conversation = admin_json(&world, 0, &words).await;
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
async fn a_whatsapp_channel_with_a_template_writes_to_customers_who_have_not() {
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
    let words =
        [vec!["create", "channel"], of.to_vec(), whatsapp.to_vec(), template.to_vec()].concat();
    let channel = admin_json(&world, 0, &words).await;
    let words = [
        "create",
        "conversation",
        of[0],
        of[1],
        "--channel",
        text(&channel, "channel_id"),
        "--recipient",
        "+16505551235",
    ];
    let conversation = admin_json(&world, 0, &words).await;
    let conversation = text(&conversation, "conversation_id");
    let sent = world.send(text(&made, "api_key"), conversation, "We have found it.").go().await;
    assert_eq!(sent.status.as_u16(), 201, "{}", sent.text);
    world
        .until_received(
            "whatsapp",
            conversation.parse().expect("an id"),
            &["We have found it.".to_owned()],
        )
        .await;
    let path = format!("/whatsapp/messages?conversation_id={conversation}");
    let arrived = world.sandbox(reqwest::Method::GET, &path, json!(null)).await;
    assert_eq!(arrived[0]["template"]["name"], "agent_answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_a_table_and_the_call_that_sends() {
    let world = World::start().await;
    let ran = admin(&world, &["first-steps", "--limit", "7"]).await;
    assert_eq!((ran.code, ran.complaint.as_str()), (0, ""));
    assert!(ran.out.contains("start: 7 messages a month"), "{}", ran.out);
    assert!(
        ran.out.contains(&format!("curl -i {}/api/v1/conversations/", world.ready.api)),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains('\u{1b}'), "no colours where nobody sees them");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named_and_nothing_is_made() {
    let world = World::start().await;
    let nobody = uuid::Uuid::new_v4().to_string();
    for (words, said) in [
        (vec!["create", "business", "--shards", "65"], "1..=64"),
        (vec!["create", "agent", "--business", "me"], "--business"),
        (vec!["create", "agent", "--business", &nobody], "there is no such business"),
        (
            vec!["create", "channel", "--business", &nobody, "--channel", "fax"],
            "chat, whatsapp and email",
        ),
        (
            vec![
                "create",
                "channel",
                "--business",
                &nobody,
                "--channel",
                "whatsapp",
                "--template",
                "a",
            ],
            "--template-language",
        ),
        (vec!["plan", "show", "--business", &nobody], "there is no such business"),
        (vec!["--stack", "another", "first-steps"], "another does not exist"),
    ] {
        let ran = admin(&world, &words).await;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{words:?}");
        assert!(ran.complaint.contains(said), "{words:?}: {}", ran.complaint);
    }
    let demo = world.ready.demo.as_ref().expect("the demo").business_id.to_string();
    let ran =
        admin(&world, &["create", "channel", "--business", &demo, "--channel", "email"]).await;
    assert!(ran.code == 1 && ran.complaint.contains("--from is missing"), "{}", ran.complaint);
    let words = [
        "create",
        "channel",
        "--business",
        &demo,
        "--channel",
        "chat",
        "--from",
        "shop@example.com",
    ];
    let ran = admin(&world, &words).await;
    assert!(
        ran.code == 1 && ran.complaint.contains("--from: chat channels have none"),
        "{}",
        ran.complaint
    );
    for (secret, code) in [
        ("pingback/whatsapp/x", 0),
        ("arn:aws:secretsmanager:us-east-1:000000000000:secret:pingback/whatsapp/x-AbCdEf", 0),
        ("x/pingback/whatsapp/y", 1),
        ("arn:aws:secretsmanager:us-east-1:000000000000:secret:x/pingback/whatsapp/y-AbCdEf", 1),
    ] {
        let whatsapp =
            ["--channel", "whatsapp", "--phone-number-id", "106540352242922", "--secret", secret];
        let ran =
            admin(&world, &[&["create", "channel", "--business", &demo][..], &whatsapp].concat())
                .await;
        assert_eq!(
            (ran.code, ran.complaint.contains("begins with pingback/whatsapp/")),
            (code, code == 1),
            "{secret}"
        );
    }
    assert_eq!(admin_json(&world, 0, &["audit"]).await, json!({"accounts": [], "drifting": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_that_does_not_exist_is_never_all_clear() {
    let world = World::start().await;
    let (nobody, id) = (uuid::Uuid::new_v4().to_string(), uuid::Uuid::new_v4().to_string());
    for words in [
        vec!["audit"],
        vec!["list", "failed"],
        vec!["list", "failed", "--conversation", &id],
        vec!["list", "in-doubt"],
        vec!["list", "in-doubt", "--conversation", &id],
        vec!["list", "stuck"],
        vec!["plan", "change", "--limit", "7"],
        vec!["message", "show", &id, &id],
        vec!["create", "api-key"],
        vec!["create", "conversation", "--channel", &id, "--recipient", "somebody"],
        vec!["revoke", "agent", &id, "--yes"],
        vec!["channel", "pause", &id],
    ] {
        let ran = admin(&world, &[&words[..], &["--business", &nobody]].concat()).await;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{words:?}");
        assert!(
            ran.complaint.contains("there is no such business"),
            "{words:?}: {}",
            ran.complaint
        );
    }
    let demo = world.ready.demo.as_ref().expect("the demo").business_id.to_string();
    for list in ["failed", "in-doubt"] {
        let ran = admin(&world, &["list", list, "--business", &demo, "--conversation", &id]).await;
        assert!(
            ran.code == 1 && ran.complaint.contains("no such conversation"),
            "{list}: {}",
            ran.complaint
        );
    }
}

//! Lists of what there is, and changes of it.

use serde_json::{Value, json};

use crate::dead_letters::give_up_messages;
use crate::{admin, admin_json, text};
use tests::World;

/// Returns the entries of a list whose member has this value.
fn entries(list: &Value, of: &str, member: &str, value: &str) -> Vec<Value> {
    let list = list[of].as_array().expect("an array").iter();
    list.filter(|entry| entry[member] == value).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn businesses_have_names_and_api_keys_states() {
    let world = World::start().await;
    let made = admin_json(&world, 0, &["first-steps", "--name", "Shop"]).await;
    let business_id = text(&made, "business_id");
    let of = ["--business", business_id];

    admin_json(&world, 0, &["business", "change", of[0], of[1], "--name", "Anna's Shop"]).await;
    let shown = admin_json(&world, 0, &["business", "show", of[0], of[1]]).await;
    assert_eq!((text(&shown, "business_name"), &shown["used"]), ("Anna's Shop", &json!(0)));
    let all = admin_json(&world, 0, &["list", "businesses"]).await;
    let listed = entries(&all, "businesses", "business_id", business_id);
    assert_eq!(
        (text(&listed[0], "business_name"), text(&listed[0], "plan")),
        ("Anna's Shop", "start")
    );
    assert!(all["businesses"].as_array().expect("an array").len() > 1, "the demo's are there too");
    let table = admin(&world, &["list", "businesses"]).await.stdout;
    assert!(table.lines().nth(1).expect("a row").contains("Anna's Shop"), "names first: {table}");

    let expiring = ["create", "api-key", of[0], of[1], "--days", "1"];
    let expiring = admin_json(&world, 0, &expiring).await;
    let revoked = text(&made, "api_key_id");
    admin_json(&world, 0, &["revoke", "api-key", of[0], of[1], revoked, "--yes"]).await;
    world.pass(25 * 3600).await;
    let valid = admin_json(&world, 0, &["create", "api-key", of[0], of[1]]).await;
    for args in [&["list", "api-keys"][..], &["list", "api-keys", of[0], of[1]]] {
        let keys = admin_json(&world, 0, args).await;
        for (id, state) in [
            (revoked, "revoked"),
            (text(&expiring, "api_key_id"), "expired"),
            (text(&valid, "api_key_id"), "valid"),
        ] {
            let key = entries(&keys, "api_keys", "api_key_id", id);
            assert_eq!(text(&key[0], "state"), state, "{args:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_listed_shown_and_changed() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let of = ["--business", &business.business_id.to_string()];
    let listed = admin_json(&world, 0, &["list", "channels", of[0], of[1]]).await;
    assert_eq!(listed["channels"].as_array().map(Vec::len), Some(3));
    let id_of = |channel| {
        text(&entries(&listed, "channels", "channel", channel)[0], "channel_id").to_owned()
    };
    let email = id_of("email");
    let whatsapp = id_of("whatsapp");

    let only = admin_json(&world, 0, &["list", "channels", "--channel", "email"]).await;
    assert!(entries(&only, "channels", "channel", "chat").is_empty());
    assert_eq!(entries(&only, "channels", "channel_id", &email).len(), 1);

    let change = ["channel", "change", of[0], of[1]];
    let from = [&change[..], &[&email, "--from", "Shop <new@example.com>"]].concat();
    let changed = admin_json(&world, 0, &from).await;
    assert_eq!(text(&changed, "from"), "Shop <new@example.com>");
    let set =
        [&change[..], &[&email, "--configuration-set", "other", "--in-doubt", "hold"]].concat();
    admin_json(&world, 0, &set).await;
    let shown = admin_json(&world, 0, &["channel", "show", of[0], of[1], &email]).await;
    assert_eq!(
        [text(&shown, "from"), text(&shown, "configuration_set"), text(&shown, "in_doubt")],
        ["Shop <new@example.com>", "other", "hold"]
    );

    let template = ["--template", "agent_answers", "--template-language", "en_US"];
    let templated = [&change[..], &[&whatsapp], &template].concat();
    let changed = admin_json(&world, 0, &templated).await;
    assert_eq!(text(&changed, "template"), "agent_answers");
    let without = [&change[..], &[&whatsapp, "--no-template"]].concat();
    assert_eq!(admin_json(&world, 0, &without).await["template"], Value::Null);

    for (args, complaint) in [
        (vec![email.as_str(), "--from", "nonsense"], "--from: not a mail address"),
        (vec![&email, "--secret", "pingback/whatsapp/x"], "--secret: email channels have none"),
        (vec![&whatsapp, "--secret", "elsewhere"], "begins with pingback/whatsapp/"),
        (vec![&whatsapp, "--from", "shop@example.com"], "--from: whatsapp channels have none"),
        (vec![&email, "--configuration-set", "no set"], "EmailConfigurationSet"),
        (vec![&email], "required"),
    ] {
        let refused = admin(&world, &[&change[..], &args].concat()).await;
        assert!(
            refused.code == 1 && refused.stderr.contains(complaint),
            "{args:?}: {}",
            refused.stderr
        );
    }
    let shown = admin_json(&world, 0, &["channel", "show", of[0], of[1], &email]).await;
    assert_eq!(text(&shown, "from"), "Shop <new@example.com>", "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_shows_what_is_due_paused_and_given_up() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let of = ["--business", &business.business_id.to_string()];
    let well = admin(&world, &["status"]).await;
    assert!(well.code == 0 && well.stdout.contains("Nothing is stuck"), "{}", well.stdout);
    admin_json(&world, 0, &["list", "paused"]).await;

    give_up_messages(&world, &business, &["it is given up"]).await;
    let listed = admin_json(&world, 0, &["list", "channels", of[0], of[1]]).await;
    let chat = entries(&listed, "channels", "channel", "chat").remove(0);
    let channel_id = text(&chat, "channel_id");
    admin_json(&world, 0, &["channel", "pause", of[0], of[1], channel_id]).await;
    world.sandbox(reqwest::Method::PUT, "/queues/held", json!({"held": true})).await;
    let conversation_id = business.conversation_id("whatsapp");
    let waiting = world.send(&business.api_key, conversation_id, "it waits").go().await.id();

    let status = admin_json(&world, 2, &["status"]).await;
    let of_channel = |channel| entries(&status, "queues", "channel", channel).remove(0);
    assert_eq!(of_channel("email")["dead_letters"], 1);
    assert_eq!(
        (&of_channel("chat")["paused"], &of_channel("whatsapp")["paused"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        (&of_channel("whatsapp")["due"], &of_channel("email")["due"]),
        (&json!(1), &json!(0))
    );
    assert!(of_channel("whatsapp")["due_since"].is_string());
    assert_eq!(text(&status["channels"][0], "channel_id"), channel_id);
    for args in [&["list", "paused"][..], &["list", "paused", of[0], of[1], "--channel", "chat"]] {
        let paused = admin_json(&world, 2, args).await;
        assert_eq!(text(&paused["channels"][0], "channel_id"), channel_id);
    }
    admin_json(&world, 0, &["list", "paused", "--channel", "email"]).await;

    world.sandbox(reqwest::Method::PUT, "/queues/held", json!({"held": false})).await;
    world.until_status(&business.api_key, conversation_id, waiting, "sent").await;
}

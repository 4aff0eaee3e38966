//! Dead letters: inspecting loses none, and redriving keeps the order of messages.

mod resending;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{admin, admin_json};
use tests::{Business, World};

/// Sends these messages to the business's e-mail conversation, and lets them fail.
pub(crate) async fn give_up_messages(
    world: &World,
    business: &Business,
    texts: &[&str],
) -> Vec<Uuid> {
    let conversation_id = business.conversation_id("email");
    world.fault("email", json!({"status": 429})).await;

    let mut ids = Vec::new();
    for text in texts {
        ids.push(world.send(&business.api_key, conversation_id, text).go().await.id());
    }

    world.pass(24 * 3600).await;
    world.sweep().await;
    for id in &ids {
        world.until_status(&business.api_key, conversation_id, *id, "failed").await;
    }

    world.heal("email").await;
    world.allow(|allowed| allowed.unheard = true); // the API has not answered for redriven messages
    ids
}

fn ids(letters: &Value) -> Vec<Value> {
    letters["letters"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|letter| letter["message_id"].clone())
        .collect()
}

const INSPECT: [&str; 4] = ["dead-letters", "inspect", "--channel", "email"];
const REDRIVE: [&str; 4] = ["dead-letters", "redrive", "--channel", "email"];

#[tokio::test(flavor = "multi_thread")]
async fn inspecting_dead_letters_leaves_them_in_the_queue() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    assert_eq!(ids(&admin_json(&world, 0, &INSPECT).await), [json!(null); 0]);

    let given = give_up_messages(&world, &business, &["one", "two", "three"]).await;
    for args in [&INSPECT[..], &INSPECT[..2]] {
        let letters = admin_json(&world, 2, args).await;
        assert_eq!(
            ids(&letters),
            given.iter().map(|id| json!(id)).collect::<Vec<_>>(),
            "in order, each time"
        );

        let letter = &letters["letters"][0];
        let business_id = business.business_id;
        assert_eq!(letter["business_id"], json!(business_id), "{letter}");
        assert_eq!(
            (&letter["reason"], &letter["last_reason"], &letter["provider_code"]),
            (&json!("expired"), &json!("rate_limited"), &json!("TooManyRequestsException"))
        );
    }

    let table = admin(&world, &INSPECT).await.stdout;
    for word in ["given up: expired", "rate_limited (TooManyRequestsException)"] {
        assert!(table.contains(word), "{table}");
    }
    assert!(table.contains(&business.business_id.to_string()), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn resent_messages_keep_their_order_at_the_end_of_the_conversation() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");

    let given = give_up_messages(&world, &business, &["one", "two", "three"]).await;
    let later = world.send(&business.api_key, conversation_id, "written later").go().await.id();
    world.until_status(&business.api_key, conversation_id, later, "sent").await;

    let dry = admin_json(&world, 2, &[&REDRIVE[..], &["--resend", "--dry-run"]].concat()).await;
    assert_eq!(
        (ids(&dry).len(), &dry["letters"][0]["action"]),
        (3, &json!("would be accepted anew"))
    );
    assert_eq!(
        admin(&world, &[&REDRIVE[..], &["--resend"]].concat()).await.code,
        3,
        "not confirmed"
    );

    let elsewhere = business.conversation_id("chat").to_string();
    let other = ["--resend", "--yes", "--conversation", &elsewhere];
    assert_eq!(
        ids(&admin_json(&world, 0, &[&REDRIVE[..], &other].concat()).await),
        [json!(null); 0]
    );

    let kept = admin_json(&world, 2, &[&REDRIVE[..], &["--yes"]].concat()).await;
    assert_eq!(kept["letters"][0]["action"], "stays: --resend accepts it anew");
    assert_eq!(
        world.received("email", conversation_id).await,
        ["written later"],
        "nothing was done so far"
    );

    let done = admin_json(&world, 0, &[&REDRIVE[..], &["--resend", "--yes"]].concat()).await;
    assert_eq!(ids(&done), given.iter().map(|id| json!(id)).collect::<Vec<_>>());
    let texts = ["written later", "one", "two", "three"].map(str::to_owned);
    for _ in 0..2 {
        world.until_received("email", conversation_id, &texts).await;
        assert_eq!(
            admin_json(&world, 0, &[&REDRIVE[..], &["--resend", "--yes"]].concat()).await["letters"],
            json!([])
        );
    }

    let used = world.usage(&business.api_key).await.0;
    let of = business.business_id.to_string();
    let audit = admin_json(&world, 0, &["audit", "--business", &of]).await;
    let counted: u64 = audit["accounts"]
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|one| one["used"].as_u64())
        .sum();
    assert!(used <= 7 && counted == 7, "{audit}");
}

/// Returns the action of each letter, in the order of the report.
fn actions(letters: &Value) -> Vec<&str> {
    let letters = letters["letters"].as_array().expect("an array").iter();
    letters.map(|letter| letter["action"].as_str().expect("a text")).collect()
}

/// Calls an operation of SQS on the e-mail channel's dead-letter queue.
async fn call_sqs(world: &World, operation: &str, mut body: Value) {
    body["QueueUrl"] = world.dead_letter_queue("email").into();
    let response = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .post(&world.ready.aws.sqs)
        .header("X-Amz-Target", format!("AmazonSQS.{operation}"))
        .header("Content-Type", "application/x-amz-json-1.0")
        .body(body.to_string())
        .send()
        .await
        .expect("an answer");
    assert!(response.status().is_success());
}

/// Puts a letter into the e-mail channel's dead-letter queue.
async fn put_dead_letter(world: &World, letter: &str) {
    call_sqs(world, "SendMessage", json!({"MessageBody": letter})).await;
}

/// Returns a doorbell for the business's e-mail conversation.
fn doorbell(business: &Business) -> String {
    let conversation_id = business.conversation_id("email");
    json!({
        "v": 1, "business": business.business_id, "conversation": conversation_id,
        "channel": "email",
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn unanswered_doorbells_are_rung_again_once_for_each_conversation() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    for operation in ["SendMessage", "SendMessageBatch"] {
        world.fault("aws", json!({"operation": operation, "error": "InternalError"})).await;
    }
    let id = world.send(&business.api_key, conversation_id, "no doorbell rings").go().await.id();
    world.heal("aws").await;

    let doorbell = doorbell(&business);
    for letter in [doorbell.as_str(), &doorbell, "not ours"] {
        put_dead_letter(&world, letter).await;
    }

    for (flag, expected) in [
        (
            "--dry-run",
            ["stays: nobody here has written it", "would be rung for", "would be rung for by then"],
        ),
        ("--yes", ["rung for", "rung for already", "stays: nobody here has written it"]),
    ] {
        let done = admin_json(&world, 2, &[&REDRIVE[..], &[flag]].concat()).await;
        let mut actions = actions(&done);
        actions.sort_unstable();
        assert_eq!(actions, expected);
    }

    world.until_status(&business.api_key, conversation_id, id, "sent").await;
    assert_eq!(admin_json(&world, 2, &INSPECT).await["letters"][0]["kind"], "unreadable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_stays_and_holds_back_later_ones() {
    let world = World::start().await;
    let business = world.business(3, 1).await;
    let of = business.business_id.to_string();
    give_up_messages(&world, &business, &["one", "two", "three"]).await;
    admin_json(&world, 0, &["plan", "change", "--business", &of, "--limit", "0", "--yes"]).await;

    let kept = admin_json(&world, 2, &[&REDRIVE[..], &["--resend", "--yes"]].concat()).await;
    let actions = actions(&kept);
    assert!(actions[0].starts_with("stays: "), "{actions:?}");
    assert!(
        actions[1..].iter().all(|action| action.starts_with("stays behind one before it")),
        "{actions:?}"
    );

    assert_eq!(ids(&admin_json(&world, 2, &INSPECT).await).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_selected_letters_are_discarded() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let other = world.business(10, 1).await;
    let [one, two] = give_up_messages(&world, &business, &["one", "two"]).await[..] else {
        panic!("two messages")
    };
    for letter in [doorbell(&other).as_str(), "not ours"] {
        put_dead_letter(&world, letter).await;
    }

    let conversation_id = business.conversation_id("email").to_string();
    let discard =
        ["dead-letters", "discard", "--channel", "email", "--conversation", &conversation_id];

    let dry = admin_json(&world, 2, &[&discard[..], &["--dry-run"]].concat()).await;
    assert_eq!(
        (ids(&dry), actions(&dry)),
        (vec![json!(one), json!(two)], vec!["would be removed"; 2])
    );
    assert_eq!(admin(&world, &discard).await.code, 3, "not confirmed");
    assert_eq!(ids(&admin_json(&world, 2, &INSPECT).await).len(), 4, "nothing was done so far");
    admin_json(&world, 0, &["dead-letters", "discard", "--channel", "chat", "--yes"]).await;

    let done = admin_json(&world, 0, &[&discard[..], &["--yes"]].concat()).await;
    assert_eq!((ids(&done), actions(&done)), (vec![json!(one), json!(two)], vec!["removed"; 2]));

    let left = admin_json(&world, 2, &INSPECT).await;
    assert_eq!(
        ids(&left),
        [json!(null), json!(null)],
        "the doorbell, and the letter that is not ours"
    );
    admin_json(&world, 0, &["dead-letters", "discard", "--yes"]).await;
    let cleared = admin(&world, &INSPECT).await;
    assert_eq!((cleared.code, cleared.stdout.as_str()), (0, "There are no dead letters.\n"));

    let conversation_id = business.conversation_id("email");
    let delivery = world.delivery(&business.api_key, conversation_id, one).await;
    assert_eq!(delivery["status"], "failed", "the message has not changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_resent_while_an_earlier_message_may_be_unread() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    give_up_messages(&world, &business, &["one", "two", "three"]).await;
    let resend = [&REDRIVE[..], &["--resend", "--yes"]].concat();

    let some = admin_json(&world, 2, &[&INSPECT[..], &["--most", "2"]].concat()).await;
    assert_eq!((ids(&some).len(), &some["more"]), (2, &json!(true)));
    let refused = admin_json(&world, 1, &[&resend[..], &["--most", "2"]].concat()).await;
    let error = refused["error"].as_str().expect("a sentence");
    assert!(error.contains("more than 2 letters") && error.contains("--most"), "{error}");
    assert_eq!(ids(&refused), [json!(null); 0], "nothing was done");

    call_sqs(
        &world,
        "ReceiveMessage",
        json!({"MaxNumberOfMessages": 1, "VisibilityTimeout": 1000}),
    )
    .await;
    let looked = admin_json(&world, 2, &INSPECT).await;
    assert_eq!(
        (ids(&looked).len(), &looked["hidden"]),
        (2, &json!(1)),
        "another reader holds the third"
    );

    let refused = admin_json(&world, 1, &resend).await;
    assert!(
        refused["error"].as_str().expect("a sentence").contains("1 letters are hidden"),
        "{refused}"
    );
    assert_eq!(world.received("email", business.conversation_id("email")).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_before_an_error_are_reported() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    give_up_messages(&world, &business, &["one", "two", "three"]).await;
    let resend = [&REDRIVE[..], &["--resend", "--yes"]].concat();

    let fault = |operation, skip| {
        json!({
            "operation": operation, "error": "AccessDeniedException", "function": "*",
            "skip": skip,
        })
    };
    // The second message's letter cannot be removed; neither can letters be shown again.
    world.fault("aws", fault("DeleteMessageBatch", 1)).await;
    world.fault("aws", fault("ChangeMessageVisibilityBatch", 0)).await;

    let ended = admin_json(&world, 1, &resend).await;
    let actions = actions(&ended);
    assert!(
        actions[0].starts_with("accepted anew as ") && !actions[0].contains("still there"),
        "{actions:?}"
    );
    assert!(
        actions[1].starts_with("accepted anew as ")
            && actions[1].contains("; its letter is still there: "),
        "{actions:?}"
    );
    assert_eq!(actions[2], "stays: an error ended the work before it");
    assert!(
        ended["error"]
            .as_str()
            .expect("a sentence")
            .starts_with("email: calling DeleteMessageBatch"),
        "{ended}"
    );
    assert_eq!(ended["hidden"], 2, "their visibility timeout ends in a while");
    world.until_received("email", conversation_id, &["one", "two"].map(str::to_owned)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_cannot_be_read_is_not_called_empty() {
    let world = World::start().await;
    let denied =
        json!({"operation": "ReceiveMessage", "error": "AccessDeniedException", "function": "*"});
    world.fault("aws", denied).await;
    let result = admin(&world, &INSPECT).await;
    assert!(
        result.code == 1 && result.stdout.contains("error: email: calling ReceiveMessage"),
        "{} {}",
        result.stdout,
        result.stderr
    );
    assert!(!result.stdout.contains("There are no dead letters"), "{}", result.stdout);
}

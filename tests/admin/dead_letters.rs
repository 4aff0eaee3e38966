//! Dead letters: looked at without loss, tried again without breaking the order.

use crate::{admin, admin_json};
use serde_json::{Value, json};
use tests::{Business, World};
use uuid::Uuid;

/// Has these messages of the business's e-mail conversation given up.
async fn given_up(world: &World, business: &Business, texts: &[&str]) -> Vec<Uuid> {
    let conversation = business.conversation("email");
    world.fault("email", json!({"status": 429})).await;
    let mut ids = Vec::new();
    for text in texts {
        ids.push(world.send(&business.api_key, conversation, text).go().await.id());
    }
    world.pass(24 * 3600).await;
    world.sweep().await;
    for id in &ids {
        world.until_status(&business.api_key, conversation, *id, "failed").await;
    }
    world.heal("email").await;
    world.allow(|allowed| allowed.unheard = true); // what is accepted anew, the API has not answered
    ids
}

fn ids(letters: &Value) -> Vec<Value> {
    letters["letters"].as_array().expect("an array").iter().map(|letter| letter["id"].clone()).collect()
}

const INSPECT: [&str; 2] = ["dead-letters", "inspect"];
const REDRIVE: [&str; 4] = ["dead-letters", "redrive", "--channel", "email"];

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_dead_letters_leaves_them_there() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    assert_eq!(admin_json(&world, 0, &INSPECT).await, json!({"letters": []}));
    let given = given_up(&world, &business, &["one", "two", "three"]).await;
    for _ in 0..2 {
        let letters = admin_json(&world, 2, &INSPECT).await;
        assert_eq!(ids(&letters), given.iter().map(|id| json!(id)).collect::<Vec<_>>(), "in order, each time");
        assert_eq!(letters["letters"][0]["reason"], "expired");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_were_given_up_go_again_in_their_order_as_the_conversations_last() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation = business.conversation("email");
    let given = given_up(&world, &business, &["one", "two", "three"]).await;
    let later = world.send(&business.api_key, conversation, "written later").go().await.id();
    world.until_status(&business.api_key, conversation, later, "sent").await;

    let dry = admin_json(&world, 2, &[&REDRIVE[..], &["--resend", "--dry-run"]].concat()).await;
    assert_eq!((ids(&dry).len(), &dry["letters"][0]["action"]), (3, &json!("would be accepted anew")));
    assert_eq!(admin(&world, &[&REDRIVE[..], &["--resend"]].concat()).await.code, 3, "nobody said yes");
    let elsewhere = business.conversation("chat").to_string();
    let other = ["--resend", "--yes", "--conversation", &elsewhere];
    assert_eq!(admin_json(&world, 0, &[&REDRIVE[..], &other].concat()).await, json!({"letters": []}));
    let kept = admin_json(&world, 2, &[&REDRIVE[..], &["--yes"]].concat()).await;
    assert_eq!(kept["letters"][0]["action"], "stays: --resend accepts it anew");
    assert_eq!(world.received("email", conversation).await, ["written later"], "nothing was done so far");

    let done = admin_json(&world, 0, &[&REDRIVE[..], &["--resend", "--yes"]].concat()).await;
    assert_eq!(ids(&done), given.iter().map(|id| json!(id)).collect::<Vec<_>>());
    let texts = ["written later", "one", "two", "three"].map(str::to_owned);
    for _ in 0..2 {
        world.until_received("email", conversation, &texts).await;
        assert_eq!(admin_json(&world, 0, &[&REDRIVE[..], &["--resend", "--yes"]].concat()).await["letters"], json!([]));
    }
    let used = world.usage(&business.api_key).await.0;
    let of = business.business_id.to_string();
    let audit = admin_json(&world, 0, &["audit", "--business", &of]).await;
    let counted: u64 =
        audit["accounts"].as_array().expect("an array").iter().filter_map(|one| one["used"].as_u64()).sum();
    assert!(used <= 7 && counted == 7, "{audit}");
}

/// Puts a letter into the e-mail channel's dead-letter queue.
async fn bury(world: &World, letter: &str) {
    let body = json!({"QueueUrl": world.dead_letter_queue("email"), "MessageBody": letter});
    let call = reqwest::Client::builder().no_proxy().build().expect("a client").post(&world.ready.aws.sqs);
    let call =
        call.header("X-Amz-Target", "AmazonSQS.SendMessage").header("Content-Type", "application/x-amz-json-1.0");
    assert!(call.body(body.to_string()).send().await.expect("an answer").status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn bells_that_nobody_answered_are_rung_again_once_for_each_conversation() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let (of, conversation) = (business.business_id, business.conversation("email"));
    for operation in ["SendMessage", "SendMessageBatch"] {
        world.fault("aws", json!({"operation": operation, "error": "InternalError"})).await;
    }
    let id = world.send(&business.api_key, conversation, "nobody rings").go().await.id();
    world.heal("aws").await;
    let bell = json!({"v": 1, "business": of, "conversation": conversation, "channel": "email"}).to_string();
    for letter in [bell.as_str(), &bell, "not ours"] {
        bury(&world, letter).await;
    }
    let done = admin_json(&world, 2, &[&REDRIVE[..], &["--yes"]].concat()).await;
    let letters = done["letters"].as_array().expect("an array");
    let mut actions: Vec<&str> = letters.iter().filter_map(|letter| letter["action"].as_str()).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["rung for", "rung for already", "stays: nobody here has written it"]);
    world.until_status(&business.api_key, conversation, id, "sent").await;
    assert_eq!(admin_json(&world, 2, &INSPECT).await["letters"][0]["kind"], "unreadable");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_refuses_stays_and_holds_back_what_comes_after_it() {
    let world = World::start().await;
    let business = world.business(3, 1).await;
    let of = business.business_id.to_string();
    given_up(&world, &business, &["one", "two", "three"]).await;
    admin_json(&world, 0, &["plan", "change", "--business", &of, "--limit", "0", "--yes"]).await;
    let kept = admin_json(&world, 2, &[&REDRIVE[..], &["--resend", "--yes"]].concat()).await;
    let actions: Vec<&str> =
        kept["letters"].as_array().expect("an array").iter().filter_map(|one| one["action"].as_str()).collect();
    assert!(actions[0].starts_with("stays: "), "{actions:?}");
    assert!(actions[1..].iter().all(|action| action.starts_with("stays behind one before it")), "{actions:?}");
    assert_eq!(ids(&admin_json(&world, 2, &INSPECT).await).len(), 3);
}

//! Messages that are accepted anew, and batches that SQS takes in part.

use serde_json::json;
use uuid::Uuid;

use super::{INSPECT, REDRIVE, actions, doorbell, give_up_messages, ids, put_dead_letter};
use crate::switching::switch;
use crate::{admin_json, text};
use tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_off_keeps_the_letter_until_it_is_on_again() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    let given = give_up_messages(&world, &business, &["one", "two"]).await;
    let used = world.usage(&business.api_key).await;

    switch(&world, &business, conversation_id, &["deactivate", "--yes"]).await;
    for flag in ["--dry-run", "--yes"] {
        let args = [&REDRIVE[..], &["--resend", flag]].concat();
        let kept = admin_json(&world, 2, &args).await;
        let refused = "the conversation's channel was switched off";
        let stays = [format!("stays: {refused}"), format!("stays behind one before it: {refused}")];
        assert_eq!(actions(&kept), stays, "{flag}");
    }
    assert_eq!(
        ids(&admin_json(&world, 2, &INSPECT).await),
        given.iter().map(|id| json!(id)).collect::<Vec<_>>()
    );
    assert_eq!(world.usage(&business.api_key).await, used, "nothing was counted");

    switch(&world, &business, conversation_id, &["activate"]).await;
    admin_json(&world, 0, &[&REDRIVE[..], &["--resend", "--yes"]].concat()).await;
    world.until_received("email", conversation_id, &["one", "two"].map(str::to_owned)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resent_message_is_found_in_the_log_under_the_id_of_its_first_call() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    let of = business.business_id.to_string();
    let given = give_up_messages(&world, &business, &["one"]).await;

    let show = async |id: Uuid| {
        let address = [conversation_id.to_string(), id.to_string()];
        let args = ["message", "show", "--business", &of, &address[0], &address[1]];
        admin_json(&world, 0, &args).await
    };
    let first = text(&show(given[0]).await, "correlation_id").to_owned();
    assert!(!first.is_empty());

    let done = admin_json(&world, 0, &[&REDRIVE[..], &["--resend", "--yes"]].concat()).await;
    let anew = actions(&done)[0].strip_prefix("accepted anew as ").expect("its new id");
    let anew: Uuid = anew.parse().expect("an id");
    world.until_status(&business.api_key, conversation_id, anew, "sent").await;
    assert_eq!(text(&show(anew).await, "correlation_id"), first);

    let sent = world.logged().into_iter().find(|line| {
        line.text.contains(r#""message":"sent""#) && line.text.contains(&anew.to_string())
    });
    assert!(sent.expect("a line").text.contains(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_sqs_does_not_let_go_of_are_reported_one_by_one() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    for _ in 0..3 {
        put_dead_letter(&world, &doorbell(&business)).await;
    }

    let partial = |operation| json!({ "operation": operation, "error": "partial", "times": 1, "function": "*" });
    world.fault("aws", partial("DeleteMessageBatch")).await;
    let discard = ["dead-letters", "discard", "--channel", "email", "--yes"];
    let discarded = admin_json(&world, 2, &discard).await;
    let mut done = actions(&discarded);
    done.sort_unstable();
    assert_eq!(done, ["removed", "removed", "stays: SQS keeps it"]);

    world.fault("aws", partial("ChangeMessageVisibilityBatch")).await;
    let looked = admin_json(&world, 2, &INSPECT).await;
    assert_eq!((ids(&looked).len(), &looked["hidden"]), (1, &json!(1)));
}

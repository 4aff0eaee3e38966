//! The chat's WebSocket, used as the widget uses it: several tabs, returns without gap or
//! duplicate, and in files of their own messages that do not fit, and tokens and frames that are
//! refused.

mod fetching;
mod limits;
mod paging;
mod refusing;
mod script;
pub(crate) mod tab;
mod writing;

use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::partial::hold_queues;
use domain::{BusinessId, ConversationId};
use platform::credential::visitor::{Visitor, VisitorToken};
use platform::credential::{SigningKey, SigningKeys};
use platform::table::Connection;
use tab::{Tab, message_of};
use tests::{Business, World};

/// How many messages tabs come and go under.
const MESSAGES: u64 = 60;

/// A tab of the business's chat that has got everything after `after`.
pub(crate) async fn tab(world: &World, business: &Business, after: u64) -> Tab {
    let conversation_id = business.conversation_id("chat");
    let mut tab = Tab::open(world, &world.visitor_token(conversation_id).await).await;
    tab.hello(after).await;
    let hello = tab.next_event().await;
    assert_eq!(hello, json!({"type": "hello", "conversation_id": conversation_id}));
    tab
}

/// The key that signs visitors' tokens.
async fn newest_visitor_key(world: &World) -> SigningKey {
    let keys: SigningKeys =
        serde_json::from_value(world.secret("VisitorKeys").await).expect("keys");
    keys.keys[0].clone()
}

async fn send(world: &World, business: &Business, text: &str) -> Uuid {
    world.send(&business.api_key, business.conversation_id("chat"), text).go().await.id()
}

async fn status(world: &World, business: &Business, id: Uuid, status: &str) {
    world.until_status(&business.api_key, business.conversation_id("chat"), id, status).await;
}

/// Waits until so many messages are settled.
async fn settled(world: &World, business: &Business, count: u64) {
    let business_id = BusinessId(business.business_id);
    let conversation_id = ConversationId(business.conversation_id("chat"));
    let table = world.table();
    let settled = async || {
        let conversation = table.conversation(business_id, conversation_id).await;
        let conversation = conversation.expect("the table answers").expect("the conversation");
        (conversation.settled_seq.0 == count).then_some(())
    };
    world.until(&format!("{count} messages are settled"), settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_then_delivered_then_read_as_the_widget_says() {
    let (world, business) = World::without_customers().await;
    let mut tab = tab(&world, &business, 0).await;
    assert_eq!(tab.next_event().await, json!({"type": "caught_up", "seq": 0}));

    let id = send(&world, &business, "Hi Anna").await;
    assert_eq!(tab.next_message().await, (1, id, "Hi Anna".to_owned()));

    status(&world, &business, id, "sent").await;
    tab.send_action(json!({"action": "ack", "id": id})).await;
    status(&world, &business, id, "delivered").await;
    tab.send_action(json!({"action": "read", "id": id})).await;
    status(&world, &business, id, "read").await;
    // Nothing that comes later leads back.
    tab.send_action(json!({"action": "ack", "id": id})).await;
    tab.ping().await;
    status(&world, &business, id, "read").await;

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tab_shows_every_message_and_either_may_say_so() {
    let (world, business) = World::without_customers().await;
    let mut tabs = [tab(&world, &business, 0).await, tab(&world, &business, 0).await];
    for tab in &mut tabs {
        assert_eq!(tab.next_event().await["type"], "caught_up");
    }

    let ids =
        [send(&world, &business, "to both").await, send(&world, &business, "to both again").await];
    for tab in &mut tabs {
        for (seq, id) in (1..).zip(ids) {
            assert_eq!(message_of(&tab.next_event().await), (seq, id));
        }
    }

    tabs[0].send_action(json!({"action": "ack", "id": ids[0]})).await;
    tabs[1].send_action(json!({"action": "read", "id": ids[1]})).await;
    status(&world, &business, ids[0], "delivered").await;
    status(&world, &business, ids[1], "read").await;

    // One that was closed takes nothing from the other, and is forgotten.
    let [mut stays, leaves] = tabs;
    leaves.close().await;

    let business_id = BusinessId(business.business_id);
    let conversation_id = ConversationId(business.conversation_id("chat"));
    let table = world.table();
    let connections = async || {
        let all = table.connections(business_id, conversation_id).await.expect("the table answers");
        (all.len() == 1).then_some(())
    };
    world.until("the closed tab is forgotten", connections).await;

    let last = send(&world, &business, "to the tab that is left").await;
    assert_eq!(message_of(&stays.next_event().await), (3, last));

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_is_gone_without_a_word_is_taken_off_the_list() {
    let (world, business) = World::without_customers().await;
    let mut stays = tab(&world, &business, 0).await;
    assert_eq!(stays.next_event().await["type"], "caught_up");

    let business_id = BusinessId(business.business_id);
    let conversation_id = ConversationId(business.conversation_id("chat"));
    let table = world.table();
    let visitor = Visitor { business_id, conversation_id };
    let kid = newest_visitor_key(&world).await.kid;
    let token = VisitorToken { visitor, kid, ends_at: Utc::now() + TimeDelta::hours(1) };
    let gone = Connection::new("L0SM9cOFvHcCIhw=", token, Utc::now());
    table.connect(&gone).await.expect("remembered");
    table.list_connection(&gone).await.expect("listed");
    let id = send(&world, &business, "one of you is not there").await;
    assert_eq!(message_of(&stays.next_event().await), (1, id));

    status(&world, &business, id, "sent").await;
    assert_eq!(
        table.connections(business_id, conversation_id).await.expect("the table answers").len(),
        1
    );
    assert_eq!(table.connection(&gone.connection_id).await.expect("the table answers"), None);

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_on_return_gets_what_was_missed_and_nothing_twice() {
    let (world, business) = World::without_customers().await;
    let mut first = tab(&world, &business, 0).await;
    assert_eq!(first.next_event().await["type"], "caught_up");

    let mut ids = vec![send(&world, &business, "message 1").await];
    assert_eq!(message_of(&first.next_event().await), (1, ids[0]));

    // The line breaks; another tab sees to it that the messages go out meanwhile.
    first.drop_connection();
    let mut other = tab(&world, &business, 1).await;
    assert_eq!(other.next_event().await["type"], "caught_up");

    for number in 2..=4 {
        ids.push(send(&world, &business, &format!("message {number}")).await);
        assert_eq!(message_of(&other.next_event().await), (number, ids[ids.len() - 1]));
    }

    settled(&world, &business, 4).await;
    let mut back = tab(&world, &business, 1).await;
    assert_eq!(back.until_caught_up().await, (vec![(2, ids[1]), (3, ids[2]), (4, ids[3])], 4));

    // What was just answered is not sent again.
    back.send_action(json!({"action": "resume", "after": 2})).await;
    assert_eq!(back.until_caught_up().await, (vec![], 4));

    back.send_action(json!({"action": "resume", "after": 0})).await;
    assert_eq!(back.until_caught_up().await, (vec![(1, ids[0])], 4), "it was not asked for before");

    back.send_action(json!({"action": "resume", "after": 4})).await;
    assert_eq!(back.until_caught_up().await, (vec![], 4));

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_on_its_way_to_others_reaches_a_tab_that_opened_meanwhile() {
    let (world, business) = World::without_customers().await;
    let mut first = tab(&world, &business, 0).await;
    assert_eq!(first.next_event().await["type"], "caught_up");

    // The worker has read who is there, and waits for the gateway.
    world.fault("chat", json!({"delay_ms": 2_000, "times": 1})).await;
    let id = send(&world, &business, "in the worker's hand").await;
    let waits = async || {
        let fault = world.sandbox(Method::GET, "/chat/faults", Value::Null).await;
        fault.is_null().then_some(())
    };
    world.until("the worker waits", waits).await;

    let mut second = tab(&world, &business, 0).await;
    assert_eq!(second.next_event().await, json!({"type": "caught_up", "seq": 0, "pending": 1}));
    assert_eq!(message_of(&first.next_event().await), (1, id));

    settled(&world, &business, 1).await;
    assert_eq!(second.resume(0).await, (vec![(1, id)], 1));

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_opens_in_the_middle_of_a_workers_turn_gets_what_others_have() {
    let (world, business) = World::without_customers().await;
    let mut first = tab(&world, &business, 0).await;
    assert_eq!(first.next_event().await["type"], "caught_up");

    // One turn for all three; its worker has handed over two, and waits for the gateway.
    world.fault("chat", json!({"delay_ms": 2_000, "skip": 2, "times": 1})).await;
    hold_queues(&world, true).await;
    let mut ids = Vec::new();
    for text in ["first", "second", "third"] {
        ids.push(send(&world, &business, text).await);
    }
    hold_queues(&world, false).await;
    let waits = async || {
        let fault = world.sandbox(Method::GET, "/chat/faults", Value::Null).await;
        fault.is_null().then_some(())
    };
    world.until("the worker waits", waits).await;

    let mut second = tab(&world, &business, 0).await;
    for (seq, id) in (1..).zip(&ids[..2]) {
        assert_eq!(message_of(&second.next_event().await), (seq, *id));
    }
    assert_eq!(second.next_event().await, json!({"type": "caught_up", "seq": 2, "pending": 3}));
    assert_eq!(second.resume(2).await.1, 2, "nothing is there yet");

    settled(&world, &business, 3).await;
    assert_eq!(second.resume(2).await, (vec![(3, ids[2])], 3));

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_that_come_and_go_under_fire_miss_nothing() {
    let (world, business) = World::without_customers().await;
    let sending = async {
        let mut ids = Vec::new();
        for number in 1..=MESSAGES {
            ids.push(send(&world, &business, &format!("number {number}")).await);
        }
        ids
    };
    let tabs = (0..3).map(async |_| {
        let mut got = Vec::new();
        let mut reconnects = 0;
        let mut tab = tab::Reader::open(&world, &business).await;
        while (got.len() as u64) < MESSAGES {
            got.extend(tab.read().await);
            if got.len() > 15 * (reconnects + 1) {
                reconnects += 1;
                tab = tab.come_back(&world, &business).await;
            }
        }
        assert!(reconnects >= 3, "it came back {reconnects} times");
        got
    });
    let (ids, all) = tokio::join!(sending, futures_util::future::join_all(tabs));

    for got in all {
        assert_eq!(got, ids, "a tab shows all of them, each once, in their order");
    }

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_never_shown_and_holds_nothing_up() {
    let (world, business) = World::without_customers().await;
    let mut tab = tab(&world, &business, 0).await;
    assert_eq!(tab.next_event().await["type"], "caught_up");

    world.fault("chat", json!({"status": 413, "times": 1})).await;
    let failed = send(&world, &business, "the gateway does not take it").await;
    let next = send(&world, &business, "but this one").await;
    status(&world, &business, failed, "failed").await;
    assert_eq!(message_of(&tab.next_event().await), (2, next));

    settled(&world, &business, 2).await;
    // The gap is asked about, and there is nothing in it.
    assert_eq!(tab.resume(0).await, (vec![(2, next)], 2));
    assert_eq!(
        tab::fetch(&world, &world.visitor_token(business.conversation_id("chat")).await, failed)
            .await
            .0,
        404
    );

    world.let_customers_in().await;
}

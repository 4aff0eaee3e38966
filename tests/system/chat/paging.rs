//! Pages: a tab gets the newest messages, and those before them when its customer scrolls back.

use serde_json::{Value, json};
use uuid::Uuid;

use super::tab::{Tab, message_of};
use super::{send, settled, status, tab};
use domain::widget::{BAR, REPLAYS_PER_MINUTE};
use tests::{Business, World};

/// How many messages the long conversation has: two pages and a part.
const MESSAGES: u64 = 120;

/// How many messages a page has.
const PAGE: u64 = chat_socket::PAGE_SIZE as u64;

/// A conversation of [`MESSAGES`] messages, which a tab took and never reported; their ids.
async fn talk() -> (World, Business, Vec<Uuid>) {
    let (world, business) = World::without_customers().await;
    let mut shown = tab(&world, &business, 0).await;
    let mut ids = Vec::new();
    for number in 1..=MESSAGES {
        ids.push(send(&world, &business, &format!("number {number}")).await);
    }
    settled(&world, &business, MESSAGES).await;
    while shown.next_event().await["seq"] != MESSAGES {}
    shown.close().await;
    (world, business, ids)
}

/// The places of the messages up to the event that ends an answer, and that event.
async fn answer(tab: &mut Tab) -> (Vec<u64>, Value) {
    let mut places = Vec::new();
    loop {
        let event = tab.next_event().await;
        if event["type"] != "new_message" {
            return (places, event);
        }
        places.push(message_of(&event).0);
    }
}

async fn history(tab: &mut Tab, before: u64) -> (Vec<u64>, Value) {
    tab.send_action(json!({"action": "history", "before": before})).await;
    answer(tab).await
}

fn places(first: u64, last: u64) -> Vec<u64> {
    (first..=last).collect()
}

fn backwards(first: u64, last: u64) -> Vec<u64> {
    (first..=last).rev().collect()
}

/// One conversation for all of them: to make it takes longer than to read it.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_conversation_is_read_page_by_page() {
    let (world, business, ids) = talk().await;
    a_new_tab_gets_the_newest_page_and_the_pages_before_it_when_it_asks(&world, &business).await;
    a_page_of_short_messages_is_one_event(&world, &business).await;
    a_tab_that_comes_back_gets_what_it_missed_up_to_a_page(&world, &business).await;
    a_message_of_an_older_page_that_was_never_reported_can_be(&world, &business, &ids).await;
    a_connection_that_asks_for_pages_without_end_is_ended(&world, &business).await;
    what_comes_behind_a_page_comes_as_ever(&world, &business).await;
    world.let_customers_in().await;
}

async fn a_new_tab_gets_the_newest_page_and_the_pages_before_it_when_it_asks(
    world: &World,
    business: &Business,
) {
    let reads = || world.calls_of("ChatSocket").get("dynamodb:Query").copied().unwrap_or(0);
    let before = reads();
    let mut tab = tab(world, business, 0).await;
    let first = MESSAGES - PAGE;
    assert_eq!(tab.next_event().await, json!({"type": "page", "after": first}));
    let end = json!({"type": "caught_up", "seq": MESSAGES});
    assert_eq!(answer(&mut tab).await, (places(first + 1, MESSAGES), end));
    assert!(reads() - before <= 2, "a page is one query");

    let page = json!({"type": "history", "before": first + 1, "after": first - PAGE});
    let wanted = (backwards(first - PAGE + 1, first), page);
    assert_eq!(history(&mut tab, first + 1).await, wanted);
    let page = json!({"type": "history", "before": first - PAGE + 1, "after": 0});
    let wanted = (backwards(1, first - PAGE), page);
    assert_eq!(history(&mut tab, first - PAGE + 1).await, wanted);

    // What was sent on a connection is not sent on it again, and there is nothing before the first.
    for before in [1, 0, first + 1] {
        let nothing = json!({"type": "history", "before": before, "after": 0});
        assert_eq!(history(&mut tab, before).await, (vec![], nothing));
    }
}

async fn a_page_of_short_messages_is_one_event(world: &World, business: &Business) {
    let mut tab = tab(world, business, 0).await;
    for wanted in ["page", "new_messages", "caught_up"] {
        let event = tab.next_frame().await.expect("the line holds");
        assert_eq!(event["type"], wanted);
        let messages = event["messages"].as_array().map(Vec::len);
        assert!(messages.is_none_or(|messages| messages as u64 == PAGE), "{event}");
    }

    // One message alone comes as one that was just written does.
    tab.send_action(json!({"action": "history", "before": 2})).await;
    for wanted in ["new_message", "history"] {
        assert_eq!(tab.next_frame().await.expect("the line holds")["type"], wanted);
    }
}

async fn a_tab_that_comes_back_gets_what_it_missed_up_to_a_page(
    world: &World,
    business: &Business,
) {
    let end = json!({"type": "caught_up", "seq": MESSAGES});
    for missed in [0, 1, PAGE] {
        let mut tab = tab(world, business, MESSAGES - missed).await;
        let wanted = (places(MESSAGES - missed + 1, MESSAGES), end.clone());
        assert_eq!(answer(&mut tab).await, wanted);
    }

    let mut tab = tab(world, business, MESSAGES - PAGE - 1).await;
    let first = MESSAGES - PAGE;
    assert_eq!(tab.next_event().await, json!({"type": "page", "after": first}));
    assert_eq!(answer(&mut tab).await, (places(first + 1, MESSAGES), end));
}

async fn a_message_of_an_older_page_that_was_never_reported_can_be(
    world: &World,
    business: &Business,
    ids: &[Uuid],
) {
    let mut tab = tab(world, business, 0).await;
    assert_eq!(tab.next_event().await["type"], "page");
    answer(&mut tab).await;
    tab.send_action(json!({"action": "history", "before": MESSAGES - PAGE + 1})).await;
    let event = tab.next_event().await;
    assert_eq!((message_of(&event).0, &event["status"]), (MESSAGES - PAGE, &Value::Null));
    let id = ids[(MESSAGES - PAGE - 1) as usize];
    tab.send_action(json!({"action": "ack", "id": id})).await;
    status(world, business, id, "delivered").await;
}

async fn a_connection_that_asks_for_pages_without_end_is_ended(world: &World, business: &Business) {
    let token = world.visitor_token(business.conversation_id("chat")).await;
    let mut early = Tab::open(world, &token).await;
    early.send_action(json!({"action": "history", "before": 5})).await;
    assert_eq!(early.next_error().await, "hello_first");

    // The hello is a replay, and so is each page that brings something.
    let mut greedy = tab(world, business, MESSAGES).await;
    answer(&mut greedy).await;
    for replay in 2..=REPLAYS_PER_MINUTE {
        let before = MESSAGES + 1 - u64::from(replay);
        greedy.send_action(json!({"action": "resume", "after": before})).await;
        assert_eq!(
            answer(&mut greedy).await,
            (vec![before + 1], json!({"type": "caught_up", "seq": MESSAGES}))
        );
    }
    let (_, refusal) = history(&mut greedy, 20).await;
    assert_eq!(refusal["code"], "too_many_replays");
    greedy.until_closed().await;
    world.pass(BAR.num_seconds() + 1).await;
}

async fn what_comes_behind_a_page_comes_as_ever(world: &World, business: &Business) {
    let mut tab = tab(world, business, 0).await;
    assert_eq!(tab.next_event().await["type"], "page");
    answer(&mut tab).await;
    let id = send(world, business, "one more").await;
    assert_eq!(message_of(&tab.next_event().await), (MESSAGES + 1, id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_holds_back_nothing_that_no_tab_has_taken() {
    let (world, business) = World::without_customers().await;
    let mut ids = Vec::new();
    for number in 1..=PAGE + 10 {
        ids.push(send(&world, &business, &format!("number {number}")).await);
    }

    let mut tab = tab(&world, &business, 0).await;
    assert_eq!(tab.next_event().await["type"], "caught_up", "the worker brings them");
    for (seq, id) in (1..).zip(&ids) {
        assert_eq!(message_of(&tab.next_event().await), (seq, *id));
        tab.send_action(json!({"action": "ack", "id": id})).await;
    }
    for id in &ids {
        status(&world, &business, *id, "delivered").await;
    }
    world.let_customers_in().await;
}

//! Visitors who write back: what they wrote is stored once, in order with agents' messages, shown
//! to their other tabs, listed, and counted nowhere.

use std::collections::BTreeSet;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use uuid::Uuid;

use super::tab::Tab;
use super::{send, tab};
use domain::widget::{MAX_MESSAGE_CHARACTERS, MESSAGES_PER_MINUTE};
use tests::{Business, World};

/// How many agents and visitors write while the list is followed, and how much each.
const AGENTS: usize = 3;
const TABS: usize = 4;
const MESSAGES: usize = 25;

/// A tab that has said hello and got everything.
async fn open(world: &World, business: &Business) -> Tab {
    let mut tab = tab(world, business, 0).await;
    tab.until_caught_up().await;
    tab
}

fn message(client_id: &str, content: &str) -> Value {
    json!({"action": "message", "client_id": client_id, "content": content})
}

/// Writes a message, and returns what answers it.
async fn write(world: &World, tab: &mut Tab, client_id: &str, content: &str) -> Value {
    world.ledger().texts.push(content.to_owned());
    tab.send_action(message(client_id, content)).await;
    loop {
        let event = tab.next_event().await;
        if event["client_id"] == client_id {
            note(world, &event);
            return event;
        }
    }
}

/// Notes what a visitor was told is stored, for the oracle.
fn note(world: &World, event: &Value) -> Option<Uuid> {
    let id = (event["type"] == "customer_message").then(|| id_of(&event["message"]))?;
    let text = event["message"]["content"].as_str().expect("a text").to_owned();
    world.ledger().written.insert(id, text);
    Some(id)
}

fn id_of(message: &Value) -> Uuid {
    message["id"].as_str().expect("an id").parse().expect("a UUID")
}

/// A page of the conversation's list.
async fn list(world: &World, business: &Business, query: &str) -> Value {
    let conversation_id = business.conversation_id("chat");
    let path = format!("/api/v1/conversations/{conversation_id}/messages?{query}");
    let answer = world.get(&business.api_key, &path).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer.json()
}

fn contents(page: &Value) -> Vec<&str> {
    let messages = page["messages"].as_array().expect("a list").iter();
    messages.map(|message| message["content"].as_str().expect("a text")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_visitor_writes_is_answered_shown_in_other_tabs_and_listed_in_its_place() {
    let (world, business) = World::without_customers().await;
    let conversation_id = business.conversation_id("chat");
    let mut writer = open(&world, &business).await;
    let mut other = open(&world, &business).await;

    let first = send(&world, &business, "What colour?").await;
    for tab in [&mut writer, &mut other] {
        assert_eq!(tab.next_message().await.1, first);
    }
    let answer = write(&world, &mut writer, "c-1", "Green \u{1F600}").await;
    let own = &answer["message"];
    assert_eq!((&answer["type"], &answer["number"]), (&json!("customer_message"), &json!(1)));
    let members: Vec<&String> = own.as_object().expect("an object").keys().collect();
    let known = [
        "id",
        "conversation_id",
        "sender_type",
        "sender_id",
        "content",
        "attachments",
        "created_at",
    ];
    assert_eq!(members.iter().collect::<BTreeSet<_>>().len(), known.len());
    assert!(known.iter().all(|name| own.get(name).is_some()), "{own}");
    assert_eq!(
        (&own["sender_type"], &own["sender_id"], &own["content"], &own["conversation_id"]),
        (&json!("customer"), &Value::Null, &json!("Green \u{1F600}"), &json!(conversation_id))
    );

    let shown = other.next_event().await;
    assert_eq!(shown, json!({"type": "customer_message", "number": 1, "message": own}));
    let second = send(&world, &business, "It is on its way.").await;
    for tab in [&mut writer, &mut other] {
        assert_eq!(tab.next_message().await, (2, second, "It is on its way.".to_owned()));
    }

    // In its place, in both directions, and found by its id.
    let expected = ["What colour?", "Green \u{1F600}", "It is on its way."];
    let both = list(&world, &business, "sender_type=any").await;
    assert_eq!(contents(&both), expected);
    let newest_first = list(&world, &business, "sender_type=any&order=desc").await;
    assert_eq!(
        contents(&newest_first),
        expected.map(|text| text).into_iter().rev().collect::<Vec<_>>()
    );
    let listed = &both["messages"][1];
    let path = format!("/api/v1/conversations/{conversation_id}/messages/{}", id_of(own));
    let read = world.get(&business.api_key, &path).await.json();
    assert_eq!(&read, listed);
    let delivery = json!({"status": "delivered", "attempts": 0, "history": [], "sent_at": null,
        "delivered_at": own["created_at"], "read_at": null, "failed_at": null, "error": null});
    assert_eq!(read["delivery"], delivery);

    // Who does not ask for it gets what was always there.
    for query in ["", "sender_type=agent"] {
        let agents = list(&world, &business, query).await;
        assert_eq!(contents(&agents), ["What colour?", "It is on its way."]);
        assert_eq!((&agents["next"], &agents["previous"]), (&json!("2"), &json!("1")));
    }
    let foreign = world.business(10, 1).await;
    let answer = world.get(&foreign.api_key, &path).await;
    assert_eq!(answer.problem(), (404, "conversation_not_found".into()));

    // Nothing was counted, and a receipt for one's own message changes nothing.
    assert_eq!(world.usage(&business.api_key).await.0, 2);
    writer.send_action(json!({"action": "read", "id": id_of(own)})).await;
    writer.ping().await;
    assert_eq!(world.get(&business.api_key, &path).await.json(), read);

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_client_id_makes_one_message_however_often_it_comes() {
    let (world, business) = World::without_customers().await;
    let mut tabs = Vec::new();
    for _ in 0..8 {
        tabs.push(open(&world, &business).await);
    }

    // From every tab at once, and then once more from a new one, as after a lost answer.
    let answers = join_all(tabs.iter_mut().map(|tab| async {
        let mut answer = write(&world, tab, "the-one", "Hello?").await;
        while answer["code"] == "busy" {
            answer = write(&world, tab, "the-one", "Hello?").await;
        }
        answer
    }));
    let answers = answers.await;
    let ids: BTreeSet<Uuid> = answers.iter().map(|answer| id_of(&answer["message"])).collect();
    assert_eq!(ids.len(), 1, "{answers:?}");
    let again = write(&world, &mut open(&world, &business).await, "the-one", "Hello?").await;
    assert_eq!(again, answers[0]);

    let other = write(&world, &mut tabs[0], "the-one", "Something else").await;
    let told = (&other["type"], &other["code"], &other["field"]);
    assert_eq!(told, (&json!("error"), &json!("client_id_reused"), &json!("client_id")));
    assert_eq!(contents(&list(&world, &business, "sender_type=any").await), ["Hello?"]);

    // Another conversation's name is its own.
    let neighbour = world.business(10, 1).await;
    let own = write(&world, &mut open(&world, &neighbour).await, "the-one", "Good morning").await;
    assert_eq!(own["number"], 1, "{own}");

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_refused_names_the_field_and_the_limit() {
    let (world, business) = World::without_customers().await;
    let mut tab = open(&world, &business).await;
    let longest = "\u{1F600}".repeat(MAX_MESSAGE_CHARACTERS);
    let stored = write(&world, &mut tab, &"i".repeat(64), &longest).await;
    assert_eq!(stored["message"]["content"], *longest);

    let too_long = "x".repeat(MAX_MESSAGE_CHARACTERS + 1);
    let client_id = "i".repeat(65);
    for (client_id, content, code, field, limit) in [
        ("1", too_long.as_str(), "content_too_long", "content", json!(MAX_MESSAGE_CHARACTERS)),
        ("2", " \n\u{200b}", "content_not_allowed", "content", Value::Null),
        ("3", "a\u{7}", "content_not_allowed", "content", Value::Null),
        (client_id.as_str(), "Hi", "client_id_invalid", "client_id", json!(64)),
        ("a b", "Hi", "client_id_invalid", "client_id", json!(64)),
    ] {
        let refused = write(&world, &mut tab, client_id, content).await;
        let told = (&refused["code"], &refused["field"], &refused["limit"]);
        assert_eq!(told, (&json!(code), &json!(field), &limit), "{refused}");
    }
    for malformed in [
        json!({"action": "message", "content": "Hi"}),
        json!({"action": "message", "client_id": "4"}),
        json!({"action": "message", "client_id": "4", "content": "Hi", "attachments": []}),
    ] {
        tab.send_action(malformed).await;
        assert_eq!(tab.next_error().await, "not_understood");
    }

    let mut early =
        Tab::open(&world, &world.visitor_token(business.conversation_id("chat")).await).await;
    early.send_action(message("5", "before hello")).await;
    assert_eq!(early.next_error().await, "hello_first");

    assert_eq!(contents(&list(&world, &business, "sender_type=any").await), [longest.as_str()]);
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_writes_so_many_messages_a_minute_whatever_the_tab() {
    let (world, business) = World::without_customers().await;
    let mut tabs = [open(&world, &business).await, open(&world, &business).await];
    for number in 0..MESSAGES_PER_MINUTE {
        let tab = &mut tabs[number as usize % 2];
        let answer = write(&world, tab, &format!("c-{number}"), &format!("line {number}")).await;
        assert_eq!(answer["number"], number + 1, "{answer}");
    }

    let refused = write(&world, &mut tabs[0], "one-more", "one more").await;
    assert_eq!(
        (&refused["code"], &refused["limit"]),
        (&json!("too_many_messages"), &json!(MESSAGES_PER_MINUTE))
    );
    let seconds = refused["retry_after"].as_i64().expect("a number");
    assert!((1..=60).contains(&seconds), "{refused}");

    // Its answer to one that it has is still there, and the next minute takes the other one.
    let known = write(&world, &mut tabs[1], "c-0", "line 0").await;
    assert_eq!(known["number"], 1);
    world.pass(seconds).await;
    let answer = write(&world, &mut tabs[0], "one-more", "one more").await;
    assert_eq!(answer["number"], MESSAGES_PER_MINUTE + 1);

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_comes_back_asks_for_what_was_written_meanwhile() {
    let (world, business) = World::without_customers().await;
    let mut writer = open(&world, &business).await;
    for number in 1..=3 {
        write(&world, &mut writer, &format!("c-{number}"), &format!("line {number}")).await;
    }

    let mut tab = open(&world, &business).await;
    for (question, numbers, after) in [
        (json!({}), vec![1, 2, 3], 0),
        (json!({"after": 1}), vec![2, 3], 1),
        (json!({"before": 3}), vec![1, 2], 0),
        (json!({"after": 3}), vec![], 3),
        (json!({"before": 0}), vec![], 0),
    ] {
        let mut action = question.clone();
        action["action"] = json!("customer_messages");
        tab.send_action(action).await;
        let page = tab.next_event().await;
        let told = page["messages"].as_array().expect("a list").iter();
        let told: Vec<_> = told.map(|one| one["number"].as_u64().expect("a number")).collect();
        assert_eq!((told, &page["after"]), (numbers, &json!(after)), "{question}");
    }

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poller_gets_what_both_sides_write_once_and_in_order_while_they_write() {
    let (world, business) = World::without_customers().await;
    let conversation_id = business.conversation_id("chat");

    let agents = join_all((0..AGENTS).map(async |agent| {
        let mut ids = Vec::new();
        for number in 0..MESSAGES {
            let text = format!("number {number} of agent {agent}");
            let key = format!("{agent}-{number}");
            let send = || world.send(&business.api_key, conversation_id, &text).key(&key).go();
            let mut answer = send().await;
            while answer.status == 503 {
                answer = send().await;
            }
            ids.push(answer.id());
        }
        ids
    }));
    // As many as a minute allows, from several tabs at once.
    let each = MESSAGES_PER_MINUTE as usize / TABS;
    let mut tabs = Vec::new();
    for _ in 0..TABS {
        tabs.push(open(&world, &business).await);
    }
    let visitors = join_all(tabs.iter_mut().enumerate().map(async |(visitor, tab)| {
        let mut ids = Vec::new();
        for number in 0..each {
            let client_id = format!("{visitor}-{number}");
            let text = format!("number {number} of tab {visitor}");
            let mut answer = write(&world, tab, &client_id, &text).await;
            while answer["code"] == "busy" {
                answer = write(&world, tab, &client_id, &text).await;
            }
            ids.push(id_of(&answer["message"]));
        }
        ids
    }));

    let expected = AGENTS * MESSAGES + TABS * each;
    let poller = async {
        let mut seen: Vec<(Uuid, bool)> = Vec::new();
        let mut next = "0".to_owned();
        while seen.len() < expected {
            let query = format!("sender_type=any&limit=7&after={next}");
            let page = list(&world, &business, &query).await;
            for message in page["messages"].as_array().expect("a list") {
                seen.push((id_of(message), message["sender_type"] == "agent"));
            }
            page["next"].as_str().expect("it is always there").clone_into(&mut next);
        }
        (seen, next)
    };
    let ((agents, visitors), (seen, next)) = join(join(agents, visitors), poller).await;

    let written: BTreeSet<Uuid> = agents.into_iter().chain(visitors).flatten().collect();
    let ids: BTreeSet<Uuid> = seen.iter().map(|(id, _)| *id).collect();
    assert_eq!((ids.len(), seen.len(), &ids), (expected, expected, &written));
    let after = list(&world, &business, &format!("sender_type=any&after={next}")).await;
    assert_eq!((contents(&after).len(), &after["has_more"]), (0, &json!(false)));

    // Each side in its own order, and the whole list, read later, in that of time.
    let of = |is_agent: bool| seen.iter().filter(move |(_, agent)| *agent == is_agent);
    let mut whole = Vec::new();
    let mut query = "sender_type=any&limit=100".to_owned();
    loop {
        let page = list(&world, &business, &query).await;
        for message in page["messages"].as_array().expect("a list") {
            whole.push((id_of(message), message["sender_type"] == "agent"));
        }
        let Some(next) = tests::next_page(&page) else { break };
        query = format!("sender_type=any&limit=100&after={next}");
    }
    for is_agent in [true, false] {
        let later: Vec<_> = whole.iter().filter(|(_, agent)| *agent == is_agent).collect();
        assert_eq!(of(is_agent).collect::<Vec<_>>(), later);
    }
    assert_eq!(whole.len(), expected);
    let used = world.usage(&business.api_key).await.0;
    assert_eq!(used, (AGENTS * MESSAGES) as u64, "what visitors write is not counted");

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answer_was_lost_is_stored_once() {
    let (world, business) = World::without_customers().await;

    // The process dies before or behind the write; the table's answer is lost, or the widget's.
    let write = |error: &str, times: u32, after_effect: bool| {
        let fault = json!({ "operation": "TransactWriteItems", "error": error, "times": times,
            "after_effect": after_effect });
        ("aws", fault)
    };
    let faults = [
        write("kill", 1, false),
        write("kill", 1, true),
        write("disconnect", 9, true),
        write("TransactionConflict", 3, false),
        ("chat", json!({ "status": 500, "times": 1 })),
    ];
    for (number, (whose, fault)) in (1..).zip(faults) {
        let mut tab = open(&world, &business).await;
        let client_id = format!("c-{number}");
        let text = format!("line {number}");
        world.ledger().texts.push(text.clone());
        world.fault(whose, fault.clone()).await;
        tab.send_action(message(&client_id, &text)).await;
        let heard = if whose == "aws" { tab.next_event().await } else { Value::Null };
        if note(&world, &heard).is_none() {
            tab.drop_connection();
            world.heal("aws").await;
            tab = open(&world, &business).await;
        }
        world.heal(whose).await;

        let again = self::write(&world, &mut tab, &client_id, &text).await;
        assert_eq!(again["number"], number, "{fault}: {again}, after {heard}");
    }

    let all = list(&world, &business, "sender_type=any").await;
    assert_eq!(contents(&all), ["line 1", "line 2", "line 3", "line 4", "line 5"]);
    world.let_customers_in().await;
}

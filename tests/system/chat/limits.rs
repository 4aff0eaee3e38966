//! The limits of one visitor on the socket: how much comes back for what is sent, how many tabs
//! there are, and when a connection ends.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use super::tab::Tab;
use super::{message_of, send, settled, status, tab};
use domain::widget::{
    BAR, CONNECTIONS_PER_MINUTE, IDLE_FRAMES_PER_MINUTE, MAX_TABS, REPLAYS_PER_MINUTE,
    UNCOUNTED_IDLE_FRAMES,
};
use domain::{BusinessId, ConversationId};
use platform::credential::SigningKey;
use platform::table::key;
use tests::{Business, World};

/// How many messages a conversation has.
const MESSAGES: u64 = 12;

/// How many messages a long conversation has: a receipt of each is more than a connection may send
/// of frames that change nothing.
const HISTORY: u64 = 150;

/// How many tabs report it too late, with fewer pings than would end them.
const LATE_TABS: usize = 4;

/// How many messages an agent writes in a busy minute.
const BUSY_MINUTE: u64 = 100;

/// How many hellos come in one packet.
const PACKET: usize = 8;

/// How many packets come, each on a connection of its own: most hellos change nothing, and there is
/// a limit of those.
const PACKETS: usize = 12;

/// How many frames a flood has.
const FLOOD: u64 = 25;

/// How many processes the local system has of a function at most.
const PROCESSES: usize = 16;

/// How many frames that change nothing are sent for each ping.
const ROUND: usize = 20;

/// How many frames flood a connection, and how many of them come at once: fewer than run at once,
/// of which the others would be throttled.
const BLAST: usize = 400;
const BLAST_AT_ONCE: usize = 80;

/// The most frames of a conversation in a minute that change nothing and are answered, in however
/// many processes.
const ANSWERS: usize = IDLE_FRAMES_PER_MINUTE as usize + PROCESSES * UNCOUNTED_IDLE_FRAMES as usize;

/// How many frames chat-socket has read a connection for, or more.
fn frames_heard(world: &World) -> u64 {
    let calls = world.calls();
    calls.get(&("ChatSocket".to_owned(), "dynamodb:GetItem".to_owned())).copied().unwrap_or(0)
}

/// A conversation of [`MESSAGES`] messages.
async fn talk() -> (World, Business) {
    let (world, business) = World::without_customers().await;
    let mut shown = tab(&world, &business, 0).await;
    for number in 1..=MESSAGES {
        send(&world, &business, &format!("number {number}")).await;
    }
    while shown.next_event().await["seq"] != MESSAGES {}
    settled(&world, &business, MESSAGES).await;
    shown.close().await;
    (world, business)
}

/// A tab with everything there is.
async fn caught_up_tab(world: &World, business: &Business) -> Tab {
    caught_up_tab_after(world, business, 0).await
}

/// A tab with everything there is after `after`.
async fn caught_up_tab_after(world: &World, business: &Business, after: u64) -> Tab {
    let mut tab = tab(world, business, after).await;
    tab.until_caught_up().await;
    tab
}

/// Sends so many messages, which a tab reports as delivered and read; returns their ids.
async fn write_and_read(
    world: &World,
    business: &Business,
    tab: &mut Tab,
    messages: u64,
) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for number in 1..=messages {
        ids.push(send(world, business, &format!("number {number}")).await);
        let (_, id) = message_of(&tab.next_event().await);
        report(tab, id).await;
    }
    status(world, business, *ids.last().expect("a message"), "read").await;
    settled(world, business, messages).await;
    ids
}

/// Reports a message as delivered and read.
async fn report(tab: &mut Tab, id: Uuid) {
    for action in ["ack", "read"] {
        tab.send_action(json!({"action": action, "id": id})).await;
    }
}

/// Reports messages, a few at once, and waits until that was heard.
async fn report_all(tab: &mut Tab, ids: &[Uuid]) {
    for some in ids.chunks(ROUND / 2) {
        for id in some {
            report(tab, *id).await;
        }
        tab.ping().await;
    }
}

/// Waits until no function is at work.
async fn until_quiet(world: &World) {
    let is_quiet = async || world.engine().activity().await.invocations.is_empty().then_some(());
    world.until("no function is at work", is_quiet).await;
}

/// How often chat-socket called this operation of AWS.
fn calls(world: &World, operation: &str) -> u64 {
    let calls = world.calls();
    calls.get(&("ChatSocket".to_owned(), operation.to_owned())).copied().unwrap_or(0)
}

/// How often chat-socket has called AWS since then.
fn calls_since(world: &World, before: &BTreeMap<(String, String), u64>) -> usize {
    let total = |calls: &BTreeMap<(String, String), u64>| -> u64 {
        calls.iter().filter(|((function, _), _)| function == "ChatSocket").map(|(_, n)| n).sum()
    };
    usize::try_from(total(&world.calls()) - total(before)).expect("a count")
}

/// Floods a connection with a frame that has an answer; returns what comes, until it is closed.
async fn blast(tab: &mut Tab, frame: &Value) -> Vec<Value> {
    let mut events = Vec::new();
    for _ in 0..BLAST / BLAST_AT_ONCE {
        for _ in 0..BLAST_AT_ONCE {
            tab.try_action(frame.clone()).await;
        }
        for _ in 0..BLAST_AT_ONCE {
            match tab.try_event().await {
                Some(event) => events.push(event),
                None => return events,
            }
        }
    }
    events
}

/// The lines that chat-socket wrote about refusals with this code.
fn refusals(world: &World, code: &str) -> Vec<Value> {
    let lines = world.logged();
    let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
    lines
        .filter(|line| line["message"] == "refused" && line["function_name"] == "ChatSocket")
        .filter(|line| line["code"] == code)
        .collect()
}

/// How many connections are listed for delivery.
async fn listed(world: &World, business: &Business) -> usize {
    let business_id = BusinessId(business.business_id);
    let conversation_id = ConversationId(business.conversation_id("chat"));
    world.table().connections(business_id, conversation_id).await.expect("the table answers").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resumes_brings_no_message_twice() {
    let (world, business) = talk().await;
    let mut tab = caught_up_tab(&world, &business).await;
    let before = frames_heard(&world);
    for _ in 0..FLOOD {
        tab.send_action(json!({"action": "resume", "after": 0})).await;
    }
    let is_answered = async || {
        let at_work = world.engine().activity().await.invocations;
        (frames_heard(&world) >= before + FLOOD && at_work.is_empty()).then_some(())
    };
    world.until("all frames are answered", is_answered).await;

    // Each is answered once at most, and with nothing but its end.
    tab.send_action(json!({"action": "ping"})).await;
    let mut answers = 0;
    loop {
        let event = tab.next_event().await;
        match event["type"].as_str() {
            Some("caught_up") => answers += 1,
            Some("pong") => break,
            _ => panic!("{event} was sent before"),
        }
    }
    assert!(answers <= FLOOD, "{answers} answers to {FLOOD} frames");

    // The same customer may come back.
    caught_up_tab(&world, &business).await;
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_reports_a_long_history_once_more_is_not_cut_off() {
    let (world, business) = World::without_customers().await;
    let mut first = caught_up_tab(&world, &business).await;
    let ids = write_and_read(&world, &business, &mut first, HISTORY).await;

    // A widget that does not look at the status sends both receipts of each message.
    let mut second = tab(&world, &business, HISTORY).await;
    assert_eq!(second.until_caught_up().await, (vec![], HISTORY));
    report_all(&mut second, &ids).await;

    // One after the other that does is.
    let refused = async {
        for _ in 0..LATE_TABS {
            let mut tab = caught_up_tab_after(&world, &business, HISTORY).await;
            for some in ids.chunks(ROUND) {
                for id in some {
                    for action in ["ack", "read"] {
                        tab.try_action(json!({"action": action, "id": id})).await;
                    }
                }
                tab.try_action(json!({"action": "ping"})).await;
                match tab.try_event().await {
                    Some(event) if event["type"] == "pong" => {}
                    event => return event.unwrap_or_default(),
                }
            }
        }
        panic!("receipts that come too late are not counted");
    };
    let refusal = refused.await;
    assert_eq!(refusal["code"], "too_many_frames", "{refusal}");
    world.pass(BAR.num_seconds() + 1).await;
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_tab_reports_whatever_the_first_has_in_a_busy_minute() {
    let (world, business) = World::without_customers().await;
    let mut first = caught_up_tab(&world, &business).await;
    let mut second = caught_up_tab(&world, &business).await;
    let ids = write_and_read(&world, &business, &mut first, BUSY_MINUTE).await;

    for id in &ids {
        let event = second.next_event().await;
        assert_eq!(event["status"], Value::Null, "a message that goes out has no receipt yet");
        assert_eq!(message_of(&event).1, *id);
    }
    report_all(&mut second, &ids).await;
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_message_says_how_far_it_was_reported() {
    let (world, business) = World::without_customers().await;
    let mut first = caught_up_tab(&world, &business).await;
    let reports = [vec![], vec!["ack"], vec!["ack", "read"]];
    for (actions, reached) in reports.iter().zip(["sent", "delivered", "read"]) {
        let id = send(&world, &business, &format!("to be {reached}")).await;
        assert_eq!(message_of(&first.next_event().await).1, id);
        status(&world, &business, id, "sent").await;
        for action in actions {
            first.send_action(json!({"action": action, "id": id})).await;
        }
        status(&world, &business, id, reached).await;
    }

    settled(&world, &business, 3).await;
    let mut second = tab(&world, &business, 0).await;
    for reached in [Value::Null, json!("delivered"), json!("read")] {
        assert_eq!(second.next_event().await["status"], reached);
    }
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_that_brings_nothing_is_no_replay_and_the_first_of_a_minute_write_nothing() {
    let (world, business) = talk().await;
    let mut tab = caught_up_tab(&world, &business).await;
    until_quiet(&world).await;
    let before = calls(&world, "dynamodb:UpdateItem");
    for number in 0..=REPLAYS_PER_MINUTE {
        assert_eq!(tab.resume(MESSAGES).await, (vec![], MESSAGES));
        if number < UNCOUNTED_IDLE_FRAMES {
            assert_eq!(calls(&world, "dynamodb:UpdateItem"), before);
        }
    }
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hellos_of_one_packet_bring_each_message_once() {
    let (world, business) = talk().await;
    let token = world.visitor_token(business.conversation_id("chat")).await;
    for _ in 0..PACKETS {
        let mut tab = Tab::open(&world, &token).await;
        tab.send_at_once(&vec![json!({"action": "hello", "after": 0}); PACKET]).await;

        let mut messages = 0;
        loop {
            let event = tab.next_event().await;
            match event["type"].as_str() {
                Some("new_message") => messages += 1,
                Some("caught_up") => break,
                _ => {}
            }
        }
        tab.send_action(json!({"action": "ping"})).await;
        loop {
            let event = tab.next_event().await;
            match event["type"].as_str() {
                Some("new_message") => messages += 1,
                Some("pong") => break,
                _ => {}
            }
        }
        assert_eq!(messages, MESSAGES, "each message comes once");
    }
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_opens_although_its_timer_cannot_be_started() {
    let (world, business) = World::without_customers().await;
    let fault =
        json!({"operation": "SendMessage", "error": "InternalError", "function": "chat-socket"});
    world.fault("aws", fault).await;
    let token = world.visitor_token(business.conversation_id("chat")).await;
    let opened = Tab::try_open(&world, &token).await.err();
    world.heal("aws").await;
    assert_eq!(opened, None);
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_fails_to_open_has_no_place_among_the_tabs() {
    let (world, business) = World::without_customers().await;
    let mut tabs = Vec::new();
    for _ in 1..MAX_TABS {
        tabs.push(caught_up_tab(&world, &business).await);
    }

    // The write arrives and its answer does not, so that the handshake fails.
    let fault = json!({"operation": "UpdateItem", "error": "InternalServerError",
        "function": "chat-socket", "about": "tabs", "after_effect": true});
    world.fault("aws", fault).await;
    let token = world.visitor_token(business.conversation_id("chat")).await;
    assert!(Tab::try_open(&world, &token).await.is_err());
    world.heal("aws").await;

    tabs.push(caught_up_tab(&world, &business).await);
    for tab in &mut tabs {
        tab.ping().await;
    }
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_on_a_connection_that_is_not_known_makes_its_widget_come_back() {
    let (world, business) = World::without_customers().await;
    let mut tab = caught_up_tab(&world, &business).await;
    let business_id = BusinessId(business.business_id);
    let conversation_id = ConversationId(business.conversation_id("chat"));
    let table = world.table();
    let connections = table.connections(business_id, conversation_id).await.expect("the table");
    table.disconnect(&connections[0]).await.expect("the table answers");

    tab.send_action(json!({"action": "ping"})).await;
    assert_eq!(tab.next_error().await, "unknown_connection");
    tab.until_closed().await;
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_only_so_many_replays_a_minute() {
    let (world, business) = talk().await;
    let mut tab = caught_up_tab(&world, &business).await; // the first
    for _ in 1..REPLAYS_PER_MINUTE {
        tab.hello(MESSAGES).await;
        assert_eq!(tab.next_event().await["type"], "hello");
        assert_eq!(tab.until_caught_up().await, (vec![], MESSAGES));
    }

    tab.hello(MESSAGES).await;
    let refusal = tab.next_event().await;
    assert_eq!(refusal["code"], "too_many_replays");
    let detail = refusal["detail"].as_str().expect("a text");
    assert!(detail.contains(&REPLAYS_PER_MINUTE.to_string()), "{detail}");
    let wait = refusal["retry_after"].as_u64().expect("seconds");
    assert!((1..=60).contains(&wait), "{refusal}");
    tab.until_closed().await;

    // Nor has the conversation any on a new connection.
    let token = world.visitor_token(business.conversation_id("chat")).await;
    assert_eq!(Tab::try_open(&world, &token).await.err(), Some(429));
    world.pass(BAR.num_seconds() + 1).await;
    caught_up_tab(&world, &business).await;
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blast_of_frames_ends_its_connection_after_bounded_answers_and_calls() {
    let (world, _) = World::without_customers().await;
    for (is_greeted, frame, answer) in [
        (true, json!({"action": "ping"}), "pong"),
        (false, json!({"action": "ping"}), "hello_first"),
        (true, json!({"action": "shout"}), "not_understood"),
        (true, json!({"action": "resume", "after": 0}), "caught_up"),
    ] {
        let business = world.business(10, 1).await;
        let token = world.visitor_token(business.conversation_id("chat")).await;
        let mut tab = Tab::open(&world, &token).await;
        if is_greeted {
            tab.hello(0).await;
            assert_eq!(tab.next_event().await["type"], "hello");
            tab.until_caught_up().await;
        }
        until_quiet(&world).await;

        let before = world.calls();
        let mut answers = 0;
        for event in blast(&mut tab, &frame).await {
            if event["type"] == answer || event["code"] == answer {
                answers += 1;
            } else {
                assert_eq!(event["code"], "too_many_frames", "{event}");
            }
        }
        assert!(answers <= ANSWERS, "{answers} answers to {BLAST} of {frame}");

        // A frame that is answered costs two reads and a write and its answer, and what finds the
        // limit reached costs as much once in each process, whatever else is sent.
        until_quiet(&world).await;
        let calls = calls_since(&world, &before);
        let most = 4 * ANSWERS + 10 * PROCESSES;
        assert!(calls <= most, "{calls} calls for {BLAST} of {frame}, at most {most} may be");
    }
    world.pass(BAR.num_seconds() + 1).await;
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_reaches_a_limit_bars_its_conversation_and_no_other() {
    let (world, business) = talk().await;
    let other = world.business(10, 1).await;
    let mut neighbour = caught_up_tab(&world, &other).await;
    let mut quiet = caught_up_tab(&world, &business).await;
    let mut flood = caught_up_tab(&world, &business).await;
    blast(&mut flood, &json!({"action": "ping"})).await;

    // Its other tabs are told when they may come back, and are ended as well.
    let refusal = quiet.next_event().await;
    assert_eq!(refusal["code"], "barred", "{refusal}");
    let wait = refusal["retry_after"].as_i64().expect("seconds");
    assert!((1..=BAR.num_seconds()).contains(&wait), "{refusal}");
    quiet.until_closed().await;
    flood.until_closed().await;

    // Handshakes are refused, at first by a read, and by none in a process that knows.
    let token = world.visitor_token(business.conversation_id("chat")).await;
    until_quiet(&world).await;
    let before = world.calls();
    for _ in 0..FLOOD {
        assert_eq!(Tab::try_open(&world, &token).await.err(), Some(429));
    }
    let refused_by = calls_since(&world, &before);
    assert!(refused_by <= PROCESSES, "{refused_by} calls for {FLOOD} handshakes");

    // Another business's customer does not notice.
    neighbour.ping().await;
    caught_up_tab(&world, &other).await;

    // What is written meanwhile is there when the customer comes back, who did nothing but wait.
    let id = send(&world, &business, "while you were away").await;
    world.pass(BAR.num_seconds() + 1).await;
    let mut back = tab(&world, &business, MESSAGES).await;
    loop {
        let event = back.next_event().await;
        if event["type"] == "new_message" {
            assert_eq!(message_of(&event), (MESSAGES + 1, id));
            break;
        }
    }
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_change_nothing_are_counted_and_end_the_connection() {
    let (world, business) = talk().await;
    let id = send(&world, &business, "to be acknowledged").await;
    let mut shown = caught_up_tab(&world, &business).await;
    status(&world, &business, id, "sent").await;
    shown.send_action(json!({"action": "read", "id": id})).await;
    status(&world, &business, id, "read").await;

    let other = world.business(10, 1).await;
    let foreign = world.visitor_token(other.conversation_id("chat")).await;
    for (frame, answers) in [
        (json!({"action": "ping"}), 1),
        (json!({"action": "shout"}), 1),
        (json!({"action": "hello", "token": foreign}), 1),
        (json!({"action": "ack", "id": id}), 0),
        (json!({"action": "ack", "id": "01900000-0001-7abc-848d-17ffffffffff"}), 0),
        (json!({"action": "message", "client_id": "1", "content": " "}), 1),
        (json!({"action": "message", "client_id": "1", "content": "stored once"}), 1),
        (json!({"action": "customer_messages"}), 1),
    ] {
        let mut tab = caught_up_tab(&world, &business).await;
        // In fewer rounds than would end it for their pings alone, in however many processes.
        let refusal = 'refused: {
            for _ in 0..IDLE_FRAMES_PER_MINUTE {
                for _ in 0..ROUND {
                    tab.try_action(frame.clone()).await;
                }
                tab.try_action(json!({"action": "ping"})).await;
                for _ in 0..=ROUND * answers {
                    let event = tab.next_event().await;
                    if event["code"] == "too_many_frames" {
                        break 'refused event;
                    }
                }
            }
            panic!("{frame} is not counted");
        };
        let detail = refusal["detail"].as_str().expect("a text");
        assert!(detail.contains(&IDLE_FRAMES_PER_MINUTE.to_string()), "{detail}");
        assert!(refusal["retry_after"].is_u64(), "{refusal}");
        tab.until_closed().await;
        world.pass(BAR.num_seconds() + 1).await;
    }
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_tab_takes_the_place_of_the_oldest_one() {
    let (world, business) = World::without_customers().await;
    let mut tabs = Vec::new();
    for _ in 0..MAX_TABS {
        tabs.push(caught_up_tab(&world, &business).await);
    }

    let mut newest = caught_up_tab(&world, &business).await;
    let refusal = tabs[0].next_event().await;
    assert_eq!(refusal["code"], "too_many_tabs", "{refusal}");
    assert!(refusal["detail"].as_str().is_some_and(|detail| detail.contains("20")), "{refusal}");
    tabs[0].until_closed().await;

    let id = send(&world, &business, "to twenty tabs").await;
    for tab in tabs[1..].iter_mut().chain([&mut newest]) {
        assert_eq!(message_of(&tab.next_event().await), (1, id));
    }
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_that_open_at_once_are_never_more_than_the_limit() {
    let (world, business) = World::without_customers().await;
    let token = world.visitor_token(business.conversation_id("chat")).await;
    let attempts = CONNECTIONS_PER_MINUTE as usize + 20;
    let opened = join_all((0..attempts).map(async |_| {
        let mut tab = Tab::try_open(&world, &token).await?;
        tab.greeting().await;
        Ok::<_, u16>(tab)
    }))
    .await;

    let refused: Vec<_> = opened.iter().filter_map(|tab| tab.as_ref().err()).collect();
    assert!(refused.len() >= 20 && refused.iter().all(|status| **status == 429), "{refused:?}");

    // Those whose place was taken are told so and closed.
    let mut tabs: Vec<Tab> = opened.into_iter().filter_map(Result::ok).collect();
    let alive = join_all(tabs.iter_mut().map(Tab::is_alive)).await;
    let alive = alive.into_iter().filter(|is_alive| *is_alive).count();
    assert_eq!(alive, MAX_TABS);
    world.pass(61).await;
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_opens_only_so_many_connections_a_minute() {
    let (world, business) = World::without_customers().await;
    let other = world.business(10, 1).await;
    let token = world.visitor_token(business.conversation_id("chat")).await;
    let mut opened = 0;
    while let Ok(tab) = Tab::try_open(&world, &token).await {
        opened += 1;
        assert!(opened <= CONNECTIONS_PER_MINUTE);
        tab.drop_connection();
    }
    for _ in 0..FLOOD {
        assert_eq!(Tab::try_open(&world, &token).await.err(), Some(429));
    }

    // Operators learn whose it was, and the flood does not fill their log.
    let lines = refusals(&world, "too_many_connections");
    assert!((1..=PROCESSES).contains(&lines.len()), "{lines:?}");
    for line in lines {
        assert_eq!(line["business"], business.business_id.to_string());
        assert_eq!(line["conversation"], business.conversation_id("chat").to_string());
    }

    // Another business's customer does not notice, and a minute later it is forgotten.
    caught_up_tab(&world, &other).await;
    world.pass(61).await;
    caught_up_tab(&world, &business).await;
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_no_hello_is_ended_and_one_that_does_is_not() {
    let (world, business) = World::without_customers().await;
    let token = world.visitor_token(business.conversation_id("chat")).await;
    let mut greeted = caught_up_tab(&world, &business).await;
    let mut silent = Tab::open(&world, &token).await;

    assert_eq!(silent.next_error().await, "hello_timeout");
    silent.until_closed().await;
    greeted.ping().await;
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_one_conversations() {
    let (world, business) = World::without_customers().await;
    let other = world.business(10, 1).await;
    let mine = world.visitor_token(business.conversation_id("chat")).await;
    let foreign = world.visitor_token(other.conversation_id("chat")).await;

    let mut tab = caught_up_tab(&world, &business).await;
    tab.hello_with(&foreign, 0).await;
    assert_eq!(tab.next_error().await, "other_conversation");
    let id = send(&world, &business, "mine").await;
    assert_eq!(message_of(&tab.next_event().await), (1, id), "it goes on with its own");
    assert_eq!(listed(&world, &other).await, 0);

    // Nor may the first hello be another conversation's.
    let mut tab = Tab::open(&world, &mine).await;
    tab.hello_with(&foreign, 0).await;
    assert_eq!(tab.next_error().await, "other_conversation");
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_expired_ends_its_connection() {
    let (world, business) = World::without_customers().await;
    let mut asks = caught_up_tab(&world, &business).await;
    let mut waits = caught_up_tab(&world, &business).await;
    let mut renewed = caught_up_tab(&world, &business).await;

    world.pass(1_800).await;
    let token = world.visitor_token(business.conversation_id("chat")).await;
    renewed.hello_with(&token, 0).await;
    assert_eq!(renewed.next_event().await["type"], "hello");
    renewed.until_caught_up().await;

    world.pass(1_861).await;
    asks.send_action(json!({"action": "ping"})).await;
    assert_eq!(asks.next_error().await, "token_expired");
    asks.until_closed().await;

    // One that asks nothing is told instead of getting the next message.
    let id = send(&world, &business, "for those whose token lasts").await;
    assert_eq!(waits.next_error().await, "token_expired");
    waits.until_closed().await;
    assert_eq!(message_of(&renewed.next_event().await), (1, id));
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_token_counts_although_a_replay_is_running() {
    let (world, business) = World::without_customers().await;
    let mut tab = caught_up_tab(&world, &business).await;
    world.pass(1_800).await;
    let token = world.visitor_token(business.conversation_id("chat")).await;

    // The gateway takes its time for the answer to the first hello.
    world.fault("chat", json!({"delay_ms": 2_000, "times": 1})).await;
    tab.hello(0).await;
    let runs = async || {
        let fault = world.sandbox(Method::GET, "/chat/faults", Value::Null).await;
        fault.is_null().then_some(())
    };
    world.until("a replay runs", runs).await;
    tab.hello_with(&token, 0).await;
    assert_eq!(tab.next_event().await["type"], "hello");
    tab.until_caught_up().await;
    tab.ping().await;

    world.pass(1_861).await;
    tab.ping().await;
    let id = send(&world, &business, "the newer token lasts").await;
    assert_eq!(message_of(&tab.next_event().await), (1, id));
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_an_older_release_has_stored_ends_and_holds_nothing_up() {
    let (world, business) = World::without_customers().await;
    let mut old = caught_up_tab(&world, &business).await;
    let business_id = BusinessId(business.business_id);
    let conversation_id = ConversationId(business.conversation_id("chat"));
    let connections = world.table().connections(business_id, conversation_id).await;
    let connection_id = connections.expect("the table answers")[0].connection_id.clone();
    for key in [
        key::connection(business_id, conversation_id, &connection_id),
        key::connection_owner(&connection_id),
    ] {
        let update = world.dynamodb().update_item().table_name(&world.ready.table);
        let update = update.set_key(Some(key.attributes()));
        update.update_expression("REMOVE kid, ends_at").send().await.expect("it is there");
    }

    let mut new = caught_up_tab(&world, &business).await;
    let id = send(&world, &business, "to the tab whose token is known").await;
    assert_eq!(message_of(&new.next_event().await), (1, id));
    assert_eq!(old.next_error().await, "token_expired");
    old.until_closed().await;
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_withdrawn_ends_the_connections_of_its_tokens() {
    let (world, business) = World::without_customers().await;
    let mut asks = caught_up_tab(&world, &business).await;
    let mut waits = caught_up_tab(&world, &business).await;

    let keys = world.secret("VisitorKeys").await;
    let new = SigningKey::generate("second".into());
    world.ledger().secrets.push(new.secret.expose_secret().to_owned());
    put_keys(&world, &json!({ "keys": [new] })).await;
    world.pass(301).await;

    asks.send_action(json!({"action": "ping"})).await;
    assert_eq!(asks.next_error().await, "token_expired");
    asks.until_closed().await;

    let id = send(&world, &business, "for those whose key is live").await;
    assert_eq!(waits.next_error().await, "token_expired");
    waits.until_closed().await;
    status(&world, &business, id, "queued").await;

    put_keys(&world, &keys).await;
    world.pass(301).await;
    world.let_customers_in().await;
}

/// Replaces the keys that sign visitors' tokens.
async fn put_keys(world: &World, keys: &Value) {
    let id = world.engine().secret_id("VisitorKeys").expect("the template declares it");
    let put = world.engine().secrets_manager().put_secret_value().secret_id(id);
    put.secret_string(keys.to_string()).send().await.expect("it is there");
}

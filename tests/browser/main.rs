//! The chat widget in a browser, on a page of another origin than the API's: what the customer
//! sees, and what the agent is told of it.
//!
//! Needs Chromium or Chrome, in the path or named by `BROWSER`, Firefox (`FIREFOX`), and axe-core
//! (`AXE`). Without one of them its tests say so and are over; where `CI` is set they fail.

mod barriers;
mod checks;
mod chromium;
mod console;
mod embedding;
mod firefox;
mod pictures;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use chromium::{Browser, Page};
use tests::{Business, World};

/// Makes `it` of the widget's shadow.
const SHADOW: &str = "document.querySelector('.pingback-chat').shadowRoot";

/// The shop's page with a customer of the business on it, once the widget is connected.
async fn visit(world: &World, browser: &Browser, business: &Business) -> Page {
    let conversation_id = business.conversation_id("chat");
    let page = browser
        .open(&format!("{}/widget?conversation_id={conversation_id}", world.ready.sandbox))
        .await;
    connected(world, &page).await;
    page
}

async fn connected(world: &World, page: &Page) {
    world.expect_pages();
    let state = format!(
        "document.readyState === 'complete' && {SHADOW}.querySelector('[aria-busy=false]') !== null \
         && {SHADOW}.querySelector('.state').textContent === ''"
    );
    world
        .until("the widget is connected", async || (page.ask(&state).await == true).then_some(()))
        .await;
}

/// The texts on a page, from top to bottom.
async fn texts(page: &Page) -> Vec<String> {
    let texts = page
        .ask(&format!("[...{SHADOW}.querySelectorAll('article > p')].map((p) => p.textContent)"))
        .await;
    serde_json::from_value(texts).expect("texts")
}

async fn until_shown(world: &World, page: &Page, wanted: &[&str]) {
    let shown = async || {
        let shown = texts(page).await;
        assert!(shown.len() <= wanted.len(), "shows {shown:?}, not {wanted:?}");
        (shown.len() == wanted.len()).then(|| assert_eq!(shown, wanted))
    };
    world.until(&format!("the page shows {wanted:?}"), shown).await;
}

async fn send(world: &World, business: &Business, text: &str) -> Uuid {
    world.send(&business.api_key, business.conversation_id("chat"), text).go().await.id()
}

async fn status(world: &World, business: &Business, id: Uuid, status: &str) {
    world.until_status(&business.api_key, business.conversation_id("chat"), id, status).await;
}

/// Has API Gateway end every connection of the business's customer.
async fn cut(world: &World, business: &Business) {
    let b = domain::BusinessId(business.business_id);
    let c = domain::ConversationId(business.conversation_id("chat"));
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    for connected in world.table().connections(b, c).await.expect("the table answers") {
        let url =
            format!("{}/@connections/{}", world.engine().management_url(), connected.connection_id);
        http.delete(url).send().await.expect("the gateway answers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_delivered_when_it_is_on_the_page_and_read_when_it_is_looked_at() {
    let Some(browser) = Browser::start().await else { return };
    let (world, business) = World::without_customers().await;
    let page = visit(&world, &browser, &business).await;
    let first = send(&world, &business, "Hi Anna").await;
    until_shown(&world, &page, &["Hi Anna"]).await;

    status(&world, &business, first, "read").await;
    // Off the screen, nothing is read.
    page.ask("document.body.style.paddingTop = '300vh'").await;

    let second = send(&world, &business, "Are you still there?").await;
    status(&world, &business, second, "delivered").await;
    until_shown(&world, &page, &["Hi Anna", "Are you still there?"]).await;

    let delivery =
        world.delivery(&business.api_key, business.conversation_id("chat"), second).await;
    assert_eq!(delivery["status"], "delivered");

    page.ask(&format!("{SHADOW}.host.scrollIntoView()")).await;
    status(&world, &business, second, "read").await;
    let log = format!("{SHADOW}.querySelector('.log')");

    for (attribute, value) in
        [("role", "log"), ("aria-live", "polite"), ("aria-label", "Chat"), ("tabindex", "0")]
    {
        assert_eq!(page.ask(&format!("{log}.getAttribute('{attribute}')")).await, value);
    }

    assert_eq!(page.complaints().await, json!([]));

    world.let_customers_in().await;
}

/// Writes a text into the widget's field and sends it by its key.
async fn write(page: &Page, text: &str) {
    let text = json!(text);
    page.ask(&format!(
        "(() => {{ const field = {SHADOW}.querySelector('textarea'); field.value = {text}; \
         field.dispatchEvent(new InputEvent('input')); \
         field.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'Enter', cancelable: true }})); \
         return field.value; }})()"
    ))
    .await;
}

/// Returns the messages of both sides in the conversation's list.
async fn listed(world: &World, business: &Business) -> Vec<String> {
    let conversation_id = business.conversation_id("chat");
    let path = format!("/api/v1/conversations/{conversation_id}/messages?sender_type=any");
    let page = world.get(&business.api_key, &path).await.json();
    let messages = page["messages"].as_array().expect("a list").iter();
    messages.map(|message| message["content"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_writes_back_and_every_tab_and_the_agent_have_it_once() {
    let Some(browser) = Browser::start().await else { return };
    let (world, business) = World::without_customers().await;
    let page = visit(&world, &browser, &business).await;
    let other = visit(&world, &browser, &business).await;
    for text in ["Green, please", "<b>and</b> a bow", "while you were away"] {
        world.ledger().texts.push(text.to_owned());
    }

    send(&world, &business, "What colour?").await;
    until_shown(&world, &page, &["What colour?"]).await;
    write(&page, "Green, please").await;
    write(&page, "<b>and</b> a bow").await;
    let mut wanted = vec!["What colour?", "Green, please", "<b>and</b> a bow"];
    for tab in [&page, &other] {
        until_shown(&world, tab, &wanted).await;
    }
    assert_eq!(page.ask(&format!("{SHADOW}.querySelectorAll('.mine').length")).await, 2);
    assert_eq!(page.ask(&format!("{SHADOW}.querySelectorAll('article b').length")).await, 0);

    // The process dies behind the write: the answer is lost, the message is not, and comes once.
    let fault = json!({ "operation": "TransactWriteItems", "error": "kill", "times": 1,
        "after_effect": true });
    world.fault("aws", fault).await;
    write(&page, "while you were away").await;
    wanted.push("while you were away");
    let sent = format!("{SHADOW}.querySelectorAll('article footer').length");
    world.until("it is sent", async || (page.ask(&sent).await == 0).then_some(())).await;
    until_shown(&world, &page, &wanted).await;
    assert_eq!(listed(&world, &business).await, wanted);

    // A tab that comes later has all of it.
    let later = visit(&world, &browser, &business).await;
    until_shown(&world, &later, &wanted).await;
    assert_eq!(world.usage(&business.api_key).await.0, 1);
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_message_says_is_text_and_nothing_but_text() {
    let Some(browser) = Browser::start().await else { return };
    let (world, business) = World::without_customers().await;
    let page = visit(&world, &browser, &business).await;
    let hostile =
        "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=2</script> & <b>bold</b>";
    send(&world, &business, hostile).await;
    send(&world, &business, "two lines\nof text").await;
    until_shown(&world, &page, &[hostile, "two lines\nof text"]).await;
    assert_eq!(page.ask(&format!("{SHADOW}.querySelectorAll('img, script, b').length")).await, 0);
    assert_eq!(page.ask("window.hacked === undefined").await, true);
    assert_eq!(page.complaints().await, json!([]));
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_show_the_same_and_neither_shows_anything_twice() {
    let Some(browser) = Browser::start().await else { return };
    let (world, business) = World::without_customers().await;
    send(&world, &business, "before any tab came").await;

    let tabs = [visit(&world, &browser, &business).await, visit(&world, &browser, &business).await];
    let last = send(&world, &business, "to both of you").await;
    for tab in &tabs {
        until_shown(&world, tab, &["before any tab came", "to both of you"]).await;
    }

    status(&world, &business, last, "read").await;
    // A tab that is loaded again shows what it has shown, and goes on from there.
    tabs[0].reload().await;
    connected(&world, &tabs[0]).await;
    send(&world, &business, "and to both again").await;

    for tab in &tabs {
        until_shown(&world, tab, &["before any tab came", "to both of you", "and to both again"])
            .await;
    }

    world.let_customers_in().await;
}

/// How many messages a long conversation has.
const HISTORY: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_comes_by_pages_and_is_not_reported_once_more() {
    let Some(browser) = Browser::start().await else { return };
    let world = World::start().await;
    let business = world.business(1_000, 1).await;
    let page = visit(&world, &browser, &business).await;
    let mut wanted = Vec::new();
    for number in 1..=HISTORY {
        wanted.push(format!("number {number}"));
        send(&world, &business, &wanted[wanted.len() - 1]).await;
    }
    let all: Vec<&str> = wanted.iter().map(String::as_str).collect();
    until_shown(&world, &page, &all).await;
    let calls = |operation: &str| world.calls_of("ChatSocket").get(operation).copied().unwrap_or(0);

    // Another tab, which has stored nothing, gets the newest page, and as nothing was read four
    // more. It reports nothing: that would be two reads for each message, and more frames that
    // change nothing than a connection may send.
    let reads = calls("dynamodb:GetItem");
    let other = visit(&world, &browser, &business).await;
    // The customer is then near the beginning of what is there, so one page more may have come.
    let most = async || {
        let shown = texts(&other).await;
        assert!(all.ends_with(&shown.iter().map(String::as_str).collect::<Vec<_>>()), "{shown:?}");
        (shown.len() >= 250).then_some(())
    };
    world.until("it shows five pages", most).await;
    other.ask(&format!("{SHADOW}.querySelector('.earlier').click()")).await;
    until_shown(&world, &other, &all).await;
    let more = calls("dynamodb:GetItem") - reads;
    assert!(more < HISTORY, "{more} reads");

    send(&world, &business, "one more").await;
    until_shown(&world, &other, &[&all[..], &["one more"]].concat()).await;

    let logged = world.logged();
    let refused: Vec<_> = logged.iter().filter(|line| line.text.contains("too_many")).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_comes_back_without_a_gap_or_a_copy() {
    let Some(browser) = Browser::start().await else { return };
    let (world, business) = World::without_customers().await;
    let page = visit(&world, &browser, &business).await;
    let mut wanted = Vec::new();

    for round in 1..=3 {
        wanted.push(format!("round {round}, before"));
        send(&world, &business, &wanted[wanted.len() - 1]).await;
        cut(&world, &business).await;
        for number in 1..=3 {
            wanted.push(format!("round {round}, {number}"));
            send(&world, &business, &wanted[wanted.len() - 1]).await;
        }
        let all: Vec<&str> = wanted.iter().map(String::as_str).collect();
        until_shown(&world, &page, &all).await;
    }

    // So many unread messages do not fit into the chat, which follows none past the first of them.
    let last = send(&world, &business, "the end").await;
    wanted.push("the end".into());
    let all: Vec<&str> = wanted.iter().map(String::as_str).collect();
    until_shown(&world, &page, &all).await;
    page.ask(&format!("{SHADOW}.querySelector('.log').scrollTo(0, 1e6)")).await;
    status(&world, &business, last, "read").await;
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_overtakes_is_held_back_and_what_never_comes_is_not_waited_for() {
    let Some(browser) = Browser::start().await else { return };
    let (world, business) = World::without_customers().await;
    let page = visit(&world, &browser, &business).await;
    // A worker's event and the replay's come by different ways, so their order is not ours to
    // choose here.
    let hear = async |event: Value| page.ask(&format!("PingbackChat.chat.hear({event})")).await;
    let event = |seq: u64| {
        let message = json!({"id": Uuid::new_v4(), "content": format!("number {seq}"), "attachments": [],
            "created_at": "2026-03-01T09:05:00Z"});
        json!({"type": "new_message", "seq": seq, "message": message})
    };
    let first = event(1);

    hear(event(2)).await;
    assert_eq!(texts(&page).await, [""; 0], "the first is missing");

    for event in [&first, &first] {
        hear(event.clone()).await;
    }

    until_shown(&world, &page, &["number 1", "number 2"]).await;

    hear(event(4)).await;
    assert_eq!(texts(&page).await.len(), 2, "the third is missing");

    hear(json!({"type": "caught_up", "seq": 3})).await;
    until_shown(&world, &page, &["number 1", "number 2", "number 4"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_could_not_be_noted_is_said_again() {
    let Some(browser) = Browser::start().await else { return };
    let (world, business) = World::without_customers().await;
    let page = visit(&world, &browser, &business).await;
    let fault = json!({"operation": "UpdateItem", "error": "InternalServerError",
        "function": "chat-socket", "about": "#status"});

    world.fault("aws", fault).await;
    let id = send(&world, &business, "noted or not?").await;
    until_shown(&world, &page, &["noted or not?"]).await;

    let failed = async || (!world.complaints().is_empty()).then_some(());
    world.until("the table did not take it", failed).await;

    world.heal("aws").await;
    status(&world, &business, id, "read").await;
    until_shown(&world, &page, &["noted or not?"]).await;

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_later_the_widget_comes_back_with_a_new_token() {
    let Some(browser) = Browser::start().await else { return };
    let (world, business) = World::without_customers().await;
    let page = visit(&world, &browser, &business).await;
    world.pass(3_700).await;
    cut(&world, &business).await;
    send(&world, &business, "Still here?").await;
    until_shown(&world, &page, &["Still here?"]).await;

    // Who has but one token is told that it is over.
    let token = world.visitor_token(business.conversation_id("chat")).await;
    world.pass(3_700).await;

    let other = format!(
        "window.other = PingbackChat.open({{ socket: {:?}, api: {:?}, token: {token:?} }}); window.other.state",
        world.ready.websocket, world.ready.api,
    );

    page.ask(&other).await;
    let ended = async || {
        (page.ask("window.other.view.state.textContent").await
            == "This chat has ended. Reload the page to go on.")
            .then_some(())
    };
    world.until("the chat has ended", ended).await;

    let fresh = world.visitor_token(business.conversation_id("chat")).await;
    page.ask(&format!("window.other.setToken({fresh:?})")).await;
    let going_on =
        async || (page.ask("window.other.view.state.textContent").await == "").then_some(());
    world.until("it goes on", going_on).await;

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_128_kb_is_fetched_and_shown_in_its_place() {
    let Some(browser) = Browser::start().await else { return };
    let (world, business) = World::without_customers().await;
    let page = visit(&world, &browser, &business).await;
    world.sandbox(Method::PUT, "/queues/held", json!({"held": true})).await;

    let large = send(&world, &business, "to be made larger").await;
    let content = "ü".repeat(99_000);
    world.rewrite(&business, "chat", large, &content).await;
    world.sandbox(Method::PUT, "/queues/held", json!({"held": false})).await;
    send(&world, &business, "after it").await;
    until_shown(&world, &page, &[&content, "after it"]).await;

    // Of a text that is longer than the chat the end has to be seen.
    let log = format!("{SHADOW}.querySelector('.log')");
    page.ask(&format!("{SHADOW}.querySelector('article').lastChild.scrollIntoView()")).await;
    assert_eq!(page.ask(&format!("{log}.scrollTop > {log}.clientHeight")).await, true);
    status(&world, &business, large, "read").await;
    assert_eq!(page.complaints().await, json!([]));

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_linked_to_and_pictures_are_shown() {
    let Some(browser) = Browser::start().await else { return };
    let (world, business) = World::without_customers().await;
    let page = visit(&world, &browser, &business).await;
    // The smallest picture there is: one pixel.
    let picture =
        b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
    let mut attachments = Vec::new();

    for (name, kind, bytes) in
        [("pixel.gif", "image/gif", picture.as_slice()), ("note.txt", "text/plain", b"see there")]
    {
        attachments.push(json!({"url": upload(&world, &business, name, kind, bytes).await}));
    }

    let body = json!({"content": "see the files", "attachments": attachments}).to_string();
    world
        .send(&business.api_key, business.conversation_id("chat"), "see the files")
        .body(body)
        .go()
        .await
        .id();
    until_shown(&world, &page, &["see the files"]).await;

    let picture = format!(
        "(() => {{ const img = {SHADOW}.querySelector('img'); return [img.loading, img.alt, img.naturalWidth] }})()"
    );
    let loaded =
        async || (page.ask(&picture).await == json!(["lazy", "pixel.gif", 1])).then_some(());
    world.until("the picture is there", loaded).await;

    let links = page
        .ask(&format!("[...{SHADOW}.querySelectorAll('a')].map((a) => [a.href, a.rel, a.target, a.textContent])"))
        .await;
    let link = |index: usize, text: &str| {
        json!([attachments[index]["url"], "noopener noreferrer", "_blank", text])
    };
    assert_eq!(links, json!([link(0, ""), link(1, "note.txtTXT · 9 byte")]));

    world.let_customers_in().await;
}

async fn upload(world: &World, business: &Business, name: &str, kind: &str, bytes: &[u8]) -> Value {
    let head = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
    );
    let body = [head.as_bytes(), bytes, b"\r\n--edge--\r\n"].concat();
    let path = format!("/api/v1/conversations/{}/upload", business.conversation_id("chat"));
    let bearer = format!("Bearer {}", business.api_key);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "multipart/form-data; boundary=edge"),
    ];
    world.call(Method::POST, &path, &headers, body).await.json()["url"].take()
}

//! The snippets of the README on a page of another origin, as a site would have them.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::chromium::{Browser, Page};
use crate::{SHADOW, connected, send, status, texts, until_shown};
use tests::{Business, World};

/// The document that the snippets stand in.
const README: &str = "functions/chat-socket/README.md";

/// How many messages wait for a customer who opens the page.
const WAITING: usize = 40;

/// The part of the page around the chat, which the chat must not meet.
const FOOTER: &str = "<footer style='height: 3rem; background: silver'>The shop's footer</footer>";

/// Returns the snippets of the README, with the addresses of a world in them.
fn snippets(world: &World) -> Vec<String> {
    let readme =
        std::fs::read_to_string(tests::contract::root().join(README)).expect("it is there");
    let blocks = readme.split("```html\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap_or_default());
    let filled = blocks.map(|block| {
        block.replace("https://…", &world.ready.api).replace("wss://…", &world.ready.websocket)
    });
    filled.collect()
}

/// A site with one page and an address that gives a token. It ends with the test.
async fn serve(world: &World, business: &Business, body: String) -> String {
    let token = world.visitor_token(business.conversation_id("chat")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let page = format!("<!doctype html><meta charset=utf-8><title>A shop</title>{body}");

    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let is_token = request[..length].starts_with(b"GET /chat-token");
            let (kind, text) = if is_token { ("text/plain", &token) } else { ("text/html", &page) };
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                text.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/")
}

/// Boxes of the page: the chat's place, the chat, its messages, and the footer.
async fn boxes(page: &Page) -> Value {
    let boxes = format!(
        "(() => {{ const log = {SHADOW}.querySelector('.log'); \
         const box = (one) => one.getBoundingClientRect(); \
         return {{ place: box(document.querySelector('#chat')).height, \
         chat: box({SHADOW}.host).height, \
         section: box({SHADOW}.querySelector('section')).height, shown: log.clientHeight, \
         content: log.scrollHeight, footer: box(document.querySelector('footer')).top, \
         end: box({SHADOW}.querySelector('section')).bottom }} }})()"
    );
    page.ask(&boxes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snippet_of_the_readme_works_on_a_page_of_another_origin() {
    let Some(browser) = Browser::start().await else { return };
    let (world, business) = World::without_customers().await;
    let mut ids = Vec::new();
    let wanted: Vec<String> = (1..=WAITING).map(|number| format!("number {number}")).collect();
    for text in &wanted {
        ids.push(send(&world, &business, text).await);
    }

    let snippet = snippets(&world).into_iter().find(|one| one.contains("id=\"chat\""));
    let body = format!("{}{FOOTER}", snippet.expect("a snippet with a place"));
    let page = browser.open(&serve(&world, &business, body).await).await;
    connected(&world, &page).await;
    let all: Vec<&str> = wanted.iter().map(String::as_str).collect();
    until_shown(&world, &page, &all).await;

    // It stays in its place, and scrolls there.
    let boxes = boxes(&page).await;
    assert_eq!(
        (&boxes["place"], &boxes["chat"], &boxes["section"]),
        (&json!(384), &json!(384), &json!(384))
    );
    assert!(boxes["end"].as_f64() <= boxes["footer"].as_f64(), "{boxes}");
    assert!(
        boxes["content"].as_f64() > boxes["shown"].as_f64().map(|shown| 3.0 * shown),
        "{boxes}"
    );

    // Left alone it opens at the first unread message, and what is in view is read, no more.
    let chat = "PingbackChat.chat.unread";
    let few = async || {
        let unread = page.ask(chat).await.as_u64().expect("a number");
        (unread < WAITING as u64).then_some(unread)
    };
    world.until("what is in view is read", few).await;
    let unread = page.ask(chat).await.as_u64().expect("a number");
    let read = WAITING - usize::try_from(unread).expect("a few");
    for (index, id) in ids.iter().enumerate() {
        status(&world, &business, *id, if index < read { "read" } else { "delivered" }).await;
    }
    assert!((30..=37).contains(&unread), "{unread} of {WAITING} are unread");
    let fresh = page.ask(&format!("{SHADOW}.querySelector('.fresh').textContent")).await;
    assert_eq!(fresh, format!("{unread} new"));
    assert_eq!(page.ask(&format!("{SHADOW}.querySelector('.log').scrollTop < 40")).await, true);

    assert_eq!(page.complaints().await, json!([]));
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_launcher_of_the_readme_is_used_with_the_keyboard_and_remembers() {
    let Some(browser) = Browser::start().await else { return };
    let (world, business) = World::without_customers().await;
    let snippet = snippets(&world).into_iter().find(|one| one.contains("data-launcher"));
    let body = snippet.expect("a snippet with a launcher");
    let page = browser.open(&serve(&world, &business, body).await).await;
    connected(&world, &page).await;
    let is_open = async || page.ask(&format!("!{SHADOW}.querySelector('section').hidden")).await;
    assert_eq!(is_open().await, false);

    let id = send(&world, &business, "Hi Anna").await;
    let badge = format!("{SHADOW}.querySelector('.badge').dataset.count");
    world.until("it counts", async || (page.ask(&badge).await == "1").then_some(())).await;
    status(&world, &business, id, "delivered").await;

    page.press("Tab", 9, None).await;
    assert_eq!(page.ask(&format!("{SHADOW}.activeElement?.className")).await, "knob");
    page.press("Enter", 13, Some("\r")).await;
    world.until("it opens", async || (is_open().await == true).then_some(())).await;
    status(&world, &business, id, "read").await;
    assert_eq!(texts(&page).await, ["Hi Anna"]);

    page.reload().await;
    connected(&world, &page).await;
    assert_eq!(is_open().await, true, "it was open");
    page.ask(&format!("{SHADOW}.querySelector('.log').focus()")).await;
    page.press("Escape", 27, None).await;
    world.until("it shuts", async || (is_open().await == false).then_some(())).await;
    assert_eq!(page.ask(&format!("{SHADOW}.activeElement.className")).await, "knob");

    assert_eq!(page.complaints().await, json!([]));
    world.let_customers_in().await;
}

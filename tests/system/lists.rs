//! Lists that a caller can follow: pages in both orders, a poller beside senders, and a business's
//! messages that did not arrive.

use std::collections::BTreeSet;

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use tests::{Answer, Business, DOUBT_SECONDS, World, next_page};

/// How many messages come while the poller reads.
const MESSAGES: usize = 120;
const SENDERS: usize = 4;

fn texts(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().expect("a list").iter();
    messages.map(|message| message["content"].as_str().expect("a text").to_owned()).collect()
}

async fn list(world: &World, business: &Business, query: &str) -> Value {
    let conversation_id = business.conversation_id("whatsapp");
    let path = format!("/api/v1/conversations/{conversation_id}/messages?{query}");
    let answer = world.get(&business.api_key, &path).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer.json()
}

async fn send(world: &World, business: &Business, channel: &str, text: &str) -> Uuid {
    world.send(&business.api_key, business.conversation_id(channel), text).go().await.id()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_where_the_list_goes_on_in_both_directions() {
    let world = World::start().await;
    let business = world.business(20, 1).await;

    let empty = json!({ "messages": [], "next": "0", "previous": "1", "has_more": false });
    assert_eq!(list(&world, &business, "").await, empty);
    let empty = json!({ "messages": [], "next": "1", "previous": "0", "has_more": false });
    assert_eq!(list(&world, &business, "order=desc").await, empty);

    let mut sent: Vec<String> = (1..=5).map(|number| format!("number {number}")).collect();
    for text in &sent {
        send(&world, &business, "whatsapp", text).await;
    }

    // (the query, the first and the last message, next, previous, whether there is more)
    for (query, numbers, next, previous, has_more) in [
        ("limit=2", vec![1, 2], 2, 1, true),
        ("limit=2&after=3", vec![4, 5], 5, 4, false),
        ("after=5", vec![], 5, 6, false),
        ("limit=2&order=asc&before=2", vec![1], 1, 1, false),
        ("after=1&before=4", vec![2, 3], 3, 2, false),
        ("order=desc&limit=2", vec![5, 4], 4, 5, true),
        ("order=desc&limit=3&before=4", vec![3, 2, 1], 1, 3, false),
        ("order=desc&before=1", vec![], 1, 0, false),
        ("order=desc&after=3", vec![5, 4], 4, 5, false),
        ("order=desc&after=5", vec![], 6, 5, false),
        ("after=4&before=3", vec![], 4, 5, false),
        ("after=4294967295", vec![], 4_294_967_295_u64, 4_294_967_296_u64, false),
        ("after=9999999999", vec![], 9_999_999_999, 9_999_999_999, false),
    ] {
        let page = list(&world, &business, query).await;
        let expected: Vec<_> = numbers.iter().map(|number| format!("number {number}")).collect();
        assert_eq!(texts(&page), expected, "{query}");
        let told = (&page["next"], &page["previous"], &page["has_more"]);
        let (next, previous) = (next.to_string(), previous.to_string());
        assert_eq!(told, (&json!(next), &json!(previous), &json!(has_more)), "{query}");
    }

    // From the newest page on: what comes is behind `previous`, what was is behind `next`.
    let newest = list(&world, &business, "order=desc&limit=2").await;
    sent.push("number 6".to_owned());
    send(&world, &business, "whatsapp", "number 6").await;
    let cursor = |name: &str| newest[name].as_str().expect("a cursor").to_owned();
    let since = list(&world, &business, &format!("after={}", cursor("previous"))).await;
    assert_eq!(texts(&since), ["number 6"]);
    let older = list(&world, &business, &format!("order=desc&before={}", cursor("next"))).await;
    assert_eq!(texts(&older), ["number 3", "number 2", "number 1"]);

    world.until_received("whatsapp", business.conversation_id("whatsapp"), &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poller_gets_each_message_once_and_in_order_while_they_come() {
    let world = World::start().await;
    let business = world.business(1_000, 4).await;
    let conversation_id = business.conversation_id("email");
    let path = format!("/api/v1/conversations/{conversation_id}/messages");

    let senders = join_all((0..SENDERS).map(async |sender| {
        let mut ids = Vec::new();
        for number in 0..MESSAGES / SENDERS {
            let text = format!("number {number} of sender {sender}");
            let key = format!("{sender}-{number}");
            let send = || world.send(&business.api_key, conversation_id, &text).key(&key).go();
            let mut answer = send().await;
            while answer.status == 503 {
                answer = send().await;
            }
            ids.push(answer.id());
        }
        ids
    }));
    let poller = async {
        let mut seen: Vec<(Uuid, String)> = Vec::new();
        let mut next = "0".to_owned();
        while seen.len() < MESSAGES {
            let page = world.get(&business.api_key, &format!("{path}?limit=7&after={next}")).await;
            let page = page.json();
            for message in page["messages"].as_array().expect("a list") {
                let id = message["id"].as_str().expect("an id").parse().expect("a UUID");
                seen.push((id, message["created_at"].as_str().expect("a time").to_owned()));
            }
            page["next"].as_str().expect("it is always there").clone_into(&mut next);
        }
        (seen, next)
    };
    let (sent, (seen, next)) = join(senders, poller).await;

    let sent: BTreeSet<Uuid> = sent.into_iter().flatten().collect();
    let ids: BTreeSet<Uuid> = seen.iter().map(|(id, _)| *id).collect();
    assert_eq!((ids.len(), seen.len(), &ids), (MESSAGES, MESSAGES, &sent));

    let whole = world.get(&business.api_key, &format!("{path}?limit=100")).await.json();
    let listed = whole["messages"].as_array().expect("a list").iter();
    let listed: Vec<_> = listed.map(|message| message["id"].clone()).collect();
    let first: Vec<_> = seen.iter().take(100).map(|(id, _)| json!(id)).collect();
    assert_eq!(listed, first, "the poller's order is the list's");

    let last = world.get(&business.api_key, &format!("{path}?after={next}")).await.json();
    assert_eq!((texts(&last).len(), next_page(&last)), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_not_documented_is_refused_by_its_name() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");
    let messages = format!("/api/v1/conversations/{conversation_id}/messages");
    let one = format!("{messages}/{}", Uuid::from_u128(7));
    let uploads = format!("/api/v1/conversations/{conversation_id}/uploads");

    for (method, path) in [
        (Method::GET, messages.as_str()),
        (Method::POST, messages.as_str()),
        (Method::POST, uploads.as_str()),
        (Method::GET, one.as_str()),
        (Method::GET, "/api/v1/usage"),
        (Method::GET, "/api/v1/messages"),
    ] {
        let url = format!("{}{path}?status=failed&undocumented=1&undocumented=2", world.ready.api);
        let request = world.http().request(method.clone(), url).bearer_auth(&business.api_key);
        let request = match method {
            Method::POST => request.json(&json!({ "content": "hello" })),
            _ => request,
        };
        let answer = world.ask(request).await;
        assert_eq!(answer.problem(), (422, "validation_error".into()), "{method} {path}");
        let locs: Vec<_> = answer.json()["errors"]
            .as_array()
            .expect("errors")
            .iter()
            .map(|error| error["loc"].to_string())
            .collect();
        assert!(locs.contains(&r#"["query","undocumented"]"#.to_owned()), "{path}: {locs:?}");
    }

    for (query, name) in [
        ("limit=101", "limit"),
        ("limit=1&limit=2", "limit"),
        ("after=x", "after"),
        ("before=-1", "before"),
        ("order=up", "order"),
    ] {
        let answer = world.get(&business.api_key, &format!("{messages}?{query}")).await;
        let errors = answer.json()["errors"].clone();
        assert_eq!(errors[0]["loc"], json!(["query", name]), "{query}: {}", answer.text);
        let detail = answer.json()["detail"].as_str().expect("a sentence").to_owned();
        assert!(detail.starts_with(&format!("{name} in the query is not valid: ")), "{detail}");
    }
    assert_eq!(world.usage(&business.api_key).await, (0, 10));
}

async fn exceptions(world: &World, business: &Business, query: &str) -> Answer {
    world.get(&business.api_key, &format!("/api/v1/messages?{query}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_failed_are_listed_newest_first_over_the_whole_business() {
    let world = World::start().await;
    let business = world.business(20, 1).await;
    let other = world.business(20, 1).await;

    // Four fail, one after the other, between others that arrive.
    let mut times = Vec::new();
    for number in 0..4 {
        let channel = if number % 2 == 0 { "whatsapp" } else { "email" };
        let fault = match channel {
            "whatsapp" => json!({ "code": 131_026, "times": 1 }),
            _ => json!({ "status": 400, "times": 1 }),
        };
        world.fault(channel, fault).await;
        let id = send(&world, &business, channel, &format!("failed {number}")).await;
        let conversation_id = business.conversation_id(channel);
        world.until_status(&business.api_key, conversation_id, id, "failed").await;
        let delivery = world.delivery(&business.api_key, conversation_id, id).await;
        times.push(delivery["failed_at"].as_str().expect("a time").to_owned());

        // The next fault is for the next message alone.
        let arrives = send(&world, &business, channel, &format!("arrives {number}")).await;
        world.until_status(&business.api_key, conversation_id, arrives, "sent").await;
        world.pass(1).await;
    }

    let all = exceptions(&world, &business, "status=failed").await;
    assert_eq!(all.status, 200, "{}", all.text);
    assert_eq!(texts(&all.json()), ["failed 3", "failed 2", "failed 1", "failed 0"]);
    assert_eq!((&all.json()["has_more"], next_page(&all.json())), (&json!(false), None));
    assert_eq!(all.json()["messages"][0]["delivery"]["status"], "failed");

    let mut read = Vec::new();
    let mut query = "status=failed&limit=1".to_owned();
    let mut pages = 0;
    loop {
        let page = exceptions(&world, &business, &query).await.json();
        read.extend(texts(&page));
        pages += 1;
        let Some(next) = next_page(&page) else { break };
        query = format!("status=failed&limit=1&before={next}");
        assert!(pages < 9, "it never ends");
    }
    assert_eq!(read, texts(&all.json()));

    for (query, expected) in [
        ("&channel=email".to_owned(), vec![3, 1]),
        ("&channel=email&limit=1".to_owned(), vec![3]),
        ("&channel=chat".to_owned(), vec![]),
        (format!("&since={}", times[2]), vec![3, 2]),
        (format!("&until={}", times[2]), vec![1, 0]),
        (format!("&since={}&until={}", times[1], times[3]), vec![2, 1]),
        (format!("&since={}&until={}", times[3], times[1]), vec![]),
    ] {
        let page = exceptions(&world, &business, &format!("status=failed{query}")).await;
        let expected: Vec<_> = expected.iter().map(|number| format!("failed {number}")).collect();
        assert_eq!(texts(&page.json()), expected, "{query}");
    }

    for (business, query) in [(&other, "status=failed"), (&business, "status=in_doubt")] {
        let page = exceptions(&world, business, query).await.json();
        let nothing = json!({ "messages": [], "next": "0000000000000", "has_more": false });
        assert_eq!(page, nothing, "{query}");
    }

    for query in ["", "status=sent", "status=failed&since=yesterday", "status=failed&channel=fax"] {
        let answer = exceptions(&world, &business, query).await;
        assert_eq!(answer.problem(), (422, "validation_error".into()), "{query}");
    }
    let foreign = format!("1772355902123.chat.{}.9", Uuid::from_u128(1));
    let answer = exceptions(&world, &business, &format!("status=failed&before={foreign}")).await;
    assert_eq!(answer.json()["errors"][0]["loc"], json!(["query", "before"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_doubt_is_listed_until_its_outcome_is_known() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    let in_doubt = async || texts(&exceptions(&world, &business, "status=in_doubt").await.json());

    // WhatsApp takes it, its answer is lost, and the receipt comes later.
    world.report("whatsapp", json!({ "statuses": ["sent", "delivered"], "held": true })).await;
    world.fault("whatsapp", json!({ "after_effect": true, "times": 1 })).await;
    let first = send(&world, &business, "whatsapp", "reported").await;
    world.until_status(&business.api_key, conversation_id, first, "in_doubt").await;
    assert_eq!(in_doubt().await, ["reported"]);
    world.release("whatsapp").await;
    world.until_status(&business.api_key, conversation_id, first, "delivered").await;
    assert!(in_doubt().await.is_empty());

    // No receipt comes, so it is sent again.
    world.report("whatsapp", json!({ "statuses": [] })).await;
    world.fault("whatsapp", json!({ "after_effect": true, "times": 1 })).await;
    let second = send(&world, &business, "whatsapp", "repeated").await;
    world.until_status(&business.api_key, conversation_id, second, "in_doubt").await;
    assert_eq!(in_doubt().await, ["repeated"]);
    world.pass(DOUBT_SECONDS).await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation_id, second, "sent").await;
    assert!(in_doubt().await.is_empty());
    assert!(texts(&exceptions(&world, &business, "status=failed").await.json()).is_empty());
}

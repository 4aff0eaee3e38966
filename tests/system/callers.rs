//! How many requests one caller may make, and what stops them: the bucket of a credential and an
//! operation, and API Gateway's throttles.

use std::collections::BTreeMap;

use chrono::Utc;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use domain::BusinessId;
use platform::credential::ApiKey;
use platform::table::{ApiKeyTerms, PlanChange};
use tests::{Answer, Business, World};

/// The smallest plan: one request, and the next a minute later.
async fn of_one_request(world: &World) -> Business {
    world.business_of(json!({ "requests_per_minute": 1 })).await
}

async fn send(world: &World, token: &str, business: &Business) -> Answer {
    world.send(token, business.conversation_id("chat"), "a text").go().await
}

/// Returns the item about requests of one of the two headers; an answer to sending has one about
/// the month as well.
fn requests<'a>(answer: &'a Answer, header: &str) -> &'a str {
    let text = answer.header(header).expect("each answer to a valid credential has one");
    text.split(", ").next().expect("an item")
}

/// Returns the limit of requests that holds for the caller.
fn policy(answer: &Answer) -> &str {
    requests(answer, "ratelimit-policy")
}

/// Returns the two numbers of the `RateLimit` of requests.
fn standing(answer: &Answer) -> (u64, u64) {
    let text = requests(answer, "ratelimit");
    let numbers = text.strip_prefix("\"requests\";r=").expect("the policy's name");
    let (remaining, seconds) = numbers.split_once(";t=").expect("a time");
    (remaining.parse().expect("a number"), seconds.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_past_its_limit_is_refused_and_no_other_is() {
    let world = World::start().await;
    let business = of_one_request(&world).await;
    let key = &business.api_key;
    let accepted = send(&world, key, &business).await;
    accepted.id();
    assert_eq!(policy(&accepted), r#""requests";q=1;w=60"#);
    assert_eq!(standing(&accepted).0, 0);

    for _ in 0..3 {
        let refused = send(&world, key, &business).await;
        assert_eq!(refused.problem(), (429, "too_many_requests".into()));
        assert_eq!(policy(&refused), r#""requests";q=1;w=60"#);
        let (remaining, seconds) = standing(&refused);
        assert_eq!((remaining, refused.header("retry-after")), (0, Some(&*seconds.to_string())));
        assert!((1..=60).contains(&seconds), "{seconds}");
    }

    // Another key of the business, and another business.
    let id = BusinessId(business.business_id);
    let other_key = ApiKey::generate(id);
    let table = world.table();
    assert!(table.operator().create_api_key(&other_key, ApiKeyTerms::default()).await.unwrap());
    send(&world, &other_key.reveal(), &business).await.id();
    let other = of_one_request(&world).await;
    send(&world, &other.api_key, &other).await.id();

    // The refused ones were not counted, which another operation of the same key tells.
    assert_eq!(world.usage(key).await.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_waits_as_told_sends_again() {
    let world = World::start().await;
    let business = world.business_of(json!({ "requests_per_minute": 30 })).await;
    let mut sent = 0;
    let mut answer = send(&world, &business.api_key, &business).await;
    while answer.status != 429 {
        answer.id();
        sent += 1;
        assert!(sent < 100, "nothing stops the caller");
        answer = send(&world, &business.api_key, &business).await;
    }
    assert!(sent >= 5, "a sixth of a minute's requests come at once");
    assert!(matches!(standing(&answer), (0, 1..=2)), "{:?}", answer.headers);

    let accepted = world
        .until("the caller may send again", async || {
            let answer = send(&world, &business.api_key, &business).await;
            (answer.status != 429).then_some(answer)
        })
        .await;
    accepted.id();
    assert_eq!(world.usage(&business.api_key).await.0, sent + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_has_its_own_limit_and_a_request_without_a_valid_key_none() {
    let world = World::start().await;
    let business = of_one_request(&world).await;
    let conversation = format!("/api/v1/conversations/{}", business.conversation_id("chat"));
    let message = format!("{conversation}/messages/{}", Uuid::nil());
    let operations = [
        (Method::GET, format!("{conversation}/messages"), 200),
        (Method::GET, message, 404),
        (Method::GET, "/api/v1/usage".to_owned(), 200),
        (Method::POST, format!("{conversation}/upload"), 201),
        (Method::POST, format!("{conversation}/messages"), 422),
    ];
    let ask = async |token: &str, method: &Method, path: &str| {
        let request = world.http().request(method.clone(), format!("{}{path}", world.ready.api));
        let announcement = json!({ "filename": "a.txt", "content_type": "text/plain", "size": 1 });
        let request = if method == Method::POST { request.json(&announcement) } else { request };
        world.ask(request.bearer_auth(token)).await
    };

    for (method, path, status) in &operations {
        let first = ask(&business.api_key, method, path).await;
        assert_eq!((first.status.as_u16(), standing(&first).0), (*status, 0), "{path}");
        let second = ask(&business.api_key, method, path).await;
        assert_eq!(second.problem(), (429, "too_many_requests".into()), "{path}");

        let unknown = ApiKey::generate(BusinessId(business.business_id)).reveal();
        for _ in 0..3 {
            let answer = ask(&unknown, method, path).await;
            assert_eq!(answer.problem(), (401, "unauthorized".into()));
            assert_eq!(answer.header("ratelimit"), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_plan_holds_at_once_and_a_repeat_counts_as_a_request() {
    let world = World::start().await;
    let business = of_one_request(&world).await;
    let conversation_id = business.conversation_id("chat");
    let repeat = async || {
        let request = world.send(&business.api_key, conversation_id, "a text");
        request.key("the-same").go().await
    };
    let id = repeat().await.id();
    assert_eq!(repeat().await.problem(), (429, "too_many_requests".into()));

    let change = PlanChange { requests_per_minute: Some(1200), ..PlanChange::of_limit(9) };
    let table = world.table();
    let of = BusinessId(business.business_id);
    table.operator().change_plan(of, change, Utc::now()).await.expect("a plan");
    // An empty bucket fills by the new plan from now on.
    let replayed = world
        .until("the bucket fills", async || {
            let answer = repeat().await;
            (answer.status != 429).then_some(answer)
        })
        .await;
    assert_eq!((replayed.id(), replayed.header("idempotent-replayed")), (id, Some("true")));
    assert_eq!(policy(&replayed), r#""requests";q=200;w=10"#);
    assert_eq!(world.usage(&business.api_key).await, (1, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_says_nothing_allows_a_hundred_requests_in_ten_seconds() {
    let world = World::start().await;
    let business = world.business_of(json!({})).await;
    let answer = send(&world, &business.api_key, &business).await;
    answer.id();
    assert_eq!(policy(&answer), r#""requests";q=100;w=10"#);
    assert_eq!(standing(&answer), (99, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_a_public_route_is_throttled_and_agents_are_not() {
    let low = [("PublicRate", "1"), ("PublicBurst", "1")];
    let low: BTreeMap<String, String> =
        low.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let world = World::start_with(low).await;
    let business = world.business(9, 1).await;
    let read = async || world.call(Method::GET, "/api/v1/files/none", &[], Vec::new()).await;

    let answers = join_all((0..50).map(|_| read())).await;
    let (refused, answered): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 429);
    assert!(!refused.is_empty() && !answered.is_empty(), "{} refused", refused.len());
    for answer in refused {
        assert_eq!(answer.json(), json!({ "message": "Too Many Requests" }));
        assert_eq!(answer.header("retry-after"), None);
    }

    let challenge = world.call(Method::GET, "/api/v1/webhooks/whatsapp", &[], Vec::new()).await;
    assert_ne!(challenge.status, 429, "each public route has a throttle of its own");
    for _ in 0..9 {
        send(&world, &business.api_key, &business).await.id();
    }
}

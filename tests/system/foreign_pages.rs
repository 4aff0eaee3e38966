//! The local system and the web pages that a developer has open: none of another site may use it,
//! by its own name for this machine (DNS rebinding) or across origins.

use reqwest::Method;
use reqwest::header::{HOST, ORIGIN};
use serde_json::{Value, json};

use tests::World;

const SITE: &str = "https://evil.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_this_machine_opens_nothing() {
    let world = World::start().await;
    let urls = &world.ready;
    let websocket = urls.websocket.replace("ws://", "http://");
    let usage = format!("{}/api/v1/usage", urls.api);
    for url in [&urls.console, &usage, &websocket, &urls.sandbox, &urls.aws.dynamodb] {
        let status = async |host: &str| {
            let answer = world.http().get(url).header(HOST, host).send().await;
            answer.expect("an answer").status().as_u16()
        };
        for host in ["evil.example", "127.0.0.1.evil.example:3000"] {
            assert_eq!(status(host).await, 421, "{url} as {host}");
        }
        assert_ne!(status("localhost:3000").await, 421, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_has_the_public_api_and_nothing_else() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let urls = &world.ready;

    // What a page can send without a preflight.
    let sweep = format!("{}/sandbox/sweep", urls.sandbox);
    for url in [&sweep, &urls.aws.dynamodb, &urls.aws.sqs] {
        let foreign = world.http().post(url).header(ORIGIN, SITE).body("{}");
        assert_eq!(world.ask(foreign).await.status, 403, "{url}");
    }
    let own = world.http().post(&sweep).header(ORIGIN, "http://localhost:5173");
    assert_eq!(world.ask(own).await.status, 200);
    assert_eq!(world.sandbox(Method::GET, "/aws/faults", Value::Null).await, json!([]));

    // A page of this machine reads the answers, and no other page reads the console's.
    let local = "http://localhost:5173";
    let own = world.http().get(format!("{}/sandbox/clock", urls.sandbox)).header(ORIGIN, local);
    assert_eq!(world.ask(own).await.header("access-control-allow-origin"), Some(local));
    for path in ["", "docs", "console/app.js"] {
        let foreign = world.http().get(format!("{}{path}", urls.console)).header(ORIGIN, SITE);
        let answer = world.ask(foreign).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "/{path}");
    }

    // The API takes it as it does when it is deployed.
    let usage = world.http().get(format!("{}/api/v1/usage", urls.api));
    let usage = usage.header(ORIGIN, SITE).bearer_auth(&business.api_key);
    assert_eq!(world.ask(usage).await.status, 200);
}

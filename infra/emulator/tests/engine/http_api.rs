//! From a request to an event, from an answer to a response.

use reqwest::header::HeaderValue;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::engine;

#[tokio::test]
async fn a_request_becomes_an_event_and_the_answer_a_response() {
    let engine = engine().await;
    let url = format!("{}/echo/a%20b?x=1&x=2", engine.api_url());
    let response = Client::new()
        .post(url)
        .header("Cookie", "c=1")
        .json(&json!({ "any": "thing" }))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["set-cookie"], "a=1");
    assert!(response.headers().contains_key("apigw-requestid"));
    let body: Value = response.json().await.unwrap();
    let event = &body["event"];
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "POST /echo/{name}");
    assert_eq!(event["rawPath"], "/echo/a b");
    assert_eq!(event["pathParameters"], json!({ "name": "a b" }));
    assert_eq!(event["queryStringParameters"], json!({ "x": "1,2" }));
    assert_eq!(event["cookies"], json!(["c=1"]));
    assert_eq!(event["body"], r#"{"any":"thing"}"#);
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");

    engine.stop().await;
}

#[tokio::test]
async fn a_route_takes_no_more_than_its_throttle_lets_through() {
    let engine = engine().await;
    let post = async |path: &str| {
        let request = Client::new().post(format!("{}{path}", engine.api_url()));
        request.json(&json!({})).send().await.unwrap()
    };
    for _ in 0..2 {
        assert_eq!(post("/rare").await.status(), StatusCode::CREATED);
    }

    let refused = post("/rare").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(!refused.headers().contains_key("retry-after"));
    assert_eq!(refused.json::<Value>().await.unwrap(), json!({ "message": "Too Many Requests" }));
    assert_eq!(post("/echo/a").await.status(), StatusCode::CREATED);

    engine.stop().await;
}

#[tokio::test]
async fn the_gateway_answers_for_itself_where_no_function_can() {
    let engine = engine().await;
    let post = async |path: &str, body: Vec<u8>| {
        let request = Client::new().post(format!("{}{path}", engine.api_url())).body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(post("/nowhere", vec![]).await, (404, json!({ "message": "Not Found" })));
    let failed = (500, json!({ "message": "Internal Server Error" }));
    for order in ["fail", "crash", "hang"] {
        let body = format!(r#"{{"do":"{order}"}}"#).into_bytes();
        let request = Client::new()
            .post(format!("{}/hasty", engine.api_url()))
            .header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.json().await.unwrap()), failed, "{order}");
    }

    let over_lambdas_limit = vec![b'x'; 6 * 1024 * 1024];
    assert_eq!(post("/echo/x", over_lambdas_limit).await.0, 413);
    let over_the_gateways_limit = vec![b'x'; 10 * 1024 * 1024 + 1];
    assert_eq!(
        post("/echo/x", over_the_gateways_limit).await,
        (413, json!({ "message": "Request Entity Too Large" }))
    );

    engine.stop().await;
}

#[tokio::test]
async fn pages_of_other_origins_may_do_what_the_template_says() {
    let engine = engine().await;
    let url = format!("{}/echo/x", engine.api_url());
    let asked = async |method: &str, headers: &str| {
        let request = Client::new()
            .request(Method::OPTIONS, &url)
            .header("origin", "https://shop.example.com");
        let request = request.header("access-control-request-method", method);
        let response =
            request.header("access-control-request-headers", headers).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        response
            .headers()
            .get("access-control-allow-origin")
            .map(|origin| origin.to_str().unwrap().to_owned())
    };
    assert_eq!(asked("GET", "authorization").await.as_deref(), Some("*"));
    assert_eq!(asked("DELETE", "authorization").await, None);
    assert_eq!(asked("GET", "x-other").await, None);

    let post = || Client::new().post(&url).json(&json!({}));
    let response = post().header("origin", "https://shop.example.com").send().await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["access-control-allow-origin"]),
        (StatusCode::CREATED, &HeaderValue::from_static("*"))
    );
    assert!(!post().send().await.unwrap().headers().contains_key("access-control-allow-origin"));

    engine.stop().await;
}

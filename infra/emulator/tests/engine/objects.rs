//! S3 holds files in the template's bucket, and takes a request with a signature for exactly it.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Tag, Tagging};
use chrono::{TimeDelta, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::{client, engine, options};
use emulator::{Engine, EngineOptions, FaultRule};

async fn put(client: &Client, engine: &Engine, key: &str, tag: &str) {
    let call =
        client.put_object().bucket(engine.bucket_name()).key(key).tagging(format!("state={tag}"));
    call.content_type("text/plain")
        .body(ByteStream::from_static(b"0123456789"))
        .send()
        .await
        .unwrap();
}

/// The five bytes of a text, signed for.
async fn signed(engine: &Engine, key: &str, config: PresigningConfig) -> PresignedRequest {
    let client = client!(aws_sdk_s3, engine.s3_url());
    let config_of = client
        .config()
        .to_builder()
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
    let call =
        Client::from_conf(config_of.build()).put_object().bucket(engine.bucket_name()).key(key);
    let call = call
        .content_type("text/plain")
        .content_length(5)
        .tagging("state=pending")
        .if_none_match("*");

    call.presigned(config).await.unwrap()
}

fn soon() -> PresigningConfig {
    PresigningConfig::expires_in(Duration::from_secs(60)).unwrap()
}

/// The request as it was signed, with other headers where they are given; the status and S3's word
/// for it.
async fn send(
    signed: &PresignedRequest,
    other: &[(&'static str, &'static str)],
    body: &'static str,
) -> (u16, String) {
    let own = signed
        .headers()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
    let mut headers: HeaderMap = own.filter(|(name, _)| *name != "content-length").collect();
    headers.extend(
        other
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
    );
    let request = reqwest::Client::new().put(signed.uri()).headers(headers).body(body);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));

    (status, code.map_or_else(String::new, |(code, _)| code.to_owned()))
}

#[tokio::test]
async fn an_object_is_what_was_put_there() {
    let engine = engine().await;
    let client = client!(aws_sdk_s3, engine.s3_url());
    put(&client, &engine, "a/b", "pending").await;
    let head = client.head_object().bucket(engine.bucket_name()).key("a/b").send().await.unwrap();
    assert_eq!((head.content_length(), head.content_type()), (Some(10), Some("text/plain")));
    let part = client
        .get_object()
        .bucket(engine.bucket_name())
        .key("a/b")
        .range("bytes=0-3")
        .send()
        .await
        .unwrap();
    assert_eq!(part.content_range(), Some("bytes 0-3/10"));
    assert_eq!(&part.body.collect().await.unwrap().into_bytes()[..], b"0123");
    let missing = client.get_object().bucket(engine.bucket_name()).key("a/c").send().await;
    assert!(missing.unwrap_err().into_service_error().is_no_such_key());

    engine.stop().await;
}

#[tokio::test]
async fn a_presigned_put_is_good_for_exactly_what_was_signed() {
    let engine = engine().await;
    let signed_put = signed(&engine, "a", soon()).await;
    let wrong = (403, "SignatureDoesNotMatch".to_owned());
    assert_eq!(send(&signed_put, &[], "too long").await, wrong, "the length is signed");
    assert_eq!(
        send(&signed_put, &[("content-type", "text/html")], "hello").await,
        wrong,
        "the type is signed"
    );
    assert_eq!(send(&signed_put, &[("x-amz-tagging", "state=referenced")], "hello").await, wrong);
    let unsigned = send(&signed_put, &[("x-amz-acl", "public-read")], "hello").await;
    assert_eq!(unsigned, (403, "AccessDenied".to_owned()), "nothing of Amazon's may be added");
    assert_eq!(send(&signed_put, &[], "hello").await, (200, String::new()));
    assert_eq!(send(&signed_put, &[], "hullo").await.0, 412, "it is there already");
    let elsewhere = signed_put.uri().replacen("/bucket/a?", "/bucket/b?", 1);
    let answer = reqwest::Client::new().put(elsewhere).body("hello").send().await.unwrap();
    assert_eq!(answer.status(), 403, "the key is signed");

    engine.stop().await;
}

#[tokio::test]
async fn a_presigned_url_has_its_time() {
    let engine = engine().await;
    let past = SystemTime::now() - Duration::from_secs(120);
    let expired = PresigningConfig::builder()
        .start_time(past)
        .expires_in(Duration::from_secs(60))
        .build()
        .unwrap();
    let expired = signed(&engine, "a", expired).await;
    assert_eq!(send(&expired, &[], "hello").await, (403, "AccessDenied".to_owned()));
    engine.stop().await;
}

#[tokio::test]
async fn a_presigned_get_says_what_the_file_is_shown_as() {
    let engine = engine().await;
    let client = client!(aws_sdk_s3, engine.s3_url());
    put(&client, &engine, "a", "referenced").await;
    let call = client
        .get_object()
        .bucket(engine.bucket_name())
        .key("a")
        .response_content_type("application/pdf");
    let call =
        call.response_content_disposition("attachment; filename*=UTF-8''a%2Epdf").presigned(soon());
    let address = call.await.unwrap().uri().to_owned();
    let answer = reqwest::get(&address).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/pdf");
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename*=UTF-8''a%2Epdf");
    assert_eq!(answer.text().await.unwrap(), "0123456789");
    let other = address.replacen("application%2Fpdf", "text%2Fhtml", 1);
    assert_ne!(other, address);
    assert_eq!(reqwest::get(other).await.unwrap().status(), 403);
    let bare = address.split('?').next().unwrap();
    assert_eq!(reqwest::get(bare).await.unwrap().status(), 403, "a read needs a signature");

    engine.stop().await;
}

#[tokio::test]
async fn objects_expire_by_tag_and_age() {
    let engine = engine().await;
    let client = client!(aws_sdk_s3, engine.s3_url());
    for (key, tag) in
        [("a/pending", "pending"), ("a/kept", "pending"), ("referenced", "referenced")]
    {
        put(&client, &engine, key, tag).await;
    }
    let tag = Tag::builder().key("state").value("referenced").build().unwrap();
    let tags = Tagging::builder().tag_set(tag).build().unwrap();
    client
        .put_object_tagging()
        .bucket(engine.bucket_name())
        .key("a/kept")
        .tagging(tags)
        .send()
        .await
        .unwrap();
    let there = async || {
        let mut there = Vec::new();
        for key in ["a/pending", "a/kept", "referenced"] {
            let head = client.head_object().bucket(engine.bucket_name()).key(key).send().await;
            there.extend(head.is_ok().then_some(key));
        }
        there
    };
    engine.expire_objects(Utc::now() + TimeDelta::days(2)).unwrap();
    assert_eq!(there().await, ["a/pending", "a/kept", "referenced"], "days end at midnight");
    engine.expire_objects(Utc::now() + TimeDelta::days(3)).unwrap();
    assert_eq!(there().await, ["a/kept", "referenced"]);

    engine.stop().await;
}

#[tokio::test]
async fn s3_fails_as_it_is_told() {
    let engine = engine().await;
    let client = client!(aws_sdk_s3, engine.s3_url());
    let rule = FaultRule {
        function: Some("*".into()),
        about: Some("slow".into()),
        ..FaultRule::new("PutObject", "AccessDenied".to_owned().try_into().unwrap())
    };
    engine.faults().set(rule).unwrap();
    let call = client
        .put_object()
        .bucket(engine.bucket_name())
        .key("slow")
        .body(ByteStream::from_static(b"x"));
    let refused = call.send().await.unwrap_err().into_service_error();
    assert_eq!(refused.meta().code(), Some("AccessDenied"));
    put(&client, &engine, "other", "pending").await;

    engine.stop().await;
}

#[tokio::test]
async fn a_page_of_another_origin_may_do_what_the_bucket_says() {
    let engine = engine().await;
    let url = format!("{}/{}/a", engine.s3_url(), engine.bucket_name());
    let ask = async |origin: &str, method: &str| {
        let request =
            reqwest::Client::new().request(reqwest::Method::OPTIONS, &url).header("origin", origin);
        let request = request.header("access-control-request-method", method);
        request.header("access-control-request-headers", "content-type").send().await.unwrap()
    };
    let preflight = ask("https://page.example.com", "PUT").await;
    assert_eq!(
        (preflight.status().as_u16(), &preflight.headers()["access-control-allow-headers"]),
        (200, &"content-type".parse().unwrap())
    );
    assert_eq!(ask("https://page.example.com", "DELETE").await.status(), 403);
    assert_eq!(ask("https://elsewhere.example.com", "PUT").await.status(), 403);

    engine.stop().await;
}

#[tokio::test]
async fn objects_in_a_data_directory_outlive_the_engine() {
    let directory = std::env::temp_dir().join(format!("probe-{}", uuid::Uuid::new_v4()));
    let lasting = || EngineOptions { data_dir: Some(directory.clone()), ..options() };
    let engine = Engine::start(lasting()).await.unwrap();
    put(&client!(aws_sdk_s3, engine.s3_url()), &engine, "a", "pending").await;
    engine.stop().await;
    let engine = Engine::start(lasting()).await.unwrap();
    let client = client!(aws_sdk_s3, engine.s3_url());
    let tags =
        client.get_object_tagging().bucket(engine.bucket_name()).key("a").send().await.unwrap();
    assert_eq!((tags.tag_set()[0].key(), tags.tag_set()[0].value()), ("state", "pending"));
    engine.stop().await;
    std::fs::remove_dir_all(directory).unwrap();
}

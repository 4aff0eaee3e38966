//! A function may do what its role allows; the others, from outside, may do everything.

use std::time::Duration;

use aws_sdk_apigatewaymanagement::primitives::Blob;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use serde_json::json;

use crate::{client, engine, start};
use emulator::Logs;

/// An access key of a worker of the function that may do little.
const STRANGER: &str = "Stranger7";

fn denied(action: &str, resource: &str) -> String {
    format!(
        "User: arn:aws:sts::000000000000:assumed-role/StrangerRole/Stranger is not authorized to \
         perform: {action} on resource: {resource} because no identity-based policy allows the \
         {action} action"
    )
}

#[tokio::test]
async fn a_function_writes_the_items_that_its_role_allows() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    let write = async |order| engine.invoke("stranger", order).await.unwrap();
    assert_eq!(write(json!({ "pk": "own" })).await, "written");
    assert_eq!(write(json!({ "pk": "own", "transact": true })).await, "written");
    assert_eq!(write(json!({ "pk": "other" })).await, "AccessDeniedException");
    let transaction = write(json!({ "pk": "other", "transact": true })).await;
    assert_eq!(transaction, "AccessDeniedException");

    let table = client!(aws_sdk_dynamodb, engine.dynamodb_url(), STRANGER);
    let own = || AttributeValue::S("own".to_owned());
    let get = table.get_item().table_name(engine.table_name()).key("pk", own()).send().await;
    let error = get.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("AccessDeniedException"));
    let table_arn = "arn:aws:dynamodb:us-east-1:000000000000:Table";
    let message = denied("dynamodb:GetItem", table_arn);
    assert_eq!(error.message(), Some(message.as_str()));
    let is_in_log =
        logs.lines().iter().any(|line| line.function == "stranger" && line.text.contains(&message));
    assert!(is_in_log, "{:?}", logs.lines());

    let query = || {
        let query = table.query().table_name(engine.table_name());
        query.key_condition_expression("pk = :pk").expression_attribute_values(":pk", own())
    };
    assert_eq!(query().send().await.unwrap().count(), 1);
    let of_index = query().index_name("due").send().await.unwrap_err();
    assert_eq!(of_index.code(), Some("AccessDeniedException"), "an index is a resource of its own");

    engine.stop().await;
}

#[tokio::test]
async fn queues_secrets_and_connections_want_a_grant() {
    let engine = engine().await;
    let send = async |access_key: &str| {
        let queues = client!(aws_sdk_sqs, engine.sqs_url(), access_key);
        let url = engine.queue_url("DeadLetters").unwrap();
        queues.send_message().queue_url(url).message_body("hello").send().await
    };
    send("outside").await.unwrap();
    let refused = send(STRANGER).await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDenied"));
    assert_eq!(refused.raw_response().unwrap().status().as_u16(), 403);

    let secrets = client!(aws_sdk_secretsmanager, engine.secrets_url(), STRANGER);
    let id = engine.secret_id("Secret").unwrap();
    let refused = secrets.get_secret_value().secret_id(id).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDeniedException"));

    let connections = client!(aws_sdk_apigatewaymanagement, engine.management_url(), STRANGER);
    let post = connections.post_to_connection().connection_id("a").data(Blob::new("hello"));
    let refused = post.send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDeniedException"));
    assert_eq!(refused.raw_response().unwrap().status().as_u16(), 403);
    let gone = connections.get_connection().connection_id("a").send().await.unwrap_err();
    assert!(gone.into_service_error().is_gone_exception(), "it may look");

    engine.stop().await;
}

#[tokio::test]
async fn objects_want_a_grant_and_those_that_are_missing_another() {
    let engine = engine().await;
    let bucket = engine.bucket_name();
    let outside = client!(aws_sdk_s3, engine.s3_url());
    let hello = || ByteStream::from_static(b"hello");
    outside.put_object().bucket(bucket).key("a").body(hello()).send().await.unwrap();

    let objects = client!(aws_sdk_s3, engine.s3_url(), STRANGER);
    objects.get_object().bucket(bucket).key("a").send().await.unwrap();
    objects.head_object().bucket(bucket).key("a").send().await.unwrap();
    let missing = objects.get_object().bucket(bucket).key("b").send().await.unwrap_err();
    assert_eq!(missing.code(), Some("AccessDenied"), "it may not know what there is");

    let put = || objects.put_object().bucket(bucket).key("a");
    assert_eq!(put().body(hello()).send().await.unwrap_err().code(), Some("AccessDenied"));
    let soon = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let signed = put().presigned(soon).await.unwrap();
    let answer = reqwest::Client::new().put(signed.uri()).send().await.unwrap();
    assert_eq!(answer.status(), 403, "a URL is worth what the role of its signer is");

    engine.stop().await;
}

#[tokio::test]
async fn a_service_that_an_embedder_plays_can_ask() {
    let engine = engine().await;
    let identity = "identity/example.com";
    engine.authorize("Stranger", "sesv2:SendEmail", identity).unwrap();
    engine.authorize("Unknown", "sesv2:SendEmail/Raw", identity).unwrap();
    let raw = engine.authorize("Stranger", "sesv2:SendEmail/Raw", identity).unwrap_err();
    let arn = "arn:aws:ses:us-east-1:000000000000:identity/example.com";
    assert_eq!(raw.to_string(), denied("ses:SendRawEmail", arn));

    engine.stop().await;
}

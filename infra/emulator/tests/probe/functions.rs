//! The functions that the engine's own tests run on: small, and able to fail in every way. With the
//! argument `host` it is a host of them instead, for tests of what happens when a host dies. Called
//! `bootstrap` it is a function as it is deployed, which knows of no host.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

use emulator::Programs;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();

    if name.ends_with("/bootstrap") {
        return deployed();
    }

    if arguments.next().as_deref() == Some("host") {
        return host(arguments.next());
    }

    emulator::bootstrap::run(|handler| async move {
        match handler.as_str() {
            "echo" | "hasty" => lambda_runtime::run(service_fn(echo)).await,
            "writer" | "stranger" => lambda_runtime::run(service_fn(write)).await,
            "consumer" => lambda_runtime::run(service_fn(consume)).await,
            "follower" => lambda_runtime::run(service_fn(follow)).await,
            "looper" | "allowed-looper" => lambda_runtime::run(service_fn(send_on)).await,
            "clocked" | "punctual" => {
                lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
                    Ok::<_, Error>(event.payload)
                }))
                .await
            }
            "listener" | "eavesdropper" | "mailer" => {
                let calls = AtomicU32::new(0);
                lambda_runtime::run(service_fn(|event| listen(event, &calls))).await
            }
            "socket" => lambda_runtime::run(service_fn(talk)).await,
            _ => Err(format!("{handler} has no way to start").into()),
        }
    })
}

/// The echo function as its own binary.
fn deployed() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    match runtime.block_on(lambda_runtime::run(service_fn(echo))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Answers with the event and what the function knows of itself, or does what the body asks for.
async fn echo(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    let body: Value =
        event["body"].as_str().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();

    match body["do"].as_str() {
        Some("crash") => {
            eprintln!("it was asked to crash");
            std::process::abort();
        }
        Some("hang") => std::future::pending().await,
        Some("fail") => Err("it was asked to fail".into()),
        _ => {
            println!(
                "{}",
                json!({ "level": "INFO", "message": "echoed", "request_id": context.request_id })
            );
            let environment: std::collections::BTreeMap<_, _> = std::env::vars().collect();
            let known = json!({
                "event": event,
                "pid": std::process::id(),
                "environment": environment,
                "arn": context.invoked_function_arn,
                "left_ms": context.deadline().duration_since(std::time::SystemTime::now()).unwrap_or_default().as_millis(),
            });
            Ok(
                json!({ "statusCode": 201, "headers": { "content-type": "application/json" }, "cookies": ["a=1"], "body": known.to_string() }),
            )
        }
    }
}

/// Writes an item, alone or in a transaction of two, and says how that went.
async fn write(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let url = std::env::var("AWS_ENDPOINT_URL_DYNAMODB")?;
    let key = std::env::var("AWS_ACCESS_KEY_ID")?;
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new(
            key,
            "local",
            None,
            None,
            "environment",
        ))
        .retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled())
        .timeout_config(
            aws_sdk_dynamodb::config::timeout::TimeoutConfig::builder()
                .operation_timeout(std::time::Duration::from_secs(5))
                .build(),
        )
        .endpoint_url(url);
    let client = aws_sdk_dynamodb::Client::from_conf(config.build());
    let table = std::env::var("TABLE_NAME")?;
    let pk = |suffix: &str| {
        AttributeValue::S(format!("{}{suffix}", event.payload["pk"].as_str().unwrap_or_default()))
    };

    if event.payload["transact"] == json!(true) {
        let never = event.payload["never"] == json!(true);
        let put = |suffix| {
            let put = Put::builder().table_name(&table).item("pk", pk(suffix));
            let condition = never.then(|| "attribute_exists(never_set)".to_owned());
            let put = put.set_condition_expression(condition).build();
            put.map(|put| TransactWriteItem::builder().put(put).build())
        };
        let sent = client
            .transact_write_items()
            .transact_items(put("")?)
            .transact_items(put("-2")?)
            .send()
            .await;
        let Err(error) = sent else { return Ok(json!("written")) };
        let Some(error) = error.as_service_error() else { return Ok(json!(format!("{error:?}"))) };
        let TransactWriteItemsError::TransactionCanceledException(canceled) = error else {
            return Ok(json!(error.meta().code()));
        };
        return Ok(canceled
            .cancellation_reasons()
            .iter()
            .map(|reason| json!(reason.code()))
            .collect());
    }

    let sent = client.put_item().table_name(&table).item("pk", pk("")).send().await;
    Ok(match sent {
        Ok(_) => json!("written"),
        Err(error) => match error.as_service_error().and_then(|error| error.meta().code()) {
            Some(code) => json!(code),
            None => json!(format!("{error}")),
        },
    })
}

/// Sends the record's number, less one, to the queue that it came from, down to zero.
async fn send_on(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let left: u32 = event.payload["Records"][0]["body"].as_str().unwrap_or_default().parse()?;
    println!("{}", json!({ "left": left }));
    if left > 0 {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_sqs::config::Region::new("us-east-1"))
            .credentials_provider(aws_sdk_sqs::config::Credentials::new(
                std::env::var("AWS_ACCESS_KEY_ID")?,
                "local",
                None,
                None,
                "environment",
            ))
            .endpoint_url(std::env::var("AWS_ENDPOINT_URL_SQS")?);
        let send = aws_sdk_sqs::Client::from_conf(config.build()).send_message();
        let url = std::env::var("QUEUE_URL")?;
        send.queue_url(url).message_body((left - 1).to_string()).send().await?;
    }

    Ok(Value::Null)
}

/// Reports the records that say so as failed.
async fn consume(event: LambdaEvent<Value>) -> Result<Value, Error> {
    println!("{}", event.payload);
    let records = event.payload["Records"].as_array().cloned().unwrap_or_default();
    if records.iter().any(|record| record["body"] == "malformed answer") {
        return Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "nobody" }] }));
    }
    let failed = records.iter().filter(|record| record["body"] == "fail");
    let failed: Vec<_> =
        failed.map(|record| json!({ "itemIdentifier": record["messageId"] })).collect();
    Ok(json!({ "batchItemFailures": failed }))
}

/// Prints the keys of a batch; fails on one with `broken` in it, and reports one with `late` twice.
async fn follow(event: LambdaEvent<Value>) -> Result<Value, Error> {
    static LATE: AtomicU32 = AtomicU32::new(0);
    let records = event.payload["Records"].as_array().cloned().unwrap_or_default();
    let key = |record: &Value| record["dynamodb"]["Keys"]["pk"]["S"].as_str().map(str::to_owned);
    let keys: Vec<String> = records.iter().filter_map(key).collect();
    println!("{}", json!({ "followed": keys, "first": records[0] }));

    if keys.iter().any(|key| key.contains("broken")) {
        return Err("it was asked to fail".into());
    }
    let late = keys.iter().position(|key| key.contains("late"));
    let late = late.filter(|_| LATE.fetch_add(1, Ordering::Relaxed) < 2);
    let number = |place: usize| records[place]["dynamodb"]["SequenceNumber"].clone();
    let failed: Vec<Value> =
        late.iter().map(|place| json!({ "itemIdentifier": number(*place) })).collect();
    Ok(json!({ "batchItemFailures": failed }))
}

/// Prints the event; fails as often as it says, for each process.
async fn listen(event: LambdaEvent<Value>, calls: &AtomicU32) -> Result<Value, Error> {
    println!("{}", event.payload);
    let failures = event.payload["detail"]["failures"].as_u64().unwrap_or(0);
    match u64::from(calls.fetch_add(1, Ordering::Relaxed)) < failures {
        true => Err("it was asked to fail".into()),
        false => Ok(Value::Null),
    }
}

/// Sends every frame back, and refuses a connection with `?token=wrong`.
async fn talk(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let event = event.payload;
    println!("{event}");
    if event["queryStringParameters"]["token"] == "wrong" {
        return Ok(json!({ "statusCode": 401 }));
    }

    if let Some(frame) = event["body"].as_str() {
        if frame == "fail" {
            return Err("it was asked to fail".into());
        }
        let url = std::env::var("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI")?;
        let id = event["requestContext"]["connectionId"].as_str().unwrap_or_default();
        let url = format!("{url}/@connections/{id}");
        reqwest::Client::new()
            .post(url)
            .body(format!("you said {frame}"))
            .send()
            .await?
            .error_for_status()?;
    }

    // Among the names that the client asked for, as AWS's own example chooses.
    let asked = event["headers"]["sec-websocket-protocol"].as_str().unwrap_or_default();
    match asked.split(',').any(|name| name.trim() == "probe") {
        true => Ok(json!({ "statusCode": 200, "headers": { "Sec-WebSocket-Protocol": "probe" } })),
        false => Ok(json!({ "statusCode": 200 })),
    }
}

/// Starts an engine, prints the process id of a worker and is busy with it until it is killed. With
/// a directory of functions' own binaries the worker has nothing to do instead.
fn host(directory: Option<String>) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/probe/template.yaml").into();
        let own = directory.is_some();
        let programs =
            directory.map_or_else(Programs::default, |directory| Programs::Own(directory.into()));
        let options =
            emulator::EngineOptions { template, programs, ..emulator::EngineOptions::default() };
        let engine = emulator::Engine::start(options).await.expect("the engine starts");
        let answer = engine.invoke("echo", json!({})).await.expect("the function answers");
        let body: Value =
            serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or_default();
        // The same worker, now in the middle of something that it does not wake up from.
        let hang = engine.invoke("echo", json!({ "body": "{\"do\":\"hang\"}" }));
        println!("{}", body["pid"]);
        match own {
            true => std::future::pending().await,
            false => drop(hang.await),
        }
    });

    ExitCode::SUCCESS
}

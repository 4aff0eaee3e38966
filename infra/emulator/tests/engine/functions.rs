//! A function's environment, and the errors of its ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{engine, known, options, start};
use emulator::{Engine, EngineOptions, FunctionError, InvokeError, Logs};

fn order(what: &str) -> Value {
    json!({ "body": json!({ "do": what }).to_string() })
}

async fn failure(engine: &Engine, function: &str, event: Value) -> FunctionError {
    match engine.invoke(function, event).await {
        Err(InvokeError::Function(error)) => error,
        other => panic!("it should have failed: {other:?}"),
    }
}

#[tokio::test]
async fn a_function_sees_the_variables_of_its_template_and_of_lambda() {
    let engine = engine().await;
    let known = known(&engine.invoke("echo", json!({})).await.unwrap());
    assert_eq!(known["arn"], "arn:aws:lambda:us-east-1:000000000000:function:Echo");
    assert!((1..=20_000).contains(&known["left_ms"].as_u64().unwrap()), "{known}");
    let mut environment: std::collections::BTreeMap<String, String> =
        serde_json::from_value(known["environment"].clone()).unwrap();

    for ours in ["PATH", "HOME", "RUST_BACKTRACE", "AWS_LAMBDA_RUNTIME_API", "_X_AMZN_TRACE_ID"] {
        environment.remove(ours);
    }

    let expected = [
        ("AWS_ACCESS_KEY_ID", "Echo1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", engine.management_url()),
        ("AWS_ENDPOINT_URL_DYNAMODB", engine.dynamodb_url()),
        ("AWS_ENDPOINT_URL_S3", engine.s3_url()),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", engine.secrets_url()),
        ("AWS_ENDPOINT_URL_SQS", engine.sqs_url()),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_NAME", "Echo"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/Echo"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "[$LATEST]Echo1"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("BUCKET", engine.bucket_name()),
        ("CLOCK_OFFSET_MS", "0"),
        ("EXTRA", "given"),
        ("GREETING", "hello"),
        ("QUEUE_ARN", "arn:aws:sqs:us-east-1:000000000000:Queue"),
        ("QUEUE_URL", engine.queue_url("Queue").unwrap()),
        ("SECRET", engine.secret_id("Secret").unwrap()),
        ("SENTENCE", "hello a-hello, us-east-1, ${literal}"),
        ("TABLE_NAME", engine.table_name()),
        ("_HANDLER", "echo"),
    ];
    assert_eq!(
        environment,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    );

    engine.stop().await;
}

#[tokio::test]
async fn a_crash_is_reported_at_once_with_its_last_line() {
    let engine = engine().await;
    engine.invoke("echo", json!({})).await.unwrap();
    let begun = Instant::now();
    let error = failure(&engine, "echo", order("crash")).await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "it took {:?}, the timeout is 20 s",
        begun.elapsed()
    );
    assert_eq!(error.error_type, "Runtime.ExitError");
    let expected = "Error: Runtime exited with error: signal: 6: it was asked to crash";
    assert!(error.error_message.ends_with(expected), "{error}");
    engine.invoke("echo", json!({})).await.expect("the next invocation has a new worker");

    engine.stop().await;
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_killed() {
    let engine = engine().await;
    let before = known(&engine.invoke("hasty", json!({})).await.unwrap())["pid"].clone();
    let error = failure(&engine, "hasty", order("hang")).await;
    assert_eq!(error.error_type, "Sandbox.Timedout");
    assert!(error.error_message.ends_with("Task timed out after 1.00 seconds"), "{error}");
    let after = known(&engine.invoke("hasty", json!({})).await.unwrap())["pid"].clone();
    assert_ne!(before, after);
    engine.stop().await;
}

#[tokio::test]
async fn a_functions_own_error_leaves_its_worker_alive() {
    let engine = engine().await;
    let before = known(&engine.invoke("echo", json!({})).await.unwrap())["pid"].clone();
    let error = failure(&engine, "echo", order("fail")).await;
    assert_eq!(error.error_message, "it was asked to fail");
    let after = known(&engine.invoke("echo", json!({})).await.unwrap())["pid"].clone();
    assert_eq!(before, after);
    engine.stop().await;
}

#[tokio::test]
async fn a_function_that_cannot_start_says_why() {
    let engine = engine().await;
    let error = failure(&engine, "unable", json!({})).await;
    assert_eq!(error.error_type, "Runtime.ExitError");
    assert!(error.error_message.ends_with("exit status 1: unable has no way to start"), "{error}");
    assert!(matches!(
        engine.invoke("nobody", json!({})).await,
        Err(InvokeError::UnknownFunction(_))
    ));
    engine.stop().await;
}

#[tokio::test]
async fn invocations_at_the_same_time_have_a_process_each() {
    let engine = engine().await;
    let all =
        futures_util::future::join_all((0..40).map(|_| engine.invoke("echo", json!({})))).await;
    let pids: std::collections::BTreeSet<String> =
        all.into_iter().map(|answer| known(&answer.unwrap())["pid"].to_string()).collect();
    assert!((2..=16).contains(&pids.len()), "{pids:?}");
    engine.stop().await;
}

#[tokio::test]
async fn schedules_run_on_demand_with_eventbridges_event() {
    let engine = engine().await;
    let event = engine.run_schedule("clocked").await.unwrap();
    assert_eq!(event["source"], "aws.events");
    assert_eq!(event["detail-type"], "Scheduled Event");
    assert_eq!(
        event["resources"],
        json!(["arn:aws:events:us-east-1:000000000000:rule/probe-ClockedHourly"])
    );
    assert!(engine.run_schedule("echo").await.is_err());
    engine.stop().await;
}

#[tokio::test]
async fn a_scheduled_event_is_dropped_once_it_is_too_old() {
    let engine = engine().await;
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    // Lambda keeps an event for six hours if the template does not say.
    engine.run_late_schedule("clocked", minutes(359)).await.expect("it may still run");
    let dropped = engine.run_late_schedule("clocked", minutes(361)).await;
    assert!(matches!(dropped, Err(InvokeError::Expired)), "{dropped:?}");

    engine.run_late_schedule("punctual", minutes(0)).await.expect("it may still run");
    let dropped = engine.run_late_schedule("punctual", minutes(2)).await;
    assert!(matches!(dropped, Err(InvokeError::Expired)), "{dropped:?}");
    engine.stop().await;
}

#[tokio::test]
async fn a_moved_clock_restarts_the_workers() {
    let engine = engine().await;
    let before = known(&engine.invoke("echo", json!({})).await.unwrap());
    engine.set_variable("CLOCK_OFFSET_MS", "-60000").await;
    let after = known(&engine.invoke("echo", json!({})).await.unwrap());
    assert_ne!(before["pid"], after["pid"]);
    assert_eq!(after["environment"]["CLOCK_OFFSET_MS"], "-60000");
    engine.stop().await;
}

#[tokio::test]
async fn what_functions_say_can_be_read() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    engine.invoke("echo", json!({})).await.unwrap();
    failure(&engine, "echo", order("crash")).await;
    engine.stop().await;
    let lines = logs.lines();
    let said =
        |text: &str| lines.iter().any(|line| line.function == "echo" && line.text.contains(text));
    assert!(said("echoed") && said("it was asked to crash"), "{lines:?}");
    assert!(said("Runtime.ExitError"), "what it cannot say itself is said for it: {lines:?}");
}

#[tokio::test]
async fn a_function_runs_no_more_often_at_once_than_is_reserved_for_it() {
    let engine = engine().await;
    let hang = || engine.invoke("hasty", order("hang"));
    let (one, two, three) = tokio::join!(hang(), hang(), hang());
    let throttled =
        [&one, &two, &three].map(|outcome| matches!(outcome, Err(InvokeError::Throttled)));
    assert_eq!(throttled.iter().filter(|throttled| **throttled).count(), 2, "{one:?} {two:?}");

    known(&engine.invoke("hasty", json!({})).await.unwrap());
    let figures = engine.functions()["Hasty"];
    assert_eq!((figures.reserved_concurrency, figures.throttles), (Some(1), 2));
    assert_eq!(figures.most_at_once, 1);
    engine.stop().await;
}

#[tokio::test]
async fn functions_without_a_reservation_share_the_accounts_concurrency() {
    let options = EngineOptions { account_concurrency: Some(2), ..options() };
    let engine = Engine::start(options).await.expect("the engine starts");
    let echo = || engine.invoke("echo", json!({}));
    let (one, two) = tokio::join!(echo(), echo());
    let is_throttled = |outcome: &Result<_, _>| matches!(outcome, Err(InvokeError::Throttled));
    assert!(is_throttled(&one) != is_throttled(&two), "one is reserved: {one:?} {two:?}");
    assert_eq!(engine.functions()["Echo"].throttles, 1);
    assert_eq!((engine.account().concurrency, engine.account().most_at_once), (Some(2), 1));
    engine.stop().await;
}

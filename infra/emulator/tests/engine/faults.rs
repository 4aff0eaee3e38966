//! The local AWS fails where it is told to: before or after the effect, for functions and not for
//! us.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::{client, engine};
use emulator::{Engine, Failure, FaultRule, InvokeError, Trigger};

async fn write(engine: &Engine, pk: &str) -> Result<Value, InvokeError> {
    engine.invoke("writer", json!({ "pk": pk })).await
}

async fn is_there(engine: &Engine, pk: &str) -> bool {
    let client = client!(aws_sdk_dynamodb, engine.dynamodb_url());
    let get = client
        .get_item()
        .table_name(engine.table_name())
        .key("pk", AttributeValue::S(pk.to_owned()));
    get.send().await.unwrap().item.is_some()
}

fn rule(rule: Value) -> FaultRule {
    serde_json::from_value(rule).unwrap()
}

#[tokio::test]
async fn errors_are_the_services_own_and_as_many_as_ordered() {
    let engine = engine().await;
    engine
        .faults()
        .set(rule(json!({ "operation": "PutItem", "error": "ThrottlingException", "times": 1 })))
        .unwrap();
    assert_eq!(write(&engine, "a").await.unwrap(), "ThrottlingException");
    assert!(!is_there(&engine, "a").await);
    assert_eq!(write(&engine, "a").await.unwrap(), "written");
    engine.faults().set(rule(json!({ "operation": "*", "error": "InternalServerError" }))).unwrap();
    assert_eq!(write(&engine, "b").await.unwrap(), "InternalServerError");
    assert!(!is_there(&engine, "b").await, "only functions are hit");
    engine.faults().clear();
    assert_eq!(write(&engine, "b").await.unwrap(), "written");
    let put = ("Writer".to_owned(), "dynamodb:PutItem".to_owned());
    assert_eq!(engine.calls().counted(), [(put, 4)].into());

    engine.stop().await;
}

#[tokio::test]
async fn conflicts_cancel_transactions_by_position() {
    let engine = engine().await;
    engine.faults().set(rule(json!({ "operation": "*", "error": "TransactionConflict" }))).unwrap();
    assert_eq!(write(&engine, "a").await.unwrap(), "TransactionConflictException");
    let canceled = engine.invoke("writer", json!({ "pk": "a", "transact": true })).await.unwrap();
    let mut codes = canceled.as_array().unwrap().clone();
    codes.sort_by_key(Value::to_string);
    assert_eq!(codes, ["None", "TransactionConflict"]);
    assert!(!is_there(&engine, "a").await);
    engine.stop().await;
}

#[tokio::test]
async fn a_cancellation_may_leave_out_why() {
    let engine = engine().await;
    let reported = async |pattern: &str| {
        engine.faults().clear();
        let fault = json!({ "operation": "*", "error": format!("reasons:{pattern}") });
        engine.faults().set(rule(fault)).unwrap();
        engine.invoke("writer", json!({ "pk": "a", "transact": true, "never": true })).await
    };

    let refused = json!("ConditionalCheckFailed");
    for (pattern, reasons) in [
        ("++", json!([refused, refused])),
        ("+++", json!([refused, refused])),
        ("+-", json!([refused, "None"])),
        ("-+", json!(["None", refused])),
        ("--", json!(["None", "None"])),
        ("+", json!([refused])),
        ("", json!([])),
    ] {
        assert_eq!(reported(pattern).await.unwrap(), reasons, "{pattern}");
    }
    let wrong = json!({ "operation": "*", "error": "reasons:+?" });
    assert!(serde_json::from_value::<FaultRule>(wrong).is_err());

    engine.stop().await;
}

#[tokio::test]
async fn an_answer_can_be_lost_after_its_effect() {
    let engine = engine().await;
    for (pk, error) in
        [("d", "disconnect"), ("g", "garbage"), ("t", "timeout"), ("i", "InternalServerError")]
    {
        for after_effect in [false, true] {
            let fault = json!({ "operation": "PutItem", "error": error, "after_effect": after_effect, "times": 1 });
            engine.faults().set(rule(fault)).unwrap();
            let pk = format!("{pk}{after_effect}");
            assert_ne!(write(&engine, &pk).await.unwrap(), "written", "{error}");
            assert_eq!(
                is_there(&engine, &pk).await,
                after_effect,
                "{error}, after effect: {after_effect}"
            );
        }
    }

    engine.stop().await;
}

#[tokio::test]
async fn a_caller_dies_in_mid_call() {
    let engine = engine().await;
    for after_effect in [false, true] {
        let fault = json!({ "operation": "PutItem", "error": "kill", "after_effect": after_effect, "times": 1 });
        engine.faults().set(rule(fault)).unwrap();
        let pk = format!("k{after_effect}");
        let error = write(&engine, &pk).await.unwrap_err().to_string();
        assert!(error.contains("Runtime.ExitError") && error.contains("signal: killed"), "{error}");
        assert_eq!(is_there(&engine, &pk).await, after_effect);
        assert_eq!(write(&engine, &pk).await.unwrap(), "written", "the next worker is well");
    }
    engine.stop().await;
}

#[tokio::test]
async fn rules_can_be_narrow_likely_and_wrong() {
    let engine = engine().await;
    let other = json!({ "operation": "PutItem", "error": "kill", "function": "echo" });
    engine.faults().set(rule(other)).unwrap();
    assert_eq!(write(&engine, "a").await.unwrap(), "written");
    let half = json!({ "operation": "PutItem", "error": "ThrottlingException", "probability": 0.5, "seed": 7 });
    engine.faults().set(rule(half.clone())).unwrap();
    let mut first = Vec::new();
    for _ in 0..12 {
        first.push(write(&engine, "a").await.unwrap());
    }

    engine.faults().set(rule(half)).unwrap();
    assert_eq!(engine.faults().rules().len(), 2, "a rule replaces its like");
    let mut again = Vec::new();
    for _ in 0..12 {
        again.push(write(&engine, "a").await.unwrap());
    }

    assert_eq!(first, again);
    assert!(
        first.contains(&json!("written")) && first.contains(&json!("ThrottlingException")),
        "{first:?}"
    );
    assert!(
        serde_json::from_value::<FaultRule>(json!({ "operation": "*", "error": "Nonsense" }))
            .is_err()
    );
    let unlikely = FaultRule {
        trigger: Trigger { probability: 1.5, ..Trigger::default() },
        ..FaultRule::new("*", Failure::Kill)
    };
    assert!(engine.faults().set(unlikely).is_err());

    engine.stop().await;
}

#[tokio::test]
async fn workers_may_die_by_the_dozen() {
    let engine = engine().await;
    let writes =
        async || futures_util::future::join_all((0..40).map(|_| write(&engine, "a"))).await;
    let often = json!({ "operation": "PutItem", "error": "kill", "probability": 0.4 });
    engine.faults().set(rule(often)).unwrap();
    for outcome in writes().await {
        let answer = outcome.map_or_else(|error| error.to_string(), |answer| answer.to_string());
        assert!(answer == "\"written\"" || answer.ends_with("signal: killed"), "{answer}");
    }

    engine.faults().clear();
    for outcome in writes().await {
        assert_eq!(outcome.unwrap(), "written");
    }
    engine.stop().await;
}

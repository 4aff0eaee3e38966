//! The audit: it finds no drift after any traffic, and every counter that was changed by hand.

use serde_json::json;

use crate::{admin, admin_json};
use domain::{BusinessId, Month};
use platform::table::key;
use tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_drift_during_and_after_traffic() {
    let world = World::start().await;
    let business = world.business(25, 2).await;
    let id = business.business_id.to_string();

    let sends = async {
        for number in 0..30 {
            world
                .send(
                    &business.api_key,
                    business.conversation_id("email"),
                    &format!("number {number}"),
                )
                .go()
                .await;
        }
    };
    let audits = async {
        for _ in 0..3 {
            admin_json(&world, 0, &["audit", "--business", &id]).await;
        }
    };
    tokio::join!(sends, audits);

    let all = admin_json(&world, 0, &["audit"]).await;
    let account = &all["accounts"][0];
    assert_eq!(
        (&account["business_id"], &account["message_count"], &account["used"]),
        (&json!(id), &json!(25), &json!(25))
    );

    let table = admin(&world, &["audit"]).await;
    assert!(table.stdout.contains("No drift in 1 months"), "{}", table.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_was_changed_by_hand_is_found() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let id = business.business_id.to_string();
    let message =
        world.send(&business.api_key, business.conversation_id("email"), "counted once").go().await;
    let created_at: chrono::DateTime<chrono::Utc> =
        serde_json::from_value(message.json()["created_at"].clone()).expect("a time");
    let month = Month::of(created_at);

    let add = async |count: i64| {
        let key = key::quota_shard(BusinessId(business.business_id), month, 0).attributes();
        let count = aws_sdk_dynamodb::types::AttributeValue::N(count.to_string());
        world
            .dynamodb()
            .update_item()
            .table_name(&world.ready.table)
            .set_key(Some(key))
            .update_expression("ADD used :count")
            .expression_attribute_values(":count", count)
            .send()
            .await
            .expect("DynamoDB takes it");
    };
    add(2).await;

    let month_of = month.to_string();
    for args in
        [vec!["audit"], vec!["audit", "--business", &id], vec!["audit", "--month", &month_of]]
    {
        let found = admin_json(&world, 2, &args).await;
        assert_eq!(
            (&found["drifting"], &found["accounts"][0]["drift"]),
            (&json!(1), &json!(-2)),
            "{args:?}"
        );
    }
    assert_eq!(
        admin_json(&world, 0, &["audit", "--month", "2020-01"]).await["accounts"],
        json!([])
    );

    add(-2).await;
    admin_json(&world, 0, &["audit"]).await;
}

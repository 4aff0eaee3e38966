//! `create_…` overwrites nothing, and makes no key in the name of an agent that is missing or
//! inactive. `set_agent_active` and `revoke_api_key` change a credential and make none.

use uuid::Uuid;

use super::sample::{BUSINESS_ID, CONVERSATION_ID, NOW};
use super::scratch::Scratch;
use chrono::{DateTime, Utc};
use domain::{AgentId, ChannelId, Scopes};
use platform::credential::ApiKey;
use platform::table::key;
use platform::table::provision::NewConversation;
use platform::table::record::{Credential, Plan};
use platform::table::{ApiKeyTerms, Table};

const AGENT: AgentId = AgentId(Uuid::from_u128(0xA));

fn until(time: DateTime<Utc>) -> ApiKeyTerms {
    ApiKeyTerms { valid_until: Some(time), ..ApiKeyTerms::default() }
}

fn of_agent() -> ApiKeyTerms {
    ApiKeyTerms { agent: Some(AGENT), ..ApiKeyTerms::default() }
}

fn credential(is_active: bool, agent: Option<AgentId>) -> Credential {
    let scopes = Scopes::default();
    Credential { is_active, agent, valid_until: None, scopes, name: None }
}

/// Makes one record of each kind; `number` tells the records of two tries apart.
async fn create(table: &Table, api_key: &ApiKey, number: u64) -> [bool; 4] {
    let new = NewConversation {
        channel: "chat".into(),
        channel_id: ChannelId(Uuid::from_u128(number.into())),
        recipient: "visitor".into(),
        subject: None,
        begun_by: None,
        window_expires_at: None,
    };

    [
        table
            .operator()
            .create_business(BUSINESS_ID, "plan", number, 1, None)
            .await
            .expect("an answer"),
        table.operator().create_agent(BUSINESS_ID, AGENT).await.expect("an answer"),
        table.operator().create_api_key(api_key, until(NOW)).await.expect("an answer"),
        table
            .operator()
            .create_conversation(BUSINESS_ID, CONVERSATION_ID, new, NOW)
            .await
            .expect("an answer"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_existing_record_is_overwritten() {
    let scratch = Scratch::start().await;
    let (table, api_key) = (scratch.table(), ApiKey::generate(BUSINESS_ID));
    assert_eq!(create(&table, &api_key, 1).await, [true; 4]);
    table.operator().set_agent_active(BUSINESS_ID, AGENT, false).await.expect("an answer");
    table.operator().revoke_api_key(&api_key).await.expect("an answer");
    let before = scratch.items.all().await;
    assert_eq!(before.len(), 4);
    assert_eq!(create(&table, &api_key, 2).await, [false; 4]);
    assert_eq!(scratch.items.all().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_is_made_with_the_plan_it_was_given() {
    let scratch = Scratch::start().await;
    assert!(
        scratch
            .table()
            .operator()
            .create_business(BUSINESS_ID, "starter", 250, 4, Some(60))
            .await
            .expect("an answer")
    );
    let plan = Plan {
        name: "starter".into(),
        max_messages_per_month: 250,
        shards: 4,
        requests_per_minute: Some(60),
        version: 1,
    };
    assert_eq!(scratch.items.record(&key::plan(BUSINESS_ID)).await, Some(plan));
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_changes_an_existing_credential_and_makes_no_missing_one() {
    let scratch = Scratch::start().await;
    let (table, api_key) = (scratch.table(), ApiKey::generate(BUSINESS_ID));
    for is_active in [false, true] {
        assert!(
            !table
                .operator()
                .set_agent_active(BUSINESS_ID, AGENT, is_active)
                .await
                .expect("an answer")
        );
    }

    assert!(!table.operator().revoke_api_key(&api_key).await.expect("an answer"));
    assert!(scratch.items.all().await.is_empty());
    table.operator().create_agent(BUSINESS_ID, AGENT).await.expect("an answer");
    table.operator().create_api_key(&api_key, of_agent()).await.expect("an answer");

    for is_active in [false, true, false] {
        assert!(
            table
                .operator()
                .set_agent_active(BUSINESS_ID, AGENT, is_active)
                .await
                .expect("an answer")
        );
        let agent: Credential =
            scratch.items.record(&key::agent(BUSINESS_ID, AGENT)).await.expect("it stays");
        assert_eq!(agent, credential(is_active, None));
    }

    assert!(table.operator().revoke_api_key(&api_key).await.expect("an answer"));
    let revoked: Credential =
        scratch.items.record(&key::api_key(BUSINESS_ID, &api_key.hash())).await.expect("it stays");

    assert_eq!(revoked, credential(false, Some(AGENT)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_only_in_the_name_of_an_active_agent_and_listed_by_it() {
    let scratch = Scratch::start().await;
    let (table, keys) = (scratch.table(), [(); 3].map(|()| ApiKey::generate(BUSINESS_ID)));
    let create = async |key: &ApiKey| {
        table.operator().create_api_key(key, of_agent()).await.expect("an answer")
    };

    let found = async || table.operator().api_keys_of(BUSINESS_ID, AGENT).await.expect("an answer");
    assert!(!create(&keys[0]).await, "there is no such agent");
    assert!(scratch.items.all().await.is_empty());
    table.operator().create_agent(BUSINESS_ID, AGENT).await.expect("an answer");
    table.operator().create_api_key(&keys[2], ApiKeyTerms::default()).await.expect("an answer");

    for key in &keys[..2] {
        assert!(create(key).await);
        assert!(!create(key).await, "it is there");
    }

    let mut both = [keys[0].hash(), keys[1].hash()];
    both.sort_unstable();
    assert_eq!(found().await, both);
    assert!(table.operator().revoke_api_key(&keys[0]).await.expect("an answer"));
    assert_eq!(found().await, [keys[1].hash()], "a revoked key is not listed");
    table.operator().set_agent_active(BUSINESS_ID, AGENT, false).await.expect("an answer");
    let before = scratch.items.all().await;

    assert!(!create(&ApiKey::generate(BUSINESS_ID)).await, "the agent is inactive");
    assert_eq!(scratch.items.all().await, before);
    assert_eq!(found().await, [keys[1].hash()]);
}

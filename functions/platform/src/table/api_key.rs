//! API keys: made, listed by the agent in whose name they send, revoked.
//!
//! A request with an API key reads the key's own record and not its agent's, so the operator who
//! revokes an agent revokes their keys as well. The agent goes first: no key is made in the name of
//! an agent that is missing or inactive, so the keys listed after that are complete.

use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem};
use chrono::{DateTime, Utc};

use super::cancellation::is_refused;
use super::record::Credential;
use super::{OperatorTable, item, key, read_all, text, value};
use crate::credential::ApiKey;
use crate::error::InternalError;
use domain::{AgentId, BusinessId, Scopes};

/// The terms of a new API key. By default it does everything, in no agent's name, until it is
/// revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiKeyTerms {
    /// The agent in whose name it sends.
    pub agent: Option<AgentId>,
    /// Until when it is valid.
    pub valid_until: Option<DateTime<Utc>>,
    /// The things that it may do.
    pub scopes: Scopes,
    /// Its owner's name for it.
    pub name: Option<String>,
}

impl OperatorTable<'_> {
    /// Registers an API key; false if the key exists already, or its agent is missing or inactive.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn create_api_key(
        self,
        api_key: &ApiKey,
        terms: ApiKeyTerms,
    ) -> Result<bool, InternalError> {
        let ApiKeyTerms { agent, valid_until, scopes, name } = terms;
        let credential = Credential { is_active: true, agent, valid_until, scopes, name };
        let key = key::api_key(api_key.business_id, &api_key.hash());
        let Some(agent) = agent else { return self.create(&key, &credential).await };
        let check = ConditionCheck::builder()
            .table_name(&self.table.name)
            .set_key(Some(key::agent(api_key.business_id, agent).attributes()))
            .condition_expression("is_active = :active")
            .expression_attribute_values(":active", value(&true));

        let check = check.build().expect("table, key and condition are set");
        let check = TransactWriteItem::builder().condition_check(check).build();
        let actions = vec![self.table.put_new(item(&key, &credential)), check];
        match self.table.transact(actions).await {
            Ok(()) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(InternalError::aws("TransactWriteItems", error)),
        }
    }

    /// The hashes ([`ApiKey::hash`]) of the keys that send in an agent's name and are not revoked.
    /// Consistent: every key that was made before is among them.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn api_keys_of(
        self,
        business_id: BusinessId,
        agent_id: AgentId,
    ) -> Result<Vec<String>, InternalError> {
        #[derive(serde::Deserialize)]
        struct Row {
            sk: String,
        }

        let call = self
            .table
            .query()
            .key_condition_expression("pk = :pk AND begins_with(sk, :keys)")
            .filter_expression("#agent = :agent AND is_active = :active")
            .expression_attribute_names("#agent", "agent")
            .expression_attribute_values(":pk", text(key::plan(business_id).pk))
            .expression_attribute_values(":keys", text(key::API_KEY_PREFIX))
            .expression_attribute_values(":agent", value(&agent_id))
            .expression_attribute_values(":active", value(&true))
            .projection_expression("sk");

        let hash_of = |row: Row| {
            key::parse_api_key(&row.sk)
                .map(str::to_owned)
                .ok_or_else(|| InternalError::new("reading the hash of an API key"))
        };

        read_all(call).await?.into_iter().map(hash_of).collect()
    }

    /// Revokes an API key, at once. False if there is no such key.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn revoke_api_key(self, api_key: &ApiKey) -> Result<bool, InternalError> {
        self.revoke_api_key_of_hash(api_key.business_id, &api_key.hash()).await
    }

    /// Revokes an API key by the hash that is stored of it ([`ApiKey::hash`]). False if there is no
    /// such key.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn revoke_api_key_of_hash(
        self,
        business_id: BusinessId,
        hash: &str,
    ) -> Result<bool, InternalError> {
        self.set_active(&key::api_key(business_id, hash), false).await
    }
}

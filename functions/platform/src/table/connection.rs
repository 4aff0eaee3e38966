//! Live chat widgets: the connections of a conversation, and the conversation of a connection.

use aws_sdk_dynamodb::types::ReturnValue;
use chrono::serde::ts_milliseconds;
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::record::Conversation;
use super::{Table, WriteOutcome, expiry, item, key, millis, read_all, text, update, value};
use crate::credential::visitor::{Visitor, VisitorToken};
use crate::error::InternalError;
use crate::secrets::TokenKeys;
use domain::widget::ReplayState;
use domain::{BusinessId, ConversationId};

/// API Gateway ends every WebSocket connection after two hours
/// ([quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html)).
pub const MAX_CONNECTION_AGE: TimeDelta = TimeDelta::hours(2);

/// A widget's connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// API Gateway's id of the connection.
    #[serde(rename = "connection")]
    pub connection_id: String,
    /// The business whose conversation it shows.
    #[serde(rename = "business")]
    pub business_id: BusinessId,
    /// The conversation it shows.
    #[serde(rename = "conversation")]
    pub conversation_id: ConversationId,
    /// The `kid` of the key that signed its token; empty if an older release has stored it.
    #[serde(default)]
    pub kid: String,
    /// When its token ends; 1970 if an older release has stored it.
    #[serde(default, with = "ts_milliseconds")]
    pub ends_at: DateTime<Utc>,
    /// When DynamoDB may forget it, in seconds since 1970.
    pub expires_at: i64,
    /// The messages that were replayed on it; `None` before its hello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayState>,
}

/// The outcome of writing down what was replayed on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayWriteOutcome {
    /// It is written, and this is the connection now.
    Written(Connection),
    /// Another frame was faster, and has left this.
    Changed(Option<ReplayState>),
    /// The connection was closed.
    Closed,
}

impl Connection {
    /// Makes the record of a connection that begins at `now` with this token.
    #[must_use]
    pub fn new(connection_id: &str, token: VisitorToken, now: DateTime<Utc>) -> Connection {
        let Visitor { business_id, conversation_id } = token.visitor;
        Connection {
            connection_id: connection_id.to_owned(),
            business_id,
            conversation_id,
            kid: token.kid,
            ends_at: token.ends_at,
            expires_at: expiry(now, MAX_CONNECTION_AGE),
            replay: None,
        }
    }

    /// Returns the visitor whose token it is.
    #[must_use]
    pub fn visitor(&self) -> Visitor {
        Visitor { business_id: self.business_id, conversation_id: self.conversation_id }
    }

    /// True if its token has neither expired nor lost its key. The keys are read at most every five
    /// minutes.
    ///
    /// # Errors
    /// If Secrets Manager does not answer.
    pub async fn lasts(&self, keys: &TokenKeys, now: DateTime<Utc>) -> Result<bool, InternalError> {
        Ok(now < self.ends_at && keys.named(&self.kid).await?.is_some())
    }
}

impl Table {
    /// A conversation, as it is now.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn conversation(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
    ) -> Result<Option<Conversation>, InternalError> {
        self.get(&key::conversation(business_id, conversation_id)).await
    }

    /// Stores a connection that was opened.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn connect(&self, connection: &Connection) -> Result<(), InternalError> {
        self.put_connection(&key::connection_owner(&connection.connection_id), connection).await
    }

    /// Changes what was replayed on a connection, unless another frame of it was faster.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn write_replay(
        &self,
        connection: &Connection,
        after: &ReplayState,
    ) -> Result<ReplayWriteOutcome, InternalError> {
        let call = self
            .change(&key::connection_owner(&connection.connection_id))
            .update_expression("SET replay = :after")
            .expression_attribute_values(":after", value(after))
            .return_values(ReturnValue::AllNew);
        let call = match &connection.replay {
            None => {
                call.condition_expression("attribute_exists(pk) AND attribute_not_exists(replay)")
            }
            Some(replay) => call
                .condition_expression("replay = :before")
                .expression_attribute_values(":before", value(replay)),
        };

        Ok(match update::<Connection>(call).await? {
            WriteOutcome::Done(Some(now)) => ReplayWriteOutcome::Written(now),
            // Its own write, the answer to which was lost.
            WriteOutcome::Refused(now) if now.replay == Some(*after) => {
                ReplayWriteOutcome::Written(now)
            }
            WriteOutcome::Refused(now) => ReplayWriteOutcome::Changed(now.replay),
            WriteOutcome::Done(None) | WriteOutcome::Missing => ReplayWriteOutcome::Closed,
        })
    }

    /// Makes a connection last as long as a newer token. A token that ends earlier changes nothing.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn renew_token(
        &self,
        connection: &Connection,
        token: &VisitorToken,
    ) -> Result<(), InternalError> {
        let Connection { connection_id, business_id, conversation_id, .. } = connection;
        // In this order: a hello lists the connection first, and reads its own record afterwards.
        let owner = key::connection_owner(connection_id);
        let listed = key::connection(*business_id, *conversation_id, connection_id);
        for key in [owner, listed] {
            let call = self
                .change(&key)
                .update_expression("SET kid = :kid, ends_at = :ends_at")
                .condition_expression("ends_at < :ends_at")
                .expression_attribute_values(":kid", text(&token.kid))
                .expression_attribute_values(":ends_at", millis(token.ends_at));
            update::<IgnoredAny>(call).await?;
        }
        Ok(())
    }

    /// Lists a widget under its conversation, so that workers deliver to it from now on.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn list_connection(&self, connected: &Connection) -> Result<(), InternalError> {
        let key = key::connection(
            connected.business_id,
            connected.conversation_id,
            &connected.connection_id,
        );
        self.put_connection(&key, connected).await
    }

    async fn put_connection(
        &self,
        key: &key::Key,
        record: &Connection,
    ) -> Result<(), InternalError> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item(key, record)));
        put.send().await.map(drop).map_err(|error| InternalError::aws("PutItem", error))
    }

    /// The connection's record; `None` once it was closed.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn connection(
        &self,
        connection_id: &str,
    ) -> Result<Option<Connection>, InternalError> {
        self.get(&key::connection_owner(connection_id)).await
    }

    /// Removes a widget, and frees its place among the conversation's tabs.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn disconnect(&self, gone: &Connection) -> Result<(), InternalError> {
        let Connection { connection_id, business_id, conversation_id, .. } = gone;
        self.forget_connection(connection_id, *business_id, *conversation_id).await?;
        self.leave_tabs(connection_id, *business_id, *conversation_id).await
    }

    /// Removes a widget whose place among the conversation's tabs is taken.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn forget_connection(
        &self,
        connection_id: &str,
        business_id: BusinessId,
        conversation_id: ConversationId,
    ) -> Result<(), InternalError> {
        let listed = key::connection(business_id, conversation_id, connection_id);
        for key in [listed, key::connection_owner(connection_id)] {
            let delete =
                self.client.delete_item().table_name(&self.name).set_key(Some(key.attributes()));
            delete.send().await.map_err(|error| InternalError::aws("DeleteItem", error))?;
        }
        Ok(())
    }

    /// The live widgets of a conversation.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn connections(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
    ) -> Result<Vec<Connection>, InternalError> {
        let partition = key::conversation_partition(business_id, conversation_id);
        let call = self
            .query()
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(partition))
            .expression_attribute_values(":prefix", text(key::CONNECTION_PREFIX));
        read_all(call).await
    }
}

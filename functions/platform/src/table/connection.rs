//! Live chat widgets: the connections of a conversation, and the conversation of a connection.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::record::Conversation;
use super::{Table, expiry, item, key, read_all, text};
use crate::error::InternalError;
use domain::{BusinessId, ConversationId};

/// API Gateway ends every WebSocket connection after two hours
/// ([quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html)).
pub const MAX_CONNECTION_AGE: TimeDelta = TimeDelta::hours(2);

/// A live widget.
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
    /// When DynamoDB may forget it, in seconds since 1970.
    pub expires_at: i64,
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

    /// Stores which conversation a widget shows, so that its receipts count from now on.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn connect(
        &self,
        connection_id: &str,
        business_id: BusinessId,
        conversation_id: ConversationId,
        now: DateTime<Utc>,
    ) -> Result<Connection, InternalError> {
        let expires_at = expiry(now, MAX_CONNECTION_AGE);
        let record = Connection {
            connection_id: connection_id.to_owned(),
            business_id,
            conversation_id,
            expires_at,
        };
        self.put_connection(&key::connection_owner(connection_id), &record).await?;
        Ok(record)
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

    /// The connection's record, if it ever said hello.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn connection(
        &self,
        connection_id: &str,
    ) -> Result<Option<Connection>, InternalError> {
        self.get(&key::connection_owner(connection_id)).await
    }

    /// Removes a widget.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn disconnect(&self, gone: &Connection) -> Result<(), InternalError> {
        let listed = key::connection(gone.business_id, gone.conversation_id, &gone.connection_id);
        for key in [listed, key::connection_owner(&gone.connection_id)] {
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

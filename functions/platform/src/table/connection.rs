//! Live chat widgets: which are connected to a conversation, and which conversation one belongs to.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::record::Conversation;
use super::{Table, expiry, item, key, text};
use crate::error::InternalError;
use domain::{BusinessId, ConversationId};

/// API Gateway ends every WebSocket connection after two hours
/// ([quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html)).
const LONGEST: TimeDelta = TimeDelta::hours(2);

/// A live widget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// API Gateway's id of it.
    pub connection: String,
    /// Whose conversation it shows.
    pub business: BusinessId,
    /// Which conversation it shows.
    pub conversation: ConversationId,
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
        b: BusinessId,
        c: ConversationId,
    ) -> Result<Option<Conversation>, InternalError> {
        self.get(&key::conversation(b, c)).await
    }

    /// Remembers whose a widget is, so that its receipts count from now on.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn connect(
        &self,
        connection: &str,
        business: BusinessId,
        conversation: ConversationId,
        now: DateTime<Utc>,
    ) -> Result<Connection, InternalError> {
        let expires_at = expiry(now, LONGEST);
        let record =
            Connection { connection: connection.to_owned(), business, conversation, expires_at };
        self.remember(&key::connection_owner(connection), &record).await?;
        Ok(record)
    }

    /// Lists a widget under its conversation, so that workers deliver to it from now on.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn list(&self, connected: &Connection) -> Result<(), InternalError> {
        let key =
            key::connection(connected.business, connected.conversation, &connected.connection);
        self.remember(&key, connected).await
    }

    async fn remember(&self, key: &key::Key, record: &Connection) -> Result<(), InternalError> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item(key, record)));
        put.send().await.map(drop).map_err(|error| InternalError::aws("PutItem", error))
    }

    /// Whose a connection is, if it ever said hello.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn connected(&self, connection: &str) -> Result<Option<Connection>, InternalError> {
        self.get(&key::connection_owner(connection)).await
    }

    /// Forgets a widget.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn disconnect(&self, gone: &Connection) -> Result<(), InternalError> {
        let listed = key::connection(gone.business, gone.conversation, &gone.connection);
        for key in [listed, key::connection_owner(&gone.connection)] {
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
        b: BusinessId,
        c: ConversationId,
    ) -> Result<Vec<Connection>, InternalError> {
        let call = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(key::conversation_partition(b, c)))
            .expression_attribute_values(":prefix", text(key::CONNECTION_PREFIX));
        let answer = call.send().await.map_err(|error| InternalError::aws("Query", error))?;
        answer.items.unwrap_or_default().into_iter().map(super::read).collect()
    }
}

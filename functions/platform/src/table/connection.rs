//! Live chat widgets: which are connected to a conversation, and which conversation one belongs to.

use super::record::{Conversation, Message};
use super::{Table, Written, expiry, item, key, text, update, value};
use crate::broken::Broken;
use chrono::{DateTime, TimeDelta, Utc};
use domain::delivery::Status;
use domain::{BusinessId, ConversationId, MessageId};
use serde::{Deserialize, Serialize};

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
    pub async fn conversation(&self, b: BusinessId, c: ConversationId) -> Result<Option<Conversation>, Broken> {
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
    ) -> Result<Connection, Broken> {
        let expires_at = expiry(now, LONGEST);
        let record = Connection { connection: connection.to_owned(), business, conversation, expires_at };
        self.remember(&key::connection_owner(connection), &record).await?;
        Ok(record)
    }

    /// Lists a widget under its conversation, so that workers deliver to it from now on.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn list(&self, connected: &Connection) -> Result<(), Broken> {
        let key = key::connection(connected.business, connected.conversation, &connected.connection);
        self.remember(&key, connected).await
    }

    async fn remember(&self, key: &key::Key, record: &Connection) -> Result<(), Broken> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item(key, record)));
        put.send().await.map(drop).map_err(|error| Broken::aws("PutItem", error))
    }

    /// Whose a connection is, if it ever said hello.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn connected(&self, connection: &str) -> Result<Option<Connection>, Broken> {
        self.get(&key::connection_owner(connection)).await
    }

    /// Forgets a widget.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn disconnect(&self, gone: &Connection) -> Result<(), Broken> {
        let listed = key::connection(gone.business, gone.conversation, &gone.connection);
        for key in [listed, key::connection_owner(&gone.connection)] {
            let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key.attributes()));
            delete.send().await.map_err(|error| Broken::aws("DeleteItem", error))?;
        }
        Ok(())
    }

    /// The live widgets of a conversation.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn connections(&self, b: BusinessId, c: ConversationId) -> Result<Vec<Connection>, Broken> {
        let call = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(key::conversation_partition(b, c)))
            .expression_attribute_values(":prefix", text(key::CONNECTION_PREFIX));
        let answer = call.send().await.map_err(|error| Broken::aws("Query", error))?;
        answer.items.unwrap_or_default().into_iter().map(super::read).collect()
    }

    /// Moves a message's status on because a receipt says so; false if there was nothing to move, or no such message.
    ///
    /// # Errors
    /// If DynamoDB does not answer, or the message kept changing.
    pub async fn receipt(
        &self,
        business: BusinessId,
        conversation: ConversationId,
        id: MessageId,
        reported: Status,
        now: DateTime<Utc>,
    ) -> Result<bool, Broken> {
        for _ in 0..8 {
            let Some(message) = self.message(business, conversation, id).await? else { return Ok(false) };
            let Some(status) = message.status.on_receipt(reported) else { return Ok(false) };
            if self.report(business, conversation, &message, status, now).await? {
                return Ok(true);
            }
        }
        Err(Broken::new("writing down a receipt of a message that kept changing"))
    }

    async fn report(
        &self,
        business: BusinessId,
        conversation: ConversationId,
        message: &Message,
        status: Status,
        now: DateTime<Utc>,
    ) -> Result<bool, Broken> {
        const SENT: &str = "sent_at = if_not_exists(sent_at, :now)";
        const DELIVERED: &str = "delivered_at = if_not_exists(delivered_at, :now)";
        // What was delivered was sent, and whatever went wrong before is over.
        let change = match status {
            Status::Sent => format!("{SENT} REMOVE #error"),
            Status::Delivered => format!("{SENT}, {DELIVERED} REMOVE #error"),
            Status::Read => format!("{SENT}, {DELIVERED}, read_at = if_not_exists(read_at, :now) REMOVE #error"),
            Status::Failed => "failed_at = if_not_exists(failed_at, :now)".to_owned(),
            Status::Queued | Status::Sending | Status::InDoubt => return Ok(false),
        };
        let call = self
            .change(&key::message(business, conversation, message.seq))
            .update_expression(format!("SET #status = :status, {change}"))
            .condition_expression("#status = :was")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":status", value(&status))
            .expression_attribute_values(":was", value(&message.status))
            .expression_attribute_values(":now", value(&now));
        // DynamoDB refuses names that no expression uses.
        let call = if status == Status::Failed { call } else { call.expression_attribute_names("#error", "error") };
        Ok(matches!(update::<Message>(call).await?, Written::Done(_)))
    }
}

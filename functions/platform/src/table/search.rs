//! The search for a message by something that operators know of it. Only its full address finds a
//! message at once; everything else is a scan, as the census is.

use super::record::Message;
use super::{Cursor, Item, OperatorTable, Page, key, read, text};
use crate::error::InternalError;
use domain::{BusinessId, ConversationId, Seq};

/// The facts that a message is looked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSearch {
    /// The business it belongs to, if that is known.
    pub business_id: Option<BusinessId>,
    /// The conversation it was sent into, if that is known.
    pub conversation_id: Option<ConversationId>,
    /// The name it is looked for by.
    pub name: MessageName,
}

/// A name of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageName {
    /// Its place in its conversation.
    Seq(Seq),
    /// Its own id, that of the call that made it, or the provider's.
    Id(String),
}

/// A message with its full address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// The business it belongs to.
    pub business_id: BusinessId,
    /// The conversation it was sent into.
    pub conversation_id: ConversationId,
    /// The message.
    pub message: Message,
}

impl OperatorTable<'_> {
    /// One page of the table: the messages that the search describes. Several may come from one
    /// call: a message that was given up, and the one that was accepted anew for it.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn find_messages(
        self,
        search: &MessageSearch,
        page: Option<Cursor>,
    ) -> Result<Page<StoredMessage>, InternalError> {
        let mut call = self.table.client.scan().table_name(&self.table.name).consistent_read(true);
        let mut filter = match &search.name {
            MessageName::Seq(seq) => {
                call = call.expression_attribute_values(":sk", text(key::message_sort(*seq)));
                "sk = :sk".to_owned()
            }
            MessageName::Id(id) => {
                call = call
                    .expression_attribute_values(":messages", text(key::MESSAGE_PREFIX))
                    .expression_attribute_values(":id", text(id));
                "begins_with(sk, :messages) AND (id = :id OR correlation_id = :id OR provider_id = \
                 :id)"
                    .to_owned()
            }
        };

        if let Some(business_id) = search.business_id {
            filter += " AND begins_with(pk, :business)";
            let of_business = key::conversations_of(business_id);
            call = call.expression_attribute_values(":business", text(of_business));
        }
        if let Some(conversation_id) = search.conversation_id {
            filter += " AND contains(pk, :conversation)";
            call = call.expression_attribute_values(":conversation", text(conversation_id));
        }

        let call = call.filter_expression(filter).set_exclusive_start_key(page.map(|page| page.0));
        let answer = call.send().await.map_err(|error| InternalError::aws("Scan", error))?;

        let items = answer.items.unwrap_or_default().into_iter();
        let items_read = usize::try_from(answer.scanned_count).unwrap_or_default();
        let records = items.map(stored_message).collect::<Result<_, _>>()?;
        Ok(Page { records, items_read, end: answer.last_evaluated_key.map(Cursor) })
    }
}

pub(super) fn stored_message(item: Item) -> Result<StoredMessage, InternalError> {
    let pk = item.get(key::PK).and_then(|pk| pk.as_s().ok());
    let (business_id, conversation_id) = pk
        .and_then(|pk| key::parse_conversation_partition(pk))
        .ok_or_else(|| InternalError::new("reading the conversation of a message"))?;
    Ok(StoredMessage { business_id, conversation_id, message: read(item)? })
}

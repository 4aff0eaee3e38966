//! Erasing what identifies a customer. What is counted stays: each message with its id, its place,
//! its status and its times, and everything that delivery relies on. Of a message that the customer
//! wrote, id, place and time stay.
//!
//! A conversation is erased only while all of its messages are settled and no worker holds it, so
//! that nothing is emptied that has yet to be delivered. The erasure raises the fence as a claim
//! does: a worker that comes back late cannot write to an emptied message. Until the erasure ends,
//! the conversation is marked, so that another run finds what one that was cut short has left.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::ReturnValue;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::record::{Conversation, Message, Upload};
use super::{
    Cursor, OperatorTable, Page, WriteOutcome, key, number, read, read_all, text, update, value,
};
use crate::error::InternalError;
use domain::delivery::{Attempt, History};
use domain::timeline::Order;
use domain::{BusinessId, ConversationChannel, ConversationId, CustomerNumber, Seq, UploadId};

/// How often a message may change while it is emptied before emptying it gives up.
const MAX_CONFLICTS: u8 = 8;

/// A conversation that may have to be erased, by one of its customer's names.
#[derive(Clone, PartialEq, Eq)]
pub struct ErasureCandidate {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The name.
    pub name: CustomerName,
    /// Whether an erasure of it was begun and has not ended.
    pub is_begun: bool,
}

/// A name of a conversation's customer.
#[derive(Clone, PartialEq, Eq)]
pub enum CustomerName {
    /// The address or number that messages go to.
    Recipient(ConversationChannel, String),
    /// A name by which WhatsApp's customers find the conversation
    /// ([`domain::channel::whatsapp::CustomerId::lookup_key`]).
    LookupKey(String),
}

/// An erasure that was begun: what there was then is to be emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// The business.
    pub business_id: BusinessId,
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The last message that is to be emptied.
    pub last: Seq,
    fence: u64,
}

/// The outcome of beginning an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeginErasureOutcome {
    /// The conversation has no address any more; its messages are next.
    Begun(Erasure),
    /// So many messages are not settled yet, or a worker is at it: nothing was erased.
    Unsettled(u64),
    /// There is no such conversation.
    Missing,
}

impl OperatorTable<'_> {
    /// One page of the table: the business's conversations, each once for each of its customer's
    /// names.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn erasure_candidates(
        self,
        business_id: BusinessId,
        page: Option<Cursor>,
    ) -> Result<Page<ErasureCandidate>, InternalError> {
        let filter = "(sk = :conversation AND begins_with(pk, :of)) OR begins_with(sk, :of)";
        let call = self.table.client.scan().table_name(&self.table.name).consistent_read(true);
        let call = call
            .filter_expression(filter)
            .expression_attribute_values(":conversation", text(key::CONVERSATION_SORT))
            .expression_attribute_values(":of", text(key::conversations_of(business_id)))
            .projection_expression("pk, sk, channel, recipient, erasing")
            .set_exclusive_start_key(page.map(|page| page.0));

        let answer = call.send().await.map_err(|error| InternalError::aws("Scan", error))?;
        let items_read = usize::try_from(answer.scanned_count).unwrap_or_default();
        let items = answer.items.unwrap_or_default().into_iter();
        let records = items.map(|item| parse_candidate(read(item)?)).collect::<Result<_, _>>()?;
        Ok(Page { records, items_read, end: answer.last_evaluated_key.map(Cursor) })
    }

    /// Takes the customer out of a conversation of which every message is settled.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn begin_erasure(
        self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        now: DateTime<Utc>,
    ) -> Result<BeginErasureOutcome, InternalError> {
        let call = self
            .table
            .change(&key::conversation(business_id, conversation_id))
            .update_expression(
                "SET recipient = :nothing, erasing = :now, erased_at = :now, fence = fence + :one \
                 REMOVE subject, thread",
            )
            .condition_expression(
                "settled_seq = seq AND attribute_not_exists(due) \
                 AND attribute_not_exists(lease_owner)",
            )
            .expression_attribute_values(":nothing", text(""))
            .expression_attribute_values(":now", value(&now))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);

        match update::<Conversation>(call).await? {
            WriteOutcome::Done(Some(Conversation { seq, fence, .. })) => {
                let erasure = Erasure { business_id, conversation_id, last: seq, fence };
                Ok(BeginErasureOutcome::Begun(erasure))
            }
            WriteOutcome::Done(None) => {
                Err(InternalError::new("erasing a conversation that came back empty"))
            }
            WriteOutcome::Refused(now) => {
                Ok(BeginErasureOutcome::Unsettled(now.seq.0.saturating_sub(now.settled_seq.0)))
            }
            WriteOutcome::Missing => Ok(BeginErasureOutcome::Missing),
        }
    }

    /// Empties the messages of an erasure after `after`, at most `limit` of them; returns the last
    /// one that it looked at, or `None` if there are no more.
    ///
    /// # Errors
    /// If DynamoDB does not answer, or a message kept changing.
    pub async fn empty_messages(
        self,
        erasure: &Erasure,
        after: Seq,
        limit: i32,
    ) -> Result<Option<Seq>, InternalError> {
        let Erasure { business_id, conversation_id, last, .. } = *erasure;
        let page =
            self.table.messages_after(business_id, conversation_id, after, limit).await?.messages;
        let Some(read_up_to) = page.last().map(|message| message.seq) else { return Ok(None) };

        for message in page.into_iter().filter(|message| message.seq <= last) {
            self.empty_message(erasure, message).await?;
        }

        Ok((read_up_to < last).then_some(read_up_to))
    }

    /// Empties a message. What delivery and receipts write comes in between at most a few times.
    async fn empty_message(self, erasure: &Erasure, message: Message) -> Result<(), InternalError> {
        let Erasure { business_id, conversation_id, .. } = *erasure;
        let key = key::message(business_id, conversation_id, message.seq);
        let mut seen = message;

        for _ in 0..MAX_CONFLICTS {
            let without_details = |attempt: Attempt| Attempt {
                reason: attempt.reason.map(|reason| reason.without_detail()),
                ..attempt
            };
            let attempts = seen.history.clone().into_iter().map(without_details);
            let history = attempts.fold(History::default(), |all, one| all.with(one));

            let mut set =
                "SET content = :nothing, attachments = :none, history = :history, fence = :fence"
                    .to_owned();
            if seen.error.is_some() {
                set += ", #error.detail = :nothing";
            }
            let mut call = self
                .table
                .change(&key)
                .update_expression(set + " REMOVE provider_id, metadata")
                .condition_expression(
                    "#status = :status AND (attribute_not_exists(fence) OR fence <= :fence)",
                )
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":status", value(&seen.status))
                .expression_attribute_values(":nothing", text(""))
                .expression_attribute_values(":none", value(&[(); 0]))
                .expression_attribute_values(":history", value(&history))
                .expression_attribute_values(":fence", number(erasure.fence));
            if seen.error.is_some() {
                call = call.expression_attribute_names("#error", "error");
            }

            match update::<Message>(call).await? {
                // Missing: its time was over.
                WriteOutcome::Done(_) | WriteOutcome::Missing => return Ok(()),
                // A later erasure has it.
                WriteOutcome::Refused(now) if now.fence > Some(erasure.fence) => return Ok(()),
                WriteOutcome::Refused(now) => seen = now,
            }
        }

        Err(InternalError::new("emptying a message that kept changing"))
    }

    /// Empties the messages after `after` that the customer wrote, at most `limit` of them; returns
    /// the last one that it looked at, or `None` if there are no more. The names that they came
    /// with stay known by their hashes, so that a repeat makes no second message.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn empty_customer_messages(
        self,
        erasure: &Erasure,
        after: CustomerNumber,
        limit: i32,
    ) -> Result<Option<CustomerNumber>, InternalError> {
        let Erasure { business_id, conversation_id, .. } = *erasure;
        let numbers = (after, CustomerNumber::MAX);
        let (page, _) = self
            .table
            .customer_messages(business_id, conversation_id, numbers, Order::OldestFirst, limit)
            .await?;

        for message in &page {
            let key = key::customer_message(business_id, conversation_id, message.number);
            let call = self
                .table
                .change(&key)
                .update_expression("SET content = :nothing REMOVE media")
                .condition_expression("attribute_exists(pk)")
                .expression_attribute_values(":nothing", text(""));
            // Missing: its time was over.
            update::<IgnoredAny>(call).await?;
        }

        Ok(page.last().map(|message| message.number))
    }

    /// Removes the records of a conversation's uploads, so that no further message references them.
    /// Returns the uploads that messages reference which came since.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn remove_uploads(
        self,
        erasure: &Erasure,
    ) -> Result<BTreeSet<UploadId>, InternalError> {
        let Erasure { business_id, conversation_id, last, .. } = *erasure;
        let call = self
            .table
            .query()
            .key_condition_expression("pk = :pk AND begins_with(sk, :uploads)")
            .expression_attribute_values(
                ":pk",
                text(key::conversation_partition(business_id, conversation_id)),
            )
            .expression_attribute_values(":uploads", text(key::UPLOAD_PREFIX));
        let uploads: Vec<Upload> = read_all(call).await?;
        for upload in &uploads {
            self.delete(&key::upload(business_id, conversation_id, upload.id)).await?;
        }

        let mut in_use = BTreeSet::new();
        let mut after = last;
        loop {
            let page = self.table.messages_after(business_id, conversation_id, after, 100).await?;
            let Some(read_up_to) = page.messages.last().map(|message| message.seq) else {
                return Ok(in_use);
            };
            let files = page.messages.iter().flat_map(|message| &message.attachments);
            in_use.extend(files.map(|file| file.id));
            after = read_up_to;
        }
    }

    /// One page of the table: removes the names by which WhatsApp's customers find these
    /// conversations, and the hashes of the requests that made their messages. An idempotency key
    /// stays known, so that its request makes no second message. Returns how many items were
    /// changed.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn erase_references(
        self,
        erasures: &BTreeMap<ConversationId, Erasure>,
        business_id: BusinessId,
        page: Option<Cursor>,
    ) -> Result<Page<()>, InternalError> {
        let call = self.table.client.scan().table_name(&self.table.name).consistent_read(true);
        let call = call
            .filter_expression("begins_with(sk, :of) OR begins_with(pk, :keys)")
            .expression_attribute_values(":of", text(key::conversations_of(business_id)))
            .expression_attribute_values(":keys", text(key::idempotency_of(business_id)))
            .projection_expression("pk, sk, conversation, seq")
            .set_exclusive_start_key(page.map(|page| page.0));
        let answer = call.send().await.map_err(|error| InternalError::aws("Scan", error))?;
        let items_read = usize::try_from(answer.scanned_count).unwrap_or_default();

        let mut records = Vec::new();
        for item in answer.items.unwrap_or_default() {
            let ReferenceRow { pk, sk, conversation, seq } = read(item)?;
            let key = key::Key { pk, sk };
            let linked = key::parse_conversation_partition(&key.sk);
            let linked = linked
                .filter(|(business, id)| *business == business_id && erasures.contains_key(id));
            let answered = conversation.and_then(|id| erasures.get(&id));

            if linked.is_some() {
                self.delete(&key).await?;
                records.push(());
            } else if answered.is_some_and(|erasure| seq <= Some(erasure.last)) {
                self.forget_request(&key).await?;
                records.push(());
            }
        }

        Ok(Page { records, items_read, end: answer.last_evaluated_key.map(Cursor) })
    }

    /// Ends an erasure: another run does not look for it.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn end_erasure(self, erasure: &Erasure) -> Result<(), InternalError> {
        let call = self
            .table
            .change(&key::conversation(erasure.business_id, erasure.conversation_id))
            .update_expression("REMOVE erasing")
            .condition_expression("attribute_exists(pk)");
        update::<IgnoredAny>(call).await.map(drop)
    }

    async fn forget_request(self, key: &key::Key) -> Result<(), InternalError> {
        let call = self
            .table
            .change(key)
            .update_expression("SET request_hash = :nothing")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":nothing", text(""));
        update::<IgnoredAny>(call).await.map(drop)
    }

    async fn delete(self, key: &key::Key) -> Result<(), InternalError> {
        let delete = self.table.client.delete_item().table_name(&self.table.name);
        let deleted = delete.set_key(Some(key.attributes())).send().await;
        deleted.map(drop).map_err(|error| InternalError::aws("DeleteItem", error))
    }
}

/// A conversation, or an item by which a customer finds one.
#[derive(Deserialize)]
struct CandidateRow {
    pk: String,
    sk: String,
    #[serde(default)]
    channel: Option<ConversationChannel>,
    #[serde(default)]
    recipient: Option<String>,
    #[serde(default)]
    erasing: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct ReferenceRow {
    pk: String,
    sk: String,
    #[serde(default)]
    conversation: Option<ConversationId>,
    #[serde(default)]
    seq: Option<Seq>,
}

fn parse_candidate(row: CandidateRow) -> Result<ErasureCandidate, InternalError> {
    let CandidateRow { pk, sk, channel, recipient, erasing } = row;
    let is_begun = erasing.is_some();
    let (partition, name) = match (channel, recipient) {
        (Some(channel), Some(recipient)) => {
            (&pk, Some(CustomerName::Recipient(channel, recipient)))
        }
        _ => (&sk, key::parse_whatsapp_customer(&pk).map(CustomerName::LookupKey)),
    };

    let conversation = key::parse_conversation_partition(partition);
    let ((_, conversation_id), name) = conversation
        .zip(name)
        .ok_or_else(|| InternalError::new("reading the customer of a conversation"))?;
    Ok(ErasureCandidate { conversation_id, name, is_begun })
}

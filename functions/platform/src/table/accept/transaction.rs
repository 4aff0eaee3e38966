//! The transaction of one try: its writes, in the order that `table::cancellation` reads them by.

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use chrono::TimeDelta;
use uuid::Uuid;

use super::draft::MessageDraft;
use crate::table::record::{Idempotency, Message, Upload};
use crate::table::{Item, Table, expiry, item, key, millis, number, text, value};
use domain::accept::RecordedAnswer;
use domain::delivery::{History, Parts, Status};
use domain::file::UploadState;
use domain::{MessageId, Month, Seq};

/// An idempotency key is remembered for this long, and a little longer until DynamoDB gets round to
/// deleting it.
pub const IDEMPOTENCY_TTL: TimeDelta = TimeDelta::hours(24);

/// How long the function that accepted a message has to keep its files, before the sweeper does.
const KEEP_FILE_GRACE: TimeDelta = TimeDelta::seconds(60);

/// One try: everything that makes the transaction. A try with an unknown outcome is repeated as it
/// is, under its own token, until DynamoDB reports its outcome.
pub(super) struct TransactionAttempt {
    token: String,
    pub(super) shard: u16,
    pub(super) seq: Seq,
    id: MessageId,
}

impl TransactionAttempt {
    pub(super) fn new(draft: &MessageDraft, last: Seq, shard: u16) -> TransactionAttempt {
        let seq = last.next();
        let id = MessageId::new(draft.now, seq, rand::random());
        TransactionAttempt {
            token: Uuid::from_u128(rand::random()).simple().to_string(),
            shard,
            seq,
            id,
        }
    }

    /// Returns the message that the transaction stores.
    pub(super) fn message(&self, draft: &MessageDraft, month: Month) -> Message {
        Message {
            id: self.id,
            seq: self.seq,
            sender: draft.sender,
            content: draft.content.clone(),
            attachments: draft.attachments.clone(),
            metadata: draft.metadata.clone(),
            created_at: draft.now,
            month,
            shard: self.shard,
            status: Status::Queued,
            attempts: 0,
            unknown_outcomes: 0,
            fence: None,
            attempted_at: None,
            provider_id: None,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            failed_at: None,
            reported_at: None,
            error: None,
            parts: Parts::default(),
            correlation_id: draft.correlation_id.clone(),
            keep_until: draft.keep_until,
            // Nothing that is not settled may be deleted.
            expires_at: None,
            history: History::default(),
        }
    }
}

impl Table {
    /// Makes the transaction of `this` try.
    pub(super) async fn transaction(
        &self,
        draft: &MessageDraft,
        month: Month,
        this: &TransactionAttempt,
    ) -> Result<(), SdkError<TransactWriteItemsError>> {
        let call = self.client.transact_write_items().client_request_token(&this.token);
        // The order of the positions is what `cancellation` reads by.
        let call = call
            .transact_items(self.count_message(draft, month, this))
            .transact_items(self.advance_conversation(draft, this))
            .transact_items(self.put_new(item(
                &key::message(draft.business_id, draft.conversation_id, this.seq),
                &this.message(draft, month),
            )));

        let call = match &draft.idempotency {
            Some((key, hash)) => {
                call.transact_items(self.put_new(idempotency_item(draft, this, key, hash)))
            }
            None => call,
        };
        let call = draft
            .new_uploads
            .iter()
            .fold(call, |call, upload| call.transact_items(self.reference_upload(draft, upload)));

        // The SDK's own repeats would hide that an earlier one may have taken effect; this loop
        // repeats the same try under the same token, and sees the outcome of each.
        let once = aws_sdk_dynamodb::Config::builder().retry_config(RetryConfig::disabled());

        call.customize().config_override(once).send().await.map(drop)
    }

    /// Position 1: counts the message on its shard.
    fn count_message(
        &self,
        draft: &MessageDraft,
        month: Month,
        this: &TransactionAttempt,
    ) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key::quota_shard(draft.business_id, month, this.shard).attributes()))
            .update_expression("ADD used :one")
            .condition_expression("used < cap")
            .expression_attribute_values(":one", number(1))
            .return_values_on_condition_check_failure(AllOld);
        TransactWriteItem::builder()
            .update(update.build().expect("table, key and expression are set"))
            .build()
    }

    /// Position 2: moves the conversation to the message, and puts it into the outbox.
    fn advance_conversation(
        &self,
        draft: &MessageDraft,
        this: &TransactionAttempt,
    ) -> TransactWriteItem {
        let bucket = key::outbox_bucket(draft.channel, draft.conversation_id);
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key::conversation(draft.business_id, draft.conversation_id).attributes()))
            .update_expression(
                "SET seq = :next, updated_at = :now, \
                 first_response_at = if_not_exists(first_response_at, :now), \
                 outbox_bucket = :bucket, due = if_not_exists(due, :due)",
            )
            .condition_expression("seq = :last AND channel = :channel")
            .expression_attribute_values(":next", number(this.seq))
            .expression_attribute_values(":last", number(this.seq.0 - 1))
            .expression_attribute_values(":channel", text(&draft.conversation_channel))
            .expression_attribute_values(":now", value(&draft.now))
            .expression_attribute_values(":bucket", text(bucket))
            .expression_attribute_values(":due", millis(draft.now))
            .return_values_on_condition_check_failure(AllOld);

        TransactWriteItem::builder()
            .update(update.build().expect("table, key and expression are set"))
            .build()
    }

    /// The last positions: has an upload's record kept as long as its file will be, and puts it
    /// into the outbox of files, because the file itself is only kept afterwards.
    fn reference_upload(&self, draft: &MessageDraft, upload: &Upload) -> TransactWriteItem {
        let end = UploadState::Ready.kept_until(upload.created_at);
        let key = key::upload(draft.business_id, draft.conversation_id, upload.id);
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .update_expression(
                "SET #state = :ready, content_type = :content_type, expires_at = :end, \
                 outbox_bucket = :bucket, due = :due",
            )
            .condition_expression("attribute_exists(pk) AND #state <> :ready")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":ready", value(&UploadState::Ready))
            .expression_attribute_values(":content_type", text(&upload.content_type))
            .expression_attribute_values(":end", number(end.timestamp()))
            .expression_attribute_values(":bucket", text(key::upload_bucket(upload.id)))
            .expression_attribute_values(":due", millis(draft.now + KEEP_FILE_GRACE))
            .return_values_on_condition_check_failure(AllOld);

        TransactWriteItem::builder()
            .update(update.build().expect("table, key and expression are set"))
            .build()
    }
}

fn idempotency_item(
    draft: &MessageDraft,
    this: &TransactionAttempt,
    key: &key::Key,
    hash: &str,
) -> Item {
    let first =
        RecordedAnswer { message_id: this.id, seq: this.seq, request_hash: hash.to_owned() };
    let expires_at = expiry(draft.now, IDEMPOTENCY_TTL);
    let record = Idempotency { first, conversation_id: draft.conversation_id, expires_at };
    item(key, &record)
}

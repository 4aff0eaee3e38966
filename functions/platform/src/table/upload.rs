//! Uploads: files that messages of one conversation may reference.
//!
//! An upload is counted before anything of it is kept ([`Table::count_upload`]). The transaction
//! that accepts its first message has its record kept. The file follows ([`Table::keep_file`]):
//! the function that accepted the message has it kept or, if that one did not come to it, the
//! sweeper, which finds the upload in the outbox. So a refused message keeps nothing, and nothing
//! has to be taken back.

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::Deserialize;

use super::cancellation::{is_contended, is_refused};
use super::outbox::read_page;
use super::record::Upload;
use super::{
    Backoff, CONTENTION_BUDGET, Cursor, Page, Table, WriteOutcome, item, key, number, update,
};
use crate::capability::Capability;
use crate::error::InternalError;
use crate::files::{Files, ObjectKey};
use domain::BusinessId;
use domain::file::{UnreferencedUploads, last_counted_day};

/// How long a day's count stays behind its last day: long enough for every file of it that is kept
/// late.
const COUNT_TTL: TimeDelta = TimeDelta::days(7);

/// The outcome of counting an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountUploadOutcome {
    /// It is counted.
    Counted,
    /// There is no room for it: this is the day's count.
    NoRoom(UnreferencedUploads),
}

impl Table {
    /// Counts an upload of `size` bytes among the unreferenced ones of `day`, as long as there is
    /// `room`.
    ///
    /// # Errors
    /// If DynamoDB does not answer. Then the upload may be counted.
    pub async fn count_upload(
        &self,
        business_id: BusinessId,
        day: NaiveDate,
        size: u64,
        room: UnreferencedUploads,
    ) -> Result<CountUploadOutcome, InternalError> {
        let call = self
            .change(&key::unreferenced_uploads(business_id, day))
            .update_expression(COUNT)
            .condition_expression(
                "attribute_not_exists(pk) OR (#files <= :room_files AND #bytes <= :room_bytes)",
            )
            .expression_attribute_names("#files", "files")
            .expression_attribute_names("#bytes", "bytes")
            .expression_attribute_values(":files", number(1))
            .expression_attribute_values(":bytes", number(size))
            .expression_attribute_values(":end", number(count_expiry(day)))
            .expression_attribute_values(":room_files", number(room.files))
            .expression_attribute_values(":room_bytes", number(room.bytes));

        Ok(match update::<UnreferencedUploads>(call).await? {
            WriteOutcome::Done(_) => CountUploadOutcome::Counted,
            WriteOutcome::Refused(today) => CountUploadOutcome::NoRoom(today),
            WriteOutcome::Missing => CountUploadOutcome::NoRoom(UnreferencedUploads::default()),
        })
    }

    /// Takes back the count of an upload that was not stored.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn discount_upload(
        &self,
        business_id: BusinessId,
        day: NaiveDate,
        size: u64,
    ) -> Result<(), InternalError> {
        let discount = self.discount(business_id, day, size);
        self.transact_unless_refused(vec![discount]).await
    }

    /// Remembers a new upload, until its time is over.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn put_upload(&self, place: ObjectKey, upload: &Upload) -> Result<(), InternalError> {
        let ObjectKey { business_id, conversation_id, upload: id } = place;
        let put = self.client.put_item().table_name(&self.name);
        let put = put.set_item(Some(item(&key::upload(business_id, conversation_id, id), upload)));
        put.send().await.map(drop).map_err(|error| InternalError::aws("PutItem", error))
    }

    /// The upload that a capability opens.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn upload(&self, capability: &Capability) -> Result<Option<Upload>, InternalError> {
        let key =
            key::upload(capability.business_id, capability.conversation_id, capability.upload);
        let upload: Option<Upload> = self.get(&key).await?;
        Ok(upload.filter(|upload| upload.is_opened_by(capability)))
    }

    /// The uploads of one bucket whose files were to be kept by `now`, longest due first; pages are
    /// as those of [`Table::due`].
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn due_uploads(
        &self,
        bucket: &str,
        now: DateTime<Utc>,
        page: Option<Cursor>,
    ) -> Result<Page<ObjectKey>, InternalError> {
        #[derive(Deserialize)]
        struct Row {
            pk: String,
            sk: String,
        }

        let call = self.due_in(bucket, now, page);
        let place = |Row { pk, sk }: Row| {
            let (business_id, conversation_id, upload) = key::parse_upload(&pk, &sk)?;
            Some(ObjectKey { business_id, conversation_id, upload })
        };
        read_page(call, place).await
    }

    /// Has the bucket keep the file of an upload that is in the outbox, however often it is asked
    /// to; returns false if the file is not there.
    ///
    /// # Errors
    /// If DynamoDB or S3 does not answer. Then the upload is still in the outbox.
    pub async fn keep_file(&self, files: &Files, place: ObjectKey) -> Result<bool, InternalError> {
        let ObjectKey { business_id, conversation_id, upload } = place;
        let key = key::upload(business_id, conversation_id, upload);
        match self.get::<Upload>(&key).await? {
            Some(upload) => self.keep_file_of(files, place, &upload).await,
            None => Ok(false),
        }
    }

    /// Does as [`keep_file`](Table::keep_file) does, for an upload that was read.
    ///
    /// # Errors
    /// If DynamoDB or S3 does not answer. Then the upload is still in the outbox.
    pub async fn keep_file_of(
        &self,
        files: &Files,
        place: ObjectKey,
        upload: &Upload,
    ) -> Result<bool, InternalError> {
        let is_there = files.mark_referenced(place).await?;
        self.finish_reference(place, upload).await?;
        Ok(is_there)
    }

    /// Takes an upload out of the outbox and out of the count, both or neither; only the first call
    /// does anything.
    async fn finish_reference(
        &self,
        place: ObjectKey,
        upload: &Upload,
    ) -> Result<(), InternalError> {
        let ObjectKey { business_id, conversation_id, upload: id } = place;
        let leave = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key::upload(business_id, conversation_id, id).attributes()))
            .update_expression("REMOVE outbox_bucket, due")
            .condition_expression("attribute_exists(outbox_bucket)");
        let leave = leave.build().expect("table, key and expression are set");
        let leave = TransactWriteItem::builder().update(leave).build();
        let discount = self.discount(business_id, upload.created_at.date_naive(), upload.size);

        self.transact_unless_refused(vec![leave, discount]).await
    }

    /// Makes all of these writes, or none if one's condition refuses it.
    async fn transact_unless_refused(
        &self,
        actions: Vec<TransactWriteItem>,
    ) -> Result<(), InternalError> {
        let mut backoff = Backoff::new(CONTENTION_BUDGET);
        loop {
            let Err(error) = self.transact(actions.clone()).await else { return Ok(()) };
            if is_refused(&error) {
                return Ok(());
            }
            if !is_contended(&error) {
                return Err(InternalError::aws("TransactWriteItems", error));
            }
            if !backoff.wait().await {
                return Err(InternalError::contended("TransactWriteItems"));
            }
        }
    }

    fn discount(&self, business_id: BusinessId, day: NaiveDate, size: u64) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key::unreferenced_uploads(business_id, day).attributes()))
            .update_expression(COUNT)
            .expression_attribute_names("#files", "files")
            .expression_attribute_names("#bytes", "bytes")
            .expression_attribute_values(":files", number(-1))
            .expression_attribute_values(":bytes", number(format!("-{size}")))
            .expression_attribute_values(":end", number(count_expiry(day)));
        let update = update.build().expect("table, key and expression are set");
        TransactWriteItem::builder().update(update).build()
    }
}

/// The change of a day's count.
const COUNT: &str =
    "SET expires_at = if_not_exists(expires_at, :end) ADD #files :files, #bytes :bytes";

fn count_expiry(day: NaiveDate) -> i64 {
    (last_counted_day(day).and_time(NaiveTime::MIN).and_utc() + COUNT_TTL).timestamp()
}

//! The one table. Items are plain structs ([`record`]), and [`key`] makes their keys. Each file
//! beside them holds one operation with every condition it relies on.
//!
//! [`Table`] itself accepts, reads and takes receipts; [`Deliveries`] is the worker's half,
//! [`OperatorTable`] the operator's.

mod accept;
mod api_key;
mod attempt;
mod cancellation;
mod census;
mod connection;
mod customer;
mod deliver;
mod endpoints;
mod erase;
mod event_deliveries;
mod events;
mod exceptions;
mod inventory;
pub mod key;
mod list;
mod month;
mod operator;
mod outbox;
mod page;
mod plan;
pub mod provision;
mod publish;
mod receipt;
pub mod record;
mod request_context;
mod retention;
mod search;
mod sweep_round;
mod switch;
mod tabs;
mod timeline;
mod upload;
mod window;
mod withdraw;

pub use accept::{ACCEPT_DEADLINE, ACCEPT_LAST_TRY, AcceptOutcome, IDEMPOTENCY_TTL, MessageDraft};
pub use api_key::ApiKeyTerms;
pub use attempt::RequeueOutcome;
pub use census::{MessageFilter, OpenMonth};
pub use connection::{Connection, MAX_CONNECTION_AGE, ReplayWriteOutcome};
pub use customer::{CustomerDraft, CustomerMessageOutcome};
pub use deliver::{Deliveries, HeldConversation, ReleaseOutcome};
pub use endpoints::CreateEndpointOutcome;
pub use erase::{BeginErasureOutcome, CustomerName, Erasure, ErasureCandidate};
pub use event_deliveries::DeliveryLine;
pub use events::{CurrentMessages, EventList};
pub use exceptions::{ExceptionPlace, ExceptionSearch, Exceptions, NoPlace};
pub use inventory::{BusinessPart, FoundApiKey, FoundChannel, FoundEndpoint};
pub use list::{MessageList, MessageRange};
pub use operator::OperatorTable;
pub use outbox::DueConversation;
pub use page::{Cursor, Page};
pub use plan::PlanChange;
pub use publish::{Endpoints, EventDraft};
pub use receipt::{AppliedReceipt, ReceiptEffect};
pub use request_context::{LoadRequest, RequestContext};
pub use retention::MessageRetention;
pub use search::{MessageName, MessageSearch, StoredMessage};
pub use sweep_round::SweepRound;
pub use tabs::{IdleFrameOutcome, TabAdmission};
pub use timeline::{Entry, Timeline};
pub use upload::CountUploadOutcome;
pub use window::CustomerConversations;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put, TransactWriteItem};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::error::{self, InternalError};
pub use domain::timeline::Order;

/// An item as the SDK returns it; it never leaves this module.
type Item = HashMap<String, AttributeValue>;

/// The table.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// The table `name`, reached by `client`.
    #[must_use]
    pub fn new(client: Client, name: String) -> Table {
        Table { client, name }
    }

    /// Reads `TABLE_NAME`.
    ///
    /// # Errors
    /// The variable that is missing.
    pub fn from_env(aws: &crate::aws::Aws) -> Result<Table, crate::settings::SettingError> {
        Ok(Table::named(aws, crate::settings::required("TABLE_NAME")?))
    }

    /// The table `name` of this AWS.
    #[must_use]
    pub fn named(aws: &crate::aws::Aws, name: String) -> Table {
        Table::new(Client::new(&aws.service("DYNAMODB")), name)
    }

    /// The worker's half of the table.
    #[must_use]
    pub fn deliveries(&self) -> Deliveries<'_> {
        Deliveries { table: self }
    }

    /// The operator's half of the table.
    #[must_use]
    pub fn operator(&self) -> OperatorTable<'_> {
        OperatorTable { table: self }
    }

    /// Reads one item, consistently.
    async fn get<T: DeserializeOwned>(&self, key: &key::Key) -> Result<Option<T>, InternalError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .consistent_read(true)
            .set_key(Some(key.attributes()))
            .send()
            .await;
        answer.map_err(|error| InternalError::aws("GetItem", error))?.item.map(read).transpose()
    }

    /// Begins an `UpdateItem` of the item under `key`.
    fn change(&self, key: &key::Key) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.name).set_key(Some(key.attributes()))
    }

    /// Puts an item that must not be there before; a transaction that is cancelled for it tells
    /// what is there.
    fn put_new(&self, item: Item) -> TransactWriteItem {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(AllOld);
        TransactWriteItem::builder().put(put.build().expect("table and item are set")).build()
    }

    /// Makes all of these writes, or none.
    async fn transact(
        &self,
        actions: Vec<TransactWriteItem>,
    ) -> Result<(), SdkError<TransactWriteItemsError>> {
        let call = self.client.transact_write_items().set_transact_items(Some(actions));
        call.send().await.map(drop)
    }

    /// Begins a consistent `Query`.
    fn query(&self) -> QueryFluentBuilder {
        self.client.query().table_name(&self.name).consistent_read(true)
    }

    /// Reads up to `limit` items of a partition whose range keys lie between two, both included,
    /// consistently; and whether there may be more.
    async fn read_between<T: DeserializeOwned>(
        &self,
        partition: String,
        [first, last]: [String; 2],
        order: Order,
        limit: i32,
    ) -> Result<(Vec<T>, bool), InternalError> {
        // DynamoDB refuses a range whose end lies before its beginning.
        if first > last {
            return Ok((Vec::new(), false));
        }

        let call = self
            .query()
            .limit(limit)
            .scan_index_forward(order == Order::OldestFirst)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(partition))
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":last", text(last));
        let answer = call.send().await.map_err(|error| InternalError::aws("Query", error))?;
        let has_more = answer.last_evaluated_key.is_some();
        let items = answer.items.unwrap_or_default().into_iter().map(read);
        Ok((items.collect::<Result<_, _>>()?, has_more))
    }

    /// Reads many items, consistently and in any order. Asks again for those that DynamoDB left out
    /// ([`UnprocessedKeys`](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html)).
    async fn get_all(
        &self,
        keys: impl IntoIterator<Item: Borrow<key::Key>>,
    ) -> Result<Vec<Item>, InternalError> {
        let keys = keys.into_iter();
        let mut pending: Vec<Item> = keys.map(|key| key.borrow().attributes()).collect();
        let mut items = Vec::with_capacity(pending.len());
        let mut backoff = Backoff::new(CONTENTION_BUDGET);

        loop {
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(pending))
                .consistent_read(true)
                .build()
                .expect("keys are set");
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.name, keys)
                .send()
                .await
                .map_err(|error| InternalError::aws("BatchGetItem", error))?;

            items.extend(answer.responses.unwrap_or_default().into_values().flatten());
            pending = answer
                .unprocessed_keys
                .unwrap_or_default()
                .into_values()
                .flat_map(|left| left.keys)
                .collect();

            if pending.is_empty() {
                return Ok(items);
            }
            if !backoff.wait().await {
                return Err(InternalError::new("reading items that DynamoDB left out every time"));
            }
        }
    }
}

/// How long a call waits for contention and throttling to end.
pub const CONTENTION_BUDGET: Duration = Duration::from_millis(1_500);
const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// Waits between tries: full jitter below 5 ms, doubling to 200 ms ([backoff and
/// jitter](https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/)).
struct Backoff {
    until: Instant,
    budget: Duration,
    wait: Duration,
}

impl Backoff {
    fn new(budget: Duration) -> Backoff {
        Backoff { until: Instant::now() + budget, budget, wait: FIRST_WAIT }
    }

    /// Waits before the next try; false once the budget is spent.
    async fn wait(&mut self) -> bool {
        let wait = self.wait.mul_f64(rand::random());
        if Instant::now() + wait >= self.until {
            return false;
        }
        tokio::time::sleep(wait).await;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        true
    }

    /// Starts the budget anew after progress; the waits stay as long as they are.
    fn renew(&mut self) {
        self.until = Instant::now() + self.budget;
    }
}

/// Repeats a write while only contention refuses it. DynamoDB refuses even a single write while a
/// transaction holds its item, and the SDK does not repeat those by itself.
async fn retry_on_conflict<T, E, R, F>(call: impl Fn() -> F) -> Result<T, SdkError<E, R>>
where
    F: Future<Output = Result<T, SdkError<E, R>>>,
    E: ProvideErrorMetadata,
{
    let mut backoff = Backoff::new(CONTENTION_BUDGET);
    loop {
        match call().await {
            Err(error)
                if error.code().is_some_and(error::is_contention) && backoff.wait().await => {}
            answer => return answer,
        }
    }
}

/// The outcome of a conditional write.
enum WriteOutcome<T> {
    /// The write was made; the item as it is now, if the call asked for it.
    Done(Option<T>),
    /// The condition failed on this item.
    Refused(T),
    /// The condition failed because there is no such item.
    Missing,
}

impl<T> WriteOutcome<T> {
    fn is_done(&self) -> bool {
        matches!(self, WriteOutcome::Done(_))
    }
}

/// Makes one conditional `UpdateItem`, and repeats it through contention.
async fn update<T: DeserializeOwned>(
    call: UpdateItemFluentBuilder,
) -> Result<WriteOutcome<T>, InternalError> {
    let call = call.return_values_on_condition_check_failure(AllOld);
    match retry_on_conflict(|| call.clone().send()).await {
        Ok(answer) => Ok(WriteOutcome::Done(answer.attributes.map(read).transpose()?)),
        Err(error) => match error.into_refused_item() {
            Ok(Some(item)) => Ok(WriteOutcome::Refused(read(item)?)),
            Ok(None) => Ok(WriteOutcome::Missing),
            Err(error) => Err(InternalError::aws("UpdateItem", error)),
        },
    }
}

/// Reads every page of a query.
async fn read_all<T: DeserializeOwned>(call: QueryFluentBuilder) -> Result<Vec<T>, InternalError> {
    let mut items = call.into_paginator().items().send();
    let mut records = Vec::new();
    while let Some(item) = items.next().await {
        records.push(read(item.map_err(|error| InternalError::aws("Query", error))?)?);
    }
    Ok(records)
}

/// Splits a refused condition from every other error.
trait RefusedCondition: Sized {
    fn into_refused_item(self) -> Result<Option<Item>, Self>;
}

impl<R> RefusedCondition for SdkError<UpdateItemError, R> {
    fn into_refused_item(self) -> Result<Option<Item>, Self> {
        match self.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                Ok(refused.item.clone().filter(|item| !item.is_empty()))
            }
            _ => Err(self),
        }
    }
}

/// Reads a record. `from_item` would do the same, and copy the item into another map before.
fn read<T: DeserializeOwned>(item: Item) -> Result<T, InternalError> {
    serde_dynamo::aws_sdk_dynamodb_1::from_attribute_value(AttributeValue::M(item)).map_err(
        |error| {
            let name = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
            InternalError::because(format!("reading a stored {name}"), error)
        },
    )
}

/// Takes the item under `key` out of what a batch returned, in whatever order.
fn take_item<T: DeserializeOwned>(
    items: &mut Vec<Item>,
    key: Option<&key::Key>,
) -> Result<Option<T>, InternalError> {
    let Some(key) = key else { return Ok(None) };
    let has = |item: &Item, name: &str, value: &str| {
        item.get(name).and_then(|found| found.as_s().ok()).is_some_and(|found| found == value)
    };
    let found =
        items.iter().position(|item| has(item, key::PK, &key.pk) && has(item, key::SK, &key.sk));
    found.map(|index| read(items.swap_remove(index))).transpose()
}

/// An item of `record`'s attributes under `key`. `to_item` would copy them into another map.
fn item(key: &key::Key, record: &impl Serialize) -> Item {
    let AttributeValue::M(mut item) = value(record) else {
        unreachable!("records are maps with text keys")
    };
    item.extend(key.attributes());
    item
}

fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Times that conditions compare are stored as milliseconds since 1970.
fn millis(time: DateTime<Utc>) -> AttributeValue {
    number(time.timestamp_millis())
}

/// A value of any record's field.
fn value(of: &impl Serialize) -> AttributeValue {
    serde_dynamo::aws_sdk_dynamodb_1::to_attribute_value(of)
        .expect("fields of records always serialize")
}

/// When DynamoDB may delete an item: seconds since 1970, as
/// [TTL](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html)
/// wants it.
fn expiry(now: DateTime<Utc>, after: TimeDelta) -> i64 {
    (now + after).timestamp()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use aws_sdk_dynamodb::error::ErrorMetadata;

    use super::*;

    fn error(code: &str) -> SdkError<UpdateItemError, ()> {
        let error = UpdateItemError::generic(ErrorMetadata::builder().code(code).build());
        SdkError::service_error(error, ())
    }

    /// Has a call fail `failures` times with `code`, then succeed; returns whether it succeeded and
    /// how often it was made.
    async fn called(failures: u32, code: &str) -> (bool, u32) {
        let calls = Cell::new(0);
        let answer = retry_on_conflict(|| {
            calls.set(calls.get() + 1);
            std::future::ready(if calls.get() > failures { Ok(()) } else { Err(error(code)) })
        });
        (answer.await.is_ok(), calls.get())
    }

    #[tokio::test]
    async fn contention_is_waited_out_and_nothing_else_is() {
        assert_eq!(called(0, "").await, (true, 1));
        assert_eq!(called(3, "TransactionConflictException").await, (true, 4));
        assert_eq!(called(3, "ThrottlingException").await, (true, 4));
        assert_eq!(called(3, "ConditionalCheckFailedException").await, (false, 1));
        assert_eq!(called(3, "ValidationException").await, (false, 1));
    }

    #[tokio::test]
    async fn waiting_ends_with_the_budget() {
        let begun = Instant::now();
        let budget = Duration::from_millis(30);
        let mut backoff = Backoff::new(budget);
        while backoff.wait().await {}

        assert!(
            begun.elapsed() + backoff.wait >= budget,
            "it gave up with {:?} left",
            budget - begun.elapsed()
        );
        assert!(!Backoff::new(Duration::ZERO).wait().await);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_from_5_ms_to_200_and_contention_gets_a_second_and_a_half() {
        let mut backoff = Backoff::new(Duration::from_secs(60));
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push(backoff.wait);
            let begun = Instant::now();
            assert!(backoff.wait().await);
            // The timer rounds up to the next millisecond.
            assert!(begun.elapsed() <= waits[waits.len() - 1] + Duration::from_millis(1));
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 200, 200].map(Duration::from_millis));

        let budget = Duration::from_millis(1_500);
        let begun = Instant::now();
        let (is_done, _) = called(u32::MAX, "TransactionConflictException").await;
        assert!(!is_done && begun.elapsed() <= budget + Duration::from_millis(1));
        assert!(begun.elapsed() + Duration::from_millis(200) >= budget, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn progress_renews_the_budget_and_leaves_the_waits() {
        let mut backoff =
            Backoff { until: Instant::now(), budget: CONTENTION_BUDGET, wait: LONGEST_WAIT };
        assert!(!backoff.wait().await);
        backoff.renew();
        assert!(backoff.until >= Instant::now() + CONTENTION_BUDGET - LONGEST_WAIT);
        assert_eq!(backoff.wait, LONGEST_WAIT);
    }

    #[test]
    fn only_a_refused_condition_is_split_off() {
        use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;
        let refused = |item: Option<Item>| {
            let refused = ConditionalCheckFailedException::builder().set_item(item).build();
            let error = UpdateItemError::ConditionalCheckFailedException(refused);
            SdkError::<_, ()>::service_error(error, ()).into_refused_item().ok()
        };
        let item = Item::from([("seq".to_owned(), number(1))]);
        assert_eq!(refused(Some(item.clone())), Some(Some(item)));
        assert_eq!(refused(Some(Item::new())), Some(None), "there was no item");
        assert_eq!(refused(None), Some(None));
        assert!(error("ThrottlingException").into_refused_item().is_err());
    }
}

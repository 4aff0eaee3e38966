//! A DynamoDB that holds the items of a transaction for as long as the transaction lasts, and
//! cancels every other one that touches them meanwhile ([transaction conflict
//! handling](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling)).
//! The embedded DynamoDB runs one transaction after the other, so none of them ever conflicts.
//!
//! It is an HTTP connector in the SDK's own client, and knows the calls that accepting a message
//! makes, by their expressions. What it does not know is a panic.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

use platform::aws::Aws;
use platform::table::Table;
use platform::table::key::Key;

/// How long every other call takes.
const OTHER_CALL: Duration = Duration::from_millis(3);

/// An item as the wire has it: each attribute with its type.
pub(crate) type Item = Map<String, Value>;

/// `pk` and `sk`.
type ItemKey = (String, String);

/// The database; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Dynamo(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    items: HashMap<ItemKey, Item>,
    /// Items of transactions that have not ended.
    held: HashSet<ItemKey>,
    /// How long transactions take on average, in milliseconds.
    transaction_ms: u64,
    random: StdRng,
    /// How many transactions there were for a message, by the id that its caller gave it.
    tries: HashMap<String, u32>,
    /// How many items the cancelled transactions were about.
    cancelled_items: u64,
}

/// Why a position of a transaction cannot be written.
#[derive(Debug, PartialEq, Eq)]
enum Reason {
    Conflict,
    Condition(Option<Item>),
}

impl Dynamo {
    /// A database with these items. A transaction takes half of `transaction_ms` to one and a half
    /// of it, by `seed`; one that goes through holds its items for so long.
    pub(crate) fn new(
        items: impl IntoIterator<Item = Item>,
        transaction_ms: u64,
        seed: u64,
    ) -> Dynamo {
        Dynamo(Arc::new(Mutex::new(State {
            items: items.into_iter().map(|item| (key_of(&item), item)).collect(),
            held: HashSet::new(),
            transaction_ms,
            random: StdRng::seed_from_u64(seed),
            tries: HashMap::new(),
            cancelled_items: 0,
        })))
    }

    /// Returns the table, reached by production's own client: all but the connector is the same.
    pub(crate) fn table(&self) -> Table {
        let credentials =
            aws_sdk_dynamodb::config::Credentials::new("local", "local", None, None, "tests");
        let connector = SharedHttpConnector::new(self.clone());
        let config = Aws::new("local".to_owned(), credentials)
            .service("DYNAMODB")
            .into_builder()
            .endpoint_url("http://dynamodb.local")
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();

        Table::new(aws_sdk_dynamodb::Client::new(&config), "messages".to_owned())
    }

    /// Returns a number of an item.
    pub(crate) fn number(&self, key: &Key, name: &str) -> u64 {
        let state = self.state();
        let item = state.items.get(&(key.pk.clone(), key.sk.clone())).expect("an item");
        number(&item[name])
    }

    /// Returns the sum of an attribute over all items with a range key.
    pub(crate) fn sum(&self, sk: &str, name: &str) -> u64 {
        let state = self.state();
        let items = state.items.iter().filter(|((_, own), _)| own == sk);
        items.filter_map(|(_, item)| item.get(name)).map(number).sum()
    }

    /// Returns how many items have a range key with this beginning.
    pub(crate) fn count(&self, sk_prefix: &str) -> usize {
        self.state().items.keys().filter(|(_, sk)| sk.starts_with(sk_prefix)).count()
    }

    /// Returns how many transactions there were for a message, and forgets them.
    pub(crate) fn take_tries(&self, correlation_id: &str) -> u32 {
        self.state().tries.remove(correlation_id).unwrap_or_default()
    }

    /// Returns how many items the cancelled transactions were about.
    pub(crate) fn cancelled_items(&self) -> u64 {
        self.state().cancelled_items
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, target: String, request: Value) -> HttpResponse {
        let (status, body) = match target.rsplit('.').next().unwrap_or_default() {
            "TransactWriteItems" => self.transact(&request["TransactItems"]).await,
            "GetItem" => {
                tokio::time::sleep(OTHER_CALL).await;
                (200, json!({ "Item": self.state().items.get(&key_at(&request["Key"])) }))
            }
            "BatchGetItem" => {
                tokio::time::sleep(OTHER_CALL).await;
                (200, self.get_all(&request["RequestItems"]))
            }
            "UpdateItem" => {
                tokio::time::sleep(OTHER_CALL).await;
                self.update(&request)
            }
            other => panic!("accepting a message calls {other}, which is not known here"),
        };

        let status = StatusCode::try_from(status).expect("a status");
        HttpResponse::new(status, SdkBody::from(body.to_string()))
    }

    /// Holds all items of a transaction until it is made, or cancels it.
    async fn transact(&self, request: &Value) -> (u16, Value) {
        let actions = request.as_array().expect("actions");
        let (takes, cancelled) = self.state().begin(actions);
        tokio::time::sleep(takes).await;
        let Some(reasons) = cancelled else {
            self.state().commit(actions);
            return (200, json!({}));
        };

        let body = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
            "CancellationReasons": reasons.into_iter().map(told).collect::<Vec<_>>(),
        });
        (400, body)
    }

    fn get_all(&self, request: &Value) -> Value {
        let state = self.state();
        let tables = request.as_object().expect("tables").iter().map(|(table, wanted)| {
            let keys = wanted["Keys"].as_array().expect("keys").iter();
            let items: Vec<_> = keys.filter_map(|key| state.items.get(&key_at(key))).collect();
            (table.clone(), json!(items))
        });
        json!({ "Responses": tables.collect::<Map<_, _>>() })
    }

    /// The one single write of accepting a message: it remembers which shards are full.
    fn update(&self, request: &Value) -> (u16, Value) {
        assert_eq!(request["UpdateExpression"], "SET full_shards = :full");
        let key = key_at(&request["Key"]);
        let mut state = self.state();
        if state.held.contains(&key) {
            let code = "com.amazonaws.dynamodb.v20120810#TransactionConflictException";
            return (400, json!({ "__type": code, "message": "Transaction is ongoing" }));
        }

        let full = request["ExpressionAttributeValues"][":full"].clone();
        state.items.get_mut(&key).expect("a head").insert("full_shards".to_owned(), full);
        (200, json!({}))
    }
}

impl HttpConnector for Dynamo {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").expect("an operation").to_owned();
        let body = request.body().bytes().expect("a body in memory");
        let body: Value = serde_json::from_slice(body).expect("JSON");
        let dynamo = self.clone();
        HttpConnectorFuture::new(async move { Ok(dynamo.answer(target, body).await) })
    }
}

impl State {
    /// Returns how long a transaction takes, and why it is cancelled if it is.
    fn begin(&mut self, actions: &[Value]) -> (Duration, Option<Vec<Option<Reason>>>) {
        let mean = self.transaction_ms;
        let takes = self.random.random_range(mean / 2..=mean + mean / 2);
        (Duration::from_millis(takes), self.hold(actions))
    }

    /// Holds the items of a transaction, or returns why not, position by position.
    fn hold(&mut self, actions: &[Value]) -> Option<Vec<Option<Reason>>> {
        let reasons: Vec<_> = actions.iter().map(|action| self.reason(action)).collect();
        if let Some(id) = actions.iter().find_map(|action| correlation_id(action)) {
            *self.tries.entry(id.to_owned()).or_default() += 1;
        }
        if reasons.iter().any(Option::is_some) {
            self.cancelled_items += actions.len() as u64;
            return Some(reasons);
        }

        self.held.extend(actions.iter().map(target_of));
        None
    }

    /// Returns why an action cannot be done now.
    fn reason(&self, action: &Value) -> Option<Reason> {
        let key = target_of(action);
        if self.held.contains(&key) {
            return Some(Reason::Conflict);
        }

        let (_, action) = kind_of(action);
        let values = &action["ExpressionAttributeValues"];
        let is_met = |item: &Item| match condition(action) {
            "attribute_not_exists(pk)" => false,
            "used < cap" => number(&item["used"]) < number(&item["cap"]),
            "seq = :last AND channel = :channel" => {
                item["seq"] == values[":last"] && item["channel"] == values[":channel"]
            }
            other => panic!("the condition {other} is not known here"),
        };

        match self.items.get(&key) {
            None if condition(action) == "attribute_not_exists(pk)" => None,
            Some(item) if is_met(item) => None,
            other => Some(Reason::Condition(other.cloned())),
        }
    }

    /// Makes the writes of a transaction, and lets go of its items.
    fn commit(&mut self, actions: &[Value]) {
        for action in actions {
            let key = target_of(action);
            self.held.remove(&key);
            let (kind, action) = kind_of(action);
            if kind == "Put" {
                let item = action["Item"].as_object().expect("an item").clone();
                self.items.insert(key, item);
                continue;
            }

            let item = self.items.get_mut(&key).expect("its condition was met");
            if condition(action) == "used < cap" {
                let used = number(&item["used"]) + 1;
                item.insert("used".to_owned(), json!({ "N": used.to_string() }));
            } else {
                let next = action["ExpressionAttributeValues"][":next"].clone();
                item.insert("seq".to_owned(), next);
            }
        }
    }
}

/// Returns a position as the answer to a cancelled transaction has it.
fn told(reason: Option<Reason>) -> Value {
    match reason {
        None => json!({ "Code": "None" }),
        Some(Reason::Conflict) => json!({ "Code": "TransactionConflict" }),
        Some(Reason::Condition(item)) => json!({ "Code": "ConditionalCheckFailed", "Item": item }),
    }
}

fn kind_of(action: &Value) -> (&str, &Value) {
    let (kind, action) = action.as_object().and_then(|one| one.iter().next()).expect("an action");
    (kind, action)
}

fn condition(action: &Value) -> &str {
    action["ConditionExpression"].as_str().expect("a condition")
}

/// Returns the key of the item that an action writes.
fn target_of(action: &Value) -> ItemKey {
    match kind_of(action) {
        ("Put", action) => key_at(&action["Item"]),
        (_, action) => key_at(&action["Key"]),
    }
}

/// Returns the id that a message's caller gave it.
fn correlation_id(action: &Value) -> Option<&str> {
    kind_of(action).1["Item"]["correlation_id"]["S"].as_str()
}

fn key_at(item: &Value) -> ItemKey {
    key_of(item.as_object().expect("an item"))
}

fn key_of(item: &Item) -> ItemKey {
    let text = |name: &str| item[name]["S"].as_str().expect("a key").to_owned();
    (text("pk"), text("sk"))
}

fn number(value: &Value) -> u64 {
    value["N"].as_str().and_then(|number| number.parse().ok()).expect("a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(pk: &str, more: Value) -> Item {
        let mut item = json!({ "pk": { "S": pk }, "sk": { "S": "ROW" } });
        item.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        item.as_object().expect("a map").clone()
    }

    fn shard(pk: &str, used: u64) -> Item {
        item(pk, json!({ "used": { "N": used.to_string() }, "cap": { "N": "2" } }))
    }

    fn count(pk: &str) -> Value {
        let key = item(pk, json!({}));
        json!({ "Update": { "Key": key, "ConditionExpression": "used < cap" } })
    }

    fn put(pk: &str) -> Value {
        let new = item(pk, json!({}));
        json!({ "Put": { "Item": new, "ConditionExpression": "attribute_not_exists(pk)" } })
    }

    fn codes(answer: &(u16, Value)) -> Vec<&str> {
        let reasons = answer.1["CancellationReasons"].as_array().into_iter().flatten();
        reasons.map(|reason| reason["Code"].as_str().expect("a code")).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_transaction_is_cancelled_where_another_one_holds_an_item() {
        let dynamo = Dynamo::new([shard("a", 0), shard("b", 0)], 10, 1);
        let first = json!([count("a"), put("1")]);
        let second = json!([put("2"), count("a")]);
        let third = json!([count("b"), put("3")]);
        let (first, second, third) = tokio::join!(
            dynamo.transact(&first),
            dynamo.transact(&second),
            dynamo.transact(&third),
        );

        assert_eq!((first.0, third.0), (200, 200));
        assert_eq!(codes(&second), ["None", "TransactionConflict"]);
        assert_eq!(dynamo.sum("ROW", "used"), 2);

        let later = json!([count("a"), put("2")]);
        let full = json!([count("a"), put("4")]);
        assert_eq!(dynamo.transact(&later).await.0, 200, "the others have ended");
        let refused = dynamo.transact(&full).await;
        assert_eq!(codes(&refused), ["ConditionalCheckFailed", "None"]);
        assert_eq!(refused.1["CancellationReasons"][0]["Item"]["used"]["N"], "2");
    }
}

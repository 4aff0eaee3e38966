//! Capacity that calls take of a table, as DynamoDB tells it
//! ([`ReturnConsumedCapacity`](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html#DDB-Query-request-ReturnConsumedCapacity)).

use bytes::Bytes;
use serde_json::{Value, json};

use super::call::{Call, Service};

/// The calls of one operation, and what they took of tables.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Consumption {
    /// How many calls there were, faults included.
    pub calls: u64,
    /// Read units, of DynamoDB's calls that were made.
    pub read_units: f64,
    /// Write units, of DynamoDB's calls that were made, indexes included. A write that was refused
    /// by its condition tells none.
    pub write_units: f64,
    /// Items that were read.
    pub items: u64,
}

/// Returns a call's request, changed so that DynamoDB tells what the call takes.
pub(super) fn ask(call: &Call, request: Bytes) -> Bytes {
    if call.service != Service::DynamoDb {
        return request;
    }
    let Ok(Value::Object(mut members)) = serde_json::from_slice(&request) else { return request };
    members.insert("ReturnConsumedCapacity".to_owned(), json!("TOTAL"));
    Value::Object(members).to_string().into()
}

/// Reads off a call's answer what the call took.
pub(super) fn read(call: &Call, answer: &[u8]) -> Consumption {
    match call.service {
        Service::DynamoDb => consumption(call, &serde_json::from_slice(answer).unwrap_or_default()),
        _ => Consumption::default(),
    }
}

fn consumption(call: &Call, answer: &Value) -> Consumption {
    let told = &answer["ConsumedCapacity"];
    let tables = told.as_array().map_or(std::slice::from_ref(told), Vec::as_slice);
    let units = tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum();
    let is_read =
        call.operation == "Query" || call.operation == "Scan" || call.operation.contains("Get");
    let (read_units, write_units) = if is_read { (units, 0.0) } else { (0.0, units) };
    Consumption { calls: 0, read_units, write_units, items: items(answer) }
}

/// Counts the items of an answer: those that a query looked at, or those of every table.
fn items(answer: &Value) -> u64 {
    if let Some(scanned) = answer["ScannedCount"].as_u64() {
        return scanned;
    }
    if answer["Item"].is_object() {
        return 1;
    }
    let tables = answer["Responses"].as_object().into_iter().flat_map(|tables| tables.values());
    tables.filter_map(Value::as_array).map(|items| items.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(operation: &str, answer: Value) -> (f64, f64, u64) {
        let service = Service::DynamoDb;
        let call = Call { service, operation: operation.to_owned(), access_key: None };
        let taken = consumption(&call, &answer);
        (taken.read_units, taken.write_units, taken.items)
    }

    #[test]
    fn reads_and_writes_are_told_apart_and_tables_add_up() {
        let query =
            json!({ "ScannedCount": 7, "Count": 2, "ConsumedCapacity": { "CapacityUnits": 1.5 } });
        assert_eq!(of("Query", query), (1.5, 0.0, 7));

        let tables = || json!([{ "CapacityUnits": 2.0 }, { "CapacityUnits": 1.0 }]);
        let batch =
            json!({ "Responses": { "a": [{}, {}], "b": [{}] }, "ConsumedCapacity": tables() });
        assert_eq!(of("BatchGetItem", batch), (3.0, 0.0, 3));
        assert_eq!(
            of("TransactWriteItems", json!({ "ConsumedCapacity": tables() })),
            (0.0, 3.0, 0)
        );
        assert_eq!(of("PutItem", json!({ "__type": "an error" })), (0.0, 0.0, 0));
    }
}

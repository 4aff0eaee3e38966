//! A function that makes the calls of send-message and nothing else, with clients as the SDK makes
//! them: what a message costs by AWS's own code.

use std::collections::HashMap;
use std::env;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::SharedCredentialsProvider;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

/// The calls' inputs in AWS's JSON, as send-message makes them of `events/text.json`.
const CALLS: &str = include_str!("../calls.json");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::new()?;
    let function = &function;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| function.answer(event))).await
}

/// The clients, and the inputs, ready to be cloned.
struct Function {
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    keys: HashMap<String, KeysAndAttributes>,
    token: String,
    actions: Vec<TransactWriteItem>,
    message: Value,
}

impl Function {
    fn new() -> Result<Function, Error> {
        let calls: Value = serde_json::from_str(CALLS)?;
        let config = config()?;

        let keys = members(&calls["BatchGetItem"]["RequestItems"]).map(|(table, wanted)| {
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(elements(&wanted["Keys"]).map(item).collect()))
                .set_consistent_read(wanted["ConsistentRead"].as_bool())
                .build();
            Ok((table.clone(), keys?))
        });
        let transaction = &calls["TransactWriteItems"];

        Ok(Function {
            dynamodb: aws_sdk_dynamodb::Client::new(&endpoint(&config, "DYNAMODB")),
            sqs: aws_sdk_sqs::Client::new(&endpoint(&config, "SQS")),
            keys: keys.collect::<Result<_, Error>>()?,
            token: text(&transaction["ClientRequestToken"]),
            actions: elements(&transaction["TransactItems"])
                .map(action)
                .collect::<Result<_, _>>()?,
            message: calls["SendMessage"].clone(),
        })
    }

    async fn answer(&self, _: LambdaEvent<Value>) -> Result<Value, Error> {
        let read = self.dynamodb.batch_get_item().set_request_items(Some(self.keys.clone()));
        read.send().await?;

        let write = self.dynamodb.transact_write_items().client_request_token(&self.token);
        write.set_transact_items(Some(self.actions.clone())).send().await?;

        self.sqs
            .send_message()
            .queue_url(text(&self.message["QueueUrl"]))
            .message_body(text(&self.message["MessageBody"]))
            .message_group_id(text(&self.message["MessageGroupId"]))
            .send()
            .await?;

        Ok(json!({ "statusCode": 201 }))
    }
}

/// Reads region and credentials from the environment and leaves everything else to the SDK.
fn config() -> Result<SdkConfig, Error> {
    let credentials = Credentials::new(
        env::var("AWS_ACCESS_KEY_ID")?,
        env::var("AWS_SECRET_ACCESS_KEY")?,
        env::var("AWS_SESSION_TOKEN").ok(),
        None,
        "environment",
    );
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(env::var("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build())
}

/// Returns the configuration with the endpoint that the environment names, if any.
fn endpoint(config: &SdkConfig, service: &str) -> SdkConfig {
    let own = env::var(format!("AWS_ENDPOINT_URL_{service}"));
    match own.or_else(|_| env::var("AWS_ENDPOINT_URL")) {
        Ok(url) => config.clone().into_builder().endpoint_url(url).build(),
        Err(_) => config.clone(),
    }
}

fn action(action: &Value) -> Result<TransactWriteItem, Error> {
    let builder = TransactWriteItem::builder();
    let put = &action["Put"];
    if put.is_object() {
        let put = Put::builder()
            .table_name(text(&put["TableName"]))
            .set_item(Some(item(&put["Item"])))
            .condition_expression(text(&put["ConditionExpression"]))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        return Ok(builder.put(put.build()?).build());
    }

    let update = &action["Update"];
    let update = Update::builder()
        .table_name(text(&update["TableName"]))
        .set_key(Some(item(&update["Key"])))
        .update_expression(text(&update["UpdateExpression"]))
        .condition_expression(text(&update["ConditionExpression"]))
        .set_expression_attribute_values(Some(item(&update["ExpressionAttributeValues"])))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    Ok(builder.update(update.build()?).build())
}

fn item(attributes: &Value) -> HashMap<String, AttributeValue> {
    members(attributes).map(|(name, value)| (name.clone(), attribute(value))).collect()
}

fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = members(value).next().expect("a type and a value");
    match kind.as_str() {
        "S" => AttributeValue::S(text(value)),
        "N" => AttributeValue::N(text(value)),
        "BOOL" => AttributeValue::Bool(value == true),
        "L" => AttributeValue::L(elements(value).map(attribute).collect()),
        "M" => AttributeValue::M(item(value)),
        "NULL" => AttributeValue::Null(value == true),
        other => unreachable!("send-message writes no {other}"),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

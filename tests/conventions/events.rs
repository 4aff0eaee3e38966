//! `functions/<name>/events/*.json`: what the function really gets, as fixtures and for `sam local
//! invoke`.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayWebsocketProxyRequest};
use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::sqs::SqsEvent;
use serde_json::Value;

use crate::contract::Document;
use crate::template::{Function, Template};
use crate::{Violations, files, read};

#[test]
fn every_function_has_events_of_its_kind() {
    let template = Template::read();
    let mut violations = Violations::default();
    for function in template.functions() {
        let folder = format!("functions/{}/events", function.folder);
        let all = files(&format!("functions/{}", function.folder));
        let events: Vec<_> = all.iter().filter(|path| path.starts_with(&folder)).collect();
        violations.unless(events.iter().any(|path| path.extension().is_some_and(|ending| ending == "json")), || {
            format!("{folder} has no event: add one as {} gets it, for tests and `sam local invoke`", function.id)
        });
        for path in events {
            let verdict =
                serde_json::from_str(&read(path)).map_err(|error| format!("is not JSON: {error}"));
            if let Err(fault) = verdict.and_then(|event| fits(&function, event)) {
                violations.add(format!("{} {fault}", path.display()));
            }
        }
    }

    violations.report();
}

/// Whether an event is one that this function's sources make.
fn fits(function: &Function<'_>, event: Value) -> Result<(), String> {
    let sources = function.events();
    let kinds: Vec<&str> = sources.iter().map(|(kind, _)| *kind).collect();
    let document = Document::read();
    let answered =
        document.operations().filter(|(.., operation)| operation["x-function"] == function.folder);
    let routes: Vec<_> =
        answered.map(|(method, path, _)| format!("{} {path}", method.to_uppercase())).collect();

    match kinds.as_slice() {
        [] if routes.is_empty() => fits_websocket(event),
        [] => fits_http(function, &routes, event),
        // Its timers come from a queue, everything else over the WebSocket.
        ["SQS"] if function.id == "ChatSocket" && event["Records"].is_null() => {
            fits_websocket(event)
        }
        ["SQS", ..] => fits_sqs(event),
        ["Schedule", ..] => fits_schedule(event),
        ["DynamoDB", ..] => fits_stream(event),
        ["EventBridgeRule", ..] => fits_rule(&sources[0].1["Pattern"], event),
        [other, ..] => Err(format!(
            "comes from {other}: say in tests/conventions/events.rs what such an event looks like"
        )),
    }
}

fn fits_http(function: &Function<'_>, routes: &[String], event: Value) -> Result<(), String> {
    let request: ApiGatewayV2httpRequest = parse(event, "an API Gateway HTTP API request")?;
    if request.version.as_deref() != Some("2.0") {
        return Err("must have payload format version 2.0".to_owned());
    }
    let route = request.route_key.unwrap_or_default();
    if !routes.contains(&route) {
        return Err(format!(
            "has the routeKey {route:?}, which infra/openapi.yaml does not send to {}",
            function.id
        ));
    }
    Ok(())
}

fn fits_websocket(event: Value) -> Result<(), String> {
    let request: ApiGatewayWebsocketProxyRequest =
        parse(event, "an API Gateway WebSocket request")?;
    match (request.request_context.connection_id, request.request_context.route_key) {
        (Some(_), Some(_)) => Ok(()),
        _ => Err("needs a requestContext with connectionId and routeKey".to_owned()),
    }
}

fn fits_sqs(event: Value) -> Result<(), String> {
    let batch: SqsEvent = parse(event, "an SQS batch")?;
    if batch.records.is_empty() {
        return Err("has no Records".to_owned());
    }

    let real = |record: &aws_lambda_events::sqs::SqsMessage| {
        record.message_id.is_some()
            && record.body.is_some()
            && record.event_source.as_deref() == Some("aws:sqs")
    };

    match batch.records.iter().all(real) {
        true => Ok(()),
        false => Err("has a record without messageId, body or the eventSource aws:sqs".to_owned()),
    }
}

fn fits_schedule(event: Value) -> Result<(), String> {
    let event: EventBridgeEvent = parse(event, "an EventBridge event")?;
    match (event.source.as_str(), event.detail_type.as_str()) {
        ("aws.events", "Scheduled Event") => Ok(()),
        (source, kind) => {
            Err(format!("is a {kind:?} of {source:?}, not a \"Scheduled Event\" of \"aws.events\""))
        }
    }
}

fn fits_stream(event: Value) -> Result<(), String> {
    let batch: aws_lambda_events::dynamodb::Event = parse(event, "a batch of a table's stream")?;
    if batch.records.is_empty() {
        return Err("has no Records".to_owned());
    }

    let real = |record: &aws_lambda_events::dynamodb::EventRecord| {
        record.change.sequence_number.is_some()
            && !record.change.keys.is_empty()
            && record.event_source.as_deref() == Some("aws:dynamodb")
    };
    match batch.records.iter().all(real) {
        true => Ok(()),
        false => {
            Err("has a record without keys, number or the eventSource aws:dynamodb".to_owned())
        }
    }
}

fn fits_rule(pattern: &yaml_serde::Value, event: Value) -> Result<(), String> {
    let event: EventBridgeEvent = parse(event, "an EventBridge event")?;
    for (field, value) in [("source", &event.source), ("detail-type", &event.detail_type)] {
        let wanted = pattern[field]
            .as_sequence()
            .is_some_and(|wanted| wanted.contains(&value.as_str().into()));
        if !wanted {
            return Err(format!(
                "has the {field} {value:?}, which its rule in template.yaml does not ask for"
            ));
        }
    }
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(event: Value, what: &str) -> Result<T, String> {
    serde_json::from_value(event).map_err(|error| format!("is not {what}: {error}"))
}

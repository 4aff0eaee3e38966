//! The routes of the control API.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Body, HttpError};
use super::index;
use super::machine::{HistoryQuery, MachineQuery};
use super::system::System;
use crate::fault::ProviderFault;
use crate::receipts::ReceiptRule;
use crate::seed::{NewBusiness, NewConversation, SeedError};
use crate::whatsapp::CustomerText;
use emulator::{FaultRule, QueueFaults};

/// The routes as `GET /sandbox/` lists them.
const ROUTES: [index::Route; 38] = [
    (
        "GET    /sandbox/{whatsapp|email|chat}/messages",
        "what customers got, oldest first; ?conversation_id= picks one",
    ),
    (
        "GET    /sandbox/email/messages/{message_id}",
        "one of the last mails as a mail program shows it; /raw and /html: as it came",
    ),
    (
        "PUT    /sandbox/{whatsapp|email|chat}/faults",
        "{status, code, subcode, retry_after, times, skip, probability, delay_ms, after_effect, kill, \
         garbage}",
    ),
    ("GET    /sandbox/{whatsapp|email|chat}/faults", "the fault in force, or null"),
    ("DELETE /sandbox/{whatsapp|email|chat}/faults", "ends the fault"),
    (
        "PUT    /sandbox/{whatsapp-media|endpoints}/faults",
        "the same for uploads of files, and for businesses' endpoints; GET and DELETE as well",
    ),
    (
        "POST   /sandbox/whatsapp/customers",
        "{from, user_id, text, phone_number_id}: a customer writes, which opens their window",
    ),
    ("GET    /sandbox/whatsapp/customers", "what customers wrote, oldest first"),
    (
        "PUT    /sandbox/{whatsapp|email}/receipts",
        "{statuses, delay_ms, copies, shuffle, held, code}: what is reported of each message; \
         no statuses: nothing",
    ),
    ("GET    /sandbox/{whatsapp|email}/receipts", "the receipts in force"),
    ("POST   /sandbox/{whatsapp|email}/receipts", "sends what is held"),
    (
        "PUT    /sandbox/aws/faults",
        "{operation, error, times, skip, probability, after_effect, function, about}",
    ),
    ("GET    /sandbox/aws/faults", "the faults in force"),
    ("DELETE /sandbox/aws/faults", "ends the fault"),
    (
        "PUT    /sandbox/queues/mischief",
        "{copies, shuffle, delay_ms, unfair, seed}: the queues deliver as badly as SQS may",
    ),
    ("DELETE /sandbox/queues/mischief", "ends that"),
    ("GET    /sandbox/queues", "their faults, and how many records they handed out"),
    ("PUT    /sandbox/queues/held", "{held}: while true, the queues hand nothing out"),
    ("POST   /sandbox/clock", "{now}: moves the system's clock"),
    ("GET    /sandbox/clock", "what time it is there"),
    ("DELETE /sandbox/clock", "back to the real time"),
    ("POST   /sandbox/sweep", "runs the sweeper now"),
    (
        "GET    /sandbox/activity",
        "what goes on: invocations, records in queues, receipts; and whether that is nothing",
    ),
    (
        "GET    /sandbox/machine",
        "what goes on inside: requests, calls, queues, outbox, quota, events; ?conversation_id= adds one, \
         ?after= leaves out what was told before",
    ),
    (
        "GET    /sandbox/conversations/{conversation_id}",
        "a conversation and its messages, newest first; ?before= and ?customer_before= read on",
    ),
    ("GET    /sandbox/businesses", "every business that was made here, with its credentials"),
    ("PUT    /sandbox/businesses/{business_id}/limit", "{limit}: messages a month, from now on"),
    (
        "POST   /sandbox/businesses",
        "{limit, shards, requests_per_minute, whatsapp_template: {name, language}}: a fresh business; \
         WhatsApp knows agent_answers in en_US",
    ),
    (
        "POST   /sandbox/conversations",
        "{business_id, channel, window_expires_at, customer}: one more conversation",
    ),
    ("DELETE /sandbox/chat/widgets", "sends the chat customers away"),
    ("POST   /sandbox/chat/widgets", "brings them back"),
    (
        "GET    /sandbox/chat/widgets",
        "how many there are, and how many hold a message back because one before it is missing",
    ),
    (
        "GET    /sandbox/chat/token",
        "a fresh token for a chat customer; ?conversation_id= picks one",
    ),
    (
        "POST   /receivers/{name}",
        "an endpoint for events: it takes everything, until it is told otherwise",
    ),
    (
        "PUT    /sandbox/receivers/{name}",
        "{status, body, delay_ms, location, times}: what it answers; DELETE forgets it",
    ),
    ("GET    /sandbox/receivers/{name}", "what it got, oldest first"),
    ("GET    /widget", "a shop's page with the chat widget; ?conversation_id= picks the customer"),
    ("GET    /sandbox/", "this list"),
];

/// Returns the routes of the control API.
pub(crate) fn routes(system: Arc<System>) -> Router {
    Router::new()
        .route("/", get(list_routes))
        .route("/sandbox", get(list_routes))
        .route("/sandbox/", get(list_routes))
        .route("/sandbox/{channel}/messages", get(messages))
        .route("/sandbox/email/messages/{message_id}", get(mail))
        .route("/sandbox/email/messages/{message_id}/raw", get(raw_mail))
        .route("/sandbox/email/messages/{message_id}/html", get(mail_page))
        .route("/sandbox/{channel}/faults", get(fault).put(set_fault).delete(clear_fault))
        .route(
            "/sandbox/{channel}/receipts",
            get(receipts).put(set_receipts).post(release_receipts),
        )
        .route("/sandbox/whatsapp/customers", get(customers_texts).post(write_as_customer))
        .route("/sandbox/aws/faults", get(aws_faults).put(set_aws_fault).delete(clear_aws_faults))
        .route("/sandbox/queues", get(queues))
        .route("/sandbox/queues/mischief", put(set_queue_faults).delete(clear_queue_faults))
        .route("/sandbox/queues/held", put(hold_queues))
        .route("/sandbox/clock", get(clock_now).post(move_clock).delete(reset_clock))
        .route("/sandbox/sweep", post(sweep))
        .route("/sandbox/activity", get(activity))
        .route("/sandbox/machine", get(machine))
        .route("/sandbox/businesses", get(businesses).post(add_business))
        .route("/sandbox/businesses/{business_id}/limit", put(set_limit))
        .route("/sandbox/conversations", post(add_conversation))
        .route("/sandbox/conversations/{conversation_id}", get(history))
        .route("/sandbox/chat/widgets", get(widgets).post(bring_back).delete(send_away))
        .fallback(async || HttpError::not_found("there is no such route; GET /sandbox/ lists them"))
        .with_state(system)
}

type SystemState = State<Arc<System>>;

async fn list_routes(headers: HeaderMap) -> Response {
    index::index(&headers, &ROUTES)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConversationQuery {
    conversation_id: Option<Uuid>,
}

async fn messages(
    State(system): SystemState,
    Path(channel): Path<String>,
    query: Result<Query<ConversationQuery>, QueryRejection>,
) -> Result<Response, HttpError> {
    let Query(ConversationQuery { conversation_id }) = query.map_err(HttpError::unprocessable)?;

    let mut messages = system.channel(&channel)?.accepted();
    messages
        .retain(|message| conversation_id.is_none() || message.conversation_id == conversation_id);
    Ok(Json(messages).into_response())
}

/// The last mails alone are kept.
fn no_mail() -> HttpError {
    HttpError::not_found("there is no such mail among the last ones since the start")
}

async fn mail(
    State(system): SystemState,
    Path(message_id): Path<Uuid>,
) -> Result<Json<Value>, HttpError> {
    system.providers.email.inbox.mail(message_id).map(Json).ok_or_else(no_mail)
}

async fn raw_mail(
    State(system): SystemState,
    Path(message_id): Path<Uuid>,
) -> Result<Response, HttpError> {
    let bytes = system.providers.email.inbox.raw(message_id).ok_or_else(no_mail)?;
    let name = format!("attachment; filename=\"{message_id}.eml\"");
    let headers =
        [(header::CONTENT_TYPE, "message/rfc822"), (header::CONTENT_DISPOSITION, name.as_str())];
    Ok((headers, bytes).into_response())
}

/// Answers a mail's HTML as a mail program shows it: no script runs, and nothing is loaded.
async fn mail_page(
    State(system): SystemState,
    Path(message_id): Path<Uuid>,
) -> Result<Response, HttpError> {
    const POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; \
                          default-src 'none'; style-src 'unsafe-inline'; img-src data:";
    let html = system.providers.email.inbox.html(message_id).ok_or_else(no_mail)?;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, html).into_response())
}

async fn customers_texts(State(system): SystemState) -> Json<Vec<Value>> {
    Json(system.providers.whatsapp.heard())
}

async fn fault(
    State(system): SystemState,
    Path(channel): Path<String>,
) -> Result<Json<Option<ProviderFault>>, HttpError> {
    Ok(Json(system.faults(&channel)?.in_force()))
}

async fn set_fault(
    State(system): SystemState,
    Path(channel): Path<String>,
    Body(rule): Body<ProviderFault>,
) -> Result<Json<ProviderFault>, HttpError> {
    let faults = system.faults(&channel)?;
    let rule = rule.checked().map_err(HttpError::unprocessable)?;
    if rule.code.is_some() && !channel.starts_with("whatsapp") {
        return Err(HttpError::unprocessable(format!("`code` is WhatsApp's: {channel} has none")));
    }
    faults.set(rule.clone());
    Ok(Json(rule))
}

async fn clear_fault(
    State(system): SystemState,
    Path(channel): Path<String>,
) -> Result<StatusCode, HttpError> {
    system.faults(&channel)?.clear();
    Ok(StatusCode::NO_CONTENT)
}

async fn receipts(
    State(system): SystemState,
    Path(channel): Path<String>,
) -> Result<Json<ReceiptRule>, HttpError> {
    Ok(Json(system.receipts(&channel)?.in_force()))
}

async fn set_receipts(
    State(system): SystemState,
    Path(channel): Path<String>,
    Body(rule): Body<ReceiptRule>,
) -> Result<Json<ReceiptRule>, HttpError> {
    system.receipts(&channel)?.set_rule(rule).map(Json).map_err(HttpError::unprocessable)
}

async fn release_receipts(
    State(system): SystemState,
    Path(channel): Path<String>,
) -> Result<Json<Value>, HttpError> {
    Ok(Json(json!({ "released": system.receipts(&channel)?.release() })))
}

async fn write_as_customer(
    State(system): SystemState,
    Body(text): Body<CustomerText>,
) -> Result<Json<CustomerText>, HttpError> {
    let text = text.checked().map_err(HttpError::unprocessable)?;
    let whatsapp = &system.providers.whatsapp;
    let (number, user_id) = text.sender();
    let heard = whatsapp.pairs.hear_customer(text.phone_number_id(), number, user_id).await;
    heard.map_err(|error| {
        HttpError::bad_gateway(format!("the data directory did not take it: {error}"))
    })?;

    let now = system.clock.now();
    match whatsapp.webhook.send_text(&system.engine, &text, now).await {
        true => {
            whatsapp.note_text(&text, now);
            Ok(Json(text))
        }
        false => Err(HttpError::bad_gateway(
            "the system did not take the customer's text; the customer may send it again",
        )),
    }
}

async fn aws_faults(State(system): SystemState) -> Result<Json<Value>, HttpError> {
    Ok(Json(json!(system.engine.faults().rules())))
}

async fn set_aws_fault(
    State(system): SystemState,
    Body(rule): Body<FaultRule>,
) -> Result<Json<Value>, HttpError> {
    let answer = json!(rule);
    system.engine.faults().set(rule).map_err(HttpError::unprocessable)?;
    Ok(Json(answer))
}

async fn clear_aws_faults(State(system): SystemState) -> Result<StatusCode, HttpError> {
    system.engine.faults().clear();
    Ok(StatusCode::NO_CONTENT)
}

async fn queues(State(system): SystemState) -> Result<Json<Value>, HttpError> {
    let polling = system.engine.polling();
    Ok(Json(json!({
        "held": polling.is_held(),
        "mischief": polling.faults().as_deref(),
        "handed_out": polling.counts(),
    })))
}

async fn set_queue_faults(
    State(system): SystemState,
    Body(faults): Body<QueueFaults>,
) -> Result<Json<QueueFaults>, HttpError> {
    system.engine.polling().set_faults(faults.clone()).map_err(HttpError::unprocessable)?;
    Ok(Json(faults))
}

async fn clear_queue_faults(State(system): SystemState) -> Result<StatusCode, HttpError> {
    system.engine.polling().clear_faults();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct QueueHold {
    held: bool,
}

async fn hold_queues(
    State(system): SystemState,
    Body(hold): Body<QueueHold>,
) -> Result<Json<QueueHold>, HttpError> {
    system.engine.polling().set_held(hold.held).await;
    Ok(Json(hold))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockMove {
    now: DateTime<Utc>,
}

fn time(system: &System) -> Json<Value> {
    Json(json!({ "now": system.clock.now(), "offset_ms": system.clock.offset_ms() }))
}

async fn clock_now(State(system): SystemState) -> Json<Value> {
    time(&system)
}

async fn move_clock(
    State(system): SystemState,
    Body(ClockMove { now }): Body<ClockMove>,
) -> Result<Json<Value>, HttpError> {
    system.clock.move_to(now);
    system.apply_clock().await;
    Ok(time(&system))
}

async fn reset_clock(State(system): SystemState) -> Result<StatusCode, HttpError> {
    system.clock.reset();
    system.apply_clock().await;
    Ok(StatusCode::NO_CONTENT)
}

async fn sweep(State(system): SystemState) -> Result<Json<Value>, HttpError> {
    system
        .sweep()
        .await
        .map(Json)
        .map_err(|error| HttpError::bad_gateway(format!("the sweeper failed: {error}")))
}

async fn activity(State(system): SystemState) -> Json<Value> {
    let activity = system.activity().await;
    let mut answer = json!(activity);
    answer["idle"] = activity.is_idle().into();
    Json(answer)
}

async fn machine(
    State(system): SystemState,
    query: Result<Query<MachineQuery>, QueryRejection>,
) -> Result<Json<Value>, HttpError> {
    let Query(query) = query.map_err(HttpError::unprocessable)?;
    Ok(Json(system.machine(&query).await))
}

async fn history(
    State(system): SystemState,
    Path(conversation_id): Path<Uuid>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Json<Value>, HttpError> {
    let Query(query) = query.map_err(HttpError::unprocessable)?;
    match system.history(conversation_id, &query).await {
        Value::Null => Err(HttpError::not_found("no such conversation was made here")),
        history => Ok(Json(history)),
    }
}

async fn businesses(State(system): SystemState) -> Json<Value> {
    Json(json!(system.seeder.businesses()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLimit {
    limit: u64,
}

async fn set_limit(
    State(system): SystemState,
    Path(business_id): Path<Uuid>,
    Body(NewLimit { limit }): Body<NewLimit>,
) -> Result<StatusCode, HttpError> {
    system.seeder.change_limit(business_id, limit).await.map_err(seed_error)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add_business(
    State(system): SystemState,
    Body(new): Body<NewBusiness>,
) -> Result<Response, HttpError> {
    let business = system.add_business(&new).await.map_err(seed_error)?;
    Ok((StatusCode::CREATED, Json(business)).into_response())
}

async fn add_conversation(
    State(system): SystemState,
    Body(new): Body<NewConversation>,
) -> Result<Response, HttpError> {
    let conversation = system.add_conversation(&new).await.map_err(seed_error)?;
    Ok((StatusCode::CREATED, Json(conversation)).into_response())
}

fn seed_error(error: SeedError) -> HttpError {
    match error {
        SeedError::Refused(sentence) => HttpError::unprocessable(sentence),
        SeedError::Table(error) => {
            HttpError::bad_gateway(format!("the table did not take it: {error}"))
        }
        SeedError::Directory(error) => {
            HttpError::bad_gateway(format!("the data directory did not take it: {error}"))
        }
    }
}

async fn widgets(State(system): SystemState) -> Result<Json<Value>, HttpError> {
    let widgets = &system.widgets;
    let (customers, away) = widgets.count().await;
    Ok(Json(json!({ "customers": customers, "away": away, "holding": widgets.holding() })))
}

async fn send_away(State(system): SystemState) -> Result<StatusCode, HttpError> {
    system.widgets.send_away().await;
    Ok(StatusCode::NO_CONTENT)
}

async fn bring_back(State(system): SystemState) -> Result<StatusCode, HttpError> {
    match system.widgets.bring_back().await {
        0 => Ok(StatusCode::NO_CONTENT),
        count => Err(HttpError::bad_gateway(format!(
            "{count} of the customers got no answer to their hello yet; they go on trying"
        ))),
    }
}

#[cfg(test)]
mod tests;

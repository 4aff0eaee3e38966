//! The routes of the control API.

use std::sync::{Arc, OnceLock};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Body, No};
use super::{Control, System};
use crate::channel::Channel;
use crate::clock::Clock;
use crate::receipts::Levers;
use crate::seed::{NewBusiness, NewConversation, SeedError};
use crate::whatsapp::Wrote;
use crate::{Faults, ProviderFault, Providers, ReceiptRule};
use emulator::{FaultRule, Mischief};

/// What `GET /sandbox/` answers, and the one place that lists everything.
const ROUTES: [(&str, &str); 27] = [
    (
        "GET    /sandbox/{whatsapp|email|chat}/messages",
        "what customers got, oldest first; ?conversation_id= picks one",
    ),
    (
        "PUT    /sandbox/{whatsapp|email|chat}/faults",
        "{status, retry_after, times, skip, probability, delay_ms, after_effect, kill, garbage}",
    ),
    ("GET    /sandbox/{whatsapp|email|chat}/faults", "the fault in force, or null"),
    ("DELETE /sandbox/{whatsapp|email|chat}/faults", "well again"),
    (
        "PUT    /sandbox/whatsapp-media/faults",
        "the same for uploads of files; GET and DELETE as well",
    ),
    (
        "POST   /sandbox/whatsapp/customers",
        "{from, text, phone_number_id}: a customer writes, which opens their window",
    ),
    (
        "PUT    /sandbox/{whatsapp|email}/receipts",
        "{statuses, delay_ms, copies, shuffle, held, code}: what is reported of each message; no statuses: nothing",
    ),
    ("GET    /sandbox/{whatsapp|email}/receipts", "the receipts in force"),
    ("POST   /sandbox/{whatsapp|email}/receipts", "sends what is held"),
    (
        "PUT    /sandbox/aws/faults",
        "{operation, error, times, skip, probability, after_effect, function, about}",
    ),
    ("DELETE /sandbox/aws/faults", "well again"),
    (
        "PUT    /sandbox/queues/mischief",
        "{copies, shuffle, delay_ms, unfair, seed}: the queues deliver as badly as SQS may",
    ),
    ("DELETE /sandbox/queues/mischief", "they behave again"),
    ("GET    /sandbox/queues", "how they behave, and how much they handed out"),
    ("PUT    /sandbox/queues/held", "{held}: while true, the queues hand nothing out"),
    ("POST   /sandbox/clock", "{now}: moves the system's clock"),
    ("GET    /sandbox/clock", "what time it is there"),
    ("DELETE /sandbox/clock", "back to the real time"),
    ("POST   /sandbox/sweep", "runs the sweeper now"),
    (
        "POST   /sandbox/businesses",
        "{limit, shards, whatsapp_template: {name, language}}: a fresh business; WhatsApp knows agent_answers in en_US",
    ),
    (
        "POST   /sandbox/conversations",
        "{business_id, channel, window_expires_at}: one more conversation",
    ),
    ("DELETE /sandbox/chat/widgets", "sends the chat customers away"),
    ("POST   /sandbox/chat/widgets", "brings them back"),
    (
        "GET    /sandbox/chat/widgets",
        "how many there are, and how many hold a message back until they know what became of one before it",
    ),
    (
        "GET    /sandbox/chat/token",
        "a fresh token for a chat customer; ?conversation_id= picks one",
    ),
    ("GET    /widget", "a shop's page with the chat widget; ?conversation_id= picks the customer"),
    ("GET    /sandbox/", "this list"),
];

pub(crate) fn routes(
    providers: Arc<Providers>,
    clock: Arc<Clock>,
    system: Arc<OnceLock<System>>,
) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/sandbox", get(index))
        .route("/sandbox/", get(index))
        .route("/sandbox/{channel}/messages", get(messages))
        .route("/sandbox/{channel}/faults", get(fault).put(set_fault).delete(clear_fault))
        .route(
            "/sandbox/{channel}/receipts",
            get(receipts).put(set_receipts).post(release_receipts),
        )
        .route("/sandbox/whatsapp/customers", post(write))
        .route("/sandbox/aws/faults", get(aws_faults).put(set_aws_fault).delete(clear_aws_faults))
        .route("/sandbox/queues", get(queues))
        .route("/sandbox/queues/mischief", put(misbehave).delete(behave))
        .route("/sandbox/queues/held", put(hold))
        .route("/sandbox/clock", get(clock_now).post(move_clock).delete(reset_clock))
        .route("/sandbox/sweep", post(sweep))
        .route("/sandbox/businesses", post(add_business))
        .route("/sandbox/conversations", post(add_conversation))
        .route("/sandbox/chat/widgets", get(widgets).post(bring_back).delete(send_away))
        .fallback(async || No::not_found("there is no such route; GET /sandbox/ lists them"))
        .with_state(Arc::new(Control { providers, clock, system }))
}

type Controls = State<Arc<Control>>;

impl Control {
    fn channel(&self, name: &str) -> Result<&Channel, No> {
        match name {
            "whatsapp" => Ok(&self.providers.whatsapp),
            "email" => Ok(&self.providers.email),
            "chat" => Ok(&self.providers.chat),
            _ => Err(No::not_found(format!(
                "there is no channel `{name}`: whatsapp, email and chat are"
            ))),
        }
    }

    fn faults(&self, name: &str) -> Result<&Faults, No> {
        match name {
            "whatsapp-media" => Ok(&self.providers.whatsapp_media.faults),
            _ => self.channel(name).map(|channel| &channel.faults),
        }
    }

    fn receipts(&self, channel: &str) -> Result<&dyn Levers, No> {
        match channel {
            "whatsapp" => Ok(&self.providers.whatsapp_receipts),
            "email" => Ok(&self.providers.email_receipts),
            "chat" => Err(No::not_found(
                "chat's receipts are its customers' own: see /sandbox/chat/widgets",
            )),
            _ => self.channel(channel).and(Err(No::not_found("it has no receipts"))),
        }
    }

    fn system(&self) -> Result<&System, No> {
        let starting =
            || No(StatusCode::SERVICE_UNAVAILABLE, "the system is still starting".into());
        self.system.get().ok_or_else(starting)
    }

    fn time(&self) -> Json<Value> {
        Json(json!({ "now": self.clock.now(), "offset_ms": self.clock.offset_ms() }))
    }
}

async fn index() -> Json<Value> {
    let routes = ROUTES.iter().map(|(route, what)| {
        let (method, path) = route.split_once(' ').unwrap_or((route, ""));
        json!({ "method": method, "path": path.trim_start(), "what": what })
    });
    Json(json!({ "routes": routes.collect::<Vec<_>>() }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pick {
    conversation_id: Option<Uuid>,
}

async fn messages(
    State(control): Controls,
    Path(channel): Path<String>,
    pick: Result<Query<Pick>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, No> {
    let Query(Pick { conversation_id }) = pick.map_err(No::unprocessable)?;
    let mut accepted = control.channel(&channel)?.accepted();
    accepted
        .retain(|message| conversation_id.is_none() || message.conversation_id == conversation_id);
    Ok(Json(accepted).into_response())
}

async fn fault(
    State(control): Controls,
    Path(channel): Path<String>,
) -> Result<Json<Option<ProviderFault>>, No> {
    Ok(Json(control.faults(&channel)?.in_force()))
}

async fn set_fault(
    State(control): Controls,
    Path(channel): Path<String>,
    Body(rule): Body<ProviderFault>,
) -> Result<Json<ProviderFault>, No> {
    let faults = control.faults(&channel)?;
    let rule = rule.checked().map_err(No::unprocessable)?;
    if rule.code.is_some() && !channel.starts_with("whatsapp") {
        return Err(No::unprocessable(format!("`code` is WhatsApp's: {channel} has none")));
    }
    faults.set(rule.clone());
    Ok(Json(rule))
}

async fn clear_fault(
    State(control): Controls,
    Path(channel): Path<String>,
) -> Result<StatusCode, No> {
    control.faults(&channel)?.clear();
    Ok(StatusCode::NO_CONTENT)
}

async fn receipts(
    State(control): Controls,
    Path(channel): Path<String>,
) -> Result<Json<ReceiptRule>, No> {
    Ok(Json(control.receipts(&channel)?.in_force()))
}

async fn set_receipts(
    State(control): Controls,
    Path(channel): Path<String>,
    Body(rule): Body<ReceiptRule>,
) -> Result<Json<ReceiptRule>, No> {
    control.receipts(&channel)?.set(rule).map(Json).map_err(No::unprocessable)
}

async fn release_receipts(
    State(control): Controls,
    Path(channel): Path<String>,
) -> Result<Json<Value>, No> {
    Ok(Json(json!({ "released": control.receipts(&channel)?.release() })))
}

async fn write(State(control): Controls, Body(wrote): Body<Wrote>) -> Result<Json<Wrote>, No> {
    let wrote = wrote.checked().map_err(No::unprocessable)?;
    let (webhook, now) = (&control.providers.whatsapp_webhook, control.clock.now());
    let (number, from) = wrote.between();
    let opened = control.providers.whatsapp_pairs.wrote(number, from).await;
    opened.map_err(|error| No::broken(format!("the data directory did not take it: {error}")))?;
    match webhook.write(control.system()?, &wrote, now).await {
        true => Ok(Json(wrote)),
        false => Err(No::broken(
            "the system did not take what the customer wrote; they may say it again",
        )),
    }
}

async fn aws_faults(State(control): Controls) -> Result<Json<Value>, No> {
    Ok(Json(json!(control.system()?.engine().faults().rules())))
}

async fn set_aws_fault(
    State(control): Controls,
    Body(rule): Body<FaultRule>,
) -> Result<Json<Value>, No> {
    let answer = json!(rule);
    control.system()?.engine().faults().set(rule).map_err(No::unprocessable)?;
    Ok(Json(answer))
}

async fn clear_aws_faults(State(control): Controls) -> Result<StatusCode, No> {
    control.system()?.engine().faults().clear();
    Ok(StatusCode::NO_CONTENT)
}

async fn queues(State(control): Controls) -> Result<Json<Value>, No> {
    let polling = control.system()?.engine().polling();
    let (held, mischief, handed_out) =
        (polling.is_held(), polling.mischief(), polling.handed_out());
    Ok(Json(json!({ "held": held, "mischief": mischief.as_deref(), "handed_out": handed_out })))
}

async fn misbehave(
    State(control): Controls,
    Body(mischief): Body<Mischief>,
) -> Result<Json<Mischief>, No> {
    control.system()?.engine().polling().misbehave(mischief.clone()).map_err(No::unprocessable)?;
    Ok(Json(mischief))
}

async fn behave(State(control): Controls) -> Result<StatusCode, No> {
    control.system()?.engine().polling().behave();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Holding {
    held: bool,
}

async fn hold(State(control): Controls, Body(holding): Body<Holding>) -> Result<Json<Holding>, No> {
    control.system()?.engine().polling().hold(holding.held).await;
    Ok(Json(holding))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Moved {
    now: DateTime<Utc>,
}

async fn clock_now(State(control): Controls) -> Json<Value> {
    control.time()
}

async fn move_clock(
    State(control): Controls,
    Body(Moved { now }): Body<Moved>,
) -> Result<Json<Value>, No> {
    let system = control.system()?;
    control.clock.move_to(now);
    system.follow(&control.clock).await;
    Ok(control.time())
}

async fn reset_clock(State(control): Controls) -> Result<StatusCode, No> {
    let system = control.system()?;
    control.clock.reset();
    system.follow(&control.clock).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn sweep(State(control): Controls) -> Result<Json<Value>, No> {
    let swept = control.system()?.sweep().await;
    swept.map(Json).map_err(|error| No::broken(format!("the sweeper failed: {error}")))
}

async fn add_business(
    State(control): Controls,
    Body(new): Body<NewBusiness>,
) -> Result<Response, No> {
    let business = control.system()?.add_business(&new).await.map_err(refusal)?;
    Ok((StatusCode::CREATED, Json(business)).into_response())
}

async fn add_conversation(
    State(control): Controls,
    Body(new): Body<NewConversation>,
) -> Result<Response, No> {
    let conversation = control.system()?.add_conversation(&new).await.map_err(refusal)?;
    Ok((StatusCode::CREATED, Json(conversation)).into_response())
}

fn refusal(error: SeedError) -> No {
    match error {
        SeedError::Refused(sentence) => No::unprocessable(sentence),
        SeedError::Table(error) => No::broken(format!("the table did not take it: {error}")),
        SeedError::Directory(error) => {
            No::broken(format!("the data directory did not take it: {error}"))
        }
    }
}

async fn widgets(State(control): Controls) -> Result<Json<Value>, No> {
    let widgets = control.system()?.widgets();
    let (customers, away) = widgets.count().await;
    Ok(Json(json!({ "customers": customers, "away": away, "holding": widgets.holding() })))
}

async fn send_away(State(control): Controls) -> Result<StatusCode, No> {
    control.system()?.widgets().send_away().await;
    Ok(StatusCode::NO_CONTENT)
}

async fn bring_back(State(control): Controls) -> Result<StatusCode, No> {
    match control.system()?.widgets().bring_back().await {
        0 => Ok(StatusCode::NO_CONTENT),
        some => Err(No::broken(format!(
            "{some} of the customers got no answer to their hello yet; they go on trying"
        ))),
    }
}

#[cfg(test)]
mod tests;

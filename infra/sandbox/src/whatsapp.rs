//! WhatsApp's Cloud API, as far as messages to one person go: what it takes, what it answers. What
//! a message must look like is in `message.rs`, what a file must in `media.rs`, how both are
//! refused in `error.rs`; who may be written to, and how fast, in `pair.rs`; what Meta reports
//! later, and what customers write, in `webhook.rs`.

mod error;
mod media;
mod message;
mod pair;
mod webhook;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Providers;
use super::channel::Delivered;
use error::{Error, documented, refuse};
use webhook::TakenMessage;

pub(super) use media::{MEDIA_LIMIT, Media};
pub use pair::Pairs;
pub(super) use webhook::{Webhook, Wrote};

/// `POST /providers/whatsapp/{version}/{phone_number_id}/messages`.
pub(super) async fn messages(
    State(providers): State<Arc<Providers>>,
    Path((_version, phone_number_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let effect = async {
        let asked = authorized(&providers, &headers);
        match asked.and_then(|()| message::read(&phone_number_id, &body, &providers.whatsapp_media))
        {
            Err(error) => error.into_response(),
            Ok(message) => accept(&providers, message).await,
        }
    };
    providers
        .whatsapp
        .faults
        .apply(effect, refuse, async || providers.kill("deliver-whatsapp").await)
        .await
}

async fn accept(providers: &Providers, (message, taken): (Delivered, TakenMessage)) -> Response {
    let pairs = &providers.whatsapp_pairs;
    if let Err(error) = pairs.count(&taken.phone_number_id, &taken.to) {
        return error.into_response();
    }
    let answer = json!({
        "messaging_product": "whatsapp",
        "contacts": [{ "input": message.to, "wa_id": digits(&message.to) }],
        "messages": [{ "id": taken.wamid }],
    });
    if message.template.is_none() && !pairs.is_open(&taken.phone_number_id, &taken.to) {
        // Taken all the same, and not delivered: https://github.com/fabrahaingo/joel/pull/314
        providers.whatsapp_receipts.undeliverable(&taken, 131047);
        return Json(answer).into_response();
    }
    if let Err(error) =
        providers.whatsapp.accept(Delivered { taken: json!(taken), ..message }).await
    {
        return Error::new(131016, error.to_string()).into_response();
    }
    providers.whatsapp_receipts.taken(&taken);
    Json(answer).into_response()
}

/// `POST /providers/whatsapp/{version}/{phone_number_id}/media`.
pub(super) async fn upload(
    State(providers): State<Arc<Providers>>,
    Path((_version, phone_number_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let effect = async {
        let asked = authorized(&providers, &headers).and_then(|()| is_number(&phone_number_id));
        let id = match asked {
            Ok(()) => providers.whatsapp_media.take(&phone_number_id, &headers, body).await,
            Err(error) => Err(error),
        };
        id.map_or_else(IntoResponse::into_response, |id| Json(json!({ "id": id })).into_response())
    };
    let kill = async || providers.kill("deliver-whatsapp").await;
    providers.whatsapp_media.faults.apply(effect, refuse, kill).await
}

fn authorized(providers: &Providers, headers: &HeaderMap) -> Result<(), Error> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match token {
        Some(token) if token == providers.whatsapp_token => Ok(()),
        Some(_) => Err(Error::new(190, "The sandbox did not issue this access token.")),
        None => Err(Error::new(190, "An access token is required: Authorization: Bearer …")),
    }
}

fn is_number(phone_number_id: &str) -> Result<(), Error> {
    match !phone_number_id.is_empty() && phone_number_id.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(()),
        false => Err(Error::new(33, format!("'{phone_number_id}' is no phone number ID."))),
    }
}

fn digits(phone_number: &str) -> String {
    phone_number.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests;

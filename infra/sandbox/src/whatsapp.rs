//! WhatsApp's Cloud API for messages to one person.
//!
//! `message.rs` checks messages, `media.rs` files; `error.rs` words the refusals. `pair.rs` knows
//! which customers may be written to, and how fast; `webhook.rs` sends what Meta reports later and
//! what customers write.

mod error;
mod media;
mod message;
mod number;
mod pair;
mod webhook;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{self, DefaultBodyLimit, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::channel::{Channel, Submission};
use crate::clock::Clock;
use crate::fault::Faults;
use crate::receipts::{ReceiptRule, Receipts};
use emulator::Engine;
use error::{Error, refuse};
use media::{MEDIA_LIMIT, Media};
use number::{check_number_id, is_user_id, person};
use webhook::MessageRecord;

pub(crate) use number::PHONE_NUMBER_ID;
pub(crate) use pair::Pairs;
pub(crate) use webhook::{CustomerText, Webhook};

/// The secrets that Meta and the system share.
pub(crate) struct MetaSecrets {
    /// The one access token that the Cloud API knows.
    pub(crate) access_token: String,
    /// The key that webhooks are signed with.
    pub(crate) app_secret: String,
}

/// How many texts of customers are remembered.
const TEXTS_REMEMBERED: usize = 1_000;

/// WhatsApp's Cloud API.
#[derive(Debug)]
pub(crate) struct WhatsappProvider {
    /// The messages it accepted, and the fault in force.
    pub(crate) channel: Channel,
    /// The files that were uploaded.
    pub(crate) media: Media,
    /// The customers who may be written to.
    pub(crate) pairs: Arc<Pairs>,
    /// The way to the system's webhook.
    pub(crate) webhook: Webhook,
    /// The texts that customers wrote.
    heard: Mutex<Vec<Value>>,
    /// Its status webhooks.
    pub(crate) receipts: Receipts<Webhook>,
    engine: Arc<Engine>,
    /// The one access token that the Cloud API knows.
    access_token: String,
}

impl WhatsappProvider {
    /// Opens the provider; with a directory it keeps what it accepted there.
    ///
    /// # Errors
    /// A file of the directory cannot be read or written.
    pub(crate) fn open(
        directory: Option<&Path>,
        engine: &Arc<Engine>,
        secrets: MetaSecrets,
        rule: ReceiptRule,
        clock: &Arc<Clock>,
    ) -> io::Result<Self> {
        let webhook = Webhook::new(secrets.app_secret);
        let receipts = Receipts::open("whatsapp", directory, webhook.clone(), rule, engine, clock)?;

        Ok(Self {
            channel: Channel::open("whatsapp", directory, clock.clone())?,
            media: Media::default(),
            pairs: Arc::new(Pairs::open(directory, clock.clone())?),
            webhook,
            heard: Mutex::default(),
            receipts,
            engine: engine.clone(),
            access_token: secrets.access_token,
        })
    }

    /// Remembers what a customer wrote.
    pub(crate) fn note_text(&self, text: &CustomerText, at: DateTime<Utc>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() == TEXTS_REMEMBERED {
            heard.remove(0);
        }
        let mut text = json!(text);
        text["at"] = json!(at);
        heard.push(text);
    }

    /// Returns what customers wrote since the start, oldest first.
    pub(crate) fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a message, sends its receipts, and answers Meta's id.
    async fn accept(&self, (message, record): (Submission, MessageRecord)) -> Response {
        if let Err(error) = self.pairs.count_message(&record.phone_number_id, &record.to) {
            return error.into_response();
        }

        let name = if is_user_id(&message.to) { "user_id" } else { "wa_id" };
        let answer = json!({
            "messaging_product": "whatsapp",
            "contacts": [{ "input": message.to, name: person(&message.to) }],
            "messages": [{ "id": record.wamid }],
        });

        let is_free_form = message.template.is_none();
        if is_free_form && !self.pairs.is_open(&record.phone_number_id, &record.to) {
            // Taken all the same, and not delivered: https://github.com/fabrahaingo/joel/pull/314
            self.receipts.send_failure(&record, 131047);
            return Json(answer).into_response();
        }

        let message = Submission { record: json!(record), ..message };
        if let Err(error) = self.channel.accept(message).await {
            return Error::new(131016, error.to_string()).into_response();
        }

        self.receipts.send_for(&record);
        Json(answer).into_response()
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), Error> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        match token {
            Some(token) if token == self.access_token => Ok(()),
            Some(_) => Err(Error::new(190, "The sandbox did not issue this access token.")),
            None => Err(Error::new(190, "An access token is required: Authorization: Bearer …")),
        }
    }

    /// Answers a call under the fault in force.
    async fn answer(&self, faults: &Faults, effect: impl Future<Output = Response>) -> Response {
        let kill = async || self.engine.kill("deliver-whatsapp").await;
        faults.apply(effect, refuse, kill).await
    }
}

/// Returns the provider's routes.
pub(crate) fn routes(provider: Arc<WhatsappProvider>) -> Router {
    let media = post(upload_file).layer(DefaultBodyLimit::max(MEDIA_LIMIT));
    Router::new()
        .route("/providers/whatsapp/{version}/{phone_number_id}/messages", post(send_message))
        .route("/providers/whatsapp/{version}/{phone_number_id}/media", media)
        .with_state(provider)
}

type VersionAndNumber = extract::Path<(String, String)>;

/// Answers `POST /providers/whatsapp/{version}/{phone_number_id}/messages`.
async fn send_message(
    State(provider): State<Arc<WhatsappProvider>>,
    extract::Path((_version, phone_number_id)): VersionAndNumber,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let effect = async {
        let authorized = provider.authorize(&headers);
        let message =
            authorized.and_then(|()| message::read(&phone_number_id, &body, &provider.media));
        match message {
            Err(error) => error.into_response(),
            Ok(message) => provider.accept(message).await,
        }
    };

    provider.answer(&provider.channel.faults, effect).await
}

/// Answers `POST /providers/whatsapp/{version}/{phone_number_id}/media`.
async fn upload_file(
    State(provider): State<Arc<WhatsappProvider>>,
    extract::Path((_version, phone_number_id)): VersionAndNumber,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let effect = async {
        let allowed = provider.authorize(&headers).and_then(|()| check_number_id(&phone_number_id));
        let id = match allowed {
            Ok(()) => provider.media.store(&phone_number_id, &headers, body).await,
            Err(error) => Err(error),
        };
        id.map_or_else(IntoResponse::into_response, |id| Json(json!({ "id": id })).into_response())
    };

    provider.answer(&provider.media.faults, effect).await
}

#[cfg(test)]
mod tests;

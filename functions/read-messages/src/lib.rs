//! What was sent and what became of it: a conversation's messages, one message, and the month's
//! usage. And, for customers in a chat, the one message that did not fit into their WebSocket.
//!
//! That one is here and not in chat-socket, whose events are of another API: here everything is
//! that reading a message takes, but for the keys of the visitors' tokens.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;

use domain::delivery::{Attempt, AttemptOutcome, Reason, Status};
use domain::message::{MessageView, rfc3339};
use domain::problem::{FieldError, Refusal};
use domain::{ConversationId, MessageId, Month, Seq};
use platform::api::{self, ApiError, Authenticator};
use platform::aws::Aws;
use platform::credential::visitor::Visitor;
use platform::runtime::{Error, HttpFunction};
use platform::secrets::{Secrets, TokenKeys};
use platform::settings::{self};
use platform::table::LoadRequest;
use platform::table::record::Message;

/// How many messages a page has when nobody says, and at most.
const PAGE: (i32, i32) = (50, 100);

/// The function.
#[derive(Debug, Clone)]
pub struct ReadMessages {
    authenticator: Authenticator,
    visitors: TokenKeys,
}

impl HttpFunction for ReadMessages {
    /// Reads `TABLE_NAME`, `AGENT_KEYS_SECRET`, `VISITOR_KEYS_SECRET` and what AWS clients need.
    fn from_env() -> Result<ReadMessages, Error> {
        let aws = Aws::from_env()?;
        let secrets = Secrets::new(&aws);
        Ok(ReadMessages {
            authenticator: Authenticator::from_env(&aws, &secrets)?,
            visitors: TokenKeys::new(secrets, settings::required("VISITOR_KEYS_SECRET")?),
        })
    }

    async fn handle(&self, request: &Request) -> Result<Response<Body>, ApiError> {
        let parameters = request.path_parameters();
        let conversation = parameters.first("conversation_id");

        match (conversation, parameters.first("message_id")) {
            (None, None) => self.usage(request).await,
            (None, Some(message)) => self.shown(request, message).await,
            (Some(conversation), None) => self.list(request, conversation).await,
            (Some(conversation), Some(message)) => self.one(request, conversation, message).await,
        }
    }
}

impl ReadMessages {
    /// `GET /api/v1/usage`.
    async fn usage(&self, event: &Request) -> Result<Response<Body>, ApiError> {
        let now = self.authenticator.clock.now();
        let month = Month::of(now);
        let claim = self.authenticator.read_token(event.headers(), now).await?;
        let checked = LoadRequest { month: Some(month), ..LoadRequest::default() };
        let (caller, context) = self.authenticator.authenticate(claim, checked, now).await?;
        let table = &self.authenticator.table;
        let usage = table
            .usage(caller.business, month, context.head.as_ref(), context.plan.as_ref())
            .await?;
        let view = UsageView {
            month,
            limit: usage.limit,
            used: usage.used,
            remaining: usage.remaining(),
            resets_at: month.resets_at(),
        };
        Ok(api::json(StatusCode::OK, &view)?)
    }

    /// `GET …/messages?after=&limit=`.
    async fn list(&self, event: &Request, conversation: &str) -> Result<Response<Body>, ApiError> {
        let now = self.authenticator.clock.now();
        let claim = self.authenticator.read_token(event.headers(), now).await?;
        let id = api::path_id::<ConversationId>(Some(conversation), "conversation_id");
        let query = event.query_string_parameters();
        let after = query_number(query.first("after"), "after", 0, 0, Seq::MAX.0);
        let limit = query_number(query.first("limit"), "limit", PAGE.0, 1, PAGE.1);
        let checked =
            LoadRequest { conversation: id.as_ref().ok().copied(), ..LoadRequest::default() };
        let (caller, context) = self.authenticator.authenticate(claim, checked, now).await?;
        let (id, after, limit) = match (id, after, limit) {
            (Ok(id), Ok(after), Ok(limit)) => (id, Seq(after), limit),
            (id, after, limit) => {
                return Err(invalid([id.err(), after.err(), limit.err()]).into());
            }
        };
        let conversation = context.conversation.ok_or(Refusal::ConversationNotFound)?;
        let (messages, mut more) =
            self.authenticator.table.messages_after(caller.business, id, after, limit).await?;
        // A page that ends exactly with the last message looks like one that does not.
        more &= messages.last().is_some_and(|last| last.seq < conversation.seq);
        let next = messages.last().filter(|_| more).map(|last| last.seq.to_string());
        let messages: Vec<_> = messages.iter().map(|message| Delivered::of(message, id)).collect();
        Ok(api::json(StatusCode::OK, &Page { messages, next })?)
    }

    /// `GET …/messages/{id}`.
    async fn one(
        &self,
        event: &Request,
        conversation: &str,
        message: &str,
    ) -> Result<Response<Body>, ApiError> {
        let now = self.authenticator.clock.now();
        let claim = self.authenticator.read_token(event.headers(), now).await?;
        let id = api::path_id::<ConversationId>(Some(conversation), "conversation_id");
        let message = api::path_id::<MessageId>(Some(message), "message_id");
        let checked =
            LoadRequest { conversation: id.as_ref().ok().copied(), ..LoadRequest::default() };
        let (caller, context) = self.authenticator.authenticate(claim, checked, now).await?;
        let (id, message) = match (id, message) {
            (Ok(id), Ok(message)) => (id, message),
            (id, message) => return Err(invalid([id.err(), message.err()]).into()),
        };
        context.conversation.ok_or(Refusal::ConversationNotFound)?;
        let found = self.authenticator.table.message(caller.business, id, message).await?;
        let found = found.ok_or(Refusal::MessageNotFound)?;
        Ok(api::json(StatusCode::OK, &Delivered::of(&found, id))?)
    }

    /// `GET /api/v1/chat/messages/{id}`: a message as the widget shows it. The token says which
    /// conversation it is of, so there is no other that could be asked for.
    async fn shown(&self, event: &Request, message: &str) -> Result<Response<Body>, ApiError> {
        let token = api::bearer_token(event.headers())?;
        let now = self.authenticator.clock.now();
        let key = self.visitors.signing_key_for(token).await?.ok_or(Refusal::Unauthorized)?;
        let Visitor { business, conversation } =
            key.verify_visitor(token, now).map_err(|_| ApiError::Refused(Refusal::Unauthorized))?;
        let message = api::path_id::<MessageId>(Some(message), "message_id");
        let message = message.map_err(|error| invalid([Some(error)]))?;
        let found = self.authenticator.table.message(business, conversation, message).await?;
        // What ended `failed` no widget is shown.
        let found =
            found.filter(|found| found.status != Status::Failed).ok_or(Refusal::MessageNotFound)?;
        Ok(api::json(StatusCode::OK, &found.view(conversation))?)
    }
}

fn invalid(errors: impl IntoIterator<Item = Option<FieldError>>) -> Refusal {
    Refusal::Invalid(errors.into_iter().flatten().collect())
}

/// Reads a number out of the query, between `least` and `most`.
fn query_number<T>(
    text: Option<&str>,
    name: &str,
    default: T,
    least: T,
    most: T,
) -> Result<T, FieldError>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let Some(text) = text else { return Ok(default) };
    let number = text.parse().ok().filter(|number| (&least..=&most).contains(&number));
    number.ok_or_else(|| FieldError {
        loc: vec!["query".into(), name.into()],
        msg: format!("Input should be a whole number from {least} to {most}"),
        kind: "int_parsing",
    })
}

#[derive(Serialize)]
struct UsageView {
    month: Month,
    limit: u64,
    used: u64,
    remaining: u64,
    #[serde(serialize_with = "rfc3339")]
    resets_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct Page<'a> {
    messages: Vec<Delivered<'a>>,
    /// `after` of the next page; null on the last.
    next: Option<String>,
}

/// A message and what became of it.
#[derive(Serialize)]
struct Delivered<'a> {
    #[serde(flatten)]
    message: MessageView<'a>,
    delivery: Delivery<'a>,
}

#[derive(Serialize)]
struct Delivery<'a> {
    status: Status,
    attempts: u32,
    history: Vec<AttemptView>,
    sent_at: Option<Time>,
    delivered_at: Option<Time>,
    read_at: Option<Time>,
    failed_at: Option<Time>,
    error: Option<ErrorView<'a>>,
}

/// An attempt; what went wrong is null if nothing did.
#[derive(Serialize)]
struct AttemptView {
    attempt: u32,
    at: Time,
    outcome: AttemptOutcome,
    code: Option<String>,
    detail: Option<String>,
    provider_code: Option<String>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Time(#[serde(serialize_with = "rfc3339")] DateTime<Utc>);

#[derive(Serialize)]
struct ErrorView<'a> {
    #[serde(flatten)]
    reason: &'a Reason,
    /// Whether it will be tried again.
    retryable: bool,
}

impl Delivered<'_> {
    fn of(message: &Message, conversation: ConversationId) -> Delivered<'_> {
        let retryable = !message.status.is_settled();
        Delivered {
            message: message.view(conversation),
            delivery: Delivery {
                status: message.status,
                attempts: message.attempts,
                history: message.attempts_so_far().into_iter().map(AttemptView::of).collect(),
                sent_at: message.sent_at.map(Time),
                delivered_at: message.delivered_at.map(Time),
                read_at: message.read_at.map(Time),
                failed_at: message.failed_at.map(Time),
                error: message.error.as_ref().map(|reason| ErrorView { reason, retryable }),
            },
        }
    }
}

impl AttemptView {
    fn of(Attempt { attempt, at, outcome, reason }: Attempt) -> AttemptView {
        let (code, detail, provider_code) = match reason {
            Some(Reason { code, detail, provider_code }) => {
                (Some(code), Some(detail), provider_code)
            }
            None => (None, None, None),
        };
        AttemptView { attempt, at: Time(at), outcome, code, detail, provider_code }
    }
}

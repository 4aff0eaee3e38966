//! Reads a conversation's messages with their delivery, one message, and the month's usage. For
//! customers in a chat it also reads the one message that did not fit into their WebSocket.
//!
//! That route is here and not in chat-socket, which serves another API: this function has all that
//! reading a message needs but the keys of the visitors' tokens.

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
use platform::origin::ApiDomains;
use platform::runtime::{Error, HttpFunction};
use platform::secrets::{Secrets, TokenKeys};
use platform::settings;
use platform::table::record::Message;
use platform::table::{LoadRequest, MessagesAfter};

/// How many messages a page has if the caller does not ask for a number.
pub const DEFAULT_PAGE_SIZE: i32 = 50;

/// The most digits of a number in a query: as many as [`Seq::MAX`] has.
pub const MAX_DIGITS: usize = 10;

/// The largest cursor, [`MAX_DIGITS`] long. After it comes nothing.
const MAX_CURSOR: u64 = 9_999_999_999;

/// The most messages of a page.
pub const MAX_PAGE_SIZE: i32 = 100;

/// The function.
#[derive(Debug, Clone)]
pub struct ReadMessages {
    authenticator: Authenticator,
    visitors: TokenKeys,
    domains: ApiDomains,
}

impl HttpFunction for ReadMessages {
    /// Reads `TABLE_NAME`, `AGENT_KEYS_SECRET`, `VISITOR_KEYS_SECRET`, `API_DOMAIN` and what AWS
    /// clients need.
    fn from_env() -> Result<ReadMessages, Error> {
        let aws = Aws::from_env()?;
        let secrets = Secrets::new(&aws);
        Ok(ReadMessages {
            authenticator: Authenticator::from_env(&aws, &secrets)?,
            visitors: TokenKeys::new(secrets, settings::required("VISITOR_KEYS_SECRET")?),
            domains: ApiDomains::from_env()?,
        })
    }

    async fn handle(&self, request: &Request) -> Result<Response<Body>, ApiError> {
        let parameters = request.path_parameters();
        let conversation_id = parameters.first("conversation_id");

        match (conversation_id, parameters.first("message_id")) {
            (None, None) => self.read_usage(request).await,
            (None, Some(id)) => self.read_as_visitor(request, id).await,
            (Some(conversation_id), None) => self.list_messages(request, conversation_id).await,
            (Some(conversation_id), Some(id)) => {
                self.read_message(request, conversation_id, id).await
            }
        }
    }
}

impl ReadMessages {
    /// `GET /api/v1/usage`.
    async fn read_usage(&self, event: &Request) -> Result<Response<Body>, ApiError> {
        let now = self.authenticator.clock.now();
        let month = Month::of(now);
        let claims = self.authenticator.read_token(event.headers(), now).await?;

        let load = LoadRequest { month: Some(month), ..LoadRequest::default() };
        let (caller, context) = self.authenticator.authenticate(claims, load, now).await?;
        let table = &self.authenticator.table;
        let usage = table
            .usage(caller.business_id, month, context.head.as_ref(), context.plan.as_ref())
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
    async fn list_messages(
        &self,
        event: &Request,
        conversation_id: &str,
    ) -> Result<Response<Body>, ApiError> {
        let now = self.authenticator.clock.now();
        let claims = self.authenticator.read_token(event.headers(), now).await?;

        let query = event.query_string_parameters();
        let conversation_id =
            api::path_id::<ConversationId>(Some(conversation_id), "conversation_id");
        let after = query_number(query.first("after"), "after", 0, 0, MAX_CURSOR);
        let limit =
            query_number(query.first("limit"), "limit", DEFAULT_PAGE_SIZE, 1, MAX_PAGE_SIZE);

        let load = LoadRequest {
            conversation_id: conversation_id.as_ref().ok().copied(),
            ..LoadRequest::default()
        };
        let (caller, context) = self.authenticator.authenticate(claims, load, now).await?;
        let (conversation_id, after, limit) = match (conversation_id, after, limit) {
            (Ok(conversation_id), Ok(after), Ok(limit)) => (conversation_id, Seq(after), limit),
            (conversation_id, after, limit) => {
                return Err(invalid([conversation_id.err(), after.err(), limit.err()]).into());
            }
        };

        let conversation = context.conversation.ok_or(Refusal::ConversationNotFound)?;
        let table = &self.authenticator.table;
        let MessagesAfter { messages, has_more } =
            table.messages_after(caller.business_id, conversation_id, after, limit).await?;

        let last = messages.last().map(|last| last.seq);
        let next = last.filter(|last| has_more && *last < conversation.seq);
        let next = next.map(|seq| seq.to_string());
        let origin = self.domains.address(event).origin;
        let messages = messages
            .iter()
            .map(|message| MessageWithDelivery::of(message, conversation_id, &origin));
        Ok(api::json(StatusCode::OK, &Page { messages: messages.collect(), next })?)
    }

    /// `GET …/messages/{id}`.
    async fn read_message(
        &self,
        event: &Request,
        conversation_id: &str,
        message_id: &str,
    ) -> Result<Response<Body>, ApiError> {
        let now = self.authenticator.clock.now();
        let claims = self.authenticator.read_token(event.headers(), now).await?;
        let conversation_id =
            api::path_id::<ConversationId>(Some(conversation_id), "conversation_id");

        let message_id = api::path_id::<MessageId>(Some(message_id), "message_id");

        let load = LoadRequest {
            conversation_id: conversation_id.as_ref().ok().copied(),
            ..LoadRequest::default()
        };

        let (caller, context) = self.authenticator.authenticate(claims, load, now).await?;
        let (conversation_id, message_id) = match (conversation_id, message_id) {
            (Ok(conversation_id), Ok(message_id)) => (conversation_id, message_id),
            (conversation_id, message_id) => {
                return Err(invalid([conversation_id.err(), message_id.err()]).into());
            }
        };

        context.conversation.ok_or(Refusal::ConversationNotFound)?;

        let table = &self.authenticator.table;
        let message = table.message(caller.business_id, conversation_id, message_id).await?;
        let message = message.ok_or(Refusal::MessageNotFound)?;

        let origin = self.domains.address(event).origin;
        let view = MessageWithDelivery::of(&message, conversation_id, &origin);
        Ok(api::json(StatusCode::OK, &view)?)
    }

    /// `GET /api/v1/chat/messages/{id}`: a message as the widget shows it. The token names the
    /// conversation, so no other can be read.
    async fn read_as_visitor(
        &self,
        event: &Request,
        message_id: &str,
    ) -> Result<Response<Body>, ApiError> {
        let token = api::bearer_token(event.headers())?;
        let now = self.authenticator.clock.now();
        let key = self.visitors.signing_key_for(token).await?.ok_or(Refusal::Unauthorized)?;
        let Visitor { business_id, conversation_id } =
            key.verify_visitor(token, now).map_err(|_| ApiError::Refused(Refusal::Unauthorized))?;

        let message_id = api::path_id::<MessageId>(Some(message_id), "message_id")
            .map_err(|error| invalid([Some(error)]))?;
        let table = &self.authenticator.table;
        let message = table.message(business_id, conversation_id, message_id).await?;

        let shown = message.filter(Message::is_shown_to_customers);
        let message = shown.ok_or(Refusal::MessageNotFound)?;

        let origin = self.domains.address(event).origin;
        Ok(api::json(StatusCode::OK, &message.view(conversation_id, &origin))?)
    }
}

fn invalid(errors: impl IntoIterator<Item = Option<FieldError>>) -> Refusal {
    Refusal::Invalid(errors.into_iter().flatten().collect())
}

/// Reads a number from the query, between `least` and `most`.
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
    let is_number =
        |text: &&str| text.len() <= MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let digits = Some(text).filter(is_number);
    let number = digits.and_then(|digits| digits.parse().ok());
    let number = number.filter(|number| (&least..=&most).contains(&number));
    number.ok_or_else(|| {
        let expected = format!("a whole number from {least} to {most}");
        FieldError::wrong(["query", name], expected, "int_parsing")
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
    messages: Vec<MessageWithDelivery<'a>>,
    /// `after` of the next page; null on the last.
    next: Option<String>,
}

/// A message with its delivery.
#[derive(Serialize)]
struct MessageWithDelivery<'a> {
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

/// An attempt; `code`, `detail` and `provider_code` are null if nothing went wrong.
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
    /// Whether the message will be tried again.
    retryable: bool,
}

impl MessageWithDelivery<'_> {
    fn of<'a>(
        message: &'a Message,
        conversation_id: ConversationId,
        origin: &str,
    ) -> MessageWithDelivery<'a> {
        let retryable = !message.status.is_settled();
        MessageWithDelivery {
            message: message.view(conversation_id, origin),
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

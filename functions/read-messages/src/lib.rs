//! Reads a conversation's messages with their delivery, those of a business that did not arrive,
//! one message, a business's events, and the month's usage. For customers in a chat it also reads
//! the one message that did not fit into their WebSocket, and their widget's script.
//!
//! These two routes are here and not in chat-socket, which serves another API: this function has
//! all that reading a message needs but the keys of the visitors' tokens.

mod events;
mod list;
pub mod page;
mod script;

pub use list::{DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE};

use chrono::{DateTime, Utc};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;

use domain::message::rfc3339;
use domain::problem::Refusal;
use domain::{ConversationId, MessageId, MessageNumber, Month, Operation};
use platform::api::{self, ApiError, Authenticator};
use platform::aws::Aws;
use platform::credential::visitor::Visitor;
use platform::message_view::MessageWithDelivery;
use platform::origin::ApiDomains;
use platform::query::Query;
use platform::routes::route_key;
use platform::runtime::{Error, HttpFunction};
use platform::secrets::{Secrets, TokenKeys};
use platform::settings;
use platform::table::LoadRequest;
use platform::table::record::Message;

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
        if let Some(name) = parameters.first("script") {
            return script::read(request, name);
        }
        let conversation_id = parameters.first("conversation_id");

        match (conversation_id, parameters.first("message_id")) {
            (None, None) if is_for(request, "/usage") => self.read_usage(request).await,
            (None, None) if is_for(request, "/events") => self.list_events(request).await,
            (None, None) => self.list_exceptions(request).await,
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
        let errors = Query::read(event, &[]).into_errors();

        let load = LoadRequest { month: Some(month), ..LoadRequest::default() };
        let (caller, context) =
            self.authenticator.authenticate(claims, Operation::ReadUsage, load, now).await?;
        api::valid(Ok(()), errors)?;
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
        let errors = Query::read(event, &[]).into_errors();

        let load = LoadRequest {
            conversation_id: conversation_id.as_ref().ok().copied(),
            ..LoadRequest::default()
        };

        let (caller, context) =
            self.authenticator.authenticate(claims, Operation::ReadMessage, load, now).await?;
        let (conversation_id, message_id) = match (conversation_id, message_id) {
            (Ok(conversation_id), Ok(message_id)) => {
                api::valid(Ok((conversation_id, message_id)), errors)?
            }
            (conversation_id, message_id) => {
                let of_path = [conversation_id.err(), message_id.err()].into_iter().flatten();
                return Err(Refusal::Invalid(of_path.chain(errors).collect()).into());
            }
        };

        context.conversation.ok_or(Refusal::ConversationNotFound)?;

        let table = &self.authenticator.table;
        let business_id = caller.business_id;
        match message_id.number().ok_or(Refusal::MessageNotFound)? {
            MessageNumber::Agent(_) => {
                let message = table.message(business_id, conversation_id, message_id).await?;
                let message = message.ok_or(Refusal::MessageNotFound)?;
                let origin = self.domains.address(event).origin;
                let view = MessageWithDelivery::of(&message, conversation_id, &origin);
                Ok(api::json(StatusCode::OK, &view)?)
            }
            MessageNumber::Customer(_) => {
                let message =
                    table.customer_message(business_id, conversation_id, message_id).await?;
                let message = message.ok_or(Refusal::MessageNotFound)?;
                let view = MessageWithDelivery::of_customer(&message, conversation_id);
                Ok(api::json(StatusCode::OK, &view)?)
            }
        }
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
        let Visitor { business_id, conversation_id } = key
            .verify_visitor(token, now)
            .map_err(|_| ApiError::Refused(Refusal::Unauthorized))?
            .visitor;

        let message_id = api::path_id::<MessageId>(Some(message_id), "message_id")
            .map_err(|error| Refusal::Invalid(vec![error]))?;
        api::valid(Ok(()), Query::read(event, &[]).into_errors())?;
        let table = &self.authenticator.table;
        let message = table.message(business_id, conversation_id, message_id).await?;

        let shown = message.filter(Message::is_shown_to_customers);
        let message = shown.ok_or(Refusal::MessageNotFound)?;

        let origin = self.domains.address(event).origin;
        Ok(api::json(StatusCode::OK, &message.view(conversation_id, &origin))?)
    }
}

/// True if the request came by a route that ends so.
fn is_for(request: &Request, end: &str) -> bool {
    route_key(request).is_some_and(|route| route.ends_with(end))
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

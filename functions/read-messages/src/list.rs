//! Lists: a conversation's messages, and a business's exceptions.
//!
//! Every page has a cursor `next`, the last one as well, so that a caller can ask later for what
//! has come since.

use chrono::{DateTime, Utc};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::Serialize;

use super::{ReadMessages, page};
use domain::delivery::Status;
use domain::problem::Refusal;
use domain::timeline::{Cursor, Cut, Order, Span};
use domain::{BusinessId, Channel, ConversationId, Operation, Seq};
use platform::api::{self, ApiError};
use platform::message_view::MessageWithDelivery;
use platform::query::Query;
use platform::table::record::Conversation;
use platform::table::{
    Entry, ExceptionPlace, ExceptionSearch, LoadRequest, MessageList, MessageRange, Table, Timeline,
};

/// How many messages a page has if the caller does not ask for a number.
pub const DEFAULT_PAGE_SIZE: u64 = 50;

/// The most messages of a page.
pub const MAX_PAGE_SIZE: u64 = 100;

/// A page of a conversation's list.
#[derive(Serialize)]
struct Page<'a> {
    messages: Vec<MessageWithDelivery<'a>>,
    /// The place behind the page, where the list goes on.
    next: String,
    /// The place before the page, from which it goes on the other way round.
    previous: String,
    /// Whether there is more behind the page now.
    has_more: bool,
}

/// A page of a business's list.
#[derive(Serialize)]
struct ExceptionPage<'a> {
    messages: Vec<MessageWithDelivery<'a>>,
    next: String,
    has_more: bool,
}

/// Whose messages a list has.
enum Senders {
    /// Agents' alone, as every list had them before customers' messages were kept: a program of
    /// that time takes all it gets for agents'.
    Agents,
    /// Agents' and the customer's.
    Any,
}

/// A list of a conversation's messages.
struct List<'a> {
    table: &'a Table,
    business_id: BusinessId,
    conversation_id: ConversationId,
    origin: String,
    limit: u64,
}

impl List<'_> {
    /// A page of agents' messages.
    async fn of_agents(
        &self,
        range: MessageRange,
        conversation: &Conversation,
    ) -> Result<Response<Body>, ApiError> {
        let List { business_id, conversation_id, .. } = *self;
        let limit = self.limit as i32;
        let MessageList { messages, has_more } =
            self.table.messages(business_id, conversation_id, range, limit).await?;

        let views = messages
            .iter()
            .map(|message| MessageWithDelivery::of(message, conversation_id, &self.origin));
        let views = page::fitting(views)?;

        let has_more = has_more || views.len() < messages.len();
        let first = messages.first().map(|first| first.seq);
        let last = messages[..views.len()].last().map(|last| last.seq);
        let next = last.unwrap_or_else(|| range.next_of_nothing());
        let previous = first.unwrap_or_else(|| range.previous_of_nothing()).min(Cut::END.seq);
        // DynamoDB goes on to say that there may be more behind the very last message.
        let has_more = has_more
            && match range.order {
                Order::OldestFirst => next < conversation.seq,
                Order::NewestFirst => next > range.after.next(),
            };

        let (next, previous) = (next.to_string(), previous.to_string());
        let page = Page { messages: views, next, previous, has_more };
        Ok(api::json(StatusCode::OK, &page)?)
    }

    /// A page of agents' and the customer's messages.
    async fn of_both(&self, span: Span) -> Result<Response<Body>, ApiError> {
        let List { business_id, conversation_id, .. } = *self;
        let Timeline { entries, page } =
            self.table.timeline(business_id, conversation_id, span, self.limit as usize).await?;

        let views = entries.iter().map(|entry| match entry {
            Entry::Agent(message) => {
                MessageWithDelivery::of(message, conversation_id, &self.origin)
            }
            Entry::Customer(message) => MessageWithDelivery::of_customer(message, conversation_id),
        });
        let views = page::fitting(views)?;

        let taken = views.len();
        let page = Page {
            messages: views,
            next: page.next(taken).to_string(),
            previous: page.previous().to_string(),
            has_more: page.has_more || taken < entries.len(),
        };
        Ok(api::json(StatusCode::OK, &page)?)
    }
}

impl ReadMessages {
    /// `GET /api/v1/conversations/{conversation_id}/messages`.
    pub(super) async fn list_messages(
        &self,
        event: &Request,
        conversation_id: &str,
    ) -> Result<Response<Body>, ApiError> {
        let now = self.authenticator.clock.now();
        let claims = self.authenticator.read_token(event.headers(), now).await?;

        let conversation_id =
            api::path_id::<ConversationId>(Some(conversation_id), "conversation_id");
        let mut query = Query::read(event, &["after", "before", "order", "limit", "sender_type"]);
        let mut cursor = |name| {
            query.parse(name, "`next` or `previous` of a page", "value_error", |text| {
                text.parse::<Cursor>().ok()
            })
        };
        let (after, before) = (cursor("after"), cursor("before"));
        let order = query.parse("order", "'asc' or 'desc'", "enum", parse_order);
        let order = order.unwrap_or(Order::OldestFirst);
        let senders = query.parse("sender_type", "'agent' or 'any'", "enum", parse_senders);
        let limit = query.number("limit", 1, MAX_PAGE_SIZE).unwrap_or(DEFAULT_PAGE_SIZE);

        let load = LoadRequest {
            conversation_id: conversation_id.as_ref().ok().copied(),
            ..LoadRequest::default()
        };
        let (caller, context) =
            self.authenticator.authenticate(claims, Operation::ListMessages, load, now).await?;
        let conversation_id = api::valid(conversation_id, query.into_errors())?;
        let conversation = context.conversation.ok_or(Refusal::ConversationNotFound)?;

        let list = List {
            table: &self.authenticator.table,
            business_id: caller.business_id,
            conversation_id,
            origin: self.domains.address(event).origin,
            limit,
        };
        match senders.unwrap_or(Senders::Agents) {
            Senders::Agents => {
                let range = MessageRange {
                    after: after.map_or(Seq(0), Cursor::seq),
                    before: before.map(Cursor::seq),
                    order,
                };
                list.of_agents(range, &conversation).await
            }
            Senders::Any => {
                let span = Span {
                    after: after.map(Cursor::after).unwrap_or_default(),
                    up_to: before.map_or(Cut::END, Cursor::before),
                    order,
                };
                list.of_both(span).await
            }
        }
    }

    /// `GET /api/v1/messages?status=`.
    pub(super) async fn list_exceptions(
        &self,
        event: &Request,
    ) -> Result<Response<Body>, ApiError> {
        let now = self.authenticator.clock.now();
        let claims = self.authenticator.read_token(event.headers(), now).await?;

        let known = ["status", "channel", "since", "until", "before", "limit"];
        let mut query = Query::read(event, &known);
        let status = query.require("status", "'failed' or 'in_doubt'", "enum", parse_exception);
        let channel = query.parse("channel", "a channel's name", "enum", Channel::from_wire);
        let time = "a time as RFC 3339 writes it, such as 2026-03-01T09:05:00Z";
        let since = query.parse("since", time, "datetime_parsing", parse_time);
        let until = query.parse("until", time, "datetime_parsing", parse_time);
        let before: Option<ExceptionPlace> =
            query.parse("before", "`next` of a page before", "value_error", |text| {
                text.parse().ok()
            });
        let limit = query.number("limit", 1, MAX_PAGE_SIZE).unwrap_or(DEFAULT_PAGE_SIZE);

        let (caller, _) = self
            .authenticator
            .authenticate(claims, Operation::ListExceptions, LoadRequest::default(), now)
            .await?;
        let errors = query.into_errors();
        let Some(status) = status.filter(|_| errors.is_empty()) else {
            return Err(Refusal::Invalid(errors).into());
        };

        let end = until.map_or(ExceptionPlace::END, ExceptionPlace::before);
        let ends = before.into_iter().chain([end]);
        let search = ExceptionSearch {
            status,
            channel,
            since: since.unwrap_or(DateTime::UNIX_EPOCH),
            before: ends.min_by_key(ExceptionPlace::to_string).expect("there are two"),
        };
        let table = &self.authenticator.table;
        let found = table.exceptions(caller.business_id, &search, limit as usize).await?;

        let origin = self.domains.address(event).origin;
        let views = found.messages.iter().map(|(_, stored)| {
            MessageWithDelivery::of(&stored.message, stored.conversation_id, &origin)
        });
        let views = page::fitting(views)?;

        let is_cut = views.len() < found.messages.len();
        let next = match found.messages[..views.len()].last() {
            Some((last, _)) if is_cut => *last,
            _ => found.read_up_to,
        };
        let has_more = found.has_more || is_cut;
        let page = ExceptionPage { messages: views, next: next.to_string(), has_more };
        Ok(api::json(StatusCode::OK, &page)?)
    }
}

fn parse_order(text: &str) -> Option<Order> {
    match text {
        "asc" => Some(Order::OldestFirst),
        "desc" => Some(Order::NewestFirst),
        _ => None,
    }
}

fn parse_senders(text: &str) -> Option<Senders> {
    match text {
        "agent" => Some(Senders::Agents),
        "any" => Some(Senders::Any),
        _ => None,
    }
}

fn parse_exception(text: &str) -> Option<Status> {
    [Status::Failed, Status::InDoubt].into_iter().find(|status| status.to_string() == text)
}

fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

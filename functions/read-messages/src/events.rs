//! The list of a business's events.

use std::collections::BTreeSet;

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::Serialize;

use super::list::{DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE};
use super::{ReadMessages, page};
use domain::Operation;
use domain::event::{EventSequence, EventType};
use platform::api::{self, ApiError};
use platform::event_view::{EventView, ShownEvent};
use platform::query::Query;
use platform::table::record::Event;
use platform::table::{EventList, LoadRequest};

/// A page of a business's events.
#[derive(Serialize)]
struct EventPage<'a> {
    events: Vec<EventView<'a>>,
    /// The number behind which the list goes on.
    next: String,
    has_more: bool,
}

impl ReadMessages {
    /// `GET /api/v1/events`. A page is one read of the table: where only some kinds are asked for,
    /// it may have fewer events than it could, and go on behind them.
    pub(super) async fn list_events(&self, event: &Request) -> Result<Response<Body>, ApiError> {
        let now = self.authenticator.clock.now();
        let claims = self.authenticator.read_token(event.headers(), now).await?;

        let mut query = Query::read(event, &["after", "types", "limit"]);
        let expected = "`next` of a page before";
        let after = query.parse("after", expected, "value_error", EventSequence::of_cursor);
        let expected = "names of events with commas between them";
        let types = query.parse("types", expected, "enum", parse_types);
        let limit = query.number("limit", 1, MAX_PAGE_SIZE).unwrap_or(DEFAULT_PAGE_SIZE);

        let load = LoadRequest::default();
        let (caller, _) =
            self.authenticator.authenticate(claims, Operation::ListEvents, load, now).await?;
        api::valid(Ok(()), query.into_errors())?;

        let table = &self.authenticator.table;
        let business_id = caller.business_id;
        let after = after.unwrap_or_default();
        let EventList { events, has_more } =
            table.events_after(business_id, after, limit as i32).await?;
        let wanted = |event: &&Event| types.as_ref().is_none_or(|some| some.contains(&event.kind));
        let shown: Vec<&Event> = events.iter().filter(wanted).collect();
        let current = table.messages_of_events(business_id, shown.iter().copied()).await?;

        let origin = self.domains.address(event).origin;
        let whole: Vec<ShownEvent<'_>> =
            shown.iter().map(|event| ShownEvent::of(event, &current)).collect();
        let views = page::fitting(whole.iter().map(|event| event.view(business_id, &origin)))?;

        let is_cut = views.len() < shown.len();
        let last = if is_cut { shown[..views.len()].last().copied() } else { events.last() };
        let next = last.map_or(after, |event| event.sequence).to_string();
        let page = EventPage { events: views, next, has_more: has_more || is_cut };
        Ok(api::json(StatusCode::OK, &page)?)
    }
}

fn parse_types(text: &str) -> Option<BTreeSet<EventType>> {
    text.split(',').map(|name| name.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_number_and_types_are_names() {
        let types = parse_types("message.read,message.sent");
        assert_eq!(types, Some([EventType::MessageRead, EventType::MessageSent].into()));
        for wrong in ["", "message.read,", "message.queued", "message.read message.sent"] {
            assert_eq!(parse_types(wrong), None, "{wrong}");
        }
    }
}

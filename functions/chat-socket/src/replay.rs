//! Replays settled messages, a page at a time; the worker delivers the rest.
//!
//! A widget that connects gets the newest page of what it missed, and asks for the pages before it
//! when its customer scrolls back. So a tab costs a page, however long its conversation is.

use tokio::time::Instant;

use crate::widgets::Widgets;
use domain::Seq;
use domain::delivery::ConversationState;
use domain::widget::ReplayState;
use platform::clock::Clock;
use platform::error::InternalError;
use platform::sockets::{Event, Payload};
use platform::table::record::Message;
use platform::table::{Connection, MessageRange, Order, Table};

/// The most messages of a page. DynamoDB ends it earlier after [1
/// MB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html).
pub const PAGE_SIZE: i32 = 50;

/// How many messages of a worker's turn are read at once.
const TURN_PAGE_SIZE: i32 = 10;

/// The part of a conversation that a replay has sent.
pub(crate) struct ReplayOutcome {
    /// Everything after this message was sent, or is known to the widget.
    pub(crate) first: Seq,
    /// The last `seq` that was replayed.
    pub(crate) last: Seq,
    /// A message that the widget asks for in a moment if it does not come: the one that a worker
    /// was handing over then, as it may have read the list of widgets before this one was on it
    /// (every later message goes to all that are listed by then), or the first of the next page.
    pub(crate) pending: Option<Seq>,
}

/// A replay on one connection.
pub(crate) struct Replay<'a> {
    pub(crate) table: &'a Table,
    pub(crate) widgets: &'a Widgets,
    pub(crate) connection: &'a Connection,
    /// The messages that were replayed on the connection before.
    pub(crate) state: &'a ReplayState,
    pub(crate) clock: &'a Clock,
    /// The address for links to files.
    pub(crate) api_url: &'a str,
    /// The end of the time for sending.
    pub(crate) until: Instant,
}

impl Replay<'_> {
    /// Returns the outcome of a replay that would send nothing; `None` if there is something.
    pub(crate) async fn without_messages(
        &self,
        after: Seq,
    ) -> Result<Option<ReplayOutcome>, InternalError> {
        let last = self.state.next_after(after);
        Ok(match self.conversation().await? {
            None => Some(ReplayOutcome { first: after, last, pending: None }),
            Some(state) if state.settled_seq <= last => {
                let pending = state.message_in_flight(self.clock.now());
                Some(ReplayOutcome { first: after, last, pending })
            }
            Some(_) => None,
        })
    }

    /// Sends a page of what is settled after `after`: the newest one on a new connection, the first
    /// one otherwise.
    pub(crate) async fn run(&self, after: Seq) -> Result<Option<ReplayOutcome>, InternalError> {
        if self.state.is_new() {
            self.newest_page(after).await
        } else {
            self.next_page(after).await
        }
    }

    /// Sends the newest page of what is settled after `after`, and says before it if that is not
    /// all. A widget that is not reached in time is disconnected and `None` returned: it reconnects
    /// and says how far it got.
    async fn newest_page(&self, after: Seq) -> Result<Option<ReplayOutcome>, InternalError> {
        let connection_id = &self.connection.connection_id;
        let Some(state) = self.conversation().await? else {
            return Ok(Some(ReplayOutcome { first: after, last: after, pending: None }));
        };

        let settled = state.settled_seq;
        let (page, first) = self.page_before(settled.next(), after).await?;

        let is_cut = first > after;
        if is_cut {
            let event = Event::Page { after: first.0 };
            if !self.widgets.send_event(connection_id, &event).await {
                self.widgets.close(connection_id).await;
                return Ok(None);
            }
        }
        if !self.send(page.iter().rev()).await {
            return Ok(None);
        }

        let pending = state.message_in_flight(self.clock.now());
        Ok(Some(ReplayOutcome { first, last: after.max(settled), pending }))
    }

    /// Sends the first page of what is settled after `after` and was not sent before; otherwise
    /// like [`Replay::newest_page`].
    pub(crate) async fn next_page(
        &self,
        after: Seq,
    ) -> Result<Option<ReplayOutcome>, InternalError> {
        let Connection { business_id, conversation_id, .. } = self.connection;
        let Some(state) = self.conversation().await? else {
            return Ok(Some(ReplayOutcome { first: after, last: after, pending: None }));
        };

        let settled = state.settled_seq;
        let last = self.state.next_after(after);
        let mut outcome = ReplayOutcome {
            first: after,
            last,
            pending: state.message_in_flight(self.clock.now()),
        };
        if last >= settled {
            return Ok(Some(outcome));
        }

        let range =
            MessageRange { after: last, before: Some(settled.next()), order: Order::OldestFirst };
        let page = self.table.messages(*business_id, *conversation_id, range, PAGE_SIZE).await?;
        if !self.send(page.messages.iter()).await {
            return Ok(None);
        }

        let end = page.messages.last().filter(|_| page.has_more);
        outcome.last = end.map_or(settled, |end| self.state.next_after(end.seq));
        if outcome.last < settled {
            outcome.pending = Some(outcome.last.next());
        }
        Ok(Some(outcome))
    }

    /// Sends the page before `before`, newest first. Returns the messages between which everything
    /// was sent, without them; `None` as of [`Replay::newest_page`].
    pub(crate) async fn history(&self, before: Seq) -> Result<Option<(Seq, Seq)>, InternalError> {
        let Some(state) = self.conversation().await? else { return Ok(Some((Seq(0), before))) };

        // The worker delivers what is not settled.
        let before = before.min(state.settled_seq.next());
        let (page, after) = self.page_before(before, Seq(0)).await?;
        Ok(self.send(page.iter()).await.then_some((after, before)))
    }

    /// Returns the conversation as far as it is settled now; `None` if there is none. A worker that
    /// holds it stores how far it came when it lets go, so until then its messages tell.
    async fn conversation(&self) -> Result<Option<ConversationState>, InternalError> {
        let Connection { business_id, conversation_id, .. } = self.connection;
        let conversation = self.table.conversation(*business_id, *conversation_id).await?;
        let Some(mut state) = conversation.map(|conversation| conversation.state()) else {
            return Ok(None);
        };

        while state.lease_until.is_some() && state.settled_seq < state.seq {
            let range = MessageRange {
                after: state.settled_seq,
                before: Some(state.seq.next()),
                order: Order::OldestFirst,
            };
            let turn =
                self.table.messages(*business_id, *conversation_id, range, TURN_PAGE_SIZE).await?;
            let settled = turn.messages.iter().take_while(|message| message.status.is_settled());
            if let Some(last) = settled.last() {
                state.settled_seq = last.seq;
            }

            let end = turn.messages.last().map(|message| message.seq);
            if end != Some(state.settled_seq) || !turn.has_more {
                break;
            }
        }
        Ok(Some(state))
    }

    /// Returns the newest page of the messages between two, newest first, and the message before
    /// it.
    async fn page_before(
        &self,
        before: Seq,
        after: Seq,
    ) -> Result<(Vec<Message>, Seq), InternalError> {
        let Connection { business_id, conversation_id, .. } = self.connection;
        let range = MessageRange { after, before: Some(before), order: Order::NewestFirst };
        let page = self.table.messages(*business_id, *conversation_id, range, PAGE_SIZE).await?;

        let oldest = page.messages.last().filter(|_| page.has_more);
        let first = oldest.map_or(after, |oldest| Seq(oldest.seq.0.saturating_sub(1)));
        Ok((page.messages, first))
    }

    /// Sends what customers are shown of some messages and was not sent before. Closes the
    /// connection and returns false if it does not get them in time.
    async fn send(&self, messages: impl Iterator<Item = &Message>) -> bool {
        let Connection { connection_id, conversation_id, .. } = self.connection;
        let unsent = messages
            .filter(|message| message.is_shown_to_customers())
            .filter(|message| !self.state.was_sent(message.seq));

        for payload in Payload::page(unsent, *conversation_id, self.api_url) {
            let is_sent =
                Instant::now() < self.until && self.widgets.post(connection_id, &payload).await;
            if !is_sent {
                self.widgets.close(connection_id).await;
                return false;
            }
        }
        true
    }
}

//! Replays what a widget missed: every settled message after the last one it saw. The worker
//! delivers the rest.

use tokio::time::Instant;

use crate::widgets::Widgets;
use domain::Seq;
use platform::clock::Clock;
use platform::credential::visitor::Visitor;
use platform::error::InternalError;
use platform::sockets::Payload;
use platform::table::Table;

/// How many messages are read at once.
const PAGE_SIZE: i32 = 50;

/// How far a replay went.
pub(crate) struct ReplayOutcome {
    /// The last `seq` that was replayed.
    pub(crate) last: Seq,
    /// The message that a worker was handing over then. The worker may have read the list of
    /// widgets before this one was on it; every later message goes to all that are listed by then.
    pub(crate) pending: Option<Seq>,
}

/// A replay for one visitor.
pub(crate) struct Replay<'a> {
    pub(crate) table: &'a Table,
    pub(crate) widgets: &'a Widgets,
    pub(crate) visitor: Visitor,
    pub(crate) clock: &'a Clock,
    /// The address for links to files.
    pub(crate) api_url: &'a str,
    /// The end of the time for sending.
    pub(crate) until: Instant,
}

impl Replay<'_> {
    /// Sends what is settled after `after`. A widget that is not reached, or that missed more than
    /// fits into one invocation, is disconnected and `None` returned: it reconnects and says how
    /// far it got.
    pub(crate) async fn run(
        &self,
        connection_id: &str,
        after: Seq,
    ) -> Result<Option<ReplayOutcome>, InternalError> {
        let Visitor { business_id, conversation_id } = self.visitor;
        let Some(conversation) = self.table.conversation(business_id, conversation_id).await?
        else {
            return Ok(Some(ReplayOutcome { last: after, pending: None }));
        };

        let state = conversation.state();

        let mut last = after;
        while last < state.settled_seq {
            let page =
                self.table.messages_after(business_id, conversation_id, last, PAGE_SIZE).await?;
            if page.messages.is_empty() {
                break;
            }

            let settled =
                page.messages.iter().take_while(|message| message.seq <= state.settled_seq);
            for message in settled {
                let payload = Payload::message(message, conversation_id, self.api_url);
                let is_replayed = Instant::now() < self.until
                    && (!message.is_shown_to_customers()
                        || self.widgets.post(connection_id, &payload).await);
                if !is_replayed {
                    self.widgets.close(connection_id).await;
                    return Ok(None);
                }
                last = message.seq;
            }
        }

        Ok(Some(ReplayOutcome {
            last: last.max(state.settled_seq),
            pending: state.message_in_flight(self.clock.now()),
        }))
    }
}

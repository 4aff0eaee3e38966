//! Replays what a widget missed: every settled message after the last one it saw. The worker
//! delivers the rest.

use tokio::time::Instant;

use crate::ChatSocket;
use domain::Seq;
use domain::delivery::Status;
use platform::credential::visitor::Visitor;
use platform::error::InternalError;
use platform::sockets::Payload;

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

impl ChatSocket {
    /// Sends what is settled after `after`. A widget that is not reached, or that missed more than
    /// fits into one invocation, is disconnected and `None` returned: it reconnects and says how
    /// far it got.
    pub(crate) async fn replay(
        &self,
        connection_id: &str,
        visitor: Visitor,
        after: Seq,
        until: Instant,
    ) -> Result<Option<ReplayOutcome>, InternalError> {
        let Visitor { business_id, conversation_id } = visitor;
        let Some(conversation) = self.table.conversation(business_id, conversation_id).await?
        else {
            return Ok(Some(ReplayOutcome { last: after, pending: None }));
        };

        let state = conversation.state();

        let mut last = after;
        while last < state.settled_seq {
            let page = self
                .table
                .messages_after(business_id, conversation_id, last, PAGE_SIZE)
                .await?
                .messages;
            if page.is_empty() {
                break;
            }

            for message in page.iter().take_while(|message| message.seq <= state.settled_seq) {
                // The agent knows of a message that ended `failed`, and may have sent it again.
                let is_skipped = message.status == Status::Failed;
                let payload = Payload::message(message, conversation_id);
                let is_replayed = Instant::now() < until
                    && (is_skipped || self.post(connection_id, &payload).await);
                if !is_replayed {
                    self.sockets.close(connection_id).await;
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

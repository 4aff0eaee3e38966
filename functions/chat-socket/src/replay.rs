//! What a widget missed: everything after the last message it saw that is settled. The rest is the
//! worker's.

use tokio::time::Instant;

use crate::ChatSocket;
use domain::Seq;
use domain::delivery::Status;
use platform::credential::visitor::Visitor;
use platform::error::InternalError;
use platform::sockets::Payload;

/// How many messages are read at once.
const PAGE: i32 = 50;

/// How far a widget was brought.
pub(crate) struct ReplayOutcome {
    /// The last place that was looked at.
    pub(crate) last: Seq,
    /// The message that a worker had in hand then. It may have read the list of widgets before this
    /// one was on it; every later message goes to whoever is on it by then.
    pub(crate) pending: Option<Seq>,
}

impl ChatSocket {
    /// Sends what is settled after `after`. A widget that does not hear, or that misses more than
    /// fits into one invocation, is disconnected and `None` returned: it will come back and say
    /// where it was.
    pub(crate) async fn replay(
        &self,
        connection: &str,
        Visitor { business, conversation }: Visitor,
        after: Seq,
        until: Instant,
    ) -> Result<Option<ReplayOutcome>, InternalError> {
        let Some(turn) =
            self.table.conversation(business, conversation).await?.map(|found| found.state())
        else {
            return Ok(Some(ReplayOutcome { last: after, pending: None }));
        };
        let mut last = after;
        while last < turn.settled_seq {
            let (page, _) = self.table.messages_after(business, conversation, last, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for message in page.iter().take_while(|message| message.seq <= turn.settled_seq) {
                // What ended `failed` the agent was told so, and may have been sent again.
                let heard = Instant::now() < until
                    && (message.status == Status::Failed
                        || self.post(connection, &Payload::message(message, conversation)).await);
                if !heard {
                    self.sockets.close(connection).await;
                    return Ok(None);
                }
                last = message.seq;
            }
        }
        Ok(Some(ReplayOutcome {
            last: last.max(turn.settled_seq),
            pending: turn.message_in_flight(self.clock.now()),
        }))
    }
}

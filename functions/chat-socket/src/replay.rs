//! What a widget missed: everything after the last message it saw that is settled. The rest is the worker's.

use crate::ChatSocket;
use domain::Seq;
use domain::delivery::Status;
use platform::broken::Broken;
use platform::credential::VisitorClaims;
use platform::sockets::Event;
use tokio::time::Instant;

/// How many messages are read at once.
const PAGE: i32 = 50;

impl ChatSocket {
    /// Sends what is settled after `after`; returns the last place that was looked at. A widget that does not hear, or
    /// that misses more than fits into one invocation, is disconnected and `None` returned: it will come back and say
    /// where it was.
    pub(crate) async fn replay(
        &self,
        connection: &str,
        visitor: &VisitorClaims,
        after: Seq,
        until: Instant,
    ) -> Result<Option<Seq>, Broken> {
        let (business, conversation) = (visitor.business_id, visitor.conversation_id);
        let settled = self.table.conversation(business, conversation).await?.map_or(Seq(0), |found| found.settled_seq);
        let mut last = after;
        while last < settled {
            let (page, _) = self.table.messages_after(business, conversation, last, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for message in page.iter().take_while(|message| message.seq <= settled) {
                let event = Event::NewMessage { seq: message.seq.0, message: message.view(conversation) };
                // What ended `failed` the agent was told so, and may have been sent again.
                let heard =
                    Instant::now() < until && (message.status == Status::Failed || self.say(connection, &event).await);
                if !heard {
                    self.sockets.close(connection).await;
                    return Ok(None);
                }
                last = message.seq;
            }
        }
        Ok(Some(last.max(settled)))
    }
}

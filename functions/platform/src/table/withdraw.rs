//! Ending messages that wait for a customer who is erased. The operator's command takes the
//! worker's place: it claims the conversation and makes a worker's writes, so that each of them has
//! the same conditions, and no worker hands over what is being ended.

use std::ops::ControlFlow;

use chrono::{DateTime, TimeDelta, Utc};

use super::{HeldConversation, OperatorTable, ReleaseOutcome};
use crate::error::InternalError;
use domain::delivery::{Reason, Settlement, Status};
use domain::{BusinessId, ConversationId, Seq};

/// How many messages are read at once.
const PAGE_SIZE: i32 = 100;

impl OperatorTable<'_> {
    /// Ends the messages of a conversation that wait as `failed` with `customer_erased`, in their
    /// order, and returns how many. It stops before a message that a provider may have, and does
    /// nothing while a worker holds the conversation or a provider asked for a wait. `lease` is how
    /// long no worker may begin meanwhile.
    ///
    /// # Errors
    /// If DynamoDB does not answer or a message is missing. The lease then ends by itself, and the
    /// sweeper rings.
    pub async fn withdraw_waiting(
        self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        now: DateTime<Utc>,
        lease: TimeDelta,
    ) -> Result<u64, InternalError> {
        let deliveries = self.table.deliveries();
        let claimed = deliveries.claim(business_id, conversation_id, now, lease).await?;
        let ControlFlow::Continue(mut held) = claimed else { return Ok(0) };

        let last = held.conversation.seq;
        let mut withdrawn_count = 0;
        while held.conversation.settled_seq < last {
            match self.withdraw_page(&mut held, last, now).await? {
                ControlFlow::Continue(count) => withdrawn_count += count,
                ControlFlow::Break(count) => {
                    deliveries.postpone(&held, now).await?;
                    return Ok(withdrawn_count + count);
                }
            }
        }

        if deliveries.release(&held).await? == ReleaseOutcome::NewMessage {
            deliveries.postpone(&held, now).await?; // A worker delivers it.
        }
        Ok(withdrawn_count)
    }

    /// Ends the next messages and returns how many; breaks at one that a provider may have.
    async fn withdraw_page(
        self,
        held: &mut HeldConversation,
        last: Seq,
        now: DateTime<Utc>,
    ) -> Result<ControlFlow<u64, u64>, InternalError> {
        let HeldConversation { business_id, conversation_id, .. } = *held;
        let deliveries = self.table.deliveries();
        let after = held.conversation.settled_seq;
        let page = self.table.messages_after(business_id, conversation_id, after, PAGE_SIZE);
        let messages = page.await?.messages;
        if messages.first().is_none_or(|message| message.seq != after.next()) {
            let missing = after.next();
            return Err(InternalError::new(format!("ending message {missing}, which is missing")));
        }

        let reason = Reason::new("customer_erased", "its customer was erased before it was sent");
        let settlement = Settlement::GivenUp(reason);
        let mut count = 0;
        for message in messages.iter().filter(|message| message.seq <= last) {
            match message.status {
                Status::Queued => {
                    let ended = deliveries.settle(held, message, &settlement, now).await?;
                    count += u64::from(ended);
                }
                Status::Sending | Status::InDoubt => return Ok(ControlFlow::Break(count)),
                Status::Sent | Status::Delivered | Status::Read | Status::Failed => {}
            }

            held.conversation.settled_seq = message.seq;
        }

        Ok(ControlFlow::Continue(count))
    }
}

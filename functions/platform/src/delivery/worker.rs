//! The worker: claims a conversation, hands over what is not settled, one message after the other, and lets go.
//!
//! What to do is decided by `domain::delivery`; what may be written, by the conditions in `table::deliver`. This file
//! only puts the two in order.

use super::channels::Channels;
use super::{Parcel, Provider};
use crate::broken::Broken;
use crate::clock::Clock;
use crate::queue::{Bell, GivenUp, Version, WorkerQueue};
use crate::table::record::{ChannelRecord, Message};
use crate::table::{Held, Marked, Release, Settlement, Table};
use chrono::TimeDelta;
use domain::Channel;
use domain::delivery::{Claim, Failure, Outcome, Reason, Ruling, Status, Step, next_step, rule};
use std::time::Duration;
use tokio::time::Instant;

/// A claim lasts longer than any worker's invocation (30 s), so a lease that ends belongs to a worker that died.
const LEASE: TimeDelta = TimeDelta::seconds(45);

/// A provider that has not answered after this long will not.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(10);

/// With less time than this left, a message is not begun.
const LEAST_TIME: Duration = Duration::from_secs(2);

/// How many messages are read at once.
const PAGE: i32 = 10;

/// A message that keeps changing under the worker's hands this often is somebody else's by now.
const MOST_SURPRISES: u32 = 10;

/// What came of answering a bell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Everything is settled, and the conversation is out of the outbox.
    Settled,
    /// Somebody else holds it and will see what is new.
    Held,
    /// It is not time yet; another bell will ring.
    NotYet,
    /// Something has to wait; another bell will ring.
    Postponed,
    /// The lease was over before the work was; a successor goes on.
    LeaseLost,
}

/// A channel's worker.
#[derive(Debug, Clone)]
pub struct Worker<P> {
    /// The table.
    pub table: Table,
    /// The channel's own queues.
    pub queue: WorkerQueue,
    /// The clock.
    pub clock: Clock,
    /// The channel's provider.
    pub provider: P,
    /// Channel records.
    pub channels: Channels,
}

/// Whether the conversation goes on after a message.
enum Next {
    /// The message is settled: on to the next one.
    Settled,
    /// The message has changed meanwhile: look at it again.
    Again,
    /// The conversation was let go.
    LetGo,
}

impl<P: Provider> Worker<P> {
    /// Answers a bell; stops beginning messages shortly before `until`.
    ///
    /// # Errors
    /// If the table does not answer or contradicts itself. The lease ends by itself, and the outbox rings again.
    pub async fn answer(&self, bell: &Bell, until: Instant) -> Result<Heard, Broken> {
        if bell.channel != P::CHANNEL {
            return Err(Broken::new(format!("answering a bell for {} on {}", bell.channel, P::CHANNEL)));
        }
        let now = self.clock.now();
        let mut held = match self.table.claim(bell.business, bell.conversation, now, LEASE).await? {
            Ok(held) => held,
            Err(Claim::Settled) => return Ok(Heard::Settled),
            Err(Claim::NotYet(_)) => return Ok(Heard::NotYet),
            Err(Claim::Held(_) | Claim::Granted(_)) => return Ok(Heard::Held),
        };
        if Channel::from_wire(&held.conversation.channel) != Some(P::CHANNEL) {
            self.table.postpone(&held, now + LEASE).await?;
            return Err(Broken::new(format!("delivering by {} what is on another channel", P::CHANNEL)));
        }
        let lease_ends = until.min(Instant::now() + LEASE.to_std().unwrap_or_default());
        self.drain(&mut held, lease_ends).await
    }

    async fn drain(&self, held: &mut Held, until: Instant) -> Result<Heard, Broken> {
        let channel = self.channels.get(&self.table, held.business, held.conversation.channel_id).await?;
        let mut surprises = 0;
        loop {
            let after = held.conversation.settled_seq;
            let messages = self.table.messages_after(held.business, held.id, after, PAGE).await?;
            if messages.is_empty() {
                match self.table.release(held).await? {
                    Release::Done => return Ok(Heard::Settled),
                    Release::LeaseLost => return Ok(Heard::LeaseLost),
                    Release::NewMessage => continue,
                }
            }
            for message in messages {
                match self.deliver(held, &message, channel.as_ref(), until).await? {
                    Next::Settled if self.table.advance(held, message.seq).await? => {}
                    Next::Settled => return Ok(Heard::LeaseLost),
                    // Receipts and returning customers change a message a few times; a successor, for good.
                    Next::Again if surprises == MOST_SURPRISES => return Ok(Heard::LeaseLost),
                    Next::Again => {
                        surprises += 1;
                        break;
                    }
                    Next::LetGo => return Ok(Heard::Postponed),
                }
            }
        }
    }

    /// Does what is to be done with one message whose turn it is.
    async fn deliver(
        &self,
        held: &mut Held,
        message: &Message,
        channel: Option<&ChannelRecord>,
        until: Instant,
    ) -> Result<Next, Broken> {
        let policy = channel.map(|channel| channel.in_doubt).unwrap_or_default();
        match next_step(&message.progress(), P::CHANNEL.doubt(), policy, self.clock.now()) {
            Step::Done => Ok(Next::Settled),
            Step::GiveUp(reason) => self.give_up(held, message, reason).await,
            Step::AwaitReceipt(at) => {
                if message.status == Status::Sending {
                    let reason =
                        Reason::new("outcome_unknown", "a worker ended before the provider's answer was stored");
                    self.table.put_back(held, message, Status::InDoubt, Some(&reason), true).await?;
                }
                self.postpone(held, at).await
            }
            Step::Attempt => self.attempt(held, message, channel, until).await,
        }
    }

    async fn attempt(
        &self,
        held: &mut Held,
        message: &Message,
        channel: Option<&ChannelRecord>,
        until: Instant,
    ) -> Result<Next, Broken> {
        let left = until.saturating_duration_since(Instant::now());
        if left < LEAST_TIME {
            return self.postpone(held, self.clock.now()).await; // A fresh invocation takes it from here.
        }
        let message = match self.table.mark_attempt(held, message, self.clock.now()).await? {
            Marked::Announced(message) => message,
            Marked::Changed => return Ok(Next::Again),
        };
        let outcome = self.hand_over(held, &message, channel, left.min(PROVIDER_TIMEOUT)).await;
        let now = self.clock.now();
        match rule(outcome, &message.progress(), P::CHANNEL.doubt(), now, rand::random()) {
            Ruling::Sent(accepted) => {
                let settlement = Settlement::Sent { provider_id: accepted.provider_id };
                self.table.settle(held, message.seq, &settlement, now).await?;
                report(held, &message, P::CHANNEL, "sent", None);
                Ok(Next::Settled)
            }
            Ruling::Failed(reason) => {
                report(held, &message, P::CHANNEL, "failed", Some(&reason));
                self.table.settle(held, message.seq, &Settlement::Failed(reason), now).await?;
                Ok(Next::Settled)
            }
            Ruling::Later { status, at, reason } => {
                let what = if status == Status::InDoubt { "in doubt" } else { "put back" };
                report(held, &message, P::CHANNEL, what, Some(&reason));
                self.table.put_back(held, &message, status, Some(&reason), true).await?;
                self.postpone(held, at).await
            }
            Ruling::Away(at) => {
                self.table.put_back(held, &message, Status::Queued, None, false).await?;
                Ok(if self.table.leave(held, at).await? { Next::LetGo } else { Next::Again })
            }
        }
    }

    async fn hand_over(
        &self,
        held: &Held,
        message: &Message,
        channel: Option<&ChannelRecord>,
        timeout: Duration,
    ) -> Outcome {
        let Some(channel) = channel else {
            return Err(Failure::Permanent(Reason::new("channel_missing", "the conversation's channel was removed")));
        };
        if !channel.is_active {
            let reason = Reason::new("channel_inactive", "the conversation's channel was switched off");
            return Err(Failure::Transient { reason, retry_after: None });
        }
        let (business, conversation_id, conversation) = (held.business, held.id, &held.conversation);
        let parcel = Parcel { business, conversation_id, conversation, channel, message };
        tokio::time::timeout(timeout, self.provider.send(parcel, timeout)).await.unwrap_or_else(|_| {
            Err(Failure::Unknown(Reason::new("timeout", format!("no answer within {} ms", timeout.as_millis()))))
        })
    }

    /// Lets go until `at`, and has the bell ring then.
    async fn postpone(&self, held: &Held, at: chrono::DateTime<chrono::Utc>) -> Result<Next, Broken> {
        self.table.postpone(held, at).await?;
        let bell = Bell { v: Version, business: held.business, conversation: held.id, channel: P::CHANNEL };
        if let Err(broken) = self.queue.ring_at(&bell, at, self.clock.now()).await {
            tracing::warn!(error = broken.chain(), "the bell was not set; the sweeper will ring");
        }
        Ok(Next::LetGo)
    }

    /// Ends a message that has had all its chances. The copy comes first: better twice in the dead-letter queue than
    /// nowhere.
    async fn give_up(&self, held: &Held, message: &Message, reason: Reason) -> Result<Next, Broken> {
        report(held, message, P::CHANNEL, "given up", Some(&reason));
        let given_up = GivenUp {
            v: Version,
            business: held.business,
            conversation: held.id,
            message: message.id,
            channel: P::CHANNEL,
            reason: reason.clone(),
            attempts: message.attempts,
        };
        self.queue.bury(&given_up).await?;
        self.table.settle(held, message.seq, &Settlement::Failed(reason), self.clock.now()).await?;
        Ok(Next::Settled)
    }
}

/// One line for everything that happens to a message; never its text, never its recipient.
fn report(held: &Held, message: &Message, channel: Channel, what: &str, reason: Option<&Reason>) {
    let (business, conversation, id) = (held.business, held.id, message.id);
    let (seq, attempts) = (message.seq.0, message.attempts);
    match reason {
        None => tracing::info!(%business, %conversation, message_id = %id, seq, %channel, attempts, "{what}"),
        Some(Reason { code, detail, provider_code }) => tracing::warn!(
            %business, %conversation, message_id = %id, seq, %channel, attempts,
            reason = code, detail, provider_code, "{what}"
        ),
    }
}

//! The worker: claims a conversation and does what its round tells it to.
//!
//! What to do is decided by [`Round`], what may be written by the conditions in `table::deliver`.
//! This file only carries one to the other.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tracing::Level;

use super::channels::ChannelCache;
use super::report::Subject;
use super::{OutboundMessage, Provider};
use crate::clock::Clock;
use crate::error::InternalError;
use crate::queue::{Doorbell, Version, WorkerQueue};
use crate::table::record::{ChannelRecord, Conversation, Message};
use crate::table::{HeldConversation, ReleaseOutcome, RequeueOutcome, Table};
use crate::telemetry::metrics::MetricRecord;
use domain::delivery::{
    Accepted, ClaimOutcome, Command, DeliveryPolicy, Event, Failure, Part, Reason, Round,
    RoundOutcome, SendOutcome, Settlement, Status,
};
use domain::{Channel, Seq};

/// A claim lasts longer than any worker's invocation (30 s), so a lease that ends belongs to a
/// worker that died.
const LEASE: TimeDelta = TimeDelta::seconds(45);

/// With less time than this left, a message is not begun.
const LEAST_TIME: Duration = Duration::from_secs(2);

/// How many messages are read at once.
const PAGE: i32 = 10;

/// How many messages of a conversation a worker hands over before it lets the conversations go
/// first that have waited meanwhile: what was read at once. Each turn costs a claim, a read, a
/// write and a doorbell, about a tenth of the whole.
const TURN: u32 = 10;

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
    pub channels: ChannelCache,
}

/// A conversation in a worker's hands.
struct ClaimedConversation {
    held: HeldConversation,
    channel: Option<ChannelRecord>,
    messages: HashMap<Seq, Message>,
    until: Instant,
}

impl ClaimedConversation {
    fn message(&self, seq: Seq) -> Result<&Message, InternalError> {
        self.messages.get(&seq).ok_or_else(|| {
            InternalError::new(format!("working on message {seq}, which was never read"))
        })
    }
}

impl<P: Provider> Worker<P> {
    /// Answers a doorbell; stops beginning messages shortly before `until`.
    ///
    /// # Errors
    /// If the table does not answer or contradicts itself. The lease ends by itself, and the outbox
    /// rings again.
    pub async fn answer(
        &self,
        doorbell: &Doorbell,
        until: Instant,
    ) -> Result<RoundOutcome, InternalError> {
        if doorbell.channel != P::CHANNEL {
            return Err(InternalError::new(format!(
                "answering a doorbell for {} on {}",
                doorbell.channel,
                P::CHANNEL
            )));
        }
        let now = self.clock.now();
        let held =
            match self.table.claim(doorbell.business, doorbell.conversation, now, LEASE).await? {
                Ok(held) => held,
                Err(ClaimOutcome::Settled) => return Ok(RoundOutcome::Settled),
                Err(ClaimOutcome::NotYet(_)) => return Ok(RoundOutcome::NotYet),
                Err(ClaimOutcome::Held(_) | ClaimOutcome::Granted(_)) => {
                    return Ok(RoundOutcome::Held);
                }
            };
        if Channel::from_wire(&held.conversation.channel) != Some(P::CHANNEL) {
            // It has changed channel since the doorbell rang; the other channel's doorbell rang too, or the
            // sweeper will.
            self.table.postpone(&held, now).await?;
            return Ok(RoundOutcome::NotYet);
        }
        let channel =
            self.channels.get(&self.table, held.business, held.conversation.channel_id).await?;
        self.round(ClaimedConversation { held, channel, messages: HashMap::new(), until }).await
    }

    async fn round(&self, mut hands: ClaimedConversation) -> Result<RoundOutcome, InternalError> {
        let channel = hands.channel.as_ref();
        let terms = DeliveryPolicy {
            receipt_timeout: P::CHANNEL.receipt_timeout(),
            on_unknown_outcome: channel.map(|channel| channel.in_doubt).unwrap_or_default(),
            rate_limit: P::CHANNEL.rate_limit(),
            max_messages: TURN,
            paused_until: channel.and_then(|channel| channel.paused_until),
        };
        let Conversation { settled_seq, rate_limit_state, .. } = hands.held.conversation;
        let mut round = Round::new(settled_seq, rate_limit_state, terms);
        let mut event = Event::Begun;
        loop {
            let command = round.next(event, self.clock.now(), rand::random());
            hands.held.conversation.rate_limit_state = round.rate_limit_state(); // Moving on writes it down.
            match command {
                Command::Stop(heard) => return Ok(heard),
                command => event = self.obey(command, &mut hands).await?,
            }
        }
    }

    /// Does one thing, and says what came of it.
    async fn obey(
        &self,
        command: Command,
        hands: &mut ClaimedConversation,
    ) -> Result<Event, InternalError> {
        match command {
            Command::Read(after) => self.read(hands, after).await,
            Command::Mark(seq) => self.mark(hands, seq).await,
            Command::HandOver(seq) => self.hand_over(hands, seq).await,
            Command::Settle(seq, settlement) => self.settle(hands, seq, &settlement).await,
            Command::Requeue { seq, status, reason, counted } => {
                self.requeue(hands, seq, status, reason.as_ref(), counted).await
            }
            Command::Advance(seq) => self.advance(hands, seq).await,
            Command::Release => Ok(match self.table.release(&hands.held).await? {
                ReleaseOutcome::Done => Event::Done,
                ReleaseOutcome::NewMessage => Event::Changed,
                ReleaseOutcome::LeaseLost => Event::LeaseLost,
            }),
            Command::Pause(until) => self.pause(hands, until).await,
            Command::Postpone(at) => self.postpone(hands, at).await,
            Command::Park(at) => Ok(if self.table.park(&mut hands.held, at).await? {
                Event::Done
            } else {
                Event::Changed
            }),
            Command::Stop(_) => Ok(Event::Done),
        }
    }

    async fn read(
        &self,
        hands: &mut ClaimedConversation,
        after: Seq,
    ) -> Result<Event, InternalError> {
        let (messages, _) =
            self.table.messages_after(hands.held.business, hands.held.id, after, PAGE).await?;
        let turns = messages.iter().map(|message| (message.seq, message.progress())).collect();
        hands.messages = messages.into_iter().map(|message| (message.seq, message)).collect();
        Ok(Event::Messages(turns))
    }

    async fn mark(
        &self,
        hands: &mut ClaimedConversation,
        seq: Seq,
    ) -> Result<Event, InternalError> {
        if hands.until.saturating_duration_since(Instant::now()) < LEAST_TIME {
            return Ok(Event::OutOfTime); // A fresh invocation takes it from here.
        }
        match self.table.mark_attempt(&hands.held, hands.message(seq)?, self.clock.now()).await? {
            Some(message) => {
                let progress = message.progress();
                hands.messages.insert(seq, message);
                Ok(Event::Marked(progress))
            }
            None => Ok(Event::Changed),
        }
    }

    /// ClaimedConversation over the message, or the next part of it. That a part is through is written down
    /// before the next one begins: whoever finds the message later goes on behind it.
    async fn hand_over(
        &self,
        hands: &mut ClaimedConversation,
        seq: Seq,
    ) -> Result<Event, InternalError> {
        let message = hands.message(seq)?;
        let Some(part) = message.parts.next(self.provider.parts(message)) else {
            // Receipts have told of every part meanwhile.
            return Ok(Event::Answered(Ok(Accepted { provider_id: message.provider_id.clone() })));
        };
        let outcome = self.hand_over_part(hands, seq, part).await?;
        if outcome.is_err() || part.is_last() {
            return Ok(Event::Answered(outcome));
        }
        Ok(match self.table.note_part(&hands.held, message, part).await? {
            Some(message) => {
                let progress = message.progress();
                hands.messages.insert(seq, message);
                Event::TakenInPart(progress)
            }
            // A receipt has ended it, or a successor has it: whoever puts it back is told which.
            None => Event::Answered(Err(Failure::Unknown(Reason::outcome_unknown()))),
        })
    }

    async fn hand_over_part(
        &self,
        hands: &ClaimedConversation,
        seq: Seq,
        part: Part,
    ) -> Result<SendOutcome, InternalError> {
        let message = hands.message(seq)?;
        let Some(channel) = &hands.channel else {
            let reason = Reason::new("channel_missing", "the conversation's channel was removed");
            return Ok(Err(Failure::Permanent(reason)));
        };
        let HeldConversation { business, id: conversation_id, conversation, .. } = &hands.held;
        let (business, conversation_id) = (*business, *conversation_id);
        let timeout = hands.until.saturating_duration_since(Instant::now()).min(P::TIMEOUT);
        if timeout < LEAST_TIME / 2 {
            // HeldConversation up since the announcement: too little is left for an answer, or it is a
            // successor's turn by now.
            let reason =
                Reason::new("out_of_time", "the worker was held up and did not call the provider");
            return Ok(Err(Failure::Transient { reason, retry_after: None }));
        }
        let (now, until) = (self.clock.now(), Instant::now() + timeout);
        let parcel = OutboundMessage {
            business,
            conversation_id,
            conversation,
            channel,
            message,
            part,
            now,
            until,
        };
        let answer = tokio::time::timeout_at(until, self.provider.send(parcel)).await;
        Ok(answer.unwrap_or_else(|_| {
            Err(Failure::Unknown(Reason::new(
                "timeout",
                format!("no answer within {} ms", timeout.as_millis()),
            )))
        }))
    }

    /// Moves on. What the customer's program knows the message by goes along, whoever told the
    /// provider's id: its answer, or a receipt.
    async fn advance(
        &self,
        hands: &mut ClaimedConversation,
        seq: Seq,
    ) -> Result<Event, InternalError> {
        let provider_id = hands.message(seq)?.provider_id.as_deref();
        if let Some(name) = provider_id.and_then(|id| self.provider.name_in_thread(id)) {
            hands.held.conversation.thread.join(name);
        }
        Ok(if self.table.advance(&mut hands.held, seq).await? {
            Event::Done
        } else {
            Event::LeaseLost
        })
    }

    async fn settle(
        &self,
        hands: &mut ClaimedConversation,
        seq: Seq,
        settlement: &Settlement,
    ) -> Result<Event, InternalError> {
        if let (Settlement::Sent { provider_id: Some(id) }, Some(message)) =
            (settlement, hands.messages.get_mut(&seq))
        {
            message.provider_id = Some(id.clone());
        }
        let message = hands.message(seq)?;
        let subject = Subject { held: &hands.held, message, channel: P::CHANNEL };
        if let Settlement::GivenUp(reason) = settlement {
            // The copy comes first: better twice in the dead-letter queue than nowhere.
            self.queue.dead_letter(&subject.copy(reason)).await?;
        }
        let now = self.clock.now();
        // What a receipt has settled otherwise has neither failed nor been given up.
        if self.table.settle(&hands.held, message, settlement, now).await? {
            subject.settled(settlement, now).write();
        }
        Ok(Event::Done)
    }

    async fn requeue(
        &self,
        hands: &ClaimedConversation,
        seq: Seq,
        status: Status,
        reason: Option<&Reason>,
        counted: bool,
    ) -> Result<Event, InternalError> {
        let message = hands.message(seq)?;
        match self.table.requeue(&hands.held, message, status, reason, counted).await? {
            RequeueOutcome::Done => {}
            RequeueOutcome::Changed => return Ok(Event::Changed),
            RequeueOutcome::LeaseLost => return Ok(Event::LeaseLost),
        }
        if let Some(reason) = reason {
            Subject { held: &hands.held, message, channel: P::CHANNEL }
                .requeue(status, reason)
                .write();
        }
        Ok(Event::Done)
    }

    /// Has the whole channel wait. The message's own line says why, this one that somebody has to
    /// do something.
    async fn pause(
        &self,
        hands: &ClaimedConversation,
        until: DateTime<Utc>,
    ) -> Result<Event, InternalError> {
        let HeldConversation { business, conversation, .. } = &hands.held;
        self.channels.pause(&self.table, *business, conversation.channel_id, until).await?;
        MetricRecord::new(Level::ERROR, "channel paused: its provider takes nothing")
            .by("Channel", P::CHANNEL)
            .count("ChannelPaused")
            .with("business", business)
            .with("channel_id", conversation.channel_id)
            .with("until", until)
            .write();
        Ok(Event::Done)
    }

    /// Lets go until `at`, and has the doorbell ring then.
    async fn postpone(
        &self,
        hands: &ClaimedConversation,
        at: DateTime<Utc>,
    ) -> Result<Event, InternalError> {
        self.table.postpone(&hands.held, at).await?;
        let HeldConversation { business, id: conversation, .. } = hands.held;
        let doorbell = Doorbell { v: Version, business, conversation, channel: P::CHANNEL };
        if let Err(broken) = self.queue.ring_at(&doorbell, at, self.clock.now()).await {
            doorbell.ring_failed(&broken).write();
        }
        Ok(Event::Done)
    }
}

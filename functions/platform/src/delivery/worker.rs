//! The worker: claims a conversation and carries out the commands of its round.
//!
//! [`Round`] decides what comes next; the conditions in `table::deliver` decide what may be
//! written. This file only carries one to the other.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
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
use domain::Seq;
use domain::delivery::{
    Accepted, ClaimOutcome, Command, DeliveryPolicy, Event, Failure, Part, Reason, Round,
    RoundOutcome, SendOutcome, Settlement, Status,
};

/// How long a lease lasts, and so for how long a conversation waits whose worker died. A worker
/// that is at work for longer renews it, so that a lease that ends belongs to a worker that died,
/// or that could write nothing for half of that time.
pub const LEASE: TimeDelta = TimeDelta::seconds(10);

/// The same, to count with.
const LEASE_TIME: Duration = Duration::from_secs(LEASE.num_seconds().cast_unsigned());

/// When no more than this is left of its lease, a worker renews it.
pub const RENEW_AT: Duration = Duration::from_secs(5);

/// How long after a renewal that failed the next one is tried.
const RENEWAL_RETRY: Duration = Duration::from_millis(500);

/// A call of the provider ends this long before the lease does, and the doorbell rings again this
/// long after it.
pub const LEASE_RESERVE: Duration = Duration::from_secs(1);

/// When a doorbell rings again that was not answered: the queue's own visibility timeout, as in
/// template.yaml.
pub const RING_AGAIN_AFTER: Duration = Duration::from_secs(180);

/// With less time than this left, no message is begun.
pub const MIN_MESSAGE_TIME: Duration = Duration::from_secs(2);

/// How many messages are read at once.
const PAGE_SIZE: i32 = 10;

/// How many messages of one conversation a worker hands over before the conversations go first that
/// have waited meanwhile: as many as were read at once. Each turn costs a claim, a read, a write
/// and a doorbell, about a tenth of the whole.
const MAX_MESSAGES_PER_TURN: u32 = 10;

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

/// A conversation that this worker has claimed.
struct ClaimedConversation {
    held: HeldConversation,
    channel: Option<ChannelRecord>,
    messages: HashMap<Seq, Message>,
    /// The end of the lease, by a clock that never jumps.
    leased_until: watch::Receiver<Instant>,
    until: Instant,
}

/// The lease of a conversation that this worker works on.
struct LeaseToKeep<'a> {
    held: HeldConversation,
    /// The handle of the doorbell that is answered.
    receipt_handle: Option<&'a str>,
    /// Tells the lease's end to what relies on it.
    renewals: watch::Sender<Instant>,
}

impl ClaimedConversation {
    fn message(&self, seq: Seq) -> Result<&Message, InternalError> {
        self.messages.get(&seq).ok_or_else(|| {
            InternalError::new(format!("working on message {seq}, which was never read"))
        })
    }

    fn time_left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn lease_left(&self) -> Duration {
        self.leased_until.borrow().saturating_duration_since(Instant::now())
    }
}

impl<P: Provider> Worker<P> {
    /// Answers a doorbell, which SQS knows by `receipt_handle`; stops beginning messages shortly
    /// before `until`. While a conversation is held, its doorbell rings again just after the lease,
    /// for a successor if this worker dies.
    ///
    /// # Errors
    /// If the table does not answer or contradicts itself. The lease then ends by itself, and the
    /// doorbell rings again.
    pub async fn answer(
        &self,
        doorbell: &Doorbell,
        receipt_handle: Option<&str>,
        until: Instant,
    ) -> Result<RoundOutcome, InternalError> {
        let Doorbell { business_id, conversation_id, channel, .. } = *doorbell;
        if channel != P::CHANNEL {
            let own = P::CHANNEL;
            return Err(InternalError::new(format!("answering a doorbell for {channel} on {own}")));
        }

        let now = self.clock.now();
        let leased_until = Instant::now() + LEASE_TIME;
        let held =
            match self.table.deliveries().claim(business_id, conversation_id, now, LEASE).await? {
                ControlFlow::Continue(held) => held,
                ControlFlow::Break(ClaimOutcome::Settled) => return Ok(RoundOutcome::Settled),
                ControlFlow::Break(ClaimOutcome::NotYet(_)) => return Ok(RoundOutcome::NotYet),
                ControlFlow::Break(ClaimOutcome::Held(_) | ClaimOutcome::Granted(_)) => {
                    return Ok(RoundOutcome::Held);
                }
            };

        if held.conversation.channel.supported() != Ok(P::CHANNEL) {
            // The conversation has changed channel since. The other channel's doorbell rang too, or
            // the sweeper rings it.
            self.table.deliveries().postpone(&held, now).await?;
            return Ok(RoundOutcome::NotYet);
        }

        let channel_id = held.conversation.channel_id;
        let channel = self.channels.get(&self.table, business_id, channel_id).await?;
        let (renewals, leased_until) = watch::channel(leased_until);
        let lease = LeaseToKeep { held: held.clone(), receipt_handle, renewals };
        let messages = HashMap::new();
        let claimed = ClaimedConversation { held, channel, messages, leased_until, until };

        let turn = async {
            tokio::select! {
                biased;
                outcome = self.work_through(claimed) => outcome,
                never = self.keep(&lease) => never,
            }
        };
        let (outcome, ()) = tokio::join!(turn, self.ring_after_lease(&lease));
        if let (Err(_), Some(handle)) = (&outcome, receipt_handle) {
            // What has failed is not tried again every few seconds.
            self.queue.ring_again_after(handle, RING_AGAIN_AFTER).await;
        }
        outcome
    }

    /// Renews the lease for as long as the turn lasts, or until it is lost.
    async fn keep(&self, lease: &LeaseToKeep<'_>) -> ! {
        loop {
            let leased_until = *lease.renewals.borrow();
            tokio::time::sleep_until(leased_until - RENEW_AT).await;

            let begun = Instant::now();
            let deliveries = self.table.deliveries();
            let renewal = deliveries.renew(&lease.held, self.clock.now() + LEASE);
            let (renewed, ()) = tokio::join!(renewal, self.ring_after_lease(lease));
            match renewed {
                Ok(true) => {
                    lease.renewals.send_replace(begun + LEASE_TIME);
                }
                Ok(false) => std::future::pending().await,
                Err(error) => {
                    tracing::warn!(error = error.chain(), "lease not renewed; it is tried again");
                    tokio::time::sleep(RENEWAL_RETRY).await;
                }
            }
        }
    }

    /// Has the doorbell ring again just after the lease, for a successor if this worker dies.
    async fn ring_after_lease(&self, lease: &LeaseToKeep<'_>) {
        if let Some(handle) = lease.receipt_handle {
            self.queue.ring_again_after(handle, LEASE_TIME + LEASE_RESERVE).await;
        }
    }

    /// Carries out one command of the round after the other, until it stops.
    async fn work_through(
        &self,
        mut claimed: ClaimedConversation,
    ) -> Result<RoundOutcome, InternalError> {
        let channel = claimed.channel.as_ref();
        let policy = DeliveryPolicy {
            receipt_timeout: P::CHANNEL.receipt_timeout(),
            on_unknown_outcome: channel.map(|channel| channel.in_doubt).unwrap_or_default(),
            rate_limit: P::CHANNEL.rate_limit(),
            max_messages: MAX_MESSAGES_PER_TURN,
            paused_until: channel.and_then(|channel| channel.paused_until),
        };

        let Conversation { settled_seq, rate_limit_state, .. } = claimed.held.conversation;
        let mut round = Round::new(settled_seq, rate_limit_state, policy);
        let mut event = Event::Begun;

        loop {
            let command = round.next(event, self.clock.now(), rand::random());
            self.keep_up(&mut claimed, &round)?;
            match command {
                Command::Stop(outcome) => return Ok(outcome),
                command => event = self.execute(command, &mut claimed).await?,
            }
        }
    }

    /// Carries out one command, and returns its result as the round's next event.
    async fn execute(
        &self,
        command: Command,
        claimed: &mut ClaimedConversation,
    ) -> Result<Event, InternalError> {
        match command {
            Command::Read(after) => self.read_messages(claimed, after).await,
            Command::Mark(seq) => self.mark_attempt(claimed, seq).await,
            Command::HandOver(seq) => self.hand_over(claimed, seq).await,
            Command::Settle(seq, settlement) => self.settle(claimed, seq, &settlement).await,
            Command::Requeue { seq, status, reason, counted } => {
                self.requeue(claimed, seq, status, reason.as_ref(), counted).await
            }
            Command::Release => self.release(claimed).await,
            Command::Pause(until) => self.pause_channel(claimed, until).await,
            Command::Postpone(at) => self.postpone(claimed, at).await,
            Command::Park(at) => {
                let parked = self.table.deliveries().park(&mut claimed.held, at).await?;
                Ok(if parked { Event::Done } else { Event::Changed })
            }
            Command::Stop(_) => Ok(Event::Done),
        }
    }

    async fn read_messages(
        &self,
        claimed: &mut ClaimedConversation,
        after: Seq,
    ) -> Result<Event, InternalError> {
        let HeldConversation { business_id, conversation_id, ref conversation, .. } = claimed.held;
        let table = &self.table;
        let page = table.messages_after(business_id, conversation_id, after, PAGE_SIZE).await?;

        let read_count = page.messages.len();
        let in_sequence = (after.0 + 1..).map(Seq).zip(page.messages);
        let messages: Vec<_> = in_sequence
            .take_while(|(seq, message)| message.seq == *seq)
            .map(|(_, message)| message)
            .collect();
        // What comes after a missing message is not sent: the conversation could not move past it.
        if messages.is_empty() && (read_count > 0 || after < conversation.seq) {
            let missing = after.next();
            return Err(InternalError::new(format!("reading message {missing}, which is missing")));
        }

        let has_more = page.has_more || messages.len() < read_count;
        let progress = messages.iter().map(|message| (message.seq, message.progress())).collect();
        claimed.messages = messages.into_iter().map(|message| (message.seq, message)).collect();
        Ok(Event::Messages { messages: progress, has_more })
    }

    async fn mark_attempt(
        &self,
        claimed: &mut ClaimedConversation,
        seq: Seq,
    ) -> Result<Event, InternalError> {
        let message = claimed.message(seq)?;
        let next = message.parts.next(self.provider.parts(message));
        let needed = next.map_or(MIN_MESSAGE_TIME, |part| self.provider.time_needed(message, part));
        if claimed.time_left() < needed || claimed.lease_left() < MIN_MESSAGE_TIME {
            return Ok(Event::OutOfTime); // Another invocation goes on from here.
        }

        match self.table.deliveries().mark_attempt(&claimed.held, message, self.clock.now()).await?
        {
            Some(message) => {
                let progress = message.progress();
                claimed.messages.insert(seq, message);
                Ok(Event::Marked(progress))
            }
            None => Ok(Event::Changed),
        }
    }

    /// Hands the message, or its next part, over to the provider. That the provider took a part is
    /// written down before the next one begins, so that a successor goes on behind it.
    async fn hand_over(
        &self,
        claimed: &mut ClaimedConversation,
        seq: Seq,
    ) -> Result<Event, InternalError> {
        let message = claimed.message(seq)?;
        let Some(part) = message.parts.next(self.provider.parts(message)) else {
            // Receipts have confirmed every part meanwhile.
            return Ok(Event::Answered(Ok(Accepted { provider_id: message.provider_id.clone() })));
        };

        let outcome = self.hand_over_part(claimed, seq, part).await?;
        if outcome.is_err() || part.is_last() {
            return Ok(Event::Answered(outcome));
        }

        Ok(match self.table.deliveries().note_part(&claimed.held, message, part).await? {
            Some(message) => {
                let progress = message.progress();
                claimed.messages.insert(seq, message);
                Event::TakenInPart(progress)
            }
            // A receipt has ended the message, or a successor has it: the requeue tells which.
            None => Event::Answered(Err(Failure::Unknown(Reason::outcome_unknown()))),
        })
    }

    async fn hand_over_part(
        &self,
        claimed: &ClaimedConversation,
        seq: Seq,
        part: Part,
    ) -> Result<SendOutcome, InternalError> {
        let message = claimed.message(seq)?;
        let Some(channel) = &claimed.channel else {
            let reason = Reason::new("channel_missing", "the conversation's channel was removed");
            return Ok(Err(Failure::Permanent(reason)));
        };

        let timeout = claimed.time_left().min(P::TIMEOUT);
        if timeout.min(claimed.lease_left()) < MIN_MESSAGE_TIME / 2 {
            // Something delayed this worker since it marked the attempt: too little time is left
            // for an answer, or a successor has the conversation by now.
            let reason =
                Reason::new("out_of_time", "the worker was held up and did not call the provider");
            return Ok(Err(Failure::Transient { reason, retry_after: None }));
        }

        let until = Instant::now() + timeout;
        let outbound = OutboundMessage {
            business_id: claimed.held.business_id,
            conversation_id: claimed.held.conversation_id,
            conversation: &claimed.held.conversation,
            channel,
            message,
            part,
            now: self.clock.now(),
            until,
        };

        let begun = Instant::now();
        let mut leased_until = claimed.leased_until.clone();
        let mut call = pin!(self.provider.send(outbound));
        loop {
            let end = until.min(*leased_until.borrow_and_update() - LEASE_RESERVE);
            tokio::select! {
                biased;
                outcome = &mut call => return Ok(outcome),
                Ok(()) = leased_until.changed() => {}
                () = tokio::time::sleep_until(end) => {
                    let detail = format!("no answer within {} ms", begun.elapsed().as_millis());
                    return Ok(Err(Failure::Unknown(Reason::new("timeout", detail))));
                }
            }
        }
    }

    /// Has the conversation, which is stored when this worker lets go of it, follow the round. A
    /// message that the round has passed is named in the customer's thread, whether the provider's
    /// id came with its answer or with a receipt.
    fn keep_up(
        &self,
        claimed: &mut ClaimedConversation,
        round: &Round,
    ) -> Result<(), InternalError> {
        claimed.held.conversation.rate_limit_state = round.rate_limit_state();
        while claimed.held.conversation.settled_seq < round.settled_seq() {
            let seq = claimed.held.conversation.settled_seq.next();
            let provider_id = claimed.message(seq)?.provider_id.as_deref();
            let name = provider_id.and_then(|id| self.provider.name_in_thread(id));

            let conversation = &mut claimed.held.conversation;
            if let Some(name) = name {
                conversation.thread.join(name);
            }
            conversation.settled_seq = seq;
        }
        Ok(())
    }

    async fn release(&self, claimed: &ClaimedConversation) -> Result<Event, InternalError> {
        Ok(match self.table.deliveries().release(&claimed.held).await? {
            ReleaseOutcome::Done => Event::Done,
            ReleaseOutcome::NewMessage => Event::Changed,
            ReleaseOutcome::LeaseLost => Event::LeaseLost,
        })
    }

    async fn settle(
        &self,
        claimed: &mut ClaimedConversation,
        seq: Seq,
        settlement: &Settlement,
    ) -> Result<Event, InternalError> {
        if let (Settlement::Sent { provider_id: Some(id) }, Some(message)) =
            (settlement, claimed.messages.get_mut(&seq))
        {
            message.provider_id = Some(id.clone());
        }

        let message = claimed.message(seq)?;
        let subject = Subject { held: &claimed.held, message, channel: P::CHANNEL };
        if let Settlement::GivenUp(reason) = settlement {
            // The copy comes first: better twice in the dead-letter queue than nowhere.
            self.queue.dead_letter(&subject.copy(reason)).await?;
        }

        let now = self.clock.now();
        // A message that a receipt has settled otherwise has neither failed nor been given up.
        if self.table.deliveries().settle(&claimed.held, message, settlement, now).await? {
            subject.settled(settlement, now).write();
        }

        Ok(Event::Done)
    }

    async fn requeue(
        &self,
        claimed: &ClaimedConversation,
        seq: Seq,
        status: Status,
        reason: Option<&Reason>,
        counted: bool,
    ) -> Result<Event, InternalError> {
        let message = claimed.message(seq)?;
        match self
            .table
            .deliveries()
            .requeue(&claimed.held, message, status, reason, counted, self.clock.now())
            .await?
        {
            RequeueOutcome::Done => {}
            RequeueOutcome::Changed => return Ok(Event::Changed),
            RequeueOutcome::LeaseLost => return Ok(Event::LeaseLost),
        }

        if let Some(reason) = reason {
            let subject = Subject { held: &claimed.held, message, channel: P::CHANNEL };
            subject.requeued(status, reason).write();
        }

        Ok(Event::Done)
    }

    /// Pauses the whole channel. The message's own line says why; this one asks an operator to act.
    async fn pause_channel(
        &self,
        claimed: &ClaimedConversation,
        until: DateTime<Utc>,
    ) -> Result<Event, InternalError> {
        let HeldConversation { business_id, ref conversation, .. } = claimed.held;
        self.channels.pause(&self.table, business_id, conversation.channel_id, until).await?;

        MetricRecord::new(Level::ERROR, "channel paused: its provider takes nothing")
            .by("Channel", P::CHANNEL)
            .count("ChannelPaused")
            .with("business", business_id)
            .with("channel_id", conversation.channel_id)
            .with("until", until)
            .write();
        Ok(Event::Done)
    }

    /// Releases the conversation until `at`, and has the doorbell ring then.
    async fn postpone(
        &self,
        claimed: &ClaimedConversation,
        at: DateTime<Utc>,
    ) -> Result<Event, InternalError> {
        self.table.deliveries().postpone(&claimed.held, at).await?;

        let doorbell = Doorbell {
            v: Version,
            business_id: claimed.held.business_id,
            conversation_id: claimed.held.conversation_id,
            channel: P::CHANNEL,
        };
        if let Err(error) = self.queue.ring_at(&doorbell, at, self.clock.now()).await {
            doorbell.ring_failed(&error).write();
        }
        Ok(Event::Done)
    }
}

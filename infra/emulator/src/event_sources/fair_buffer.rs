//! What was taken from a queue and waits for an invocation: in which order it goes, and how often.
//! Who takes it from SQS and who invokes lives in `queue.rs`, never here.
//!
//! SQS has fair queues: while a tenant, by its message group, takes up more than its share of the
//! consumers, the messages of the others go first. The emulator hands out what is oldest, so the
//! choice is made here, by the two measures that AWS documents:
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html>.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::polling::{Mischief, Polling};

/// A tenant is noisy with more than one in so many of the records that are being worked on, or of
/// the time that was worked …
const SHARE: usize = 10;
/// … the former only if it has this many there.
const MANY_IN_FLIGHT: usize = 30;
/// How far back work is counted. AWS says "recent".
const RECENT: Duration = Duration::from_secs(60);

/// How long nothing to wait for is waited for.
const LONG: Duration = Duration::from_secs(3600);

/// One delivery of a message to come.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) message: Message,
    /// The message's group; a message without one is a tenant of its own.
    tenant: String,
    /// Not before.
    at: Instant,
    /// Its place in the order in which they came.
    number: u64,
}

/// What waits of one queue.
pub(super) struct FairBuffer {
    polling: Polling,
    /// Whether tenants matter: on a FIFO queue they do not.
    is_fair: bool,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// By tenant, oldest first.
    waiting: BTreeMap<String, VecDeque<Delivery>>,
    /// Those that are held back.
    later: Vec<Delivery>,
    /// How many of a tenant's records are being worked on.
    in_flight: BTreeMap<String, usize>,
    worked: Worked,
    /// Deliveries so far.
    count: u64,
    dice: Option<Dice>,
}

impl FairBuffer {
    pub(super) fn new(polling: Polling, is_fair: bool) -> Self {
        Self { polling, is_fair, state: Mutex::default(), changed: Notify::new() }
    }

    /// Puts on the buffer what came from the queue, with its message group, as often and as late as
    /// mischief has it.
    pub(super) fn put(&self, messages: Vec<(Message, Option<String>)>) {
        self.polling.count_records(messages.len());
        let mischief = self.polling.mischief().filter(|_| self.is_fair);
        let mut state = self.state();
        for (message, group) in messages {
            let tenant = group.as_deref().or(message.message_id()).unwrap_or_default();
            state.put(&message, tenant, mischief.as_ref(), Instant::now());
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits for something to deliver and takes up to `most`, never one message twice and none that
    /// is in `beside`.
    pub(super) async fn take(&self, most: usize, beside: &[Delivery]) -> Vec<Delivery> {
        loop {
            self.polling.is_on().await;
            let changed = self.changed.notified();
            let mischief = self.polling.mischief().filter(|_| self.is_fair);
            let order = match &mischief {
                Some(mischief) if mischief.shuffle => Order::Any(mischief),
                Some(mischief) if mischief.unfair => Order::Oldest,
                Some(_) | None if self.is_fair => Order::Fair,
                Some(_) | None => Order::Oldest,
            };
            let (taken, next) = self.state().take(most, beside, order, Instant::now());
            if !taken.is_empty() {
                return taken;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// What was taken at `begun` is worked on no more.
    pub(super) fn done(&self, taken: &[Delivery], begun: Instant) {
        self.polling.count_deliveries(taken.len());
        let mut state = self.state();
        for Delivery { tenant, .. } in taken {
            state.done(tenant, begun, Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In which order deliveries go.
#[derive(Debug, Clone, Copy)]
enum Order<'a> {
    /// The oldest first.
    Oldest,
    /// Those of quiet tenants first.
    Fair,
    /// As the dice fall.
    Any(&'a Arc<Mischief>),
}

impl State {
    fn put(
        &mut self,
        message: &Message,
        tenant: &str,
        mischief: Option<&Arc<Mischief>>,
        now: Instant,
    ) {
        let delays = mischief.map_or(vec![0], |mischief| {
            let dice = &mut self.dice(mischief).records;
            let copies = dice.random_range(1..=mischief.copies);
            (0..copies).map(|_| dice.random_range(0..=mischief.delay_ms)).collect()
        });
        for delay in delays {
            let (at, number) = (now + Duration::from_millis(delay), self.count);
            self.later.push(Delivery {
                message: message.clone(),
                tenant: tenant.to_owned(),
                at,
                number,
            });
            self.count += 1;
        }
    }

    /// The dice of this mischief; new mischief throws them from the start.
    fn dice(&mut self, mischief: &Arc<Mischief>) -> &mut Dice {
        let dice = self.dice.take().filter(|dice| Arc::ptr_eq(&dice.of, mischief));
        self.dice.insert(dice.unwrap_or_else(|| Dice::new(mischief)))
    }

    /// What may go now; if that is nothing, when to look again.
    fn take(
        &mut self,
        most: usize,
        beside: &[Delivery],
        order: Order<'_>,
        now: Instant,
    ) -> (Vec<Delivery>, Instant) {
        let (due, later) =
            std::mem::take(&mut self.later).into_iter().partition(|delivery| delivery.at <= now);
        self.later = later;
        for delivery in Vec::into_iter(due) {
            self.waiting.entry(delivery.tenant.clone()).or_default().push_back(delivery);
        }
        self.worked.forget(now);
        let mut ids: Vec<Option<String>> =
            beside.iter().map(|delivery| delivery.message.message_id.clone()).collect();
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((tenant, place)) = self.next(order, &ids)
        {
            let row = self.waiting.get_mut(&tenant).expect("it was found there");
            let delivery = row.remove(place).expect("and there");
            if row.is_empty() {
                self.waiting.remove(&tenant);
            }
            *self.in_flight.entry(tenant).or_default() += 1;
            ids.push(delivery.message.message_id.clone());
            taken.push(delivery);
        }
        (taken, self.later.iter().map(|delivery| delivery.at).min().unwrap_or(now + LONG))
    }

    /// Whose turn it is, and the place in that tenant's row; messages with these ids have had
    /// theirs.
    fn next(&mut self, order: Order<'_>, ids: &[Option<String>]) -> Option<(String, usize)> {
        let is_new = |delivery: &Delivery| !ids.contains(&delivery.message.message_id);
        if let Order::Any(mischief) = order {
            let places = |(tenant, row): (&String, &VecDeque<Delivery>)| {
                let new = row.iter().enumerate().filter(|(_, delivery)| is_new(delivery));
                new.map(|(place, _)| (tenant.clone(), place)).collect::<Vec<_>>()
            };
            let mut places: Vec<_> = self.waiting.iter().flat_map(places).collect();
            let lot = if places.is_empty() {
                return None;
            } else {
                self.dice(mischief).turns.random_range(0..places.len())
            };
            return Some(places.swap_remove(lot));
        }
        let firsts = self.waiting.iter().filter_map(|(tenant, row)| {
            let first = row.iter().enumerate().find(|(_, delivery)| is_new(delivery));
            first.map(|(place, delivery)| (tenant, place, delivery.number))
        });
        let rank = |tenant: &str| match order {
            // Among noisy ones, whoever has the least in flight.
            Order::Fair if self.is_noisy(tenant) => {
                1 + self.in_flight.get(tenant).copied().unwrap_or(0)
            }
            Order::Fair | Order::Oldest | Order::Any(_) => 0,
        };
        let next = firsts.min_by_key(|(tenant, _, number)| (rank(tenant), *number));
        next.map(|(tenant, place, _)| (tenant.clone(), place))
    }

    fn is_noisy(&self, tenant: &str) -> bool {
        let own = self.in_flight.get(tenant).copied().unwrap_or(0);
        let is_many = own >= MANY_IN_FLIGHT && own * SHARE > self.in_flight.values().sum();
        is_many || self.worked.is_more_than_one_in(SHARE, tenant)
    }

    fn done(&mut self, tenant: &str, begun: Instant, now: Instant) {
        if let Some(left) = self.in_flight.get_mut(tenant) {
            *left -= 1;
        }
        self.in_flight.retain(|_, left| *left > 0);
        self.worked.add(tenant, now - begun, now);
    }
}

/// A queue's dice. Those for the records are thrown in the order in which they come, whoever takes
/// them when.
struct Dice {
    of: Arc<Mischief>,
    records: StdRng,
    turns: StdRng,
}

impl Dice {
    fn new(of: &Arc<Mischief>) -> Self {
        let mut records =
            of.seed.map_or_else(|| StdRng::from_rng(&mut rand::rng()), StdRng::seed_from_u64);
        let turns = StdRng::from_rng(&mut records);
        Self { of: Arc::clone(of), records, turns }
    }
}

/// What tenants' records took of late, added up.
#[derive(Default)]
struct Worked {
    /// When a record was done with, whose it was, and how long it took; oldest first.
    records: VecDeque<(Instant, String, Duration)>,
    of: BTreeMap<String, Duration>,
    all: Duration,
}

impl Worked {
    fn add(&mut self, tenant: &str, took: Duration, now: Instant) {
        self.records.push_back((now, tenant.to_owned(), took));
        *self.of.entry(tenant.to_owned()).or_default() += took;
        self.all += took;
    }

    fn forget(&mut self, now: Instant) {
        while let Some((_, tenant, took)) =
            self.records.pop_front_if(|(at, ..)| *at + RECENT <= now)
        {
            self.all -= took;
            if let Some(of) = self.of.get_mut(&tenant) {
                *of -= took;
            }
            self.of.retain(|_, of| !of.is_zero());
        }
    }

    fn is_more_than_one_in(&self, parts: usize, tenant: &str) -> bool {
        let own = self.of.get(tenant).copied().unwrap_or_default();
        own.as_nanos() * parts as u128 > self.all.as_nanos()
    }
}

#[cfg(test)]
mod tests;

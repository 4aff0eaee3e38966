//! Records that were received from a queue and wait for an invocation: the order in which they go,
//! and how often.
//!
//! SQS has fair queues: while a tenant, by its message group, takes up more than its share of the
//! consumers, the messages of the others go first. The embedded SQS hands out the oldest, so this
//! makes the choice, by the two measures that AWS documents:
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html>.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::polling::{Polling, QueueFaults};

/// A tenant is noisy with more than one in so many of the records in flight, or of the recent time
/// that functions worked.
const SHARE: usize = 10;
/// Records in flight from which the first measure counts.
const MANY_IN_FLIGHT: usize = 30;
/// How far back work counts. AWS says "recent".
const RECENT: Duration = Duration::from_secs(60);

/// A wait without a known end.
const LONG: Duration = Duration::from_secs(3600);

/// One delivery of a message that is to come.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) message: Message,
    /// The message's group; a message without one is a tenant of its own.
    tenant: String,
    /// The delivery is not due before.
    at: Instant,
    /// Its place in the order of arrival.
    number: u64,
}

/// The waiting deliveries of one queue.
pub(super) struct FairBuffer {
    polling: Polling,
    /// Whether tenants matter; they do not on a FIFO queue.
    is_fair: bool,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// By tenant, oldest first.
    waiting: BTreeMap<String, VecDeque<Delivery>>,
    /// Deliveries that are held back.
    later: Vec<Delivery>,
    /// How many of a tenant's records are in flight.
    in_flight: BTreeMap<String, usize>,
    worked: WorkTimes,
    /// Deliveries so far.
    count: u64,
    rng: Option<Rng>,
}

impl FairBuffer {
    pub(super) fn new(polling: Polling, is_fair: bool) -> Self {
        Self { polling, is_fair, state: Mutex::default(), changed: Notify::new() }
    }

    /// Adds messages with their groups, as often and as late as the faults in force say.
    pub(super) fn add(&self, messages: Vec<(Message, Option<String>)>) {
        let faults = self.polling.faults().filter(|_| self.is_fair);
        let mut state = self.state();
        let before = state.count;

        for (message, group) in &messages {
            let tenant = group.as_deref().or(message.message_id()).unwrap_or_default();
            state.add(message, tenant, faults.as_ref(), Instant::now());
        }

        // Before another task can take and finish one of them.
        self.polling.count_records(messages.len(), state.count - before);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits for deliveries that are due and takes up to `most`, no message twice and none that is
    /// in `batch`.
    pub(super) async fn take_batch(&self, most: usize, batch: &[Delivery]) -> Vec<Delivery> {
        loop {
            self.polling.is_on().await;
            let changed = self.changed.notified();
            let faults = self.polling.faults().filter(|_| self.is_fair);
            let order = match &faults {
                Some(faults) if faults.shuffle => Order::Random(faults),
                Some(faults) if faults.unfair => Order::Oldest,
                Some(_) | None if self.is_fair => Order::Fair,
                Some(_) | None => Order::Oldest,
            };
            let (taken, next) = self.state().take_batch(most, batch, order, Instant::now());
            if !taken.is_empty() {
                return taken;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Notes that deliveries which were taken at `begun` are finished.
    pub(super) fn finish(&self, taken: &[Delivery], begun: Instant) {
        self.polling.count_deliveries(taken.len());
        let mut state = self.state();
        for Delivery { tenant, .. } in taken {
            state.finish(tenant, begun, Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The order in which deliveries go.
#[derive(Debug, Clone, Copy)]
enum Order<'a> {
    /// The oldest first.
    Oldest,
    /// Those of quiet tenants first.
    Fair,
    /// At random.
    Random(&'a Arc<QueueFaults>),
}

impl State {
    fn add(
        &mut self,
        message: &Message,
        tenant: &str,
        faults: Option<&Arc<QueueFaults>>,
        now: Instant,
    ) {
        let delays = faults.map_or(vec![0], |faults| {
            let rng = &mut self.rng(faults).records;
            let copies = rng.random_range(1..=faults.copies);
            (0..copies).map(|_| rng.random_range(0..=faults.delay_ms)).collect()
        });

        for delay in delays {
            let at = now + Duration::from_millis(delay);
            let number = self.count;
            self.later.push(Delivery {
                message: message.clone(),
                tenant: tenant.to_owned(),
                at,
                number,
            });
            self.count += 1;
        }
    }

    /// Returns the random numbers of these faults; new faults begin from their seed.
    fn rng(&mut self, faults: &Arc<QueueFaults>) -> &mut Rng {
        let rng = self.rng.take().filter(|rng| Arc::ptr_eq(&rng.of, faults));
        self.rng.insert(rng.unwrap_or_else(|| Rng::new(faults)))
    }

    /// Takes what is due; also returns when to look again.
    fn take_batch(
        &mut self,
        most: usize,
        batch: &[Delivery],
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
            batch.iter().map(|delivery| delivery.message.message_id.clone()).collect();
        let mut taken = Vec::new();

        while taken.len() < most
            && let Some((tenant, place)) = self.next_place(order, &ids)
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

    /// Returns the tenant whose turn it is, and the place in that tenant's row. Messages with these
    /// ids are in the batch already.
    fn next_place(&mut self, order: Order<'_>, ids: &[Option<String>]) -> Option<(String, usize)> {
        let is_new = |delivery: &Delivery| !ids.contains(&delivery.message.message_id);
        if let Order::Random(faults) = order {
            let places = |(tenant, row): (&String, &VecDeque<Delivery>)| {
                let new = row.iter().enumerate().filter(|(_, delivery)| is_new(delivery));
                new.map(|(place, _)| (tenant.clone(), place)).collect::<Vec<_>>()
            };
            let mut places: Vec<_> = self.waiting.iter().flat_map(places).collect();
            if places.is_empty() {
                return None;
            }
            let drawn = self.rng(faults).turns.random_range(0..places.len());
            return Some(places.swap_remove(drawn));
        }

        let firsts = self.waiting.iter().filter_map(|(tenant, row)| {
            let first = row.iter().enumerate().find(|(_, delivery)| is_new(delivery));
            first.map(|(place, delivery)| (tenant, place, delivery.number))
        });

        let rank = |tenant: &str| match order {
            // Among noisy tenants, the one with the least in flight comes first.
            Order::Fair if self.is_noisy(tenant) => {
                1 + self.in_flight.get(tenant).copied().unwrap_or(0)
            }
            Order::Fair | Order::Oldest | Order::Random(_) => 0,
        };

        let next = firsts.min_by_key(|(tenant, _, number)| (rank(tenant), *number));

        next.map(|(tenant, place, _)| (tenant.clone(), place))
    }

    fn is_noisy(&self, tenant: &str) -> bool {
        let own = self.in_flight.get(tenant).copied().unwrap_or(0);
        let is_many = own >= MANY_IN_FLIGHT && own * SHARE > self.in_flight.values().sum();
        is_many || self.worked.exceeds_share(tenant)
    }

    fn finish(&mut self, tenant: &str, begun: Instant, now: Instant) {
        if let Some(left) = self.in_flight.get_mut(tenant) {
            *left -= 1;
        }
        self.in_flight.retain(|_, left| *left > 0);
        self.worked.add(tenant, now - begun, now);
    }
}

/// A queue's random numbers. Those for records are drawn in the order of arrival, independent of
/// the pollers.
struct Rng {
    of: Arc<QueueFaults>,
    records: StdRng,
    turns: StdRng,
}

impl Rng {
    fn new(of: &Arc<QueueFaults>) -> Self {
        let mut records =
            of.seed.map_or_else(|| StdRng::from_rng(&mut rand::rng()), StdRng::seed_from_u64);
        let turns = StdRng::from_rng(&mut records);
        Self { of: Arc::clone(of), records, turns }
    }
}

/// The recent working time of each tenant's records.
#[derive(Default)]
struct WorkTimes {
    /// When a record was finished, its tenant, and how long it took; oldest first.
    records: VecDeque<(Instant, String, Duration)>,
    of: BTreeMap<String, Duration>,
    all: Duration,
}

impl WorkTimes {
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

    fn exceeds_share(&self, tenant: &str) -> bool {
        let own = self.of.get(tenant).copied().unwrap_or_default();
        own.as_nanos() * SHARE as u128 > self.all.as_nanos()
    }
}

#[cfg(test)]
mod tests;

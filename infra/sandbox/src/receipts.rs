//! The receipts of a provider, sent for everything it accepted, also where its answer to the call
//! was lost. The rule says which and when; each provider words and delivers its own.

mod rule;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::seq::SliceRandom;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::journal::Journal;
use emulator::Engine;

pub use rule::ReceiptRule;

/// How one provider reports.
pub(super) trait Reporter: Send + Sync + 'static {
    /// The provider's record of a message.
    type Record: ProviderRecord;
    /// The statuses it can report, in the control API's words.
    const STATUSES: &'static [&'static str];

    /// Sends one receipt; false if the system did not take it, however often it was sent.
    fn report(
        &self,
        engine: &Engine,
        report: &Report<Self::Record>,
    ) -> impl Future<Output = bool> + Send;
}

/// A provider's record of a message that it accepted.
pub(super) trait ProviderRecord:
    Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The provider's id of the message.
    fn provider_id(&self) -> &str;
}

/// One receipt to send.
#[derive(Debug, Clone)]
pub(super) struct Report<T> {
    pub(super) record: T,
    pub(super) status: String,
    /// The error code of `failed`.
    pub(super) code: Option<i64>,
    /// The time of the event that it reports.
    pub(super) at: DateTime<Utc>,
}

/// A provider's receipts. Dropping them sends no more.
pub(super) struct Receipts<R: Reporter> {
    sender: Arc<ReceiptSender<R>>,
    rule: Mutex<ReceiptRule>,
    held: Mutex<Vec<Report<R::Record>>>,
    sending: Mutex<JoinSet<()>>,
    clock: Arc<Clock>,
}

/// The part of [`Receipts`] that sending tasks share.
struct ReceiptSender<R> {
    reporter: R,
    engine: Arc<Engine>,
    /// Ids of messages whose receipts were all taken.
    reported: Journal<String>,
}

impl<R: Reporter> std::fmt::Debug for Receipts<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipts").field("rule", &*lock(&self.rule)).finish_non_exhaustive()
    }
}

impl<R: Reporter> Receipts<R> {
    /// Opens the receipts of the provider `name`. With a directory, `{name}-reported.jsonl` keeps
    /// the ids of the messages that are fully reported.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(super) fn open(
        name: &str,
        directory: Option<&Path>,
        reporter: R,
        rule: ReceiptRule,
        engine: &Arc<Engine>,
        clock: &Arc<Clock>,
    ) -> io::Result<Self> {
        let reported = Journal::in_directory(directory, &format!("{name}-reported.jsonl"))?;
        let sender = ReceiptSender { reporter, engine: Arc::clone(engine), reported };

        Ok(Self {
            sender: Arc::new(sender),
            rule: Mutex::new(rule),
            held: Mutex::default(),
            sending: Mutex::default(),
            clock: Arc::clone(clock),
        })
    }

    /// Sends the receipts of an accepted message in time, or holds them.
    pub(super) fn send_for(&self, record: &R::Record) {
        let rule = self.in_force();
        let delay = Duration::from_millis(rule.delay_ms);
        let at = self.clock.now() + TimeDelta::from_std(delay).unwrap_or_default();
        let copies = |status: &String| {
            let report =
                Report { record: record.clone(), status: status.clone(), code: rule.code, at };
            std::iter::repeat_n(report, rule.copies as usize)
        };

        let reports: Vec<_> = rule.statuses.iter().flat_map(copies).collect();

        if rule.held && !reports.is_empty() {
            lock(&self.held).extend(reports);
        } else {
            self.send(vec![record.provider_id().to_owned()], reports, rule.shuffle, delay);
        }
    }

    /// Reports an accepted message as failed, whatever the rule says.
    pub(super) fn send_failure(&self, record: &R::Record, code: i64) {
        let status = "failed".to_owned();
        let report =
            Report { record: record.clone(), status, code: Some(code), at: self.clock.now() };
        self.send(Vec::new(), vec![report], false, Duration::ZERO);
    }

    /// Returns how many messages' receipts are being sent or wait for their time; those that are
    /// held are left out.
    pub(super) fn underway(&self) -> usize {
        let mut sending = lock(&self.sending);
        while sending.try_join_next().is_some() {}
        sending.len()
    }

    /// Sends the receipts of messages that an earlier life of this provider accepted and did not
    /// report to the end.
    pub(super) fn resume(&self, records: impl IntoIterator<Item = R::Record>) {
        let reported: BTreeSet<String> = self.sender.reported.entries().into_iter().collect();
        records
            .into_iter()
            .filter(|record| !reported.contains(record.provider_id()))
            .for_each(|record| self.send_for(&record));
    }

    /// Stops sending; when this returns, no task sends any more.
    pub(super) async fn stop(&self) {
        let mut sending = std::mem::take(&mut *lock(&self.sending));
        sending.shutdown().await;
    }

    /// Sends these reports one after the other, after a delay; then the messages `message_ids` are
    /// fully reported.
    fn send(
        &self,
        message_ids: Vec<String>,
        mut reports: Vec<Report<R::Record>>,
        shuffle: bool,
        delay: Duration,
    ) {
        if shuffle {
            reports.shuffle(&mut rand::rng());
        }

        let sender = Arc::clone(&self.sender);
        let mut sending = lock(&self.sending);
        while sending.try_join_next().is_some() {}

        sending.spawn(async move {
            if !reports.is_empty() {
                tokio::time::sleep(delay).await;
            }
            for report in &reports {
                if !sender.reporter.report(&sender.engine, report).await {
                    return; // The next life tries again.
                }
            }
            for id in message_ids {
                // A receipt too many does no harm.
                let _ = sender.reported.append(id).await;
            }
        });
    }
}

/// The control API's view of any provider's receipts.
pub(super) trait ReceiptControl {
    /// Puts a rule in force, in place of the one before.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    fn set_rule(&self, rule: ReceiptRule) -> Result<ReceiptRule, String>;

    /// Returns the rule in force.
    fn in_force(&self) -> ReceiptRule;

    /// Sends the receipts that are held, and returns how many there are.
    fn release(&self) -> usize;
}

impl<R: Reporter> ReceiptControl for Receipts<R> {
    fn set_rule(&self, rule: ReceiptRule) -> Result<ReceiptRule, String> {
        let rule = rule.checked(R::STATUSES)?;
        *lock(&self.rule) = rule.clone();
        Ok(rule)
    }

    fn in_force(&self) -> ReceiptRule {
        lock(&self.rule).clone()
    }

    fn release(&self) -> usize {
        let reports = std::mem::take(&mut *lock(&self.held));
        let message_ids: BTreeSet<_> =
            reports.iter().map(|report| report.record.provider_id().to_owned()).collect();
        let count = reports.len();

        let shuffle = self.in_force().shuffle;
        self.send(message_ids.into_iter().collect(), reports, shuffle, Duration::ZERO);
        count
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds this lock")
}

//! The receipts of a provider: for everything it took, also where its answer to the call was lost.
//! When and which is the rule's; what one looks like and which way it goes, each provider's own.

mod rule;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::seq::SliceRandom;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::clock::Clock;
use super::control::System;
use super::journal::Journal;

pub use rule::ReceiptRule;

/// How often somebody who has a receipt for a system that is still starting looks whether it is up.
const STARTING: Duration = Duration::from_millis(20);

/// How one provider reports.
pub(super) trait Reporter: Send + Sync + 'static {
    /// What it has to remember of a message.
    type Taken: Taken;
    /// What it can report, in the control API's words.
    const STATUSES: &'static [&'static str];

    /// Sends one receipt; false if the system would not take it, however often it was brought.
    fn report(
        &self,
        system: &System,
        report: &Report<Self::Taken>,
    ) -> impl Future<Output = bool> + Send;
}

/// A message that a provider took.
pub(super) trait Taken:
    Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The provider's id of it.
    fn provider_id(&self) -> &str;
}

/// One receipt, to be sent.
#[derive(Debug, Clone)]
pub(super) struct Report<T> {
    pub(super) taken: T,
    pub(super) status: String,
    /// Of `failed`.
    pub(super) code: Option<i64>,
    /// When it happened.
    pub(super) at: DateTime<Utc>,
}

/// A provider's receipts. Dropping them sends no more.
pub(super) struct Receipts<R: Reporter> {
    desk: Arc<Desk<R>>,
    rule: Mutex<ReceiptRule>,
    held: Mutex<Vec<Report<R::Taken>>>,
    sending: Mutex<JoinSet<()>>,
    clock: Arc<Clock>,
}

/// What the senders share.
struct Desk<R> {
    reporter: R,
    system: Arc<OnceLock<System>>,
    /// Ids of messages whose receipts were all taken.
    reported: Journal<String>,
}

impl<R: Reporter> std::fmt::Debug for Receipts<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipts").field("rule", &*lock(&self.rule)).finish_non_exhaustive()
    }
}

impl<R: Reporter> Receipts<R> {
    /// The receipts of the provider `name`. With a directory, `{name}-reported.jsonl` remembers
    /// whose are done.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(super) fn open(
        name: &str,
        directory: Option<&Path>,
        reporter: R,
        rule: ReceiptRule,
        system: Arc<OnceLock<System>>,
        clock: Arc<Clock>,
    ) -> io::Result<Self> {
        let reported = Journal::in_directory(directory, &format!("{name}-reported.jsonl"))?;
        let desk = Arc::new(Desk { reporter, system, reported });
        Ok(Self {
            desk,
            rule: Mutex::new(rule),
            held: Mutex::default(),
            sending: Mutex::default(),
            clock,
        })
    }

    /// A message was taken: sends its receipts in time, or holds them.
    pub(super) fn taken(&self, taken: &R::Taken) {
        let rule = self.in_force();
        let delay = Duration::from_millis(rule.delay_ms);
        let at = self.clock.now() + TimeDelta::from_std(delay).unwrap_or_default();
        let report = |status: &String| {
            let report =
                Report { taken: taken.clone(), status: status.clone(), code: rule.code, at };
            std::iter::repeat_n(report, rule.copies as usize)
        };
        let reports: Vec<_> = rule.statuses.iter().flat_map(report).collect();
        if rule.held && !reports.is_empty() {
            lock(&self.held).extend(reports);
        } else {
            self.send(vec![taken.provider_id().to_owned()], reports, rule.shuffle, delay);
        }
    }

    /// A message was taken and cannot be delivered, whatever the rule says.
    pub(super) fn undeliverable(&self, taken: &R::Taken, code: i64) {
        let (taken, status, at) = (taken.clone(), "failed".to_owned(), self.clock.now());
        self.send(
            Vec::new(),
            vec![Report { taken, status, code: Some(code), at }],
            false,
            Duration::ZERO,
        );
    }

    /// Sends again what an earlier life of this provider took and did not report, at least not to
    /// the end.
    pub(super) fn resume(&self, taken: impl IntoIterator<Item = R::Taken>) {
        let reported: BTreeSet<String> = self.desk.reported.entries().into_iter().collect();
        taken
            .into_iter()
            .filter(|taken| !reported.contains(taken.provider_id()))
            .for_each(|taken| self.taken(&taken));
    }

    /// No more receipts are sent; when this returns, nobody sends.
    pub(super) async fn stop(&self) {
        let mut sending = std::mem::take(&mut *lock(&self.sending));
        sending.shutdown().await;
    }

    /// Sends these one after the other, after a while; then nothing is left to tell of the messages
    /// `of`.
    fn send(
        &self,
        of: Vec<String>,
        mut reports: Vec<Report<R::Taken>>,
        shuffle: bool,
        delay: Duration,
    ) {
        if shuffle {
            reports.shuffle(&mut rand::rng());
        }
        let desk = Arc::clone(&self.desk);
        let mut sending = lock(&self.sending);
        while sending.try_join_next().is_some() {}
        sending.spawn(async move {
            if !reports.is_empty() {
                tokio::time::sleep(delay).await;
            }
            for report in &reports {
                if !desk.reporter.report(desk.system().await, report).await {
                    return; // The next life tries again.
                }
            }
            for id in of {
                // A receipt too many does no harm.
                let _ = desk.reported.append(id).await;
            }
        });
    }
}

impl<R> Desk<R> {
    async fn system(&self) -> &System {
        loop {
            match self.system.get() {
                Some(system) => return system,
                None => tokio::time::sleep(STARTING).await,
            }
        }
    }
}

/// What the control API does with receipts, whichever provider's they are.
pub(super) trait Levers {
    /// Puts a rule in force, in place of the one before.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    fn set(&self, rule: ReceiptRule) -> Result<ReceiptRule, String>;

    /// The rule in force.
    fn in_force(&self) -> ReceiptRule;

    /// Sends what is held; answers how many receipts that is.
    fn release(&self) -> usize;
}

impl<R: Reporter> Levers for Receipts<R> {
    fn set(&self, rule: ReceiptRule) -> Result<ReceiptRule, String> {
        let rule = rule.checked(R::STATUSES)?;
        *lock(&self.rule) = rule.clone();
        Ok(rule)
    }

    fn in_force(&self) -> ReceiptRule {
        lock(&self.rule).clone()
    }

    fn release(&self) -> usize {
        let reports = std::mem::take(&mut *lock(&self.held));
        let of: BTreeSet<_> =
            reports.iter().map(|report| report.taken.provider_id().to_owned()).collect();
        let count = reports.len();
        self.send(of.into_iter().collect(), reports, self.in_force().shuffle, Duration::ZERO);
        count
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds this lock")
}

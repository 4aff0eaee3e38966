//! The comparison of end and beginning, and the numbers of a run.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::sample::{Sample, percentile, sample};
use crate::{Stage, is_long, lock, process};

/// Most descriptors by which two rests may differ without a leak: connections of pools.
const DESCRIPTORS: f64 = 8.0;

/// Longer than pools keep an idle connection, hyper's and the SDK's: 90 s.
/// <https://docs.rs/hyper-util/latest/hyper_util/client/legacy/struct.Builder.html#method.pool_idle_timeout>
const POOLS: Duration = Duration::from_secs(100);

/// Longer than a record stays invisible that a dead process had received: the queues'
/// `VisibilityTimeout`, 180 s.
const RECORDS: Duration = Duration::from_secs(200);

/// How much larger the last quarter's median may be than the second quarter's: a tenth, and some
/// MiB for what an allocator keeps.
const GROWTH: f64 = 1.1;
const SLACK: f64 = 8.0;

/// The time between two looks at a system that comes to rest.
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// The memory that the sandbox keeps for each message it accepted, for the oracle to count, in MiB.
const KEPT: f64 = 6.0 / 1024.0;

/// A run's numbers, and a sentence for each thing that grew.
#[derive(Debug)]
pub(crate) struct Verdict {
    text: String,
    wrong: Vec<String>,
}

/// Waits until pools have closed what is idle and, if `drained`, until the queues are empty; then
/// ends the functions' processes, so that what is counted is the system's own, and samples.
pub(crate) async fn at_rest(stage: &Stage<'_>, drained: bool) -> Sample {
    let begun = Instant::now();
    while begun.elapsed() < RECORDS {
        let is_empty = !drained || sample(stage).await.queued == 0.0;
        if is_empty && begun.elapsed() > POOLS {
            break;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }

    // The sweeper may start just now, and sockets close a little after their process.
    let mut last = f64::NAN;
    loop {
        for pid in process::children(stage.pid) {
            process::kill(pid).await;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let sample = sample(stage).await;
        if sample.processes == 0.0 && sample.descriptors == last {
            return sample;
        }
        last = sample.descriptors;
    }
}

impl Verdict {
    /// Compares the end with the beginning; of memory the medians of the second and the last
    /// quarter of the traffic.
    pub(crate) fn of(
        stage: &Stage<'_>,
        samples: &[Sample],
        span: Range<f64>,
        before: &Sample,
        after: &Sample,
    ) -> Verdict {
        let mut wrong = Vec::new();
        let mut text = String::new();
        let mut flat = |name: &str, was: f64, is: f64, most: f64| {
            let is_judged = most.is_finite();
            let most_shown = if is_judged { format!("{most:.0}") } else { String::new() };
            text += &format!("  {name:<38}{was:>8.0}{is:>8.0}{most_shown:>8}\n");
            if is > most {
                wrong.push(format!("{name}: {was:.0} before, {is:.0} after, at most {most:.0}"));
            }
        };

        // Seconds are too few for memory and descriptors to settle.
        let most = |most: f64| if is_long() { most } else { f64::INFINITY };
        let quarter = (span.end - span.start) / 4.0;
        let during = |from: f64| {
            let span = span.start + from * quarter..span.start + (from + 1.0) * quarter;
            samples.iter().filter(move |sample| span.contains(&sample.at))
        };
        let median = |from: f64, of: fn(&Sample) -> f64| {
            let mut values: Vec<f64> = during(from).map(of).collect();
            values.sort_by(f64::total_cmp);
            percentile(&values, 50)
        };
        let stored = median(3.0, |sample| sample.stored) - median(1.0, |sample| sample.stored);
        for (name, of, kept) in [
            ("MiB of the system", (|sample| sample.memory) as fn(&Sample) -> f64, stored * KEPT),
            ("MiB of the largest function", |sample| sample.function_memory, 0.0),
        ] {
            let was = median(1.0, of);
            flat(name, was, median(3.0, of), most(was * GROWTH + SLACK + kept));
        }

        let function_descriptors: fn(&Sample) -> f64 = |sample| sample.function_descriptors;
        let was = median(1.0, function_descriptors);
        let is = median(3.0, function_descriptors);
        flat("descriptors of the fullest function", was, is, most(was + DESCRIPTORS));
        let most = most(before.descriptors + DESCRIPTORS);
        flat("descriptors of the system, at rest", before.descriptors, after.descriptors, most);
        flat("leases, at rest", before.leases, after.leases, 0.0);
        flat("conversations in the outbox, at rest", before.outbox, after.outbox, 0.0);
        flat("temporary files, at rest", before.temporary, after.temporary, before.temporary);
        flat("records in queues, at rest", before.queued, after.queued, f64::INFINITY);
        flat("connections, at rest", before.connections, after.connections, f64::INFINITY);
        flat("files that are kept", before.files, after.files, f64::INFINITY);
        flat("messages stored", before.stored, after.stored, f64::INFINITY);

        let kills = stage.kills.load(Ordering::Relaxed);
        let seconds = stage.begun.elapsed().as_secs();
        let head = format!("  {:<38}{:>8}{:>8}{:>8}\n", "", "before", "after", "at most");
        let mut text = format!("\n  {seconds} s, {kills} processes killed\n\n{head}{text}\n");
        for ((what, status), times) in &*lock(&stage.answers) {
            text += &format!("  {what:<28}{status:>6}{times:>10}\n");
        }

        Verdict { text, wrong }
    }

    /// Asserts that nothing grew.
    ///
    /// # Panics
    /// If anything did.
    pub(crate) fn check(&self) {
        assert!(self.wrong.is_empty(), "\n\n  - {}\n", self.wrong.join("\n  - "));
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

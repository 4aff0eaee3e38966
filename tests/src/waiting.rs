//! Waits for what the system does by itself. A wait ends early when the system is idle, so that
//! nothing can come any more, and then shows what the world looks like.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use crate::oracle::{number, scan, text};
use crate::send::read;
use crate::world::World;

/// The longest wait without any progress.
const PATIENCE: Duration = Duration::from_secs(40);
/// The wait without progress after which the system is asked what it does.
const BEFORE_LOOKING: Duration = Duration::from_millis(900);
/// The time between two looks. Idle at both, with no progress between them, is idle for good:
/// frames on a socket and the widgets' own timers are shorter.
const BETWEEN_LOOKS: Duration = Duration::from_millis(700);
/// The pauses between two questions. They grow with the wait, which each makes an eighth longer at
/// most: a question costs several times what most of the answers do that are waited for.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How long a run of the sweeper and what follows from it may take.
const AFTER_SWEEP: Duration = Duration::from_secs(5);

impl World {
    /// Asks again and again until there is an answer.
    pub async fn until<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        self.until_at_rest(what, async || ask().await.ok_or(())).await
    }

    /// Asks again and again until there is an answer; is patient for as long as what it is told
    /// instead goes on changing.
    ///
    /// # Panics
    /// If the answer does not come in time, or the system is idle and cannot bring it.
    pub async fn until_at_rest<T, P: PartialEq>(
        &self,
        what: &str,
        ask: impl AsyncFn() -> Result<T, P>,
    ) -> T {
        let steps = self.steps();
        let asked_since = Instant::now();
        let mut begun = asked_since;
        let mut next_look = BEFORE_LOOKING;
        let mut idle_looks = 0;
        let mut last = None;

        while begun.elapsed() < PATIENCE {
            match ask().await {
                Ok(answer) => return answer,
                Err(progress) if last.as_ref() != Some(&progress) => {
                    (begun, last) = (Instant::now(), Some(progress));
                    (next_look, idle_looks) = (BEFORE_LOOKING, 0);
                }
                Err(_) => {}
            }

            // The look comes before the last question: what came in between is still seen.
            if idle_looks == 2 {
                self.give_up(what, "the system is idle: it cannot come any more").await;
            }
            if begun.elapsed() >= next_look {
                next_look = begun.elapsed() + BETWEEN_LOOKS;
                let remaining = PATIENCE.saturating_sub(begun.elapsed());
                // A wait that sweeps, or moves the clock, makes things happen itself.
                let is_idle = self.steps() == steps && self.is_idle_for(remaining).await;
                idle_looks = if is_idle { idle_looks + 1 } else { 0 };
                continue;
            }

            let pause = (asked_since.elapsed() / 8).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            tokio::time::sleep(pause).await;
        }

        self.give_up(what, &format!("nothing changed for {} s", PATIENCE.as_secs())).await
    }

    /// Returns whether the system does nothing any more and will do nothing by itself for this
    /// long. A system that does not say so is not idle.
    async fn is_idle_for(&self, remaining: Duration) -> bool {
        if self.has_pages() {
            return false;
        }
        let Some(activity) = self.activity().await else { return false };
        let until_sweep = activity["next_schedule_in"].as_u64().map(Duration::from_secs);
        let is_before_sweep = until_sweep.is_none_or(|wait| wait + AFTER_SWEEP > remaining);

        // With nothing due, no sweep has anything to do.
        activity["idle"] == true && (is_before_sweep || self.due().await == Some(0))
    }

    pub(crate) async fn activity(&self) -> Option<Value> {
        let request = self.http().get(format!("{}/sandbox/activity", self.ready.sandbox));
        let answer = request.send().await.ok()?;
        answer.json().await.ok()
    }

    /// Returns how many conversations are in the outbox; none if the table does not answer.
    async fn due(&self) -> Option<usize> {
        let scan = self.dynamodb().scan().table_name(&self.ready.table).index_name("outbox");
        let answer = scan.send().await.ok()?;
        Some(answer.items().len())
    }

    async fn give_up(&self, what: &str, why: &str) -> ! {
        let picture = self.picture().await;
        panic!("waited in vain until {what}: {why}\n{picture}");
    }

    /// Returns what the world looks like: what goes on, each conversation that is not at rest, the
    /// messages that did not arrive, and the last lines of the log.
    async fn picture(&self) -> String {
        let mut picture = String::new();
        let log: Vec<String> =
            self.logged().iter().rev().take(40).map(ToString::to_string).collect();
        let _ = writeln!(picture, "the last lines of the log, newest first:\n{}", log.join("\n"));
        let _ = writeln!(picture, "all errors:\n{}", self.complaints());

        let Some(activity) = self.activity().await else {
            return picture + "the system does not answer any more\n";
        };
        let _ = writeln!(picture, "activity: {activity:#}");

        // A fault of the table may be in force: the test is over, so it may go.
        let heal = self.http().delete(format!("{}/sandbox/aws/faults", self.ready.sandbox));
        if heal.send().await.is_ok() {
            for item in scan(self).await {
                picture += &unrest(&item);
            }
        }

        for channel in ["chat", "whatsapp", "email"] {
            let faults = format!("{}/sandbox/{channel}/faults", self.ready.sandbox);
            let fault = read(self.http().get(faults)).await.text;
            let letters = self.dead_letters(channel).await.len();
            let _ = writeln!(picture, "{channel}: fault {fault}, {letters} dead letters");
        }

        picture
    }
}

/// Returns a line for a conversation that has something left to do, and for a message that is not
/// with the customer.
fn unrest(item: &HashMap<String, AttributeValue>) -> String {
    let (pk, sk) = (text(item, "pk"), text(item, "sk"));
    let is_conversation = sk == "CONVERSATION";
    let is_at_rest = match is_conversation {
        true => !item.contains_key("due"),
        false => matches!(text(item, "status").as_str(), "" | "sent" | "delivered" | "read"),
    };
    if is_at_rest || !(is_conversation || sk.starts_with("M#")) {
        return String::new();
    }

    let names: &[&str] = match is_conversation {
        true => &["seq", "settled_seq", "due", "lease_until", "fence"],
        false => &["attempts", "doubts", "fence"],
    };
    let numbers: Vec<String> = names
        .iter()
        .filter(|name| item.contains_key(**name))
        .map(|name| format!("{name} {}", number(item, name)))
        .collect();

    format!("{pk} {sk} {}: {}\n", text(item, "status"), numbers.join(", "))
}

//! Mixed traffic, faults, floods and kills for as long as is asked, on a system in a process of its
//! own. What could leak is sampled all the while. At the end the traffic stops, everything is
//! healed, and nothing may be left: no lease, no conversation in the outbox, no temporary file, no
//! more descriptors than at the start, no memory that grew; and the oracle agrees, also that what
//! became of each message of the large businesses was told to their endpoints.
//!
//! `SOAK_MINUTES=60 cargo test --test soak` is the long run; without it the test runs for seconds,
//! so that it cannot rot. No time is judged.

mod floods;
mod misfortunes;
mod picture;
mod process;
mod sample;
mod traffic;
mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use sample::{Sample, sample};
use tests::machine::{Directory, Machine};
use tests::settling::see_through;
use tests::suite::{Suite, remark, setting};
use tests::{Business, CHANNELS, World};

/// Businesses whose limit is never met, and those that meet it at once.
const LARGE: usize = 3;
const SMALL: usize = 3;
/// The messages that a small business may send in a month.
const SMALL_LIMIT: u64 = 5;

/// More conversations of each large business: on WhatsApp each is slow, by the pace of its pair.
const MORE_WHATSAPP: usize = 4;

/// How long `cargo test` soaks, in seconds.
const SHORT: u64 = 6;

/// The part of the time that goes by before the first count, so that each process and each pool
/// of connections there will be has been there once.
const WARM_UP: u32 = 8;

/// How many samples the picture has, and how far they are apart at least.
const SAMPLES: u32 = 150;
const BETWEEN_SAMPLES: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let test = nothing_grows_however_long_everything_goes_wrong;
    Suite::new("soak").test("nothing_grows_however_long_everything_goes_wrong", test).run()
}

/// Everything that the traffic and the misfortunes work on.
struct Stage<'a> {
    world: &'a World,
    pid: u32,
    directory: &'a Path,
    begun: Instant,
    large: Vec<Business>,
    small: Vec<Business>,
    /// The large businesses' conversations: channel, the business's place, id.
    conversations: Vec<(&'static str, usize, Uuid)>,
    /// How long sends took since the last sample, in milliseconds.
    waits: Mutex<Vec<f64>>,
    /// How often each was answered: a kind of request and a status.
    answers: Mutex<BTreeMap<(&'static str, u16), u64>>,
    /// Processes of functions that were killed.
    kills: AtomicU64,
    is_over: AtomicBool,
    samples: Mutex<Vec<Sample>>,
}

impl Stage<'_> {
    /// Makes the businesses and their conversations: all there will be, so that the customers'
    /// connections are the same at the end.
    async fn set<'a>(
        world: &'a World,
        elsewhere: &World,
        machine: &Machine,
        directory: &'a Path,
    ) -> Stage<'a> {
        let mut stage = Stage {
            world,
            pid: machine.pid(),
            directory,
            begun: Instant::now(),
            large: Vec::new(),
            small: Vec::new(),
            conversations: Vec::new(),
            waits: Mutex::default(),
            answers: Mutex::default(),
            kills: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            samples: Mutex::default(),
        };

        for place in 0..LARGE {
            let business = world.business(1_000_000, 4).await;
            let more = std::iter::repeat_n("whatsapp", MORE_WHATSAPP);
            for channel in CHANNELS {
                stage.conversations.push((channel, place, business.conversation_id(channel)));
            }
            for channel in more.chain(["email"]) {
                let another = world.another_conversation(&business, channel).await;
                stage.conversations.push((channel, place, another));
            }
            let receiver = format!("{}/receivers/{place}", elsewhere.ready.sandbox);
            world.endpoint(&business, &receiver).await;
            stage.large.push(business);
        }
        for _ in 0..SMALL {
            stage.small.push(world.business(SMALL_LIMIT, 1).await);
        }

        for (channel, statuses) in [
            ("whatsapp", ["sent", "delivered", "read"].as_slice()),
            ("email", &["sent", "delivered"]),
        ] {
            let receipts =
                json!({"statuses": statuses, "delay_ms": 100, "copies": 2, "shuffle": true});
            world.report(channel, receipts).await;
        }

        stage
    }

    /// Whether the traffic goes on.
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Waits between two requests, unless the traffic is over.
    async fn pause(&self, length: Duration) {
        let end = Instant::now() + length;
        while self.goes_on() && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.min(Duration::from_millis(250))).await;
        }
    }

    /// Counts an answer. It is one of `expected`, or the service's own 5xx: there are faults.
    fn count(&self, what: &'static str, status: StatusCode, expected: &[u16]) {
        let status = status.as_u16();
        assert!(expected.contains(&status) || status >= 500, "{what} is answered {status}");
        *lock(&self.answers).entry((what, status)).or_default() += 1;
    }

    /// Lets everything happen at once for so long.
    async fn play(&self, length: Duration) {
        self.is_over.store(false, Ordering::Relaxed);
        let end = async {
            tokio::time::sleep(length).await;
            self.is_over.store(true, Ordering::Relaxed);
        };
        tokio::join!(end, traffic::all(self), floods::all(self), misfortunes::all(self));
    }

    /// Heals everything and waits until everything is settled.
    async fn rest(&self) {
        misfortunes::heal(self).await;
        self.world.let_customers_in().await;
        self.world.sweep().await;
        see_through(self.world).await;
    }

    /// Samples until it is told that all is over.
    async fn watch(&self, every: Duration, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            let next = Instant::now() + every;
            let sample = sample(self).await;
            lock(&self.samples).push(sample);
            while !over.load(Ordering::Relaxed) && Instant::now() < next {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether minutes are asked for.
fn is_long() -> bool {
    setting("SOAK_MINUTES", 0) > 0
}

/// How long the traffic lasts: `SOAK_MINUTES`, or a few seconds.
fn length() -> Duration {
    match setting("SOAK_MINUTES", 0) {
        0 => Duration::from_secs(SHORT),
        minutes => Duration::from_secs(60 * minutes),
    }
}

async fn nothing_grows_however_long_everything_goes_wrong() {
    // The large businesses' endpoints are elsewhere: what they get is not the system's to keep.
    let elsewhere = World::start().await;
    let directory = Directory::new("soak");
    let machine = Machine::start(directory.path()).await;
    let world = World::of(machine.ready.clone());
    world.allow(|allowed| allowed.unheard = true);
    let stage = Stage::set(&world, &elsewhere, &machine, directory.path()).await;
    let length = length();
    let every = (length / SAMPLES).max(BETWEEN_SAMPLES);
    let over = AtomicBool::new(false);

    // A short one has no time for a first rest.
    let run = async {
        let before = match is_long() {
            true => {
                stage.play(length / WARM_UP).await;
                stage.rest().await;
                verdict::at_rest(&stage, false).await
            }
            false => sample(&stage).await,
        };

        let from = stage.begun.elapsed();
        stage.play(length - length / WARM_UP).await;
        let until = stage.begun.elapsed();
        stage.rest().await;
        let after = match is_long() {
            true => verdict::at_rest(&stage, true).await,
            false => sample(&stage).await,
        };

        over.store(true, Ordering::Relaxed);
        (before, after, from.as_secs_f64()..until.as_secs_f64())
    };
    let ((before, after, span), ()) = tokio::join!(run, stage.watch(every, &over));

    let samples = std::mem::take(&mut *lock(&stage.samples));
    let verdict = verdict::Verdict::of(&stage, &samples, span, &before, &after);
    remark(verdict.to_string());
    if let Some(file) = std::env::var_os("SOAK_PICTURE").filter(|name| !name.is_empty()) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PathBuf::from(file));
        std::fs::write(&file, picture::draw(&samples))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    drop(stage);
    drop(world); // the oracle
    verdict.check();
}

/// Asks the sandbox for something that may fail meanwhile.
async fn try_sandbox(world: &World, method: Method, path: &str, body: Value) {
    let request = world.http().request(method, format!("{}/sandbox{path}", world.ready.sandbox));
    let request = if body.is_null() { request } else { request.json(&body) };
    let _ = request.send().await;
}

//! Adverse conditions: queues, providers, clocks and neighbours at their worst. Every test ends in
//! the oracle.
//!
//! `LONG=1 cargo test --test adverse` is the long run.

mod answers;
mod clocks;
mod endpoints;
mod flood;
mod leases;
mod months;
mod neighbours;
mod poison;
mod providers;
mod queues;
mod shards;
mod talk;

use std::process::ExitCode;

use tests::suite::{Suite, setting};
use tests::{Answer, Business, World};
use uuid::Uuid;

/// One conversation takes all that comes on these; on WhatsApp it has its pace.
const UNPACED: [&str; 2] = ["chat", "email"];

/// How many callers there are at once.
const CALLERS: usize = 64;

/// How often in a row a caller tries again under its key what the service did not say the outcome
/// of: a machine that many tests share may be late.
const UNANSWERED: u32 = 5;

/// Sends as the documentation asks callers to: under a key, again after each 503, and after a 500,
/// which says that the message may have been accepted.
async fn send(world: &World, business: &Business, conversation_id: Uuid, text: &str) -> Answer {
    let key = Uuid::new_v4().to_string();
    let mut unanswered = 0;

    loop {
        let answer = world.send(&business.api_key, conversation_id, text).key(&key).go().await;
        match answer.status.as_u16() {
            503 => {}
            500 if unanswered < UNANSWERED => unanswered += 1,
            _ => return answer,
        }
    }
}

/// Whether `LONG` asks for the long run.
fn is_long() -> bool {
    setting("LONG", 0) != 0
}

/// One number for the short run, another for the long one.
fn either<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

fn main() -> ExitCode {
    let suite = Suite::new("adverse");
    let suites = [
        queues::tests,
        providers::tests,
        answers::tests,
        poison::tests,
        leases::tests,
        clocks::tests,
    ];
    let more = [months::tests, shards::tests, neighbours::tests, flood::tests, endpoints::tests];
    let suites = suites.into_iter().chain(more);
    suites.fold(suite, |suite, add| add(suite)).run()
}

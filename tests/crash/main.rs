//! Crash everywhere: each call that a function makes to AWS or a provider is hit by each thing that
//! can go wrong with it, for many seeds; every time everything is accepted once, counted once,
//! arrives in order, and arrives twice only where the outcome was unknown; and each change of a
//! message's status is told to the business's endpoint.
//!
//! Which calls there are is not listed but observed: each kind of work is done once without a fault
//! and recorded. The queues are held, and the test hands the records to the functions as Lambda's
//! event source does, so that what happens follows from the seed alone.
//!
//! `cargo test` tries each fifth case, `SEEDS=1` each, `SEEDS=20` each with 20 seeds;
//! `CASE="deliver-email, delivered, settle, dies after, 7"` runs one case again, and prints each
//! call of it.

mod case;
mod deliver;
mod fault;
mod point;
mod replay;
mod rows;
mod send;
mod stage;
mod sweep;
mod tell;
mod write;

use std::process::ExitCode;

use tests::suite::Suite;

fn main() -> ExitCode {
    let mut suite = Suite::new("crash");
    for work in send::Work::ALL {
        suite =
            suite.test(format!("send_message::{}", work.name()), move || send::every_case(work));
    }

    for channel in ["chat", "whatsapp", "email"] {
        for work in deliver::Work::ALL.into_iter().filter(|work| work.is_on(channel)) {
            let name = format!("deliver_{channel}::{}", work.name().replace(' ', "_"));
            suite = suite.test(name, move || deliver::every_case(channel, work));
        }
    }

    for work in write::Work::ALL {
        suite =
            suite.test(format!("chat_socket::{}", work.name()), move || write::every_case(work));
    }

    for work in tell::Work::ALL {
        let name = format!("{}::{}", work.function(), work.name()).replace(['-', ' '], "_");
        suite = suite.test(name, move || tell::every_case(work));
    }

    suite
        .test("sweep_outbox", sweep::every_case)
        .test("a_seed_replays_exactly", replay::a_seed_replays_exactly)
        .run()
}

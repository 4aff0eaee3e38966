//! The delivery protocol, checked exhaustively: every order in which two senders, two workers, the
//! queue, the sweeper, the provider, its receipts and the clock can act, with crashes and lost
//! answers wherever they can happen.
//!
//! The model has no rules of its own. Its workers follow [`domain::delivery::Round`], as
//! production's workers do; its writes are the transitions of [`domain::delivery::transitions`],
//! which contract tests compare with the table's condition expressions.

mod actions;
mod guarantees;
mod protocol;
mod state;

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use stateright::{Checker, HasDiscoveries, Model};

use protocol::{Protocol, Without};

const TWICE: &str = "twice only after a death or a lost answer";
const ORDER: &str = "the provider gets messages in order";
const RECOVERS: &str = "everything is settled once faults stop";
const ANSWERED: &str = "every send is answered for";

/// The results of the searches, for the table at the end.
static ROWS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("every_guarantee_holds_where_messages_are_sent_again_at_once", || {
            assert_guarantees_hold("chat", Protocol::chat())
        }),
        trial("every_guarantee_holds_where_receipts_are_waited_for", || {
            assert_guarantees_hold("whatsapp, e-mail", Protocol::with_receipts())
        }),
        trial("a_bounce_is_the_last_word_and_breaks_no_other_guarantee", || {
            assert_guarantees_hold("e-mail that bounces", Protocol::with_bounces())
        }),
        trial("without_the_sweeper_messages_are_stuck", || {
            assert_guarantee_breaks(
                "without the sweeper",
                Protocol::with_receipts().without(Without::Sweeper),
                &[RECOVERS],
            )
        }),
        trial("without_the_fence_a_worker_that_was_given_up_does_harm", || {
            assert_guarantee_breaks(
                "without the fence",
                Protocol::chat().without(Without::Fence),
                &[TWICE, ORDER],
            )
        }),
        trial("without_the_condition_on_seq_sends_end_in_an_error", || {
            assert_guarantee_breaks(
                "without the condition on seq",
                Protocol::chat().without(Without::SeqCondition),
                &[ANSWERED],
            )
        }),
        trial("without_the_lease_two_workers_get_in_each_others_way", || {
            assert_guarantee_breaks(
                "without the lease",
                Protocol::chat().without(Without::Lease),
                &[TWICE, ORDER],
            )
        }),
    ];

    let conclusion = libtest_mimic::run(&arguments, trials);

    let mut rows = std::mem::take(&mut *ROWS.lock().unwrap_or_else(PoisonError::into_inner));
    rows.sort();
    if !rows.is_empty() {
        println!("\n  model\n\n{}\n", rows.join("\n"));
    }

    conclusion.exit_code()
}

fn trial(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        run();
        Ok::<(), Failed>(())
    })
}

/// Records the result of a search; returns the guarantees that are broken and the events that
/// happened.
fn record_search(
    name: &str,
    begun: Instant,
    search: &impl Checker<Protocol>,
) -> (Vec<&'static str>, Vec<&'static str>) {
    let found = search.discoveries();
    let (seen, broken): (Vec<_>, Vec<_>) =
        found.keys().copied().partition(|name| name.starts_with("sometimes"));
    let verdict =
        if broken.is_empty() { "every guarantee holds" } else { "broken, as it should be" };
    let states = search.unique_state_count();
    let took = begun.elapsed().as_secs_f64();

    let mut row = format!("  {name:<30} {states:>9} states  {took:>6.1} s  {verdict}");
    for property in &broken {
        row += &format!(
            "\n      not “{property}”, after {} steps",
            found[property].clone().into_actions().len()
        );
    }
    ROWS.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    (broken, seen)
}

/// Explores every state, and asserts that every guarantee holds in all of them.
fn assert_guarantees_hold(name: &str, protocol: Protocol) {
    let begun = Instant::now();
    let search = protocol.checker().threads(2).spawn_dfs().join();
    let (broken, seen) = record_search(name, begun, &search);
    for property in &broken {
        let steps = search.discovery(property).expect("it was found").into_actions();
        println!("not “{property}” after {steps:#?}");
    }
    assert!(broken.is_empty(), "{name}: {broken:?}");
    let sometimes = guarantees::all()
        .iter()
        .filter(|guarantee| guarantee.name.starts_with("sometimes"))
        .count();
    assert_eq!(seen.len(), sometimes, "nothing may hold for want of trying: {seen:?}");
}

/// Searches for the shortest way to break a guarantee; `expected` are those that may be the first
/// to break.
fn assert_guarantee_breaks(name: &str, protocol: Protocol, expected: &[&str]) {
    let begun = Instant::now();
    let search =
        protocol.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let (broken, _) = record_search(name, begun, &search);
    assert!(broken.iter().any(|guarantee| expected.contains(guarantee)), "{name}: {broken:?}");
}

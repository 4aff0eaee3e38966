//! The delivery protocol, checked exhaustively: every order in which two senders, two workers, the queue, the sweeper,
//! the provider, its receipts and the clock can act, with crashes and lost answers wherever they can happen.
//!
//! The model has no rules of its own. Workers follow [`domain::delivery::Round`], which production's workers follow;
//! writes are the transitions of [`domain::delivery::stored`], which contract tests hold against the table's condition
//! expressions.

mod promises;
mod protocol;
mod state;

use protocol::{Protocol, Without};
use stateright::{Checker, HasDiscoveries, Model};
use std::time::Instant;

const TWICE: &str = "twice only after a death or a lost answer";
const ORDER: &str = "the provider gets messages in order";

/// Prints what a search came to; returns the promises that are broken and the things that were seen to happen.
fn conclude(name: &str, begun: Instant, search: &impl Checker<Protocol>) -> (Vec<&'static str>, Vec<&'static str>) {
    let found = search.discoveries();
    let (seen, broken): (Vec<_>, Vec<_>) = found.keys().copied().partition(|name| name.starts_with("sometimes"));
    let verdict = if broken.is_empty() { "every promise holds" } else { "broken, as it should be" };
    println!("{name:<32} {:>9} states  {:>5.1?}  {verdict}", search.unique_state_count(), begun.elapsed());
    for property in &broken {
        let steps = found[property].clone().into_actions();
        println!("    not “{property}”, after {} steps: {steps:?}", steps.len());
    }
    (broken, seen)
}

/// Explores every state there is.
fn holds(name: &str, protocol: Protocol) {
    let begun = Instant::now();
    let search = protocol.checker().threads(2).spawn_dfs().join();
    let (broken, seen) = conclude(name, begun, &search);
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!(seen.len(), 3, "nothing may hold for want of trying: {seen:?}");
}

/// Looks for the shortest way to break a promise; `promises` are those that may be the first to break.
fn fails(name: &str, protocol: Protocol, promises: &[&str]) {
    let begun = Instant::now();
    let search = protocol.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let (broken, _) = conclude(name, begun, &search);
    assert!(broken.iter().any(|promise| promises.contains(promise)), "{broken:?}");
}

#[test]
fn every_promise_holds_where_messages_are_sent_again_at_once() {
    holds("chat", Protocol::chat());
}

#[test]
fn every_promise_holds_where_receipts_are_waited_for() {
    holds("whatsapp, e-mail", Protocol::patient());
}

#[test]
fn without_the_sweeper_messages_are_stuck() {
    let protocol = Protocol::patient().without(Without::Sweeper);
    fails("without the sweeper", protocol, &["everything is settled once faults stop"]);
}

#[test]
fn without_the_fence_a_worker_that_was_given_up_does_harm() {
    let protocol = Protocol::chat().without(Without::Fence);
    fails("without the fence", protocol, &[TWICE, ORDER]);
}

#[test]
fn without_the_condition_on_seq_sends_end_in_an_error() {
    let protocol = Protocol::chat().without(Without::SeqCondition);
    fails("without the condition on seq", protocol, &["every send is answered for"]);
}

#[test]
fn without_the_lease_two_workers_get_in_each_others_way() {
    let protocol = Protocol::chat().without(Without::Lease);
    fails("without the lease", protocol, &[TWICE, ORDER]);
}

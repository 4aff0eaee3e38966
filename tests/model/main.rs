//! The delivery protocol, checked exhaustively: every order in which two senders, two workers, the queue, the sweeper,
//! the provider, its receipts and the clock can act, with crashes and lost answers wherever they can happen.
//!
//! The model has no rules of its own. Workers follow [`domain::delivery::Round`], which production's workers follow;
//! writes are the transitions of [`domain::delivery::stored`], which contract tests hold against the table's condition
//! expressions.

mod protocol;
mod state;

use protocol::{Protocol, Without};
use stateright::{Checker, Model};

/// Explores everything and prints how much that was; returns the names of the properties that do not hold.
fn explore(name: &str, protocol: Protocol) -> Vec<&'static str> {
    let begun = std::time::Instant::now();
    let checker = protocol.checker().threads(2).spawn_dfs().join();
    let broken: Vec<_> =
        checker.discoveries().into_iter().filter(|(property, _)| !property.starts_with("sometimes")).collect();
    println!(
        "{name:<44} {:>9} states {:>7.1?}  {}",
        checker.unique_state_count(),
        begun.elapsed(),
        if broken.is_empty() { "all properties hold" } else { "broken" },
    );
    for (property, path) in &broken {
        println!("  {property}: {:?}", path.clone().into_actions());
    }
    checker.discoveries().into_keys().filter(|property| !property.starts_with("sometimes")).collect()
}

/// That the interesting things happen at all, so that nothing holds for want of trying.
fn witnessed(protocol: &Protocol) {
    let checker = protocol.clone().checker().threads(2).spawn_dfs().join();
    for property in ["sometimes a message is in doubt", "sometimes a customer gets a message twice"] {
        assert!(checker.discovery(property).is_some(), "{property} never happens");
    }
}

#[test]
fn every_promise_holds_with_two_messages_two_workers_and_two_crashes() {
    for (name, protocol) in
        [("chat: sends again at once", Protocol::chat()), ("whatsapp, e-mail: wait for a receipt", Protocol::patient())]
    {
        assert_eq!(explore(name, protocol.clone()), [""; 0]);
        witnessed(&protocol);
    }
}

#[test]
fn without_the_sweeper_messages_are_stuck() {
    let broken = explore("without the sweeper", Protocol::patient().without(Without::Sweeper));
    assert!(broken.contains(&"everything is settled once faults stop"), "{broken:?}");
}

#[test]
fn without_the_fence_customers_get_messages_twice_for_no_reason() {
    let broken = explore("without the fence", Protocol::chat().without(Without::Fence));
    assert!(broken.contains(&"twice only after a death or a lost answer"), "{broken:?}");
}

#[test]
fn without_the_condition_on_seq_sends_end_in_an_error() {
    let broken = explore("without the condition on seq", Protocol::chat().without(Without::SeqCondition));
    assert!(broken.contains(&"every send is answered for"), "{broken:?}");
}

#[test]
fn without_the_lease_two_workers_send_the_same() {
    let broken = explore("without the lease", Protocol::chat().without(Without::Lease));
    assert!(broken.contains(&"twice only after a death or a lost answer"), "{broken:?}");
}

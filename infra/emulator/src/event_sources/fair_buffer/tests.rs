//! Turns of tenants, without a queue and without a clock.

use super::*;

/// Adds so many new messages of a tenant.
fn put(
    state: &mut State,
    tenant: &str,
    number: usize,
    faults: Option<&Arc<QueueFaults>>,
    now: Instant,
) {
    for _ in 0..number {
        let message = Message::builder().message_id(uuid::Uuid::new_v4().to_string()).build();
        state.add(&message, tenant, faults, now);
    }
}

fn tenants(taken: &[Delivery]) -> Vec<&str> {
    taken.iter().map(|delivery| delivery.tenant.as_str()).collect()
}

fn faults(copies: u8, delay_ms: u64, seed: u64) -> Arc<QueueFaults> {
    Arc::new(QueueFaults { copies, shuffle: true, delay_ms, unfair: false, seed: Some(seed) })
}

#[test]
fn a_tenant_that_fills_the_consumers_waits_for_the_others() {
    let (mut state, now) = (State::default(), Instant::now());
    put(&mut state, "noisy", 60, None, now);
    put(&mut state, "quiet", 2, None, now);
    let (taken, _) = state.take_batch(29, &[], Order::Fair, now);
    assert_eq!(tenants(&taken), ["noisy"; 29], "the oldest come first");
    assert_eq!(
        tenants(&state.take_batch(1, &[], Order::Fair, now).0),
        ["noisy"],
        "29 in flight are not many"
    );
    assert_eq!(tenants(&state.take_batch(3, &[], Order::Fair, now).0), ["quiet", "quiet", "noisy"]);
}

#[test]
fn without_groups_all_tenants_wait_behind_a_noisy_one() {
    let (mut state, now) = (State::default(), Instant::now());
    put(&mut state, "noisy", 60, None, now);
    put(&mut state, "quiet", 1, None, now);
    assert_eq!(tenants(&state.take_batch(60, &[], Order::Oldest, now).0), ["noisy"; 60]);
    assert_eq!(tenants(&state.take_batch(60, &[], Order::Oldest, now).0), ["quiet"]);
}

#[test]
fn a_tenant_that_takes_the_consumers_time_waits_until_that_is_long_ago() {
    let (mut state, begun) = (State::default(), Instant::now());
    for (tenant, took) in [("slow", 89), ("quick", 1), ("quick", 1), ("steady", 9)] {
        put(&mut state, tenant, 1, None, begun);
        assert_eq!(state.take_batch(1, &[], Order::Fair, begun).0.len(), 1);
        state.finish(tenant, begun, begun + Duration::from_millis(took));
    }

    let now = begun + Duration::from_secs(1);
    for tenant in ["slow", "quick", "steady"] {
        put(&mut state, tenant, 1, None, now);
    }

    assert_eq!(
        tenants(&state.take_batch(2, &[], Order::Fair, now).0),
        ["quick", "steady"],
        "2 and 9 of 100 ms are few"
    );

    let later = now + RECENT;
    put(&mut state, "quick", 1, None, later);
    assert_eq!(
        tenants(&state.take_batch(2, &[], Order::Fair, later).0),
        ["slow", "quick"],
        "the oldest come first again"
    );
}

#[test]
fn of_several_noisy_neighbours_the_one_with_the_least_in_flight_is_next() {
    let (mut state, now) = (State::default(), Instant::now());
    put(&mut state, "first", 40, None, now);
    assert_eq!(state.take_batch(35, &[], Order::Fair, now).0.len(), 35);
    put(&mut state, "second", 40, None, now);

    assert_eq!(
        tenants(&state.take_batch(30, &[], Order::Fair, now).0),
        ["second"; 30],
        "quiet until then"
    );

    assert_eq!(
        tenants(&state.take_batch(7, &[], Order::Fair, now).0)[..5],
        ["second"; 5],
        "up to what the first has"
    );
}

/// Takes everything, four at a time, as it becomes due.
fn drain(state: &mut State, order: Order<'_>, mut now: Instant) -> Vec<Vec<Delivery>> {
    let mut batches = Vec::new();
    loop {
        let (taken, next) = state.take_batch(4, &[], order, now);
        match (taken.is_empty(), state.later.is_empty()) {
            (true, true) => return batches,
            (true, false) => now = next,
            (false, _) => {
                assert!(
                    taken.iter().all(|delivery| delivery.at <= now),
                    "nothing comes before its time"
                );
                batches.push(taken);
            }
        }
    }
}

#[test]
fn each_record_comes_up_to_so_many_times_and_never_twice_at_once() {
    let (mut state, now, faults) = (State::default(), Instant::now(), faults(5, 300, 7));
    put(&mut state, "tenant", 50, Some(&faults), now);
    let batches = drain(&mut state, Order::Random(&faults), now);
    let mut times: BTreeMap<String, usize> = BTreeMap::new();

    for batch in &batches {
        let ids: std::collections::BTreeSet<_> =
            batch.iter().map(|delivery| &delivery.message.message_id).collect();
        assert_eq!(ids.len(), batch.len());
        batch.iter().for_each(|delivery| {
            *times.entry(delivery.message.message_id.clone().unwrap()).or_default() += 1
        });
    }

    let counts: std::collections::BTreeSet<usize> = times.values().copied().collect();
    assert_eq!((times.len(), counts), (50, (1..=5).collect()));
    let numbers: Vec<u64> = batches.concat().iter().map(|delivery| delivery.number).collect();

    assert!(!numbers.is_sorted(), "they are shuffled");
}

#[test]
fn the_same_seed_throws_the_same_dice() {
    let now = Instant::now();
    let order = |faults: &Arc<QueueFaults>| {
        let mut state = State::default();
        put(&mut state, "tenant", 30, Some(faults), now);
        let batches = drain(&mut state, Order::Random(faults), now);
        batches.concat().iter().map(|delivery| delivery.number).collect::<Vec<_>>()
    };
    assert_eq!(order(&faults(5, 100, 7)), order(&faults(5, 100, 7)));
    assert_ne!(order(&faults(5, 100, 7)), order(&faults(5, 100, 8)));
}

#[test]
fn what_is_in_a_batch_already_does_not_join_it_again() {
    let (mut state, now, faults) = (State::default(), Instant::now(), faults(5, 0, 7));
    put(&mut state, "tenant", 1, Some(&faults), now);
    let (first, _) = state.take_batch(10, &[], Order::Oldest, now);
    assert_eq!(first.len(), 1);
    assert!(state.take_batch(10, &first, Order::Oldest, now).0.is_empty());
    assert!(state.take_batch(10, &first, Order::Random(&faults), now).0.is_empty());
    assert_eq!(state.take_batch(10, &[], Order::Oldest, now).0.len(), 1);
}

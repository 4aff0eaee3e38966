//! The commands that a worker gets, from the first message it reads until it stops.

use super::*;
use crate::delivery::{Accepted, Failure, OnUnknownOutcome};
use crate::rate_limit::RateLimit;

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// How often a paused channel is looked at, and half of the time over which its conversations
/// continue: with the half minute of a worker's cache, an end takes effect within the five minutes
/// that infra/OPERATIONS.md names.
const PAUSE_CHECK: TimeDelta = TimeDelta::minutes(4);
const HALF_SPREAD: TimeDelta = TimeDelta::seconds(15);

fn message(status: Status) -> Progress {
    Progress { status, created_at: NOW, attempts: 0, unknown_outcomes: 0, attempted_at: None }
}

fn taken() -> SendOutcome {
    Ok(Accepted { provider_id: None })
}

fn policy() -> DeliveryPolicy {
    DeliveryPolicy {
        receipt_timeout: TimeDelta::seconds(120),
        on_unknown_outcome: OnUnknownOutcome::Resend,
        rate_limit: RateLimit::UNLIMITED,
        max_messages: 10,
        paused_until: None,
    }
}

/// Runs a round over `messages`, answering each hand-over with `outcome`; returns every command.
fn run(messages: &[Progress], outcome: &SendOutcome) -> Vec<Command> {
    run_with(messages, outcome, policy(), |_| Event::Done)
}

/// Runs a round like [`run`]; `on_requeue` answers each [`Command::Requeue`] and may change the
/// messages.
fn run_with(
    messages: &[Progress],
    outcome: &SendOutcome,
    policy: DeliveryPolicy,
    on_requeue: impl Fn(&mut Vec<Progress>) -> Event,
) -> Vec<Command> {
    let mut messages = messages.to_vec();
    let mut round = Round::new(Seq(0), None, policy);
    let mut event = Event::Begun;
    let mut commands = Vec::new();

    loop {
        let command = round.next(event, NOW, 0.5);
        commands.push(command.clone());
        event = match command {
            Command::Read(after) => {
                let all = (1..).map(Seq).zip(messages.iter().cloned());
                let messages = all.filter(|(seq, _)| *seq > after).collect();
                Event::Messages { messages, has_more: false }
            }
            Command::Mark(_) => Event::Marked(Progress { attempts: 1, ..message(Status::Sending) }),
            Command::HandOver(_) => Event::Answered(outcome.clone()),
            Command::Requeue { .. } => on_requeue(&mut messages),
            Command::Stop(_) => return commands,
            _ => Event::Done,
        };
    }
}

#[test]
fn messages_go_out_one_after_the_other() {
    let commands = run(&[message(Status::Queued), message(Status::Queued)], &taken());

    let sent = || Settlement::Sent { provider_id: None };
    let one = |seq| [Command::Mark(seq), Command::HandOver(seq), Command::Settle(seq, sent())];
    let end = [Command::Release, Command::Stop(RoundOutcome::Settled)];
    let wanted: Vec<_> = [Command::Read(Seq(0))]
        .into_iter()
        .chain(one(Seq(1)))
        .chain(one(Seq(2)))
        .chain(end)
        .collect();

    assert_eq!(commands, wanted);
}

#[test]
fn behind_a_full_page_others_are_looked_for_before_the_release() {
    let mut round = Round::new(Seq(0), None, policy());
    let page = |messages, has_more| Event::Messages { messages, has_more };
    let settled = |seq| vec![(Seq(seq), message(Status::Sent))];
    let events = [
        (Event::Begun, Command::Read(Seq(0))),
        (page(settled(1), true), Command::Read(Seq(1))),
        (page(Vec::new(), false), Command::Release),
        // A message came meanwhile, and another one while it was released.
        (Event::Changed, Command::Read(Seq(1))),
        (page(settled(2), false), Command::Release),
        (Event::Changed, Command::Read(Seq(2))),
        (page(settled(3), false), Command::Release),
        (Event::Done, Command::Stop(RoundOutcome::Settled)),
    ];
    for (event, command) in events {
        assert_eq!(round.next(event, NOW, 0.5), command);
    }
    assert_eq!(round.settled_seq(), Seq(3));
}

#[test]
fn nothing_overtakes_a_message_that_has_to_wait() {
    let reason = || Reason::new("rate_limited", "slower");
    let busy = Err(Failure::Transient { reason: reason(), retry_after: None });
    let commands = run(&[message(Status::Queued), message(Status::Queued)], &busy);
    assert!(commands.iter().all(|command| !matches!(command, Command::Mark(Seq(2)))));
    assert_eq!(commands.last(), Some(&Command::Stop(RoundOutcome::Postponed)));
}

#[test]
fn a_settled_message_is_only_moved_past() {
    let commands = run(&[message(Status::Delivered)], &taken());
    assert_eq!(commands[1], Command::Release);
    assert!(!commands.contains(&Command::HandOver(Seq(1))));
}

#[test]
fn a_message_that_a_dead_worker_left_is_put_in_doubt_first() {
    let commands = run(&[message(Status::Sending)], &taken());
    assert!(matches!(commands[1], Command::Requeue { status: Status::InDoubt, .. }));
    assert_eq!(commands[2], Command::Postpone(NOW + TimeDelta::seconds(120)));
}

#[test]
fn a_receipt_that_is_faster_than_the_worker_lets_the_next_message_go_at_once() {
    let no_answer = Err(Failure::Unknown(Reason::new("no_answer", "nothing came")));
    let commands = run_with(
        &[message(Status::Queued), message(Status::Sent)],
        &no_answer,
        policy(),
        |messages| {
            messages[0].status = Status::Delivered;
            Event::Changed
        },
    );

    let end = [Command::Release, Command::Stop(RoundOutcome::Settled)];
    assert!(matches!(commands[3], Command::Requeue { seq: Seq(1), status: Status::InDoubt, .. }));
    assert_eq!(commands[4..], [&[Command::Read(Seq(0))], &end[..]].concat());
}

#[test]
fn a_message_that_keeps_changing_ends_the_round() {
    let commands = run_with(&[message(Status::Sending)], &taken(), policy(), |_| Event::Changed);
    let tries =
        commands.iter().filter(|command| matches!(command, Command::Requeue { .. })).count();
    assert_eq!((tries, commands.last()), (11, Some(&Command::Stop(RoundOutcome::LeaseLost))));
}

#[test]
fn a_message_in_doubt_waits_for_its_receipt() {
    let commands = run(&[message(Status::InDoubt)], &taken());
    assert_eq!(commands[1], Command::Postpone(NOW + TimeDelta::seconds(120)));
}

#[test]
fn after_the_maximum_of_messages_other_conversations_go_first() {
    let waiting = vec![message(Status::Queued); 3];
    let commands =
        run_with(&waiting, &taken(), DeliveryPolicy { max_messages: 2, ..policy() }, |_| {
            Event::Done
        });
    let marked = commands.iter().filter(|command| matches!(command, Command::Mark(_))).count();
    let end = [Command::Postpone(NOW), Command::Stop(RoundOutcome::Postponed)];
    assert_eq!((marked, &commands[commands.len() - 2..]), (2, &end[..]));
}

#[test]
fn the_next_message_waits_for_the_rate_limit_across_rounds() {
    let gap = TimeDelta::milliseconds(500);
    let rate_limit = RateLimit { min_gap: gap, ..RateLimit::UNLIMITED };
    let commands = run_with(
        &vec![message(Status::Queued); 2],
        &taken(),
        DeliveryPolicy { rate_limit, ..policy() },
        |_| Event::Done,
    );

    assert!(
        !commands.contains(&Command::Mark(Seq(2)))
            && commands.contains(&Command::Postpone(NOW + gap))
    );

    let mut next = Round::new(
        Seq(1),
        rate_limit.after_use(None, NOW),
        DeliveryPolicy { rate_limit, ..policy() },
    );

    assert_eq!(next.next(Event::Begun, NOW, 0.5), Command::Read(Seq(1)));
    let messages = vec![(Seq(2), message(Status::Queued))];
    let waiting = Event::Messages { messages, has_more: false };
    assert_eq!(next.next(waiting.clone(), NOW, 0.5), Command::Postpone(NOW + gap));

    let mut next = Round::new(
        Seq(1),
        rate_limit.after_use(None, NOW),
        DeliveryPolicy { rate_limit, ..policy() },
    );

    assert_eq!(next.next(Event::Begun, NOW + gap, 0.5), Command::Read(Seq(1)));
    assert_eq!(next.next(waiting, NOW + gap, 0.5), Command::Mark(Seq(2)), "its time has come");
    let marked = Event::Marked(message(Status::Sending));
    assert_eq!(next.next(marked, NOW + gap, 0.5), Command::HandOver(Seq(2)));

    assert_eq!(next.rate_limit_state().map(|state| state.last_at), Some(NOW + gap));
}

#[test]
fn a_part_of_a_message_waits_for_the_rate_limit_like_a_message() {
    let gap = TimeDelta::milliseconds(500);
    let after_first_part = |rate_limit: RateLimit| {
        let mut round =
            Round::new(Seq(0), None, DeliveryPolicy { rate_limit, max_messages: 1, ..policy() });
        let messages = vec![(Seq(1), message(Status::Queued))];
        let begin = [Event::Begun, Event::Messages { messages, has_more: false }];
        let first =
            [Event::Marked(message(Status::Sending)), Event::TakenInPart(message(Status::Queued))];
        let commands: Vec<_> =
            begin.into_iter().chain(first).map(|event| round.next(event, NOW, 0.5)).collect();
        (commands.last().cloned(), round.rate_limit_state().map(|state| state.conforms_at))
    };

    let rate_limit = RateLimit { min_gap: gap, interval: gap, burst: 9 };
    assert_eq!(
        after_first_part(rate_limit),
        (Some(Command::Postpone(NOW + gap)), Some(NOW + gap)),
        "a part uses the rate limit as well"
    );

    assert_eq!(
        after_first_part(RateLimit::UNLIMITED),
        (Some(Command::Postpone(NOW)), None),
        "and counts as a message"
    );
}

#[test]
fn a_channel_that_is_down_is_paused_and_costs_no_attempt() {
    let reason = Reason::new("token_rejected", "no");
    let minute = TimeDelta::seconds(60);
    let down = Err(Failure::ChannelDown { reason, wait: std::time::Duration::from_secs(60) });
    let commands = run(&[message(Status::Queued)], &down);
    assert!(
        matches!(commands[3], Command::Requeue { counted: false, status: Status::Queued, .. }),
        "{commands:?}"
    );
    assert_eq!(commands[4..6], [Command::Pause(NOW + minute), Command::Postpone(NOW + minute)]);
}

#[test]
fn a_long_pause_is_checked_regularly_because_it_may_end_early() {
    let day = NOW + TimeDelta::hours(24);
    let commands_until = |until| {
        let paused = DeliveryPolicy { paused_until: Some(until), ..policy() };
        run_with(&[message(Status::Queued)], &taken(), paused, |_| Event::Done)
    };

    let waits = |until, at| {
        assert_eq!(
            commands_until(until)[1..],
            [Command::Postpone(at), Command::Stop(RoundOutcome::Postponed)],
            "{until}"
        );
    };

    waits(day, NOW + PAUSE_CHECK + HALF_SPREAD);
    waits(NOW + PAUSE_CHECK, NOW + PAUSE_CHECK + HALF_SPREAD);
    let shorter = NOW + PAUSE_CHECK - TimeDelta::seconds(1);
    waits(shorter, shorter + HALF_SPREAD);

    // The worker that finds the channel down checks again as early.
    let reason = Reason::new("account_blocked", "no");
    let wait = std::time::Duration::from_secs(900);
    let commands = run(&[message(Status::Queued)], &Err(Failure::ChannelDown { reason, wait }));
    let pause = Command::Pause(NOW + TimeDelta::seconds(900));

    assert_eq!(commands[4..6], [pause, Command::Postpone(NOW + PAUSE_CHECK)]);
}

#[test]
fn on_a_paused_channel_no_attempt_begins_and_expired_messages_end() {
    let until = NOW + TimeDelta::seconds(60);
    let paused = || DeliveryPolicy { paused_until: Some(until), ..policy() };
    let commands = run_with(&[message(Status::Queued)], &taken(), paused(), |_| Event::Done);

    assert_eq!(commands[1], Command::Postpone(until + HALF_SPREAD));

    let old = Progress { created_at: NOW - TimeDelta::hours(24), ..message(Status::Queued) };
    let commands = run_with(&[old], &taken(), paused(), |_| Event::Done);
    assert!(
        matches!(&commands[1], Command::Settle(_, Settlement::GivenUp(reason)) if reason.code == "channel_paused")
    );

    let over = DeliveryPolicy { paused_until: Some(NOW), ..policy() };
    let commands = run_with(&[message(Status::Queued)], &taken(), over, |_| Event::Done);
    assert_eq!(commands[1], Command::Mark(Seq(1)));
}

#[test]
fn a_release_that_keeps_being_refused_with_nothing_to_read_ends_the_round() {
    let mut round = Round::new(Seq(0), None, policy());
    let mut event = Event::Begun;

    for _ in 0..100 {
        event = match round.next(event, NOW, 0.5) {
            Command::Read(_) => Event::Messages { messages: Vec::new(), has_more: false },
            Command::Release => Event::Changed,
            command => {
                assert_eq!(command, Command::Stop(RoundOutcome::LeaseLost));
                return;
            }
        };
    }
    panic!("the round does not end");
}

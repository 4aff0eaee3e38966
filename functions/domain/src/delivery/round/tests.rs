//! What a worker is told, from the first message it reads until it stops.

use super::*;
use crate::delivery::{Accepted, Failure};

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn message(status: Status) -> Progress {
    Progress { status, created_at: NOW, attempts: 0, unknown_outcomes: 0, attempted_at: None }
}

fn taken() -> SendOutcome {
    Ok(Accepted { provider_id: None })
}

fn policy() -> DeliveryPolicy {
    let (receipt_timeout, on_unknown_outcome) = (TimeDelta::seconds(120), OnUnknownOutcome::Resend);
    DeliveryPolicy {
        receipt_timeout,
        on_unknown_outcome,
        rate_limit: RateLimit::UNLIMITED,
        max_messages: 10,
        paused_until: None,
    }
}

/// Runs a round over `messages`, answering each hand-over with `outcome`; returns everything that
/// was told.
fn run(messages: &[Progress], outcome: &SendOutcome) -> Vec<Command> {
    run_with(messages, outcome, policy(), |_| Event::Done)
}

/// The same, where `put_back` says what comes of putting a message back, and may change the
/// messages.
fn run_with(
    messages: &[Progress],
    outcome: &SendOutcome,
    terms: DeliveryPolicy,
    put_back: impl Fn(&mut Vec<Progress>) -> Event,
) -> Vec<Command> {
    let mut messages = messages.to_vec();
    let mut round = Round::new(Seq(0), None, terms);
    let (mut event, mut told) = (Event::Begun, Vec::new());
    loop {
        let command = round.next(event, NOW, 0.5);
        told.push(command.clone());
        event = match command {
            Command::Read(after) => {
                let all = (1..).map(Seq).zip(messages.iter().cloned());
                Event::Messages(all.filter(|(seq, _)| *seq > after).collect())
            }
            Command::Mark(_) => Event::Marked(Progress { attempts: 1, ..message(Status::Sending) }),
            Command::HandOver(_) => Event::Answered(outcome.clone()),
            Command::Requeue { .. } => put_back(&mut messages),
            Command::Stop(_) => return told,
            _ => Event::Done,
        };
    }
}

#[test]
fn messages_go_out_one_after_the_other() {
    let told = run(&[message(Status::Queued), message(Status::Queued)], &taken());
    let sent = || Settlement::Sent { provider_id: None };
    let one = |seq| {
        [
            Command::Mark(seq),
            Command::HandOver(seq),
            Command::Settle(seq, sent()),
            Command::Advance(seq),
        ]
    };
    let (first, second) = (one(Seq(1)), one(Seq(2)));
    let end = [Command::Read(Seq(2)), Command::Release, Command::Stop(RoundOutcome::Settled)];
    let wanted: Vec<_> =
        [Command::Read(Seq(0))].into_iter().chain(first).chain(second).chain(end).collect();
    assert_eq!(told, wanted);
}

#[test]
fn nothing_overtakes_a_message_that_has_to_wait() {
    let reason = || Reason::new("rate_limited", "slower");
    let busy = Err(Failure::Transient { reason: reason(), retry_after: None });
    let told = run(&[message(Status::Queued), message(Status::Queued)], &busy);
    assert!(told.iter().all(|command| !matches!(command, Command::Mark(Seq(2)))));
    assert_eq!(told.last(), Some(&Command::Stop(RoundOutcome::Postponed)));
}

#[test]
fn what_is_settled_already_is_only_moved_past() {
    let told = run(&[message(Status::Delivered)], &taken());
    assert_eq!(told[1], Command::Advance(Seq(1)));
    assert!(!told.contains(&Command::HandOver(Seq(1))));
}

#[test]
fn a_message_that_a_dead_worker_left_is_put_in_doubt_first() {
    let told = run(&[message(Status::Sending)], &taken());
    assert!(matches!(told[1], Command::Requeue { status: Status::InDoubt, .. }));
    assert_eq!(told[2], Command::Postpone(NOW + TimeDelta::seconds(120)));
}

#[test]
fn a_receipt_that_is_faster_than_the_worker_lets_the_next_message_go_at_once() {
    let no_answer = Err(Failure::Unknown(Reason::new("no_answer", "nothing came")));
    let told = run_with(
        &[message(Status::Queued), message(Status::Sent)],
        &no_answer,
        policy(),
        |messages| {
            messages[0].status = Status::Delivered;
            Event::Changed
        },
    );
    let end = [Command::Advance(Seq(1)), Command::Advance(Seq(2)), Command::Read(Seq(2))];
    assert!(matches!(told[3], Command::Requeue { seq: Seq(1), status: Status::InDoubt, .. }));
    assert_eq!(told[4..8], [&[Command::Read(Seq(0))], &end[..]].concat());
    assert_eq!(told.last(), Some(&Command::Stop(RoundOutcome::Settled)));
}

#[test]
fn a_message_that_never_lets_itself_be_put_back_is_somebody_elses() {
    let told = run_with(&[message(Status::Sending)], &taken(), policy(), |_| Event::Changed);
    let tries = told.iter().filter(|command| matches!(command, Command::Requeue { .. })).count();
    assert_eq!(
        (tries, told.last()),
        (1 + usize::from(MOST_SURPRISES), Some(&Command::Stop(RoundOutcome::LeaseLost)))
    );
}

#[test]
fn a_message_in_doubt_is_left_as_it_is_and_waited_for() {
    let told = run(&[message(Status::InDoubt)], &taken());
    assert_eq!(told[1], Command::Postpone(NOW + TimeDelta::seconds(120)));
}

#[test]
fn after_its_turn_a_conversation_lets_the_others_go_first() {
    let waiting = vec![message(Status::Queued); 3];
    let told = run_with(&waiting, &taken(), DeliveryPolicy { max_messages: 2, ..policy() }, |_| {
        Event::Done
    });
    let marked = told.iter().filter(|command| matches!(command, Command::Mark(_))).count();
    let end =
        [Command::Advance(Seq(2)), Command::Postpone(NOW), Command::Stop(RoundOutcome::Postponed)];
    assert_eq!((marked, &told[told.len() - 3..]), (2, &end[..]));
}

#[test]
fn the_next_message_waits_for_its_time_and_the_conversation_remembers() {
    let gap = TimeDelta::milliseconds(500);
    let rate_limit = RateLimit { min_gap: gap, ..RateLimit::UNLIMITED };
    let told = run_with(
        &vec![message(Status::Queued); 2],
        &taken(),
        DeliveryPolicy { rate_limit, ..policy() },
        |_| Event::Done,
    );
    assert!(!told.contains(&Command::Mark(Seq(2))) && told.contains(&Command::Postpone(NOW + gap)));
    let mut next = Round::new(
        Seq(1),
        rate_limit.after_send(None, NOW),
        DeliveryPolicy { rate_limit, ..policy() },
    );
    assert_eq!(next.next(Event::Begun, NOW, 0.5), Command::Read(Seq(1)));
    let waiting = Event::Messages(vec![(Seq(2), message(Status::Queued))]);
    assert_eq!(next.next(waiting.clone(), NOW, 0.5), Command::Postpone(NOW + gap));
    let mut next = Round::new(
        Seq(1),
        rate_limit.after_send(None, NOW),
        DeliveryPolicy { rate_limit, ..policy() },
    );
    assert_eq!(next.next(Event::Begun, NOW + gap, 0.5), Command::Read(Seq(1)));
    assert_eq!(next.next(waiting, NOW + gap, 0.5), Command::Mark(Seq(2)), "its time has come");
    let marked = Event::Marked(message(Status::Sending));
    assert_eq!(next.next(marked, NOW + gap, 0.5), Command::HandOver(Seq(2)));
    assert_eq!(next.rate_limit_state().map(|state| state.last_sent_at), Some(NOW + gap));
}

#[test]
fn a_part_of_a_message_waits_for_its_time_like_a_message() {
    let gap = TimeDelta::milliseconds(500);
    let told = |rate_limit: RateLimit| {
        let mut round =
            Round::new(Seq(0), None, DeliveryPolicy { rate_limit, max_messages: 1, ..policy() });
        let begin = [Event::Begun, Event::Messages(vec![(Seq(1), message(Status::Queued))])];
        let first =
            [Event::Marked(message(Status::Sending)), Event::TakenInPart(message(Status::Queued))];
        let told: Vec<_> =
            begin.into_iter().chain(first).map(|event| round.next(event, NOW, 0.5)).collect();
        (told.last().cloned(), round.rate_limit_state().map(|state| state.conforms_at))
    };
    let rate_limit = RateLimit { min_gap: gap, interval: gap, burst: 9 };
    assert_eq!(
        told(rate_limit),
        (Some(Command::Postpone(NOW + gap)), Some(NOW + gap)),
        "it has used the rate_limit as well"
    );
    assert_eq!(told(RateLimit::UNLIMITED), (Some(Command::Postpone(NOW)), None), "and its turn");
}

#[test]
fn a_channel_that_is_down_is_paused_and_costs_no_attempt() {
    let (reason, minute) = (Reason::new("token_rejected", "no"), TimeDelta::seconds(60));
    let down = Err(Failure::ChannelDown { reason, wait: std::time::Duration::from_secs(60) });
    let told = run(&[message(Status::Queued)], &down);
    assert!(
        matches!(told[3], Command::Requeue { counted: false, status: Status::Queued, .. }),
        "{told:?}"
    );
    assert_eq!(told[4..6], [Command::Pause(NOW + minute), Command::Postpone(NOW + minute)]);
}

#[test]
fn a_long_pause_is_looked_at_now_and_then_for_it_may_end_before_its_time() {
    let day = NOW + TimeDelta::hours(24);
    let told = |until| {
        let paused = DeliveryPolicy { paused_until: Some(until), ..policy() };
        run_with(&[message(Status::Queued)], &taken(), paused, |_| Event::Done)
    };
    let waits = |until, at| {
        assert_eq!(
            told(until)[1..],
            [Command::Postpone(at), Command::Stop(RoundOutcome::Postponed)],
            "{until}"
        );
    };
    waits(day, NOW + LOOK_AGAIN + SPREAD / 2);
    waits(NOW + LOOK_AGAIN, NOW + LOOK_AGAIN + SPREAD / 2);
    let shorter = NOW + LOOK_AGAIN - TimeDelta::seconds(1);
    waits(shorter, shorter + SPREAD / 2);
    // Whoever finds out looks again as well.
    let (reason, wait) =
        (Reason::new("account_blocked", "no"), std::time::Duration::from_secs(900));
    let told = run(&[message(Status::Queued)], &Err(Failure::ChannelDown { reason, wait }));
    let pause = Command::Pause(NOW + TimeDelta::seconds(900));
    assert_eq!(told[4..6], [pause, Command::Postpone(NOW + LOOK_AGAIN)]);
}

#[test]
fn on_a_paused_channel_nothing_is_begun_and_what_has_had_its_day_ends() {
    let until = NOW + TimeDelta::seconds(60);
    let paused = || DeliveryPolicy { paused_until: Some(until), ..policy() };
    let told = run_with(&[message(Status::Queued)], &taken(), paused(), |_| Event::Done);
    assert_eq!(told[1], Command::Postpone(until + SPREAD / 2));
    let old = Progress { created_at: NOW - TimeDelta::hours(24), ..message(Status::Queued) };
    let told = run_with(&[old], &taken(), paused(), |_| Event::Done);
    assert!(
        matches!(&told[1], Command::Settle(_, Settlement::GivenUp(reason)) if reason.code == "channel_paused")
    );
    let over = DeliveryPolicy { paused_until: Some(NOW), ..policy() };
    let told = run_with(&[message(Status::Queued)], &taken(), over, |_| Event::Done);
    assert_eq!(told[1], Command::Mark(Seq(1)));
}

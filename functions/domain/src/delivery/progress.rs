//! What a worker does with the next message, and what follows from the provider's answer.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::outcome::{Accepted, Failure, Reason, SendOutcome};
use super::status::Status;

/// A message that could not be handed over for this long ends `failed`.
pub const MAX_AGE: TimeDelta = TimeDelta::hours(24);

/// A message is handed over at most this often. With the waits below that is more than [`MAX_AGE`];
/// it bounds what a provider that asks for short waits can cost.
pub const MAX_ATTEMPTS: u32 = 120;

/// A message whose fate was unknown this often ends `failed`: whatever swallows it would do so for
/// ever.
pub const MAX_UNKNOWN_OUTCOMES: u32 = 5;

const FIRST_WAIT: TimeDelta = TimeDelta::seconds(5);
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(15);

/// How long to leave a chat message whose customer is away before looking again; their return rings
/// the doorbell anyway.
const AWAY_WAIT: TimeDelta = TimeDelta::minutes(15);

/// How far one message has come, as far as the worker is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Progress {
    /// How far it has come.
    pub status: Status,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// How often it was handed over.
    pub attempts: u32,
    /// How often nobody knew what became of it.
    pub unknown_outcomes: u32,
    /// When it was last handed over.
    pub attempted_at: Option<DateTime<Utc>>,
}

/// What a channel does when the wait for a receipt was in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknownOutcome {
    /// Send again: the customer may see it twice, but will see it.
    #[default]
    Resend,
    /// Give it up: the customer may never see it, but never twice.
    Hold,
}

/// What to do with a message whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NextStep {
    /// It is settled; go on to the next.
    Done,
    /// Hand it to the provider.
    Attempt,
    /// A worker died over it, or its answer was lost: wait until then for a receipt.
    AwaitReceipt(DateTime<Utc>),
    /// It ends here.
    GiveUp(Reason),
}

/// What to do with a message whose turn it is; `doubt` is how long the channel waits for a receipt
/// ([`crate::Channel::receipt_timeout`]).
#[must_use]
pub fn next_step(
    message: &Progress,
    doubt: TimeDelta,
    policy: OnUnknownOutcome,
    now: DateTime<Utc>,
) -> NextStep {
    match message.status {
        Status::Sent | Status::Delivered | Status::Read | Status::Failed => NextStep::Done,
        Status::Queued => bounded(message, now),
        // `Sending` seen by somebody who just claimed: the worker before died in the middle.
        Status::Sending | Status::InDoubt => {
            let since = message.attempted_at.unwrap_or(message.created_at);
            match policy {
                _ if now < since + doubt => NextStep::AwaitReceipt(since + doubt),
                OnUnknownOutcome::Resend => bounded(message, now),
                OnUnknownOutcome::Hold => NextStep::GiveUp(Reason::new(
                    "outcome_unknown",
                    "no answer and no receipt came, and the channel is set not to send twice",
                )),
            }
        }
    }
}

fn bounded(message: &Progress, now: DateTime<Utc>) -> NextStep {
    let unknown = message.unknown_outcomes + u32::from(message.status == Status::Sending);
    if message.attempts == 0 {
        NextStep::Attempt // However late: it has not had its chance yet.
    } else if unknown >= MAX_UNKNOWN_OUTCOMES {
        NextStep::GiveUp(Reason::new(
            "outcome_unknown",
            format!("no answer and no receipt came {unknown} times"),
        ))
    } else if message.attempts >= MAX_ATTEMPTS {
        NextStep::GiveUp(Reason::new(
            "attempts_exhausted",
            format!("not delivered in {} attempts", message.attempts),
        ))
    } else if is_expired(message, now) {
        NextStep::GiveUp(Reason::new("expired", "not delivered within 24 hours"))
    } else {
        NextStep::Attempt
    }
}

/// Whether a message has had its day.
pub(super) fn is_expired(message: &Progress, now: DateTime<Utc>) -> bool {
    now >= message.created_at + MAX_AGE
}

/// What a provider's answer makes of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AfterAttempt {
    /// The provider has it: `sent`, go on to the next.
    Sent(Accepted),
    /// It ended: `failed`, go on to the next.
    Failed(Reason),
    /// Try again at this time; the conversation waits with it.
    Later {
        /// `queued`, or `in_doubt`.
        status: Status,
        /// Not before.
        at: DateTime<Utc>,
        /// Why.
        reason: Reason,
    },
    /// The customer is away: look again at this time, or as soon as they are back.
    Away(DateTime<Utc>),
    /// Nothing is sent on the channel until then; the attempt does not count.
    Pause {
        /// Until then.
        at: DateTime<Utc>,
        /// Why.
        reason: Reason,
    },
}

/// What `outcome` makes of `message`, whose `attempts` already counts this one; `jitter` is uniform
/// in `0.0..1.0`.
///
/// Waits double from 5 seconds to 15 minutes, ±20 %, and are never shorter than the provider's
/// Retry-After.
#[must_use]
pub fn after_attempt(
    outcome: SendOutcome,
    message: &Progress,
    doubt: TimeDelta,
    now: DateTime<Utc>,
    jitter: f64,
) -> AfterAttempt {
    match outcome {
        Ok(accepted) => AfterAttempt::Sent(accepted),
        Err(Failure::Permanent(reason)) => AfterAttempt::Failed(reason),
        Err(Failure::Transient { reason, retry_after }) => {
            let wait = backoff(message.attempts, jitter);
            let asked = retry_after
                .map_or(TimeDelta::zero(), |wait| TimeDelta::from_std(wait).unwrap_or(MAX_AGE));
            // A provider that asks for more than the message's day gets the rest of it: then the
            // message is given up.
            let end = (message.created_at + MAX_AGE).max(now + wait);
            AfterAttempt::Later {
                status: Status::Queued,
                at: (now + wait.max(asked.min(MAX_AGE))).min(end),
                reason,
            }
        }
        Err(Failure::Unknown(reason)) => {
            let wait = if doubt.is_zero() { backoff(message.attempts, jitter) } else { doubt };
            AfterAttempt::Later { status: Status::InDoubt, at: now + wait, reason }
        }
        Err(Failure::ChannelDown { reason, wait }) => {
            let at = now + TimeDelta::from_std(wait).unwrap_or(MAX_AGE).min(MAX_AGE);
            match is_expired(message, now) {
                // The attempt counts after all: the next look finds one, and ends the message.
                true => AfterAttempt::Later {
                    status: Status::Queued,
                    at: now + backoff(message.attempts, jitter),
                    reason,
                },
                false => AfterAttempt::Pause { at, reason },
            }
        }
        Err(Failure::Away) => AfterAttempt::Away(now + AWAY_WAIT),
    }
}

/// The wait after the `attempts`-th attempt.
fn backoff(attempts: u32, jitter: f64) -> TimeDelta {
    let doublings = attempts.saturating_sub(1).min(16);
    let wait = (FIRST_WAIT * 2i32.pow(doublings)).min(LONGEST_WAIT);
    #[expect(clippy::cast_possible_truncation, reason = "at most 18 minutes in milliseconds")]
    let jittered = (wait.num_milliseconds() as f64 * (0.8 + 0.4 * jitter)) as i64;
    TimeDelta::milliseconds(jittered)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
    const DOUBT: TimeDelta = TimeDelta::seconds(120);

    fn message(status: Status, attempts: u32, age: TimeDelta) -> Progress {
        Progress {
            status,
            created_at: NOW - age,
            attempts,
            unknown_outcomes: 0,
            attempted_at: Some(NOW),
        }
    }

    fn step(message: &Progress, policy: OnUnknownOutcome, now: DateTime<Utc>) -> NextStep {
        next_step(message, DOUBT, policy, now)
    }

    #[test]
    fn a_queued_message_is_attempted_and_a_settled_one_skipped() {
        assert_eq!(
            step(&message(Status::Queued, 0, TimeDelta::zero()), OnUnknownOutcome::Resend, NOW),
            NextStep::Attempt
        );
        for status in Status::ALL.into_iter().filter(|status| status.is_settled()) {
            assert_eq!(
                step(&message(status, 1, MAX_AGE), OnUnknownOutcome::Resend, NOW),
                NextStep::Done
            );
        }
    }

    #[test]
    fn an_unknown_fate_waits_for_a_receipt_then_follows_the_channel() {
        for status in [Status::Sending, Status::InDoubt] {
            let message = message(status, 1, TimeDelta::zero());
            let soon = NOW + DOUBT - TimeDelta::milliseconds(1);
            assert_eq!(
                step(&message, OnUnknownOutcome::Resend, soon),
                NextStep::AwaitReceipt(NOW + DOUBT)
            );
            assert_eq!(step(&message, OnUnknownOutcome::Resend, NOW + DOUBT), NextStep::Attempt);
            assert!(matches!(
                step(&message, OnUnknownOutcome::Hold, NOW + DOUBT),
                NextStep::GiveUp(_)
            ));
        }
    }

    #[test]
    fn everything_ends_some_day() {
        let code = |message: &Progress| match step(message, OnUnknownOutcome::Resend, NOW + DOUBT) {
            NextStep::GiveUp(reason) => reason.code,
            other => format!("{other:?}"),
        };
        assert_eq!(code(&message(Status::Queued, 1, MAX_AGE)), "expired");
        assert_eq!(
            code(&message(Status::Queued, MAX_ATTEMPTS, TimeDelta::zero())),
            "attempts_exhausted"
        );
        let poison = Progress {
            unknown_outcomes: MAX_UNKNOWN_OUTCOMES - 1,
            ..message(Status::Sending, 9, TimeDelta::zero())
        };
        assert_eq!(code(&poison), "outcome_unknown");
        assert_eq!(code(&message(Status::Queued, 0, MAX_AGE * 3)), "Attempt");
    }

    #[test]
    fn waits_double_to_a_quarter_of_an_hour() {
        let seconds: Vec<i64> =
            (1..=9).map(|attempt| backoff(attempt, 0.5).num_seconds()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 640, 900]);
    }

    #[test]
    fn every_wait_begins_now() {
        let ruled = |failure, age, doubt| match after_attempt(
            Err(failure),
            &message(Status::Sending, 1, age),
            doubt,
            NOW,
            0.5,
        ) {
            AfterAttempt::Later { status, at, .. } => (Some(status), at),
            AfterAttempt::Away(at) | AfterAttempt::Pause { at, .. } => (None, at),
            ended => panic!("{ended:?} is no wait"),
        };
        let reason = || Reason::new("rate_limited", "slower");
        let busy = |seconds| Failure::Transient {
            reason: reason(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        let first = NOW + TimeDelta::seconds(5);
        assert_eq!(ruled(busy(1), TimeDelta::zero(), DOUBT), (Some(Status::Queued), first));
        assert_eq!(ruled(busy(60), TimeDelta::zero(), DOUBT).1, NOW + TimeDelta::seconds(60));
        assert_eq!(
            ruled(busy(60), MAX_AGE, DOUBT).1,
            first,
            "its day is over, and it is looked at once more"
        );
        assert_eq!(
            ruled(busy(60), MAX_AGE - TimeDelta::seconds(9), DOUBT).1,
            NOW + TimeDelta::seconds(9)
        );
        let unknown = || Failure::Unknown(reason());
        assert_eq!(
            ruled(unknown(), TimeDelta::zero(), DOUBT),
            (Some(Status::InDoubt), NOW + DOUBT)
        );
        assert_eq!(
            ruled(unknown(), TimeDelta::zero(), TimeDelta::zero()),
            (Some(Status::InDoubt), first)
        );
        assert_eq!(ruled(Failure::Away, TimeDelta::zero(), DOUBT), (None, NOW + AWAY_WAIT));
        let down = || Failure::ChannelDown { reason: reason(), wait: Duration::from_secs(60) };
        assert_eq!(ruled(down(), TimeDelta::zero(), DOUBT), (None, NOW + TimeDelta::seconds(60)));
        assert_eq!(
            ruled(down(), MAX_AGE, DOUBT),
            (Some(Status::Queued), first),
            "its day is over: this one counts"
        );
    }

    proptest! {
        #[test]
        fn no_provider_holds_a_conversation_up_for_longer_than_a_day(asked: u64, age in 0i64..90_000) {
            let retry_after = Some(Duration::from_secs(asked));
            let failure = Failure::Transient { reason: Reason::new("rate_limited", "slower"), retry_after };
            let message = message(Status::Sending, 1, TimeDelta::seconds(age));
            let AfterAttempt::Later { at, .. } = after_attempt(Err(failure), &message, DOUBT, NOW, 0.5) else {
                panic!("a transient failure is tried again");
            };
            prop_assert!(at > NOW && at <= (message.created_at + MAX_AGE).max(NOW + TimeDelta::seconds(5)));
        }

        #[test]
        fn never_earlier_than_asked(attempts in 1u32..200, asked in 0u64..86_400, jitter in 0.0..1.0f64) {
            let reason = Reason::new("rate_limited", "slower");
            let failure = Failure::Transient { reason, retry_after: Some(Duration::from_secs(asked)) };
            let message = message(Status::Sending, attempts, TimeDelta::zero());
            let AfterAttempt::Later { at, status, .. } = after_attempt(Err(failure), &message, DOUBT, NOW, jitter) else {
                panic!("a transient failure is tried again");
            };
            prop_assert_eq!(status, Status::Queued);
            prop_assert!(at >= NOW + TimeDelta::seconds(asked.try_into().unwrap()));
            prop_assert!(at >= NOW + TimeDelta::seconds(4));
        }

        #[test]
        fn jitter_stays_within_a_fifth(attempts in 1u32..200, jitter in 0.0..1.0f64) {
            let (wait, plain) = (backoff(attempts, jitter), backoff(attempts, 0.5));
            prop_assert!(wait * 10 >= plain * 8 - TimeDelta::milliseconds(10) && wait * 10 <= plain * 12);
        }
    }
}

//! The decisions about one message: what a worker does with it next, and what follows from the
//! provider's answer.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::outcome::{Accepted, Failure, Reason, SendOutcome};
use super::status::Status;

/// The age at which a message that no attempt could hand over ends `failed`.
pub const MAX_AGE: TimeDelta = TimeDelta::hours(24);

/// The most attempts at one message. With the backoff below they last longer than [`MAX_AGE`]; the
/// limit bounds the cost of a provider that asks for short waits.
pub const MAX_ATTEMPTS: u32 = 120;

/// The most attempts with an unknown outcome; then the message ends `failed`, because the cause
/// would not go away.
pub const MAX_UNKNOWN_OUTCOMES: u32 = 5;

/// The wait after the first attempt.
const MIN_BACKOFF: TimeDelta = TimeDelta::seconds(5);

/// The longest wait between two attempts.
pub const MAX_BACKOFF: TimeDelta = TimeDelta::minutes(15);

/// How long a chat message whose customer is away waits before the next attempt; their return rings
/// the doorbell earlier.
pub const AWAY_RETRY_INTERVAL: TimeDelta = TimeDelta::minutes(15);

/// The delivery state of one message, as far as the worker's decisions depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Progress {
    /// How far it has come.
    pub status: Status,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// The number of attempts, the current one included.
    pub attempts: u32,
    /// The number of attempts with an unknown outcome.
    pub unknown_outcomes: u32,
    /// When the last attempt began.
    pub attempted_at: Option<DateTime<Utc>>,
}

/// The channel's policy for a message in doubt when no receipt came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknownOutcome {
    /// Send it again: the customer may see it twice, but will see it.
    #[default]
    Resend,
    /// Give it up: the customer may never see it, but will not see it twice.
    Hold,
}

/// The worker's next step with the first message that is not settled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NextStep {
    /// The message is settled after all: go on to the next.
    Done,
    /// Hand it to the provider.
    Attempt,
    /// The outcome of the last attempt is unknown: wait until this time for a receipt.
    AwaitReceipt(DateTime<Utc>),
    /// End the message `failed`.
    GiveUp(Reason),
}

/// Decides the next step with a message. `receipt_timeout` is how long the channel waits for a
/// receipt ([`crate::Channel::receipt_timeout`]).
#[must_use]
pub fn next_step(
    message: &Progress,
    receipt_timeout: TimeDelta,
    policy: OnUnknownOutcome,
    now: DateTime<Utc>,
) -> NextStep {
    match message.status {
        Status::Sent | Status::Delivered | Status::Read | Status::Failed => NextStep::Done,
        Status::Queued => attempt_or_give_up(message, now),
        // The caller has just claimed the conversation, so the worker that set `Sending` is dead.
        Status::Sending | Status::InDoubt => {
            let attempted_at = message.attempted_at.unwrap_or(message.created_at);
            let deadline = attempted_at + receipt_timeout;
            match policy {
                _ if now < deadline => NextStep::AwaitReceipt(deadline),
                OnUnknownOutcome::Resend => attempt_or_give_up(message, now),
                OnUnknownOutcome::Hold => NextStep::GiveUp(Reason::new(
                    "outcome_unknown",
                    "no answer and no receipt came, and the channel is set not to send twice",
                )),
            }
        }
    }
}

/// Allows another attempt unless the message has used up its attempts or its time.
fn attempt_or_give_up(message: &Progress, now: DateTime<Utc>) -> NextStep {
    let unknown = message.unknown_outcomes + u32::from(message.status == Status::Sending);

    if message.attempts == 0 {
        NextStep::Attempt // Even if it is too old: every message gets one attempt.
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

/// True if the message has reached [`MAX_AGE`].
pub(super) fn is_expired(message: &Progress, now: DateTime<Utc>) -> bool {
    now >= message.created_at + MAX_AGE
}

/// The consequence of a provider's answer for the message and its conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AfterAttempt {
    /// The provider took the message: it is `sent`, go on to the next.
    Sent(Accepted),
    /// The message ends `failed`; go on to the next.
    Failed(Reason),
    /// Try again later; the rest of the conversation waits, too.
    Later {
        /// The status until then: `queued` or `in_doubt`.
        status: Status,
        /// The earliest time of the next attempt.
        at: DateTime<Utc>,
        /// The cause.
        reason: Reason,
    },
    /// The customer is away: try again at this time, or as soon as they are back.
    Away(DateTime<Utc>),
    /// Pause the channel; the attempt does not count.
    Pause {
        /// The end of the pause.
        at: DateTime<Utc>,
        /// The cause.
        reason: Reason,
    },
}

/// Decides what follows from the `outcome` of an attempt at `message`, whose `attempts` already
/// counts this one; `jitter` is uniform in `0.0..1.0`.
///
/// Waits double from 5 seconds to 15 minutes, ±20 %, and are never shorter than the provider's
/// Retry-After.
#[must_use]
pub fn after_attempt(
    outcome: SendOutcome,
    message: &Progress,
    receipt_timeout: TimeDelta,
    now: DateTime<Utc>,
    jitter: f64,
) -> AfterAttempt {
    match outcome {
        Ok(accepted) => AfterAttempt::Sent(accepted),
        Err(Failure::Permanent(reason)) => AfterAttempt::Failed(reason),
        Err(Failure::Transient { reason, retry_after }) => {
            let wait = backoff(message.attempts, jitter);
            let retry_after = retry_after
                .map_or(TimeDelta::zero(), |wait| TimeDelta::from_std(wait).unwrap_or(MAX_AGE));

            // A provider may ask for more time than the message has left. The message then waits
            // until its time is over, and is given up.
            let latest = (message.created_at + MAX_AGE).max(now + wait);
            let at = (now + wait.max(retry_after.min(MAX_AGE))).min(latest);
            AfterAttempt::Later { status: Status::Queued, at, reason }
        }
        Err(Failure::Unknown(reason)) => {
            let wait = if receipt_timeout.is_zero() {
                backoff(message.attempts, jitter)
            } else {
                receipt_timeout
            };
            AfterAttempt::Later { status: Status::InDoubt, at: now + wait, reason }
        }
        Err(Failure::ChannelDown { reason, wait }) => {
            if is_expired(message, now) {
                // The attempt counts after all, so the next step finds one and gives the message
                // up.
                let at = now + backoff(message.attempts, jitter);
                AfterAttempt::Later { status: Status::Queued, at, reason }
            } else {
                let at = now + TimeDelta::from_std(wait).unwrap_or(MAX_AGE).min(MAX_AGE);
                AfterAttempt::Pause { at, reason }
            }
        }
        Err(Failure::Away) => AfterAttempt::Away(now + AWAY_RETRY_INTERVAL),
    }
}

/// Returns the wait after the `attempts`-th attempt.
fn backoff(attempts: u32, jitter: f64) -> TimeDelta {
    let doublings = attempts.saturating_sub(1).min(16);
    let wait = (MIN_BACKOFF * 2i32.pow(doublings)).min(MAX_BACKOFF);
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
    /// How long a message is tried, as README and contract say.
    const DAY: TimeDelta = TimeDelta::hours(24);
    const RECEIPT_TIMEOUT: TimeDelta = TimeDelta::seconds(120);

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
        next_step(message, RECEIPT_TIMEOUT, policy, now)
    }

    #[test]
    fn a_queued_message_is_attempted_and_a_settled_one_skipped() {
        assert_eq!(
            step(&message(Status::Queued, 0, TimeDelta::zero()), OnUnknownOutcome::Resend, NOW),
            NextStep::Attempt
        );
        for status in Status::ALL.into_iter().filter(|status| status.is_settled()) {
            assert_eq!(
                step(&message(status, 1, DAY), OnUnknownOutcome::Resend, NOW),
                NextStep::Done
            );
        }
    }

    #[test]
    fn an_unknown_outcome_waits_for_a_receipt_then_follows_the_channels_policy() {
        for status in [Status::Sending, Status::InDoubt] {
            let message = message(status, 1, TimeDelta::zero());
            let soon = NOW + RECEIPT_TIMEOUT - TimeDelta::milliseconds(1);
            assert_eq!(
                step(&message, OnUnknownOutcome::Resend, soon),
                NextStep::AwaitReceipt(NOW + RECEIPT_TIMEOUT)
            );
            assert_eq!(
                step(&message, OnUnknownOutcome::Resend, NOW + RECEIPT_TIMEOUT),
                NextStep::Attempt
            );
            assert!(matches!(
                step(&message, OnUnknownOutcome::Hold, NOW + RECEIPT_TIMEOUT),
                NextStep::GiveUp(_)
            ));
        }
    }

    #[test]
    fn every_message_ends() {
        let code = |message: &Progress| match step(
            message,
            OnUnknownOutcome::Resend,
            NOW + RECEIPT_TIMEOUT,
        ) {
            NextStep::GiveUp(reason) => reason.code,
            other => format!("{other:?}"),
        };

        assert_eq!(code(&message(Status::Queued, 1, DAY)), "expired");
        assert_eq!(code(&message(Status::Queued, 120, TimeDelta::zero())), "attempts_exhausted");

        let poison =
            Progress { unknown_outcomes: 4, ..message(Status::Sending, 9, TimeDelta::zero()) };

        assert_eq!(code(&poison), "outcome_unknown");
        assert_eq!(code(&message(Status::Queued, 0, DAY * 3)), "Attempt");
    }

    #[test]
    fn waits_double_to_a_quarter_of_an_hour() {
        let seconds: Vec<i64> =
            (1..=9).map(|attempt| backoff(attempt, 0.5).num_seconds()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 640, 900]);
    }

    #[test]
    fn every_wait_begins_now() {
        let wait_after = |failure, age, receipt_timeout| match after_attempt(
            Err(failure),
            &message(Status::Sending, 1, age),
            receipt_timeout,
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
        assert_eq!(
            wait_after(busy(1), TimeDelta::zero(), RECEIPT_TIMEOUT),
            (Some(Status::Queued), first)
        );

        assert_eq!(
            wait_after(busy(60), TimeDelta::zero(), RECEIPT_TIMEOUT).1,
            NOW + TimeDelta::seconds(60)
        );

        assert_eq!(
            wait_after(busy(60), DAY, RECEIPT_TIMEOUT).1,
            first,
            "it is too old, and gets one more step"
        );

        assert_eq!(
            wait_after(busy(60), DAY - TimeDelta::seconds(9), RECEIPT_TIMEOUT).1,
            NOW + TimeDelta::seconds(9)
        );

        let unknown = || Failure::Unknown(reason());
        assert_eq!(
            wait_after(unknown(), TimeDelta::zero(), RECEIPT_TIMEOUT),
            (Some(Status::InDoubt), NOW + RECEIPT_TIMEOUT)
        );

        assert_eq!(
            wait_after(unknown(), TimeDelta::zero(), TimeDelta::zero()),
            (Some(Status::InDoubt), first)
        );

        assert_eq!(
            wait_after(Failure::Away, TimeDelta::zero(), RECEIPT_TIMEOUT),
            (None, NOW + TimeDelta::minutes(15))
        );

        let down = || Failure::ChannelDown { reason: reason(), wait: Duration::from_secs(60) };
        assert_eq!(
            wait_after(down(), TimeDelta::zero(), RECEIPT_TIMEOUT),
            (None, NOW + TimeDelta::seconds(60))
        );

        assert_eq!(
            wait_after(down(), DAY, RECEIPT_TIMEOUT),
            (Some(Status::Queued), first),
            "it is too old: this attempt counts"
        );
    }

    proptest! {
        #[test]
        fn no_retry_after_delays_a_conversation_for_longer_than_a_day(
            asked: u64,
            age in 0i64..90_000,
        ) {
            let reason = Reason::new("rate_limited", "slower");
            let retry_after = Some(Duration::from_secs(asked));
            let failure = Err(Failure::Transient { reason, retry_after });
            let message = message(Status::Sending, 1, TimeDelta::seconds(age));

            let after = after_attempt(failure, &message, RECEIPT_TIMEOUT, NOW, 0.5);
            let AfterAttempt::Later { at, .. } = after else {
                panic!("a transient failure is tried again");
            };
            let latest = (message.created_at + DAY).max(NOW + TimeDelta::seconds(5));
            prop_assert!(at > NOW && at <= latest);
        }

        #[test]
        fn no_attempt_is_earlier_than_retry_after(
            attempts in 1u32..200,
            asked in 0u64..86_400,
            jitter in 0.0..1.0f64,
        ) {
            let reason = Reason::new("rate_limited", "slower");
            let retry_after = Some(Duration::from_secs(asked));
            let failure = Err(Failure::Transient { reason, retry_after });
            let message = message(Status::Sending, attempts, TimeDelta::zero());

            let after = after_attempt(failure, &message, RECEIPT_TIMEOUT, NOW, jitter);
            let AfterAttempt::Later { at, status, .. } = after else {
                panic!("a transient failure is tried again");
            };
            prop_assert_eq!(status, Status::Queued);
            prop_assert!(at >= NOW + TimeDelta::seconds(asked.try_into().unwrap()));
            prop_assert!(at >= NOW + TimeDelta::seconds(4));
        }

        #[test]
        fn jitter_stays_within_a_fifth(attempts in 1u32..200, jitter in 0.0..1.0f64) {
            let wait = backoff(attempts, jitter);
            let plain = backoff(attempts, 0.5);
            prop_assert!(wait * 10 >= plain * 8 - TimeDelta::milliseconds(10));
            prop_assert!(wait * 10 <= plain * 12);
        }
    }
}

//! Which messages a replay brings, and when there is none.

use chrono::serde::ts_milliseconds_option;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{BAR, MinuteCount, REPLAY_TIMEOUT, REPLAYS_PER_MINUTE, WidgetRefusal};
use crate::Seq;

/// The messages that were replayed on a connection. There is one from its first hello on.
///
/// A message that API Gateway has taken arrives, or the connection breaks: each
/// message is therefore replayed once on a connection. A widget that has lost one connects anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayState {
    /// How many replays the running minute has had.
    count: MinuteCount,
    /// Every message after the first of these and up to the second was replayed.
    sent: Option<(Seq, Seq)>,
    /// Tells apart the states of two frames that came at the same moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    /// Until when a replay may be running.
    #[serde(default, with = "ts_milliseconds_option", skip_serializing_if = "Option::is_none")]
    running_until: Option<DateTime<Utc>>,
}

/// The decision about a replay that a widget asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayDecision {
    /// It runs, and this is the state until [`ReplayState::finish`].
    Run(ReplayState),
    /// Another one runs, whose end answers this one as well.
    Running,
    /// The connection has had too many.
    Refused(WidgetRefusal),
}

impl ReplayState {
    /// Decides about one more replay, whose state is told from all others by `id`, a random number.
    #[must_use]
    pub fn begin(state: Option<ReplayState>, id: u64, now: DateTime<Utc>) -> ReplayDecision {
        if state.is_some_and(|state| state.is_running(now)) {
            return ReplayDecision::Running;
        }

        match MinuteCount::spend(state.map(|state| state.count), REPLAYS_PER_MINUTE, now) {
            Err(_) => ReplayDecision::Refused(WidgetRefusal::TooManyReplays(now + BAR)),
            Ok(count) => ReplayDecision::Run(ReplayState {
                count,
                id: Some(id),
                sent: state.and_then(|state| state.sent),
                running_until: Some(now + REPLAY_TIMEOUT),
            }),
        }
    }

    /// True if a replay may be running.
    #[must_use]
    pub fn is_running(&self, now: DateTime<Utc>) -> bool {
        // Twice, because clocks of processes differ; later ends are of a clock that was set back.
        self.running_until.is_some_and(|until| now < until && until <= now + REPLAY_TIMEOUT * 2)
    }

    /// True if a message was replayed before.
    #[must_use]
    pub fn was_sent(&self, seq: Seq) -> bool {
        self.sent.is_some_and(|(after, up_to)| after < seq && seq <= up_to)
    }

    /// True if nothing was replayed yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.sent.is_none()
    }

    /// Returns the message before those that were replayed, if `seq` is one of them.
    #[must_use]
    pub fn sent_after(&self, seq: Seq) -> Option<Seq> {
        self.sent.filter(|_| self.was_sent(seq)).map(|(after, _)| after)
    }

    /// Returns the message after which a replay goes on that has come as far as `last`: what was
    /// replayed before is not read again.
    #[must_use]
    pub fn next_after(&self, last: Seq) -> Seq {
        match self.sent {
            Some((after, up_to)) if after <= last && last < up_to => up_to,
            Some(_) | None => last,
        }
    }

    /// Returns the state after everything from `after` up to `up_to` was replayed. A widget that
    /// asks for what comes after a message has everything before it, or does not want it yet; one
    /// that asks for what comes before a message has everything after it.
    #[must_use]
    pub fn finish(self, after: Seq, up_to: Seq) -> ReplayState {
        let sent = match self.sent {
            sent if after >= up_to => sent,
            None => Some((after, up_to)),
            Some((first, last)) => Some((first.min(after), last.max(up_to))),
        };
        ReplayState { sent, running_until: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn run(state: Option<ReplayState>, now: DateTime<Utc>) -> ReplayState {
        match ReplayState::begin(state, 1, now) {
            ReplayDecision::Run(state) => state,
            other => panic!("{other:?}"),
        }
    }

    /// Replays up to `settled` in pages of seven, as chat-socket does, and counts what is sent.
    fn replay(
        state: Option<ReplayState>,
        after: u64,
        settled: u64,
        sent: &mut BTreeMap<u64, u32>,
    ) -> ReplayState {
        let running = run(state, NOW);
        let mut last = Seq(after);
        loop {
            last = running.next_after(last);
            if last.0 >= settled {
                break;
            }
            for seq in last.0 + 1..=settled.min(last.0 + 7) {
                last = Seq(seq);
                if !running.was_sent(last) {
                    *sent.entry(seq).or_default() += 1;
                }
            }
        }
        running.finish(Seq(after), Seq(settled))
    }

    /// Replays the page of seven before `before`, unless it was replayed.
    fn replay_page(
        state: Option<ReplayState>,
        before: u64,
        sent: &mut BTreeMap<u64, u32>,
    ) -> ReplayState {
        let running = run(state, NOW);
        let after = before.saturating_sub(8);
        for seq in (after + 1..before).filter(|seq| !running.was_sent(Seq(*seq))) {
            *sent.entry(seq).or_default() += 1;
        }
        running.finish(Seq(after), Seq(before - 1))
    }

    proptest! {
        /// All that a widget asks for was sent if it was settled, and nothing twice, as long as it
        /// asks for nothing that it has said to have.
        #[test]
        fn each_message_is_sent_once_however_often_it_is_asked_for(
            questions in prop::collection::vec((0u64..30, 0u64..4), 1..20),
        ) {
            let mut sent = BTreeMap::new();
            let mut state: Option<ReplayState> = None;
            let mut settled = 10;
            let mut known = settled;
            for (after, more) in questions {
                let after = after.min(known);
                state = Some(replay(state, after, settled, &mut sent));
                for seq in after + 1..=settled {
                    prop_assert!(sent.contains_key(&seq), "{seq} was asked for");
                }
                known = settled;
                settled += more;
            }
            prop_assert!(sent.values().all(|times| *times == 1), "{sent:?}");
        }
    }

    proptest! {
        /// A widget that begins with the newest page and goes back page by page, while messages
        /// come, gets each of them once.
        #[test]
        fn each_message_of_a_conversation_is_sent_once_to_a_widget_that_goes_back(
            settled in 1u64..60,
            steps in prop::collection::vec(0u64..3, 1..14),
        ) {
            let mut sent = BTreeMap::new();
            let mut newest = settled;
            let mut oldest = settled.saturating_sub(7);
            let mut state = replay(None, oldest, newest, &mut sent);
            for step in steps {
                let more = newest + step;
                state = replay(Some(state), newest, more, &mut sent);
                newest = more;
                if oldest > 0 {
                    state = replay_page(Some(state), oldest + 1, &mut sent);
                    oldest = oldest.saturating_sub(7);
                }
                prop_assert_eq!(state.sent_after(Seq(newest)), Some(Seq(oldest)));
            }
            let wanted: BTreeMap<u64, u32> = (oldest + 1..=newest).map(|seq| (seq, 1)).collect();
            prop_assert_eq!(sent, wanted);
        }
    }

    #[test]
    fn one_replay_runs_at_a_time_and_one_that_was_cut_off_holds_nothing_up_for_long() {
        let running = run(None, NOW);
        let soon = NOW + TimeDelta::seconds(1);
        assert_eq!(ReplayState::begin(Some(running), 2, soon), ReplayDecision::Running);
        run(Some(running), NOW + REPLAY_TIMEOUT);
        run(Some(running), NOW - TimeDelta::days(1));
        run(Some(running.finish(Seq(0), Seq(3))), soon);
    }

    #[test]
    fn two_frames_of_one_moment_begin_replays_that_can_be_told_apart() {
        for state in [None, Some(run(None, NOW).finish(Seq(0), Seq(3)))] {
            let [one, other] = [1, 2].map(|id| ReplayState::begin(state, id, NOW));
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_connection_has_only_so_many_replays_a_minute() {
        let mut state = None;
        for _ in 0..REPLAYS_PER_MINUTE {
            state = Some(run(state, NOW).finish(Seq(0), Seq(300)));
        }

        assert_eq!(
            ReplayState::begin(state, 2, NOW),
            ReplayDecision::Refused(WidgetRefusal::TooManyReplays(NOW + BAR))
        );
        run(state, NOW + TimeDelta::minutes(1));
    }
}

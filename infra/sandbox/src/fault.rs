//! Makes a provider fail on demand. Each provider words the failure itself.

use std::sync::Mutex;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::server::lost_answer;
use emulator::Trigger;

/// A fault of a provider, as `PUT /sandbox/{channel}/faults` takes it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderFault {
    /// HTTP status to answer, 400 to 599, in the provider's own error shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// WhatsApp's error code to answer; without a status, with the one that Meta documents for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u32>,
    /// WhatsApp's `error_subcode` beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subcode: Option<u32>,
    /// `Retry-After` of that answer, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u64>,
    /// Which calls it hits. After its effect the call is answered with the status, or without one
    /// never answered at all.
    #[serde(flatten)]
    pub(crate) trigger: Trigger,
    /// How long the call takes, in milliseconds; alone, the call is slow and succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delay_ms: Option<u64>,
    /// The calling function's process dies, before the effect or after it.
    #[serde(default)]
    pub(crate) kill: bool,
    /// The provider takes the message and answers a success that is not JSON.
    #[serde(default)]
    pub(crate) garbage: bool,
}

impl ProviderFault {
    /// Checks the fault and returns it.
    ///
    /// # Errors
    /// A sentence that names the wrong field.
    pub(crate) fn checked(self) -> Result<Self, String> {
        if let Some(status) = self.status
            && !(400..=599).contains(&status)
        {
            return Err(format!("`status` {status} is no failure: 400 to 599 are"));
        }

        self.trigger.check().map_err(|error| error.to_string())?;
        let does_nothing =
            self.delay_ms.is_none() && !self.trigger.after_effect && !self.kill && !self.garbage;
        if !self.fails() && does_nothing {
            let sentence = "a fault needs at least one of `status`, `code`, `delay_ms`, `after_effect`, `kill`, `garbage`";
            return Err(sentence.into());
        }

        Ok(self)
    }

    fn fails(&self) -> bool {
        self.status.is_some() || self.code.is_some()
    }
}

/// The fault in force at one provider.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rule: Mutex<Option<ProviderFault>>,
}

impl Faults {
    /// Puts a fault in force, in place of the one before.
    pub(crate) fn set(&self, rule: ProviderFault) {
        *self.rule.lock().expect("nothing panics while it holds this lock") = Some(rule);
    }

    /// Ends the fault.
    pub(crate) fn clear(&self) {
        *self.rule.lock().expect("nothing panics while it holds this lock") = None;
    }

    /// Returns the fault in force, with the `times` that are left.
    pub(crate) fn in_force(&self) -> Option<ProviderFault> {
        self.rule.lock().expect("nothing panics while it holds this lock").clone()
    }

    /// Returns the fault that hits this call, if one does.
    fn draw(&self) -> Option<ProviderFault> {
        let mut rule = self.rule.lock().expect("nothing panics while it holds this lock");
        let fault = rule.as_mut()?;
        let is_hit = fault.trigger.hits(&mut rand::rng());
        let hit = is_hit.then(|| fault.clone());

        if fault.trigger.is_used_up() {
            *rule = None;
        }
        hit
    }

    /// Runs a call of the provider under the fault in force: `effect` is the call without a fault,
    /// `refuse` words the failure as this provider does, `kill` ends the calling function.
    pub(crate) async fn apply(
        &self,
        effect: impl Future<Output = Response>,
        refuse: impl Fn(&ProviderFault) -> Response,
        kill: impl AsyncFnOnce(),
    ) -> Response {
        let Some(fault) = self.draw() else { return effect.await };
        let delay = Duration::from_millis(fault.delay_ms.unwrap_or(0));

        if !fault.trigger.after_effect && !fault.garbage {
            tokio::time::sleep(delay).await;
            return match fault.kill {
                true => {
                    kill().await;
                    lost_answer()
                }
                false if fault.fails() => refuse(&fault),
                false => effect.await,
            };
        }

        let answer = effect.await;
        tokio::time::sleep(delay).await;
        match answer.status().is_success() {
            false => answer, // it had no effect to come after
            true if fault.kill => {
                kill().await;
                lost_answer()
            }
            true if fault.garbage => {
                (StatusCode::OK, "<html>502 Bad Gateway</html>").into_response()
            }
            true if fault.fails() => refuse(&fault),
            true => lost_answer(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;

    use super::*;

    fn rule(body: serde_json::Value) -> ProviderFault {
        serde_json::from_value::<ProviderFault>(body).unwrap().checked().unwrap()
    }

    /// The statuses of that many calls, 0 for a lost answer, and how many had their effect.
    async fn calls(faults: &Faults, count: usize) -> (Vec<u16>, u32) {
        let effects = AtomicU32::new(0);
        let mut statuses = Vec::new();

        for _ in 0..count {
            let effect = async {
                effects.fetch_add(1, Ordering::Relaxed);
                StatusCode::OK.into_response()
            };
            let refuse = |fault: &ProviderFault| {
                StatusCode::from_u16(fault.status.unwrap()).unwrap().into_response()
            };
            let answer = faults.apply(effect, refuse, async || {}).await;
            statuses.push(if crate::server::is_lost(&answer) {
                0
            } else {
                answer.status().as_u16()
            });
        }

        (statuses, effects.into_inner())
    }

    #[tokio::test]
    async fn a_rule_hits_as_many_times_as_it_says_then_is_gone() {
        let faults = Faults::default();
        faults.set(rule(json!({"status": 500, "times": 2})));
        assert_eq!(calls(&faults, 4).await, (vec![500, 500, 200, 200], 2));
        assert_eq!(faults.in_force(), None);
    }

    #[tokio::test]
    async fn a_rule_without_times_holds_until_it_is_cleared() {
        let faults = Faults::default();
        faults.set(rule(json!({"status": 429})));
        assert_eq!(calls(&faults, 3).await, (vec![429; 3], 0));
        faults.clear();
        assert_eq!(calls(&faults, 1).await, (vec![200], 1));
    }

    #[tokio::test]
    async fn after_effect_does_it_and_answers_the_status_or_nothing() {
        let faults = Faults::default();
        faults.set(rule(json!({"status": 503, "after_effect": true, "times": 1})));
        assert_eq!(calls(&faults, 1).await, (vec![503], 1));
        faults.set(rule(json!({"after_effect": true, "times": 1})));
        assert_eq!(calls(&faults, 2).await, (vec![0, 200], 2));
    }

    #[tokio::test]
    async fn a_caller_dies_before_the_effect_or_after_it() {
        let faults = Faults::default();
        for (after_effect, effects) in [(false, 1), (true, 2)] {
            faults.set(rule(
                json!({"kill": true, "skip": 1, "times": 1, "after_effect": after_effect}),
            ));
            assert_eq!(calls(&faults, 2).await, (vec![200, 0], effects));
        }
    }

    #[tokio::test]
    async fn garbage_is_a_success_that_took_effect() {
        let faults = Faults::default();
        faults.set(rule(json!({"garbage": true, "times": 1})));
        assert_eq!(calls(&faults, 1).await, (vec![200], 1));
    }

    #[tokio::test]
    async fn a_delay_alone_is_slow_and_succeeds() {
        let faults = Faults::default();
        faults.set(rule(json!({"delay_ms": 30})));
        let started = std::time::Instant::now();
        assert_eq!(calls(&faults, 1).await, (vec![200], 1));
        assert!(started.elapsed() >= Duration::from_millis(30));
    }

    #[tokio::test]
    async fn probability_zero_never_hits() {
        let faults = Faults::default();
        faults.set(rule(json!({"status": 500, "probability": 0})));
        assert_eq!(calls(&faults, 50).await, (vec![200; 50], 50));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (body, field) in [
            (json!({"status": 200}), "status"),
            (json!({"status": 500, "probability": 1.5}), "probability"),
            (json!({"times": 3}), "after_effect"),
        ] {
            let error =
                serde_json::from_value::<ProviderFault>(body).unwrap().checked().unwrap_err();
            assert!(error.contains(field), "{error}");
        }

        let error = serde_json::from_value::<ProviderFault>(json!({"sttaus": 500}))
            .unwrap_err()
            .to_string();

        assert!(error.contains("unknown field `sttaus`"), "{error}");
    }
}

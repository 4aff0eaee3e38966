//! How a provider fails on demand: which calls, and what then happens to them. What a failure looks
//! like on the wire is each provider's own.

use std::sync::Mutex;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::server::lost_answer;

/// What somebody asked a provider to do wrong, as `PUT /sandbox/{channel}/faults` takes it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderFault {
    /// HTTP status to answer, 400 to 599, in the provider's own error shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// WhatsApp's error code to answer; without a status, with the one that Meta documents for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// `Retry-After` of that answer, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// How many calls it hits; none: all of them until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How many calls that it would hit are let through first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u32>,
    /// Share of the calls that it hits, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// How long the call takes, in milliseconds; alone, the call is slow and succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// The provider takes the message first; then it answers the status, or without one never
    /// answers at all.
    #[serde(default)]
    pub after_effect: bool,
    /// The calling function's process dies, before the effect or after it.
    #[serde(default)]
    pub kill: bool,
    /// The provider takes the message and answers a success that nobody can read.
    #[serde(default)]
    pub garbage: bool,
}

fn always() -> f64 {
    1.0
}

impl ProviderFault {
    /// The rule, if it makes sense.
    ///
    /// # Errors
    /// A sentence that names the field which does not.
    pub fn checked(self) -> Result<Self, String> {
        if let Some(status) = self.status
            && !(400..=599).contains(&status)
        {
            return Err(format!("`status` {status} is no failure: 400 to 599 are"));
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(format!("`probability` {} is not between 0 and 1", self.probability));
        }
        let does_nothing =
            self.delay_ms.is_none() && !self.after_effect && !self.kill && !self.garbage;
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

/// The rule in force at one provider.
#[derive(Debug, Default)]
pub struct Faults {
    rule: Mutex<Option<ProviderFault>>,
}

impl Faults {
    /// Puts a rule in force, in place of the one before.
    pub fn set(&self, rule: ProviderFault) {
        *self.rule.lock().expect("nothing panics while it holds this lock") = Some(rule);
    }

    /// The provider is well again.
    pub fn clear(&self) {
        *self.rule.lock().expect("nothing panics while it holds this lock") = None;
    }

    /// The rule in force, with the `times` that are left.
    pub fn in_force(&self) -> Option<ProviderFault> {
        self.rule.lock().expect("nothing panics while it holds this lock").clone()
    }

    /// The fault that hits this call, if one does; it is one of its `times`.
    fn draw(&self) -> Option<ProviderFault> {
        let mut rule = self.rule.lock().expect("nothing panics while it holds this lock");
        let drawn = rule.clone()?;
        if rand::random::<f64>() >= drawn.probability {
            return None;
        }
        if let Some(skip) = drawn.skip.filter(|skip| *skip > 0) {
            *rule = Some(ProviderFault { skip: Some(skip - 1), ..drawn });
            return None;
        }
        match drawn.times {
            None => {}
            Some(0) => {
                *rule = None;
                return None;
            }
            Some(1) => *rule = None,
            Some(times) => *rule = Some(ProviderFault { times: Some(times - 1), ..drawn.clone() }),
        }
        Some(drawn)
    }

    /// Runs a call of the provider under the rule in force: `effect` is what it does when all is
    /// well, `refuse` words the failure as this provider does, `kill` ends whoever calls.
    pub async fn apply(
        &self,
        effect: impl Future<Output = Response>,
        refuse: impl Fn(&ProviderFault) -> Response,
        kill: impl AsyncFnOnce(),
    ) -> Response {
        let Some(fault) = self.draw() else { return effect.await };
        let delay = Duration::from_millis(fault.delay_ms.unwrap_or(0));
        if !fault.after_effect && !fault.garbage {
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
            statuses.push(if super::super::server::is_lost(&answer) {
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

//! The faults of a call.

use serde_json::{Value, json};

use crate::point::Point;

/// One way for a call to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The caller's process dies, and the call was never made.
    DiesBefore,
    /// The call takes effect, and the caller's process dies over it.
    DiesAfter,
    /// The call takes effect, and its answer is lost.
    AnswerLost,
    /// The service answers that it is broken.
    ServerError,
    /// The service answers that it is busy.
    Throttled,
    /// DynamoDB answers that a transaction holds the item.
    Conflict,
    /// The call takes effect, and its answer cannot be read.
    Garbage,
}

impl Fault {
    pub(crate) const ALL: [Fault; 7] = [
        Fault::DiesBefore,
        Fault::DiesAfter,
        Fault::AnswerLost,
        Fault::ServerError,
        Fault::Throttled,
        Fault::Conflict,
        Fault::Garbage,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::DiesBefore => "dies before",
            Fault::DiesAfter => "dies after",
            Fault::AnswerLost => "answer lost",
            Fault::ServerError => "500",
            Fault::Throttled => "throttled",
            Fault::Conflict => "conflict",
            Fault::Garbage => "garbage",
        }
    }

    /// Whether the service can answer a call like that.
    pub(crate) fn can_hit(self, point: Point) -> bool {
        self != Fault::Conflict || matches!(point.operation, "UpdateItem" | "TransactWriteItems")
    }

    /// The rule for the local AWS; `stubborn` also hits the call's repeats, more of them than
    /// a function makes.
    pub(crate) fn of_aws(
        self,
        point: Point,
        function: &str,
        about: &str,
        skip: u32,
        stubborn: bool,
    ) -> Value {
        let broken = match point.operation {
            "SendMessage" | "SendMessageBatch" => "InternalError",
            "GetSecretValue" => "InternalServiceError",
            _ => "InternalServerError",
        };
        let (error, after_effect) = match self {
            Fault::DiesBefore => ("kill", false),
            Fault::DiesAfter => ("kill", true),
            Fault::AnswerLost => ("disconnect", true),
            Fault::ServerError => (broken, false),
            Fault::Throttled if point.operation.starts_with("SendMessage") => {
                ("RequestThrottled", false)
            }
            Fault::Throttled => ("ThrottlingException", false),
            Fault::Conflict => ("TransactionConflict", false),
            Fault::Garbage => ("garbage", true),
        };
        let times = if stubborn && error != "kill" { STUBBORN } else { 1 };

        json!({
            "operation": point.operation, "function": function, "about": about, "skip": skip, "times": times,
            "error": error, "after_effect": after_effect,
        })
    }

    /// The rule for a provider.
    pub(crate) fn of_provider(self, skip: u32) -> Option<Value> {
        let mut rule = match self {
            Fault::DiesBefore => json!({"kill": true}),
            Fault::DiesAfter => json!({"kill": true, "after_effect": true}),
            Fault::AnswerLost => json!({"after_effect": true}),
            Fault::ServerError => json!({"status": 500}),
            Fault::Throttled => json!({"status": 429, "retry_after": 2}),
            Fault::Garbage => json!({"garbage": true}),
            Fault::Conflict => return None,
        };
        (rule["times"], rule["skip"]) = (json!(1), json!(skip));
        Some(rule)
    }
}

/// How often a stubborn fault hits: the SDK makes a call three times, and our own repeats fit a
/// second or two.
const STUBBORN: u32 = 1_000;

/// The short form tries each fifth case: each point is hit by one or two of its six or seven
/// faults.
const SHORT_STEP: usize = 5;

/// The cases of these points: which fault at which of them. `SEEDS` and `CASE` ask for all.
pub(crate) fn at(points: &[Point]) -> impl Iterator<Item = (Point, Fault)> {
    let is_whole = ["SEEDS", "CASE"].iter().any(|name| std::env::var_os(name).is_some());
    let step = if is_whole { 1 } else { SHORT_STEP };

    let pairs = points.iter().flat_map(|point| Fault::ALL.map(|fault| (*point, fault)));
    pairs.filter(|(point, fault)| fault.can_hit(*point)).step_by(step)
}

//! Rules by which the local AWS fails. What a failure looks like on the wire lives in `answer.rs`,
//! never here.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::call::{Call, Service};

/// One way to fail, as `PUT /sandbox/aws/faults` takes it:
/// `{"operation": "SendMessage", "error": "ThrottlingException", "probability": 0.3, "times": 5}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The API operation that fails, `TransactWriteItems`; `*` for all.
    pub operation: String,
    /// What happens instead of an answer.
    pub error: Failure,
    /// How likely a call is hit, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// How many calls are hit before the rule is used up; without it the rule lasts until it is
    /// cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How many calls that it would hit are let through first: 2 fails a worker's third write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u32>,
    /// Whether the call takes effect first, so that only its answer is lost.
    #[serde(default)]
    pub after_effect: bool,
    /// The one function that is hit, by logical id or folder. Without it every function is, but
    /// nobody else: tests and seeding call through the same proxy. `*` hits them too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Only calls whose request holds this text: a conversation's id, a bucket's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Makes the dice of this rule fall the same way every time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// What happens instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Failure {
    /// `TransactionConflict`: another transaction holds an item. Hits only operations that DynamoDB
    /// refuses for it.
    Conflict,
    /// An error of the service by its code, `ThrottlingException` or `InternalServerError`.
    Error(String),
    /// `timeout`: no answer until the caller gives up.
    Timeout,
    /// `kill`: the calling worker's process dies.
    Kill,
    /// `garbage`: an answer of status 200 that is not JSON.
    Garbage,
    /// `disconnect`: the connection closes without an answer.
    Disconnect,
}

/// Why a rule cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No service answers with such a code.
    #[error(
        "`{0}` is no error of DynamoDB, S3, SQS or Secrets Manager, nor timeout, kill, garbage, disconnect or \
         TransactionConflict"
    )]
    UnknownError(String),
    /// Not a probability.
    #[error("the probability {0} is not between 0 and 1")]
    Probability(String),
}

/// Error codes that do not end in `Exception`.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList>
const CODES: &[&str] = &[
    "AccessDenied",
    "DecryptionFailure",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "KmsThrottled",
    "NoSuchKey",
    "OverLimit",
    "QueueDoesNotExist",
    "RequestLimitExceeded",
    "RequestThrottled",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottlingError",
];

/// The rules in force. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct AwsFaults(Arc<Mutex<Vec<Rule>>>);

#[derive(Debug)]
struct Rule {
    rule: FaultRule,
    dice: StdRng,
}

/// A rule that hit a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) failure: Failure,
    pub(super) after_effect: bool,
    /// Chooses among what is left open, such as the item that is in conflict.
    pub(super) draw: u64,
}

impl AwsFaults {
    /// Adds a rule. The newest is tried first; a rule whose dice miss leaves the call to the next.
    /// A rule takes the place of one that says the same with another probability or count.
    ///
    /// # Errors
    /// [`FaultError`] if the rule makes no sense; the rules in force stay as they were.
    pub fn set(&self, rule: FaultRule) -> Result<(), FaultError> {
        if !(0.0..=1.0).contains(&rule.probability) {
            return Err(FaultError::Probability(rule.probability.to_string()));
        }
        let dice =
            rule.seed.map_or_else(|| StdRng::from_rng(&mut rand::rng()), StdRng::seed_from_u64);
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|other| !other.rule.says_the_same(&rule));
        rules.insert(0, Rule { rule, dice });
        Ok(())
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The rules in force, newest first, with the counts they have left.
    pub fn rules(&self) -> Vec<FaultRule> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|rule| rule.rule.clone())
            .collect()
    }

    /// Decides whether a call fails. `function` is the caller's logical id and folder, if a
    /// function calls; `request` is what it sends.
    pub(super) fn draw(
        &self,
        call: &Call,
        function: Option<(&str, &str)>,
        request: &[u8],
    ) -> Option<Hit> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hits = |rule: &mut Rule| {
            let meant = rule.rule.concerns(call, function, request)
                && rule.rule.times != Some(0)
                && rule.dice.random_bool(rule.rule.probability);
            if meant && let Some(skip) = rule.rule.skip.filter(|skip| *skip > 0) {
                rule.rule.skip = Some(skip - 1);
                return false;
            }
            meant
        };
        let rule = rules.iter_mut().find_map(|rule| hits(rule).then_some(rule))?;
        let hit = Hit {
            failure: rule.rule.error.clone(),
            after_effect: rule.rule.after_effect,
            draw: rule.dice.next_u64(),
        };
        rule.rule.times = rule.rule.times.map(|left| left - 1);
        rules.retain(|rule| rule.rule.times != Some(0));
        Some(hit)
    }
}

impl FaultRule {
    /// A rule that hits every call of an operation by any function, until cleared.
    pub fn new(operation: impl Into<String>, error: Failure) -> Self {
        Self {
            operation: operation.into(),
            error,
            probability: always(),
            times: None,
            skip: None,
            after_effect: false,
            function: None,
            about: None,
            seed: None,
        }
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.operation == other.operation
            && self.error == other.error
            && self.after_effect == other.after_effect
            && self.function == other.function
            && self.about == other.about
    }

    fn concerns(&self, call: &Call, function: Option<(&str, &str)>, request: &[u8]) -> bool {
        let caller = match (self.function.as_deref(), function) {
            (Some("*"), _) | (None, Some(_)) => true,
            (Some(wanted), Some((logical_id, folder))) => wanted == logical_id || wanted == folder,
            (_, None) => false,
        };
        let about = self.about.as_deref().map(str::as_bytes).filter(|about| !about.is_empty());
        caller
            && (self.operation == "*" || self.operation == call.operation)
            && self.error.can_answer(call)
            && about.is_none_or(|about| request.windows(about.len()).any(|window| window == about))
    }
}

impl Failure {
    /// Operations that DynamoDB refuses because of a transaction.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling>
    fn can_answer(&self, call: &Call) -> bool {
        const CONFLICTING: &[&str] =
            &["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "TransactGetItems"];
        *self != Self::Conflict
            || (call.service == Service::DynamoDb && CONFLICTING.contains(&call.operation.as_str()))
    }
}

impl TryFrom<String> for Failure {
    type Error = FaultError;

    fn try_from(name: String) -> Result<Self, FaultError> {
        match name.as_str() {
            "TransactionConflict" | "TransactionConflictException" => Ok(Self::Conflict),
            "timeout" => Ok(Self::Timeout),
            "kill" => Ok(Self::Kill),
            "garbage" => Ok(Self::Garbage),
            "disconnect" => Ok(Self::Disconnect),
            code if code.ends_with("Exception") || CODES.contains(&code) => Ok(Self::Error(name)),
            _ => Err(FaultError::UnknownError(name)),
        }
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflict => "TransactionConflict".to_owned(),
            Failure::Error(code) => code,
            Failure::Timeout => "timeout".to_owned(),
            Failure::Kill => "kill".to_owned(),
            Failure::Garbage => "garbage".to_owned(),
            Failure::Disconnect => "disconnect".to_owned(),
        }
    }
}

fn always() -> f64 {
    1.0
}

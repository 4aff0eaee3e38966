//! Rules by which the local AWS fails.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::call::{Call, Service};
use super::reasons::ReportedReasons;
use super::{damage, partial};
use crate::trigger::{ProbabilityError, Trigger};

/// One way to fail, in Rust or as JSON:
/// `{"operation": "SendMessage", "error": "ThrottlingException", "probability": 0.3, "times": 5}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "FaultRuleFields")]
pub struct FaultRule {
    /// The API operation that fails, `TransactWriteItems`; `*` for all.
    pub operation: String,
    /// The failure.
    pub error: Failure,
    /// Which of these calls fail, and on which side of their effect.
    #[serde(flatten)]
    pub trigger: Trigger,
    /// The one function that is hit, by logical id or folder. Without it every function is, but no
    /// other caller: tests and seeding call through the same proxy. `*` hits them, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// A text that the request of a call must hold: an id, a bucket's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Seed of this rule's random numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// The members of a [`FaultRule`] as they come, so that an unknown one is named before a missing
/// one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRuleFields {
    operation: Option<String>,
    error: Option<Failure>,
    #[serde(flatten)]
    trigger: Trigger,
    function: Option<String>,
    about: Option<String>,
    seed: Option<u64>,
}

/// The failure that a caller sees instead of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Failure {
    /// `TransactionConflict`: another transaction holds an item. Hits only operations that DynamoDB
    /// refuses for it.
    Conflict,
    /// An error of the service by its code, `ThrottlingException` or `InternalServerError`. Its
    /// sentence quotes the request, as sentences of AWS's may.
    Error(String),
    /// `timeout`: no answer until the caller gives up.
    Timeout,
    /// `kill`: the calling worker's process dies.
    Kill,
    /// `garbage`: the true answer without its last two bytes. A write that does not take effect is
    /// answered with its own request, cut as well.
    Garbage,
    /// `mangled`: the true answer, in which texts and numbers have changed places, and a secret is
    /// cut. Hits only operations that read.
    Mangled,
    /// `disconnect`: the connection closes without an answer.
    Disconnect,
    /// `partial`: the call succeeds and does only a part of what it was asked for. Hits only
    /// operations of which AWS says so: a page has one item, a batch's first entry is refused, keys
    /// stay unread, an object ends after half of its bytes.
    Partial,
    /// `reasons:+-+`: a transaction that is cancelled tells less of why. Hits only transactions.
    Reasons(ReportedReasons),
}

/// Why a rule cannot be set.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FaultError {
    /// No service answers with such a code.
    #[error(
        "`{0}` is no error of DynamoDB, S3, SQS or Secrets Manager, nor timeout, kill, garbage, \
         mangled, disconnect, partial, reasons:+- or TransactionConflict"
    )]
    UnknownError(String),
    /// The trigger makes no sense.
    #[error(transparent)]
    Trigger(#[from] ProbabilityError),
    /// Such a fault has an effect by itself.
    #[error("`after_effect`: mangled, partial and reasons:+- forward the call themselves")]
    AfterEffect,
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
    rng: StdRng,
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
    /// Adds a rule. The newest is tried first; a rule that does not hit leaves the call to the
    /// next. A rule replaces one that differs from it only in probability or counts.
    ///
    /// # Errors
    /// [`FaultError`] if the rule is wrong; the rules in force stay as they were.
    pub fn set(&self, rule: FaultRule) -> Result<(), FaultError> {
        rule.trigger.check()?;
        let forwards =
            matches!(rule.error, Failure::Mangled | Failure::Partial | Failure::Reasons(_));
        if rule.trigger.after_effect && forwards {
            return Err(FaultError::AfterEffect);
        }

        let rng =
            rule.seed.map_or_else(|| StdRng::from_rng(&mut rand::rng()), StdRng::seed_from_u64);
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|other| !other.rule.is_like(&rule));
        rules.insert(0, Rule { rule, rng });
        Ok(())
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns the rules in force, newest first, with the counts they have left.
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
        let hits = |rule: &&mut Rule| rule.rule.concerns(call, function, request);
        let mut concerned = rules.iter_mut().filter(hits);
        let rule =
            concerned.find_map(|rule| rule.rule.trigger.hits(&mut rule.rng).then_some(rule))?;

        let hit = Hit {
            failure: rule.rule.error.clone(),
            after_effect: rule.rule.trigger.after_effect,
            draw: rule.rng.next_u64(),
        };

        rules.retain(|rule| !rule.rule.trigger.is_used_up());

        Some(hit)
    }
}

impl FaultRule {
    /// A rule that hits every call of an operation by any function, until it is cleared.
    pub fn new(operation: impl Into<String>, error: Failure) -> Self {
        Self {
            operation: operation.into(),
            error,
            trigger: Trigger::default(),
            function: None,
            about: None,
            seed: None,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.operation == other.operation
            && self.error == other.error
            && self.trigger.after_effect == other.trigger.after_effect
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
    /// Returns whether a call can fail like this. `CONFLICTING` are the operations that DynamoDB
    /// refuses because of a transaction.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling>
    fn can_answer(&self, call: &Call) -> bool {
        const CONFLICTING: &[&str] =
            &["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "TransactGetItems"];
        match self {
            Self::Conflict => {
                call.service == Service::DynamoDb && CONFLICTING.contains(&call.operation.as_str())
            }
            Self::Partial => partial::is_possible(&call.operation),
            Self::Reasons(_) => call.operation == "TransactWriteItems",
            Self::Mangled => damage::is_read(&call.operation),
            Self::Error(_) | Self::Timeout | Self::Kill | Self::Garbage | Self::Disconnect => true,
        }
    }
}

impl TryFrom<FaultRuleFields> for FaultRule {
    type Error = String;

    fn try_from(fields: FaultRuleFields) -> Result<Self, String> {
        let FaultRuleFields { operation, error, trigger, function, about, seed } = fields;
        let operation = operation.ok_or("missing field `operation`")?;
        let error = error.ok_or("missing field `error`")?;
        Ok(Self { operation, error, trigger, function, about, seed })
    }
}

impl TryFrom<String> for Failure {
    type Error = FaultError;

    fn try_from(name: String) -> Result<Self, FaultError> {
        if let Some(pattern) = name.strip_prefix("reasons:") {
            let reasons = ReportedReasons::parse(pattern).map(Self::Reasons);
            return reasons.ok_or(FaultError::UnknownError(name));
        }

        match name.as_str() {
            "TransactionConflict" | "TransactionConflictException" => Ok(Self::Conflict),
            "timeout" => Ok(Self::Timeout),
            "kill" => Ok(Self::Kill),
            "garbage" => Ok(Self::Garbage),
            "mangled" => Ok(Self::Mangled),
            "disconnect" => Ok(Self::Disconnect),
            "partial" => Ok(Self::Partial),
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
            Failure::Mangled => "mangled".to_owned(),
            Failure::Disconnect => "disconnect".to_owned(),
            Failure::Partial => "partial".to_owned(),
            Failure::Reasons(reasons) => format!("reasons:{reasons}"),
        }
    }
}

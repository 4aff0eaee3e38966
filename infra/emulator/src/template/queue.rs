//! `AWS::SQS::Queue`: what `CreateQueue` needs to know.

use std::collections::BTreeMap;

use super::error::TemplateError;
use super::properties::Properties;

/// A queue as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Logical id.
    pub logical_id: String,
    /// `QueueName`, or the logical id; ends in `.fifo` for a FIFO queue.
    pub name: String,
    /// Queue attributes by the names `CreateQueue` knows them by, without the redrive policy.
    pub attributes: BTreeMap<String, String>,
    /// The dead-letter queue, if there is one.
    pub redrive: Option<Redrive>,
}

/// A queue's `RedrivePolicy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// Logical id of the dead-letter queue.
    pub dead_letters: String,
    /// Receives after which a message moves there.
    pub max_receive_count: u32,
}

/// Attributes that are passed on as they stand.
const ATTRIBUTES: &[&str] = &[
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoThroughputLimit",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
];

/// The visibility timeout of a queue that sets none, in seconds.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-sqs-queue.html>
const DEFAULT_VISIBILITY_TIMEOUT: i32 = 30;

impl Queue {
    /// Seconds for which a message that was handed out is not handed out again.
    pub fn visibility_timeout(&self) -> i32 {
        let declared =
            self.attributes.get("VisibilityTimeout").and_then(|seconds| seconds.parse().ok());
        declared.unwrap_or(DEFAULT_VISIBILITY_TIMEOUT)
    }

    /// Returns whether it is a FIFO queue.
    pub fn is_fifo(&self) -> bool {
        self.attributes.contains_key("FifoQueue")
    }

    pub(super) fn read(id: &str, mut properties: Properties<'_>) -> Result<Self, TemplateError> {
        let fifo: bool = properties.parsed("FifoQueue")?.unwrap_or(false);
        let name = properties.literal("QueueName")?;
        let name = name.unwrap_or_else(|| if fifo { format!("{id}.fifo") } else { id.to_owned() });
        let mut attributes = BTreeMap::new();

        for attribute in ATTRIBUTES {
            if let Some(value) = properties.literal(attribute)? {
                attributes.insert((*attribute).to_owned(), value);
            }
        }

        if fifo {
            attributes.insert("FifoQueue".to_owned(), "true".to_owned());
        }

        let redrive = properties.nested("RedrivePolicy")?.map(Redrive::read).transpose()?;
        properties.finish(&[
            "KmsMasterKeyId",
            "KmsDataKeyReusePeriodSeconds",
            "RedriveAllowPolicy",
            "Tags",
        ])?;

        Ok(Self { logical_id: id.to_owned(), name, attributes, redrive })
    }
}

impl Redrive {
    fn read(mut properties: Properties<'_>) -> Result<Self, TemplateError> {
        let missing = |properties: &Properties<'_>, name: &str| {
            properties.error(format!("{name} is missing"))
        };
        let dead_letters = properties
            .resource("deadLetterTargetArn")?
            .ok_or_else(|| missing(&properties, "deadLetterTargetArn"))?;
        let max_receive_count = properties
            .parsed("maxReceiveCount")?
            .ok_or_else(|| missing(&properties, "maxReceiveCount"))?;
        properties.finish(&[])?;
        Ok(Self { dead_letters, max_receive_count })
    }
}

//! Whether anything is still going on.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::QueueAttributeName;
use serde::Serialize;

use super::Engine;

/// Everything that goes on, or will go on by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Activity {
    /// Functions at work, by logical id; idle functions are left out.
    pub invocations: BTreeMap<String, usize>,
    /// Deliveries of records that wait for an invocation or are in one.
    pub deliveries: u64,
    /// The queues that a function polls, by logical id; empty queues are left out.
    pub queues: BTreeMap<String, QueueDepth>,
    /// Whether a stream has records that are not processed yet.
    pub streams_behind: bool,
    /// Whether queues and streams are held: then their records go nowhere.
    pub held: bool,
    /// Seconds until the next run of a schedule.
    pub next_schedule_in: Option<u64>,
}

/// How many records a queue has, as `GetQueueAttributes` counts them.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct QueueDepth {
    /// Records that can be received.
    pub visible: u64,
    /// Records that were received and neither deleted nor given up.
    pub in_flight: u64,
    /// Records that cannot be received yet.
    pub delayed: u64,
}

impl Activity {
    /// Returns whether nothing happens any more before the next run of a schedule, unless a caller
    /// from outside makes it.
    pub fn is_idle(&self) -> bool {
        let is_at_rest = self.deliveries == 0 && self.queues.is_empty() && !self.streams_behind;
        self.invocations.is_empty() && (self.held || is_at_rest)
    }
}

impl Engine {
    /// Counts the records of every queue, dead letters included, by logical id.
    pub async fn queue_depths(&self) -> BTreeMap<String, QueueDepth> {
        let mut depths = BTreeMap::new();
        for (logical_id, url) in &self.aws.made.queue_urls {
            depths.insert(logical_id.clone(), depth(&self.aws.queues, url).await);
        }
        depths
    }

    /// Looks at the functions and the queues.
    pub async fn activity(&self) -> Activity {
        let polled = |queue: &str| {
            let mut sources = self.stack.functions.iter().flat_map(|function| &function.queues);
            sources.any(|source| source.queue == queue)
        };

        let mut queues = BTreeMap::new();
        for (logical_id, url) in self.aws.made.queue_urls.iter().filter(|(id, _)| polled(id)) {
            let depth = depth(&self.aws.queues, url).await;
            if depth != QueueDepth::default() {
                queues.insert(logical_id.clone(), depth);
            }
        }

        // Before the invocations are counted: what is behind becomes one.
        let streams_behind = self.event_sources.are_streams_behind(&self.aws).await;
        Activity {
            queues,
            streams_behind,
            deliveries: self.polling.outstanding(),
            invocations: self.lambda.at_work(),
            held: self.polling.is_held(),
            next_schedule_in: self.event_sources.next_schedule_in().map(|wait| wait.as_secs()),
        }
    }
}

/// Counts a queue's records. A queue that does not answer is being stopped, and has none.
async fn depth(sqs: &aws_sdk_sqs::Client, url: &str) -> QueueDepth {
    let request =
        sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
    let attributes = request.send().await.ok().and_then(|answer| answer.attributes);
    let attributes = attributes.unwrap_or_default();
    let count = |name| attributes.get(&name).and_then(|count| count.parse().ok()).unwrap_or(0);

    QueueDepth {
        visible: count(QueueAttributeName::ApproximateNumberOfMessages),
        in_flight: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        delayed: count(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
    }
}

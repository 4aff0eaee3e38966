//! One look at everything that could leak.

use std::path::Path;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use reqwest::Method;
use serde_json::Value;

use crate::process::{children, usage};
use crate::{Stage, lock};
use domain::{BusinessId, ConversationId};
use platform::table::key;

/// Everything that is sampled. Memory is in MiB, times in milliseconds, the rest are counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// Seconds since the start.
    pub(crate) at: f64,
    pub(crate) memory: f64,
    /// The memory of the function's process that has most.
    pub(crate) function_memory: f64,
    pub(crate) descriptors: f64,
    /// The descriptors of the function's process that has most.
    pub(crate) function_descriptors: f64,
    pub(crate) processes: f64,
    pub(crate) leases: f64,
    pub(crate) outbox: f64,
    /// Records in queues, received ones included.
    pub(crate) queued: f64,
    /// Records of connections in the table.
    pub(crate) connections: f64,
    /// Stored files, and those that are temporary.
    pub(crate) files: f64,
    pub(crate) temporary: f64,
    pub(crate) stored: f64,
    /// How long sends took since the sample before; none if there were none.
    pub(crate) half: f64,
    pub(crate) most: f64,
}

/// Looks at everything.
pub(crate) async fn sample(stage: &Stage<'_>) -> Sample {
    let system = usage(stage.pid);
    let functions: Vec<_> = children(stage.pid).into_iter().map(usage).collect();
    let largest =
        |of: fn(&crate::process::Usage) -> f64| functions.iter().map(of).fold(0.0, f64::max);

    let activity = stage.world.sandbox(Method::GET, "/activity", Value::Null).await;
    let queues = activity["queues"].as_object().into_iter().flatten();
    let depth = |queue: &Value| {
        let counts = queue.as_object().into_iter().flatten();
        counts.filter_map(|(_, count)| count.as_f64()).sum::<f64>()
    };
    let queued = queues.map(|(_, queue)| depth(queue)).sum();

    let conversations = conversations(stage).await;
    let having =
        |name: &str| conversations.iter().filter(|item| item.contains_key(name)).count() as f64;
    let stored = conversations.iter().filter_map(|item| item.get("seq")?.as_n().ok());
    let stored = stored.filter_map(|seq| seq.parse::<f64>().ok()).sum();

    let mut waits = std::mem::take(&mut *lock(&stage.waits));
    waits.sort_by(f64::total_cmp);
    let files = files(&stage.directory.join("s3"));
    let temporary = temporary(stage.directory);

    Sample {
        at: stage.begun.elapsed().as_secs_f64(),
        memory: system.memory,
        function_memory: largest(|usage| usage.memory),
        descriptors: system.descriptors,
        function_descriptors: largest(|usage| usage.descriptors),
        processes: functions.len() as f64,
        leases: having("lease_owner"),
        outbox: having("due"),
        queued,
        connections: connections(stage).await,
        files: files as f64,
        temporary: temporary as f64,
        stored,
        half: percentile(&waits, 50),
        most: percentile(&waits, 99),
    }
}

/// Returns a percentile of sorted numbers; `NaN` if there are none.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    tests::suite::percentile(sorted, percent).unwrap_or(f64::NAN)
}

type Item = std::collections::HashMap<String, AttributeValue>;

/// Returns all conversations as the table has them.
async fn conversations(stage: &Stage<'_>) -> Vec<Item> {
    let mut keys = Vec::new();
    for (_, place, conversation_id) in &stage.conversations {
        let business_id = BusinessId(stage.large[*place].business_id);
        keys.push(key::conversation(business_id, ConversationId(*conversation_id)));
    }
    for business in &stage.small {
        let business_id = BusinessId(business.business_id);
        let ids = business.conversations.values();
        keys.extend(ids.map(|id| key::conversation(business_id, ConversationId(*id))));
    }

    let keys = keys.iter().map(key::Key::attributes).collect();
    let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
    let table = &stage.world.ready.table;
    let request = stage.world.dynamodb().batch_get_item();
    let request = request.request_items(table, keys.expect("it has keys"));
    let answer = request.send().await.expect("the table can be read");
    answer.responses.unwrap_or_default().remove(table).unwrap_or_default()
}

/// Returns how many connections the table knows.
async fn connections(stage: &Stage<'_>) -> f64 {
    let table = stage.world.table();
    let mut count = 0;
    for business in stage.large.iter().chain(&stage.small) {
        let conversation_id = ConversationId(business.conversation_id("chat"));
        let connections = table.connections(BusinessId(business.business_id), conversation_id);
        count += connections.await.expect("the table can be read").len();
    }

    count as f64
}

/// Counts the files below a directory.
fn files(directory: &Path) -> usize {
    count(directory, &|_| true)
}

/// Counts temporary files: those in the system's own temporary directory, and parts of objects that
/// are not whole yet.
fn temporary(directory: &Path) -> usize {
    let unfinished = |name: &str| name.starts_with(".tmp");
    files(&directory.join("tmp")) + count(directory, &unfinished)
}

fn count(directory: &Path, fits: &dyn Fn(&str) -> bool) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let counts = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => count(&entry.path(), fits),
        _ => usize::from(fits(&entry.file_name().to_string_lossy())),
    });
    counts.sum()
}

//! The answers of an account that the local system knows: metrics, by what it has counted, and the
//! functions' settings, by its template.

use std::fmt::{Display, Write};

use tests::World;

/// Error codes by which DynamoDB throttles, and those of its own faults.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
const THROTTLING: [&str; 2] = ["ProvisionedThroughputExceededException", "ThrottlingException"];
const FAULTS: [&str; 1] = ["InternalServerError"];

/// Operations that read; the others write.
const READS: [&str; 4] = ["BatchGetItem", "GetItem", "Query", "Scan"];

/// Returns a point of a metric, as AWS's command line prints it.
pub(super) fn point(value: impl Display) -> String {
    format!("2026-01-01T00:00:00+00:00\t{value}.0")
}

/// Returns a line for each answer: the command, or a metric and its last dimension, and the text.
pub(super) fn table(world: &World) -> String {
    let mut table = String::new();
    let mut answer = |key: String, text: String| {
        writeln!(table, "{key}\t{text}").expect("a text grows");
    };

    let functions = world.engine().functions();
    for (name, figures) in &functions {
        let reserved = figures.reserved_concurrency.map_or("None".to_owned(), |it| it.to_string());
        let loops = if figures.may_loop { "Allow" } else { "Terminate" };
        answer(format!("Throttles {name}"), point(figures.throttles));
        answer(format!("RecursiveInvocationsDropped {name}"), point(figures.dropped_loops));
        answer(format!("ConcurrentExecutions {name}"), point(figures.most_at_once));
        answer(format!("lambda get-function-concurrency {name}"), reserved);
        answer(format!("lambda get-function-recursion-config {name}"), loops.to_owned());
    }
    let names: Vec<&str> = functions.keys().map(String::as_str).collect();
    answer("lambda list-functions".to_owned(), names.join("\t"));

    let account = world.engine().account();
    answer("ConcurrentExecutions".to_owned(), point(account.most_at_once));
    if let Some(concurrency) = account.concurrency {
        let limit = format!("{{ \"ConcurrentExecutions\": {concurrency} }}");
        answer("lambda get-account-settings".to_owned(), limit);
        // Nothing is reserved in these accounts, so that claimed is what runs.
        answer("ClaimedAccountConcurrency".to_owned(), point(account.most_at_once));
    }

    for ((operation, code), times) in world.engine().calls().failed() {
        if FAULTS.contains(&code.as_str()) {
            answer(format!("SystemErrors {operation}"), point(times));
        } else if THROTTLING.contains(&code.as_str()) {
            let kind = if READS.contains(&operation.as_str()) { "Read" } else { "Write" };
            answer(format!("{kind}ThrottleEvents Table"), point(times));
        }
    }
    table
}

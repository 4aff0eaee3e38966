//! Starts workers and waits for their end: the process, its environment, its last output.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::invocation::InvokeError;
use super::logs::Logs;
use super::specification::Specification;
use super::worker::{Worker, WorkerExit};
use super::workers::Workers;
use crate::account::REGION;

/// Longest wait for the last lines of a dead worker.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(500);

/// The variables of this process that a worker inherits.
const INHERITED: &[&str] = &["PATH", "HOME", "RUST_BACKTRACE"];

/// Starts workers of any function.
pub(super) struct Launcher {
    /// Base URL of the Runtime API.
    pub(super) runtime_api: String,
    pub(super) workers: Arc<Workers>,
    pub(super) logs: Logs,
}

impl Launcher {
    /// Starts a process; `changed` overrides the function's environment.
    pub(super) fn launch(
        &self,
        function: &Arc<Specification>,
        changed: &BTreeMap<String, String>,
    ) -> Result<Arc<Worker>, InvokeError> {
        // Letters and digits alone, as in a real access key.
        let id = format!("{}{}", function.logical_id, self.workers.number());
        let worker = Arc::new(Worker::new(id, Arc::clone(function)));

        // The worker is known before it runs, because it may ask for its first event at once.
        if !self.workers.add(Arc::clone(&worker)) {
            return Err(InvokeError::Stopped);
        }

        let spawned = self.command(&worker, changed).spawn();
        let child = spawned
            .inspect_err(|_| self.workers.remove(worker.id()))
            .map_err(InvokeError::Bootstrap)?;

        tokio::spawn(watch_over(
            child,
            Arc::clone(&worker),
            Arc::clone(&self.workers),
            self.logs.clone(),
        ));

        Ok(worker)
    }

    fn command(&self, worker: &Worker, changed: &BTreeMap<String, String>) -> Command {
        let id = worker.id();
        let function = worker.function();
        let mut command = Command::new(&function.program);
        command.env_clear().envs(inherited()).envs(&function.environment).envs(changed);
        command
            .envs(identity(id, function))
            .env("AWS_LAMBDA_RUNTIME_API", format!("{}/{id}", self.runtime_api));

        // A program that plays all functions ends when its standard input does: together with this
        // process, however that ends.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);

        // A group of its own: Ctrl-C on the terminal is for the host, which ends its workers in
        // order.
        command.process_group(0);

        command
    }
}

/// Waits for the end of a process, or kills it, and keeps its last output.
async fn watch_over(mut child: Child, worker: Arc<Worker>, workers: Arc<Workers>, logs: Logs) {
    let output = logs.follow(&worker.function().name, child.stdout.take(), child.stderr.take());
    // Held open to the end, and closed together with this process.
    let _stdin = child.stdin.take();
    let status = tokio::select! {
        status = child.wait() => status,
        () = worker.is_to_be_killed() => {
            // An error means that it is dead already, which the wait then shows.
            let _ = child.start_kill();
            child.wait().await
        }
    };

    let exit_message = tokio::time::timeout(LAST_LINES_TIMEOUT, output).await.unwrap_or_default();
    workers.remove(worker.id());

    worker.has_ended(WorkerExit {
        status: status.map_or_else(|error| error.to_string(), describe),
        exit_message,
    });
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(9)) => "signal: killed".to_owned(),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => "unknown status".to_owned(),
    }
}

fn inherited() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    INHERITED.iter().filter_map(|name| std::env::var_os(name).map(|value| (*name, value)))
}

/// The variables that Lambda sets in every worker.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
fn identity(id: &str, function: &Specification) -> Vec<(&'static str, String)> {
    vec![
        ("_HANDLER", function.name.clone()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".to_owned()),
        ("AWS_ACCESS_KEY_ID", id.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.logical_id.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_megabytes.to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.logical_id)),
        ("AWS_LAMBDA_LOG_STREAM_NAME", format!("[$LATEST]{id}")),
    ]
}

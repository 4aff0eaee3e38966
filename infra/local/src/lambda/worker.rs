//! One worker: a process of the bootstrap, the events it is given and its end.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::Specification;
use super::invocation::{FunctionError, Invocation};
use super::logs::Logs;
use crate::aws::REGION;

/// How long a worker may take to ask for its first event.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last lines of a dead worker are waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What of our own environment a worker sees.
const INHERITED: &[&str] = &["PATH", "HOME", "RUST_BACKTRACE"];

/// Starts workers.
pub(super) struct Launcher {
    pub(super) bootstrap: PathBuf,
    pub(super) runtime_api: String,
    pub(super) workers: Arc<Workers>,
    pub(super) logs: Logs,
}

/// Workers that are alive, by id. A worker's id is also the access key that it signs its calls to AWS with.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    started: AtomicU64,
    alive: Mutex<HashMap<String, Arc<Worker>>>,
}

/// A running process of one function.
#[derive(Debug)]
pub(crate) struct Worker {
    id: String,
    function: Arc<Specification>,
    inbox: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    outbox: mpsc::Sender<Invocation>,
    /// The event being worked on.
    current: Mutex<Option<(String, oneshot::Sender<Result<Bytes, FunctionError>>)>>,
    init_error: Mutex<Option<FunctionError>>,
    ready: watch::Sender<bool>,
    gone: watch::Sender<Option<End>>,
    kill: Notify,
}

/// How a worker ended.
#[derive(Debug, Clone)]
struct End {
    status: String,
    last_words: String,
}

/// Why a worker has no answer.
pub(super) enum CallError {
    /// It failed, crashed or ran out of time.
    Failed(FunctionError),
    /// It was dead before it took the event.
    NotTaken,
}

impl Launcher {
    /// Starts a process; `changed` overrides the function's environment.
    pub(super) fn launch(
        &self,
        function: &Arc<Specification>,
        changed: &BTreeMap<String, String>,
    ) -> std::io::Result<Arc<Worker>> {
        let number = self.workers.started.fetch_add(1, Ordering::Relaxed) + 1;
        let id = format!("{}{number}", function.logical_id);
        let mut command = Command::new(&self.bootstrap);
        command.env_clear().envs(inherited()).envs(&function.environment).envs(changed);
        command.envs(identity(&id, function)).env("AWS_LAMBDA_RUNTIME_API", format!("{}/{id}", self.runtime_api));
        // The bootstrap ends when its standard input does: with us, however we end.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn()?;
        let (outbox, inbox) = mpsc::channel(1);
        let worker = Arc::new(Worker {
            id: id.clone(),
            function: Arc::clone(function),
            inbox: tokio::sync::Mutex::new(inbox),
            outbox,
            current: Mutex::default(),
            init_error: Mutex::default(),
            ready: watch::Sender::new(false),
            gone: watch::Sender::new(None),
            kill: Notify::new(),
        });
        self.workers.add(Arc::clone(&worker));
        tokio::spawn(watch_over(child, Arc::clone(&worker), Arc::clone(&self.workers), self.logs.clone()));
        Ok(worker)
    }
}

impl Worker {
    /// The function that it is a worker of.
    pub(crate) fn function(&self) -> &Specification {
        &self.function
    }

    /// Ends the process with SIGKILL and waits until it is gone.
    pub(crate) async fn kill(&self) {
        self.kill.notify_one();
        self.end().await;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.borrow().is_some()
    }

    /// Hands an event over and waits for what becomes of it.
    pub(super) async fn call(&self, payload: Bytes) -> Result<Bytes, CallError> {
        self.await_init().await?;
        let request_id = uuid::Uuid::new_v4().to_string();
        let timeout = self.function.timeout;
        let (reply, answer) = oneshot::channel();
        let invocation =
            Invocation { request_id: request_id.clone(), deadline: SystemTime::now() + timeout, payload, reply };
        // The inbox lives as long as the worker and is empty between two events.
        let _ = self.outbox.send(invocation).await;
        tokio::select! {
            biased;
            Ok(answer) = answer => answer.map_err(CallError::Failed),
            end = self.end() => {
                let taken = self.current.lock().unwrap_or_else(PoisonError::into_inner).take().is_some();
                if !taken {
                    return Err(CallError::NotTaken);
                }
                Err(CallError::Failed(crashed(&request_id, &end)))
            }
            () = tokio::time::sleep(timeout) => {
                self.kill().await;
                let message = format!("RequestId: {request_id} Error: Task timed out after {:.2} seconds", timeout.as_secs_f64());
                Err(CallError::Failed(FunctionError::new("Sandbox.Timedout", message)))
            }
        }
    }

    /// The Runtime API's `next`: waits for an event and takes it.
    pub(super) async fn next(&self) -> Option<(String, SystemTime, Bytes)> {
        self.ready.send_replace(true);
        let invocation = self.inbox.lock().await.recv().await?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some((invocation.request_id.clone(), invocation.reply));
        Some((invocation.request_id, invocation.deadline, invocation.payload))
    }

    /// The Runtime API's `response` and `error`; false if that event is not the one being worked on.
    pub(super) fn finish(&self, request_id: &str, outcome: Result<Bytes, FunctionError>) -> bool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match current.take_if(|(id, _)| id == request_id) {
            Some((_, reply)) => {
                // Whoever waited may have gone; the event is finished all the same.
                let _ = reply.send(outcome);
                true
            }
            None => false,
        }
    }

    /// The Runtime API's `init/error`.
    pub(super) fn fail_init(&self, error: FunctionError) {
        *self.init_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.kill.notify_one();
    }

    async fn await_init(&self) -> Result<(), CallError> {
        let error = tokio::select! {
            biased;
            () = self.is_ready() => return Ok(()),
            end = self.end() => {
                let reported = self.init_error.lock().unwrap_or_else(PoisonError::into_inner).take();
                reported.unwrap_or_else(|| crashed("init", &end))
            }
            () = tokio::time::sleep(INIT_TIMEOUT) => {
                self.kill().await;
                let message = format!("Init timed out after {:.2} seconds", INIT_TIMEOUT.as_secs_f64());
                FunctionError::new("Sandbox.Timedout", message)
            }
        };
        Err(CallError::Failed(error))
    }

    async fn is_ready(&self) {
        // The sender lives in this worker, so the wait can only end with what it waits for.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    async fn end(&self) -> End {
        let mut gone = self.gone.subscribe();
        let end = gone.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        end.expect("the sender lives in this worker, and the wait ends with a value")
    }
}

impl Workers {
    /// The worker with this id, if it is alive.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Worker>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(super) async fn kill_all(&self) {
        let all: Vec<_> = self.alive.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for worker in all {
            worker.kill().await;
        }
    }

    fn add(&self, worker: Arc<Worker>) {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).insert(worker.id.clone(), worker);
    }

    fn remove(&self, id: &str) {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// Waits for the end of a process, or brings it about, and says what it said.
async fn watch_over(mut child: Child, worker: Arc<Worker>, workers: Arc<Workers>, logs: Logs) {
    let speech = logs.follow(&worker.function.name, child.stdout.take(), child.stderr.take());
    // Held open to the end: it closes with us.
    let _stdin = child.stdin.take();
    let status = tokio::select! {
        status = child.wait() => status,
        () = worker.kill.notified() => {
            // An error means that it is dead already, which the wait then tells.
            let _ = child.start_kill();
            child.wait().await
        }
    };
    let last_words = tokio::time::timeout(LAST_WORDS, speech).await.unwrap_or_default();
    workers.remove(&worker.id);
    let status = status.map_or_else(|error| error.to_string(), describe);
    worker.gone.send_replace(Some(End { status, last_words }));
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

fn crashed(request: &str, end: &End) -> FunctionError {
    let mut message = format!("RequestId: {request} Error: Runtime exited with error: {}", end.status);
    if !end.last_words.is_empty() {
        message = format!("{message}: {}", end.last_words);
    }
    FunctionError::new("Runtime.ExitError", message)
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

//! One worker: its events, its answers and its end. `launcher.rs` has the process behind it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::invocation::{FunctionError, Invocation, Reply};
use super::lineage::Lineage;
use super::specification::Specification;

/// Longest time until a worker asks for its first event.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// A running process of one function, which works on one event at a time.
#[derive(Debug)]
pub(crate) struct Worker {
    id: String,
    function: Arc<Specification>,
    inbox: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    outbox: mpsc::Sender<Invocation>,
    state: Mutex<State>,
    ready: watch::Sender<bool>,
    end: watch::Sender<Option<WorkerExit>>,
    kill: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The event being worked on, by request id.
    current: Option<(String, Reply)>,
    /// The error that the function reported instead of asking for its first event.
    init_error: Option<FunctionError>,
}

/// The end of a worker.
#[derive(Debug, Clone)]
pub(super) struct WorkerExit {
    pub(super) status: String,
    /// The message of its panic, or its last line.
    pub(super) exit_message: String,
}

/// An event as a worker takes it.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) request_id: String,
    pub(super) deadline: SystemTime,
    pub(super) lineage: Lineage,
    pub(super) payload: Bytes,
}

/// Why a worker has no answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// The function reported an error.
    Reported(FunctionError),
    /// It crashed or ran out of time, which it cannot report itself.
    Ended(FunctionError),
    /// It was dead before it took the event.
    NotTaken,
}

impl Worker {
    pub(super) fn new(id: String, function: Arc<Specification>) -> Self {
        let (outbox, inbox) = mpsc::channel(1);
        Self {
            id,
            function,
            inbox: tokio::sync::Mutex::new(inbox),
            outbox,
            state: Mutex::default(),
            ready: watch::Sender::new(false),
            end: watch::Sender::new(None),
            kill: Notify::new(),
        }
    }

    /// Returns its function.
    pub(crate) fn function(&self) -> &Specification {
        &self.function
    }

    /// Ends the process with SIGKILL and waits until it is gone.
    pub(crate) async fn kill(&self) {
        self.begin_kill();
        self.ended().await;
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.state().current.is_some()
    }

    pub(super) fn is_gone(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// Hands an event over and waits for the answer.
    pub(super) async fn call(&self, lineage: Lineage, payload: Bytes) -> Result<Bytes, CallError> {
        self.init().await?;
        let request_id = uuid::Uuid::new_v4().to_string();
        let timeout = self.function.timeout;
        let (reply, answer) = oneshot::channel();
        let deadline = SystemTime::now() + timeout;
        let invocation =
            Invocation { request_id: request_id.clone(), deadline, lineage, payload, reply };

        // The inbox lives as long as the worker and is empty between two events.
        let _ = self.outbox.send(invocation).await;

        tokio::select! {
            biased;
            Ok(answer) = answer => answer.map_err(CallError::Reported),
            end = self.ended() => match self.state().current.take() {
                Some(_) => Err(CallError::Ended(crashed(&request_id, &end))),
                None => Err(CallError::NotTaken),
            },
            () = tokio::time::sleep(timeout) => {
                self.kill().await;
                Err(CallError::Ended(timed_out(&format!("RequestId: {request_id} Error: Task"), timeout)))
            }
        }
    }

    /// The Runtime API's `next`: waits for an event and takes it.
    pub(super) async fn next(&self) -> Option<Event> {
        self.ready.send_replace(true);
        let Invocation { request_id, deadline, lineage, payload, reply } =
            self.inbox.lock().await.recv().await?;
        self.state().current = Some((request_id.clone(), reply));
        Some(Event { request_id, deadline, lineage, payload })
    }

    /// The Runtime API's `response` and `error`; false if that event is not the one being worked
    /// on.
    pub(super) fn finish(&self, request_id: &str, outcome: Result<Bytes, FunctionError>) -> bool {
        let finished = self.state().current.take_if(|(id, _)| id == request_id);
        let Some((_, reply)) = finished else { return false };
        // The caller may have gone; the event is finished all the same.
        let _ = reply.send(outcome);
        true
    }

    /// The Runtime API's `init/error`.
    pub(super) fn fail_init(&self, error: FunctionError) {
        self.state().init_error = Some(error);
        self.begin_kill();
    }

    pub(super) fn begin_kill(&self) {
        self.kill.notify_one();
    }

    pub(super) async fn is_to_be_killed(&self) {
        self.kill.notified().await;
    }

    pub(super) fn has_ended(&self, end: WorkerExit) {
        self.end.send_replace(Some(end));
    }

    /// Waits until the function asks for its first event.
    async fn init(&self) -> Result<(), CallError> {
        let error = tokio::select! {
            biased;
            () = self.is_ready() => return Ok(()),
            end = self.ended() => {
                let reported = self.state().init_error.take();
                reported.unwrap_or_else(|| crashed("init", &end))
            }
            () = tokio::time::sleep(INIT_TIMEOUT) => {
                self.kill().await;
                timed_out("Init", INIT_TIMEOUT)
            }
        };

        Err(CallError::Ended(error))
    }

    async fn is_ready(&self) {
        // The sender lives in this worker, so the wait can only end with what it waits for.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    async fn ended(&self) -> WorkerExit {
        let mut end = self.end.subscribe();
        let end = end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        end.expect("the sender lives in this worker, and the wait ends with a value")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn crashed(request: &str, end: &WorkerExit) -> FunctionError {
    let mut message =
        format!("RequestId: {request} Error: Runtime exited with error: {}", end.status);
    if !end.exit_message.is_empty() {
        message = format!("{message}: {}", end.exit_message);
    }
    FunctionError::new("Runtime.ExitError", message)
}

fn timed_out(what: &str, after: Duration) -> FunctionError {
    FunctionError::new(
        "Sandbox.Timedout",
        format!("{what} timed out after {:.2} seconds", after.as_secs_f64()),
    )
}

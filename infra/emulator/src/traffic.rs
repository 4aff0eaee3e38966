//! The last requests to the HTTP API and the functions' last calls to AWS, for people who watch.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use chrono::{DateTime, Utc};

/// How many of each are remembered.
const REMEMBERED: usize = 400;
/// How much of a call's request is remembered, in bytes.
const REQUEST_LENGTH: usize = 4 << 10;
/// Longest segment of a path that is remembered whole: an id. A longer one is a credential.
const SEGMENT_LENGTH: usize = 36;

/// The last requests and calls. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    number: u64,
    requests: VecDeque<HttpRequest>,
    calls: VecDeque<AwsCall>,
}

/// A request to the HTTP API, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Its number among requests and calls, in the order in which they ended.
    pub number: u64,
    /// When it came.
    pub at: DateTime<Utc>,
    /// Its method.
    pub method: String,
    /// Its path, without the query and without credentials.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// How long the answer took, in milliseconds.
    pub ms: u64,
}

/// A function's call to AWS, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsCall {
    /// Its number among requests and calls, in the order in which they ended.
    pub number: u64,
    /// When it came.
    pub at: DateTime<Utc>,
    /// The calling function: `send-message`.
    pub function: String,
    /// The operation: `dynamodb:UpdateItem`.
    pub operation: String,
    /// The beginning of the request's body; of a call to S3, bucket and key.
    pub request: Bytes,
    /// The status of the answer; none if the caller got none.
    pub status: Option<u16>,
    /// The fault that hit it.
    pub fault: Option<String>,
    /// How long the answer took, in milliseconds.
    pub ms: u64,
}

impl Traffic {
    /// Returns the remembered requests behind this number, oldest first.
    pub fn requests_after(&self, number: u64) -> Vec<HttpRequest> {
        let state = self.state();
        state.requests.iter().filter(|request| request.number > number).cloned().collect()
    }

    /// Returns the remembered calls behind this number, oldest first.
    pub fn calls_after(&self, number: u64) -> Vec<AwsCall> {
        let state = self.state();
        state.calls.iter().filter(|call| call.number > number).cloned().collect()
    }

    /// Returns the number of the last request or call.
    pub fn last(&self) -> u64 {
        self.state().number
    }

    /// Remembers a request that is answered now, and returns it.
    pub(crate) fn note_request(
        &self,
        method: &str,
        path: &str,
        status: u16,
        begun: Begun,
    ) -> HttpRequest {
        let mut state = self.state();
        let request = HttpRequest {
            number: state.next(),
            at: begun.at,
            method: method.to_owned(),
            path: without_credentials(path),
            status,
            ms: begun.ms(),
        };
        push(&mut state.requests, request.clone());
        request
    }

    /// Begins a call, which is remembered when the guard is dropped.
    pub(crate) fn begin_call(
        &self,
        function: &str,
        operation: String,
        request: &Bytes,
    ) -> CallGuard {
        let beginning = &request[..request.len().min(REQUEST_LENGTH)];
        let call = AwsCall {
            number: 0,
            at: Utc::now(),
            function: function.to_owned(),
            operation,
            request: Bytes::copy_from_slice(beginning),
            status: None,
            fault: None,
            ms: 0,
        };
        CallGuard { traffic: self.clone(), begun: Begun::now(), call: Some(call) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}

fn push<T>(remembered: &mut VecDeque<T>, newest: T) {
    if remembered.len() == REMEMBERED {
        remembered.pop_front();
    }
    remembered.push_back(newest);
}

/// Returns a path whose credentials, such as a file's capability, are cut.
fn without_credentials(path: &str) -> String {
    let segments = path.split('/').map(|segment| match segment.chars().count() {
        length if length > SEGMENT_LENGTH => {
            segment.chars().take(8).chain(['…']).collect::<String>()
        }
        _ => segment.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

/// The moment at which something began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    at: DateTime<Utc>,
    instant: Instant,
}

impl Begun {
    pub(crate) fn now() -> Self {
        Self { at: Utc::now(), instant: Instant::now() }
    }

    fn ms(self) -> u64 {
        u64::try_from(self.instant.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A call that is going on. A caller that gives up drops it without a status.
#[derive(Debug)]
pub(crate) struct CallGuard {
    traffic: Traffic,
    begun: Begun,
    call: Option<AwsCall>,
}

impl CallGuard {
    /// Notes the fault that hits the call.
    pub(crate) fn hit_by(&mut self, fault: String) {
        if let Some(call) = &mut self.call {
            call.fault = Some(fault);
        }
    }

    /// Notes the status that the call is answered with.
    pub(crate) fn answered(&mut self, status: u16) {
        if let Some(call) = &mut self.call {
            call.status = Some(status);
        }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        let Some(mut call) = self.call.take() else { return };
        call.ms = self.begun.ms();
        let mut state = self.traffic.state();
        call.number = state.next();
        push(&mut state.calls, call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered_in_order() {
        let traffic = Traffic::default();
        for _ in 0..REMEMBERED + 1 {
            traffic.note_request("GET", "/a", 200, Begun::now());
        }
        let mut guard = traffic.begin_call("sweep", "sqs:SendMessage".into(), &Bytes::new());
        guard.answered(200);
        drop(guard);
        drop(traffic.begin_call("sweep", "sqs:SendMessage".into(), &Bytes::new()));

        assert_eq!(traffic.requests_after(0).len(), REMEMBERED);
        assert_eq!(traffic.requests_after(REMEMBERED as u64).len(), 1);
        let statuses: Vec<_> = traffic.calls_after(0).iter().map(|call| call.status).collect();
        assert_eq!(statuses, [Some(200), None]);
        assert_eq!(traffic.last(), REMEMBERED as u64 + 3);
    }

    #[test]
    fn a_capability_is_cut_and_an_id_is_not() {
        let id = "/api/v1/conversations/3cddba3a-e67e-49a2-bb42-373a66612335";
        assert_eq!(without_credentials(id), id);
        let capability = format!("/files/{}", "s3cret-".repeat(8));
        assert_eq!(without_credentials(&capability), "/files/s3cret-s…");
    }
}

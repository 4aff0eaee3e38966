//! The proxy between all callers and the services: it knows the caller and the operation, counts
//! the call, adds what a service lacks, and fails the call where a rule says so.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::answer::{self, Answer};
use super::call::{Call, Service, access_key};
use super::calls::Calls;
use super::cloudformation::{self, StackDescription};
use super::fault::{AwsFaults, Failure, Hit};
use super::operation::LogicalIds;
use super::partial::PartialRequest;
use super::s3::{self, EmbeddedS3};
use super::sqs_compat;
use crate::cors;
use crate::lambda::{Worker, Workers};

/// The one access key that the services see: DynamoDB Local keeps a database for each key, and
/// would show every worker its own.
const ACCESS_KEY: &str = "local";

/// The services themselves: base URLs, and S3, which is in this process. It gets the request as it
/// came: it checks signatures, which cover the host.
pub(super) struct Upstreams {
    pub(super) dynamodb: String,
    pub(super) s3: Option<Arc<EmbeddedS3>>,
    pub(super) sqs: String,
    pub(super) secrets: String,
}

/// The proxy; clones share everything.
#[derive(Clone)]
pub(super) struct Proxy(Arc<Shared>);

struct Shared {
    upstreams: Upstreams,
    client: Client<HttpConnector, Full<Bytes>>,
    workers: Arc<Workers>,
    names: LogicalIds,
    faults: AwsFaults,
    calls: Calls,
    stack: StackDescription,
}

/// The parts that a proxy is made of.
pub(super) struct ProxyParts {
    pub(super) upstreams: Upstreams,
    pub(super) workers: Arc<Workers>,
    pub(super) names: LogicalIds,
    pub(super) faults: AwsFaults,
    pub(super) calls: Calls,
    pub(super) stack: StackDescription,
}

/// Closes the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed without an answer, as a fault asked for")]
pub(super) struct ConnectionClosed;

impl Proxy {
    pub(super) fn new(parts: ProxyParts) -> Self {
        let ProxyParts { upstreams, workers, names, faults, calls, stack } = parts;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self(Arc::new(Shared { upstreams, client, workers, names, faults, calls, stack }))
    }
}

impl hyper::service::Service<Request<Incoming>> for Proxy {
    type Response = Answer;
    type Error = ConnectionClosed;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, ConnectionClosed>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.answer(request).await })
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, ConnectionClosed> {
        let (parts, body) = request.into_parts();
        if parts.method == Method::OPTIONS {
            return Ok(self.preflight(&parts));
        }

        if cloudformation::is_for(&parts) {
            let body = body.collect().await.map_err(|_| ConnectionClosed)?.to_bytes();
            return Ok(cloudformation::answer(&self.stack, &body));
        }

        let Some(call) = Call::read(&parts) else {
            return Ok(answer::bad_gateway(
                "the request names no operation of DynamoDB, S3, SQS or Secrets Manager",
            ));
        };

        // A caller that dies while it sends its request never made the call.
        let body = body.collect().await.map_err(|_| ConnectionClosed)?.to_bytes();
        let described = if call.service == Service::S3 {
            s3::describe_request(&parts.uri)
        } else {
            body.clone()
        };

        let worker = call.access_key.as_deref().and_then(|key| self.workers.get(key));
        if let Some(worker) = &worker {
            self.calls.count(worker.function(), &call, &described);
        }

        self.record_operations(&call, &parts, &body);
        let caller = worker.as_ref().map(|worker| worker.function());
        let caller = caller.map(|function| (function.logical_id.as_str(), function.name.as_str()));

        match self.faults.draw(&call, caller, &described) {
            None => Ok(self.forward(&call, parts, body).await),
            Some(hit) => self.fail(hit, &call, worker.as_deref(), parts, body).await,
        }
    }

    /// Records the operations that a function asks for by this call.
    fn record_operations(&self, call: &Call, parts: &Parts, body: &[u8]) {
        if let Some(function) = self.names.signer(call, parts) {
            for (operation, resource) in self.names.asked_for(call, parts, body) {
                self.calls.record_operation(&function, operation, resource);
            }
        }
    }

    async fn fail(
        &self,
        hit: Hit,
        call: &Call,
        worker: Option<&Worker>,
        parts: Parts,
        body: Bytes,
    ) -> Result<Answer, ConnectionClosed> {
        if hit.after_effect {
            self.forward(call, parts.clone(), body.clone()).await;
        }

        match hit.failure {
            Failure::Conflict => Ok(answer::conflict(call, &body, hit.draw)),
            Failure::Error(code) => {
                Ok(answer::error(call, &code, "The local AWS was told to fail here."))
            }
            Failure::Garbage => Ok(answer::garbage(call)),
            Failure::Disconnect => Err(ConnectionClosed),
            Failure::Partial => Ok(self.answer_in_part(call, parts, body).await),
            Failure::Reasons(reasons) => {
                Ok(reasons.cut(self.forward(call, parts, body).await).await)
            }
            // Ends when the caller closes its connection, which drops this future.
            Failure::Timeout => std::future::pending().await,
            Failure::Kill => {
                if let Some(worker) = worker {
                    worker.kill().await;
                }
                Err(ConnectionClosed)
            }
        }
    }

    /// Has the service do a part of what a call asks for, and answers as the service would.
    async fn answer_in_part(&self, call: &Call, parts: Parts, body: Bytes) -> Answer {
        let mut partial = PartialRequest::of(call, body);
        let answer = match partial.forwarded.take() {
            Some(request) => Some(self.forward(call, parts, request).await),
            None => None,
        };
        partial.complete(call, answer).await
    }

    /// Answers a browser's preflight for a page of another origin.
    fn preflight(&self, parts: &Parts) -> Answer {
        let rules =
            self.upstreams.s3.as_ref().map(|s3| s3.bucket.cors.as_slice()).unwrap_or_default();
        let Some(headers) = cors::preflight(rules, parts) else {
            return answer::s3_error(
                StatusCode::FORBIDDEN,
                "AccessForbidden",
                "CORSResponse: This is not allowed.",
            );
        };
        let mut answer = Answer::default();
        *answer.headers_mut() = headers;
        answer
    }

    async fn objects(&self, call: &Call, parts: Parts, body: Bytes) -> Answer {
        let Some(s3) = &self.upstreams.s3 else {
            return answer::s3_error(
                StatusCode::NOT_FOUND,
                "NoSuchBucket",
                "The specified bucket does not exist",
            );
        };

        let headers = cors::headers(&s3.bucket.cors, &parts.headers, &parts.method);
        let signer = self.names.signer(call, &parts);
        let (operation, bucket) = self.names.of_missing(call, &parts);
        let mut answer = s3.answer(parts, body).await;

        if let Some(function) = signer.filter(|_| answer.status() == StatusCode::NOT_FOUND) {
            self.calls.record_operation(&function, operation, bucket);
        }

        answer.headers_mut().extend(headers);
        answer
    }

    async fn forward(&self, call: &Call, mut parts: Parts, body: Bytes) -> Answer {
        let base = match call.service {
            Service::DynamoDb => &self.upstreams.dynamodb,
            Service::S3 => return self.objects(call, parts, body).await,
            Service::Sqs => &self.upstreams.sqs,
            Service::SecretsManager => &self.upstreams.secrets,
        };

        let body = match sqs_compat::adapt(call, &parts.headers, body) {
            Ok(body) => body,
            Err(refusal) => return *refusal,
        };

        parts.uri = match target(base, &parts.uri) {
            Ok(uri) => uri,
            Err(error) => return answer::bad_gateway(&error.to_string()),
        };

        anonymize(&mut parts);
        let response = match self.client.request(Request::from_parts(parts, Full::new(body))).await
        {
            Ok(response) => response,
            Err(error) => return answer::bad_gateway(&error.to_string()),
        };

        let (head, body) = response.into_parts();

        match body.collect().await {
            Ok(body) => Answer::from_parts(head, Full::new(body.to_bytes())),
            Err(error) => answer::bad_gateway(&error.to_string()),
        }
    }
}

fn target(base: &str, uri: &Uri) -> Result<Uri, http::uri::InvalidUri> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    format!("{}{path}", base.trim_end_matches('/')).parse()
}

/// Removes the host and length, which the client sets, and the worker's identity.
fn anonymize(parts: &mut Parts) {
    parts.headers.remove(HOST);
    parts.headers.remove(CONTENT_LENGTH);
    let signed = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let anonymous = signed.zip(access_key(&parts.headers)).map(|(signed, key)| {
        signed.replacen(&format!("Credential={key}/"), &format!("Credential={ACCESS_KEY}/"), 1)
    });
    if let Some(Ok(value)) = anonymous.map(|value| HeaderValue::from_str(&value)) {
        parts.headers.insert(AUTHORIZATION, value);
    }
}

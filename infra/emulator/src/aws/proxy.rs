//! The proxy between all callers and the services: it knows the caller and the operation, counts
//! the call, refuses what the caller's role does not allow, adds what a service lacks, and fails
//! the call where a rule says so.

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
use super::authorization::{AccessDenied, Authorizer};
use super::call::{Call, Service, access_key};
use super::calls::Calls;
use super::capacity;
use super::cloudformation::{self, StackDescription};
use super::damage;
use super::fault::{AwsFaults, Failure, Hit};
use super::operation::LogicalIds;
use super::partial::PartialRequest;
use super::s3::{self, EmbeddedS3};
use super::sqs_compat;
use crate::cors;
use crate::lambda::{Worker, Workers};
use crate::listen::is_of_foreign_page;
use crate::traffic::Traffic;

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

/// The callers that the proxy knows, and the record of their calls.
pub(crate) struct Callers {
    pub(crate) workers: Arc<Workers>,
    pub(crate) traffic: Traffic,
}

/// The proxy; clones share everything.
#[derive(Clone)]
pub(super) struct Proxy(Arc<Shared>);

struct Shared {
    upstreams: Upstreams,
    client: Client<HttpConnector, Full<Bytes>>,
    callers: Callers,
    names: LogicalIds,
    faults: AwsFaults,
    calls: Calls,
    authorizer: Authorizer,
    stack: StackDescription,
}

/// The parts that a proxy is made of.
pub(super) struct ProxyParts {
    pub(super) upstreams: Upstreams,
    pub(super) callers: Callers,
    pub(super) names: LogicalIds,
    pub(super) faults: AwsFaults,
    pub(super) calls: Calls,
    pub(super) authorizer: Authorizer,
    pub(super) stack: StackDescription,
}

/// Closes the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed without an answer, as a fault asked for")]
pub(super) struct ConnectionClosed;

impl Proxy {
    pub(super) fn new(parts: ProxyParts) -> Self {
        let ProxyParts { upstreams, callers, names, faults, calls, authorizer, stack } = parts;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let shared = Shared { upstreams, client, callers, names, faults, calls, authorizer, stack };
        Self(Arc::new(shared))
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

        // S3's own rules say which pages may use a presigned URL; no page has AWS's other services.
        let call = Call::read(&parts);
        let is_for_s3 = call.as_ref().is_some_and(|call| call.service == Service::S3);
        if !is_for_s3 && is_of_foreign_page(&parts.headers, None) {
            return Ok(answer::forbidden("pages of other sites may not call this"));
        }

        if cloudformation::is_for(&parts) {
            let body = body.collect().await.map_err(|_| ConnectionClosed)?.to_bytes();
            return Ok(cloudformation::answer(&self.stack, &body));
        }

        let Some(call) = call else {
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

        let worker = call.access_key.as_deref().and_then(|key| self.callers.workers.get(key));
        if let Some(worker) = &worker {
            self.calls.count(worker.function(), &call, &described);
        }

        if let Err(denied) = self.authorize(&call, &parts, &body) {
            return Ok(answer::access_denied(&call, &denied));
        }

        let caller = worker.as_ref().map(|worker| worker.function());
        let caller = caller.map(|function| (function.logical_id.as_str(), function.name.as_str()));

        let mut guard = caller.map(|(_, name)| {
            let operation = format!("{}:{}", call.service.prefix(), call.operation);
            self.callers.traffic.begin_call(name, operation, &described)
        });
        // Only a function's calls are measured.
        let measured = worker.as_ref().filter(|_| self.calls.is_measuring());
        let body = if measured.is_some() { capacity::ask(&call, body) } else { body };
        let answer = match self.faults.draw(&call, caller, &described) {
            None => Ok(self.forward(&call, parts, body).await),
            Some(hit) => {
                guard.iter_mut().for_each(|guard| guard.hit_by(hit.failure.clone().into()));
                self.fail(hit, &call, worker.as_deref(), parts, body).await
            }
        };

        if let (Some(guard), Ok(answer)) = (&mut guard, &answer) {
            guard.answered(answer.status().as_u16());
        }
        if let (Some(worker), Ok(whole)) = (measured, &answer) {
            let Ok(told) = whole.body().clone().collect().await;
            let taken = capacity::read(&call, &told.to_bytes());
            self.calls.add_consumption(worker.function(), &call, taken);
        }
        answer
    }

    /// Decides whether the function that signed a call may do all that it asks for.
    fn authorize(&self, call: &Call, parts: &Parts, body: &[u8]) -> Result<(), AccessDenied> {
        let Some(function) = self.names.signer(call, parts) else { return Ok(()) };
        let mut requests = self.names.asked_for(call, parts, body).into_iter();
        requests.try_for_each(|request| self.authorizer.authorize(&function, request))
    }

    async fn fail(
        &self,
        hit: Hit,
        call: &Call,
        worker: Option<&Worker>,
        parts: Parts,
        body: Bytes,
    ) -> Result<Answer, ConnectionClosed> {
        let done = match hit.after_effect {
            true => Some(self.forward(call, parts.clone(), body.clone()).await),
            false => None,
        };

        match hit.failure {
            Failure::Conflict => Ok(answer::conflict(call, &body, hit.draw)),
            Failure::Error(code) => {
                self.calls.count_failed(&call.operation, &code);
                let quoted = match call.service {
                    Service::S3 => String::new(),
                    _ => String::from_utf8_lossy(&body).into_owned(),
                };
                let message = format!("The local AWS was told to fail here. {quoted}");
                Ok(answer::error(call, &code, message.trim_end()))
            }
            Failure::Garbage => {
                let answer = match done {
                    Some(answer) => answer,
                    None if damage::is_read(&call.operation) => {
                        self.forward(call, parts, body).await
                    }
                    None => answer::echo(call, body),
                };
                Ok(damage::cut(call, answer).await)
            }
            Failure::Mangled => Ok(damage::mangle(self.forward(call, parts, body).await).await),
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
        let missing = self.names.of_missing(call, &parts);
        let mut answer = s3.answer(parts, body).await;

        // Only those who may list a bucket are told that an object is missing.
        // <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
        if let Some(function) = signer.filter(|_| answer.status() == StatusCode::NOT_FOUND)
            && let Err(denied) = self.authorizer.authorize(&function, missing)
        {
            answer = answer::access_denied(call, &denied);
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

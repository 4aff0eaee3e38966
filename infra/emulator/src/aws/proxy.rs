//! The small proxy between everybody and the emulators: it knows who calls what, counts it, bridges
//! what an emulator lacks, and fails where a rule says so. Rules, shapes of failures and bridges
//! have files of their own.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

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
use super::cloudformation::{self, Deployed};
use super::fault::{AwsFaults, Failure, Hit};
use super::permission::Names;
use super::s3;
use super::sqs_compat;
use crate::cors;
use crate::lambda::{Worker, Workers};

/// The one access key that the services see. DynamoDB Local keeps a database per key and would show
/// every worker its own; nobody here checks signatures.
const ACCESS_KEY: &str = "local";

/// The services themselves: base URLs, and S3, which lives in this process. It is handed what came,
/// untouched: it checks signatures, and they cover the host.
pub(super) struct Upstreams {
    pub(super) dynamodb: String,
    pub(super) s3: Option<Arc<s3::Embedded>>,
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
    names: Names,
    faults: AwsFaults,
    calls: Calls,
    deployed: Arc<OnceLock<Deployed>>,
}

/// The connection closes without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed without an answer, as a fault asked for")]
pub(super) struct Disconnected;

impl Proxy {
    pub(super) fn new(
        upstreams: Upstreams,
        workers: Arc<Workers>,
        names: Names,
        faults: AwsFaults,
        calls: Calls,
        deployed: Arc<OnceLock<Deployed>>,
    ) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self(Arc::new(Shared { upstreams, client, workers, names, faults, calls, deployed }))
    }
}

impl hyper::service::Service<Request<Incoming>> for Proxy {
    type Response = Answer;
    type Error = Disconnected;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Disconnected>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.answer(request).await })
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Disconnected> {
        let (parts, body) = request.into_parts();
        if parts.method == Method::OPTIONS {
            return Ok(self.preflight(&parts));
        }
        if cloudformation::is_for(&parts) {
            let body = body.collect().await.map_err(|_| Disconnected)?.to_bytes();
            return Ok(cloudformation::answer(self.deployed.get(), &body));
        }
        let Some(call) = Call::read(&parts) else {
            return Ok(answer::bad_gateway(
                "the request names no operation of DynamoDB, S3, SQS or Secrets Manager",
            ));
        };
        // A caller that dies while it sends its request never made the call.
        let body = body.collect().await.map_err(|_| Disconnected)?.to_bytes();
        let said = if call.service == Service::S3 { s3::said(&parts.uri) } else { body.clone() };
        let worker = call.access_key.as_deref().and_then(|key| self.workers.get(key));
        if let Some(worker) = &worker {
            self.calls.count(worker.function(), &call, &said);
        }
        self.note(&call, &parts, &body);
        let caller = worker.as_ref().map(|worker| worker.function());
        let caller = caller.map(|function| (function.logical_id.as_str(), function.name.as_str()));
        match self.faults.draw(&call, caller, &said) {
            None => Ok(self.forward(&call, parts, body).await),
            Some(hit) => self.fail(hit, &call, worker.as_deref(), parts, body).await,
        }
    }

    /// Notes what a function has to be allowed for this.
    fn note(&self, call: &Call, parts: &Parts, body: &[u8]) {
        if let Some(function) = self.names.signer(call, parts) {
            for (action, resource) in self.names.needed(call, parts, body) {
                self.calls.needed(&function, action, resource);
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
    ) -> Result<Answer, Disconnected> {
        if hit.after_effect {
            self.forward(call, parts, body.clone()).await;
        }
        match hit.failure {
            Failure::Conflict => Ok(answer::conflict(call, &body, hit.draw)),
            Failure::Error(code) => {
                Ok(answer::error(call, &code, "The local AWS was told to fail here."))
            }
            Failure::Garbage => Ok(answer::garbage(call)),
            Failure::Disconnect => Err(Disconnected),
            // Ends when the caller closes its connection, which drops this future.
            Failure::Timeout => std::future::pending().await,
            Failure::Kill => {
                if let Some(worker) = worker {
                    worker.kill().await;
                }
                Err(Disconnected)
            }
        }
    }

    /// A browser asks before it sends what a page of another origin wants sent.
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
        let (signer, (action, bucket)) =
            (self.names.signer(call, &parts), self.names.to_be_told_missing(&parts));
        let mut answer = s3.answer(parts, body).await;
        if let Some(function) = signer.filter(|_| answer.status() == StatusCode::NOT_FOUND) {
            self.calls.needed(&function, action, bucket);
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
        let body = match sqs_compat::adapt(call, body) {
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

/// Host and length are the client's to set; the worker's identity ends here.
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

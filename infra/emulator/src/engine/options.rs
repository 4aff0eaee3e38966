//! Options of the system to start.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;

use super::programs::Programs;
use crate::lambda::Logs;
use crate::listen;

/// Options of the system to start.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The template to make.
    pub template: PathBuf,
    /// The stack's name: `AWS::StackName`, and what CloudFormation knows it by.
    pub stack_name: String,
    /// The programs that run as the functions.
    pub programs: Programs,
    /// The directory where DynamoDB and S3 keep their files; nothing outlives the run without it.
    pub data_dir: Option<PathBuf>,
    /// The address of this machine to listen on.
    pub address: IpAddr,
    /// Port of the HTTP API; 0 for any.
    pub api_port: u16,
    /// Port of the WebSocket API; 0 for any.
    pub websocket_port: u16,
    /// Port of the local AWS; 0 for any.
    pub aws_port: u16,
    /// Most connections to the WebSocket API at once; further ones are answered 429. API Gateway
    /// has no such limit.
    pub max_connections: usize,
    /// Most invocations of all functions at once; further ones are throttled. `None` without a
    /// limit.
    pub account_concurrency: Option<usize>,
    /// Endpoint of another DynamoDB to use in place of the embedded one.
    pub dynamodb: Option<String>,
    /// Values for the template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Variables added to every function's environment.
    pub environment: BTreeMap<String, String>,
    /// The destination of the functions' logs.
    pub logs: Logs,
    /// Routes of the HTTP API's front that are no function's, such as a page for people at `/`.
    pub extra_routes: ExtraRoutes,
}

/// Base URLs of everything that listens.
#[derive(Debug, Clone)]
pub struct Urls {
    /// The HTTP API.
    pub api: String,
    /// The WebSocket API.
    pub websocket: String,
    /// The WebSocket API's Management API, before `/@connections/{id}`.
    pub management: String,
    /// DynamoDB, S3, SQS, Secrets Manager and CloudFormation, through the proxy.
    pub aws: String,
}

/// Makes routes once the addresses are known, and before anything is served.
#[derive(Clone, Default)]
pub struct ExtraRoutes(Option<Arc<MakeRoutes>>);

type MakeRoutes = dyn Fn(&Urls) -> Router + Send + Sync;

impl ExtraRoutes {
    /// Routes that `make` returns.
    pub fn new(make: impl Fn(&Urls) -> Router + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(make)))
    }

    pub(super) fn make(&self, urls: &Urls) -> Router {
        self.0.as_ref().map(|make| make(urls)).unwrap_or_default()
    }
}

impl fmt::Debug for ExtraRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExtraRoutes").field(&self.0.is_some()).finish()
    }
}

impl Default for EngineOptions {
    /// `template.yaml` of the working directory as the stack `local`, this very binary, everything
    /// in memory, any port, no logs.
    fn default() -> Self {
        Self {
            template: PathBuf::from("template.yaml"),
            stack_name: "local".to_owned(),
            programs: Programs::default(),
            data_dir: None,
            address: listen::LOOPBACK,
            api_port: 0,
            websocket_port: 0,
            aws_port: 0,
            // Most shells let a process have a thousand descriptors, of which calls and the
            // functions' processes take some as well.
            max_connections: 500,
            account_concurrency: None,
            dynamodb: None,
            parameters: BTreeMap::new(),
            environment: BTreeMap::new(),
            logs: Logs::discarded(),
            extra_routes: ExtraRoutes::default(),
        }
    }
}

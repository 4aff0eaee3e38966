//! Runs what an AWS SAM template declares on one machine.

pub mod account;
mod aws;
pub mod bootstrap;
mod cors;
mod engine;
mod event_sources;
mod gateway;
mod lambda;
pub mod listen;
pub mod template;
mod traffic;
mod trigger;

pub use aws::{
    AccessDenied, AwsError, AwsFaults, Calls, Consumption, Failure, FaultError, FaultRule,
    Operation, RecordedCall, ReportedReasons, TableError, caller,
};
pub use engine::{
    Activity, Engine, EngineOptions, ExtraRoutes, Programs, QueueDepth, StartError, Urls,
};
pub use event_sources::{Event, Polling, QueueCounts, QueueFaults, QueueFaultsError};
pub use lambda::{AccountFigures, FunctionError, FunctionFigures, InvokeError, LogLine, Logs};
pub use template::TemplateError;
pub use traffic::{AwsCall, HttpRequest, Traffic};
pub use trigger::{ProbabilityError, Trigger};

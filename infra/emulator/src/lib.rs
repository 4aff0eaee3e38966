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
mod template;

pub use aws::{
    AwsError, AwsFaults, Calls, Failure, FaultError, FaultRule, Permission, RecordedCall,
    TableError, caller,
};
pub use engine::{Engine, EngineOptions, Programs, StartError};
pub use event_sources::{Event, HandedOut, Mischief, MischiefError, Polling};
pub use lambda::{FunctionError, InvokeError, LogLine, Logs};
pub use template::TemplateError;

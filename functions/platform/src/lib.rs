//! The one door to AWS, shared by all functions.
//!
//! What is allowed is decided in [`domain`], which reads no clock and calls no service. What one
//! provider wants is in that channel's function. Everything between the two is here:
//!
//! | module | holds |
//! |---|---|
//! | [`runtime`] | the life of a function: start, deadline, failures |
//! | [`api`] | what the HTTP functions share: authentication, answers, problem documents |
//! | [`encoded_word`] | how mails and forms write what is not ASCII |
//! | [`credential`], [`capability`], [`origin`] | bearer tokens, file links, and the API's addresses |
//! | [`table`] | DynamoDB: every read and every conditional write |
//! | [`delivery`] | the worker that every delivery function runs, and the [`delivery::Provider`] it calls |
//! | [`receipts`], [`receipt_keys`] | how a receipt is applied, and how it is known to be about a message of ours |
//! | [`redelivery`] | how events are sent to an endpoint again |
//! | [`queue`] | SQS: doorbells and dead-letter queues |
//! | [`files`] | S3: the bucket of attachments |
//! | [`sockets`] | API Gateway's WebSocket: events to the chat widget |
//! | [`widget_script`] | the chat widget's script, in each version that pages may name |
//! | [`query`], [`routes`] | the parameters of a query, the methods of an address |
//! | [`message_view`], [`event_view`] | messages and events as callers read them |
//! | [`lenient_json`] | JSON as providers send it |
//! | [`secrets`], [`cache`] | Secrets Manager, and values kept in memory for a time |
//! | [`telemetry`] | log lines and metrics |
//! | [`aws`], [`settings`], [`clock`], [`error`] | clients, environment, time, and [`InternalError`] |
//!
//! Only this crate reads the environment ([`settings`]) and the clock ([`clock`]): Clippy refuses
//! both anywhere else.

pub mod api;
pub mod aws;
pub mod cache;
pub mod capability;
pub mod clock;
pub mod credential;
pub mod delivery;
pub mod encoded_word;
pub mod error;
pub mod event_view;
pub mod files;
mod http_event;
pub mod lenient_json;
pub mod message_view;
pub mod origin;
pub mod query;
pub mod queue;
pub mod receipt_keys;
pub mod receipts;
pub mod redelivery;
mod request_rates;
pub mod routes;
pub mod runtime;
pub mod secrets;
mod service_limits;
pub mod settings;
pub mod sockets;
pub mod table;
pub mod telemetry;
pub mod widget_script;

pub use clock::Clock;
pub use error::InternalError;

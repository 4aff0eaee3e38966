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
//! | [`receipts`] | how a receipt is applied |
//! | [`queue`] | SQS: doorbells and dead-letter queues |
//! | [`files`] | S3: the bucket of attachments |
//! | [`sockets`] | API Gateway's WebSocket: events to the chat widget |
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
pub mod files;
pub mod lenient_json;
pub mod origin;
pub mod queue;
pub mod receipts;
pub mod runtime;
pub mod secrets;
pub mod settings;
pub mod sockets;
pub mod table;
pub mod telemetry;

pub use clock::Clock;
pub use error::InternalError;

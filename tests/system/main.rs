//! The guarantees over HTTP: each test starts a system of its own, talks to it as its users do,
//! and looks at what the customers got. When a test's [`tests::World`] ends, the [`tests::oracle`]
//! counts everything that ever happened in it.

mod accept;
mod attachments;
mod chat;
mod conditions;
mod deadlines;
mod delivery;
mod doubt;
mod email;
mod idempotency;
mod limits;
mod logs;
mod operators;
mod pace;
mod partial;
mod quota;
mod receipts;
mod refusals;
mod rotation;
mod waiting;
mod whatsapp;

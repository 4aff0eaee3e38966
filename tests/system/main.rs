//! The guarantees over HTTP: each test starts a system of its own, talks to it as its users do,
//! and looks at what the customers got. When a test's [`tests::World`] ends, the [`tests::oracle`]
//! counts everything that ever happened in it.

mod accept;
mod attachments;
mod callers;
mod chat;
mod command_line;
mod conditions;
mod costs;
mod deadlines;
mod delivery;
mod doubt;
mod email;
mod errors;
mod events;
mod foreign_pages;
mod growth;
mod idempotency;
mod leases;
mod limits;
mod lists;
mod logs;
mod metadata;
mod mutations;
mod operators;
mod pace;
mod partial;
mod quota;
mod receipts;
mod refusals;
mod rotation;
mod sweeps;
mod waiting;
mod webhooks;
mod whatsapp;

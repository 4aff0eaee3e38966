//! The contract of every condition expression in `platform::table`: it lets through what it should,
//! and refuses every way in which its precondition can be false, leaving the item as it was. Where
//! a rule of `domain` says the same thing, generated items hold table and rule against each other:
//! decision by decision, and in what is stored then.
//!
//! Nothing here goes over HTTP, and no function runs: each test has a [`scratch::Scratch`] table
//! and is alone with it.

mod accept;
mod channel;
mod claim;
mod held;
mod history;
mod interference;
mod message;
mod month;
mod outbox;
mod parts;
mod plan;
mod provision;
mod receipt;
mod sample;
mod scratch;
mod window;

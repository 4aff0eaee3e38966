//! Contract tests of every condition expression in `platform::table`. Each test makes a write in
//! states in which its precondition holds and in states in which it does not, and compares the
//! items stored afterwards. A refused write leaves its item unchanged. Where a rule of `domain`
//! says the same as the expression, generated items compare the two.
//!
//! No test here uses HTTP or a function: each has a [`scratch::Scratch`] table of its own.

mod accept;
mod channel;
mod claim;
mod customer;
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

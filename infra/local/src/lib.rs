//! The deployed system on one machine, for development and tests.

pub mod engine;
pub mod ready;
pub mod sandbox;
pub mod seed;

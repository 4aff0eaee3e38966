//! The deployed system on one machine, for development and tests.

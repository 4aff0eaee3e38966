//! The system's promises, kept over HTTP.

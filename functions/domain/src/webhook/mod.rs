//! Webhooks: how events are brought to the endpoints that a business has named.
//!
//! | rule | module |
//! |---|---|
//! | which addresses of the network may be called | [`address`] |
//! | which URLs an endpoint may have | [`url`](mod@url) |
//! | how a delivery is signed | [`signature`] |
//! | when a delivery is tried again, and when an endpoint is left alone | [`schedule`] |

pub mod address;
pub mod schedule;
pub mod signature;
pub mod url;

pub use schedule::{AttemptResult, EndpointHealth, NextAttempt};
pub use signature::SigningSecret;
pub use url::{EndpointUrl, Reach, UrlFault};

use serde::{Deserialize, Serialize};

/// The most endpoints of a business.
pub const MAX_ENDPOINTS: u32 = 10;

/// The most characters of an endpoint's description.
pub const MAX_DESCRIPTION_CHARACTERS: usize = 512;

/// The most bytes of an endpoint's answer that are kept.
pub const MAX_ANSWER_BYTES: usize = 1_024;

/// Whether an endpoint is sent events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointStatus {
    /// It is.
    Enabled,
    /// It is not: its business has switched it off, or it failed for too long.
    Disabled,
}

/// How far an event has come on its way to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It waits for its turn, or for the next attempt.
    Pending,
    /// The endpoint has taken it.
    Delivered,
    /// It was given up, and can be sent again.
    Failed,
}

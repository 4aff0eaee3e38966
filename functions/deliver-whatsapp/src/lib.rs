//! Delivers through the WhatsApp Cloud API.

pub mod cloud_api;
pub mod media;
pub mod outgoing;
pub mod piece;
pub mod verdict;

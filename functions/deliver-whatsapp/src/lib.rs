//! Delivers through the WhatsApp Cloud API.

pub mod answer;
pub mod authorized;
pub mod cloud_api;
pub mod media;
pub mod message_part;
pub mod outgoing;

//! Delivers through the WhatsApp Cloud API.

pub mod cloud_api;
pub mod failure;
pub mod media;
pub mod message_part;
pub mod outgoing;

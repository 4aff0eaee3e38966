//! The system's first content: businesses with their keys, channels and conversations. The calls
//! that operators use make it, and existing records do not change.

mod business_seed;
mod error;
mod examples;
mod keys;
mod seeder;
mod webhook_secret;

pub use business_seed::{BusinessSeed, PerChannel};
pub(crate) use business_seed::{CONFIGURATION_SET, WHATSAPP_SECRET};
pub use error::SeedError;
pub use keys::Keys;
pub(crate) use seeder::{Business, Conversation, NewBusiness, NewConversation, Seeder};

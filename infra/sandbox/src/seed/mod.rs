//! The system's content before anybody uses it: businesses with their keys, channels and
//! conversations. It is made by the calls that operators use, and nothing that exists is changed.

mod business_seed;
mod error;
mod examples;
mod keys;
mod seeder;
mod webhook_secret;

pub(crate) use business_seed::WHATSAPP_SECRET;
pub use business_seed::{BusinessSeed, PerChannel};
pub use error::SeedError;
pub use keys::Keys;
pub(crate) use seeder::{Business, Conversation, NewBusiness, NewConversation, Seeder};

//! WhatsApp: files by their bytes, one by one and each once; templates when the customer's window
//! is closed; and customers, who open it.

pub(crate) mod files;
mod window;
mod writing;

use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use tests::World;

/// Returns what a conversation's customer has.
async fn messages(world: &World, conversation_id: Uuid) -> Vec<Value> {
    let path = format!("/whatsapp/messages?conversation_id={conversation_id}");
    world.sandbox(Method::GET, &path, Value::Null).await.as_array().expect("an array").clone()
}

//! The secret of WhatsApp's webhook.

use serde::{Deserialize, Serialize};

/// The secret of WhatsApp's webhook, as the function reads it.
#[derive(Clone, Deserialize, Serialize)]
pub struct WebhookSecret {
    /// The key that Meta signs webhooks with.
    pub app_secret: String,
    /// The token that Meta shows when it verifies the webhook.
    pub verify_token: String,
}

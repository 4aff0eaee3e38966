//! The business, conversation and secret that the events in `functions/*/events` refer to.

use uuid::{Uuid, uuid};

use super::business_seed::{BusinessSeed, PerChannel};
use super::webhook_secret::WebhookSecret;

const BUSINESS: Uuid = uuid!("8d0a1c52-6b1e-4f0e-9a3b-2c6f6f1f3a10");
const CONVERSATION: Uuid = uuid!("6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4");
/// No secret: it is in every clone of the repository.
const API_KEY: &str =
    "pbk_8d0a1c526b1e4f0e9a3b2c6f6f1f3a10_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Returns the business whose key the events carry; their one conversation is a chat.
pub(super) fn business() -> BusinessSeed {
    let numbered = |n: u128| PerChannel {
        chat: Uuid::from_u128(n),
        whatsapp: Uuid::from_u128(n + 1),
        email: Uuid::from_u128(n + 2),
    };
    BusinessSeed {
        business_id: BUSINESS,
        api_key: API_KEY.to_owned(),
        channels: numbered(1),
        conversations: PerChannel { chat: CONVERSATION, ..numbered(11) },
        ..BusinessSeed::new(1000, 1)
    }
}

/// Returns the secret that Meta's events are signed with.
pub(super) fn webhook() -> WebhookSecret {
    WebhookSecret {
        app_secret: "an app secret for examples".to_owned(),
        verify_token: "a-verify-token-for-examples".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_carry_its_key_and_its_conversation() {
        let event: serde_json::Value = serde_json::from_str(include_str!(
            "../../../../functions/send-message/events/text.json"
        ))
        .unwrap();
        assert_eq!(event["headers"]["authorization"], format!("Bearer {API_KEY}"));
        assert_eq!(event["pathParameters"]["conversation_id"], CONVERSATION.to_string());
        assert!(business().parsed_api_key().is_ok_and(|key| key.business_id.0 == BUSINESS));
    }
}

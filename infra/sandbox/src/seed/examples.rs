//! The ids and keys that are the same in every local system: those of the demo, which the
//! contract's examples, the examples beside it and the events in `functions/*/events` name. None of
//! them is a secret, because every clone of the repository has them; a deployed stack has no such
//! business.

use uuid::{Uuid, uuid};

use super::business_seed::{BusinessSeed, PerChannel};
use super::webhook_secret::WebhookSecret;
use platform::credential::SigningKey;

/// Messages that either business may send in a month.
const LIMIT: u64 = 1000;

const BUSINESS: Uuid = uuid!("8d0a1c52-6b1e-4f0e-9a3b-2c6f6f1f3a10");
const AGENT: Uuid = uuid!("2f0a7c1e-5d6b-4f3e-8c9d-0a1b2c3d4e5f");
const API_KEY: &str =
    "pbk_8d0a1c526b1e4f0e9a3b2c6f6f1f3a10_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const CHANNELS: PerChannel = PerChannel {
    chat: uuid!("47378190-96da-4dac-b2ff-5d2a386ecbe0"),
    whatsapp: uuid!("c241330b-01a9-471f-9e8a-774bcf36d58b"),
    email: uuid!("6c307511-b2b9-437a-a8df-6ec4ce4a2bbd"),
};
const CONVERSATIONS: PerChannel = PerChannel {
    chat: uuid!("6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4"),
    whatsapp: uuid!("23b8c1e9-3924-46de-beb1-3b9046685257"),
    email: uuid!("bd9c66b3-ad3c-4d6d-9a3d-1fa7bc8960a9"),
};

const OTHER_BUSINESS: Uuid = uuid!("972a8469-1641-4f82-8b9d-2434e465e150");
const OTHER_API_KEY: &str =
    "pbk_972a846916414f828b9d2434e465e150_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA";
const OTHER_CHANNELS: PerChannel = PerChannel {
    chat: uuid!("17fc695a-07a0-4a6e-8822-e8f36c031199"),
    whatsapp: uuid!("9a1de644-815e-46d1-bb8f-aa1837f8a88b"),
    email: uuid!("b74d0fb1-32e7-4629-8fad-c1a606cb0fb3"),
};
const OTHER_CONVERSATIONS: PerChannel = PerChannel {
    chat: uuid!("6b65a6a4-8b81-48f6-b38a-088ca65ed389"),
    whatsapp: uuid!("371ecd7b-27cd-4130-8722-9389571aa876"),
    email: uuid!("1a2a73ed-562b-4f79-8374-59eef50bea63"),
};

/// Returns the demo's business, whose key the events carry; their one conversation is its chat.
pub(super) fn business() -> BusinessSeed {
    BusinessSeed {
        business_id: BUSINESS,
        agent_id: Some(AGENT),
        api_key: API_KEY.to_owned(),
        limit: LIMIT,
        shards: 1,
        requests_per_minute: None,
        channels: CHANNELS,
        conversations: CONVERSATIONS,
        whatsapp_template: None,
    }
}

/// Returns another business, to try that one does not see the other.
pub(super) fn other_business() -> BusinessSeed {
    BusinessSeed {
        business_id: OTHER_BUSINESS,
        agent_id: None,
        api_key: OTHER_API_KEY.to_owned(),
        channels: OTHER_CHANNELS,
        conversations: OTHER_CONVERSATIONS,
        ..business()
    }
}

/// Returns the secret that Meta's events are signed with.
pub(super) fn webhook() -> WebhookSecret {
    WebhookSecret {
        app_secret: "an app secret for examples".to_owned(),
        verify_token: "a-verify-token-for-examples".to_owned(),
    }
}

/// Returns the key that the references in receipts are signed with.
pub(super) fn receipt_key() -> SigningKey {
    let secret = "a key of references for examples only".to_owned();
    SigningKey { kid: "examples".to_owned(), secret: secret.into() }
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
        assert_eq!(event["pathParameters"]["conversation_id"], CONVERSATIONS.chat.to_string());
        for seed in [business(), other_business()] {
            assert!(seed.parsed_api_key().is_ok_and(|key| key.business_id.0 == seed.business_id));
        }
    }
}

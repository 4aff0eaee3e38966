//! Everything that cannot be derived and has to survive a restart: keys that sign tokens, the
//! sandbox's access token, the ids and keys of the demo. One file of the data directory keeps it.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::business_seed::BusinessSeed;
use super::examples;
use super::webhook_secret::WebhookSecret;
use crate::atomic_file::{name_path, write_atomically};
use domain::{AgentId, BusinessId, ConversationId};
use platform::credential::visitor::{LONGEST, Visitor};
use platform::credential::{MAX_AGENT_TOKEN_LIFE, SigningKey, SigningKeys};

/// Every secret of a local system.
#[derive(Clone, Deserialize, Serialize)]
pub struct Keys {
    /// The access token that the sandbox's WhatsApp knows.
    pub whatsapp_token: String,
    /// The secret of WhatsApp's webhook.
    #[serde(default = "random_webhook_secret")]
    pub whatsapp_webhook: WebhookSecret,
    agent_key: SigningKey,
    visitor_key: SigningKey,
    #[serde(default = "random_receipt_key")]
    receipt_key: SigningKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    demo: Option<Demo>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Demo {
    business: BusinessSeed,
    other: BusinessSeed,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads `seed.json` of the directory, or makes it; without a directory it makes new keys. With
    /// `demo`, the keys include a demo business and another one, which are the same everywhere but
    /// in a directory that has others.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn load(directory: Option<&Path>, demo: bool) -> io::Result<Self> {
        let path = directory.map(|directory| directory.join("seed.json"));
        let name_it = |error: io::Error| match &path {
            Some(path) => name_path(path, &error),
            None => error,
        };

        let kept = match path.as_ref().map(std::fs::read) {
            None => None,
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Some(read) => Some(
                read.and_then(|json| Ok(serde_json::from_slice::<Self>(&json)?))
                    .map_err(name_it)?,
            ),
        };

        let mut is_new = kept.is_none();
        let mut keys = kept.unwrap_or_else(Self::random);

        if demo && keys.demo.is_none() {
            keys.demo =
                Some(Demo { business: examples::business(), other: examples::other_business() });
            is_new = true;
        }

        if is_new && let Some(path) = &path {
            write_atomically(path, &serde_json::to_vec_pretty(&keys)?).map_err(name_it)?;
        }

        if !demo {
            keys.demo = None;
        }

        Ok(keys)
    }

    /// Returns the same keys, but with the webhook secret and the key of receipts that the events
    /// in `functions/*/events` are signed with.
    #[must_use]
    pub fn with_examples_secret(self) -> Self {
        Self { whatsapp_webhook: examples::webhook(), receipt_key: examples::receipt_key(), ..self }
    }

    fn random() -> Self {
        Self {
            whatsapp_token: format!("EAA{}", secret()),
            whatsapp_webhook: random_webhook_secret(),
            agent_key: SigningKey { kid: "agents-1".into(), secret: secret().into() },
            visitor_key: SigningKey { kid: "visitors-1".into(), secret: secret().into() },
            receipt_key: random_receipt_key(),
            demo: None,
        }
    }

    /// The demo business and the other one.
    pub fn demo(&self) -> Option<(&BusinessSeed, &BusinessSeed)> {
        self.demo.as_ref().map(|demo| (&demo.business, &demo.other))
    }

    /// The value of the agents' secret.
    pub fn agent_keys(&self) -> SigningKeys {
        SigningKeys { keys: vec![self.agent_key.clone()], signs_from: None }
    }

    /// The value of the visitors' secret.
    pub fn visitor_keys(&self) -> SigningKeys {
        SigningKeys { keys: vec![self.visitor_key.clone()], signs_from: None }
    }

    /// The value of the secret with the keys of receipts.
    pub fn receipt_keys(&self) -> SigningKeys {
        SigningKeys { keys: vec![self.receipt_key.clone()], signs_from: None }
    }

    /// Signs an agent's JWT, good for as long as one may be. It began some time before `now`: tests
    /// move the clock in both directions.
    pub fn agent_token(&self, business_id: Uuid, agent_id: Uuid, now: DateTime<Utc>) -> String {
        let business = BusinessId(business_id);
        let agent = AgentId(agent_id);
        let issued = now - MAX_AGENT_TOKEN_LIFE / 3;
        let expires = issued + MAX_AGENT_TOKEN_LIFE;
        let token = self.agent_key.sign_agent(business, agent, issued, expires);
        token.expect("plain claims can be signed with any key")
    }

    /// Signs a chat visitor's JWT, good for as long from `now` as one may be.
    pub fn visitor_token(
        &self,
        business_id: Uuid,
        conversation_id: Uuid,
        now: DateTime<Utc>,
    ) -> String {
        let visitor = Visitor {
            business_id: BusinessId(business_id),
            conversation_id: ConversationId(conversation_id),
        };
        let token = self.visitor_key.sign_visitor(visitor, now, now + LONGEST);
        token.expect("plain claims can be signed with any key")
    }
}

fn random_receipt_key() -> SigningKey {
    SigningKey { kid: "receipts-1".into(), secret: secret().into() }
}

fn random_webhook_secret() -> WebhookSecret {
    WebhookSecret { app_secret: secret(), verify_token: secret() }
}

fn secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_survive_a_restart_and_a_demo_is_added_when_it_is_asked_for() {
        let directory = std::env::temp_dir().join(format!("seed-{}", Uuid::new_v4()));
        std::fs::create_dir(&directory).unwrap();
        let bare = Keys::load(Some(&directory), false).unwrap();

        assert!(bare.demo().is_none());
        let first = Keys::load(Some(&directory), true).unwrap();
        let again = Keys::load(Some(&directory), true).unwrap();
        assert_eq!(bare.whatsapp_token, again.whatsapp_token);
        let (business, other) = first.demo().unwrap();

        let elsewhere = Keys::load(None, true).unwrap();
        for keys in [&again, &elsewhere] {
            assert_eq!(business.api_key, keys.demo().unwrap().0.api_key);
            assert_eq!(other.business_id, keys.demo().unwrap().1.business_id);
        }
        let agent = business.agent_id.unwrap();
        let now = Utc::now();
        let token = first.agent_token(business.business_id, agent, now);

        assert_eq!(token, again.agent_token(business.business_id, agent, now));

        assert!(Keys::load(Some(&directory), false).unwrap().demo().is_none());
    }

    #[test]
    fn a_demo_that_a_directory_has_stays() {
        let directory = std::env::temp_dir().join(format!("seed-{}", Uuid::new_v4()));
        std::fs::create_dir(&directory).unwrap();
        let mut keys = Keys::load(Some(&directory), true).unwrap();
        let kept = BusinessSeed { agent_id: Some(Uuid::new_v4()), ..BusinessSeed::new(7, 1) };
        keys.demo = Some(Demo { business: kept.clone(), other: BusinessSeed::new(7, 1) });
        std::fs::write(directory.join("seed.json"), serde_json::to_vec(&keys).unwrap()).unwrap();

        let again = Keys::load(Some(&directory), true).unwrap();
        assert_eq!(again.demo().unwrap().0.business_id, kept.business_id);
        assert_ne!(kept.business_id, examples::business().business_id);
    }

    #[test]
    fn a_spoilt_file_is_named() {
        let directory = std::env::temp_dir().join(format!("seed-{}", Uuid::new_v4()));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("seed.json"), "{").unwrap();
        assert!(Keys::load(Some(&directory), true).unwrap_err().to_string().contains("seed.json"));
    }
}

//! What cannot be derived and has to survive a restart: keys that sign tokens, the sandbox's access
//! token, the ids and keys of the demo. Kept in one file of the data directory.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::business_seed::Plot;
use crate::atomic_file::write_atomically;
use domain::{AgentId, BusinessId, ConversationId};
use platform::credential::visitor::{LONGEST, Visitor};
use platform::credential::{SigningKey, SigningKeys};

/// Messages that the demo business may send in a month.
const DEMO_LIMIT: u64 = 1000;
/// Name of the secret with the access token that the sandbox's WhatsApp knows.
pub const WHATSAPP_SECRET: &str = "pingback/whatsapp/sandbox";
/// Agents' tokens are good from here…
const ISSUED: i64 = 1_577_836_800; // 2020-01-01
/// …to here, so that they are good wherever the clock is moved to.
const EXPIRES: i64 = 4_102_444_800; // 2100-01-01

/// Every secret of a local system.
#[derive(Clone, Deserialize, Serialize)]
pub struct Keys {
    /// The access token that the sandbox's WhatsApp knows.
    pub whatsapp_token: String,
    /// What Meta signs webhooks with, and what it shows when it asks for their place.
    #[serde(default = "WebhookSecret::random")]
    pub whatsapp_webhook: WebhookSecret,
    agent_key: SigningKey,
    visitor_key: SigningKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    demo: Option<Demo>,
}

/// The secret of WhatsApp's webhook, as the function reads it.
#[derive(Clone, Deserialize, Serialize)]
pub struct WebhookSecret {
    /// What webhooks are signed with.
    pub app_secret: String,
    /// What a challenge carries.
    pub verify_token: String,
}

impl WebhookSecret {
    fn random() -> Self {
        Self { app_secret: secret(), verify_token: secret() }
    }
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Demo {
    business: Plot,
    other: Plot,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads `seed.json` of the directory, or makes it; without a directory it makes new ones. With
    /// `demo`, there is a demo in them.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn load(directory: Option<&Path>, demo: bool) -> io::Result<Self> {
        let path = directory.map(|directory| directory.join("seed.json"));
        let name_it = |error: io::Error| match &path {
            Some(path) => io::Error::new(error.kind(), format!("{}: {error}", path.display())),
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
        let (mut keys, mut new) = kept.map_or_else(|| (Self::random(), true), |keys| (keys, false));
        if demo && keys.demo.is_none() {
            let business = Plot { agent_id: Some(Uuid::new_v4()), ..Plot::new(DEMO_LIMIT, 1) };
            keys.demo = Some(Demo { business, other: Plot::new(DEMO_LIMIT, 1) });
            new = true;
        }
        if let (true, Some(path)) = (new, &path) {
            write_atomically(path, &serde_json::to_vec_pretty(&keys)?).map_err(name_it)?;
        }
        if !demo {
            keys.demo = None;
        }
        Ok(keys)
    }

    /// The same, with what the events in `functions/*/events` are signed with as Meta's secret.
    #[must_use]
    pub fn of_the_examples(self) -> Self {
        Self { whatsapp_webhook: super::examples::webhook(), ..self }
    }

    fn random() -> Self {
        Self {
            whatsapp_token: format!("EAA{}", secret()),
            whatsapp_webhook: WebhookSecret::random(),
            agent_key: SigningKey { kid: "agents-1".into(), secret: secret() },
            visitor_key: SigningKey { kid: "visitors-1".into(), secret: secret() },
            demo: None,
        }
    }

    /// The demo business and the other one.
    pub fn demo(&self) -> Option<(&Plot, &Plot)> {
        self.demo.as_ref().map(|demo| (&demo.business, &demo.other))
    }

    /// What the agents' secret has to hold.
    pub fn agent_keys(&self) -> SigningKeys {
        SigningKeys { keys: vec![self.agent_key.clone()] }
    }

    /// What the visitors' secret has to hold.
    pub fn visitor_keys(&self) -> SigningKeys {
        SigningKeys { keys: vec![self.visitor_key.clone()] }
    }

    /// An agent's JWT.
    pub fn agent_token(&self, business: Uuid, agent: Uuid) -> String {
        let (issued, expires) = times();
        let token =
            self.agent_key.sign_agent(BusinessId(business), AgentId(agent), issued, expires);
        token.expect("plain claims can be signed with any key")
    }

    /// A chat visitor's JWT, good for as long from `now` as one may be.
    pub fn visitor_token(&self, business: Uuid, conversation: Uuid, now: DateTime<Utc>) -> String {
        let visitor =
            Visitor { business: BusinessId(business), conversation: ConversationId(conversation) };
        let token = self.visitor_key.sign_visitor(visitor, now, now + LONGEST);
        token.expect("plain claims can be signed with any key")
    }
}

fn times() -> (DateTime<Utc>, DateTime<Utc>) {
    let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("both are times");
    (at(ISSUED), at(EXPIRES))
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
        assert_eq!(business.api_key, again.demo().unwrap().0.api_key);
        assert_eq!(other.business_id, again.demo().unwrap().1.business_id);
        let agent = business.agent_id.unwrap();
        let token = first.agent_token(business.business_id, agent);
        assert_eq!(token, again.agent_token(business.business_id, agent));
        assert!(Keys::load(Some(&directory), false).unwrap().demo().is_none());
    }

    #[test]
    fn a_spoilt_file_is_named() {
        let directory = std::env::temp_dir().join(format!("seed-{}", Uuid::new_v4()));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("seed.json"), "{").unwrap();
        assert!(Keys::load(Some(&directory), true).unwrap_err().to_string().contains("seed.json"));
    }
}

//! Authentication: bearer tokens, from the header to a business and perhaps an agent.
//!
//! Both kinds carry their business in clear, so every key of the table is known before its one
//! read. Their claims count only if the stored record agrees
//! ([`crate::table::RequestContext::caller`]). Customers in a chat have tokens of another kind
//! ([`visitor`]).

pub mod visitor;

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::InternalError;
use domain::{AgentId, BusinessId};

/// How far the clock of a token's issuer may differ from ours, in seconds.
const LEEWAY_SECONDS: i64 = 60;

/// The claims of a bearer token, before they are compared with what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenClaims {
    /// A business's API key.
    Key(ApiKey),
    /// An agent, by a JWT with a valid signature and valid times.
    Agent {
        /// The agent's business.
        business_id: BusinessId,
        /// The agent.
        agent: AgentId,
    },
}

impl TokenClaims {
    /// Returns the business that the token names.
    #[must_use]
    pub fn business_id(&self) -> BusinessId {
        match self {
            TokenClaims::Key(key) => key.business_id,
            TokenClaims::Agent { business_id, .. } => *business_id,
        }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The business.
    pub business_id: BusinessId,
    /// The agent; `None` for a business's own key.
    pub agent: Option<AgentId>,
}

/// An API key: `pbk_`, the business's UUID as 32 hexadecimal digits, `_`, and 32 random bytes in
/// base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The business it belongs to.
    pub business_id: BusinessId,
    secret: [u8; 32],
}

impl ApiKey {
    const PREFIX: &str = "pbk_";

    /// Makes a new key for a business.
    #[must_use]
    pub fn generate(business_id: BusinessId) -> ApiKey {
        ApiKey { business_id, secret: rand::random() }
    }

    /// Reads a key.
    #[must_use]
    pub fn parse(text: &str) -> Option<ApiKey> {
        let (id, rest) = text.strip_prefix(Self::PREFIX)?.split_at_checked(32)?;
        let business_id = BusinessId(Uuid::try_parse(id).ok()?);
        let secret = BASE64_URL_SAFE_NO_PAD.decode(rest.strip_prefix('_')?).ok()?;
        Some(ApiKey { business_id, secret: secret.try_into().ok()? })
    }

    /// Returns what is stored of the key: SHA-256 of the secret, in hex. The secret has 256 random
    /// bits, so a slow hash would protect nothing.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.secret))
    }

    /// Returns the key in full, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        let secret = BASE64_URL_SAFE_NO_PAD.encode(self.secret);
        format!("{}{}_{secret}", Self::PREFIX, self.business_id.0.simple())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}, …)", self.business_id)
    }
}

/// Returns the token of an `Authorization: Bearer …` header ([RFC 6750
/// §2.1](https://www.rfc-editor.org/rfc/rfc6750)).
#[must_use]
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token.trim_start())
}

/// The keys that sign tokens: at most two, the one that signs now and the one before it.
#[derive(Clone, Deserialize, Serialize)]
#[serde(from = "StoredKeys")]
pub struct SigningKeys {
    /// Newest first.
    pub keys: Vec<SigningKey>,
}

/// The keys as a secret holds them: `{"keys": [{"kid", "secret"}]}`, or one key alone, `{"kid",
/// "secret"}`. The second is the form that Secrets Manager generates: it [fills
/// in](https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-secretsmanager-secret-generatesecretstring.html)
/// one member at the top of an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredKeys {
    Several { keys: Vec<SigningKey> },
    One(SigningKey),
}

impl From<StoredKeys> for SigningKeys {
    fn from(stored: StoredKeys) -> SigningKeys {
        match stored {
            StoredKeys::Several { keys } => SigningKeys { keys },
            StoredKeys::One(key) => SigningKeys { keys: vec![key] },
        }
    }
}

/// One key, as the secret holds it.
#[derive(Clone, Deserialize, Serialize)]
pub struct SigningKey {
    /// Its name, which a token's header carries.
    pub kid: String,
    /// Its bytes, as text; at least 32 of them, as HS256 asks for
    /// ([RFC 7518 §3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)).
    pub secret: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct AgentClaims {
    sub: AgentId,
    business_id: BusinessId,
    iat: i64,
    exp: i64,
}

/// Returns the `kid` that a JWT names, if its algorithm is ours.
#[must_use]
pub fn key_id(token: &str) -> Option<String> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    (header.alg == Algorithm::HS256).then_some(header.kid)?
}

impl SigningKeys {
    /// Returns the key of that name.
    #[must_use]
    pub fn named(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

impl SigningKey {
    /// Verifies an agent's token; returns `None` if anything about it is wrong.
    #[must_use]
    pub fn verify_agent(&self, token: &str, now: DateTime<Utc>) -> Option<TokenClaims> {
        let AgentClaims { sub: agent, business_id, iat, exp } = self.verify(token, None)?;
        is_in_time(iat, exp, now).then_some(TokenClaims::Agent { business_id, agent })
    }

    /// Issues an agent's token, as PingBack's login does.
    ///
    /// # Errors
    /// If the claims cannot be signed.
    pub fn sign_agent(
        &self,
        business_id: BusinessId,
        agent: AgentId,
        issued: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<String, InternalError> {
        self.sign(&AgentClaims {
            sub: agent,
            business_id,
            iat: issued.timestamp(),
            exp: expires.timestamp(),
        })
    }

    fn sign(&self, claims: &impl Serialize) -> Result<String, InternalError> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(self.secret.as_bytes()))
            .map_err(|error| InternalError::because("signing a token", error))
    }

    /// Checks algorithm, signature and, where one is named, the audience. The times are checked by
    /// [`is_in_time`], with our own clock.
    fn verify<T: DeserializeOwned>(&self, token: &str, audience: Option<&str>) -> Option<T> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_aud = audience.is_some();
        let required: &[&str] = if audience.is_some() { &["aud"] } else { &[] };
        validation.set_required_spec_claims(required);
        if let Some(audience) = audience {
            validation.set_audience(&[audience]);
        }

        let key = DecodingKey::from_secret(self.secret.as_bytes());
        Some(jsonwebtoken::decode(token, &key, &validation).ok()?.claims)
    }
}

fn is_in_time(iat: i64, exp: i64, now: DateTime<Utc>) -> bool {
    let now = now.timestamp();
    now < exp.saturating_add(LEEWAY_SECONDS) && iat <= now.saturating_add(LEEWAY_SECONDS)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn key() -> SigningKey {
        SigningKey { kid: "k1".into(), secret: "0123456789abcdef0123456789abcdef".into() }
    }

    fn ids() -> (BusinessId, AgentId) {
        (BusinessId(Uuid::from_u128(1)), AgentId(Uuid::from_u128(2)))
    }

    fn now() -> DateTime<Utc> {
        "2026-03-01T09:05:00Z".parse().expect("a time")
    }

    #[test]
    fn an_api_key_survives_its_spelling_and_hides_in_logs() {
        let key = ApiKey::generate(ids().0);
        assert_eq!(ApiKey::parse(&key.reveal()), Some(key.clone()));
        assert_eq!(key.hash().len(), 64);
        assert!(!format!("{key:?}").contains(&key.reveal()[37..]));
        for wrong in ["", "pbk_", "pbk_0000_x", &key.reveal()[..70], &format!("{}A", key.reveal())]
        {
            assert_eq!(ApiKey::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_bearer_tokens_are_read() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc"), Some("abc"));
        for wrong in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(bearer(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_counts_within_its_times_and_a_minute() {
        let (business_id, agent) = ids();
        let hour = TimeDelta::hours(1);
        let token = key().sign_agent(business_id, agent, now(), now() + hour).expect("signed");
        let good = Some(TokenClaims::Agent { business_id, agent });
        assert_eq!(key_id(&token).as_deref(), Some("k1"));
        assert_eq!(key().verify_agent(&token, now()), good);
        assert_eq!(key().verify_agent(&token, now() + hour + TimeDelta::seconds(59)), good);
        assert_eq!(key().verify_agent(&token, now() + hour + TimeDelta::seconds(60)), None);
        assert_eq!(key().verify_agent(&token, now() - TimeDelta::seconds(61)), None);
    }

    #[test]
    fn a_secret_holds_several_keys_or_the_one_that_was_made_up() {
        let named = |secret: &str, kid| -> Option<String> {
            let keys: SigningKeys = serde_json::from_str(secret).expect("keys");
            keys.named(kid).map(|key| key.secret.clone())
        };

        let several =
            r#"{"keys": [{"kid": "k2", "secret": "new"}, {"kid": "k1", "secret": "old"}]}"#;
        assert_eq!(
            (named(several, "k1").as_deref(), named(several, "k2").as_deref()),
            (Some("old"), Some("new"))
        );

        let one = r#"{"kid": "first", "secret": "made up"}"#;
        assert_eq!((named(one, "first").as_deref(), named(one, "k1")), (Some("made up"), None));
        assert!(serde_json::from_str::<SigningKeys>(r#"{"kid": "first"}"#).is_err());
    }

    #[test]
    fn another_key_another_algorithm_or_another_kind_is_refused() {
        let (business, agent) = ids();
        let token =
            key().sign_agent(business, agent, now(), now() + TimeDelta::hours(1)).expect("signed");
        let other = SigningKey { secret: "another secret of thirty-two bytes".into(), ..key() };
        assert_eq!(other.verify_agent(&token, now()), None);
        assert_eq!(key().verify_visitor(&token, now()), Err(visitor::TokenError::Invalid));
        let claims = AgentClaims { sub: agent, business_id: business, iat: 0, exp: i64::MAX };
        let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS384) };
        let stronger = EncodingKey::from_secret(key().secret.as_bytes());
        let hs384 = jsonwebtoken::encode(&header, &claims, &stronger).expect("signed");
        assert_eq!(key_id(&hs384), None);
        assert_eq!(key().verify_agent(&hs384, now()), None);
    }
}

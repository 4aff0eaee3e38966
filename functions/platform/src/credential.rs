//! Authentication: bearer tokens, from the header to a business and perhaps an agent.
//!
//! Both kinds carry their business in clear, so every key of the table is known before its one
//! read. Their claims count only if the stored record agrees
//! ([`crate::table::RequestContext::caller`]). Customers in a chat have tokens of another kind
//! ([`visitor`]).

mod header;
pub mod visitor;

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::{Cause, InternalError};
use domain::{AgentId, BusinessId};

/// How far the clock of a token's issuer may differ from ours, in seconds.
const LEEWAY_SECONDS: f64 = 60.0;

/// The longest time from `iat` to `exp` of an agent's token. An agent can be deactivated at once, a
/// token that was stolen only with its key.
pub const MAX_AGENT_TOKEN_LIFE: TimeDelta = TimeDelta::days(90);

/// The fewest bytes of a key ([RFC 7518 §3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)).
const MIN_KEY_BYTES: usize = 32;

/// The most keys of a kind that are live at once.
pub const MAX_KEYS: usize = 2;

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
    /// SHA-256 of the secret.
    digest: [u8; 32],
}

impl ApiKey {
    const PREFIX: &str = "pbk_";

    /// Makes a new key for a business.
    #[must_use]
    pub fn generate(business_id: BusinessId) -> ApiKey {
        ApiKey::new(business_id, rand::random())
    }

    fn new(business_id: BusinessId, secret: [u8; 32]) -> ApiKey {
        ApiKey { business_id, secret, digest: Sha256::digest(secret).into() }
    }

    /// Reads a key.
    #[must_use]
    pub fn parse(text: &str) -> Option<ApiKey> {
        let (id, rest) = text.strip_prefix(Self::PREFIX)?.split_at_checked(32)?;
        let business_id = BusinessId(Uuid::try_parse(id).ok()?);
        let secret = BASE64_URL_SAFE_NO_PAD.decode(rest.strip_prefix('_')?).ok()?;
        Some(ApiKey::new(business_id, secret.try_into().ok()?))
    }

    /// Returns what is stored of the key: SHA-256 of the secret, in hex. The secret has 256 random
    /// bits, so a slow hash would protect nothing.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(self.digest)
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
#[serde(try_from = "StoredKeys")]
pub struct SigningKeys {
    /// Newest first.
    pub keys: Vec<SigningKey>,
    /// When the newest begins to sign, if functions sign with these keys themselves: each of them
    /// has to know it by then. The one before it signs until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signs_from: Option<DateTime<Utc>>,
}

/// A fault of a set of keys. It names a key by its place: the members of a key that a person wrote
/// may have changed places, and then its `kid` is the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// There is no key.
    #[error("there is no signing key")]
    None,
    /// Two are live while they rotate; more only if an old one was forgotten.
    #[error("there are {0} signing keys; at most {MAX_KEYS} are live")]
    TooMany(usize),
    /// A token could not name it.
    #[error("a signing key has an empty kid")]
    EmptyName,
    /// A token that names it would be good with one of them and not with the other.
    #[error("two signing keys have the same kid")]
    DoubledName,
    /// It can be guessed from a token.
    #[error(
        "the secret of key {place} has {bytes} bytes; HS256 takes keys of at least {MIN_KEY_BYTES}"
    )]
    TooShort {
        /// The key's place, from 1.
        place: usize,
        /// How many bytes it has.
        bytes: usize,
    },
}

impl Cause for KeyFault {
    /// The sentence.
    fn describe(&self) -> String {
        self.to_string()
    }
}

/// The keys as a secret holds them: `{"keys": [{"kid", "secret"}], "signs_from"}`, where the time
/// may be missing, or one key alone, `{"kid", "secret"}`. The second is the form that Secrets
/// Manager generates: it [fills
/// in](https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-secretsmanager-secret-generatesecretstring.html)
/// one member at the top of an object.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum StoredKeys {
    Several {
        keys: Vec<SigningKey>,
        #[serde(default)]
        signs_from: Option<DateTime<Utc>>,
    },
    One(SigningKey),
}

impl TryFrom<StoredKeys> for SigningKeys {
    type Error = KeyFault;

    fn try_from(stored: StoredKeys) -> Result<SigningKeys, KeyFault> {
        let (keys, signs_from) = match stored {
            StoredKeys::Several { keys, signs_from } => (keys, signs_from),
            StoredKeys::One(key) => (vec![key], None),
        };

        match check_keys(&keys) {
            Some(fault) => Err(fault),
            None => Ok(SigningKeys { keys, signs_from }),
        }
    }
}

fn check_keys(keys: &[SigningKey]) -> Option<KeyFault> {
    if keys.is_empty() {
        return Some(KeyFault::None);
    }
    if keys.len() > MAX_KEYS {
        return Some(KeyFault::TooMany(keys.len()));
    }

    keys.iter().enumerate().find_map(|(index, SigningKey { kid, secret })| {
        if kid.trim().is_empty() {
            Some(KeyFault::EmptyName)
        } else if keys[..index].iter().any(|other| other.kid == *kid) {
            Some(KeyFault::DoubledName)
        } else if secret.expose_secret().len() < MIN_KEY_BYTES {
            Some(KeyFault::TooShort { place: index + 1, bytes: secret.expose_secret().len() })
        } else {
            None
        }
    })
}

/// One key, as the secret holds it.
#[derive(Clone, Deserialize, Serialize)]
pub struct SigningKey {
    /// Its name, which a token's header carries.
    pub kid: String,
    /// Its bytes, as text; at least 32 of them, as HS256 asks for
    /// ([RFC 7518 §3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)).
    #[serde(serialize_with = "write_secret")]
    pub secret: SecretString,
}

/// Writes a key as the secret holds it, in Secrets Manager.
fn write_secret<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// The claims of an agent's token as they are written.
#[derive(Debug, Serialize)]
struct AgentClaims {
    sub: AgentId,
    business_id: BusinessId,
    iat: i64,
    exp: i64,
}

/// The claims of an agent's token as they are read.
#[derive(Debug, Deserialize)]
struct ReadAgentClaims {
    sub: AgentId,
    business_id: BusinessId,
    #[serde(flatten)]
    times: Times,
    /// Agents' tokens have none, so one with an audience is for something else ([RFC 7519
    /// §4.1.3](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3)).
    aud: Option<IgnoredAny>,
}

/// The times of a token: seconds since 1970, perhaps with a fraction (`NumericDate`, [RFC 7519
/// §2](https://www.rfc-editor.org/rfc/rfc7519#section-2)).
#[derive(Debug, Clone, Copy, Deserialize)]
struct Times {
    iat: f64,
    exp: f64,
    nbf: Option<f64>,
}

impl Times {
    /// Returns how long the token lasts, in seconds.
    fn life(self) -> f64 {
        self.exp - self.iat
    }

    /// True if the token has begun: neither time of its beginning is in the future ([RFC 7519
    /// §4.1.5](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.5)).
    fn has_begun(self, now: DateTime<Utc>) -> bool {
        let latest = seconds(now) + LEEWAY_SECONDS;
        self.iat <= latest && self.nbf.is_none_or(|nbf| nbf <= latest)
    }

    /// True if the token is not over.
    fn lasts(self, now: DateTime<Utc>) -> bool {
        seconds(now) < self.exp + LEEWAY_SECONDS
    }

    /// Returns the time from which the token no longer lasts; `None` if no calendar has it.
    #[expect(clippy::cast_possible_truncation, reason = "a float becomes the nearest integer")]
    fn ends_at(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(((self.exp + LEEWAY_SECONDS) * 1000.0).ceil() as i64)
    }
}

/// Returns a time as tokens have it. Milliseconds of our times are exact in it.
#[expect(clippy::cast_precision_loss, reason = "2^53 milliseconds are 285,000 years")]
fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_millis() as f64 / 1000.0
}

/// Returns the `kid` that a JWT names, if its header is one that we understand.
#[must_use]
pub fn key_id(token: &str) -> Option<String> {
    header::read(token)?.kid
}

impl SigningKeys {
    /// Parses the text of the secret `name`.
    ///
    /// # Errors
    /// What is wrong with the text or with a key, without either.
    pub fn parse(name: &str, text: &str) -> Result<SigningKeys, InternalError> {
        let doing = format!("the keys in {name}");
        let stored: StoredKeys = serde_json::from_str(text)
            .map_err(|error| InternalError::unreadable(&doing, &error))?;
        SigningKeys::try_from(stored)
            .map_err(|fault| InternalError::because(format!("reading {doing}"), fault))
    }

    /// Adds a key in front, which signs from `signs_from` on, or from now on.
    ///
    /// # Errors
    /// The fault that functions would find.
    pub fn add(
        &mut self,
        key: SigningKey,
        signs_from: Option<DateTime<Utc>>,
    ) -> Result<(), KeyFault> {
        let keys = [&[key], self.keys.as_slice()].concat();
        match check_keys(&keys) {
            Some(fault) => Err(fault),
            None => {
                *self = SigningKeys { keys, signs_from };
                Ok(())
            }
        }
    }

    /// Returns the place of the key that signs at `now`: the newest, or the one before it while
    /// that waits for its time.
    #[must_use]
    pub fn signing_place(&self, now: DateTime<Utc>) -> usize {
        let waits = self.signs_from.is_some_and(|from| now < from);
        usize::from(waits && self.keys.len() > 1)
    }

    /// Returns the key of that name.
    #[must_use]
    pub fn named(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

impl SigningKey {
    /// Makes a key of that name, of 32 random bytes.
    #[must_use]
    pub fn generate(kid: String) -> SigningKey {
        let bytes: [u8; MIN_KEY_BYTES] = rand::random();
        SigningKey { kid, secret: BASE64_URL_SAFE_NO_PAD.encode(bytes).into() }
    }

    /// Verifies an agent's token; returns `None` if anything about it is wrong.
    #[must_use]
    pub fn verify_agent(&self, token: &str, now: DateTime<Utc>) -> Option<TokenClaims> {
        let ReadAgentClaims { sub: agent, business_id, times, aud } = self.verify(token, None)?;

        let longest = MAX_AGENT_TOKEN_LIFE.as_seconds_f64();
        let is_ours = aud.is_none() && times.life() <= longest;
        let is_in_time = times.has_begun(now) && times.lasts(now);
        (is_ours && is_in_time).then_some(TokenClaims::Agent { business_id, agent })
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
        jsonwebtoken::encode(
            &header,
            claims,
            &EncodingKey::from_secret(self.secret.expose_secret().as_bytes()),
        )
        .map_err(|error| InternalError::because("signing a token", error))
    }

    /// Checks header, signature and, where one is named, the audience. The times are checked with
    /// our own clock, by [`Times`].
    fn verify<T: DeserializeOwned>(&self, token: &str, audience: Option<&str>) -> Option<T> {
        header::read(token)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_aud = audience.is_some();
        let required: &[&str] = if audience.is_some() { &["aud"] } else { &[] };
        validation.set_required_spec_claims(required);
        if let Some(audience) = audience {
            validation.set_audience(&[audience]);
        }

        let key = DecodingKey::from_secret(self.secret.expose_secret().as_bytes());
        Some(jsonwebtoken::decode(token, &key, &validation).ok()?.claims)
    }
}

#[cfg(test)]
mod tests;

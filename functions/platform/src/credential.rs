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
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::InternalError;
use domain::{AgentId, BusinessId};

/// How far the clock of a token's issuer may differ from ours, in seconds.
const LEEWAY_SECONDS: f64 = 60.0;

/// The longest time from `iat` to `exp` of an agent's token. An agent can be deactivated at once, a
/// token that was stolen only with its key.
pub const MAX_AGENT_TOKEN_LIFE: TimeDelta = TimeDelta::days(90);

/// The fewest bytes of a key ([RFC 7518 §3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)).
const MIN_KEY_BYTES: usize = 32;

/// The most keys of a kind that are live at once.
const MAX_KEYS: usize = 2;

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
#[serde(try_from = "StoredKeys")]
pub struct SigningKeys {
    /// Newest first.
    pub keys: Vec<SigningKey>,
}

/// A fault of a set of keys. It names a key by its `kid` and never says its secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    #[error("two signing keys have the kid {0}")]
    DoubledName(String),
    /// It can be guessed from a token.
    #[error(
        "the signing key {kid} has {bytes} bytes; HS256 takes keys of at least {MIN_KEY_BYTES}"
    )]
    TooShort {
        /// The key's name.
        kid: String,
        /// How many bytes it has.
        bytes: usize,
    },
}

/// The keys as a secret holds them: `{"keys": [{"kid", "secret"}]}`, or one key alone, `{"kid",
/// "secret"}`. The second is the form that Secrets Manager generates: it [fills
/// in](https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-secretsmanager-secret-generatesecretstring.html)
/// one member at the top of an object.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum StoredKeys {
    Several { keys: Vec<SigningKey> },
    One(SigningKey),
}

impl TryFrom<StoredKeys> for SigningKeys {
    type Error = KeyFault;

    fn try_from(stored: StoredKeys) -> Result<SigningKeys, KeyFault> {
        let keys = match stored {
            StoredKeys::Several { keys } => keys,
            StoredKeys::One(key) => vec![key],
        };

        match check_keys(&keys) {
            Some(fault) => Err(fault),
            None => Ok(SigningKeys { keys }),
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

    keys.iter().enumerate().find_map(|(place, SigningKey { kid, secret })| {
        if kid.trim().is_empty() {
            Some(KeyFault::EmptyName)
        } else if keys[..place].iter().any(|other| other.kid == *kid) {
            Some(KeyFault::DoubledName(kid.clone()))
        } else if secret.len() < MIN_KEY_BYTES {
            Some(KeyFault::TooShort { kid: kid.clone(), bytes: secret.len() })
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
    pub secret: String,
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
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(self.secret.as_bytes()))
            .map_err(|error| InternalError::because("signing a token", error))
    }

    /// Checks header, signature and, where one is named, the audience. The times are checked with our
    /// own clock, by [`Times`].
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

        let key = DecodingKey::from_secret(self.secret.as_bytes());
        Some(jsonwebtoken::decode(token, &key, &validation).ok()?.claims)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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

    fn read_keys(stored: Value) -> Result<SigningKeys, String> {
        serde_json::from_value(stored).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_holds_two_keys_or_the_one_that_was_made_up() {
        let new = "n".repeat(32);
        let old = "o".repeat(64);
        let two = json!({"keys": [{"kid": "k2", "secret": new}, {"kid": "k1", "secret": old}]});
        let two = read_keys(two).expect("two keys");
        assert_eq!(two.named("k1").map(|key| &key.secret), Some(&old));
        assert_eq!(two.named("k2").map(|key| &key.secret), Some(&new));
        assert!(two.named("").is_none());

        let one = read_keys(json!({"kid": "first", "secret": old})).expect("one key");
        assert_eq!(one.named("first").map(|key| &key.secret), Some(&old));
        assert!(one.named("k1").is_none());
        assert!(read_keys(json!({"kid": "first"})).is_err());
    }

    /// RFC 7518 §3.2: "A key of the same size as the hash output […] or larger MUST be used".
    #[test]
    fn keys_that_protect_nothing_are_refused_by_name_and_never_shown() {
        let key = |kid: &str, bytes: usize| json!({"kid": kid, "secret": "s".repeat(bytes)});
        for (stored, named) in [
            (key("short", 31), "signing key short has 31 bytes"),
            (key("none", 0), "signing key none has 0 bytes"),
            (json!({"keys": [key("a", 32), key("b", 12)]}), "signing key b has 12 bytes"),
            (json!({"keys": [key("", 32)]}), "empty kid"),
            (json!({"keys": [key("a", 32), key(" ", 32)]}), "empty kid"),
            (json!({"keys": [key("twice", 32), key("twice", 40)]}), "have the kid twice"),
            (json!({"keys": [key("a", 32), key("b", 32), key("c", 32)]}), "3 signing keys"),
            (json!({"keys": []}), "no signing key"),
        ] {
            let Err(fault) = read_keys(stored.clone()) else { panic!("{stored} was taken") };
            assert!(fault.contains(named), "{fault}");
            assert!(!fault.contains("sss"), "{fault}");
        }
        assert!(read_keys(key("just long enough", 32)).is_ok());
    }

    fn signed(header: &Value, claims: &Value) -> String {
        let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let secret = EncodingKey::from_secret(key().secret.as_bytes());
        let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &secret, Algorithm::HS256);
        format!("{text}.{}", signature.expect("signed"))
    }

    fn claims(changes: Value) -> Value {
        let (business_id, agent) = ids();
        let at = now().timestamp();
        let mut claims =
            json!({"sub": agent, "business_id": business_id, "iat": at, "exp": at + 3600});
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims
    }

    fn is_good(header: &Value, claims: &Value) -> bool {
        let token = signed(header, claims);
        let (business_id, agent) = ids();
        let found = key().verify_agent(&token, now());
        assert!(found.is_none() || key_id(&token).as_deref() == Some("k1"));
        found == Some(TokenClaims::Agent { business_id, agent })
    }

    fn jwt() -> Value {
        json!({"alg": "HS256", "typ": "JWT", "kid": "k1"})
    }

    /// Tokens as Python's, Java's and JavaScript's libraries write them, and what the RFCs refuse.
    #[test]
    fn tokens_are_read_as_other_libraries_write_them() {
        let at = now().timestamp();
        #[expect(clippy::cast_precision_loss, reason = "a time of this century")]
        let fraction = at as f64 + 0.25;

        for lawful in [
            json!({}),
            json!({"iat": fraction, "exp": fraction + 3600.5}),
            json!({"exp": 1.772_36e9}),
            json!({"nbf": at}),
            json!({"nbf": fraction + 59.5}),
            json!({"iss": "https://login.example.com", "jti": "7", "scope": "messages"}),
            json!({"iat": at - 7200, "exp": at - 59}),
            json!({"iat": at + 60}),
            json!({"exp": at + 90 * 86_400}),
        ] {
            assert!(is_good(&jwt(), &claims(lawful.clone())), "{lawful}");
        }

        for unlawful in [
            json!({"nbf": at + 61}),
            json!({"nbf": fraction + 60.5}),
            json!({"nbf": "now"}),
            json!({"iat": at + 61}),
            json!({"iat": at - 7200, "exp": at - 60}),
            json!({"exp": fraction - 61.0}),
            json!({"exp": "1772360000"}),
            json!({"exp": null}),
            json!({"iat": null}),
            json!({"exp": at + 90 * 86_400 + 1}),
            json!({"iat": 0}),
            json!({"exp": 1e300}),
            json!({"aud": "another-service"}),
            json!({"aud": ["another-service", "chat"]}),
            json!({"aud": visitor::AUDIENCE}),
            json!({"sub": "agent-7"}),
        ] {
            assert!(!is_good(&jwt(), &claims(unlawful.clone())), "{unlawful}");
        }
    }

    /// RFC 7515 §4.1.9 and §4.1.11; RFC 8725 §3.11.
    #[test]
    fn a_header_that_means_something_else_is_refused() {
        for lawful in [
            json!({"alg": "HS256", "kid": "k1"}),
            json!({"alg": "HS256", "kid": "k1", "typ": "jwt"}),
            json!({"alg": "HS256", "kid": "k1", "typ": "application/JWT"}),
            json!({"alg": "HS256", "kid": "k1", "typ": "JWT", "x5t": "abc", "note": {"a": 1}}),
        ] {
            assert!(is_good(&lawful, &claims(json!({}))), "{lawful}");
        }

        for unlawful in [
            json!({"crit": ["exp"]}),
            json!({"crit": ["b64"], "b64": true}),
            json!({"crit": []}),
            json!({"crit": null}),
            json!({"typ": "at+jwt"}),
            json!({"typ": "application/secevent+jwt"}),
            json!({"typ": "JOSE"}),
            json!({"typ": ""}),
            json!({"typ": 7}),
            json!({"alg": "none"}),
            json!({"alg": "HS384"}),
            json!({"alg": "hs256"}),
        ] {
            let mut header = jwt();
            for (name, value) in unlawful.as_object().expect("an object") {
                header[name] = value.clone();
            }
            let token = signed(&header, &claims(json!({})));
            assert_eq!(
                (key_id(&token), key().verify_agent(&token, now())),
                (None, None),
                "{unlawful}"
            );
        }
    }

    #[test]
    fn another_key_another_algorithm_or_another_kind_is_refused() {
        let (business, agent) = ids();
        let token =
            key().sign_agent(business, agent, now(), now() + TimeDelta::hours(1)).expect("signed");
        let other = SigningKey { secret: "another secret of thirty-two bytes".into(), ..key() };
        assert_eq!(other.verify_agent(&token, now()), None);
        assert_eq!(key().verify_visitor(&token, now()), Err(visitor::TokenError::Invalid));
        let iat = now().timestamp();
        let claims = AgentClaims { sub: agent, business_id: business, iat, exp: iat + 60 };
        let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS384) };
        let stronger = EncodingKey::from_secret(key().secret.as_bytes());
        let hs384 = jsonwebtoken::encode(&header, &claims, &stronger).expect("signed");
        assert_eq!(key_id(&hs384), None);
        assert_eq!(key().verify_agent(&hs384, now()), None);
    }
}

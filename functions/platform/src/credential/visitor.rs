//! The tokens of customers in a chat: JWTs like the agents', signed with other keys by the site
//! that serves the page with the widget. A token opens one conversation, for an hour at most.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{SigningKey, Times};
use crate::error::InternalError;
use domain::{BusinessId, ConversationId};

/// The audience of visitors' tokens ([RFC 7519
/// §4.1.3](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3)): other tokens that PingBack signs
/// with the same keys open no chat.
pub const AUDIENCE: &str = "chat";

/// The longest time from `iat` to `exp`. A token cannot be revoked, so it has to end by itself.
pub const LONGEST: TimeDelta = TimeDelta::hours(1);

/// A customer in a chat, as their token names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor {
    /// The conversation's business.
    pub business_id: BusinessId,
    /// The only conversation that the token opens.
    pub conversation_id: ConversationId,
}

/// A token that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitorToken {
    /// The customer it names.
    pub visitor: Visitor,
    /// The `kid` of the key that signed it.
    pub kid: String,
    /// When it ends, by a clock that differs from its issuer's as far as one may.
    pub ends_at: DateTime<Utc>,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It was valid once; a new one will be accepted.
    Expired,
    /// It never was valid, or is not yet.
    Invalid,
}

#[derive(Serialize)]
struct Claims {
    business_id: BusinessId,
    conversation_id: ConversationId,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct ReadClaims {
    business_id: BusinessId,
    conversation_id: ConversationId,
    #[serde(flatten)]
    times: Times,
}

#[derive(Serialize)]
struct Signed {
    aud: &'static str,
    #[serde(flatten)]
    claims: Claims,
}

impl SigningKey {
    /// Verifies a visitor's token.
    ///
    /// # Errors
    /// [`TokenError`]. Only a token that was valid once is called expired, so the answer to a
    /// forged one tells nothing.
    pub fn verify_visitor(
        &self,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<VisitorToken, TokenError> {
        let claims: ReadClaims = self.verify(token, Some(AUDIENCE)).ok_or(TokenError::Invalid)?;
        let ReadClaims { business_id, conversation_id, times } = claims;

        let is_short = times.life() > 0.0 && times.life() <= LONGEST.as_seconds_f64();
        if !is_short || !times.has_begun(now) {
            return Err(TokenError::Invalid);
        }

        match times.ends_at().filter(|_| times.lasts(now)) {
            Some(ends_at) => {
                let visitor = Visitor { business_id, conversation_id };
                Ok(VisitorToken { visitor, kid: self.kid.clone(), ends_at })
            }
            None => Err(TokenError::Expired),
        }
    }

    /// Issues a visitor's token, as the site with the widget does.
    ///
    /// # Errors
    /// If the claims cannot be signed.
    pub fn sign_visitor(
        &self,
        visitor: Visitor,
        issued: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<String, InternalError> {
        let claims = Claims {
            business_id: visitor.business_id,
            conversation_id: visitor.conversation_id,
            iat: issued.timestamp(),
            exp: expires.timestamp(),
        };
        self.sign(&Signed { aud: AUDIENCE, claims })
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const HOUR: TimeDelta = TimeDelta::seconds(3600);
    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn key() -> SigningKey {
        SigningKey { kid: "k1".into(), secret: SECRET.into() }
    }

    fn visitor() -> Visitor {
        Visitor {
            business_id: BusinessId(Uuid::from_u128(1)),
            conversation_id: ConversationId(Uuid::from_u128(2)),
        }
    }

    /// Verifies a token, and returns whom it names.
    fn verify(token: &str, now: DateTime<Utc>) -> Result<Visitor, TokenError> {
        key().verify_visitor(token, now).map(|token| token.visitor)
    }

    fn now() -> DateTime<Utc> {
        "2026-03-01T09:05:00Z".parse().expect("a time")
    }

    #[test]
    fn a_token_opens_its_conversation_for_an_hour_and_a_minute_and_is_then_called_expired() {
        let token = key().sign_visitor(visitor(), now(), now() + HOUR).expect("signed");
        let second = TimeDelta::seconds(1);
        let end = now() + HOUR + TimeDelta::seconds(60);
        assert_eq!(verify(&token, now()), Ok(visitor()));
        assert_eq!(verify(&token, end - second), Ok(visitor()));
        let verified = key().verify_visitor(&token, now()).expect("a valid token");
        assert_eq!((verified.ends_at, verified.kid.as_str()), (end, "k1"));
        assert_eq!(verify(&token, end), Err(TokenError::Expired));
        assert_eq!(verify(&token, now() - TimeDelta::seconds(61)), Err(TokenError::Invalid));
    }

    #[test]
    fn one_that_lasts_longer_or_ends_before_it_begins_opens_nothing() {
        for seconds in [3601, 0, -1] {
            let token = key()
                .sign_visitor(visitor(), now(), now() + TimeDelta::seconds(seconds))
                .expect("signed");
            assert_eq!(verify(&token, now()), Err(TokenError::Invalid), "{seconds}");
        }
        let forever = json!({"aud": "chat", "business_id": visitor().business_id, "conversation_id": visitor().conversation_id,
            "iat": i64::MIN, "exp": i64::MAX});
        assert_eq!(
            verify(&signed(&forever, Algorithm::HS256, SECRET), now()),
            Err(TokenError::Invalid)
        );
    }

    #[test]
    fn one_that_was_made_for_something_else_opens_nothing() {
        let claims = |aud: serde_json::Value| {
            json!({"aud": aud, "business_id": visitor().business_id, "conversation_id": visitor().conversation_id,
                "iat": now().timestamp(), "exp": now().timestamp() + 60})
        };

        let of = |claims, algorithm, secret| verify(&signed(&claims, algorithm, secret), now());
        assert_eq!(of(claims("chat".into()), Algorithm::HS256, SECRET), Ok(visitor()));
        assert_eq!(of(claims(json!(["site", "chat"])), Algorithm::HS256, SECRET), Ok(visitor()));
        for aud in ["site".into(), json!(null), json!([])] {
            assert_eq!(of(claims(aud), Algorithm::HS256, SECRET), Err(TokenError::Invalid));
        }

        let mut without = claims("chat".into());
        without.as_object_mut().expect("an object").remove("aud");
        assert_eq!(of(without, Algorithm::HS256, SECRET), Err(TokenError::Invalid));
        assert_eq!(of(claims("chat".into()), Algorithm::HS512, SECRET), Err(TokenError::Invalid));
        let other = "another secret of thirty-two bytes";

        assert_eq!(of(claims("chat".into()), Algorithm::HS256, other), Err(TokenError::Invalid));
    }

    #[test]
    fn an_unsigned_token_names_no_key_and_opens_nothing() {
        let token = key().sign_visitor(visitor(), now(), now() + HOUR).expect("signed");
        let claims = token.split('.').nth(1).expect("claims");
        // {"alg":"none","kid":"k1"}
        let unsigned = format!("eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.{claims}.");
        assert_eq!(super::super::key_id(&unsigned), None);
        assert_eq!(verify(&unsigned, now()), Err(TokenError::Invalid));
    }

    fn signed(claims: &serde_json::Value, algorithm: Algorithm, secret: &str) -> String {
        let header = Header { kid: Some("k1".into()), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes()))
            .expect("signed")
    }
}

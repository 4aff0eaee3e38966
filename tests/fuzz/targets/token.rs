//! Credentials: the header `Authorization` as it comes, and the two parts of a JWT, which are
//! signed here, because a signature cannot be guessed.

#![no_main]

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::DateTime;
use jsonwebtoken::{Algorithm, EncodingKey};
use libfuzzer_sys::fuzz_target;
use platform::credential::{self, ApiKey, SigningKeys};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fuzz_target!(|text: &str| {
    let keys = format!(r#"{{ "keys": [{{ "kid": "k1", "secret": "{SECRET}" }}] }}"#);
    let keys = SigningKeys::parse("the test's keys", &keys).expect("keys");
    let key = keys.named("k1").expect("the key");
    let now = DateTime::from_timestamp(1_772_355_900, 0).expect("a time");

    let bearer = credential::bearer(text).unwrap_or(text);
    if let Some(api_key) = ApiKey::parse(bearer) {
        let again = ApiKey::parse(&api_key.reveal()).expect("what was written can be read");
        assert_eq!(again.hash(), api_key.hash());
    }
    let _ = credential::key_id(bearer);
    let _ = (key.verify_agent(bearer, now), key.verify_visitor(bearer, now));

    let Some((header, claims)) = text.split_once('\n') else { return };
    let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let signed = format!("{header}.{claims}");
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &secret, Algorithm::HS256);
    let token = format!("{signed}.{}", signature.expect("a signature"));

    let _ = credential::key_id(&token);
    let agent = key.verify_agent(&token, now);
    let visitor = key.verify_visitor(&token, now);
    assert!(agent.is_none() || visitor.is_err(), "a token opens either the API or a chat");
});

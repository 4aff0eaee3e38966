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
    for wrong in ["", "pbk_", "pbk_0000_x", &key.reveal()[..70], &format!("{}A", key.reveal())] {
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
    assert_eq!(two.named("k1").map(|key| key.secret.expose_secret()), Some(old.as_str()));
    assert_eq!(two.named("k2").map(|key| key.secret.expose_secret()), Some(new.as_str()));
    assert!(two.named("").is_none());

    let one = read_keys(json!({"kid": "first", "secret": old})).expect("one key");
    assert_eq!(one.named("first").map(|key| key.secret.expose_secret()), Some(old.as_str()));
    assert!(one.named("k1").is_none());
    assert!(read_keys(json!({"kid": "first"})).is_err());
}

/// RFC 7518 §3.2: "A key of the same size as the hash output […] or larger MUST be used".
#[test]
fn keys_that_protect_nothing_are_refused_by_their_place_and_never_shown() {
    let key = |kid: &str, bytes: usize| json!({"kid": kid, "secret": "s".repeat(bytes)});
    for (stored, named) in [
        (key("short", 31), "secret of key 1 has 31 bytes"),
        (key("none", 0), "secret of key 1 has 0 bytes"),
        (json!({"keys": [key("a", 32), key("b", 12)]}), "secret of key 2 has 12 bytes"),
        (json!({"kid": "s".repeat(64), "secret": "first"}), "secret of key 1 has 5 bytes"),
        (json!({"keys": [key(&"s".repeat(64), 32), key(&"s".repeat(64), 40)]}), "the same kid"),
        (json!({"keys": [key("", 32)]}), "empty kid"),
        (json!({"keys": [key("a", 32), key(" ", 32)]}), "empty kid"),
        (json!({"keys": [key("twice", 32), key("twice", 40)]}), "have the same kid"),
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
    let secret = EncodingKey::from_secret(key().secret.expose_secret().as_bytes());
    let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &secret, Algorithm::HS256);
    format!("{text}.{}", signature.expect("signed"))
}

fn claims(changes: Value) -> Value {
    let (business_id, agent) = ids();
    let at = now().timestamp();
    let mut claims = json!({"sub": agent, "business_id": business_id, "iat": at, "exp": at + 3600});
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
        assert_eq!((key_id(&token), key().verify_agent(&token, now())), (None, None), "{unlawful}");
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
    let stronger = EncodingKey::from_secret(key().secret.expose_secret().as_bytes());
    let hs384 = jsonwebtoken::encode(&header, &claims, &stronger).expect("signed");
    assert_eq!(key_id(&hs384), None);
    assert_eq!(key().verify_agent(&hs384, now()), None);
}

//! A call of WhatsApp's webhook: the signature's header, one line, and the body.

#![no_main]

use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use receipts_whatsapp::notification;
use receipts_whatsapp::signature::WebhookSecret;
use sha2::Sha256;

const SECRET: &str = r#"{ "app_secret": "a-secret-for-fuzzing", "verify_token": "another" }"#;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let header = HeaderValue::from_bytes(lines.next().unwrap_or_default());
    let body = lines.next().unwrap_or_default();

    let secret = WebhookSecret::parse(SECRET).expect("a secret");
    let mac = Hmac::<Sha256>::new_from_slice(b"a-secret-for-fuzzing").expect("a key");
    let signature = hex::encode(mac.chain_update(body).finalize().into_bytes());
    let signed = HeaderValue::try_from(format!("sha256={signature}")).expect("a header");
    assert!(secret.has_signed(body, &signed), "a genuine signature");

    if let Ok(header) = header {
        let is_genuine = header.as_bytes().eq_ignore_ascii_case(signed.as_bytes());
        assert!(is_genuine || !secret.has_signed(body, &header), "a forged signature");
    }

    let now = DateTime::from_timestamp(1_772_355_900, 0).expect("a time");
    let webhook = notification::parse(body, now);
    assert!(!webhook.is_unreadable() || webhook.receipts.is_empty());
    for (_, at) in webhook.customers {
        assert!(at <= now + chrono::TimeDelta::days(1), "a window is never opened ahead of time");
    }
});

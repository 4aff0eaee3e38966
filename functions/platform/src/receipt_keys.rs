//! The proof that a receipt is about a message that we sent.
//!
//! A receipt names its message by the reference that the provider got with it. A provider vouches
//! that a receipt is its own, and not for the reference in it: one app of Meta's reports on the
//! numbers of many businesses, whose owners may send what they like, and several systems may share
//! an account of SES. So a reference goes out with a tag, and comes back with it: HMAC-SHA256 ([RFC
//! 2104](https://www.rfc-editor.org/rfc/rfc2104)) over the channel, the number or configuration set
//! that the message went out by, and the reference itself. A receipt that comes by another number
//! has another tag.
//!
//! The keys are the stack's own, and no one else has them. As with tokens, two are live while they
//! rotate, so that messages on their way keep their receipts. A new one signs only after
//! [`SIGNING_DELAY`], when every function has read it: a receipt whose tag is unknown is dropped.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::credential::{SigningKey, SigningKeys};
use crate::error::InternalError;
use crate::secrets::Secrets;
use crate::settings::{self, SettingError};
use domain::Channel;

/// The length of a tag in bytes: half of SHA-256's, the least that [RFC 2104
/// §5](https://www.rfc-editor.org/rfc/rfc2104#section-5) recommends.
const TAG_BYTES: usize = 16;

/// How long a new key waits before it signs: a minute longer than a function may go without reading
/// the keys again.
pub const SIGNING_DELAY: TimeDelta = TimeDelta::minutes(6);

/// How a message went out, and a receipt comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// The channel.
    pub channel: Channel,
    /// Meta's id of the number, or the name of SES's configuration set.
    pub sender: &'a str,
}

/// The keys that sign references.
#[derive(Debug, Clone)]
pub struct ReceiptKeys {
    secrets: Secrets,
    id: String,
}

impl ReceiptKeys {
    /// Reads the keys from the secret `id`.
    #[must_use]
    pub fn new(secrets: Secrets, id: String) -> ReceiptKeys {
        ReceiptKeys { secrets, id }
    }

    /// Reads `RECEIPT_KEYS_SECRET`, the secret's id.
    ///
    /// # Errors
    /// If the variable is missing.
    pub fn from_env(secrets: &Secrets) -> Result<ReceiptKeys, SettingError> {
        Ok(ReceiptKeys::new(secrets.clone(), settings::required("RECEIPT_KEYS_SECRET")?))
    }

    /// Returns the tag of a reference that goes out by `route` at `now`: 22 characters of
    /// base64url.
    ///
    /// # Errors
    /// If the keys cannot be read, or not within `wait`.
    pub async fn tag(
        &self,
        route: Route<'_>,
        reference: &str,
        now: DateTime<Utc>,
        wait: Duration,
    ) -> Result<String, InternalError> {
        let text = tokio::time::timeout(wait, self.secrets.text(&self.id)).await;
        let text = text
            .map_err(|elapsed| InternalError::because("reading the keys of receipts", elapsed))??;
        let keys = self.parse(text.expose_secret())?;
        let key = keys.keys.get(keys.signing_place(now));
        let key = key.ok_or_else(|| InternalError::new("signing with no key"))?;

        let tag = mac(key, route, reference).finalize().into_bytes();
        Ok(BASE64_URL_SAFE_NO_PAD.encode(&tag[..TAG_BYTES]))
    }

    /// Returns whether `tag` is that of a reference that went out by `route`. The keys are read
    /// again, at most every ten seconds, for a tag of none that is known.
    ///
    /// # Errors
    /// If the keys cannot be read, or not again: a key that is not known yet may have made the tag.
    pub async fn has_tagged(
        &self,
        route: Route<'_>,
        reference: &str,
        tag: &str,
    ) -> Result<bool, InternalError> {
        let Some(tag) = BASE64_URL_SAFE_NO_PAD.decode(tag).ok() else { return Ok(false) };
        if tag.len() != TAG_BYTES {
            return Ok(false);
        }

        let is_of =
            |key: &SigningKey| mac(key, route, reference).verify_truncated_left(&tag).is_ok();
        let accepts = |text: &SecretString| -> Result<bool, InternalError> {
            Ok(self.parse(text.expose_secret())?.keys.iter().any(is_of))
        };

        let known = self.secrets.text(&self.id).await?;
        if accepts(&known)? {
            return Ok(true);
        }

        let fresh = self.secrets.reread(&self.id).await?;
        accepts(&fresh)
    }

    fn parse(&self, text: &str) -> Result<SigningKeys, InternalError> {
        SigningKeys::parse(&self.id, text)
    }
}

/// Starts the tag of a reference. Its three parts hold no line ends.
fn mac(key: &SigningKey, route: Route<'_>, reference: &str) -> Hmac<Sha256> {
    let Route { channel, sender } = route;
    let key = key.secret.expose_secret().as_bytes();
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.chain_update(format!("{channel}\n{sender}\n{reference}"))
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::*;
    use crate::secrets::tests::Manager;
    use crate::secrets::{MIN_REFRESH_INTERVAL, SECRET_TTL};

    const ID: &str = "pingback/receipt-keys";

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_772_356_000, 0).expect("a time");

    const WAIT: Duration = Duration::from_secs(1);

    const ROUTE: Route<'_> = Route { channel: Channel::Whatsapp, sender: "106540352242922" };

    /// Returns the keys of one function.
    fn keys_of(manager: &Manager) -> ReceiptKeys {
        ReceiptKeys::new(manager.secrets(), ID.to_owned())
    }

    fn key(kid: &str) -> SigningKey {
        SigningKey { kid: kid.to_owned(), secret: kid.repeat(32).into() }
    }

    fn stored(kids: &[&str], signs_from: Option<DateTime<Utc>>) -> String {
        let keys = kids.iter().map(|kid| key(kid)).collect();
        serde_json::to_string(&SigningKeys { keys, signs_from }).expect("it is JSON")
    }

    async fn tag(keys: &ReceiptKeys, now: DateTime<Utc>) -> String {
        keys.tag(ROUTE, "reference", now, WAIT).await.expect("signed")
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_key_signs_once_every_function_has_read_it() {
        let manager = Manager::default();
        manager.put(ID, stored(&["old"], None));
        let reader = keys_of(&manager);
        let old = tag(&reader, NOW).await;

        let later = NOW + SIGNING_DELAY;
        manager.put(ID, stored(&["new", "old"], Some(later)));
        let worker = keys_of(&manager);
        assert_eq!(tag(&worker, NOW).await, old);
        assert_eq!(tag(&worker, later - TimeDelta::milliseconds(1)).await, old);
        assert!(reader.has_tagged(ROUTE, "reference", &old).await.expect("an answer"));

        // The function that read the keys last is out of date by then.
        let new = tag(&worker, later).await;
        assert_ne!(new, old);
        advance(SECRET_TTL).await;
        for tag in [&old, &new] {
            assert!(reader.has_tagged(ROUTE, "reference", tag).await.expect("an answer"));
        }
        assert_eq!(manager.reads(), 3, "each function once, and the reader once more");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_tag_has_the_keys_read_again_and_is_refused_only_by_those_in_force() {
        let manager = Manager::default();
        manager.put(ID, stored(&["old"], None));
        let reader = keys_of(&manager);
        let known = tag(&reader, NOW).await;
        manager.put(ID, stored(&["new", "old"], None));
        let new = tag(&keys_of(&manager), NOW).await;
        let judged = async |tag: &str| {
            let judged = reader.has_tagged(ROUTE, "reference", tag).await;
            judged.map_err(|error| error.chain())
        };

        assert_eq!(judged(&new).await, Ok(false), "the keys were read a moment ago");
        advance(MIN_REFRESH_INTERVAL).await;
        manager.set_down(true);
        for _ in 0..100 {
            assert_eq!(judged(&known).await, Ok(true), "a known key needs no other");
            let error = judged(&new).await.expect_err("no one knows whose it is");
            assert!(error.contains(ID), "{error}");
        }
        assert_eq!(manager.reads(), 3, "one read in ten seconds");

        manager.set_down(false);
        advance(MIN_REFRESH_INTERVAL).await;
        for _ in 0..100 {
            assert_eq!(judged(&new).await, Ok(true));
            assert_eq!(judged("AAAAAAAAAAAAAAAAAAAAAA").await, Ok(false), "it is forged");
        }
        assert_eq!(manager.reads(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_waits_for_its_keys_no_longer_than_it_says() {
        let manager = Manager::default();
        manager.put(ID, stored(&["a"], None));
        manager.set_silent(true);

        let begun = Instant::now();
        let unsigned = keys_of(&manager).tag(ROUTE, "reference", NOW, WAIT).await;
        let error = unsigned.expect_err("there are no keys");
        assert_eq!(error.chain(), "reading the keys of receipts: time is over");
        assert_eq!(begun.elapsed(), WAIT, "by the clock of the test");

        manager.set_silent(false);
        tag(&keys_of(&manager), NOW).await;
    }
}

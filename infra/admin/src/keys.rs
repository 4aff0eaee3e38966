//! The keys that sign tokens, changed so that no good token is refused: a new key is added, signs
//! once the functions can know it, and the old one is retired after its last token has ended.
//! Functions themselves sign references, and begin with a new key by the time that is stored with
//! it.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::command_line::{Keys, KeysArgs, TokenKind};
use crate::consent::Consent;
use crate::failure::Failure;
use crate::report::{Report, time};
use crate::target::Target;
use platform::credential::{MAX_KEYS, SigningKey, SigningKeys};
use platform::receipt_keys::SIGNING_DELAY;
use platform::secrets::MIN_REFRESH_INTERVAL;

/// Shows or changes the keys of one kind of token.
pub(crate) async fn run(
    target: &Target,
    command: &Keys,
    consent: &Consent,
) -> Result<Report, Failure> {
    let (Keys::Show(args) | Keys::Add(args) | Keys::Retire(args)) = command;
    let KeysArgs { tokens } = *args;
    let keys = target.signing_keys(tokens).await?;

    match command {
        Keys::Show(_) => Ok(report(tokens, &keys, target.now())),
        Keys::Add(_) => add(target, tokens, keys).await,
        Keys::Retire(_) => retire(target, tokens, keys, consent).await,
    }
}

/// Adds a key in front, with which services sign when they read the secret again, and functions
/// once all of them have read it.
async fn add(target: &Target, tokens: TokenKind, mut keys: SigningKeys) -> Result<Report, Failure> {
    if keys.keys.len() >= MAX_KEYS {
        return Err(Failure::new(format!(
            "{MAX_KEYS} keys are live, and functions accept no third: `keys retire` first, once \
             the last token of the old one has ended"
        )));
    }

    let now = target.now();
    let signs_from = (tokens == TokenKind::Receipts).then(|| now + SIGNING_DELAY);
    let key = SigningKey::generate(now.format("%Y%m%dT%H%M%S%.3fZ").to_string());
    keys.add(key, signs_from).map_err(|fault| Failure::new(fault.to_string()))?;
    target.put_signing_keys(tokens, &keys).await?;

    let signers = tokens.signers();
    if let Some(from) = signs_from {
        let from = time(from);
        return Ok(report(tokens, &keys, now).text(format!(
            "From {from} on {signers} sign with the first key; receipts of messages that the other \
             has signed still count."
        )));
    }

    let seconds = MIN_REFRESH_INTERVAL.as_secs();
    Ok(report(tokens, &keys, now).text(format!(
        "Wait {seconds} seconds, and have {signers} sign with the first key; tokens of the other \
         are still good. A function that read the keys within the last {seconds} seconds does not \
         know the new one yet."
    )))
}

/// Leaves only the key that signs.
async fn retire(
    target: &Target,
    tokens: TokenKind,
    mut keys: SigningKeys,
    consent: &Consent,
) -> Result<Report, Failure> {
    if keys.keys.len() < MAX_KEYS {
        return Err(Failure::new(
            "only the key that signs is live: `keys add` makes its successor",
        ));
    }

    let now = target.now();
    if let Some(from) = keys.signs_from.filter(|from| now < *from) {
        let from = time(from);
        return Err(Failure::new(format!(
            "the old key signs until {from}, when every function knows the new one: `keys retire` \
             after that"
        )));
    }

    keys.signs_from = None;
    let retired = keys.keys.split_off(1);
    let kids: Vec<_> = retired.iter().map(|key| key.kid.as_str()).collect();
    consent.confirm(&format!(
        "{} {} within five minutes. {}",
        tokens.signed_with(&kids.join(", ")),
        tokens.end_without_key(),
        tokens.last_end()
    ))?;

    target.put_signing_keys(tokens, &keys).await?;
    Ok(report(tokens, &keys, now).text("Functions forget the old key within five minutes."))
}

/// Names the keys, and never shows them.
fn report(tokens: TokenKind, keys: &SigningKeys, now: DateTime<Utc>) -> Report {
    let signing = keys.signing_place(now);
    let state = |index: usize| if index == signing { "signs" } else { "accepted" };
    let json: Vec<_> = keys
        .keys
        .iter()
        .enumerate()
        .map(|(index, key)| json!({"kid": key.kid, "state": state(index)}))
        .collect();
    let rows = keys
        .keys
        .iter()
        .enumerate()
        .map(|(index, key)| [key.kid.clone(), state(index).to_owned()])
        .collect();

    Report::new(json!({"tokens": tokens.name(), "signing_keys": json}))
        .table(["key", "state"], rows)
}

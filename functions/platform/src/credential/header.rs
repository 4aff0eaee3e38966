//! The header of a JWT, as strict as the RFCs ask.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A header that we understand.
#[derive(Deserialize)]
pub(super) struct JoseHeader {
    alg: String,
    /// The name of the key.
    pub(super) kid: Option<String>,
    typ: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Reads a token's header; `None` for one that we do not understand: of another algorithm, of
/// another [type](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9), or with an extension that
/// a reader [must understand](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11), of which we
/// know none.
pub(super) fn read(token: &str) -> Option<JoseHeader> {
    let (encoded, _) = token.split_once('.')?;
    let json = BASE64_URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let header: JoseHeader = serde_json::from_slice(&json).ok()?;

    let is_jwt = header.typ.as_deref().is_none_or(|typ| {
        let typ = typ.to_ascii_lowercase();
        typ.strip_prefix("application/").unwrap_or(&typ) == "jwt"
    });
    (header.alg == "HS256" && is_jwt && !header.others.contains_key("crit")).then_some(header)
}

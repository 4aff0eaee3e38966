//! A file's URL is a capability: it is all that a client needs to read the file, because customers
//! have no account here.
//!
//! It carries the upload's whole key, so that finding the upload is one read, and 128 random bits,
//! so that it cannot be guessed. It is never logged.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use domain::{BusinessId, ConversationId, FileLink, UploadId};

/// The last segment of a file URL's path.
#[derive(Clone)]
pub struct Capability {
    /// The file's business.
    pub business_id: BusinessId,
    /// The conversation whose messages may carry the file.
    pub conversation_id: ConversationId,
    /// The upload.
    pub upload: UploadId,
    secret: [u8; 16],
}

impl Capability {
    /// The length of [`Capability::parse`]'s text: 64 bytes in base64.
    pub const CHARACTERS: usize = 86;

    /// Makes a capability for a new upload.
    #[must_use]
    pub fn generate(business_id: BusinessId, conversation_id: ConversationId) -> Capability {
        let upload = UploadId(uuid::Builder::from_random_bytes(rand::random()).into_uuid());
        Capability { business_id, conversation_id, upload, secret: rand::random() }
    }

    /// Returns the link of the file.
    #[must_use]
    pub fn link(&self) -> FileLink {
        let ids = [self.business_id.0, self.conversation_id.0, self.upload.0];
        let mut bytes: Vec<u8> = ids.iter().flat_map(|id| id.into_bytes()).collect();
        bytes.extend(self.secret);
        FileLink::new(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads the last segment of a file URL's path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Capability> {
        let bytes: [u8; 64] = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let part = |index: usize| <[u8; 16]>::try_from(&bytes[index * 16..(index + 1) * 16]).ok();
        let id = |index| part(index).map(Uuid::from_bytes);
        Some(Capability {
            business_id: BusinessId(id(0)?),
            conversation_id: ConversationId(id(1)?),
            upload: UploadId(id(2)?),
            secret: part(3)?,
        })
    }

    /// Returns whether both are the same. Hashes of the secrets are compared, so that the time it
    /// takes reveals nothing about them.
    #[must_use]
    pub fn matches(&self, other: &Capability) -> bool {
        let ids = |this: &Capability| (this.business_id, this.conversation_id, this.upload);
        ids(self) == ids(other) && Sha256::digest(self.secret) == Sha256::digest(other.secret)
    }

    /// Reads a file URL: its host and the capability. Callers check the host.
    #[must_use]
    pub fn of_url(url: &str) -> Option<(&str, Capability)> {
        let (host, link) = FileLink::of_url(url)?;
        Some((host, Capability::parse(link.secret())?))
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capability({}, …)", self.upload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_back_and_hides_in_logs() {
        let business_id = BusinessId(Uuid::from_u128(1));
        let conversation_id = ConversationId(Uuid::from_u128(2));
        let capability = Capability::generate(business_id, conversation_id);
        let url = capability.link().url("https://api.example.com");

        let (host, read) = Capability::of_url(&url).expect("it is a file's URL");
        assert!(host == "api.example.com" && read.matches(&capability));
        let guessed = Capability { secret: [0; 16], ..capability.clone() };
        assert!(
            !guessed.matches(&capability)
                && !Capability::generate(business_id, conversation_id).matches(&capability)
        );

        let secret = url.rsplit_once('/').expect("a path").1;
        assert!(!format!("{capability:?}").contains(&secret[64..]));
        for wrong in [
            "",
            secret,
            capability.link().url("").as_str(),
            "https://api.example.com/api/v1/files/",
            &url[..url.len() - 1],
            &format!("{url}A"),
        ] {
            assert!(Capability::of_url(wrong).is_none(), "{wrong}");
        }
    }
}

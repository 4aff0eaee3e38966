//! A file's URL, which is all it takes to read the file: customers have no account here.
//!
//! It carries the upload's whole key, so that finding it is one read, and 128 random bits, so that
//! nobody finds it who was not given it. It is never logged.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use domain::{BusinessId, ConversationId, UploadId};

/// What the path of a file's URL ends with.
#[derive(Clone)]
pub struct Capability {
    /// Whose file.
    pub business: BusinessId,
    /// For which conversation's messages.
    pub conversation: ConversationId,
    /// Which upload.
    pub upload: UploadId,
    secret: [u8; 16],
}

impl Capability {
    const PATH: &str = "/api/v1/files/";

    /// Makes one for a new upload.
    #[must_use]
    pub fn generate(business: BusinessId, conversation: ConversationId) -> Capability {
        let upload = UploadId(uuid::Builder::from_random_bytes(rand::random()).into_uuid());
        Capability { business, conversation, upload, secret: rand::random() }
    }

    /// The URL, under the API's own address without a slash at its end.
    #[must_use]
    pub fn url(&self, origin: &str) -> String {
        let ids = [self.business.0, self.conversation.0, self.upload.0];
        let mut bytes: Vec<u8> = ids.iter().flat_map(|id| id.into_bytes()).collect();
        bytes.extend(self.secret);
        format!("{origin}{}{}", Self::PATH, BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads what stands in a URL's path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Capability> {
        let bytes: [u8; 64] = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let part = |index: usize| <[u8; 16]>::try_from(&bytes[index * 16..(index + 1) * 16]).ok();
        let id = |index| part(index).map(Uuid::from_bytes);
        let (business, conversation, upload) =
            (BusinessId(id(0)?), ConversationId(id(1)?), UploadId(id(2)?));
        Some(Capability { business, conversation, upload, secret: part(3)? })
    }

    /// Whether both are the same. Hashes of the secrets are compared, so that the time it takes
    /// tells nothing of them.
    #[must_use]
    pub fn is(&self, other: &Capability) -> bool {
        let ids = |this: &Capability| (this.business, this.conversation, this.upload);
        ids(self) == ids(other) && Sha256::digest(self.secret) == Sha256::digest(other.secret)
    }

    /// Reads a URL. Whether it leads to us is seen when it is compared with the stored one.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Capability> {
        Capability::parse(url.split_once(Self::PATH)?.1)
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
        let (business, conversation) =
            (BusinessId(Uuid::from_u128(1)), ConversationId(Uuid::from_u128(2)));
        let capability = Capability::generate(business, conversation);
        let url = capability.url("https://api.example.com");
        assert!(Capability::of_url(&url).is_some_and(|read| read.is(&capability)));
        let guessed = Capability { secret: [0; 16], ..capability.clone() };
        assert!(
            !guessed.is(&capability)
                && !Capability::generate(business, conversation).is(&capability)
        );
        let secret = url.rsplit_once('/').expect("a path").1;
        assert!(!format!("{capability:?}").contains(&secret[64..]));
        for wrong in [
            "",
            secret,
            "https://api.example.com/api/v1/files/",
            &url[..url.len() - 1],
            &format!("{url}A"),
        ] {
            assert!(Capability::of_url(wrong).is_none(), "{wrong}");
        }
    }
}

//! The link by which a file is read, without the API's address, which may become another one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The path below which the API shows files.
const FILES_PATH: &str = "/api/v1/files/";

/// A file's link as it is stored: the path of its URL. The last segment is a secret, so the link is
/// never logged. Older items have a whole URL, with the address that the API had then.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileLink(String);

impl FileLink {
    /// The link with this secret.
    #[must_use]
    pub fn new(secret: &str) -> FileLink {
        FileLink(format!("{FILES_PATH}{secret}"))
    }

    /// Splits a file's URL into the API's host and the link; `None` for any other text.
    #[must_use]
    pub fn of_url(url: &str) -> Option<(&str, FileLink)> {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        let (host, secret) = rest.split_once(FILES_PATH)?;
        Some((host, FileLink::new(secret)))
    }

    /// The last segment of the path.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.0.split_once(FILES_PATH).map_or("", |(_, secret)| secret)
    }

    /// The host of an older item's URL.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        FileLink::of_url(&self.0).map(|(host, _)| host)
    }

    /// Returns the link without a host.
    #[must_use]
    pub fn without_host(&self) -> FileLink {
        FileLink::new(self.secret())
    }

    /// Returns the URL below `origin`, the API's address without a slash at its end.
    #[must_use]
    pub fn url(&self, origin: &str) -> String {
        format!("{origin}{FILES_PATH}{}", self.secret())
    }
}

impl fmt::Debug for FileLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileLink(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_path_and_a_stored_url_lead_to_the_same_file_under_any_address() {
        let stored = |text: &str| -> FileLink {
            serde_json::from_value(serde_json::json!(text)).expect("a text")
        };
        let path = stored("/api/v1/files/s3cret");
        let whole = stored("https://old.example.com/api/v1/files/s3cret");

        assert_eq!(path, FileLink::new("s3cret"));
        assert_eq!((path.host(), whole.host()), (None, Some("old.example.com")));
        for link in [&path, &whole] {
            assert_eq!(link.url("https://new.example"), "https://new.example/api/v1/files/s3cret");
            assert_eq!(link.without_host(), path);
            assert!(!format!("{link:?}").contains("s3cret"));
        }
    }

    #[test]
    fn a_url_is_split_into_host_and_link() {
        let link = |host| Some((host, FileLink::new("x")));
        assert_eq!(FileLink::of_url("https://a.example/api/v1/files/x"), link("a.example"));
        assert_eq!(
            FileLink::of_url("http://localhost:3000/api/v1/files/x"),
            link("localhost:3000")
        );
        for other in ["", "/api/v1/files/x", "ftp://a/api/v1/files/x", "https://a/files/x"] {
            assert_eq!(FileLink::of_url(other), None, "{other}");
        }
    }
}

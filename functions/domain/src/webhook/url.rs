//! Which URLs an endpoint may have.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Url};

use super::address::is_public;

/// The most characters of an endpoint's URL, as it was sent and as it is written: letters beyond
/// ASCII become several.
pub const MAX_URL_CHARACTERS: usize = 2_048;

/// The lowest port beside 443 that an endpoint may have: below it are the ports of other
/// services ([RFC 6335 §6](https://www.rfc-editor.org/rfc/rfc6335#section-6)).
pub const LOWEST_PORT: u16 = 1_024;

const HTTPS_PORT: u16 = 443;

/// How far endpoints may lie from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// On the public internet, by https.
    Public,
    /// There, or on this machine, by http as well: for the local system.
    PublicOrLoopback,
}

impl Reach {
    /// True if an endpoint may be called at this address. It is asked about each address that a
    /// name was resolved to, at the moment of the call: what a name means may change.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        is_public(address) || self == Reach::PublicOrLoopback && address.is_loopback()
    }
}

/// The URL of an endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointUrl(Url);

/// Why a text is no endpoint's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlFault {
    /// It is longer than [`MAX_URL_CHARACTERS`].
    TooLong,
    /// It is no absolute URL with a host.
    NoUrl,
    /// Its scheme is not https.
    Scheme,
    /// It has a user's name or a password.
    Credentials,
    /// Its port is neither 443 nor 1024 or above.
    Port,
    /// Its host is an address that is not public.
    Address,
}

impl fmt::Display for UrlFault {
    /// Completes the sentence "Input should be …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UrlFault::TooLong => {
                write!(f, "a URL of at most {MAX_URL_CHARACTERS} characters")
            }
            UrlFault::NoUrl => f.write_str("an absolute URL"),
            UrlFault::Scheme => f.write_str("a URL that begins with https://"),
            UrlFault::Credentials => f.write_str("a URL without a user's name or a password"),
            UrlFault::Port => {
                write!(f, "a URL with the port {HTTPS_PORT}, or one from {LOWEST_PORT}")
            }
            UrlFault::Address => f.write_str("a URL whose host is on the public internet"),
        }
    }
}

impl EndpointUrl {
    /// Reads a URL. A host that is a number in any of the ways that browsers take (`0177.1`,
    /// `0x7f000001`, `2130706433`) is the address that it stands for ([URL
    /// standard](https://url.spec.whatwg.org/#concept-ipv4-parser)).
    ///
    /// # Errors
    /// The first fault.
    pub fn parse(text: &str, reach: Reach) -> Result<EndpointUrl, UrlFault> {
        if text.chars().nth(MAX_URL_CHARACTERS).is_some() {
            return Err(UrlFault::TooLong);
        }

        let url = Url::parse(text).map_err(|_| UrlFault::NoUrl)?;
        if url.as_str().len() > MAX_URL_CHARACTERS {
            return Err(UrlFault::TooLong);
        }
        let is_here = reach == Reach::PublicOrLoopback && is_loopback(&url);

        match url.scheme() {
            "https" => {}
            "http" if is_here => {}
            _ => return Err(UrlFault::Scheme),
        }

        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::Credentials);
        }

        let port = url.port_or_known_default().ok_or(UrlFault::NoUrl)?;
        if !is_here && port != HTTPS_PORT && port < LOWEST_PORT {
            return Err(UrlFault::Port);
        }

        let is_allowed = match url.host().ok_or(UrlFault::NoUrl)? {
            Host::Domain(name) => is_here || !is_local_name(name),
            Host::Ipv4(address) => reach.allows(address.into()),
            Host::Ipv6(address) => reach.allows(address.into()),
        };

        if is_allowed { Ok(EndpointUrl(url)) } else { Err(UrlFault::Address) }
    }

    /// Returns the URL as it is called.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns its host, and its port unless that is the scheme's own. All else may be a secret.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.authority()
    }
}

/// True for the names that mean this machine or its network whatever a resolver says ([RFC 6761
/// §6.3](https://www.rfc-editor.org/rfc/rfc6761#section-6.3), [ICANN on
/// `.internal`](https://www.icann.org/en/board-activities-and-meetings/materials/approved-resolutions-special-meeting-of-the-icann-board-29-07-2024-en)).
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let last = name.rsplit('.').next().unwrap_or(name);
    matches!(last, "localhost" | "internal" | "local") || !name.contains('.')
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl fmt::Debug for EndpointUrl {
    /// The host: a path or a query may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({}, …)", self.0.host_str().unwrap_or_default())
    }
}

impl Serialize for EndpointUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EndpointUrl {
    /// Reads a stored URL, which was checked when it came.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EndpointUrl, D::Error> {
        let text = String::deserialize(deserializer)?;
        Url::parse(&text).map(EndpointUrl).map_err(|_| serde::de::Error::custom("no URL"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<UrlFault> {
        EndpointUrl::parse(text, Reach::Public).err()
    }

    #[test]
    fn public_https_urls_are_taken() {
        for url in [
            "https://example.com",
            "https://example.com/hooks?tenant=7",
            "https://EXAMPLE.com:443/",
            "https://example.com:1024/",
            "https://example.com:65535/",
            "https://bücher.example/hooks",
            "https://8.8.8.8/",
            "https://[2606:4700:4700::1111]/hooks",
        ] {
            assert_eq!(fault(url), None, "{url}");
        }
    }

    #[test]
    fn every_other_url_is_refused_with_its_fault() {
        let long = format!("https://example.com/{}", "a".repeat(MAX_URL_CHARACTERS));
        let long_when_written = format!("https://example.com/{}", "é".repeat(340));
        for (url, expected) in [
            ("", UrlFault::NoUrl),
            ("example.com", UrlFault::NoUrl),
            ("/hooks", UrlFault::NoUrl),
            ("https://", UrlFault::NoUrl),
            ("https://[::1/", UrlFault::NoUrl),
            (long.as_str(), UrlFault::TooLong),
            (long_when_written.as_str(), UrlFault::TooLong),
            ("http://example.com/", UrlFault::Scheme),
            ("ftp://example.com/", UrlFault::Scheme),
            ("file:///etc/passwd", UrlFault::Scheme),
            ("gopher://example.com/", UrlFault::Scheme),
            ("data:text/plain,a", UrlFault::Scheme),
            ("http://127.0.0.1/", UrlFault::Scheme),
            ("https://user@example.com/", UrlFault::Credentials),
            ("https://user:word@example.com/", UrlFault::Credentials),
            ("https://:word@example.com/", UrlFault::Credentials),
            ("https://example.com:22/", UrlFault::Port),
            ("https://example.com:80/", UrlFault::Port),
            ("https://example.com:1023/", UrlFault::Port),
            ("https://example.com:0/", UrlFault::Port),
            ("https://127.0.0.1/", UrlFault::Address),
            ("https://127.1/", UrlFault::Address),
            ("https://0177.0.0.1/", UrlFault::Address),
            ("https://0x7f.0.0.1/", UrlFault::Address),
            ("https://0x7f000001/", UrlFault::Address),
            ("https://2130706433/", UrlFault::Address),
            ("https://017700000001/", UrlFault::Address),
            ("https://0/", UrlFault::Address),
            ("https://１２７.０.０.１/", UrlFault::Address),
            ("https://127。0。0。1/", UrlFault::Address),
            ("https://169.254.169.254/latest/meta-data/", UrlFault::Address),
            ("https://0xa9fea9fe/", UrlFault::Address),
            ("https://[::1]/", UrlFault::Address),
            ("https://[::ffff:127.0.0.1]/", UrlFault::Address),
            ("https://[::ffff:7f00:1]/", UrlFault::Address),
            ("https://[fd00:ec2::254]/", UrlFault::Address),
            ("https://localhost/", UrlFault::Address),
            ("https://LOCALHOST./", UrlFault::Address),
            ("https://a.localhost/", UrlFault::Address),
            ("https://metadata.google.internal/", UrlFault::Address),
            ("https://printer.local/", UrlFault::Address),
            ("https://intranet/", UrlFault::Address),
        ] {
            assert_eq!(fault(url), Some(expected), "{url}");
        }
    }

    #[test]
    fn the_local_system_calls_this_machine_as_well_and_nothing_else_that_is_near() {
        let parse = |text| EndpointUrl::parse(text, Reach::PublicOrLoopback).err();
        for url in ["http://127.0.0.1:8080/", "http://localhost:80/a", "https://[::1]:22/"] {
            assert_eq!(parse(url), None, "{url}");
        }

        assert_eq!(parse("http://192.168.0.1/"), Some(UrlFault::Scheme));
        assert_eq!(parse("https://192.168.0.1/"), Some(UrlFault::Address));
        assert_eq!(parse("http://example.com/"), Some(UrlFault::Scheme));
        let allows =
            |address: &str| Reach::PublicOrLoopback.allows(address.parse().expect("an address"));
        assert!(allows("127.0.0.1") && allows("::1") && !allows("10.0.0.1"));
        assert!(!Reach::Public.allows("127.0.0.1".parse().expect("an address")));
    }

    #[test]
    fn nothing_of_a_path_is_printed() {
        let url = EndpointUrl::parse("https://example.com/secret?a=b", Reach::Public);
        assert_eq!(format!("{:?}", url.expect("a URL")), "EndpointUrl(example.com, …)");
    }
}

//! Calls endpoints: at public addresses alone, without following redirects, and for ten seconds.
//!
//! An address is checked when it is connected to, and not before: what a name means may change
//! between two questions. So the resolver that the client connects by leaves out what is not
//! public. A URL whose host is an address asks no resolver, and is checked when it is called.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tokio::time::Instant;

use domain::webhook::schedule::{ANSWER_TIMEOUT, asked_wait};
use domain::webhook::{EndpointUrl, MAX_ANSWER_BYTES, Reach, SigningSecret, signature};
use platform::table::record::EndpointAttempt;

/// How long connecting may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The name by which endpoints know who calls.
const AGENT: &str = "Pingback-Webhooks/1";

/// The outcome of calling an endpoint.
#[derive(Debug, Clone)]
pub struct PostOutcome {
    /// The attempt, as it is stored.
    pub attempt: EndpointAttempt,
    /// How long the endpoint asks to be left alone.
    pub asked_wait: Option<TimeDelta>,
}

/// A client of endpoints.
#[derive(Debug, Clone)]
pub struct EndpointClient {
    client: Client,
    reach: Reach,
}

impl EndpointClient {
    /// Makes a client that calls endpoints within `reach`.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(reach: Reach) -> reqwest::Result<EndpointClient> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(std::sync::Arc::new(Resolver { reach }))
            .build()?;
        Ok(EndpointClient { client, reach })
    }

    /// Posts a signed event, and tells how that went.
    pub async fn post<'a>(
        &self,
        url: &EndpointUrl,
        secrets: impl Iterator<Item = &'a SigningSecret>,
        id: &str,
        body: String,
        now: DateTime<Utc>,
    ) -> PostOutcome {
        let begun = Instant::now();
        let ended = |status, answer, fault: Option<&str>, asked_wait| PostOutcome {
            attempt: EndpointAttempt {
                at: now,
                took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                status,
                answer,
                fault: fault.map(str::to_owned),
            },
            asked_wait,
        };
        // The rules may have become stricter since it was stored.
        if EndpointUrl::parse(url.as_str(), self.reach).is_err() {
            return ended(None, None, Some("the URL is not allowed any more"), None);
        }

        let request = self
            .client
            .post(url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header("webhook-id", id)
            .header("webhook-timestamp", now.timestamp().to_string())
            .header("webhook-signature", signature::signatures(secrets, id, now, &body))
            .body(body);
        match request.send().await {
            Ok(response) => {
                let status = Some(response.status().as_u16());
                let header = response.headers().get(RETRY_AFTER);
                let asked = asked_wait(status, header.and_then(|text| text.to_str().ok()), now);
                let answer = beginning(response).await;
                ended(status, Some(answer.into()), None, asked)
            }
            Err(error) => ended(None, None, Some(fault(&error)), None),
        }
    }
}

/// Returns the beginning of an answer; what does not come in time is left out.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= MAX_ANSWER_BYTES {
            break;
        }
    }

    bytes.truncate(MAX_ANSWER_BYTES);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Says why there was no answer.
fn fault(error: &reqwest::Error) -> &'static str {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.downcast_ref::<NotPublic>().is_some() {
            return NotPublic::WORDS;
        }

        let io = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if io.is_some_and(|cause| cause.is::<NotPublic>()) {
            return NotPublic::WORDS;
        }

        next = cause.source();
    }

    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection, or no certificate that is good for the name"
    } else {
        "the connection broke"
    }
}

/// Resolves names, and leaves out addresses beyond the reach.
#[derive(Debug, Clone, Copy)]
struct Resolver {
    reach: Reach,
}

/// A name has no address that may be called.
#[derive(Debug)]
struct NotPublic;

impl NotPublic {
    const WORDS: &'static str = "the name leads to no public address";
}

impl std::fmt::Display for NotPublic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(NotPublic::WORDS)
    }
}

impl Error for NotPublic {}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses = allowed(reach, found)?;
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

/// Returns the addresses that may be called. A name that leads to one that may not is not called
/// at all: it is either wrong or meant badly.
fn allowed(
    reach: Reach,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, NotPublic> {
    let found: Vec<SocketAddr> = found.collect();
    let are_allowed = found.iter().all(|address| reach.allows(address.ip()));
    if are_allowed && !found.is_empty() { Ok(found) } else { Err(NotPublic) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_an_address_that_is_not_public_is_not_called() {
        let resolve = |reach, addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().expect("an address"));
            allowed(reach, addresses).is_ok()
        };

        assert!(resolve(Reach::Public, &["8.8.8.8:0", "[2606:4700:4700::1111]:0"]));
        for addresses in [
            &[][..],
            &["127.0.0.1:0"],
            &["8.8.8.8:0", "127.0.0.1:0"],
            &["8.8.8.8:0", "[::1]:0"],
            &["169.254.169.254:0"],
            &["[::ffff:8.8.8.8]:0"],
        ] {
            assert!(!resolve(Reach::Public, addresses), "{addresses:?}");
        }

        assert!(resolve(Reach::PublicOrLoopback, &["127.0.0.1:0", "[::1]:0"]));
        assert!(!resolve(Reach::PublicOrLoopback, &["10.0.0.1:0"]));
    }

    #[tokio::test]
    async fn a_name_that_leads_here_is_refused_when_it_is_called() {
        let client = EndpointClient::new(Reach::Public).expect("a client");
        let url =
            EndpointUrl::parse("http://localhost:9/", Reach::PublicOrLoopback).expect("a URL");
        let now = DateTime::UNIX_EPOCH;
        let outcome = client.post(&url, std::iter::empty(), "id", "{}".to_owned(), now).await;
        assert_eq!(outcome.attempt.fault.as_deref(), Some("the URL is not allowed any more"));

        let resolver = Resolver { reach: Reach::Public };
        let name = "localhost".parse().expect("a name");
        assert!(resolver.resolve(name).await.is_err_and(|error| error.is::<NotPublic>()));
    }
}

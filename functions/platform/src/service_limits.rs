//! The limits that a request has met, for the headers of its answer: `RateLimit-Policy` and
//! `RateLimit`, as the IETF's draft has them ([draft-ietf-httpapi-ratelimit-headers-10
//! ](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10), sections 3 and
//! 4). Their items are strings with parameters ([RFC 9651
//! §3.1](https://www.rfc-editor.org/rfc/rfc9651#section-3.1)).
//!
//! A limit is met deep inside a handler, and stands on its answer whatever that is, also on one
//! that something else refuses; so each request has a list of its own, which the runtime opens.

use std::cell::RefCell;

use http::{HeaderName, HeaderValue};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

tokio::task_local! {
    static MET: RefCell<Vec<ServiceLimit>>;
}

/// A limit, and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServiceLimit {
    /// The limit's name.
    pub(crate) policy: &'static str,
    /// How many requests it allows in a window.
    pub(crate) quota: u64,
    /// The window's length, in seconds.
    pub(crate) window_seconds: u64,
    /// How many more it allows now.
    pub(crate) remaining: u64,
    /// Seconds until it allows more.
    pub(crate) seconds_to_more: u64,
}

/// Handles one request, whose limits nothing else sees.
pub(crate) async fn of_request<T>(handling: impl Future<Output = T>) -> T {
    MET.scope(RefCell::default(), handling).await
}

/// Notes a limit that the request has met; a later note about the same limit takes its place.
pub(crate) fn note(limit: ServiceLimit) {
    // Outside of a request there is no answer to tell it.
    let _ = MET.try_with(|met| {
        let mut met = met.borrow_mut();
        met.retain(|known| known.policy != limit.policy);
        met.push(limit);
    });
}

/// Returns the headers that tell the limits that the request has met; none if it has met none.
pub(crate) fn headers() -> Vec<(HeaderName, HeaderValue)> {
    let met = MET.try_with(|met| met.borrow().clone()).unwrap_or_default();
    let header = |name: HeaderName, item: fn(&ServiceLimit) -> String| {
        let items: Vec<String> = met.iter().map(item).collect();
        let value = HeaderValue::try_from(items.join(", ")).expect("names and numbers are ASCII");
        (name, value)
    };

    if met.is_empty() {
        return Vec::new();
    }
    vec![
        header(RATE_LIMIT_POLICY, |limit| {
            format!("\"{}\";q={};w={}", limit.policy, limit.quota, limit.window_seconds)
        }),
        header(RATE_LIMIT, |limit| {
            format!("\"{}\";r={};t={}", limit.policy, limit.remaining, limit.seconds_to_more)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: ServiceLimit = ServiceLimit {
        policy: "requests",
        quota: 100,
        window_seconds: 10,
        remaining: 99,
        seconds_to_more: 1,
    };

    fn told() -> Vec<(String, String)> {
        let headers = headers().into_iter();
        let text = |value: HeaderValue| value.to_str().expect("ASCII").to_owned();
        headers.map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    #[tokio::test]
    async fn an_answer_tells_each_limit_once_as_it_is_at_last() {
        of_request(async {
            assert_eq!(told(), []);
            note(LIMIT);
            note(ServiceLimit { policy: "month", window_seconds: 2_592_000, ..LIMIT });
            note(ServiceLimit { remaining: 98, ..LIMIT });
            assert_eq!(
                told(),
                [
                    (
                        "ratelimit-policy".to_owned(),
                        r#""month";q=100;w=2592000, "requests";q=100;w=10"#.to_owned()
                    ),
                    ("ratelimit".to_owned(), r#""month";r=99;t=1, "requests";r=98;t=1"#.to_owned()),
                ]
            );
        })
        .await;
    }

    #[tokio::test]
    async fn a_request_tells_nothing_of_another() {
        of_request(async { note(LIMIT) }).await;
        of_request(async { assert_eq!(told(), []) }).await;
        note(LIMIT);
        assert_eq!(told(), []);
    }
}

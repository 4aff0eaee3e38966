//! Refuses requests of web pages that are not this machine's.
//!
//! A page of another site cannot connect to a loopback port by itself, but the visitor's browser
//! does so for it. By DNS rebinding the page's own name leads to this machine: then `Host` is that
//! name, and the browser lets the page read the answers. Without rebinding, `Origin` is the page's
//! site, and the browser sends what needs no preflight. Both headers are the browser's own, which
//! no page can change (<https://fetch.spec.whatwg.org/#forbidden-request-header>).

use std::net::IpAddr;
use std::pin::Pin;

use bytes::Bytes;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::service::Service;

/// The pages that may call a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// Those of any site, as on AWS: each request carries a credential.
    OfAnySite,
    /// Those of this machine.
    OfThisMachine,
}

/// A service behind the check.
pub(super) struct Checked<S> {
    pub(super) pages: Pages,
    /// The address of this machine that the server listens on: pages there are its own, too.
    pub(super) address: Option<IpAddr>,
    pub(super) service: S,
}

type Answer<B> = Response<Either<Full<Bytes>, B>>;

impl<S, B> Service<Request<Incoming>> for Checked<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Answer<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Answer<B>, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if let Err((status, reason)) = check(request.headers(), self.pages, self.address) {
            let mut answer = Response::new(Either::Left(Full::from(reason)));
            *answer.status_mut() = status;
            return Box::pin(async { Ok(answer) });
        }

        let answer = self.service.call(request);
        Box::pin(async { Ok(answer.await?.map(Either::Right)) })
    }
}

/// Returns the status and a sentence if the request comes from a page that may not send it.
fn check(
    headers: &HeaderMap,
    pages: Pages,
    address: Option<IpAddr>,
) -> Result<(), (StatusCode, String)> {
    if let Some(host) = text(headers, HOST).filter(|host| !is_own_host(host)) {
        let host: String = host.chars().take(100).collect();
        let reason = format!(
            "Host {host} is not this machine's. Call 127.0.0.1, localhost or the address that it \
             listens on.\n"
        );
        return Err((StatusCode::MISDIRECTED_REQUEST, reason));
    }

    if pages == Pages::OfThisMachine && is_of_foreign_page(headers, address) {
        let reason = "Pages of other sites may not call this.\n".to_owned();
        return Err((StatusCode::FORBIDDEN, reason));
    }
    Ok(())
}

/// Whether a page of another site has the browser send this request. The origin `null` is that of a
/// sandboxed frame or of a local file.
pub(crate) fn is_of_foreign_page(headers: &HeaderMap, address: Option<IpAddr>) -> bool {
    text(headers, ORIGIN).is_some_and(|origin| !is_own_origin(origin, address))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

/// Whether a page whose name leads to this machine cannot have this host: an address is no name,
/// and `localhost` is always this machine ([RFC 6761
/// §6.3](https://www.rfc-editor.org/rfc/rfc6761#section-6.3)).
fn is_own_host(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = bare_name(authority.host());
    let name = name.trim_end_matches('.');
    name.parse::<IpAddr>().is_ok() || is_localhost(name)
}

fn is_own_origin(origin: &str, address: Option<IpAddr>) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    let name = bare_name(host);
    let is_own = |ip: IpAddr| ip.is_loopback() || Some(ip) == address;
    name.parse::<IpAddr>().is_ok_and(is_own) || is_localhost(&name)
}

/// Returns a host in lower case, and an address of IPv6 without its brackets.
fn bare_name(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).expect("a header"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_str(origin).expect("a header"));
        }
        headers
    }

    fn status(host: &str, origin: Option<&str>, pages: Pages) -> u16 {
        let address = Some(IpAddr::from([172, 17, 0, 1]));
        let checked = check(&headers(host, origin), pages, address);
        checked.err().map_or(200, |(status, _)| status.as_u16())
    }

    #[test]
    fn a_name_that_leads_here_is_not_this_machine() {
        for own in ["127.0.0.1:3000", "localhost", "LOCALHOST:1", "[::1]:3000", "172.17.0.1:3000"] {
            assert_eq!(status(own, None, Pages::OfThisMachine), 200, "{own}");
        }
        for foreign in [
            "evil.example:3000",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "127.0.0.1@evil.example",
            "evillocalhost",
            "",
            "2130706433x",
        ] {
            assert_eq!(status(foreign, None, Pages::OfAnySite), 421, "{foreign}");
        }
        let nothing = check(&HeaderMap::new(), Pages::OfThisMachine, None);
        assert!(nothing.is_ok(), "no browser sends this");
    }

    #[test]
    fn a_page_of_another_site_calls_what_any_site_may_call() {
        let host = "127.0.0.1:3000";
        for own in [
            "http://localhost:5173",
            "http://127.0.0.1:3000",
            "http://[::1]:80",
            "http://172.17.0.1:3000",
        ] {
            assert_eq!(status(host, Some(own), Pages::OfThisMachine), 200, "{own}");
        }
        for foreign in [
            "https://evil.example",
            "null",
            "",
            "http://localhost.evil.example",
            "http://192.168.1.7",
        ] {
            assert_eq!(status(host, Some(foreign), Pages::OfThisMachine), 403, "{foreign}");
            assert_eq!(status(host, Some(foreign), Pages::OfAnySite), 200, "{foreign}");
        }
    }
}

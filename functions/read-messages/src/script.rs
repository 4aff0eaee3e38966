//! `GET /api/v1/chat/scripts/{script}`: the chat widget's script, for pages of every origin.
//!
//! A browser keeps it for a year, so a customer's browser asks once for each version. It is sent
//! compressed to those who take it so, which API Gateway does for REST APIs alone. Brotli makes it
//! a tenth smaller than gzip, and every browser that the widget runs in takes it over HTTPS.

use std::sync::OnceLock;

use brotli::enc::BrotliEncoderParams;
use lambda_http::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, VARY,
};
use lambda_http::{Body, Request, Response};

use domain::problem::Refusal;
use platform::api::{self, ApiError};
use platform::error::InternalError;
use platform::query::Query;
use platform::widget_script::{WIDGET_SCRIPTS, WidgetScript};

/// For pages that ask to be isolated from others ([Fetch](https://fetch.spec.whatwg.org/#cross-origin-resource-policy-header)).
const CROSS_ORIGIN_RESOURCE_POLICY: &str = "cross-origin-resource-policy";

/// Answers a version of the script.
pub(crate) fn read(request: &Request, name: &str) -> Result<Response<Body>, ApiError> {
    api::valid(Ok(()), Query::read(request, &[]).into_errors())?;
    let script = WidgetScript::named(name).ok_or(Refusal::FileNotFound)?;

    let mut response = Response::builder()
        .header(CONTENT_TYPE, "text/javascript; charset=utf-8")
        .header(CACHE_CONTROL, "public, max-age=31536000, immutable")
        .header(VARY, "accept-encoding")
        .header(CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin");
    let body = if takes_brotli(request.headers()) {
        response = response.header(CONTENT_ENCODING, "br");
        Body::Binary(compressed(script))
    } else {
        Body::Text(script.text.to_owned())
    };
    let response = response.body(body);
    Ok(response.map_err(|error| InternalError::because("writing an answer", error))?)
}

/// True if the caller takes an answer compressed; one that says "q=0" does not ([RFC 9110
/// §12.5.3](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3)).
fn takes_brotli(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok());
        name.trim().eq_ignore_ascii_case("br") && weight.unwrap_or(1.0) > 0.0
    })
}

/// The versions compressed, each once in a process: it takes as long as a hundred requests.
static COMPRESSED: [OnceLock<Vec<u8>>; WIDGET_SCRIPTS.len()] =
    [const { OnceLock::new() }; WIDGET_SCRIPTS.len()];

fn compressed(script: WidgetScript) -> Vec<u8> {
    let index = WIDGET_SCRIPTS.iter().position(|version| version.name == script.name);
    let index = index.expect("it is one of the versions");
    COMPRESSED[index].get_or_init(|| compress(script.text)).clone()
}

fn compress(text: &str) -> Vec<u8> {
    let mut compressed = Vec::new();
    let best = BrotliEncoderParams::default();
    brotli::BrotliCompress(&mut text.as_bytes(), &mut compressed, &best)
        .expect("memory takes what is written");
    compressed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_says_whether_it_takes_brotli() {
        for (value, takes) in [
            ("gzip, deflate, br, zstd", true),
            ("gzip;q=1.0, BR;q=0.5", true),
            ("br;q=0", false),
            ("br; q=0.0, gzip", false),
            ("x-br", false),
            ("", false),
        ] {
            let headers =
                HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().expect("a value"))]);
            assert_eq!(takes_brotli(&headers), takes, "{value:?}");
        }
        assert!(!takes_brotli(&HeaderMap::new()));
    }
}

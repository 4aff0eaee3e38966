//! AWS clients, configured from the environment alone.
//!
//! Lambda passes region and credentials in variables, so the usual provider chain is not needed:
//! building the configuration by hand takes a third off a cold start. Endpoints come from the SDKs'
//! own variables, `AWS_ENDPOINT_URL_<SERVICE>` and `AWS_ENDPOINT_URL`
//! ([reference](https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html)).

use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::{SharedCredentialsProvider, SharedHttpClient};

use crate::settings::{self, SettingError};

/// How long one attempt of a call may take; the SDK makes at most three.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2_500);

/// How long connecting may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);

/// How long all attempts may take together: less than the shortest function's timeout, 10 s.
pub const OPERATION_TIMEOUT: Duration = Duration::from_millis(6_000);

/// The configuration that every client starts from.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
}

impl Aws {
    /// Reads region and credentials.
    ///
    /// # Errors
    /// The variable that is missing.
    pub fn from_env() -> Result<Aws, SettingError> {
        let credentials = Credentials::new(
            settings::required("AWS_ACCESS_KEY_ID")?,
            settings::required("AWS_SECRET_ACCESS_KEY")?,
            settings::optional("AWS_SESSION_TOKEN"),
            None,
            "environment",
        );
        Ok(Aws::new(settings::required("AWS_REGION")?, credentials))
    }

    /// Makes a configuration with these credentials.
    #[must_use]
    pub fn new(region: String, credentials: Credentials) -> Aws {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();

        let config = SdkConfig::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(https())
            .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(TokioSleep::new()))
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(50)))
            .timeout_config(timeouts)
            // The timeouts cover the bodies as well, which the clients read whole; `files` has its
            // own reasons.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();

        Aws { config }
    }

    /// Returns the configuration for one service whose calls take at most `all`, with their retries
    /// and the waits between them.
    #[must_use]
    pub fn service_within(&self, name: &str, all: Duration) -> SdkConfig {
        let short = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(all))
            .operation_timeout(all)
            .build();
        self.service(name).into_builder().timeout_config(short).build()
    }

    /// Returns the configuration for one service whose calls must not be repeated blindly: one
    /// attempt, of at most `all`.
    #[must_use]
    pub fn service_once(&self, name: &str, all: Duration) -> SdkConfig {
        self.service_within(name, all).into_builder().retry_config(RetryConfig::disabled()).build()
    }

    /// Returns the configuration for one service, by the name that its endpoint variable ends with:
    /// `DYNAMODB`, `SESV2`, ….
    #[must_use]
    pub fn service(&self, name: &str) -> SdkConfig {
        let endpoint = settings::optional(&format!("AWS_ENDPOINT_URL_{name}"))
            .or_else(|| settings::optional("AWS_ENDPOINT_URL"));
        match endpoint {
            Some(url) => self.config.clone().into_builder().endpoint_url(url).build(),
            None => self.config.clone(),
        }
    }
}

/// Returns whether a call failed because no connection was made: then, and only then, it cannot
/// have had an effect.
#[must_use]
pub fn never_connected(error: &ConnectorError) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(|error| error.is_connect())
        {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Returns the answer's `Retry-After`, in seconds ([RFC 9110
/// §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)). The SDKs' errors do not carry
/// it, and no AWS service is known to send a date there.
#[must_use]
pub fn retry_after<E>(error: &SdkError<E, HttpResponse>) -> Option<Duration> {
    let asked = error.raw_response()?.headers().get("retry-after")?;
    asked.trim().parse().ok().map(Duration::from_secs)
}

/// The roots that AWS's endpoints chain to, all five as Amazon recommends
/// ([Amazon Trust Services](https://www.amazontrust.com/repository/)).
const AMAZON_ROOTS: &[u8] = include_bytes!("aws/amazon_roots.pem");

/// Makes an HTTPS client that trusts only Amazon's own roots. Loading every root of the system, or
/// looking for these among them, would multiply the start-up time.
fn https() -> SharedHttpClient {
    let context = TlsContext::builder()
        .with_trust_store(TrustStore::empty().with_pem_certificate(AMAZON_ROOTS))
        .build()
        .expect("the roots are valid certificates");
    let client = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https();
    SharedHttpClient::new(UncheckedClient(client))
}

/// An HTTP client that services take as it is. Each client of a service would else have it make a
/// connector, read all roots for that, and throw it away.
#[derive(Debug)]
struct UncheckedClient(SharedHttpClient);

impl HttpClient for UncheckedClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

/// A service's client that is made at its first call, for services that few requests need: each
/// SDK reads its list of regions when a client is made.
#[derive(Debug, Clone)]
pub(crate) struct LazyClient<C>(Arc<LazyLock<C, MakeClient<C>>>);

type MakeClient<C> = Box<dyn FnOnce() -> C + Send>;

impl<C> LazyClient<C> {
    /// Makes the client by `make` when it is needed.
    pub(crate) fn new(make: impl FnOnce() -> C + Send + 'static) -> LazyClient<C> {
        LazyClient(Arc::new(LazyLock::new(Box::new(make))))
    }
}

impl<C> Deref for LazyClient<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn what_an_answer_asks_for_is_read_if_it_is_a_number() {
        let asked = |value: Option<&'static str>| {
            let mut answer =
                HttpResponse::new(StatusCode::try_from(429).expect("a status"), SdkBody::empty());
            value
                .into_iter()
                .for_each(|value| drop(answer.headers_mut().insert("Retry-After", value)));
            retry_after(&SdkError::service_error((), answer))
        };
        assert_eq!(asked(Some("120")), Some(Duration::from_secs(120)));
        assert_eq!(asked(Some("Wed, 21 Oct 2026 07:28:00 GMT")), None);
        assert_eq!(asked(None), None);
        assert_eq!(retry_after(&SdkError::<(), HttpResponse>::timeout_error("late")), None);
    }

    /// The SHA-256 of each root's public key (its SubjectPublicKeyInfo), as
    /// <https://www.amazontrust.com/repository/> lists them.
    const PUBLISHED_KEYS: [&str; 5] = [
        "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2",
        "7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461",
        "36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9",
        "f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5",
        "2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92",
    ];

    #[test]
    fn the_trusted_roots_are_those_that_amazon_publishes() {
        let certificates = certificates(AMAZON_ROOTS);
        let has_key = |certificate: &Vec<u8>, published: &str| {
            sequences(certificate).any(|part| hex::encode(Sha256::digest(part)) == published)
        };

        assert_eq!(certificates.len(), PUBLISHED_KEYS.len());
        for (certificate, published) in certificates.iter().zip(PUBLISHED_KEYS) {
            assert!(has_key(certificate, published), "{published}");
        }
    }

    #[test]
    fn the_trusted_roots_are_in_mozillas_list() {
        let mozillas = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
        for certificate in certificates(AMAZON_ROOTS) {
            assert!(mozillas.iter().any(|der| **der == *certificate));
        }
    }

    /// Returns the certificates of a PEM text, in DER.
    fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
        let text = std::str::from_utf8(pem).expect("text");
        let body = |part: &str| {
            let (base64, _) = part.split_once("-----END").expect("an end");
            BASE64_STANDARD.decode(base64.replace('\n', "")).expect("Base64")
        };
        text.split("-----BEGIN CERTIFICATE-----").skip(1).map(body).collect()
    }

    /// Returns everything in a certificate that has the form of a DER SEQUENCE of up to 64 KiB.
    fn sequences(der: &[u8]) -> impl Iterator<Item = &[u8]> {
        (0..der.len()).filter_map(|begin| {
            let (header, length) = match der[begin..] {
                [0x30, 0x82, high, low, ..] => (4, usize::from(high) << 8 | usize::from(low)),
                [0x30, 0x81, length, ..] => (3, usize::from(length)),
                [0x30, length @ ..=0x7f, ..] => (2, usize::from(length)),
                _ => return None,
            };
            der.get(begin..begin + header + length)
        })
    }
}

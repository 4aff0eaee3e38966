//! AWS clients, configured from the environment alone.
//!
//! Lambda passes region and credentials in variables, so the usual provider chain is not needed:
//! building the configuration by hand takes a third off a cold start. Endpoints come from the SDKs'
//! own variables, `AWS_ENDPOINT_URL_<SERVICE>` and `AWS_ENDPOINT_URL`
//! ([reference](https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html)).

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::{SharedCredentialsProvider, SharedHttpClient};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::settings::{self, SettingError};

/// How long one attempt of a call may take; the SDK makes at most three.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2_500);

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);

/// How long all attempts may take together: less than the shortest function's timeout, 10 s.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(6_000);

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

/// Makes an HTTPS client that trusts only Amazon's own roots, which AWS's endpoints chain to
/// ([Amazon Trust Services](https://www.amazontrust.com/repository/)). Loading every root of the
/// system would double the start-up time.
fn https() -> SharedHttpClient {
    let amazon = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter(|der| is_amazons(der));
    let roots = amazon.fold(TrustStore::empty(), |roots, der| roots.with_pem_certificate(pem(der)));
    let context = TlsContext::builder()
        .with_trust_store(roots)
        .build()
        .expect("the roots are valid certificates");
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https()
}

fn is_amazons(der: &[u8]) -> bool {
    let names = [&b"Amazon Root CA"[..], &b"Starfield Services Root Certificate Authority"[..]];
    names.iter().any(|name| der.windows(name.len()).any(|window| window == *name))
}

fn pem(der: &[u8]) -> String {
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        BASE64_STANDARD.encode(der)
    )
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

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

    #[test]
    fn amazons_five_roots_are_found() {
        let found =
            webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter(|der| is_amazons(der)).count();
        assert_eq!(found, 5, "Amazon Root CA 1 to 4 and Starfield Services G2");
    }
}

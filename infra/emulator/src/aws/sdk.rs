//! SDK clients for services on loopback.

/// Returns the configuration of an SDK client for a loopback URL. The credentials do not matter
/// there. The client speaks plain HTTP and ignores a proxy in the environment, which would not find
/// loopback ports.
macro_rules! loopback {
    ($service:ident, $url:expr) => {
        $service::Config::builder()
            .behavior_version($service::config::BehaviorVersion::latest())
            .region($service::config::Region::new(crate::account::REGION))
            .credentials_provider($service::config::Credentials::new(
                "local", "local", None, None, "local",
            ))
            .endpoint_url($url)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build()
    };
}
pub(crate) use loopback;

//! An HTTP client that stays on this machine.

/// Returns a client for loopback addresses. It ignores a proxy in the environment, which would not
/// find loopback ports, and trusts no certificate, because it will never see one.
pub fn loopback() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    client.build().expect("nothing that could fail is read to make it")
}

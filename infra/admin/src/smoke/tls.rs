//! The connection below the WebSocket: TCP, with TLS for `wss`.

use std::sync::Arc;

use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// A connection with or without TLS.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Connects to the host of a `ws` or `wss` URL.
pub(super) async fn connect(url: &Uri) -> Result<Box<dyn Connection>, String> {
    let host = url.host().ok_or_else(|| format!("{url} names no host"))?;
    let is_secure = match url.scheme_str() {
        Some("wss") => true,
        Some("ws") => false,
        _ => return Err(format!("{url} is no address of a WebSocket")),
    };

    let port = url.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.map_err(|error| format!("nothing answers at {url}: {error}"))?;
    if !is_secure {
        return Ok(Box::new(stream));
    }

    let server =
        ServerName::try_from(host.to_owned()).map_err(|error| format!("{url}: {error}"))?;
    let config = client_config().map_err(|error| format!("{url}: {error}"))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(server, stream).await;
    Ok(Box::new(stream.map_err(|error| format!("no TLS with {url}: {error}"))?))
}

/// Returns a configuration that trusts Mozilla's roots: a stack may have a domain of its own, with
/// any authority's certificate.
fn client_config() -> Result<ClientConfig, tokio_rustls::rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());

    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_server_without_tls_and_a_wrong_address_are_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let refusing = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream);
            }
        });

        let error_at = async |url: String| {
            let url = url.parse().expect("a URL");
            connect(&url).await.map(|_| ()).expect_err("no connection")
        };
        let error = error_at(format!("wss://127.0.0.1:{port}/live")).await;
        assert!(error.contains("no TLS with wss://127.0.0.1"), "{error}");
        let error = error_at("http://127.0.0.1/".to_owned()).await;
        assert!(error.contains("no address of a WebSocket"), "{error}");

        refusing.abort();
        let _ = refusing.await;
        let error = error_at(format!("ws://127.0.0.1:{port}/")).await;
        assert!(error.contains("nothing answers at ws://127.0.0.1"), "{error}");
    }
}

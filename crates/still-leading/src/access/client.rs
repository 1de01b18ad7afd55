//! Builds a `kube` client of a configuration, with a connector of its own below TLS.

#[cfg(feature = "http-proxy")]
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
#[cfg(feature = "http-proxy")]
use http::HeaderValue;
use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::Builder;
use hyper_util::client::legacy::connect::Connection;
#[cfg(feature = "socks5")]
use hyper_util::client::legacy::connect::proxy::SocksV5;
#[cfg(feature = "http-proxy")]
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
#[cfg(any(feature = "http-proxy", feature = "socks5"))]
use percent_encoding::percent_decode_str;
use tower::{BoxError, Service, ServiceBuilder};

use super::connector::Connector;

/// Puts TLS over a connector, by the library that the features choose; `kube` prefers rustls, too.
macro_rules! tls {
    ($config:expr, $connector:expr) => {{
        #[cfg(feature = "rustls")]
        let connector = $config.rustls_https_connector_with_connector($connector)?;
        #[cfg(all(not(feature = "rustls"), feature = "openssl"))]
        let connector = $config.openssl_https_connector_with_connector($connector)?;
        #[cfg(not(any(feature = "rustls", feature = "openssl")))]
        let connector = if $config.cluster_url.scheme_str() == Some("https") {
            return Err(kube::Error::TlsRequired);
        } else {
            $connector
        };
        connector
    }};
}

/// A client that repeats nothing and bounds nothing: whoever asks does. Must be called on the runtime that it is to run on.
pub fn build(config: &Config, connector: Connector) -> Result<Client, kube::Error> {
    let Some(proxy) = &config.proxy_url else { return over(config, connector) };
    match proxy.scheme_str() {
        #[cfg(feature = "http-proxy")]
        Some("http") => over(config, tunnel(proxy, connector)),
        #[cfg(all(feature = "http-proxy", any(feature = "rustls", feature = "openssl")))]
        Some("https") => over(config, tunnel(proxy, tls!(config, connector))),
        #[cfg(feature = "socks5")]
        Some("socks5" | "socks5h") => over(config, socks(proxy, connector)),
        #[cfg(not(feature = "http-proxy"))]
        Some("http" | "https") => Err(disabled(proxy, "still-leading/http-proxy")),
        #[cfg(not(feature = "socks5"))]
        Some("socks5" | "socks5h") => Err(disabled(proxy, "still-leading/socks5")),
        _ => Err(kube::Error::ProxyProtocolUnsupported { proxy_url: proxy.clone().into() }),
    }
}

fn over<C>(config: &Config, connector: C) -> Result<Client, kube::Error>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + Unpin + 'static,
    C::Error: Into<BoxError>,
{
    let connector = tls!(config, connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(Builder::new(TokioExecutor::new()).build::<_, Body>(connector));
    Ok(Client::new(service, config.default_namespace.clone()))
}

#[cfg(feature = "http-proxy")]
fn tunnel<C>(proxy: &Uri, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.clone(), connector);
    let Some((user, password)) = login(proxy) else { return tunnel };
    let header = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
    // In base64 everything is a header.
    match HeaderValue::from_str(&header) {
        Ok(header) => tunnel.with_auth(header),
        Err(_) => tunnel,
    }
}

#[cfg(feature = "socks5")]
fn socks<C>(proxy: &Uri, connector: C) -> SocksV5<C> {
    // The proxy looks the name up, as in Go.
    let socks = SocksV5::new(proxy.clone(), connector);
    match login(proxy) {
        Some((user, password)) => socks.with_auth(user, password),
        None => socks,
    }
}

/// The user and the password that a URL holds.
#[cfg(any(feature = "http-proxy", feature = "socks5"))]
fn login(proxy: &Uri) -> Option<(String, String)> {
    let (login, _) = proxy.authority()?.as_str().rsplit_once('@')?;
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let decode = |part| percent_decode_str(part).decode_utf8_lossy().into_owned();
    Some((decode(user), decode(password)))
}

#[cfg(not(all(feature = "http-proxy", feature = "socks5")))]
fn disabled(proxy: &Uri, protocol_feature: &'static str) -> kube::Error {
    kube::Error::ProxyProtocolDisabled { proxy_url: proxy.clone().into(), protocol_feature }
}

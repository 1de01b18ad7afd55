//! The certificate authority of one API server. It signs for the API server and for every proxy, so a replica needs to trust
//! only it.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The names on each certificate. The testbed listens on loopback only.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];

/// Every proxied connection speaks HTTP/1.1, since a fault affects single requests, and there one request uses a connection at
/// a time.
const HTTP_1_1: &[u8] = b"http/1.1";

/// A certificate authority, in memory only.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes a new authority.
    ///
    /// # Errors
    /// Fails when the system has no randomness to give.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "still-leading testbed");
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?).context("making a certificate authority")?))
    }

    /// Returns its certificate in PEM, which a client has to trust.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Returns its certificate in DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    /// Makes a certificate for a server on this machine, and its private key.
    pub(crate) fn issue(&self) -> Result<(rcgen::Certificate, KeyPair)> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(NAMES.map(String::from))?;
        let certificate = params.signed_by(&key, &self.0).context("signing a certificate")?;
        Ok((certificate, key))
    }

    /// Makes an acceptor for a server, with a new certificate.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor> {
        self.server_config().map(TlsAcceptor::from)
    }

    /// Makes the TLS configuration of a server, with a new certificate.
    pub(crate) fn server_config(&self) -> Result<Arc<ServerConfig>> {
        let (certificate, key) = self.issue()?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Arc::new(config))
    }

    /// Makes a connector for a client that trusts this authority only.
    pub(crate) fn connector(&self) -> Result<TlsConnector> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der().clone())?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// Shows nothing, since it holds the private key.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// The provider is named, since rustls's own choice panics once some crate of the build enables a second one.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

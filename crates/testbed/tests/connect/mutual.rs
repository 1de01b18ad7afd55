//! A door in front of an API server that admits only clients with a certificate that is valid now. It checks each connection
//! anew, and no connection lasts longer than a second.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const LASTS: Duration = Duration::from_secs(1);

/// The door, and the authority that signs for it and for its visitors.
pub struct Door {
    authority: CertifiedIssuer<'static, KeyPair>,
    pub address: SocketAddr,
}

impl Door {
    /// Opens the door in front of the API server at `server`, whose certificate `ca` has signed.
    pub async fn open(server: SocketAddr, ca: &[u8]) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let door = Self { authority, address: listener.local_addr()? };
        let (acceptor, connector) = (door.acceptor()?, connector(ca)?);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                tokio::spawn(timeout(LASTS, pass(client, acceptor, connector, server)));
            }
        });
        Ok(door)
    }

    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// Makes a client certificate that is valid for this long, and its key, in PEM.
    pub fn visitor(&self, lasts: Duration) -> Result<(String, String)> {
        self.issue(lasts, ExtendedKeyUsagePurpose::ClientAuth)
            .map(|(certificate, key)| (certificate.pem(), key.serialize_pem()))
    }

    fn issue(&self, lasts: Duration, usage: ExtendedKeyUsagePurpose) -> Result<(rcgen::Certificate, KeyPair)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()])?;
        params.extended_key_usages.push(usage);
        params.not_after = (std::time::SystemTime::now() + lasts).into();
        Ok((params.signed_by(&key, &self.authority)?, key))
    }

    fn acceptor(&self) -> Result<TlsAcceptor> {
        let mut visitors = RootCertStore::empty();
        visitors.add(self.authority.der().clone())?;
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(visitors), Arc::clone(&provider)).build()?;
        let (own, key) = self.issue(Duration::from_secs(3600), ExtendedKeyUsagePurpose::ServerAuth)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![own.der().clone()], key)?;
        // Without resumption: an old handshake would do for a certificate that has expired.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn connector(ca: &[u8]) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn pass(client: TcpStream, acceptor: TlsAcceptor, connector: TlsConnector, server: SocketAddr) -> Result<()> {
    let mut client = acceptor.accept(client).await.context("no valid certificate")?;
    let name = ServerName::try_from("localhost")?;
    let mut server = connector.connect(name, TcpStream::connect(server).await?).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

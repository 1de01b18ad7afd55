//! Writes a kubeconfig with which `kubectl` finds and trusts the server.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A self-signed certificate and its key, in memory only.
pub struct Identity(CertifiedKey<rcgen::KeyPair>);

impl Identity {
    /// Makes a certificate for a server on this machine that listens at `address`.
    pub fn new(address: IpAddr) -> Result<Self> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), address.to_string()];
        Ok(Self(generate_simple_self_signed(names).context("making a certificate")?))
    }

    /// Returns the TLS configuration of the server. There is always one, since kubectl sends no token without TLS.
    pub fn tls(&self) -> Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.signing_key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.0.cert.der().clone()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Returns a random token.
pub fn token() -> Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| anyhow!("the system has no randomness to give: {error}"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes the file, which only its owner can read.
pub fn write(path: &Path, url: &str, identity: &Identity, token: &str) -> Result<()> {
    let name = "lease-api";
    let authority = STANDARD.encode(identity.0.cert.pem());
    // JSON is YAML.
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}]});
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // A file that existed before has kept its mode.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(format!("{config:#}\n").as_bytes())?;
    Ok(())
}

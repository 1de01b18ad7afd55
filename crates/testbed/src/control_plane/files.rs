//! The files with which the control plane is started, and the flags that name them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::KeyPair;

use crate::guard::write_private;
use crate::tls::Authority;

/// Writes the serving certificate, the key that signs ServiceAccount tokens, and the administrator's token.
pub(super) fn write(dir: &Path, authority: &Authority, token: &str) -> Result<()> {
    let (certificate, key) = authority.issue()?;
    write_private(&dir.join("server.crt"), &certificate.pem())?;
    write_private(&dir.join("server.key"), &key.serialize_pem())?;
    let signer = KeyPair::generate()?;
    write_private(&dir.join("sa.pub"), &signer.public_key_pem())?;
    write_private(&dir.join("sa.key"), &signer.serialize_pem())?;
    write_private(&dir.join("tokens.csv"), &format!("{token},admin,admin,system:masters\n"))
}

/// The folder in which etcd stores its data.
pub(super) fn etcd_data(dir: &Path) -> PathBuf {
    dir.join("etcd")
}

pub(super) fn etcd_flags(dir: &Path, client: SocketAddr, peer: SocketAddr) -> Vec<String> {
    vec![
        format!("--data-dir={}", etcd_data(dir).display()),
        format!("--listen-client-urls=http://{client}"),
        format!("--advertise-client-urls=http://{client}"),
        format!("--listen-peer-urls=http://{peer}"),
        // The data is not needed after the test.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

pub(super) fn api_server_flags(dir: &Path, etcd: SocketAddr, address: SocketAddr) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", dir.join(name).display());
    vec![
        format!("--etcd-servers=http://{etcd}"),
        format!("--bind-address={}", address.ip()),
        format!("--secure-port={}", address.port()),
        file("cert-dir", "certificates"),
        file("tls-cert-file", "server.crt"),
        file("tls-private-key-file", "server.key"),
        file("token-auth-file", "tokens.csv"),
        format!("--service-account-issuer=https://{address}/"),
        file("service-account-key-file", "sa.pub"),
        file("service-account-signing-key-file", "sa.key"),
        "--authorization-mode=RBAC".to_owned(),
        // This plugin would wait for a controller to make the default ServiceAccount of each namespace.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        // Without a default route the address cannot be guessed, and loopback may not be an endpoint.
        "--advertise-address=127.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
    ]
}

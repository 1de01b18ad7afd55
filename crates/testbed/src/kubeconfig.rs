//! The file that tells a client where an API server is and who asks.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use crate::guard::write_private;

/// What it says.
pub(crate) struct Way<'a> {
    /// The URL to ask.
    pub(crate) server: &'a str,
    /// The certificate to trust, in PEM.
    pub(crate) ca_pem: &'a str,
    pub(crate) token: &'a str,
    pub(crate) namespace: &'a str,
}

/// Writes `<name>.kubeconfig` and the certificate that it names, which nobody but this user can read.
///
/// # Errors
/// When it is there already, or cannot be written.
pub(crate) fn write(dir: &Path, name: &str, way: Way<'_>) -> Result<PathBuf> {
    let ca = dir.join(format!("{name}-ca.crt"));
    write_private(&ca, way.ca_pem)?;
    let path = dir.join(format!("{name}.kubeconfig"));
    write_private(&path, &text(&way, &ca).to_string())?;
    Ok(path)
}

/// In JSON, which is YAML too.
fn text(way: &Way<'_>, ca: &Path) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": way.server, "certificate-authority": ca}}],
        "users": [{"name": "replica", "user": {"token": way.token}}],
        "contexts": [
            {"name": "replica", "context": {"cluster": "testbed", "user": "replica", "namespace": way.namespace}},
        ],
        "current-context": "replica",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_is_read_by_kube_as_it_is_meant() {
        let way = Way { server: "https://127.0.0.1:1", ca_pem: "", token: "secret", namespace: "ns" };
        let read = kube::config::Kubeconfig::from_yaml(&text(&way, Path::new("/dir/ca.crt")).to_string()).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("replica"));
        let cluster = read.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:1"));
        assert_eq!(cluster.certificate_authority.as_deref(), Some("/dir/ca.crt"));
        assert!(read.auth_infos[0].auth_info.as_ref().unwrap().token.is_some());
        assert_eq!(read.contexts[0].context.as_ref().unwrap().namespace.as_deref(), Some("ns"));
    }
}

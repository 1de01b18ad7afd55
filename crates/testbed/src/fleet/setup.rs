//! What a fleet needs on the API server, and what its replicas need to get there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kube::Client;
use serde_json::{Value, json};

use super::FleetOptions;
use crate::api_server::ApiServer;
use crate::control_plane::random_hex;
use crate::guard::write_private;
use crate::manifests;

pub(super) struct Setup {
    pub(super) client: Client,
    pub(super) namespace: String,
    /// Of the Lease, the ServiceAccount and everything else of the variant.
    pub(super) name: String,
}

/// Applies the variant's manifests in a new namespace.
pub(super) async fn install(api_server: &ApiServer, options: &FleetOptions) -> Result<Setup> {
    let name = format!("still-leading-{}", options.variant);
    let namespace = format!("{name}-{}", random_hex(4)?);
    let objects = match &options.manifests {
        Some(objects) => objects.clone(),
        None => {
            let path = options.variant.install_yaml();
            manifests::parse(&fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?)?
        }
    };
    api_server.install(&objects, &namespace, &name).await?;
    Ok(Setup { client: api_server.client()?, namespace, name })
}

impl Setup {
    /// A kubeconfig with a token of its own, for a replica that finds the API server at `server`.
    pub(super) async fn write_kubeconfig(
        &self,
        api_server: &ApiServer,
        dir: &Path,
        replica: &str,
        server: &str,
    ) -> Result<PathBuf> {
        let token = api_server.token(&self.namespace, &self.name).await?;
        let ca = dir.join(format!("{replica}-ca.crt"));
        write_private(&ca, &api_server.ca_pem())?;
        let path = dir.join(format!("{replica}.kubeconfig"));
        write_private(&path, &kubeconfig(server, &ca, &token, &self.namespace).to_string())?;
        Ok(path)
    }
}

/// A kubeconfig of an administrator, past every proxy.
pub(super) fn write_admin_kubeconfig(api_server: &ApiServer, dir: &Path, namespace: &str) -> Result<PathBuf> {
    let (ca, path) = (dir.join("ca.crt"), dir.join("kubeconfig"));
    write_private(&ca, &api_server.ca_pem())?;
    write_private(&path, &kubeconfig(&api_server.url(), &ca, api_server.admin_token(), namespace).to_string())?;
    Ok(path)
}

/// In JSON, which is YAML too.
fn kubeconfig(server: &str, ca: &Path, token: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": "replica", "user": {"token": token}}],
        "contexts": [{"name": "replica", "context": {"cluster": "testbed", "user": "replica", "namespace": namespace}}],
        "current-context": "replica",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_is_read_by_kube_as_it_is_meant() {
        let written = kubeconfig("https://127.0.0.1:1", Path::new("/dir/ca.crt"), "secret", "ns").to_string();
        let read = kube::config::Kubeconfig::from_yaml(&written).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("replica"));
        let cluster = read.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:1"));
        assert_eq!(cluster.certificate_authority.as_deref(), Some("/dir/ca.crt"));
        assert!(read.auth_infos[0].auth_info.as_ref().unwrap().token.is_some());
        assert_eq!(read.contexts[0].context.as_ref().unwrap().namespace.as_deref(), Some("ns"));
    }
}

//! Sets up what a fleet needs on the API server, and its replicas' kubeconfigs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kube::Client;

use super::options::FleetOptions;
use crate::api_server::ApiServer;
use crate::client::random_hex;
use crate::guard::write_private;
use crate::kubeconfig::{self, Credentials, Way};
use crate::manifests;

pub(super) struct Setup {
    pub(super) client: Client,
    pub(super) namespace: String,
    /// The name of the Lease, the ServiceAccount and the variant's other objects.
    pub(super) name: String,
}

/// Applies the variant's manifests in a new namespace.
pub(super) async fn install(api_server: &ApiServer, options: &FleetOptions) -> Result<Setup> {
    let name = options.variant.full_name();
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
    /// Returns a new token for a replica.
    pub(super) async fn token(&self, api_server: &ApiServer) -> Result<String> {
        api_server.token(&self.namespace, &self.name).await
    }

    /// Writes a kubeconfig with a new token, for a replica that reaches the API server at `server`. The token goes into
    /// `token_file` if there is one.
    pub(super) async fn write_kubeconfig(
        &self,
        api_server: &ApiServer,
        dir: &Path,
        replica: &str,
        server: &str,
        token_file: Option<PathBuf>,
    ) -> Result<PathBuf> {
        let token = self.token(api_server).await?;
        let credentials = match &token_file {
            Some(path) => {
                write_private(path, &token)?;
                Credentials::TokenFile(path)
            }
            None => Credentials::Token(&token),
        };
        let way = Way { server, ca_pem: &api_server.ca_pem(), credentials, namespace: &self.namespace };
        kubeconfig::write(dir, replica, way)
    }
}

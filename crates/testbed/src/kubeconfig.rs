//! Writes kubeconfigs, which name an API server and the credentials for it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};

use crate::guard::write_private;

/// What a kubeconfig contains.
pub(crate) struct Way<'a> {
    /// The URL of the API server.
    pub(crate) server: &'a str,
    /// The certificate to trust, in PEM.
    pub(crate) ca_pem: &'a str,
    pub(crate) credentials: Credentials<'a>,
    pub(crate) namespace: &'a str,
}

/// How the client authenticates itself.
pub(crate) enum Credentials<'a> {
    Token(&'a str),
    TokenFile(&'a Path),
}

/// Writes `<name>.kubeconfig` and the certificate that it names. Only this user can read them.
///
/// # Errors
/// Fails when it exists already, or cannot be written.
pub(crate) fn write(dir: &Path, name: &str, way: Way<'_>) -> Result<PathBuf> {
    let ca = dir.join(format!("{name}-ca.crt"));
    write_private(&ca, way.ca_pem)?;
    let path = dir.join(format!("{name}.kubeconfig"));
    // JSON is YAML too.
    write_private(&path, &serde_json::to_string(&kubeconfig(&way, &ca))?)?;
    Ok(path)
}

fn kubeconfig(way: &Way<'_>, ca: &Path) -> Kubeconfig {
    let (cluster, replica) = ("testbed".to_owned(), "replica".to_owned());
    Kubeconfig {
        api_version: Some("v1".to_owned()),
        kind: Some("Config".to_owned()),
        clusters: vec![NamedCluster {
            name: cluster.clone(),
            cluster: Some(Cluster {
                server: Some(way.server.to_owned()),
                certificate_authority: Some(ca.display().to_string()),
                ..Cluster::default()
            }),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: replica.clone(),
            auth_info: Some(auth_info(&way.credentials)),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: replica.clone(),
            context: Some(Context {
                cluster,
                user: Some(replica.clone()),
                namespace: Some(way.namespace.to_owned()),
                ..Context::default()
            }),
            ..NamedContext::default()
        }],
        current_context: Some(replica),
        ..Kubeconfig::default()
    }
}

fn auth_info(credentials: &Credentials<'_>) -> AuthInfo {
    match credentials {
        Credentials::Token(token) => AuthInfo { token: Some((*token).to_owned().into()), ..AuthInfo::default() },
        Credentials::TokenFile(path) => {
            AuthInfo { token_file: Some(path.display().to_string()), ..AuthInfo::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_is_read_by_kube_as_it_is_meant() {
        let way = Way {
            server: "https://127.0.0.1:1",
            ca_pem: "",
            credentials: Credentials::Token("secret"),
            namespace: "ns",
        };
        let written = serde_json::to_string(&kubeconfig(&way, Path::new("/dir/ca.crt"))).unwrap();
        assert!(written.contains("secret"), "the token must not be left out: {written}");
        let read = Kubeconfig::from_yaml(&written).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("replica"));
        let cluster = read.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:1"));
        assert_eq!(cluster.certificate_authority.as_deref(), Some("/dir/ca.crt"));
        assert!(read.auth_infos[0].auth_info.as_ref().unwrap().token.is_some());
        assert_eq!(read.contexts[0].context.as_ref().unwrap().namespace.as_deref(), Some("ns"));
    }
}

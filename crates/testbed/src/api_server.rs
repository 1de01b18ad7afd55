//! The API server that replicas elect on: the embedded one, which every machine has, or the real one.

mod embedded;
mod fence;
mod real;

pub use crate::client::client;
pub use embedded::user_name;
pub use real::{service_account_token, wait_until_allowed};
pub use still_leading_lease_api::Fence;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use kube::Client;
use kube::api::DynamicObject;

use crate::assets::Assets;
use crate::client::{client_of, url};
use crate::control_plane::ControlPlane;
use crate::kubeconfig::{self, Credentials, Way};
use crate::tls::Authority;
use embedded::Embedded;

/// The kind of an API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerKind {
    /// [`still_leading_lease_api`], in this process.
    Embedded,
    /// kube-apiserver and etcd, as [`ControlPlane`] starts them.
    Real,
}

impl ServerKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Embedded, Self::Real];

    /// Its name in the names of tests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Real => "real",
        }
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A running API server on loopback that speaks TLS. Dropping it ends it and removes what it stored.
#[derive(Debug)]
pub enum ApiServer {
    /// See [`ServerKind::Embedded`]. Needs the async runtime that it was started on.
    Embedded(Box<Embedded>),
    /// See [`ServerKind::Real`].
    Real(Box<ControlPlane>),
}

impl ApiServer {
    /// Starts an API server and waits until it is ready.
    ///
    /// # Errors
    /// Fails when it does not start. For the real one also when its binaries are missing, with how to get them.
    pub async fn start(kind: ServerKind) -> Result<Self> {
        Ok(match kind {
            ServerKind::Embedded => Self::Embedded(Box::new(Embedded::start().await?)),
            ServerKind::Real => Self::Real(Box::new(ControlPlane::start(&Assets::find()?).await?)),
        })
    }

    /// Returns its kind.
    pub fn kind(&self) -> ServerKind {
        match self {
            Self::Embedded(_) => ServerKind::Embedded,
            Self::Real(_) => ServerKind::Real,
        }
    }

    /// Returns the URL at which it listens.
    pub fn url(&self) -> String {
        url(self.address())
    }

    /// Returns the certificate that clients have to trust, in PEM.
    pub fn ca_pem(&self) -> String {
        self.authority().pem()
    }

    /// Makes a client with an administrator's rights. It belongs to the async runtime that first uses it, so each test makes
    /// its own.
    ///
    /// # Errors
    /// Fails when TLS cannot be set up.
    pub fn client(&self) -> Result<Client> {
        self.client_with_token(self.admin_token())
    }

    /// Makes a client with this token, such as a ServiceAccount's.
    ///
    /// # Errors
    /// Fails when TLS cannot be set up.
    pub fn client_with_token(&self, token: &str) -> Result<Client> {
        client_of(self.address(), self.authority(), token)
    }

    /// Writes a kubeconfig for an administrator into `dir`, such as for a person with `kubectl`. Call it once. The default
    /// namespace is `namespace`.
    ///
    /// # Errors
    /// Fails when it cannot be written.
    pub fn admin_kubeconfig(&self, dir: &Path, namespace: &str) -> Result<PathBuf> {
        let credentials = Credentials::Token(self.admin_token());
        let way = Way { server: &self.url(), ca_pem: &self.ca_pem(), credentials, namespace };
        kubeconfig::write(dir, "admin", way)
    }

    /// Ends the API server as SIGKILL does, and keeps what it stored.
    ///
    /// # Errors
    /// Fails when it does not run.
    pub async fn stop_serving(&self) -> Result<()> {
        match self {
            Self::Embedded(server) => server.stop_serving().await,
            Self::Real(server) => server.stop_api_server().await,
        }
    }

    /// Starts the API server again, with the same port and data, and waits until it is ready.
    ///
    /// # Errors
    /// Fails when it runs already, or does not get ready within a minute.
    pub async fn start_serving(&self) -> Result<()> {
        match self {
            Self::Embedded(server) => server.start_serving().await,
            Self::Real(server) => server.start_api_server().await,
        }
    }

    /// Applies manifests in a new namespace and waits until what they grant to `account` is in effect. The API server would
    /// refuse an earlier request, and a test could not distinguish that from a missing verb.
    ///
    /// # Errors
    /// Fails when an object is refused, or what they grant is not in effect after ten seconds.
    pub async fn install(&self, objects: &[DynamicObject], namespace: &str, account: &str) -> Result<()> {
        match self {
            Self::Embedded(server) => server.install(objects, namespace, account).await,
            Self::Real(server) => real::install(server, objects, namespace, account).await,
        }
    }

    /// Returns a new token of a ServiceAccount of [`ApiServer::install`].
    ///
    /// # Errors
    /// Fails when there is no such ServiceAccount.
    pub async fn token(&self, namespace: &str, account: &str) -> Result<String> {
        match self {
            Self::Embedded(server) => server.token(namespace, account),
            Self::Real(server) => real::service_account_token(&server.client()?, namespace, account).await,
        }
    }

    /// Fences the writes of a ServiceAccount of [`ApiServer::install`] and waits until the fence is in force. The
    /// ServiceAccount must be allowed to create ConfigMaps.
    ///
    /// `policy` is the manifest of a ValidatingAdmissionPolicy and its binding. The real server gets it unchanged. Neither object
    /// belongs to a namespace, and both stay, so a test gives them names of its own and binds them to its namespace. The embedded
    /// server has the rule built in and gets `fence`; it uses only the names of the manifest.
    ///
    /// # Errors
    /// Fails when the manifest is something else or has other names than `fence`, when it is refused, or when it is not in force
    /// after a minute.
    pub async fn fence(&self, fence: &Fence, policy: &str) -> Result<()> {
        let (objects, (namespace, account)) = (fence::read(policy, fence)?, fence::account(fence)?);
        match self {
            Self::Embedded(server) => server.fence(fence.clone())?,
            Self::Real(server) => fence::apply(&server.client()?, &objects).await?,
        }
        let writer = self.client_with_token(&self.token(namespace, account).await?)?;
        fence::wait_until_in_force(&writer, namespace, fence).await
    }

    /// Returns an administrator's token.
    pub(crate) fn admin_token(&self) -> &str {
        match self {
            Self::Embedded(server) => server.admin_token(),
            Self::Real(server) => server.admin_token(),
        }
    }

    pub(crate) fn authority(&self) -> &Authority {
        match self {
            Self::Embedded(server) => server.authority(),
            Self::Real(server) => server.authority(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Embedded(server) => server.address(),
            Self::Real(server) => server.address(),
        }
    }
}

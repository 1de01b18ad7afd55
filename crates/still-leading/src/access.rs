//! How a program reaches the API server and proves who it is, and how it learns both anew.

mod client;
mod connector;
mod credentials;
mod files;
mod keeper;
mod kubeconfig;
mod plugin;

use std::fmt;
use std::path::PathBuf;

use kube::config::{InClusterError, KubeconfigError};
use kube::{Client, Config};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

pub(crate) use keeper::Say;

use connector::Connector;
use credentials::Settled;
use files::Files;
use keeper::Keeper;
use kubeconfig::Environment;
use plugin::Patience;

use crate::lockout::Lockout;

/// The way to the API server, and the credentials for it, as kubectl finds them. It knows where they came from, so that its
/// clients read them anew when they change, end or are refused.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use still_leading::{Access, Config, Elector};
///
/// let access = Access::infer().await?;
/// let client = access.client()?;
/// let config = Config { lease: "my-controller".into(), identity: std::env::var("POD_NAME")?.into(), ..Config::default() };
/// let elector = Elector::new(access, config)?;
/// # Ok(())
/// # }
/// ```
///
/// A client of an `Access`
/// - renews what a credential plugin has issued before it ends, in the background: one plugin at a time, whatever requests do;
/// - reads certificates, keys, tokens, authorities and the kubeconfig anew within [ten seconds](Self::client) of a change, and
///   at once when the API server refuses the credentials;
/// - tries all addresses of the API server's name within one attempt;
/// - goes through the proxy that the kubeconfig or the environment names, see [`environment_proxy`](crate::environment_proxy).
#[derive(Clone)]
pub struct Access {
    source: Source,
    /// As it was read, with the plugin in it.
    config: Config,
    files: Files,
    /// What a client is built of; `None` as long as the plugin was not asked.
    settled: Option<Settled>,
    patience: Patience,
    connector: Connector,
    lockout: Lockout,
}

/// Where the configuration comes from.
#[derive(Clone)]
enum Source {
    /// The environment, in this context of its kubeconfig.
    Environment(Environment, Option<String>),
    /// The program. Only the files that it names can be read anew.
    Given(Box<Config>),
}

/// Why the API server cannot be reached, or who asks cannot be proven.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// There is no kubeconfig, and this process does not run in a pod.
    #[error("there is no kubeconfig at {}, and this is not a pod: {source}", list(.paths))]
    Nowhere {
        /// Where a kubeconfig was looked for.
        paths: Vec<PathBuf>,
        /// What is missing of a pod.
        source: Box<InClusterError>,
    },
    /// A kubeconfig is there and cannot be used.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(#[source] Box<KubeconfigError>),
    /// The proxy cannot be used.
    #[error("the proxy of the kubeconfig or the environment cannot be used: {0}")]
    Proxy(String),
    /// The token file cannot be used.
    #[error("the token file {}: {reason}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The credential plugin issued nothing.
    #[error("the credential plugin `{command}` {reason}")]
    Plugin {
        /// Its command.
        command: String,
        /// What it did instead.
        reason: String,
    },
    /// The certificates or another part of the configuration cannot be used.
    #[error("building the client: {0}")]
    Client(#[source] Box<kube::Error>),
    /// The runtime has ended meanwhile.
    #[error("reading the configuration was interrupted")]
    Interrupted,
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl Access {
    /// Finds the configuration as kubectl does: the files of `KUBECONFIG`, of which missing ones are skipped, or
    /// `~/.kube/config`; if neither says anything, the ServiceAccount of the pod. Asks the credential plugin, if there is one.
    ///
    /// A plugin gets a minute, and five if it may ask a person at the terminal. After five seconds the log says what is waited
    /// for. Dropping the future ends the plugin, so race this against your shutdown.
    ///
    /// # Errors
    /// There is no configuration, it cannot be used, or the plugin has failed.
    pub async fn infer() -> Result<Self, AccessError> {
        Self::infer_in(Environment::of_process(), Patience::default(), Connector::default()).await
    }

    async fn infer_in(environment: Environment, patience: Patience, connector: Connector) -> Result<Self, AccessError> {
        let (config, files, context) = kubeconfig::read(&environment, None)?;
        let source = Source::Environment(environment, context);
        let access = Self { source, config, files, settled: None, patience, connector, lockout: Lockout::default() };
        access.read_credentials()?.with_plugin().await
    }

    /// The namespace of the kubeconfig's context or of the pod.
    #[must_use]
    pub fn default_namespace(&self) -> &str {
        &self.config.default_namespace
    }

    /// Whether the API server lets the clients of this `Access` in. It is one for all of them, and for clones.
    #[must_use]
    pub fn lockout(&self) -> &Lockout {
        &self.lockout
    }

    /// Has its clients note in `lockout` whether the API server lets them in.
    #[must_use]
    pub fn noting_in(mut self, lockout: &Lockout) -> Self {
        self.lockout = lockout.clone();
        self
    }

    /// A client for the work. It has connections and a background task of its own, repeats nothing, and puts no bound to a
    /// request. It looks every ten seconds whether a file has changed.
    ///
    /// # Errors
    /// The configuration cannot be used.
    ///
    /// # Panics
    /// If it is not called on a Tokio runtime. The client belongs to that one.
    pub fn client(&self) -> Result<Client, AccessError> {
        let say = Say::new(|news| match news {
            Ok(()) => info!("the credentials were read anew"),
            Err(error) => warn!(%error, "cannot read the credentials anew, keeping those from before"),
        });
        Ok(self.clone().keep(say)?.0)
    }

    /// A client that keeps itself, and whether the API server lets it in.
    pub(crate) fn keep(self, say: Say) -> Result<(Client, Lockout), AccessError> {
        Keeper::start(self, say)
    }

    /// As it is now, in the same context.
    async fn anew(&self) -> Result<Self, AccessError> {
        let before = self.clone();
        // Files may stand on a file system that hangs.
        let read = spawn_blocking(move || before.read()).await;
        read.map_err(|_| AccessError::Interrupted)??.with_plugin().await
    }

    fn read(&self) -> Result<Self, AccessError> {
        let (config, files) = match &self.source {
            Source::Environment(environment, context) => {
                let (config, files, _) = kubeconfig::read(environment, context.as_deref())?;
                (config, files)
            }
            Source::Given(config) => ((**config).clone(), Files::read(config.root_cert_file.clone())),
        };
        Self { config, files, settled: None, ..self.clone() }.read_credentials()
    }

    fn read_credentials(mut self) -> Result<Self, AccessError> {
        self.files = self.files.and(credentials::files(&self.config.auth_info));
        credentials::read(&mut self.config)?;
        if !self.needs_plugin() {
            self.settled = Some(Settled { config: self.config.clone(), valid_until: None });
        }
        Ok(self)
    }

    async fn with_plugin(mut self) -> Result<Self, AccessError> {
        if self.needs_plugin() {
            self.settled = Some(credentials::ask(self.config.clone(), self.patience).await?);
        }
        Ok(self)
    }

    fn needs_plugin(&self) -> bool {
        credentials::needs_plugin(&self.config.auth_info)
    }
}

/// A configuration that the program has made. The files that it names are read anew when they change, and its credential
/// plugin is asked when a client needs it, so the first requests wait for that.
impl From<Config> for Access {
    fn from(config: Config) -> Self {
        let source = Source::Given(Box::new(config.clone()));
        let (patience, connector) = (Patience::default(), Connector::default());
        Self {
            source,
            config,
            files: Files::default(),
            settled: None,
            patience,
            connector,
            lockout: Lockout::default(),
        }
    }
}

/// It holds secrets, so it shows where it leads to alone.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("cluster_url", &self.config.cluster_url).finish_non_exhaustive()
    }
}

//! How this program finds the API server: as kubectl does, as far as `kube` lets it. This file is the same in every variant whose
//! crate is given a client of `kube`; the README says what it cannot do.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use http::{Request, Uri};
use kube::client::Body;
use kube::config::{Cluster, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use still_leading_scaffold::{Lockout, environment_proxy};
use tokio::task::spawn_blocking;
use tower::service_fn;

use crate::election;

/// Stands for "no proxy was chosen yet": it keeps `kube` from choosing one itself, and is never asked.
const NO_CHOICE: &str = "http://proxy.invalid";

/// The client of the lease, which notes in `lockout` whether the API server lets it in, and the namespace of the configuration.
///
/// # Errors
/// There is no configuration, or it cannot be used.
pub async fn connect(lockout: Lockout) -> Result<(Client, String)> {
    let config = config().await.context("no cluster to elect in (set KUBECONFIG, or run in a pod)")?;
    let namespace = config.default_namespace.clone();
    // kube runs a credential plugin on the thread that builds the client. This one has to obey signals.
    let client = spawn_blocking(move || election::client(config)).await.context("building the client")??;
    let noting = move |request: Request<Body>| {
        let (client, lockout) = (client.clone(), lockout.clone());
        async move {
            let answer = client.send(request).await;
            match &answer {
                Ok(answer) => lockout.note_status(answer.status().as_u16()),
                Err(error) => lockout.note_error(error),
            };
            answer
        }
    };
    Ok((Client::new(service_fn(noting), namespace.clone()), namespace))
}

async fn config() -> Result<Config> {
    let mut kubeconfig = Kubeconfig::default();
    // As for kubectl, a file that is missing is as if it was not in the list.
    for file in files().iter().filter(|file| !matches!(Path::try_exists(file), Ok(false))) {
        kubeconfig = kubeconfig.merge(Kubeconfig::read_from(file)?)?;
    }
    let Some(context) = kubeconfig.current_context.clone().filter(|context| !context.is_empty()) else {
        let mut config = Config::incluster().context("there is no kubeconfig, and this is not a pod")?;
        config.apply_debug_overrides();
        config.proxy_url = proxy(None, &config)?;
        return Ok(config);
    };
    let cluster = cluster(&mut kubeconfig, &context);
    let own = cluster.and_then(|cluster| cluster.proxy_url.replace(NO_CHOICE.to_owned())).filter(|url| !url.is_empty());
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.apply_debug_overrides();
    config.proxy_url = proxy(own, &config)?;
    take_token(&mut config)?;
    Ok(config)
}

fn files() -> Vec<PathBuf> {
    let list = env::var_os("KUBECONFIG").unwrap_or_default();
    let files: Vec<_> = env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect();
    if files.is_empty() { env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect() } else { files }
}

fn cluster<'a>(kubeconfig: &'a mut Kubeconfig, context: &str) -> Option<&'a mut Cluster> {
    let context = kubeconfig.contexts.iter().find(|it| it.name == context)?.context.as_ref()?;
    kubeconfig.clusters.iter_mut().find(|it| it.name == context.cluster)?.cluster.as_mut()
}

/// The kubeconfig's own proxy, or else the one of the environment for this API server. kube heeds no NO_PROXY before 5, and
/// compares it with the proxy's name in 5.
fn proxy(own: Option<String>, config: &Config) -> Result<Option<Uri>> {
    let url = &config.cluster_url;
    let scheme = url.scheme_str().unwrap_or("https");
    let port = url.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    let proxy = own.or_else(|| environment_proxy(scheme, url.host().unwrap_or_default(), port));
    proxy.map(|proxy| proxy.parse()).transpose().context("the proxy of the kubeconfig or the environment is not a URL")
}

/// Takes a token whose file ends in a newline, which kube would send along. Such a file is not read again.
fn take_token(config: &mut Config) -> Result<()> {
    let auth = &mut config.auth_info;
    let Some(file) = auth.token_file.clone().filter(|_| auth.token.is_none()) else { return Ok(()) };
    let token = fs::read_to_string(&file).with_context(|| format!("the token file {file}"))?;
    if token.trim() != token {
        auth.token = Some(token.trim().to_owned().into());
    }
    Ok(())
}

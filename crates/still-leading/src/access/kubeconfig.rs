//! Where the configuration comes from, as kubectl looks for it: the files of `KUBECONFIG`, `~/.kube/config`, and the pod.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Uri;
use kube::Config;
use kube::config::{Cluster, Kubeconfig};

use super::AccessError;
use super::files::Files;
use crate::proxy;

/// Never asked: it keeps `kube` from choosing a proxy itself, since it compares NO_PROXY with the proxy's own name.
const NO_CHOICE: &str = "http://proxy.invalid";

type Variable = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// The environment variables. Injected, so that tests can have several.
#[derive(Clone)]
pub struct Environment(Arc<Variable>);

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        Self::new(|name| env::var_os(name))
    }

    pub fn new(variable: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        Self(Arc::new(variable))
    }

    fn files(&self) -> Vec<PathBuf> {
        let list = (self.0)("KUBECONFIG").unwrap_or_default();
        let files: Vec<_> = env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect();
        if !files.is_empty() {
            return files;
        }
        let home = (self.0)("HOME").filter(|home| !home.is_empty()).map(PathBuf::from).or_else(env::home_dir);
        home.map(|home| home.join(".kube").join("config")).into_iter().collect()
    }

    fn proxy(&self, of: &Uri) -> Option<String> {
        let scheme = of.scheme_str().unwrap_or("https");
        let port = of.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        proxy::choose(&|name| (self.0)(name)?.into_string().ok(), scheme, of.host()?, port)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// Reads the configuration, of this context if one is given. The second answer are the files that it came from, and the third
/// one the context.
pub fn read(environment: &Environment, context: Option<&str>) -> Result<(Config, Files, Option<String>), AccessError> {
    let paths = environment.files();
    let mut kubeconfig = merge(&paths)?;
    if let Some(context) = context {
        kubeconfig.current_context = Some(context.to_owned());
    }
    // As for kubectl, files that are missing or say nothing are as if there were none.
    let Some(context) = kubeconfig.current_context.clone().filter(|name| !name.is_empty()) else {
        let mut config =
            Config::incluster().map_err(|error| AccessError::Nowhere { paths, source: Box::new(error) })?;
        config.apply_debug_overrides();
        config.proxy_url = parse(environment.proxy(&config.cluster_url))?;
        let files = Files::read(config.root_cert_file.take());
        return Ok((config, files, None));
    };
    let cluster = cluster(&mut kubeconfig, &context);
    let authority = cluster.as_deref().filter(|cluster| cluster.certificate_authority_data.is_none());
    let authority = authority.and_then(|cluster| cluster.certificate_authority.clone()).map(PathBuf::from);
    // Before anything is read that these files name: a change that comes meanwhile is seen as one.
    let files = Files::read(paths.iter().cloned().chain(authority));
    let own = cluster.and_then(|cluster| cluster.proxy_url.replace(NO_CHOICE.to_owned())).filter(|url| !url.is_empty());
    let mut config = Config::try_from(kubeconfig).map_err(|error| AccessError::Kubeconfig(Box::new(error)))?;
    config.apply_debug_overrides();
    // A kubeconfig's own proxy has no exceptions.
    config.proxy_url = parse(own.or_else(|| environment.proxy(&config.cluster_url)))?;
    Ok((config, files, Some(context)))
}

/// The files in one, of which those that are missing are skipped.
fn merge(paths: &[PathBuf]) -> Result<Kubeconfig, AccessError> {
    let exists = |path: &&PathBuf| !matches!(Path::try_exists(path), Ok(false));
    let merged = paths.iter().filter(exists).try_fold(Kubeconfig::default(), |merged, path| {
        Kubeconfig::read_from(path).and_then(|next| merged.merge(next))
    });
    merged.map_err(|error| AccessError::Kubeconfig(Box::new(error)))
}

fn cluster<'a>(kubeconfig: &'a mut Kubeconfig, context: &str) -> Option<&'a mut Cluster> {
    let context = kubeconfig.contexts.iter().find(|it| it.name == context)?.context.as_ref()?;
    kubeconfig.clusters.iter_mut().find(|it| it.name == context.cluster)?.cluster.as_mut()
}

fn parse(proxy: Option<String>) -> Result<Option<Uri>, AccessError> {
    // What it says is not repeated: a proxy's URL may hold a password.
    let parse = |proxy: String| proxy.parse().map_err(|_| AccessError::Proxy("it is not a URL".to_owned()));
    proxy.map(parse).transpose()
}

#[cfg(test)]
mod tests;

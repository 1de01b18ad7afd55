//! Runs the credential plugin of a kubeconfig. `kube` runs it three times for each client, on the thread that asks, and
//! without a bound (kube-client 5.0.0, client/auth/mod.rs:631, and client/config_ext.rs:549).

use std::fmt;
use std::io::{self, IsTerminal};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;
use tokio::select;
use tokio::time::{sleep, timeout};
use tracing::warn;

/// How long a plugin may take, and after which time the log says what is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub said_after: Duration,
    pub bound: Duration,
    /// For a plugin that may ask the person at the terminal.
    pub interactive: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (said_after, bound, interactive) =
            (Duration::from_secs(5), Duration::from_secs(60), Duration::from_secs(300));
        Self { said_after, bound, interactive }
    }
}

/// Why a plugin gave nothing. What it printed to standard output and its environment are not repeated: they may be secrets.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("names no command")]
    NoCommand,
    #[error("needs a terminal, and standard input is none")]
    NoTerminal,
    #[error("cannot be started: {0}")]
    Start(#[source] io::Error),
    #[error("has failed ({0})")]
    Failed(ExitStatus),
    #[error("gave no answer within {0:?}")]
    TooSlow(Duration),
    #[error("answered with something else than an ExecCredential with credentials in it")]
    Unreadable,
}

/// What a plugin has issued.
pub struct Issued {
    pub token: Option<String>,
    /// The certificate and the key, in PEM.
    pub certificate: Option<(String, String)>,
    pub valid_until: Option<Timestamp>,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("valid_until", &self.valid_until).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

/// Runs it. Dropping the future kills it.
pub async fn run(plugin: &ExecConfig, patience: Patience) -> Result<Issued, PluginError> {
    let name = plugin.command.as_deref().ok_or(PluginError::NoCommand)?;
    let has_terminal = io::stdin().is_terminal();
    let is_interactive = match plugin.interactive_mode {
        Some(ExecInteractiveMode::Never) => false,
        Some(ExecInteractiveMode::Always) if !has_terminal => return Err(PluginError::NoTerminal),
        _ => has_terminal,
    };
    let bound = if is_interactive { patience.interactive } else { patience.bound };
    let child = command(name, plugin, is_interactive).spawn().map_err(PluginError::Start)?;
    let output = child.wait_with_output();
    let say = async {
        sleep(patience.said_after).await;
        warn!(command = name, "waiting for the credential plugin, for at most {bound:?}");
        std::future::pending().await
    };
    let output = select! {
        output = timeout(bound, output) => output.map_err(|_| PluginError::TooSlow(bound))?,
        () = say => return Err(PluginError::TooSlow(bound)),
    };
    let output = output.map_err(PluginError::Start)?;
    if !output.status.success() {
        return Err(PluginError::Failed(output.status));
    }
    let ExecCredential { status } = serde_json::from_slice(&output.stdout).map_err(|_| PluginError::Unreadable)?;
    let certificate = status.client_certificate_data.zip(status.client_key_data);
    if status.token.is_none() && certificate.is_none() {
        return Err(PluginError::Unreadable);
    }
    let valid_until = status.expiration_timestamp.map(|time| time.parse()).transpose();
    let valid_until = valid_until.map_err(|_| PluginError::Unreadable)?;
    Ok(Issued { token: status.token, certificate, valid_until })
}

fn command(name: &str, plugin: &ExecConfig, is_interactive: bool) -> Command {
    let mut command = Command::new(name);
    command.args(plugin.args.iter().flatten());
    let pairs = plugin.env.iter().flatten();
    command.envs(pairs.filter_map(|pair| Some((pair.get("name")?, pair.get("value")?))));
    for dropped in plugin.drop_env.iter().flatten() {
        command.env_remove(dropped);
    }
    let mut spec = json!({ "interactive": is_interactive });
    if plugin.provide_cluster_info {
        spec["cluster"] = json!(plugin.cluster);
    }
    let info = json!({ "apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec });
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    // What it has to say to a person goes where this process's own errors go, as with kubectl.
    command.stdin(if is_interactive { Stdio::inherit() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.kill_on_drop(true);
    command
}

#[cfg(test)]
mod tests;

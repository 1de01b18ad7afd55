//! The embedded Lease API as a program. Run `lease-api --kubeconfig lease-api.kubeconfig`, and then use `kubectl` on it.

mod kubeconfig;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use still_leading_lease_api::{Access, Limits, Options, Server, Store, User};
use tokio::signal::unix::{SignalKind, signal};

use kubeconfig::Identity;

/// A Kubernetes Lease API in memory, for tests and for trying things out.
///
/// It serves Leases, ConfigMaps, Events (of both groups) and Namespaces as kube-apiserver 1.37 does, to kubectl, kube and
/// client-go.
/// Nothing is stored: all objects are gone when it ends. It is not an API server for production.
#[derive(Parser, Debug)]
#[command(name = "lease-api", version)]
struct Args {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, env = "LEASE_API_LISTEN", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Where to write a kubeconfig with full access, readable by you alone; an old one is replaced
    #[arg(long, env = "LEASE_API_KUBECONFIG", value_name = "PATH")]
    kubeconfig: PathBuf,

    /// Listen on an address that other machines may reach. The server is not hardened for a network
    #[arg(long)]
    allow_non_loopback: bool,

    /// How many of the latest changes can be watched again; a watch from before them ends with 410
    #[arg(long, value_name = "N", default_value_t = Limits::default().watch_events)]
    watch_events: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let Args { listen, kubeconfig, allow_non_loopback, watch_events } = args;
    if !listen.ip().is_loopback() && !allow_non_loopback {
        bail!("{listen} is not a loopback address; if that is what you want, say --allow-non-loopback");
    }
    // Before the first line is printed: its reader may send a signal at once.
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let identity = Identity::new(listen.ip())?;
    let store = Store::new(Limits { watch_events, ..Limits::default() });
    let options = Options { listen, tls: Some(identity.tls()?), store };
    let server = Server::start(options).await.with_context(|| format!("listening on {listen}"))?;
    let token = kubeconfig::token()?;
    kubeconfig::write(&kubeconfig, &server.url(), &identity, &token)
        .with_context(|| format!("writing {}", kubeconfig.display()))?;
    server.add_user(User { name: "lease-api-admin".to_owned(), token, access: Access::All });
    println!("serving at {}, kubeconfig in {}", server.url(), kubeconfig.display());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.stop().await;
    Ok(())
}

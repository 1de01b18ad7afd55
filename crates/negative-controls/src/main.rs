//! Three replicas, one leader, with an elector that is broken on purpose, in one way at a time. For the evaluation: what it
//! measures of a crate counts only if it catches these. **Not to be copied.**
//!
//! Without `--defect` the elector is a plain one that polls, and nothing is to be found.

mod elector;
mod work;

use anyhow::{Context, Result};
use kube::{Client, Config};
use still_leading_scaffold::{self as scaffold, App, Election};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use elector::{Belief, Elector, Params};
use work::Flags;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scaffold::exit(run().await)
}

async fn run() -> Result<()> {
    let app = App::<Flags>::start_with("negative-control")?;
    let mut config = Config::infer().await.context("no cluster to elect in (set KUBECONFIG, or run in a pod)")?;
    config.default_retry = false;
    let namespace = app.args.lease_namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let params = Params {
        namespace: namespace.clone(),
        lease_name: app.args.lease_name.clone(),
        identity: app.identity.clone(),
        lease_duration: app.args.lease_duration,
        renew_deadline: app.args.renew_deadline,
        retry_period: app.args.retry_period,
        defect: app.flags.defect,
    };
    let work = work::work(app.flags);
    let lease = Some(format!("{namespace}/{}", app.args.lease_name));
    let (publish, beliefs) = watch::channel(Belief::default());
    let release = CancellationToken::new();
    let elector = Elector::new(Client::try_from(config)?, params, publish);
    let task = tokio::spawn(elector.run(app.shutdown(), release.clone()));
    app.work_while_leading(Election { lease, beliefs, view: Belief::view, task, release }, work).await
}

//! Three replicas, one leader, with the library `still-leading`.

mod election;

use anyhow::{Context, Result};
use kube::Config;
use still_leading_scaffold::{self as scaffold, App, Election};
use tokio_util::sync::CancellationToken;

use election::{Params, Status, Term};

// This thread is the election's. The scaffold gives the work threads of its own, so that it cannot hold up the election.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    scaffold::exit(run().await)
}

async fn run() -> Result<()> {
    let mut app = App::start("native")?;
    if !app.args.enable_leader_election {
        return app.lead_for_life().await;
    }
    let config = Config::infer().await.context("no cluster to elect in (set KUBECONFIG, or run in a pod)")?;
    let metrics = app.metrics.clone();
    let params = Params {
        namespace: app.args.lease_namespace.clone(),
        lease_name: app.args.lease_name.clone(),
        identity: app.take_identity(),
        lease_duration: app.args.lease_duration,
        renew_deadline: app.args.renew_deadline,
        retry_period: app.args.retry_period,
        on_attempt: Box::new(move |took| match took {
            Some(took) => metrics.renewed(took),
            None => metrics.attempt_failed(),
        }),
    };
    let elector = election::elector(config, params)?;
    let lease = Some(elector.lease().to_owned());
    let beliefs = elector.status();
    let release = CancellationToken::new();
    let task = tokio::spawn(election::run(elector, release.clone()));
    app.run(Election { lease, beliefs, view, task, release }).await
}

/// What the application needs to know of what the elector publishes.
fn view(status: &Status) -> scaffold::Status {
    let of = |term: Term| scaffold::Term::new(Some(term.epoch()), move || term.remaining());
    scaffold::Status {
        ready: status.synced,
        leader: status.leader.clone(),
        term: status.term.clone().map(of),
        lost: status.lost.as_ref().map(ToString::to_string),
    }
}

//! Three replicas, one leader, with `kube-lease-manager`.

mod connect;
mod election;

use anyhow::Result;
use still_leading_scaffold::{self as scaffold, App, Election};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use election::{Params, Status, Term};

// The election runs on this thread. The scaffold gives the work its own threads, so the work cannot delay the election.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    scaffold::exit(run().await)
}

async fn run() -> Result<()> {
    let app = App::start("kube-lease-manager")?;
    if !app.args.enable_leader_election {
        return app.lead_for_life().await;
    }
    let connected = app.connect(connect::connect(app.lockout.clone())).await?;
    let Some((client, default_namespace)) = connected else { return Ok(()) };
    let namespace = app.args.lease_namespace.clone().unwrap_or(default_namespace);
    let lease = Some(format!("{namespace}/{}", app.args.lease_name));
    let params = Params {
        namespace,
        lease_name: app.args.lease_name.clone(),
        identity: app.identity.clone(),
        lease_duration: app.args.lease_duration,
        renew_deadline: app.args.renew_deadline,
        retry_period: app.args.retry_period,
        on_attempt: app.metrics.on_attempt(),
    };
    let (publish, beliefs) = watch::channel(Status::default());
    let release = CancellationToken::new();
    let task = tokio::spawn(election::run(client, params, publish, release.clone()));
    app.run(Election { lease, beliefs, view, task, release }).await
}

/// Converts what the elector publishes for the application.
fn view(status: &Status) -> scaffold::Status {
    let of = |term: Term| scaffold::Term::new(term.epoch(), move || term.remaining());
    scaffold::Status {
        ready: status.synced,
        leader: status.leader.clone(),
        term: status.term.clone().map(of),
        lost: status.lost.clone(),
    }
}

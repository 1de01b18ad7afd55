//! Three replicas, one leader, with the library `still-leading`.

mod election;
mod flags;

use anyhow::{Context, Result};
use still_leading::Access;
use still_leading_scaffold::{self as scaffold, App, Election, Work};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use election::{Client, Params, Status, Term};
use flags::Flags;

// The election runs on this thread. The scaffold gives the work its own threads, so the work cannot delay the election.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    scaffold::exit(run().await)
}

async fn run() -> Result<()> {
    let app = App::<Flags>::start_with("native")?;
    let work = Work::ticking(app.flags.work);
    if !app.args.enable_leader_election {
        return app.work_for_life(work).await;
    }
    let access = async { Access::infer().await.context("no cluster to elect in (set KUBECONFIG, or run in a pod)") };
    let Some(access) = app.connect(access).await? else { return Ok(()) };
    let namespace = app.args.lease_namespace.clone().unwrap_or_else(|| access.default_namespace().to_owned());
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
    let client = Client::from((election::client(access.noting_in(&app.lockout))?, app.flags.generation.clone()));
    let (publish, beliefs) = watch::channel(Status::default());
    let release = CancellationToken::new();
    let task = tokio::spawn(election::run(client, params, publish, release.clone()));
    app.work_while_leading(Election { lease, beliefs, view, task, release }, work).await
}

/// Converts what the elector publishes for the application.
fn view(status: &Status) -> scaffold::Status {
    let of = |term: Term| {
        let (epoch, library) = (term.epoch(), still_leading::Term::from(term.clone()));
        let asked = library.cancellation_token();
        scaffold::Term::new(epoch, move || term.remaining()).with_hand_over(asked, move || library.hand_over())
    };
    scaffold::Status {
        ready: status.synced,
        leader: status.leader.clone(),
        term: status.term.clone().map(of),
        lost: status.lost.clone(),
    }
}

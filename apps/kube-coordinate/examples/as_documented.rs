//! What a reader writes after the documentation of `kube-coordinate`: the state channel of its README, asked before each
//! act, behind the same application. Here for comparison; the one to copy is `src/election.rs`.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::Client;
use kube_coordinate::{Config, LeaderElector, LeaderState};
use still_leading_scaffold::{self as scaffold, App, Election};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[tokio::main(worker_threads = 2)]
async fn main() {
    scaffold::exit(run().await)
}

async fn run() -> Result<()> {
    let app = App::start("kube-coordinate")?;
    if !app.args.enable_leader_election {
        return app.lead_for_life().await;
    }
    let client = Client::try_default().await?;
    let namespace = app.args.lease_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let config = Config::default()
        .name(&app.args.lease_name)
        .namespace(&namespace)
        .identity(app.identity.as_str())
        .manager(&app.args.lease_name)
        .lease_duration(app.args.lease_duration)
        .renew_deadline(app.args.renew_deadline)
        .retry_period(app.args.retry_period)
        // The default is five seconds, a third of the default lease duration; it is kept in proportion.
        .api_timeout(app.args.lease_duration / 3);
    let handle = LeaderElector::spawn(config, client)?;

    let mut state = handle.state();
    let (publish, beliefs) = watch::channel(state.clone());
    let release = CancellationToken::new();
    let stop = release.clone();
    let task = tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = state.changed() => ensure!(changed.is_ok(), "the elector has ended"),
            }
            publish.send_replace(state.clone());
        }
        handle.shutdown().await?;
        Ok(())
    });
    let lease = Some(format!("{namespace}/{}", app.args.lease_name));
    app.run(Election { lease, beliefs, view, task, release }).await
}

/// Leadership as documented: `state.borrow().is_leader()`, asked before each act.
fn view(state: &watch::Receiver<LeaderState>) -> scaffold::Status {
    let now = state.borrow().clone();
    let state = state.clone();
    let remaining = move || if state.borrow().is_leader() { Duration::MAX } else { Duration::ZERO };
    scaffold::Status {
        ready: now != LeaderState::Standby,
        leader: None,
        term: now.is_leader().then(|| scaffold::Term::new(None, remaining)),
        lost: None,
    }
}

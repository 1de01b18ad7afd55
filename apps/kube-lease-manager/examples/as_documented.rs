//! What a reader writes after the documentation of `kube-lease-manager`: `watch` and its channel of `bool`, as in its README
//! and its `examples/jobs_logger.rs`, behind the same application. Here for comparison; the one to copy is
//! `src/election.rs`.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::Client;
use kube_lease_manager::LeaseManagerBuilder;
use still_leading_scaffold::{self as scaffold, App, Election};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[tokio::main(worker_threads = 2)]
async fn main() {
    scaffold::exit(run().await)
}

/// The channel of the crate; none once it is dropped.
type Belief = Option<watch::Receiver<bool>>;

async fn run() -> Result<()> {
    let app = App::start("kube-lease-manager")?;
    if !app.args.enable_leader_election {
        return app.lead_for_life().await;
    }
    let client = Client::try_default().await?;
    let namespace = app.args.lease_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let manager = LeaseManagerBuilder::new(client, &app.args.lease_name)
        .with_namespace(&namespace)
        .with_identity(app.identity.as_str())
        .with_duration(app.args.lease_duration.as_secs())
        .with_grace((app.args.lease_duration - app.args.renew_deadline).as_secs())
        .build()
        .await?;
    let (mut channel, manager) = manager.watch().await;

    let (publish, beliefs) = watch::channel(Some(channel.clone()));
    let release = CancellationToken::new();
    let stop = release.clone();
    let task = tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = channel.changed() => ensure!(changed.is_ok(), "the elector has ended"),
            }
            publish.send_replace(Some(channel.clone()));
        }
        // The crate releases the lease when its channel is closed.
        drop(channel);
        publish.send_replace(None);
        manager.await??;
        Ok(())
    });
    let lease = Some(format!("{namespace}/{}", app.args.lease_name));
    app.run(Election { lease, beliefs, view, task, release }).await
}

/// Leadership as documented: the value of the channel, read before each act.
fn view(belief: &Belief) -> scaffold::Status {
    let Some(channel) = belief else { return scaffold::Status::default() };
    let leads = *channel.borrow();
    let channel = channel.clone();
    let remaining = move || if *channel.borrow() { Duration::MAX } else { Duration::ZERO };
    let term = leads.then(|| scaffold::Term::new(None, remaining));
    scaffold::Status { ready: true, leader: None, term, lost: None }
}

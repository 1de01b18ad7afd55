//! What a reader writes after the documentation of `kube-leader-election`: the loop and the `AtomicBool` of its README and
//! of its `examples/shared-lease.rs`, behind the same application. Here for comparison; the one to copy is `src/election.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use kube::Client;
use kube_leader_election::{LeaseLock, LeaseLockParams, LeaseLockResult};
use still_leading_scaffold::{self as scaffold, App, Election};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::error;

#[tokio::main(worker_threads = 2)]
async fn main() {
    scaffold::exit(run().await)
}

async fn run() -> Result<()> {
    let app = App::start("kube-leader-election")?;
    if !app.args.enable_leader_election {
        return app.lead_for_life().await;
    }
    let client = Client::try_default().await?;
    let namespace = app.args.lease_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let leadership = LeaseLock::new(
        client,
        &namespace,
        LeaseLockParams {
            holder_id: app.identity.to_string(),
            lease_name: app.args.lease_name.clone(),
            lease_ttl: app.args.lease_duration,
        },
    );
    // 15 seconds and 5 seconds in the documentation.
    let pause = app.args.lease_duration / 3;

    let is_leader = Arc::new(AtomicBool::new(false));
    let (publish, beliefs) = watch::channel((false, Arc::clone(&is_leader)));
    let release = CancellationToken::new();
    let stop = release.clone();
    let task = tokio::spawn(async move {
        // The documentation ends neither this loop nor the lease.
        while !stop.is_cancelled() {
            let synced = match leadership.try_acquire_or_renew().await {
                Ok(ll) => {
                    is_leader.store(matches!(ll, LeaseLockResult::Acquired(_)), Ordering::Relaxed);
                    true
                }
                Err(error) => {
                    error!(error = format!("{error:#}"), "could not acquire or renew the lease");
                    publish.borrow().0
                }
            };
            publish.send_replace((synced, Arc::clone(&is_leader)));
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
        Ok(())
    });
    let lease = Some(format!("{namespace}/{}", app.args.lease_name));
    app.run(Election { lease, beliefs, view, task, release }).await
}

/// Leadership as documented: a flag that is read before each act.
fn view((synced, is_leader): &(bool, Arc<AtomicBool>)) -> scaffold::Status {
    let flag = Arc::clone(is_leader);
    let remaining = move || if flag.load(Ordering::Relaxed) { Duration::MAX } else { Duration::ZERO };
    let term = is_leader.load(Ordering::Relaxed).then(|| scaffold::Term::new(None, remaining));
    scaffold::Status { ready: *synced, leader: None, term, lost: None }
}

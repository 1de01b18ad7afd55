//! What a reader writes after the documentation of `k8s-controller`: the loop around `with_lease` of its `src/lib.rs`, and
//! what the comment on `with_lease` says about termination, behind the same application. Here for comparison; the one to
//! copy is `src/election.rs`.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use k8s_controller::LeaderElection;
use kube::Client;
use still_leading_scaffold::{self as scaffold, App, Election};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[tokio::main(worker_threads = 2)]
async fn main() {
    scaffold::exit(run().await)
}

async fn run() -> Result<()> {
    let app = App::start("k8s-controller")?;
    if !app.args.enable_leader_election {
        return app.lead_for_life().await;
    }
    let client = Client::try_default().await?;
    let namespace = app.args.lease_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    // The documentation keeps the default durations.
    let leader_election = LeaderElection::new(client, &namespace, &app.args.lease_name, app.identity.as_str())
        .with_lease_duration(app.args.lease_duration)
        .with_renew_deadline(app.args.renew_deadline)
        .with_retry_period(app.args.retry_period);

    let leads = Arc::new(AtomicBool::new(false));
    let (publish, beliefs) = watch::channel(Arc::clone(&leads));
    let release = CancellationToken::new();
    let stop = release.clone();
    let task = tokio::spawn(async move {
        let elect = async {
            loop {
                leader_election.with_lease(work(&publish, &leads)).await;
                publish.send_modify(|_| {});
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = elect => {}
        }
        leader_election.release().await;
        Ok(())
    });
    let lease = Some(format!("{namespace}/{}", app.args.lease_name));
    app.run(Election { lease, beliefs, view, task, release }).await
}

/// In the place of `controller.run()`: the application works elsewhere, for as long as this future lives.
async fn work(publish: &watch::Sender<Arc<AtomicBool>>, leads: &AtomicBool) {
    let _alive = Alive(leads);
    publish.send_modify(|leads| leads.store(true, Ordering::Relaxed));
    pending().await
}

/// The crate drops the future that it is given.
struct Alive<'a>(&'a AtomicBool);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Leadership as documented: the work runs while the crate lets it. It does not tell whether it has seen the Lease.
fn view(leads: &Arc<AtomicBool>) -> scaffold::Status {
    let flag = Arc::clone(leads);
    let remaining = move || if flag.load(Ordering::Relaxed) { Duration::MAX } else { Duration::ZERO };
    let term = leads.load(Ordering::Relaxed).then(|| scaffold::Term::new(None, remaining));
    scaffold::Status { ready: true, leader: None, term, lost: None }
}

//! What a reader writes after the documentation of `kubert`: `LeaseManager::spawn`, and the claims that its receiver shows,
//! as in its `examples/lease.rs`, behind the same application. Here for comparison; the one to copy is `src/election.rs`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use kube::{Api, Client};
use kubert::lease::{Claim, ClaimParams, LeaseManager};
use still_leading_scaffold::{self as scaffold, App, Election};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[tokio::main(worker_threads = 2)]
async fn main() {
    scaffold::exit(run().await)
}

/// The claims as the crate publishes them, and the identity to compare them with; none once they are dropped.
type Belief = Option<(watch::Receiver<Arc<Claim>>, Arc<str>)>;

async fn run() -> Result<()> {
    let app = App::start("kubert")?;
    if !app.args.enable_leader_election {
        return app.lead_for_life().await;
    }
    let client = Client::try_default().await?;
    let namespace = app.args.lease_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let params = ClaimParams { lease_duration: app.args.lease_duration, ..ClaimParams::default() };
    let manager = LeaseManager::init(Api::namespaced(client, &namespace), &app.args.lease_name).await?;
    let (mut claims, elector) = manager.spawn(app.identity.as_str(), params).await?;

    let identity: Arc<str> = app.identity.as_str().into();
    let (publish, beliefs) = watch::channel(Some((claims.clone(), Arc::clone(&identity))));
    let release = CancellationToken::new();
    let stop = release.clone();
    let task = tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = claims.changed() => {
                    // The crate's task has ended: its example ends the process with the reason.
                    if changed.is_err() {
                        return Ok(elector.await??);
                    }
                    publish.send_replace(Some((claims.clone(), Arc::clone(&identity))));
                }
            }
        }
        // "When all receivers are dropped, the task completes and the lease is vacated."
        drop(claims);
        publish.send_replace(None);
        Ok(elector.await??)
    });
    let lease = Some(format!("{namespace}/{}", app.args.lease_name));
    app.run(Election { lease, beliefs, view, task, release }).await
}

/// Leadership as documented: `is_current_for`, asked before each act.
fn view(belief: &Belief) -> scaffold::Status {
    let Some((claims, identity)) = belief else { return scaffold::Status::default() };
    let claim = Arc::clone(&claims.borrow());
    let (claims, me) = (claims.clone(), Arc::clone(identity));
    let remaining = move || match claims.borrow() {
        claim if claim.is_current_for(&me) => {
            SystemTime::from(claim.expiry).duration_since(SystemTime::now()).unwrap_or_default()
        }
        _ => Duration::ZERO,
    };
    scaffold::Status {
        ready: true,
        leader: claim.is_current().then(|| claim.holder.clone()),
        term: claim.is_current_for(identity).then(|| scaffold::Term::new(None, remaining)),
        lost: None,
    }
}

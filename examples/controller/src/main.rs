//! A kube-rs Controller with three replicas, of which one reconciles. It copies each ConfigMap with the label
//! `still-leading.dev/mirror=true` to a child ConfigMap, and keeps the child up to date.
//!
//! | file | what it shows |
//! |---|---|
//! | `election.rs` | the election, as in every variant: replace it to elect with another crate |
//! | `term.rs` | the Controller of one term: gated, drained, awaited |
//! | `warm.rs` | the same with caches that a standby keeps |
//! | `reconcile.rs` | the reconcile of one object |
//! | `mirror.rs` | what the child should be |
//! | `write.rs` | the only way to write: in time, with the epoch |
//! | `fencing.rs` | the proof that the API server refuses a write without an epoch |
//! | `events.rs` | "became leader" and "stopped leading" as Events of the Lease |

mod election;
mod events;
mod fencing;
mod flags;
mod metrics;
mod mirror;
mod reconcile;
mod term;
mod warm;
mod write;

use anyhow::{Context, Result, bail};
use kube::Client;
use still_leading::Access;
use still_leading_scaffold::{self as scaffold, App, Election, Work};
use tokio::select;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use election::{Params, Status, Term};
use events::Announcer;
use flags::Flags;
use metrics::Reconciles;
use term::Controlling;

// The election runs on this thread. The scaffold gives the work its own threads, so the work cannot delay the election.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    scaffold::exit(run().await)
}

async fn run() -> Result<()> {
    let app = App::<Flags>::start_with("controller")?;
    let access = async { Access::infer().await.context("no cluster to work in (set KUBECONFIG, or run in a pod)") };
    let Some(access) = app.connect(access).await? else { return Ok(()) };
    let namespace = app.args.lease_namespace.clone().unwrap_or_else(|| access.default_namespace().to_owned());
    let client = of_the_work(&app, &access)?;
    if app.flags.require_fencing {
        if !app.args.enable_leader_election {
            bail!("--require-fencing needs --enable-leader-election: without an election there is no epoch");
        }
        select! {
            biased;
            () = app.shutdown() => return Ok(()),
            proven = fencing::prove(client.clone(), &namespace, &app.args.lease_name) => proven?,
        }
    }
    let work = work(&app, client, &namespace);
    if !app.args.enable_leader_election {
        return app.work_for_life(work).await;
    }
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
    // A client of its own: the work's connections must not delay a renewal.
    let client = election::client(access.noting_in(&app.lockout))?;
    let (publish, beliefs) = watch::channel(Status::default());
    let release = CancellationToken::new();
    let task = tokio::spawn(election::run(client, params, publish, release.clone()));
    app.work_while_leading(Election { lease, beliefs, view, task, release }, work).await
}

/// The client of the work. Its tasks run on the runtime of the work. It does not retry, since a retried write would be late.
fn of_the_work(app: &App<Flags>, access: &Access) -> Result<Client> {
    let _entered = app.workers().enter();
    access.client().context("the cluster's configuration cannot be used")
}

/// What the leader does in each of its terms.
fn work(app: &App<Flags>, client: Client, namespace: &str) -> Work {
    let _entered = app.workers().enter();
    let announcer = app.args.enable_leader_election.then(|| {
        Announcer::new(client.clone(), namespace, &app.args.lease_name, &app.identity, app.last_words.clone())
    });
    let controlling = Controlling::new(client, namespace, app.flags, Reconciles::new(&app.metrics));
    Work::new(move |term, cancelled| {
        let (controlling, announcer) = (controlling.clone(), announcer.clone());
        async move {
            let _announced = announcer.map(Announcer::began);
            controlling.run(term, cancelled).await
        }
    })
}

/// Converts what the elector publishes for the application.
fn view(status: &Status) -> scaffold::Status {
    let of = |term: Term| {
        let epoch = term.epoch();
        let remaining = move || term.remaining();
        // Never over by the clock: otherwise the process would be ended right after a term whose end was not noticed in time.
        #[cfg(feature = "control")]
        let remaining = move || remaining().max(std::time::Duration::MAX);
        scaffold::Term::new(epoch, remaining)
    };
    scaffold::Status {
        ready: status.synced,
        leader: status.leader.clone(),
        term: status.term.clone().map(of),
        lost: status.lost.clone(),
    }
}

//! A controller of which one replica works, on the `election.rs` of any variant.
//!
//! Replace `work` by what your leader does. The rest keeps the order that matters: stop the work, wait for it, release the
//! Lease, exit. Every wait has a bound.

mod election;

use std::collections::hash_map::RandomState;
use std::env;
use std::future::pending;
use std::hash::{BuildHasher, Hasher};
use std::mem::ManuallyDrop;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::{Router, routing::get};
use prometheus_client::{encoding::text::encode, metrics::gauge::Gauge, registry::Registry};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch::{self, Receiver};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use election::{Params, Status, Term};

const LEASE_DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY_PERIOD: Duration = Duration::from_secs(2);
/// How long the work may take to end after SIGTERM; the lease is renewed meanwhile. With the release, up to one and a half
/// renew deadlines, it has to fit into the pod's `terminationGracePeriodSeconds`.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

// This thread is the election's. The work has threads of its own, so that it can hold up neither renewals nor the deadline.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    tracing_subscriber::fmt().init();
    let result = run().await;
    if let Err(error) = &result {
        error!(reason = format!("{error:#}"), "exiting");
    }
    // Returning instead would wait for work that does not end, although another replica may lead by now.
    process::exit(result.is_err().into())
}

async fn run() -> Result<()> {
    let shutdown = shutdown_token()?;
    // Never dropped: that would wait for work that blocks.
    let workers = Builder::new_multi_thread().worker_threads(2).thread_name("work").enable_all().build();
    let workers = ManuallyDrop::new(workers.context("starting the threads of the work")?);
    let lease_name = variable("LEASE_NAME")?;
    let params = Params {
        namespace: variable("POD_NAMESPACE")?,
        lease_name: lease_name.clone(),
        // With a random part: a restarted container keeps its pod's name, and must not mistake the old lease for its own.
        identity: format!("{}_{:08x}", variable("POD_NAME")?, RandomState::new().build_hasher().finish() as u32),
        lease_duration: LEASE_DURATION,
        renew_deadline: RENEW_DEADLINE,
        retry_period: RETRY_PERIOD,
        on_attempt: Box::new(|_| ()),
    };
    let client = election::client(kube::Config::infer().await.context("no cluster to elect in")?)?;
    let (publish, status) = watch::channel(Status::default());
    workers.spawn(serve(lease_name, status.clone())).await??;
    tokio::spawn(report_leaders(status.clone()));

    let release = CancellationToken::new();
    let mut elector = tokio::spawn(election::run(client, params, publish, release.clone()));
    let failed = select! {
        // The elector first: once it has died, whatever the work says comes too late.
        biased;
        end = &mut elector => bail!("the elector ended by itself: {:?}", end?),
        end = lead(status, &shutdown, workers.handle()) => end?,
    };
    release.cancel();
    // A lease that cannot be released expires by itself: that delays a successor, and is no failure of this replica.
    match timeout(RENEW_DEADLINE * 3 / 2, elector).await {
        Ok(Ok(Ok(()))) => {}
        end => warn!(?end, "could not release the lease, it expires by itself"),
    }
    failed.map_or(Ok(()), |why| bail!("{why}"))
}

/// Runs the work once for each term until `shutdown`, or until it ends by itself: then returns how. After an error the work
/// may still run, so that the lease must be kept and the process must end.
async fn lead(mut status: Receiver<Status>, shutdown: &CancellationToken, workers: &Handle) -> Result<Option<String>> {
    loop {
        let term = select! {
            // No term begins once a shutdown was asked for.
            biased;
            () = shutdown.cancelled() => return Ok(None),
            term = next_term(&mut status) => term,
        };
        let cancelled = CancellationToken::new();
        let mut work = workers.spawn(work(term.clone(), cancelled.clone()));
        select! {
            biased;
            () = shutdown.cancelled() => {
                cancelled.cancel();
                let drained = async {
                    select! {
                        biased;
                        end = &mut work => Ok(end?),
                        // Renewed until the work has ended, so this comes early only if the lease is lost meanwhile.
                        () = over(&term, &mut status) => after_loss(&mut work).await,
                    }
                };
                timeout(DRAIN_TIMEOUT, drained).await.context("the work did not stop in time (shutting down)")??;
            }
            () = over(&term, &mut status) => {
                cancelled.cancel();
                after_loss(&mut work).await?;
            }
            end = &mut work => {
                // It asks too, and may come first to the end of its term.
                if end.is_err() || !term.remaining().is_zero() {
                    return Ok(Some(end.map_or_else(|panic| panic.to_string(), |()| "the work ended by itself".into())));
                }
            }
        }
        info!("stopped leading");
    }
}

/// Waits for work whose term is over: for as long as nobody else can have the lease.
async fn after_loss(work: &mut tokio::task::JoinHandle<()>) -> Result<()> {
    let bound = LEASE_DURATION - RENEW_DEADLINE;
    Ok(timeout(bound, work).await.context("the work did not stop in time (the term is over)")??)
}

async fn next_term(status: &mut Receiver<Status>) -> Term {
    loop {
        let term = status.borrow_and_update().term.clone();
        if let Some(term) = term.filter(|term| !term.remaining().is_zero()) {
            return term;
        }
        if status.changed().await.is_err() {
            // The elector has died, which `run` notices.
            pending().await
        }
    }
}

/// Waits until `term` is over, also if the elector says nothing: it asks the clock.
async fn over(term: &Term, status: &mut Receiver<Status>) {
    loop {
        let remaining = term.remaining();
        if remaining.is_zero() {
            return;
        }
        select! {
            Ok(()) = status.changed() => {}
            // Renewals move the end, so this asks anew.
            () = sleep(remaining) => {}
        }
    }
}

/// Does what only the leader does, until it is cancelled: the term is over, or the process is asked to stop.
async fn work(term: Term, cancelled: CancellationToken) {
    info!(epoch = term.epoch(), "working");
    loop {
        select! {
            () = cancelled.cancelled() => return,
            () = sleep(Duration::from_secs(5)) => {}
        }
        // Last, before each act: the process may have been paused since the timer fired.
        if term.remaining().is_zero() {
            return;
        }
        // Where the variant has an epoch, send it along, if the system that you write to can reject an older one.
        info!("still leading");
    }
}

/// Answers the probes and Prometheus. Neither probe depends on who leads: a standby is alive and ready.
async fn serve(lease: String, status: Receiver<Status>) -> Result<()> {
    let leads = Gauge::<i64>::default();
    let mut registry = Registry::with_labels([("name".into(), lease.into())].into_iter());
    registry.register("leader_election_master_status", "1 if this replica leads, 0 if not", leads.clone());
    let registry = Arc::new(registry);

    let seen = status.clone();
    let ready =
        move || async move { if seen.borrow().synced { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE } };
    let metrics = move || async move {
        leads.set(status.borrow().term.as_ref().is_some_and(|term| !term.remaining().is_zero()).into());
        let mut text = String::new();
        encode(&mut text, &registry).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok::<_, StatusCode>(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
    };
    let router = Router::new()
        .route("/healthz", get(StatusCode::OK))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics));

    let port = env::var("PORT").map_or(Ok(8080), |port| port.parse()).context("PORT is not a port")?;
    // Both IP families; the second address is for machines without IPv6.
    let addresses = [SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))];
    let listener = TcpListener::bind(&addresses[..]).await.with_context(|| format!("listening on port {port}"))?;
    info!(address = %listener.local_addr()?, "serving http");
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            error!(%error, "http ended");
        }
    });
    Ok(())
}

/// Logs each change of leader, where the crate tells.
async fn report_leaders(mut status: Receiver<Status>) {
    let mut known = None;
    loop {
        let leader = status.borrow_and_update().leader.clone();
        if leader.is_some() && leader != known {
            info!(leader, "new leader");
            known = leader;
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// The token that SIGTERM or SIGINT cancels.
fn shutdown_token() -> Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        cancelled.cancel();
        info!("shutting down");
    });
    Ok(token)
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("the environment variable {name} is needed"))
}

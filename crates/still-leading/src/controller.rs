//! Runs a kube-rs `Controller` for one term, so that nothing of it is left when the term is over.
//!
//! [`Controller::run`] spawns each reconcile as a task of its own. Whoever drops its stream stops none of them: each ends
//! at its next `.await`, and nobody waits for that. [`run`] does what a leader needs around it:
//!
//! - A reconcile begins only while the term lasts. One that was queued may start after the loss.
//! - When the term is over, each reconcile is dropped at its next `.await`, and the stream with it.
//! - When a shutdown was asked for, no reconcile begins, and those that run may finish while the Lease is renewed.
//! - It returns only when no reconcile runs any more. So [`lead`](crate::lead) waits for all of them before the Lease is
//!   released, and ends the process if one does not end in time.
//!
//! A new `Controller` for each term reconciles every object once: that is the full reconcile of a take-over.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, TryFuture, TryFutureExt};
use kube::Resource;
use kube::runtime::controller::{Action, Controller, Error as ControllerError};
use kube::runtime::reflector::ObjectRef;
use serde::de::DeserializeOwned;
use tokio::select;
use tokio::time::sleep;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{debug, warn};

use crate::gate::{Gate, NotLeading};

/// After the last reconcile of a shutdown, its result gets so long to be reported.
const LAST_RESULTS: Duration = Duration::from_millis(100);

/// Why a reconcile has no result.
#[derive(Debug, thiserror::Error)]
pub enum Reconcile<E> {
    /// The term was over before it began or before it ended. Whoever leads next reconciles the object.
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
    /// It failed.
    #[error(transparent)]
    Failed(E),
}

/// The controller ended although its term lasts and no shutdown was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller ended by itself")]
pub struct EndedByItself;

/// A reconcile as [`gated`] makes it.
pub type Gated<E> = Pin<Box<dyn Future<Output = Result<Action, Reconcile<E>>> + Send>>;

/// Runs `controller` for one term. Call it in the work that [`Elector::lead`](crate::Elector::lead) runs, and return when it
/// does.
///
/// `controller` must have no shutdown of its own (`graceful_shutdown_on`, `shutdown_on_signal`): that would come before the
/// one of `lead`, and be an error here. Nobody waits for tasks that a reconcile spawns, nor for `spawn_blocking`: what they
/// do belongs into [`Gate::run`] and [`Gate::run_blocking`].
///
/// `term` is a [`Term`](crate::Term), or a [`Gate`] for the term of another election. `error_policy` is asked about
/// reconciles that failed, and never about those that the end of the term cut short. Failures are logged.
///
/// ```no_run
/// # use std::{convert::Infallible, sync::Arc, time::Duration};
/// # use k8s_openapi::api::core::v1::ConfigMap;
/// use kube::runtime::controller::{Action, Controller};
/// use kube::runtime::watcher;
/// # use kube::{Api, Client};
/// # use still_leading::{Elector, controller, shutdown_signal};
/// # async fn reconcile(_: Arc<ConfigMap>, _: Arc<()>) -> Result<Action, Infallible> { Ok(Action::await_change()) }
/// # async fn example(elector: Elector, client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let end = elector.lead(shutdown_signal(), move |term| {
///     let objects = Controller::new(Api::<ConfigMap>::default_namespaced(client.clone()), watcher::Config::default());
///     let retry = |_, _: &Infallible, _| Action::requeue(Duration::from_secs(5));
///     controller::run(term, objects, reconcile, retry, Arc::new(()))
/// });
/// println!("{:?}", end.await?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The controller ended by itself.
///
/// # Panics
/// If a reconcile panics. [`lead`](crate::lead) makes an error of it.
pub async fn run<K, Ctx, F, R, P>(
    term: impl Into<Gate>,
    controller: Controller<K>,
    reconcile: R,
    error_policy: P,
    context: Arc<Ctx>,
) -> Result<(), EndedByItself>
where
    K: Clone + Resource + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Clone + Debug + Eq + Hash + Unpin,
    F: TryFuture<Ok = Action> + Send + 'static,
    F::Error: StdError + Send + 'static,
    R: FnMut(Arc<K>, Arc<Ctx>) -> F,
    P: Fn(Arc<K>, &F::Error, Arc<Ctx>) -> Action,
{
    let gate = term.into();
    let stream = controller.graceful_shutdown_on(gate.cancellation_token().cancelled_owned()).run(
        gated(&gate, reconcile),
        policy(error_policy),
        context,
    );
    drive(&gate, stream).await
}

/// `reconcile`, let through by `gate`. For [`applier`](kube::runtime::applier), which needs more of its caller than
/// [`Controller`] does.
pub fn gated<K, Ctx, F>(
    gate: &Gate,
    mut reconcile: impl FnMut(Arc<K>, Arc<Ctx>) -> F,
) -> impl FnMut(Arc<K>, Arc<Ctx>) -> Gated<F::Error>
where
    F: TryFuture<Ok = Action> + Send + 'static,
    F::Error: Send + 'static,
{
    let gate = gate.clone();
    move |object, context| {
        // Counted from here on, so that what is dropped before it was polled is waited for as well.
        let begun = gate.begin().map(|running| Begun { reconcile: reconcile(object, context), running });
        let gate = gate.clone();
        Box::pin(async move {
            let begun = begun.ok_or(NotLeading)?;
            if !gate.is_open() {
                return Err(NotLeading.into());
            }
            let Begun { reconcile, running } = begun;
            gate.run_begun(running, TryFutureExt::into_future(reconcile)).await?.map_err(Reconcile::Failed)
        })
    }
}

/// A reconcile that counts as running. In this order, since the fields are dropped in theirs.
struct Begun<F> {
    reconcile: F,
    running: TaskTrackerToken,
}

/// `error_policy` for reconciles that are [`gated`].
pub fn policy<K, Ctx, E>(
    error_policy: impl Fn(Arc<K>, &E, Arc<Ctx>) -> Action,
) -> impl Fn(Arc<K>, &Reconcile<E>, Arc<Ctx>) -> Action {
    move |object, error, context| match error {
        Reconcile::NotLeading(_) => Action::await_change(),
        Reconcile::Failed(error) => error_policy(object, error, context),
    }
}

/// Polls the stream of a controller until it ends or the term is over, and waits until no reconcile runs any more.
///
/// # Errors
/// The stream ended although its term lasts and no shutdown was asked for.
pub async fn drive<K, E, Q>(
    gate: &Gate,
    stream: impl Stream<Item = Result<(ObjectRef<K>, Action), ControllerError<Reconcile<E>, Q>>>,
) -> Result<(), EndedByItself>
where
    K: Resource,
    K::DynamicType: Debug,
    E: StdError + 'static,
    Q: StdError + 'static,
{
    let mut stream = Box::pin(stream);
    let end = loop {
        select! {
            biased;
            () = gate.over() => break Ok(false),
            () = drained(gate) => break Ok(false),
            result = AssertUnwindSafe(stream.next()).catch_unwind() => match result {
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => report(&error),
                Ok(None) => break Ok(true),
                Err(panic) => break Err(panic),
            }
        }
    };
    let was_asked = !gate.is_open();
    drop(stream);
    // Also after a panic: the other reconciles may still have to notice.
    gate.idle().await;
    match end {
        Ok(has_ended) if has_ended && !was_asked => Err(EndedByItself),
        Ok(_) => Ok(()),
        Err(panic) => resume_unwind(panic),
    }
}

/// Waits until nothing runs any more after a shutdown was asked for. The stream says so as well, but not before it has
/// listed all objects once, which it may never do.
async fn drained(gate: &Gate) {
    gate.cancellation_token().cancelled_owned().await;
    gate.idle().await;
    sleep(LAST_RESULTS).await;
}

fn report<E: StdError + 'static, Q: StdError + 'static>(error: &ControllerError<Reconcile<E>, Q>) {
    match error {
        ControllerError::ReconcilerFailed(Reconcile::NotLeading(_), object) => {
            debug!(%object, "the term ended before the reconcile did");
        }
        ControllerError::ReconcilerFailed(Reconcile::Failed(error), object) => {
            warn!(%object, %error, "reconcile failed");
        }
        ControllerError::QueueError(error) => warn!(%error, "watching failed"),
        // It is gone, or another object that it owns came first.
        error => debug!(%error, "nothing to reconcile"),
    }
}

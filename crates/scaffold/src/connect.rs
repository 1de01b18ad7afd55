//! What a variant needs around the client of its election, whichever `kube` that is of: a start that neither hangs nor ignores a
//! signal, and an eye on whether the API server lets it in. With the library `still-leading` the elector has that eye itself.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::BoxFuture;
use http::{Request, Response};
use still_leading::Lockout;
use tokio::select;
use tokio::time::{sleep, timeout};
use tower::Service;
use tracing::warn;

/// After this time the log says what is waited for.
const SAID_AFTER: Duration = Duration::from_secs(5);
/// Longer than the minute that `still-leading` gives a credential plugin, so that its words are heard.
const BOUND: Duration = Duration::from_secs(65);
/// As `BOUND`, where a plugin may ask the person at the terminal.
const BOUND_WITH_A_PERSON: Duration = Duration::from_secs(305);

/// Runs `connect`, for a bounded time, unless `shutdown` completes before: `None`.
///
/// # Errors
/// Those of `connect`, or it has taken too long.
pub(crate) async fn unless<T>(
    shutdown: impl Future<Output = ()>,
    connect: impl Future<Output = Result<T>>,
) -> Result<Option<T>> {
    let bound = if io::stdin().is_terminal() { BOUND_WITH_A_PERSON } else { BOUND };
    let say = async {
        sleep(SAID_AFTER).await;
        warn!("waiting for the credentials, for at most {bound:?}: is there a credential plugin that hangs?");
        std::future::pending::<()>().await;
    };
    let late = "the credentials did not come in time; a credential plugin hangs, if the kubeconfig names one";
    select! {
        biased;
        () = shutdown => Ok(None),
        connected = timeout(bound, connect) => connected.context(late)?.map(Some),
        () = say => Ok(None),
    }
}

/// A client, or another HTTP service, whose answers are noted.
#[derive(Clone, Debug)]
pub struct Watched<S> {
    service: S,
    lockout: Lockout,
}

impl<S> Watched<S> {
    /// Notes in `lockout` what `service` answers.
    pub fn new(service: S, lockout: &Lockout) -> Self {
        Self { service, lockout: lockout.clone() }
    }
}

impl<S, A, B> Service<Request<A>> for Watched<S>
where
    S: Service<Request<A>, Response = Response<B>, Future: Send + 'static>,
    S::Error: Error + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (answer, lockout) = (self.service.call(request), self.lockout.clone());
        Box::pin(async move {
            let answer = answer.await;
            match &answer {
                Ok(answer) => lockout.note_status(answer.status().as_u16()),
                Err(error) => lockout.note_error(error),
            };
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_start_that_hangs_obeys_a_signal_and_ends_by_itself() {
        let signal = sleep(Duration::from_secs(20));
        assert!(unless(signal, pending::<Result<()>>()).await.is_ok_and(|connected| connected.is_none()));
        let error = unless(pending(), pending::<Result<()>>()).await.unwrap_err();
        assert!(error.to_string().contains("credential plugin"), "{error}");
        assert_eq!(unless(pending(), ready(Ok(7))).await.unwrap(), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_noted() {
        let lockout = Lockout::default();
        let deadline = Duration::from_secs(10);
        let refuses = service_fn(async |_: Request<()>| Response::builder().status(401).body(()));
        let mut watched = Watched::new(refuses, &lockout);
        for _ in 0..2 {
            let answer = watched.ready().await.unwrap().call(Request::new(())).await.unwrap();
            assert_eq!(answer.status(), 401);
            sleep(deadline * 13).await;
        }
        assert!(lockout.reason(deadline).is_some());
    }
}

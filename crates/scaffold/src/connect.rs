//! A start that does not hang and obeys signals, although it may wait for a credential plugin.

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::select;
use tokio::time::{sleep, timeout};
use tracing::warn;

/// After this time the log says what the start is waiting for.
const SAID_AFTER: Duration = Duration::from_secs(5);
/// Longer than the minute that `still-leading` gives a credential plugin, so that its error is logged.
const BOUND: Duration = Duration::from_secs(65);
/// As `BOUND`, where a plugin may ask a person at the terminal.
const BOUND_WITH_A_PERSON: Duration = Duration::from_secs(305);

/// Runs `connect` for a bounded time. Returns `None` if `shutdown` completes first.
///
/// # Errors
/// `connect` fails, or takes too long.
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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_start_that_hangs_obeys_a_signal_and_ends_by_itself() {
        let signal = sleep(Duration::from_secs(20));
        assert!(unless(signal, pending::<Result<()>>()).await.is_ok_and(|connected| connected.is_none()));
        let error = unless(pending(), pending::<Result<()>>()).await.unwrap_err();
        assert!(error.to_string().contains("credential plugin"), "{error}");
        assert_eq!(unless(pending(), ready(Ok(7))).await.unwrap(), Some(7));
    }
}

//! What the adapter makes of its parameters. The election itself is tested in the library.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::*;

fn params() -> Params {
    Params {
        namespace: "team".to_owned(),
        lease_name: "my-lease".to_owned(),
        identity: "pod-0_1".to_owned(),
        lease_duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
        on_attempt: Box::new(|_| {}),
    }
}

fn unreachable() -> Client {
    // The discard port of this machine: nobody answers there.
    client(kube::Config::new("http://127.0.0.1:9".parse().unwrap()).into()).unwrap()
}

#[tokio::test]
async fn what_the_library_refuses_is_one_line() {
    let (publish, _status) = watch::channel(Status::default());
    let params = Params { retry_period: Duration::from_secs(5), ..params() };
    let error = run(unreachable(), params, publish, CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "renew_deadline 10s must be longer than twice the retry_period 5s");
}

#[tokio::test]
async fn without_a_term_there_is_nothing_to_release_and_nothing_was_lost() {
    let (publish, status) = watch::channel(Status::default());
    let release = CancellationToken::new();
    release.cancel();
    run(unreachable(), params(), publish, release).await.unwrap();
    let status = status.borrow();
    assert!(status.term.is_none() && status.lost.is_none() && !status.synced);
}

#[tokio::test]
async fn attempts_are_told() {
    let (publish, _status) = watch::channel(Status::default());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let params = Params { on_attempt: Box::new(move |took| tell.send(took).unwrap_or_default()), ..params() };
    let release = CancellationToken::new();
    let running = tokio::spawn(run(unreachable(), params, publish, release.clone()));
    let attempt = timeout(Duration::from_secs(60), told.recv()).await.expect("nothing was told").unwrap();
    assert_eq!(attempt, None, "a write was accepted by nobody");
    release.cancel();
    running.await.unwrap().unwrap();
}

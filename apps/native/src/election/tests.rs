//! What the adapter makes of its parameters. The election itself is tested in the library.

use super::*;

fn params() -> Params {
    Params {
        namespace: None,
        lease_name: "my-lease".to_owned(),
        identity: "pod-0".into(),
        lease_duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
        on_attempt: Box::new(|_| {}),
    }
}

fn config() -> Config {
    // The discard port of this machine: nobody answers there.
    Config::new("http://127.0.0.1:9".parse().unwrap())
}

#[test]
fn the_lease_is_the_one_that_was_asked_for() {
    let asked = Params { namespace: Some("team".to_owned()), ..params() };
    let elector = elector(config(), asked).unwrap();
    assert_eq!(elector.lease(), "team/my-lease");
    assert_eq!(elector.identity().name(), "pod-0");
    assert_eq!(super::elector(config(), params()).unwrap().lease(), "default/my-lease");
}

#[test]
fn what_the_library_refuses_is_one_line() {
    let error = elector(config(), Params { retry_period: Duration::from_secs(5), ..params() });
    let error = error.err().unwrap().to_string();
    assert_eq!(error, "renew_deadline 10s must be longer than twice the retry_period 5s");
}

#[tokio::test]
async fn without_a_term_there_is_nothing_to_release() {
    let release = CancellationToken::new();
    release.cancel();
    let elector = elector(config(), params()).unwrap();
    run(elector, release).await.unwrap();
}

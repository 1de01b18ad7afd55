//! What once broke the elector as a whole. Most of this is in real time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use kube::Client;
use tokio::sync::oneshot;

use super::said::Lines;
use super::*;
use crate::access::{AccessError, Say};
use crate::elector::{Elector, Error, Running as PublicRunning};
use crate::lockout::Lockout;
use crate::{Config, End, LeadError, OnOverstay};

/// Two seconds, and half a second after the term.
fn short() -> Config {
    Config {
        lease: "my-lease".to_owned(),
        identity: "pod".into(),
        lease_duration: Duration::from_secs(2),
        renew_deadline: Duration::from_millis(1500),
        retry_period: Duration::from_millis(300),
        on_overstay: OnOverstay::Return,
        hands_over: true,
        ..Config::default()
    }
}

fn elector(api: &FakeApi, config: Config) -> Elector {
    let api = api.clone();
    Elector::with_client(config, "default".to_owned(), move |_| Ok((api.client(), Lockout::default()))).unwrap()
}

fn broken_client(_: Say) -> Result<(Client, Lockout), AccessError> {
    Err(AccessError::Client(Box::new(kube::Error::Service("the CA is no PEM".into()))))
}

#[tokio::test]
async fn a_client_that_cannot_be_built_is_an_error_and_no_panic() {
    let end = tokio::spawn(async {
        let made = Elector::with_client(short(), "default".to_owned(), broken_client);
        assert!(matches!(made.map(drop), Err(Error::Client(_))));
    });
    end.await.expect("Elector::new panics instead of returning Error::Client");
}

#[tokio::test]
async fn an_elector_that_is_never_started_can_be_dropped_in_async_code() {
    let end = tokio::spawn(async { drop(elector(&FakeApi::new(), short())) });
    end.await.expect("dropping an Elector panics");
}

#[tokio::test]
async fn the_future_of_lead_can_be_dropped_before_it_was_polled() {
    let end = tokio::spawn(async {
        let leading = elector(&FakeApi::new(), short()).lead(std::future::pending(), |_| async {});
        tokio::select! {
            biased;
            () = std::future::ready(()) => {}
            _ = leading => {}
        }
    });
    end.await.expect("dropping the future of lead panics");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_time_out_without_end_is_accepted_and_works() {
    let api = FakeApi::new();
    let config = Config { drain_timeout: Duration::MAX, ..short() };
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    let work = move |term: Term| {
        asked.cancel();
        async move { term.cancelled().await }
    };
    let end = elector(&api, config).lead(shutdown.cancelled_owned(), work).await;
    assert_eq!(end, Ok(End::Shutdown));
    assert_eq!(api.holder().as_deref(), Some(""), "released");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_future_waits_for_the_closure_as_well() {
    let api = FakeApi::new();
    let runs = Arc::new(AtomicBool::new(false));
    let of_work = Arc::clone(&runs);
    // Three seconds are left after the term, so that it ends in time.
    let config = Config { lease_duration: Duration::from_secs(5), renew_deadline: Duration::from_secs(2), ..short() };
    let leading = elector(&api, config).lead(std::future::pending(), move |_| {
        of_work.store(true, Ordering::SeqCst);
        // For example: opens a database.
        thread::sleep(Duration::from_secs(2));
        of_work.store(false, Ordering::SeqCst);
        async {}
    });
    let begun = async {
        while !runs.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        end = leading => panic!("{end:?}"),
        () = begun => {}
    }
    let begin = Instant::now();
    while api.holder().is_none_or(|holder| !holder.is_empty()) {
        assert!(begin.elapsed() < Duration::from_secs(30), "never released");
        sleep(Duration::from_millis(5)).await;
    }
    assert!(!runs.load(Ordering::SeqCst), "released after {:?} while the work still runs", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_log_does_not_delay_the_end_of_a_process_whose_work_overstays() {
    let api = FakeApi::new();
    let blocks = Arc::new(AtomicBool::new(false));
    let of_callback = Arc::clone(&blocks);
    let on_attempt = move |_| {
        while of_callback.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(10));
        }
    };
    let config = Config { on_attempt: Some(Arc::new(on_attempt)), ..short() };
    let (tell, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let leading = tokio::spawn(elector(&api, config).lead(std::future::pending(), move |term: Term| {
        tell.send(term).unwrap();
        std::future::pending::<()>()
    }));
    let term = begun.recv().await.unwrap();
    sleep(Duration::from_millis(400)).await;
    blocks.store(true, Ordering::SeqCst);
    api.set(Mood::Hanging);
    term.ended().await;
    let begin = Instant::now();
    let end = leading.await.unwrap();
    let took = begin.elapsed();
    blocks.store(false, Ordering::SeqCst);
    assert!(matches!(end, Err(LeadError::Overstayed { .. })), "{end:?}");
    assert!(took < Duration::from_millis(900), "{took:?} after the end of the term; the Lease had half a second left");
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_panics_does_not_silence_the_log() {
    let (lines, _guard) = Lines::collect();
    let panics = |_| panic!("a bug in the metrics");
    let reporter = Reporter::start(Duration::from_secs(30), Some(Arc::new(panics))).unwrap();
    reporter.attempt(crate::Attempt::Failed);
    reporter.flush(Duration::from_secs(5));
    reporter.note(Note::CannotWrite("leases is forbidden (403)".to_owned()));
    reporter.flush(Duration::from_secs(5));
    // Panics after 30 s of real time today.
    lines.wait_for("WARN", "leases is forbidden (403)");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_rustdoc_ends_in_order() {
    let api = FakeApi::new();
    let config = Config { drain_timeout: Duration::from_secs(3), ..short() };
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    let leading = elector(&api, config).lead(shutdown.cancelled_owned(), move |term| {
        asked.cancel();
        async move { term.cancelled().await }
    });
    assert_eq!(leading.await, Ok(End::Shutdown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lead_does_not_return_beside_running_work_when_the_shutdown_panics() {
    let api = FakeApi::new();
    let runs = Arc::new(AtomicBool::new(false));
    let of_work = Arc::clone(&runs);
    let (begin, begun) = oneshot::channel::<()>();
    let shutdown = async move {
        let _ = begun.await;
        panic!("a bug in the shutdown");
    };
    let begin = Mutex::new(Some(begin));
    let end = elector(&api, short())
        .lead(shutdown, move |_| {
            let (runs, begin) = (Arc::clone(&of_work), begin.lock().unwrap().take());
            async move {
                runs.store(true, Ordering::SeqCst);
                drop(begin);
                thread::sleep(Duration::from_secs(4));
                runs.store(false, Ordering::SeqCst);
            }
        })
        .await;
    let still_runs = runs.load(Ordering::SeqCst);
    assert!(!still_runs || matches!(end, Err(LeadError::Overstayed { .. })), "{end:?} while the work runs");
}

#[tokio::test]
async fn a_dead_elector_can_be_asked_twice_and_released() {
    let end = tokio::spawn(async {
        let (publish, status) = watch::channel(Status::default());
        let (tell, ended) = watch::channel(None);
        drop((publish, tell));
        let stop = CancellationToken::new();
        let mut running = PublicRunning { status, release: stop.clone(), ended, _stop: stop.drop_guard() };
        running.died().await;
        running.died().await;
        assert_eq!(running.release().await, Err(ReleaseError::Died));
    });
    end.await.expect("panics");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_goes_on_without_any_race_is_a_warning() {
    let (lines, _guard) = Lines::collect();
    let running = Running::start(FakeApi::new());
    let words = r#"{"kind":"Status","status":"Failure","reason":"Conflict","code":409,"message":"admission webhook \"freeze\" denied the request"}"#;
    running.api.set(Mood::FailingPuts(409, words));
    seconds(120.0).await;
    lines.wait_for("WARN", "denied the request");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_was_accepted_and_never_speaks_is_replaced() {
    let api = FakeApi::with_watches();
    api.0.lock().unwrap().is_mute = true;
    api.give_to("other_2");
    let other = {
        let api = api.clone();
        tokio::spawn(async move {
            for renewal in 0.. {
                api.change(|spec| spec.lease_transitions = Some(renewal));
                seconds(2.0).await;
            }
        })
    };
    let _running = Running::start(api.clone());
    seconds(1.0).await;
    assert_eq!(api.0.lock().unwrap().watches_opened, 1);
    api.0.lock().unwrap().is_mute = false;
    seconds(300.0).await;
    other.abort();
    assert!(api.0.lock().unwrap().watches_opened > 1, "five minutes later it still waits on the mute watch");
}

#[tokio::test(start_paused = true)]
async fn another_lease_in_the_watch_ends_no_term() {
    let api = FakeApi::with_watches();
    let mut running = Running::start(api.clone());
    let term = running.leads().await;
    seconds(0.5).await;
    {
        let mut server = api.0.lock().unwrap();
        let mut another = server.lease.clone().unwrap();
        another.metadata.name = Some("another-lease".to_owned());
        another.metadata.uid = Some("uid-of-another".to_owned());
        another.metadata.resource_version = Some("1000".to_owned());
        another.spec.as_mut().unwrap().holder_identity = Some("other_2".to_owned());
        server.tell("MODIFIED", &another);
    }
    seconds(0.5).await;
    assert!(!term.is_over(), "{:?}", running.status.borrow().lost);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_credential_plugin_is_logged() {
    let (lines, _guard) = Lines::collect();
    let directory = tempfile::tempdir().unwrap();
    // Works once, with a token that is about to expire, and then fails.
    let script = r#"
if [ -e "$0.ran" ]; then echo "token of-the-output"; exit 1; fi
touch "$0.ran"
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t","expirationTimestamp":"2020-01-01T00:00:00Z"}}'
"#;
    let path = directory.path().join("plugin.sh");
    std::fs::write(&path, script).unwrap();
    let mut kube = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
    kube.auth_info = serde_json::from_value(serde_json::json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "args": [path.to_str().unwrap()],
        "env": [{"name": "VAULT_TOKEN", "value": "of-the-environment"}], "interactiveMode": "Never"}}))
    .unwrap();
    let _running = Elector::new(kube, short()).unwrap().start();
    lines.wait_for("WARN", "error retrieving lease");
    let said = lines.all();
    assert!(!said.contains("of-the-environment"), "{said}");
    assert!(!said.contains("of-the-output"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_read_does_not_delay_the_release() {
    let api = FakeApi::new();
    let mut running = Running::start(api.clone());
    running.leads().await;
    seconds(0.5).await;
    // A lost race for a label makes it read, and that read hangs.
    api.set(Mood::Well);
    api.change(|_| {});
    api.0.lock().unwrap().hanging_gets = 1;
    seconds(2.0).await;
    let begin = Instant::now();
    running.released().await.unwrap();
    assert_eq!(api.holder().as_deref(), Some(""));
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_future_that_blocks_costs_no_term() {
    let api = FakeApi::new();
    let (ask, asked) = std::sync::mpsc::channel::<()>();
    // As with `signal_hook` or a channel of a synchronous main.
    let shutdown = async move {
        let _ = asked.recv();
    };
    let worked = Arc::new(AtomicBool::new(false));
    let of_work = Arc::clone(&worked);
    let leading = tokio::spawn(elector(&api, short()).lead(shutdown, move |_: Term| {
        let worked = Arc::clone(&of_work);
        async move {
            worked.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
    }));
    sleep(Duration::from_secs(3)).await;
    drop(ask);
    let has_worked = worked.load(Ordering::SeqCst);
    leading.abort();
    assert!(has_worked, "it did not even begin to contend");
}

#[tokio::test(start_paused = true)]
async fn denied_writes_are_paced_although_somebody_changes_the_lease_all_the_time() {
    let api = FakeApi::with_watches();
    let words = r#"{"kind":"Status","reason":"Forbidden","code":403,"message":"leases is forbidden"}"#;
    api.set(Mood::FailingPuts(403, words));
    let _running = Running::start(api.clone());
    for transitions in 0..400 {
        seconds(0.025).await;
        api.change(|spec| spec.lease_transitions = Some(transitions));
    }
    let begun = api.0.lock().unwrap().begun_puts;
    assert!(begun <= 10, "{begun} puts in ten seconds, with a retry period of two");
}

//! Controllers for one term, against the embedded API server.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::controller::{Action, Config as ControllerConfig, Controller, Error as ControllerError};
use kube::runtime::watcher;
use kube::{Api, Client, Config};
use still_leading::Gate;
use still_leading::controller::{EndedByItself, Reconcile, drive, gated, run};
use still_leading_lease_api::{Access, Options, Server, User};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Nothing here takes a second unless the machine is very busy.
const LONG: Duration = Duration::from_secs(20);
const OBJECTS: usize = 8;

/// What the reconciles of a test did.
#[derive(Debug, Default)]
struct Seen {
    begun: AtomicUsize,
    worked: AtomicUsize,
    finished: AtomicUsize,
    asked_about: AtomicUsize,
    names: Mutex<Vec<String>>,
}

impl Seen {
    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn finished(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }

    async fn has_begun(&self, reconciles: usize) {
        let begun = async {
            while self.begun() < reconciles {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(LONG, begun).await.expect("the reconciles begin");
    }
}

/// How a reconcile spends its time.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Yielding(Duration),
    Blocking(Duration),
}

async fn server() -> (Server, Client) {
    let server = Server::start(Options::default()).await.unwrap();
    server.add_user(User { name: "admin".into(), token: "secret".into(), access: Access::All });
    let mut config = Config::new(server.url().parse().unwrap());
    config.auth_info.token = Some("secret".to_owned().into());
    let client = Client::try_from(config).unwrap();
    let objects: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    for n in 0..OBJECTS {
        let metadata = ObjectMeta { name: Some(format!("object-{n}")), ..ObjectMeta::default() };
        let object = ConfigMap { metadata, ..ConfigMap::default() };
        objects.create(&PostParams::default(), &object).await.unwrap();
    }
    (server, client)
}

fn objects(client: &Client) -> Controller<ConfigMap> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    Controller::new(api, watcher::Config::default()).with_config(ControllerConfig::default().concurrency(4))
}

/// A gate whose term is over once the flag is set.
fn gate() -> (Gate, Arc<AtomicBool>, CancellationToken) {
    let (over, cancelled) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let flag = over.clone();
    let remaining = move || if flag.load(Ordering::SeqCst) { Duration::ZERO } else { Duration::from_secs(600) };
    (Gate::new(remaining, cancelled.clone()), over, cancelled)
}

/// As the elector does at a loss: the term is over, and the work learns of it.
fn lose(over: &AtomicBool, cancelled: &CancellationToken) {
    over.store(true, Ordering::SeqCst);
    cancelled.cancel();
}

async fn reconcile(object: Arc<ConfigMap>, (seen, pace): (Arc<Seen>, Pace)) -> Result<Action, Infallible> {
    begin(&seen, pace).await;
    finish(&object, &seen);
    Ok(Action::await_change())
}

/// Writes its result in the gate, as a reconcile should.
async fn reconcile_and_write(
    object: Arc<ConfigMap>,
    seen: Arc<Seen>,
    pace: Pace,
    gate: Gate,
) -> Result<Action, Infallible> {
    begin(&seen, pace).await;
    let _ = gate.run(async { finish(&object, &seen) }).await;
    Ok(Action::await_change())
}

async fn begin(seen: &Seen, pace: Pace) {
    seen.begun.fetch_add(1, Ordering::SeqCst);
    match pace {
        Pace::Yielding(time) => sleep(time).await,
        Pace::Blocking(time) => thread::sleep(time),
    }
    seen.worked.fetch_add(1, Ordering::SeqCst);
}

fn finish(object: &ConfigMap, seen: &Seen) {
    seen.names.lock().unwrap().push(object.metadata.name.clone().unwrap());
    seen.finished.fetch_add(1, Ordering::SeqCst);
}

/// Runs the controller of one term in a task.
fn spawn(
    gate: &Gate,
    client: &Client,
    seen: &Arc<Seen>,
    pace: Pace,
) -> tokio::task::JoinHandle<Result<(), EndedByItself>> {
    let (controller, of_reconcile, of_policy) = (objects(client), seen.clone(), seen.clone());
    let policy = move |_, _: &Infallible, _| {
        of_policy.asked_about.fetch_add(1, Ordering::SeqCst);
        Action::await_change()
    };
    let write = gate.clone();
    let reconcile = move |object, _| reconcile_and_write(object, of_reconcile.clone(), pace, write.clone());
    tokio::spawn(run(gate.clone(), controller, reconcile, policy, Arc::new(())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_term_reconciles_every_object_once() {
    let (_server, client) = server().await;
    for _ in 0..2 {
        let (seen, (gate, _, cancelled)) = (Arc::new(Seen::default()), gate());
        let running = spawn(&gate, &client, &seen, Pace::Yielding(Duration::ZERO));
        seen.has_begun(OBJECTS).await;
        cancelled.cancel();
        assert_eq!(timeout(LONG, running).await.unwrap().unwrap(), Ok(()));
        let mut names = seen.names.lock().unwrap().clone();
        names.sort();
        assert_eq!(names, (0..OBJECTS).map(|n| format!("object-{n}")).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_shutdown_was_asked_for_running_reconciles_finish_and_no_other_begins() {
    let (_server, client) = server().await;
    let (seen, (gate, _, cancelled)) = (Arc::new(Seen::default()), gate());
    let running = spawn(&gate, &client, &seen, Pace::Yielding(Duration::from_millis(300)));
    seen.has_begun(4).await;
    cancelled.cancel();
    assert_eq!(timeout(LONG, running).await.unwrap().unwrap(), Ok(()));
    assert_eq!((seen.begun(), seen.finished()), (4, 4));
    assert_eq!(gate.running(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_term_is_over_running_reconciles_are_dropped_and_no_other_begins() {
    let (_server, client) = server().await;
    for is_told in [true, false] {
        let (seen, (gate, over, cancelled)) = (Arc::new(Seen::default()), gate());
        let running = spawn(&gate, &client, &seen, Pace::Yielding(LONG));
        seen.has_begun(4).await;
        let lost = Instant::now();
        if is_told {
            lose(&over, &cancelled);
        } else {
            // The clock alone says so.
            over.store(true, Ordering::SeqCst);
        }
        assert_eq!(timeout(LONG, running).await.unwrap().unwrap(), Ok(()));
        assert!(lost.elapsed() < LONG / 2, "they were waited for");
        assert_eq!((seen.begun(), seen.finished()), (4, 0));
        assert_eq!(seen.asked_about.load(Ordering::SeqCst), 0, "a term that ends is no failure of a reconcile");
    }
}

/// A reconcile that blocks its thread cannot be dropped. It is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn it_returns_only_when_no_reconcile_runs_any_more() {
    let (_server, client) = server().await;
    let (seen, (gate, over, cancelled)) = (Arc::new(Seen::default()), gate());
    let running = spawn(&gate, &client, &seen, Pace::Blocking(Duration::from_millis(400)));
    seen.has_begun(1).await;
    lose(&over, &cancelled);
    assert_eq!(timeout(LONG, running).await.unwrap().unwrap(), Ok(()));
    assert_eq!(gate.running(), 0);
    assert_eq!(seen.begun(), seen.worked.load(Ordering::SeqCst));
    assert_eq!(seen.finished(), 0, "its write came after the term");
}

/// What the last test is about: `Controller` alone does not wait, so that test can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_controller_whose_stream_is_dropped_leaves_reconciles_behind() {
    let (_server, client) = server().await;
    let seen = Arc::new(Seen::default());
    let of_reconcile = seen.clone();
    let blocks = Pace::Blocking(Duration::from_millis(400));
    let stream = objects(&client).run(
        move |object, _| reconcile(object, (of_reconcile.clone(), blocks)),
        |_, _: &Infallible, _| Action::await_change(),
        Arc::new(()),
    );
    tokio::select! {
        () = stream.for_each(|_| async {}) => {}
        () = seen.has_begun(1) => {}
    }
    assert!(seen.finished() < seen.begun());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconcile_that_was_queued_does_not_begin_after_the_loss() {
    let (gate, over, cancelled) = gate();
    let (called, began) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let mut reconcile = gated(&gate, |_: Arc<ConfigMap>, _: Arc<()>| {
        called.fetch_add(1, Ordering::SeqCst);
        let began = began.clone();
        async move {
            began.store(true, Ordering::SeqCst);
            Ok::<_, Infallible>(Action::await_change())
        }
    });
    let (object, context) = (Arc::new(ConfigMap::default()), Arc::new(()));
    let queued = reconcile(object.clone(), context.clone());
    assert_eq!(gate.running(), 1, "it is waited for although it was not polled yet");
    lose(&over, &cancelled);
    assert!(matches!(queued.await, Err(Reconcile::NotLeading(_))));
    assert!(matches!(reconcile(object, context).await, Err(Reconcile::NotLeading(_))));
    assert_eq!(called.load(Ordering::SeqCst), 1, "not even called after the loss");
    assert!(!began.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_stream_that_ends_while_its_term_lasts_is_an_error() {
    let none = || stream::empty::<Result<_, ControllerError<Reconcile<Infallible>, watcher::Error>>>();
    let (gate, _, cancelled) = gate();
    assert_eq!(drive::<ConfigMap, _, _>(&gate, none()).await, Err(EndedByItself));
    cancelled.cancel();
    assert_eq!(drive::<ConfigMap, _, _>(&gate, none()).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_a_reconcile_reaches_the_work() {
    let (_server, client) = server().await;
    let (gate, _, _) = gate();
    let panics = |_, ()| -> futures::future::Ready<Result<Action, Infallible>> { panic!("the reconcile panics") };
    let policy = |_, _: &Infallible, _| Action::await_change();
    let running = tokio::spawn(run(gate, objects(&client), move |object, _| panics(object, ()), policy, Arc::new(())));
    assert!(timeout(LONG, running).await.unwrap().unwrap_err().is_panic());
}

/// A new leader may not even have listed the objects when it is told to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_ends_it_although_the_objects_cannot_be_listed() {
    let (server, _) = server().await;
    server.add_user(User {
        name: "nobody".into(),
        token: "nothing".into(),
        access: Access::Only { namespace: "default".into(), rules: Vec::new() },
    });
    let mut config = Config::new(server.url().parse().unwrap());
    config.auth_info.token = Some("nothing".to_owned().into());
    let client = Client::try_from(config).unwrap();
    let (seen, (gate, _, cancelled)) = (Arc::new(Seen::default()), gate());
    let running = spawn(&gate, &client, &seen, Pace::Yielding(Duration::ZERO));
    sleep(Duration::from_millis(200)).await;
    cancelled.cancel();
    assert_eq!(timeout(LONG, running).await.expect("it ends").unwrap(), Ok(()));
    assert_eq!(seen.begun(), 0);
}

/// The reconcile that runs may finish, and so may what it does through the gate itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_shutdown_was_asked_for_a_running_reconcile_may_still_write() {
    let (_server, client) = server().await;
    let (seen, (gate, _, cancelled)) = (Arc::new(Seen::default()), gate());
    let (of_reconcile, of_write) = (seen.clone(), gate.clone());
    let reconcile = move |_: Arc<ConfigMap>, _: Arc<()>| {
        let (seen, gate) = (of_reconcile.clone(), of_write.clone());
        async move {
            seen.begun.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_millis(300)).await;
            let written = gate.run(async { seen.finished.fetch_add(1, Ordering::SeqCst) }).await;
            written.map(|_| Action::await_change())
        }
    };
    let policy = |_, _: &still_leading::NotLeading, _| Action::await_change();
    let running = tokio::spawn(run(gate, objects(&client), reconcile, policy, Arc::new(())));
    seen.has_begun(4).await;
    cancelled.cancel();
    assert_eq!(timeout(LONG, running).await.unwrap().unwrap(), Ok(()));
    assert_eq!((seen.begun(), seen.finished()), (4, 4));
}

/// What the end of the term drops may still have something to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_reconcile_whose_drop_blocks_is_waited_for() {
    struct Slow(Arc<Seen>);
    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(300));
            self.0.finished.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (_server, client) = server().await;
    let (seen, (gate, over, cancelled)) = (Arc::new(Seen::default()), gate());
    let of_reconcile = seen.clone();
    let reconcile = move |_: Arc<ConfigMap>, _: Arc<()>| {
        of_reconcile.begun.fetch_add(1, Ordering::SeqCst);
        let slow = Slow(of_reconcile.clone());
        async move {
            let _slow = slow;
            sleep(LONG).await;
            Ok::<_, Infallible>(Action::await_change())
        }
    };
    let policy = |_, _: &Infallible, _| Action::await_change();
    let running = tokio::spawn(run(gate, objects(&client), reconcile, policy, Arc::new(())));
    seen.has_begun(1).await;
    lose(&over, &cancelled);
    assert_eq!(timeout(LONG, running).await.unwrap().unwrap(), Ok(()));
    assert_eq!(seen.begun(), seen.finished());
}

/// A panic ends the work, and the Lease is released: nothing may run beside the next leader.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_panic_of_one_reconcile_waits_for_the_others() {
    let (_server, client) = server().await;
    let (seen, (gate, _, _)) = (Arc::new(Seen::default()), gate());
    let (of_reconcile, of_test) = (seen.clone(), gate.clone());
    let reconcile = move |_: Arc<ConfigMap>, _: Arc<()>| {
        let seen = of_reconcile.clone();
        async move {
            let panics = seen.begun.fetch_add(1, Ordering::SeqCst) == 0;
            if panics {
                sleep(Duration::from_millis(100)).await;
                panic!("the first reconcile panics");
            }
            thread::sleep(Duration::from_millis(600));
            seen.finished.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Infallible>(Action::await_change())
        }
    };
    let policy = |_, _: &Infallible, _| Action::await_change();
    let running = tokio::spawn(run(gate, objects(&client), reconcile, policy, Arc::new(())));
    assert!(timeout(LONG, running).await.unwrap().unwrap_err().is_panic());
    assert_eq!(of_test.running(), 0, "a reconcile runs on");
    assert_eq!(seen.begun(), seen.finished() + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_panic_of_the_error_policy_waits_for_the_others() {
    let (_server, client) = server().await;
    let (seen, (gate, _, _)) = (Arc::new(Seen::default()), gate());
    let (of_reconcile, of_test) = (seen.clone(), gate.clone());
    let reconcile = move |_: Arc<ConfigMap>, _: Arc<()>| {
        let seen = of_reconcile.clone();
        async move {
            if seen.begun.fetch_add(1, Ordering::SeqCst) == 0 {
                sleep(Duration::from_millis(100)).await;
                return Err(std::fmt::Error);
            }
            thread::sleep(Duration::from_millis(600));
            seen.finished.fetch_add(1, Ordering::SeqCst);
            Ok(Action::await_change())
        }
    };
    let policy = |_, _: &std::fmt::Error, _| panic!("the policy panics");
    let running = tokio::spawn(run(gate, objects(&client), reconcile, policy, Arc::new(())));
    assert!(timeout(LONG, running).await.unwrap().unwrap_err().is_panic());
    assert_eq!(of_test.running(), 0, "a reconcile runs on");
    assert_eq!(seen.begun(), seen.finished() + 1);
}

//! Whole processes: signals, a full pipe on standard output, work that cannot be stopped.

use std::convert::Infallible;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{ApiServer, BOUND, wait_until};
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use kube::{Api, Client};
use rustix::process::{Pid, Signal, kill_process};
use still_leading::{Config, Elector, OnOverstay, Term, controller, shutdown_signal};

const ROLE: &str = "STILL_LEADING_TEST_CHILD";
const URL: &str = "STILL_LEADING_TEST_URL";

/// The process under test: this test once more, with variables that make it another program.
pub fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let url = env::var(URL).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // To standard output and blocking, as many programs do it.
    tracing_subscriber::fmt().with_ansi(false).init();
    let end = runtime.block_on(async move {
        let mut config = Config { on_overstay: OnOverstay::ExitProcess, ..crate::common::short("child") };
        if role == "stays" || role == "reconciles" {
            config.drain_timeout = Duration::from_secs(1);
        }
        Elector::new(crate::common::config(&url), config).unwrap().lead(shutdown_signal(), work(role)).await
    });
    end.unwrap();
    std::process::exit(0);
}

fn work(role: String) -> impl Fn(Term) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync {
    move |term| match role.as_str() {
        // Occupies every thread of the application for a while.
        "blocks" => Box::pin(async move {
            for _ in 0..3 {
                tokio::spawn(async { thread::sleep(Duration::from_secs(6)) });
            }
            thread::sleep(Duration::from_secs(6));
            term.cancelled().await;
        }),
        // As above, and does not end.
        "stays" => Box::pin(async {
            for _ in 0..3 {
                tokio::spawn(async { thread::sleep(Duration::from_secs(3600)) });
            }
            thread::sleep(Duration::from_secs(3600));
        }),
        // A Controller whose reconciles block their threads and do not end.
        "reconciles" => Box::pin(async {
            let config = crate::common::config(&env::var(URL).unwrap());
            let objects: Api<Namespace> = Api::all(Client::try_from(config).unwrap());
            let reconcile = |_, _| async {
                println!("a reconcile blocks");
                thread::sleep(Duration::from_secs(3600));
                Ok::<_, Infallible>(Action::await_change())
            };
            let retry = |_, _: &Infallible, _| Action::await_change();
            controller::run(term, Controller::new(objects, watcher::Config::default()), reconcile, retry, Arc::new(()))
                .await
                .unwrap();
        }),
        // Writes more to standard output than a pipe holds.
        "talks" => Box::pin(async move {
            while !term.is_over() {
                let _ = writeln!(std::io::stdout(), "{}", "x".repeat(1000));
                tokio::task::yield_now().await;
            }
        }),
        _ => Box::pin(async move { term.cancelled().await }),
    }
}

/// Ended with the test, also if that fails.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(role: &str, api: &ApiServer, stdout: Stdio) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).env(ROLE, role).env(URL, &api.url);
        Self(command.stdout(stdout).stderr(Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn wait(&mut self) -> (ExitStatus, Duration) {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return (status, begin.elapsed());
            }
            assert!(begin.elapsed() < BOUND, "the process does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

pub fn sigterm_releases_the_lease_and_ends_the_process_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let api = ApiServer::start();
        let mut process = Process::start("works", &api, Stdio::null());
        api.wait_for_holder(|holder| holder.starts_with("child_"));
        // The Lease is new, so the process leads a lease duration later.
        thread::sleep(Duration::from_secs(4));
        process.signal(signal);
        assert_eq!(process.wait().0.code(), Some(0));
        assert_eq!(api.holder().as_deref(), Some(""));
    }
}

pub fn sigterm_while_every_thread_is_blocked_ends_the_process_in_order_once_they_are_free() {
    let api = ApiServer::start();
    let mut process = Process::start("blocks", &api, Stdio::null());
    api.wait_for_holder(|holder| holder.starts_with("child_"));
    thread::sleep(Duration::from_secs(4));
    process.signal(Signal::TERM);
    assert_eq!(process.wait().0.code(), Some(0));
    assert_eq!(api.holder().as_deref(), Some(""));
}

pub fn work_that_blocks_every_thread_for_ever_ends_with_the_process_by_its_bound_and_keeps_the_lease() {
    let api = ApiServer::start();
    let mut process = Process::start("stays", &api, Stdio::null());
    api.wait_for_holder(|holder| holder.starts_with("child_"));
    thread::sleep(Duration::from_secs(4));
    process.signal(Signal::TERM);
    let (status, took) = process.wait();
    assert_eq!(status.code(), Some(1));
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(api.holder().unwrap().starts_with("child_"), "the work may still have run");
}

pub fn a_reconcile_that_blocks_for_ever_ends_with_the_process_by_its_bound_with_a_reason() {
    let api = ApiServer::start();
    let mut process = Process::start("reconciles", &api, Stdio::piped());
    let mut said = BufReader::new(process.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line == "a reconcile blocks"));
    process.signal(Signal::TERM);
    let (status, took) = process.wait();
    assert_eq!(status.code(), Some(1));
    assert!(took < Duration::from_secs(30), "{took:?}");
    let reason = "the work did not stop within 1s (shutting down)";
    assert!(said.any(|line| line.contains(reason)), "the log does not say why");
    assert!(api.holder().unwrap().starts_with("child_"), "the reconcile may still have run");
}

pub fn a_second_signal_ends_the_process_at_once() {
    let api = ApiServer::start();
    let mut process = Process::start("stays", &api, Stdio::null());
    api.wait_for_holder(|holder| holder.starts_with("child_"));
    thread::sleep(Duration::from_secs(4));
    process.signal(Signal::TERM);
    thread::sleep(Duration::from_millis(100));
    process.signal(Signal::TERM);
    assert_eq!(process.wait().0.code(), Some(143));
}

/// Nobody reads standard output, so whoever writes there hangs, holding the lock that every other writer needs.
pub fn a_full_pipe_on_standard_output_costs_neither_the_term_nor_the_shutdown() {
    let api = ApiServer::start();
    let mut process = Process::start("talks", &api, Stdio::piped());
    api.wait_for_holder(|holder| holder.starts_with("child_"));
    let standby = api.elector("stands-by").start();
    let status = standby.status();
    wait_until("the standby to see the Lease", || status.borrow().synced);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(8) {
        assert!(status.borrow().term.is_none(), "a standby leads beside it");
        thread::sleep(Duration::from_millis(50));
    }
    process.signal(Signal::TERM);
    // The work hangs in its write, so it cannot end in order.
    let (status, _) = process.wait();
    assert_eq!(status.code(), Some(1));
}

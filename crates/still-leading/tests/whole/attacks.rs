//! What once broke whole processes.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{ApiServer, short};
use rustix::process::{Pid, Signal, kill_process};
use still_leading::{Config, Elector, OnOverstay, Term, shutdown_signal};

const ROLE: &str = "STILL_LEADING_ATTACK_CHILD";
const URL: &str = "STILL_LEADING_ATTACK_URL";

pub fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "goes on" => {
                let elector = Elector::new(crate::common::config(&env::var(URL).unwrap()), short("child")).unwrap();
                println!("{:?}", elector.lead(shutdown_signal(), |_| async {}).await);
                println!("goes on");
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            "late log" => {
                let elector = Elector::new(crate::common::config("http://127.0.0.1:9"), short("child")).unwrap();
                let said = Arc::new(Mutex::new(Vec::<u8>::new()));
                let of_log = Arc::clone(&said);
                tracing_subscriber::fmt().with_writer(move || Said(Arc::clone(&of_log))).init();
                let _running = elector.start();
                tokio::time::sleep(Duration::from_secs(3)).await;
                println!("said {} bytes", said.lock().unwrap().len());
            }
            "drops" => {
                let elector = Elector::new(crate::common::config(&env::var(URL).unwrap()), short("child")).unwrap();
                let (begun, mut terms) = tokio::sync::mpsc::unbounded_channel();
                let work = move |term: Term| {
                    begun.send(()).unwrap();
                    async move { term.cancelled().await }
                };
                tokio::select! {
                    end = elector.lead(std::future::pending(), work) => panic!("{end:?}"),
                    // As `tokio::signal::ctrl_c()` in many a main.
                    _ = terms.recv() => {}
                }
            }
            "stays" => {
                let config = Config {
                    lease_duration: Duration::from_secs(6),
                    renew_deadline: Duration::from_secs(3),
                    on_overstay: OnOverstay::ExitProcess,
                    ..short("child")
                };
                let elector = Elector::new(crate::common::config(&env::var(URL).unwrap()), config).unwrap();
                let end = elector.lead(std::future::pending(), |_| async {
                    println!("works");
                    std::future::pending::<()>().await;
                });
                panic!("{:?}", end.await);
            }
            _ => unreachable!(),
        }
    });
    // As a main that returns.
    drop(runtime);
    std::process::exit(0);
}

struct Said(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn command(role: &str, url: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(ROLE, role).env(URL, url);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

pub fn a_signal_after_lead_has_returned_still_ends_the_process() {
    let api = ApiServer::start();
    let mut child = command("goes on", &api.url).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "goes on"));
    thread::sleep(Duration::from_millis(500));
    let begin = Instant::now();
    let mut end = None;
    while end.is_none() && begin.elapsed() < Duration::from_secs(6) {
        // Impatiently: the second one should end it at the latest.
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        thread::sleep(Duration::from_millis(500));
        end = child.try_wait().unwrap();
    }
    let _ = child.kill();
    let _ = child.wait();
    assert!(end.is_some(), "a dozen SIGTERMs are ignored");
}

pub fn a_subscriber_that_is_installed_after_the_elector_was_made_gets_its_events() {
    let output = command("late log", "").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("said ") && !text.contains("said 0 bytes"), "{text}");
}

pub fn work_that_overstays_after_a_pause_gets_no_time_that_the_lease_does_not_have() {
    let api = ApiServer::start();
    let mut child = command("stays", &api.url).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line == "works"));
    kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
    // Longer than the lease: whoever stands by leads by now.
    thread::sleep(Duration::from_secs(8));
    kill_process(Pid::from_child(&child), Signal::CONT).unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() && begin.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    assert!(begin.elapsed() < Duration::from_millis(1500), "it went on for {:?}", begin.elapsed());
}

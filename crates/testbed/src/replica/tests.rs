//! Replicas that are shell scripts.

use super::*;
use std::os::unix::process::ExitStatusExt;

const BOUND: Duration = Duration::from_secs(20);

fn start(history: &History, script: &str) -> Replica {
    let launch = Launch {
        program: "sh".into(),
        name: "r".to_owned(),
        kubeconfig: "/kubeconfig".into(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: vec![("EXTRA".to_owned(), "extra".to_owned())],
    };
    Replica::start(launch, history).unwrap()
}

fn messages(history: &History) -> Vec<String> {
    history.events().into_iter().map(|event| format!("{} {}", event.replica, event.message)).collect()
}

#[tokio::test]
async fn its_lines_become_events_and_its_end_too() {
    let history = History::default();
    let replica = start(&history, r#"echo '{"message":"leading","monotonic_ns":1}'; echo oops; echo why >&2; exit 3"#);
    assert_eq!(replica.wait(BOUND).await.unwrap().code(), Some(3));
    assert_eq!(messages(&history), ["r leading", "r exited"]);
    assert_eq!(history.malformed()[0].line, "oops");
    assert_eq!(replica.stderr(), "why");
}

#[tokio::test]
async fn it_sees_nothing_of_the_machine_but_what_it_needs() {
    let history = History::default();
    let replica = start(&history, "env | sed 's/=.*//' | sort | grep -v -e '^_$' -e PWD -e SHLVL");
    replica.wait(BOUND).await.unwrap();
    let seen: Vec<_> = history.malformed().into_iter().map(|it| it.line).filter(|it| it != "RUST_BACKTRACE").collect();
    assert_eq!(seen, ["EXTRA", "HOME", "KUBECONFIG", "PATH"]);
}

#[tokio::test]
async fn signals_reach_it_and_are_noted() {
    let history = History::default();
    let replica = start(&history, "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    let ready = |_: &[Event]| history.malformed().pop();
    history.wait_for(BOUND, ready).await.unwrap();
    replica.stop().unwrap();
    replica.terminate().unwrap();
    assert!(replica.wait(Duration::from_millis(200)).await.is_err(), "a stopped process took SIGTERM");
    replica.cont().unwrap();
    assert_eq!(replica.wait(BOUND).await.unwrap().code(), Some(7));
    assert_eq!(messages(&history), ["harness SIGSTOP", "harness SIGTERM", "harness SIGCONT", "r exited"]);
    assert_eq!(history.events()[0].fields["to"], "r");
    assert!(replica.terminate().is_err(), "an ended process took SIGTERM");
}

#[tokio::test]
async fn a_kill_ends_it_and_is_seen_as_such() {
    let history = History::default();
    let replica = start(&history, "exec sleep 600");
    let at = replica.kill().unwrap();
    assert_eq!(replica.wait(BOUND).await.unwrap().signal(), Some(9));
    assert_eq!(history.events()[0].at, at);
    assert!(history.events()[1].at >= at);
}

#[tokio::test]
async fn its_http_address_is_the_one_in_its_log() {
    let history = History::default();
    let line = r#"{"message":"serving http","monotonic_ns":1,"address":"127.0.0.1:4321"}"#;
    let replica = start(&history, &format!("echo '{line}'; exec sleep 600"));
    assert_eq!(replica.http_address(BOUND).await.unwrap(), "127.0.0.1:4321".parse().unwrap());
}

#[test]
fn resident_memory_is_read_in_bytes() {
    let history = History::default();
    assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    1234 kB\nThreads: 1\n"), Some(1234 * 1024));
    assert_eq!(resident_bytes("Name:\tx\n"), None);
    let replica = start(&history, "exec sleep 600");
    assert_eq!(replica.rss_bytes().is_some(), cfg!(target_os = "linux"));
}

#[test]
fn only_the_last_lines_of_standard_error_are_kept() {
    let lines = Mutex::default();
    for n in 0..STDERR_LINES_MAX + 2 {
        keep(&lines, &n.to_string());
    }
    let lines = lines.into_inner().unwrap();
    assert_eq!((lines.len(), lines[0].as_str()), (STDERR_LINES_MAX, "2"));
}

#[tokio::test]
async fn what_is_not_read_fills_its_pipe_and_comes_later() {
    const LINES: usize = 300;
    let dir = crate::guard::TempDir::new("still-leading-replica-").unwrap();
    let go = dir.path().join("go");
    let line = r#"{"message":"one of many lines, which are more than a small pipe holds","monotonic_ns":'$n'}"#;
    let (go_name, all) = (go.display(), format!("while [ $n -lt {LINES} ]; do echo '{line}'; n=$((n+1)); done"));
    let script =
        format!("echo ready; n=0; while [ ! -e {go_name} ]; do sleep 0.05; done; {all}; echo done >&2; exec sleep 600");
    let history = History::default();
    let replica = start(&history, &script);
    history.wait_for(BOUND, |_| history.malformed().pop()).await.unwrap();
    replica.hold_output();
    std::fs::write(&go, "").unwrap();
    // If its output were read, it would be done in a moment.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(replica.stderr(), "", "it wrote all that into a pipe that nobody read");
    assert!(history.events().len() <= 1, "{} lines were read", history.events().len());
    replica.read_output();
    history.wait_for(BOUND, |events| (events.len() == LINES).then_some(())).await.unwrap();
    history.wait_for(BOUND, |_| (replica.stderr() == "done").then_some(())).await.unwrap();
}

#[tokio::test]
async fn the_end_of_a_log_that_is_not_read_is_lost() {
    let history = History::default();
    let replica = start(&history, "echo ready; while :; do echo x; sleep 0.01; done");
    history.wait_for(BOUND, |_| history.malformed().pop()).await.unwrap();
    replica.hold_output();
    // One more line is still read.
    tokio::time::sleep(Duration::from_millis(500)).await;
    replica.kill().unwrap();
    history.wait_for(BOUND, |events| (events.last()?.message == EXITED).then_some(())).await.unwrap();
    assert_eq!(messages(&history), ["harness SIGKILL", &format!("r {LOG_LOST}"), "r exited"]);
}

#[test]
fn processor_time_is_that_of_user_and_system() {
    let stat = "77 (a) b (c) S 1 2 3 0 -1 4194304 10 11 12 13 250 50 9 9 20 0 1 0 100 1000 10";
    assert_eq!(cpu_time(stat, 100), Some(Duration::from_secs(3)));
    assert_eq!(cpu_time(stat, 1000), Some(Duration::from_millis(300)));
    assert_eq!(cpu_time("no such file", 100), None);
}

#[tokio::test]
async fn a_busy_replica_uses_processor_time_and_an_ended_one_shows_none() {
    let history = History::default();
    let replica = start(&history, "while :; do :; done");
    if cfg!(target_os = "linux") {
        history.wait_for(BOUND, |_| (replica.cpu_time()? >= Duration::from_millis(100)).then_some(())).await.unwrap();
    }
    replica.kill().unwrap();
    replica.wait(BOUND).await.unwrap();
    assert_eq!(replica.cpu_time(), None);
}

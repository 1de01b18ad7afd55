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

//! The program: its output, the file that it writes, and what it refuses.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use still_leading_testbed::workspace;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lease-api"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends the program even if the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn it_writes_a_private_kubeconfig_says_where_and_ends_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    // An old file that everybody can read is replaced.
    std::fs::write(&path, "old").unwrap();
    let mut running = Running(program().arg("--kubeconfig").arg(&path).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let url = config["clusters"][0]["cluster"]["server"].as_str().unwrap();
    assert_eq!(line, format!("serving at {url}, kubeconfig in {}\n", path.display()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(config["users"][0]["user"]["token"].as_str().unwrap().len(), 64);
    let pid = Pid::from_child(&running.0);
    kill_process(pid, Signal::TERM).unwrap();
    assert!(running.0.wait().unwrap().success());
}

/// Returns the path of kubectl, found as the control plane is; `None` if it is missing.
fn kubectl() -> Option<PathBuf> {
    let named = std::env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let path = named.unwrap_or_else(|| workspace().join("control-plane/bin")).join("kubectl");
    path.is_file().then_some(path)
}

const EVENT: &str = r#"{"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "a.1", "namespace": "new"},
    "action": "Elect", "reason": "LeaderElection", "type": "Normal", "note": "x became leader",
    "eventTime": "2024-01-01T00:00:00.000000Z", "reportingController": "x", "reportingInstance": "x-0",
    "regarding": {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "name": "app", "namespace": "new"}}"#;

/// A shell with kubectl and the server.
struct Shell<'a> {
    kubectl: PathBuf,
    dir: &'a Path,
}

impl Shell<'_> {
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(self.dir.join("config")).arg("--cache-dir").arg(self.dir.join("cache"));
        command.args(line.split(' ')).stdin(Stdio::null());
        command
    }

    /// Runs a kubectl command and returns its output.
    fn run(&self, line: &str) -> String {
        let output = self.command(line).output().expect("kubectl does not start");
        let told_us = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {line}: {told_us}");
        String::from_utf8(output.stdout).expect("it prints text")
    }
}

#[test]
fn kubectl_creates_labels_watches_and_deletes() {
    let Some(kubectl) = kubectl() else {
        eprintln!("note: nothing is tried with kubectl, which is not there; control-plane/build builds it");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut server = Running(program().arg("--kubeconfig").arg(dir.path().join("config")).spawn().unwrap());
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let shell = Shell { kubectl, dir: dir.path() };

    assert_eq!(shell.run("create namespace new"), "namespace/new created\n");
    let created = shell.run("create configmap a -n new --from-literal=k=v --from-literal=l=w");
    assert_eq!(created, "configmap/a created\n");
    assert_eq!(shell.run("get configmap a -n new -o jsonpath={.data}"), r#"{"k":"v","l":"w"}"#);
    let watch = shell.command("get configmaps -n new --watch --output-watch-events").stdout(Stdio::piped()).spawn();
    let mut watch = Running(watch.unwrap());
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap().split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    assert_eq!(line(), "EVENT NAME DATA");
    assert_eq!(line(), "ADDED a 2");
    assert_eq!(shell.run("label configmap a -n new guarded=true"), "configmap/a labeled\n");
    assert_eq!(line(), "MODIFIED a 2");
    assert!(shell.run("get configmaps -n new -l guarded=true --no-headers").starts_with("a     2  "));
    assert_eq!(shell.run("delete configmap a -n new"), "configmap \"a\" deleted from new namespace\n");
    assert_eq!(line(), "DELETED a 2");

    let event = dir.path().join("event.json");
    std::fs::write(&event, EVENT).unwrap();
    assert!(shell.run(&format!("create -f {}", event.display())).starts_with("event.events.k8s.io/a.1 created"));
    for group in ["events", "events.events.k8s.io"] {
        let row = shell.run(&format!("get {group} -n new --no-headers"));
        let cells: Vec<_> = row.split_whitespace().skip(1).collect();
        assert_eq!(cells, ["Normal", "LeaderElection", "lease/app", "x", "became", "leader"], "{group}");
    }
    let note = shell.run("get events.v1.events.k8s.io a.1 -n new -o jsonpath={.note}");
    assert_eq!(note, "x became leader");
}

#[test]
fn it_refuses_to_listen_for_other_machines() {
    let mut running =
        Running(program().args(["--listen", "0.0.0.0:0", "--kubeconfig", "/nowhere/config"]).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(10);
    let status = loop {
        if let Some(status) = running.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it listens");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(1));
    let mut told_us = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut told_us).unwrap();
    let told = "error: 0.0.0.0:0 is not a loopback address; if that is what you want, say --allow-non-loopback\n";
    assert_eq!(told_us, told);
}

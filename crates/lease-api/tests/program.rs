//! The program: what it prints, writes and refuses.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lease-api"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends it even if the test fails.
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
    // What was there before, for everybody to read, is replaced.
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

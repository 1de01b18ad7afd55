//! The program of README.md: what stands there is what is compiled, and two of it hand over.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::common::{ApiServer, TOKEN, wait_until};
use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = include_str!("../../examples/still_leading.rs");

fn block() -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("```rust,no_run\n").expect("a program");
    rest.split_once("```").expect("an end").0
}

pub fn the_program_of_the_readme_is_the_example_and_short() {
    // All but the line that says what it is.
    assert_eq!(block(), PROGRAM.split_once("\n\n").unwrap().1);
    assert!(block().lines().count() <= 40, "{} lines", block().lines().count());
}

/// The example, built. `cargo test` has done that, unless only some tests were asked for.
fn program() -> PathBuf {
    // Tests are built into a folder beside that of the examples.
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().with_file_name("examples").join("still_leading");
    let of_package = |file: &str| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    let changed = |file: PathBuf| fs::metadata(file).and_then(|it| it.modified()).ok();
    if changed(program.clone()) < changed(of_package("examples/still_leading.rs")) {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "still_leading", "--manifest-path"]).arg(of_package("Cargo.toml"));
        assert!(build.status().unwrap().success());
    }
    program
}

/// Ended with the test, also if that fails.
struct Replica {
    process: Child,
    log: PathBuf,
}

impl Drop for Replica {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Replica {
    fn start(name: &str, folder: &tempfile::TempDir) -> Self {
        let log = folder.path().join(name);
        let process = Command::new(program())
            .envs([("POD_NAME", name), ("NO_COLOR", "1")])
            .env("KUBECONFIG", folder.path().join("kubeconfig"))
            .stdout(fs::File::create(&log).unwrap())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self { process, log }
    }

    fn wait_for(&self, what: &str) {
        wait_until(what, || fs::read_to_string(&self.log).unwrap().contains(what));
    }
}

pub fn two_of_the_program_hand_over() {
    let api = ApiServer::start();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: it, contexts: [{{name: it, context: {{cluster: it, user: it}}}}], \
         clusters: [{{name: it, cluster: {{server: '{}'}}}}], users: [{{name: it, user: {{token: {TOKEN}}}}}]}}",
        api.url
    );
    fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
    let mut first = Replica::start("first", &folder);
    first.wait_for("still leading");
    let second = Replica::start("second", &folder);
    second.wait_for("new leader leader=\"first_");
    kill_process(Pid::from_child(&first.process), Signal::TERM).unwrap();
    assert!(first.process.wait().unwrap().success());
    second.wait_for("still leading");
}

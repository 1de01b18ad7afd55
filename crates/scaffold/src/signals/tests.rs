use std::io::{self, BufRead, BufReader, Read};
use std::iter;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rustix::process::{Pid, kill_process};
use tokio::runtime::Runtime;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::LogFormat;

type Sent = rustix::process::Signal;

const CHILD: &str = "STILL_LEADING_SIGNALS_CHILD";
/// Many times as long as anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// How long a stuck standard output may delay the end: the bound of a flush, and time to start and stop on a busy machine.
const STUCK_MAX: Duration = Duration::from_secs(5);
const WORKERS: usize = 2;

/// The process that gets the signals. It is this test binary again, and a variable makes it another program.
#[test]
fn child() {
    let Some(program) = std::env::var_os(CHILD) else { return };
    let runtime = runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap();
    let token = runtime.block_on(async { shutdown_token() }).unwrap();
    match program.to_str() {
        Some("waits") => {}
        Some("blocks its threads") => block_all_threads(&runtime),
        Some("blocks in its log") => tracing_subscriber::fmt().with_writer(BlockingLog).init(),
        Some("logs much") => log_until(|lines| lines == 3000),
        Some("fills its log") => log_until(|_| logs::dropped_lines().get() > 0),
        program => panic!("no such program: {program:?}"),
    }
    eprintln!("ready");
    while !token.is_cancelled() {
        thread::sleep(Duration::from_millis(1));
    }
    eprintln!("asked");
    // Ends with code 0 or 1 when standard input ends or has data. Until then, the second signal has to end it.
    match io::stdin().read(&mut [0]) {
        Ok(0) => crate::exit(Ok(())),
        _ => crate::exit(Err(anyhow!("asked to stop"))),
    }
}

fn block_all_threads(runtime: &Runtime) {
    let (started, starting) = mpsc::channel();
    for _ in 0..WORKERS {
        let started = started.clone();
        runtime.spawn(async move {
            started.send(()).unwrap();
            block_for_ever();
        });
        starting.recv().unwrap();
    }
}

fn block_for_ever() {
    loop {
        thread::park();
    }
}

struct BlockingLog;

impl MakeWriter<'_> for BlockingLog {
    type Writer = io::Stdout;

    fn make_writer(&self) -> io::Stdout {
        block_for_ever();
        io::stdout()
    }
}

fn log_until(enough: impl Fn(usize) -> bool) {
    logs::init(LogFormat::Json, "pod-0_1").unwrap();
    for line in 1.. {
        info!(line, "much to say");
        if enough(line) {
            return;
        }
    }
}

struct Program {
    child: Child,
    errors: mpsc::Receiver<String>,
    /// Kept open, and not read.
    stdout: Option<ChildStdout>,
}

impl Program {
    fn start(program: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "signals::tests::child", "--nocapture"]).env(CHILD, program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (said, errors) = mpsc::channel();
        // This thread ends with the program, or with the test.
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        let program = Self { child, errors, stdout };
        program.expect("ready");
        program
    }

    fn expect(&self, said: &str) {
        let deadline = Instant::now() + LONG;
        let lines = || self.errors.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok();
        assert!(iter::from_fn(lines).any(|line| line == said), "it is not {said}");
    }

    fn signal(&self, signal: Sent) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, within a bound.
    fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if the program has ended, as it should.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn the_first_asks_and_a_second_one_ends(program: &str) {
    for (second, code) in [(Sent::TERM, 143), (Sent::INT, 130)] {
        let mut program = Program::start(program);
        program.signal(Sent::TERM);
        program.expect("asked");
        let before = Instant::now();
        program.signal(second);
        assert_eq!(program.end().code(), Some(code));
        assert!(before.elapsed() < STUCK_MAX, "{:?}", before.elapsed());
    }
}

#[test]
fn the_first_signal_asks_and_a_second_one_ends_at_once() {
    the_first_asks_and_a_second_one_ends("waits");
}

#[test]
fn signals_work_while_every_thread_of_the_runtime_is_blocked() {
    the_first_asks_and_a_second_one_ends("blocks its threads");
}

#[test]
fn signals_work_while_nobody_reads_the_log() {
    the_first_asks_and_a_second_one_ends("fills its log");
}

#[test]
fn a_signal_is_acted_on_before_it_is_logged() {
    let program = Program::start("blocks in its log");
    program.signal(Sent::TERM);
    program.expect("asked");
}

#[test]
fn a_log_that_nobody_reads_delays_an_orderly_exit_by_no_more_than_the_bound() {
    let mut program = Program::start("fills its log");
    program.signal(Sent::TERM);
    program.expect("asked");
    let before = Instant::now();
    drop(program.child.stdin.take());
    assert_eq!(program.end().code(), Some(0));
    assert!(before.elapsed() < STUCK_MAX, "{:?}", before.elapsed());
}

#[test]
fn at_the_exit_the_log_is_written_to_its_last_line() {
    let mut program = Program::start("logs much");
    let mut stdout = program.stdout.take().unwrap();
    program.signal(Sent::TERM);
    program.expect("asked");
    io::Write::write_all(program.child.stdin.as_mut().unwrap(), b"x").unwrap();
    // More lines wait than fit into the pipe. Without a flush the program has ended by now, and they are lost.
    thread::sleep(Duration::from_millis(200));
    let mut log = String::new();
    stdout.read_to_string(&mut log).unwrap();
    assert_eq!(program.end().code(), Some(1));
    assert_eq!(log.lines().filter(|line| line.contains("much to say")).count(), 3000);
    let last = log.lines().last().unwrap_or_default();
    assert!(log.ends_with('\n') && last.contains("exiting") && last.contains("asked to stop"), "{last}");
}

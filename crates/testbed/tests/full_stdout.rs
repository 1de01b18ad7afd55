//! A replica whose standard output takes nothing still answers probes and still ends when asked to.
//!
//! The tests run for each variant without an election, so they need no API server. They are not cases of the black-box
//! suite, because they say nothing about an election and need a pipe that the test does not read.

use std::env;
use std::io::{BufRead, BufReader, PipeReader, Read, Write, pipe};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::Signal;
use serde_json::Value;
use still_leading_testbed::{Process, Profile, Variant};

/// Many times longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);
/// The maximum time for the answer to a probe, and for the end of a replica after SIGTERM.
const BOUND: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// What the reader of the pipe does once the replica has logged its address.
#[derive(Clone, Copy)]
enum Reader {
    /// It keeps the pipe open and reads no more.
    Stalls,
    /// It closes the pipe.
    Goes,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let cases = [
        ("a_full_stdout_pipe_blocks_neither_signals_nor_probes", Reader::Stalls),
        ("a_broken_stdout_pipe_ends_nothing", Reader::Goes),
    ];
    let mut trials = Vec::new();
    for variant in Variant::ALL {
        let missing = variant.missing_toolchain();
        if let Some(reason) = missing.as_ref().filter(|_| !arguments.list) {
            eprintln!("note: the tests of {variant} are ignored: {reason}");
        }
        for (name, reader) in cases {
            let run = move || try_variant(*variant, reader).map_err(|error| Failed::from(format!("{error:#}")));
            trials.push(Trial::test(format!("{variant}::{name}"), run).with_ignored_flag(missing.is_some()));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn try_variant(variant: Variant, reader: Reader) -> Result<()> {
    let program = variant.build(Profile::Debug)?;
    let (replica, mut stdout) = start(&program)?;
    let address = address(&mut stdout)?;
    let _held = match reader {
        Reader::Stalls => Some(stdout),
        Reader::Goes => {
            drop(stdout);
            None
        }
    };
    // From now on nothing that the replica logs can be written.
    wait_until_lines_are_dropped(address)?;
    let health = get(address, "/healthz")?;
    ensure!(health.starts_with("HTTP/1.1 200 "), "/healthz answers {health}");

    let asked = Instant::now();
    replica.signal(Signal::TERM)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = runtime.block_on(replica.wait(BOUND))?;
    eprintln!("{variant} ended {:?} after SIGTERM", asked.elapsed());
    ensure!(end.code() == Some(0), "it ended with {end}");
    Ok(())
}

/// A replica that logs a line every millisecond.
fn start(program: &Path) -> Result<(Process, BufReader<PipeReader>)> {
    let (stdout, into) = pipe()?;
    let mut command = Command::new(program);
    command.args(["--log-format", "json", "--listen", "127.0.0.1:0", "--identity", "alone", "--tick", "1ms"]);
    command.env_clear().envs(env::var_os("RUST_BACKTRACE").map(|value| ("RUST_BACKTRACE", value)));
    command.stdin(Stdio::null()).stdout(into);
    // `spawn` drops the command, and with it this process's writing end of the pipe.
    Ok((Process::spawn(command, |_| ())?, BufReader::new(stdout)))
}

/// Reads the log up to the address at which the replica serves.
fn address(stdout: &mut BufReader<PipeReader>) -> Result<SocketAddr> {
    for line in stdout.lines() {
        let event: Value = serde_json::from_str(&line?)?;
        if event["message"] == "serving http" {
            return Ok(event["address"].as_str().context("it does not say where")?.parse()?);
        }
    }
    bail!("it has ended without serving")
}

fn wait_until_lines_are_dropped(address: SocketAddr) -> Result<()> {
    const COUNTER: &str = "log_lines_dropped_total{name=";
    let deadline = Instant::now() + LONG;
    loop {
        let metrics = get(address, "/metrics")?;
        let counter =
            metrics.lines().find(|line| line.starts_with(COUNTER)).context("it does not count what it drops")?;
        let dropped = counter.rsplit(' ').next().context("a counter without a number")?;
        if dropped.parse::<f64>()? > 0.0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "nothing is dropped: {counter}");
        thread::sleep(PAUSE);
    }
}

/// Returns status line, headers and body of the answer.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let ask = || -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, BOUND)?;
        stream.set_read_timeout(Some(BOUND))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().with_context(|| format!("no answer to {path}"))
}

use std::io::{BufRead, BufReader, Read, pipe};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::*;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

fn start(file: impl Write + Send + 'static) -> (Output, Counter) {
    let dropped = Counter::default();
    (Output::start(file, dropped.clone()).unwrap(), dropped)
}

fn log(output: &Output, line: &str) {
    output.clone().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Logs numbered lines until one is dropped, and returns how many.
fn fill(output: &Output, dropped: &Counter) -> usize {
    let deadline = Instant::now() + LONG;
    let mut count = 0;
    while dropped.get() == 0 {
        assert!(Instant::now() < deadline, "{count} lines, and nothing was dropped");
        log(output, &format!("{count:0100}"));
        count += 1;
    }
    count
}

#[test]
fn after_a_flush_every_line_is_written_in_its_order() {
    let (reader, writer) = pipe().unwrap();
    let (output, dropped) = start(writer);
    for n in 0..100 {
        log(&output, &n.to_string());
    }
    assert!(output.flush(LONG));
    let lines: Vec<String> = BufReader::new(reader).lines().take(100).map(Result::unwrap).collect();
    assert_eq!(lines, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(dropped.get(), 0);
}

#[test]
fn with_a_pipe_that_nobody_reads_lines_are_dropped_and_a_flush_ends_at_its_bound() {
    let (reader, writer) = pipe().unwrap();
    let (output, dropped) = start(writer);
    fill(&output, &dropped);
    let before = Instant::now();
    assert!(!output.flush(SHORT));
    assert!((SHORT..LONG).contains(&before.elapsed()), "{:?}", before.elapsed());
    drop(reader);
}

/// Logs another line whenever one is written, so that one is always waiting.
#[derive(Clone, Default)]
struct Chatty(Arc<OnceLock<Output>>, Arc<AtomicBool>);

impl Write for Chatty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(output) = self.0.get().filter(|_| !self.1.load(Relaxed)) {
            log(output, "one more thing");
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_flush_does_not_wait_for_what_is_logged_after_it() {
    let chatty = Chatty::default();
    let (output, _) = start(chatty.clone());
    chatty.0.set(output.clone()).ok().unwrap();
    log(&output, "one thing");
    let is_flushed = output.flush(LONG);
    chatty.1.store(true, Relaxed);
    assert!(is_flushed);
}

#[test]
fn a_reader_that_comes_back_gets_whole_lines_and_the_counter_says_how_many_are_missing() {
    let (reader, writer) = pipe().unwrap();
    let (output, dropped) = start(writer);
    let first = fill(&output, &dropped);
    let reading = thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map(Result::unwrap);
        lines.take_while(|line| line != "the end").collect::<Vec<_>>()
    });
    assert!(output.flush(LONG), "it is not written");
    log(&output, "the end");
    let lines = reading.join().unwrap();
    assert_eq!(lines.len() as u64, first as u64 - dropped.get());
    assert_eq!(lines, (0..lines.len()).map(|n| format!("{n:0100}")).collect::<Vec<_>>(), "the newest are dropped");
}

#[test]
fn without_a_reader_lines_are_dropped_and_the_next_one_is_tried() {
    let (reader, writer) = pipe().unwrap();
    let (output, dropped) = start(writer);
    drop(reader);
    for n in 1..=3 {
        log(&output, "to nobody");
        assert!(output.flush(LONG));
        assert_eq!(dropped.get(), n);
    }
}

/// Takes three bytes at a time, and returns "try again" before each.
struct Reluctant<W>(W, bool);

impl<W: Write> Write for Reluctant<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 { Err(ErrorKind::WouldBlock.into()) } else { self.0.write(&bytes[..bytes.len().min(3)]) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_does_not_block_loses_nothing() {
    let (mut reader, writer) = pipe().unwrap();
    let (output, dropped) = start(Reluctant(writer, false));
    log(&output, "in small pieces");
    assert!(output.flush(LONG));
    assert_eq!(dropped.get(), 0);
    let mut read = [0; 16];
    reader.read_exact(&mut read).unwrap();
    assert_eq!(read, *b"in small pieces\n");
}

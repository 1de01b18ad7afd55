//! `cargo demo`: three replicas on this machine, of which one leads, and faults that it has to survive. `cargo demo --help`
//! explains the choices.

mod args;
mod faults;
mod keys;
mod live;
mod print;
mod report;
mod stage;
mod story;
mod timeline;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use still_leading_testbed::history::judge::{refusal, stale_acts};
use still_leading_testbed::history::now;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};

use args::{Args, Plan, one_line};
use faults::Fault;
use keys::{KEYS, Keys};
use live::Before;
use print::{Output, progress};
use report::{Episode, Row, Verdict};
use stage::Stage;
use timeline::Look;

/// The exit code that a shell shows for a program whose output nobody reads.
const NOBODY_READS: u8 = 141;
const STALE_ACTS: u8 = 3;
const UNDECIDED: u8 = 4;
/// The width of the timeline where there is no terminal.
const WIDTH: usize = 100;

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::try_from_words(std::env::args_os()) {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            progress(&one_line(&error));
            return ExitCode::from(2);
        }
        Err(help) => help.exit(),
    };
    let output = Output::new();
    let end = select! {
        // Returning ends every process that was started, whichever comes first.
        biased;
        code = interrupted() => return ExitCode::from(code),
        () = output.closed() => return ExitCode::from(NOBODY_READS),
        end = demo(&args, &output) => end,
    };
    match end {
        _ if output.is_closed() => ExitCode::from(NOBODY_READS),
        Ok(code) => code,
        Err(error) => {
            progress(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Sets the stage, injects the faults, and prints their outcomes.
async fn demo(args: &Args, output: &Output) -> Result<ExitCode> {
    if let Some(file) = &args.svg {
        stage::check_writable(file)?;
    }
    let on_terminal = keys::on_terminal();
    let plan = args.plan(on_terminal);
    let mut stage = Stage::set_up(args, output).await?;
    let mut keys = on_terminal.then(Keys::take).transpose()?;
    let (mut episodes, mut has_quit) = (Vec::new(), false);
    match &plan {
        Plan::Story(faults) => {
            if keys.is_some() {
                output.note("q quits");
            }
            select! {
                played = story::story(&mut stage, faults, &mut episodes) => played?,
                () = quit(&mut keys) => has_quit = true,
            }
        }
        Plan::Guided => episodes = guided(&mut stage, &mut keys).await?,
        Plan::Watch(stay) => {
            if keys.is_some() {
                output.announce(KEYS);
            }
            episodes = live::live(&mut stage, &mut keys, Some(*stay), Before::default()).await?;
        }
    }
    let end = conclude(args, &stage, &episodes)?;
    Ok(match plan {
        Plan::Guided | Plan::Watch(_) => ExitCode::SUCCESS,
        Plan::Story(_) if end == End::Survived && has_quit => ExitCode::from(UNDECIDED),
        // Ended early, since nobody led.
        Plan::Story(faults) if !has_quit && episodes.len() < faults.len() => ExitCode::FAILURE,
        Plan::Story(_) => end.code(),
    })
}

/// How a story ended. The worst end comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nobody led after a fault.
    NobodyLed,
    /// A replica acted after the end of its term.
    StaleActs,
    /// The demo ended before the outcome of a fault showed.
    Undecided,
    /// Somebody led after each fault.
    Survived,
}

impl End {
    fn code(self) -> ExitCode {
        match self {
            Self::NobodyLed => ExitCode::FAILURE,
            Self::StaleActs => ExitCode::from(STALE_ACTS),
            Self::Undecided => ExitCode::from(UNDECIDED),
            Self::Survived => ExitCode::SUCCESS,
        }
    }
}

/// Plays the quick story until it is over or a key is pressed. From then on the keys decide.
async fn guided(stage: &mut Stage, keys: &mut Option<Keys>) -> Result<Vec<Episode>> {
    stage.output().announce(KEYS);
    stage.output().note("until you press one, a story plays");
    let mut episodes = Vec::new();
    let key = select! {
        played = story::story(stage, &Fault::QUICK, &mut episodes) => {
            played?;
            stage.output().announce(KEYS);
            None
        }
        // If the terminal is gone, quit.
        key = live::next(keys) => Some(key.unwrap_or(b'q')),
    };
    live::live(stage, keys, None, Before { episodes, key }).await
}

/// Prints the table and the timeline, and returns how the story ended.
fn conclude(args: &Args, stage: &Stage, episodes: &[Episode]) -> Result<End> {
    stage.stop_printing();
    let (events, end, output) = (stage.fleet().history().events(), now(), stage.output());
    let rows: Vec<Row> = episodes.iter().map(|it| report::conclude(&events, it, stage.patience(), end)).collect();
    let timeline = timeline::of(&events, episodes, (output.start(), end));
    let (width, utf8, colour) = (output.width(), timeline::locale_is_utf8(), output.is_coloured());
    let look = Look { width: width.unwrap_or(WIDTH), utf8, colour };
    let parts = [report::table(&rows, width.unwrap_or(usize::MAX)), timeline::text(&timeline, look)];
    for part in parts.iter().filter(|part| !part.is_empty()) {
        output.text(&format!("\n{part}"));
    }
    output.text("\n");
    if let Some(file) = &args.svg {
        let title = format!("{}: {}", stage::played(args), stage::durations(args));
        fs::write(file, still_leading_timeline::svg(&timeline, &title))
            .with_context(|| format!("writing {}", file.display()))?;
        output.note(&format!("the timeline is in {}", file.display()));
    }
    // All stale acts, also those before the first fault.
    let stale = stale_acts(&events);
    let is = |verdict: Verdict| move |row: &&Row| row.verdict == verdict;
    let [led, nobody, undecided] =
        [Verdict::Led, Verdict::NobodyLed, Verdict::Undecided].map(|verdict| rows.iter().filter(is(verdict)).count());
    let ended = match stale.as_slice() {
        _ if nobody > 0 => End::NobodyLed,
        [_, ..] => End::StaleActs,
        [] if undecided > 0 => End::Undecided,
        [] => End::Survived,
    };
    if !rows.is_empty() {
        let at_once = match stale.as_slice() {
            [] => "two never acted at once",
            acts if acts.iter().any(|act| act.beside.is_some()) => "two acted at once",
            _ => "a replica acted after the end of its term",
        };
        let refused = match events.iter().filter_map(refusal).count() {
            0 => String::new(),
            n => format!("; the fence refused {}", report::writes(n)),
        };
        let open = if undecided == 0 { String::new() } else { format!("; {undecided} undecided") };
        let said = format!("somebody led after {led} of {} faults{open}; {at_once}{refused}", rows.len());
        match ended {
            End::Undecided => output.undecided(&said),
            _ => output.result(&said, ended == End::Survived),
        }
    }
    if !stale.is_empty() {
        output.note(&stage::why_stale(args));
    }
    Ok(ended)
}

/// Returns once `q` is pressed.
async fn quit(keys: &mut Option<Keys>) {
    match keys {
        // A terminal that is gone does not mean quit: its hang-up arrives as a signal.
        Some(keys) => while keys.next().await.is_some_and(|key| key != b'q') {},
        None => std::future::pending().await,
    }
}

/// Waits for a signal that asks to stop, and returns the exit code.
async fn interrupted() -> u8 {
    let wait = async |kind: SignalKind| {
        match signal(kind) {
            Ok(mut signal) => signal.recv().await,
            // Without a handler the signal ends the process.
            Err(_) => std::future::pending().await,
        };
        128 + kind.as_raw_value() as u8
    };
    select! {
        code = wait(SignalKind::interrupt()) => code,
        code = wait(SignalKind::terminate()) => code,
        code = wait(SignalKind::hangup()) => code,
    }
}

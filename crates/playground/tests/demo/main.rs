//! Runs the built demo as a person or a script would: exit codes, output, keys, and that it leaves nothing behind.
//!
//! Cases on the real kube-apiserver show as ignored where there is none, with the reason.

mod process;
mod terminal;

use std::process::{ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::Signal;
use still_leading_testbed::Assets;

use process::Demo;
use terminal::Terminal;

/// For a story with its build. At most the variant is left to build by then.
const LONG: Duration = Duration::from_secs(300);
/// For something that comes soon.
const SOON: Duration = Duration::from_secs(60);

type Tried = Result<(), Failed>;

macro_rules! check {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(Failed::from(format!($($message)+)));
        }
    };
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = Assets::find().err();
    if let Some(missing) = &missing {
        eprintln!("note: the demo on a real API server is ignored: {missing}");
    }
    let trials = vec![
        Trial::test("the_quick_story_ends_well_and_says_what_happened", quick_story),
        Trial::test("controller::a_thawed_leader_writes_nothing_and_the_fence_refuses_nothing", controller),
        Trial::test(
            "controller::without_its_gate_a_thawed_leader_writes_beside_the_next_one_unless_its_process_ends",
            without_gate,
        ),
        Trial::test("controller::without_its_gate_a_fence_refuses_a_thawed_leader_unless_its_process_ends", fenced),
        Trial::test("on_a_terminal_keys_act_on_the_leader_and_forty_columns_are_enough", keys),
        Trial::test("no_color_is_heard_and_nine_columns_are_no_panic", no_colour),
        Trial::test("ctrl_c_ends_everything_with_code_130", interrupt),
        Trial::test("when_nobody_reads_any_more_it_ends_quietly", closed_output),
        Trial::test("quitting_in_the_middle_of_a_fault_leaves_it_undecided_with_code_4", quit_in_the_middle),
        Trial::test("two_faults_at_once_have_one_figure_each_and_the_key_line_says_what_r_undoes", two_at_once),
        Trial::test("a_bad_command_line_is_one_line_and_code_2", bad_command_line),
        Trial::test("real::a_kill_is_survived", on_the_real_one).with_ignored_flag(missing.is_some()),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn quick_story() -> Tried {
    let dir = tempfile::tempdir()?;
    let svg = dir.path().join("demo.svg");
    // A story is the default, since there is no terminal.
    let mut demo = Demo::start(&["--svg", &svg.to_string_lossy()])?;
    let code = demo.wait(LONG)?;
    let (said, errors) = demo.said()?;
    check!(code == Some(0), "it ended with {code:?}\n{said}\n{errors}");
    for line in [
        "=== native: 3 replicas compete for one Lease",
        "kubectl --kubeconfig ",
        "still leading n=1",
        "=== 1/4 term: SIGTERM to native-",
        "=== 2/4 kill: SIGKILL to native-",
        "=== 3/4 freeze: SIGSTOP to native-",
        "=== SIGCONT to native-",
        "made no stale act after the thaw",
        "=== 4/4 cut: between native-",
        "#  fault   led before",
        "==> somebody led after 4 of 4 faults; two never acted at once",
    ] {
        check!(said.contains(line), "{line:?} is missing in\n{said}\n{errors}");
    }
    check!(said.matches("; nobody led for ").count() == 4, "not every outcome was printed\n{said}");
    check!(!said.contains('\x1b'), "there are colours although nobody sees them\n{said}");
    let svg = std::fs::read_to_string(svg)?;
    check!(svg.starts_with("<svg") && svg.contains(" leads, "), "this is not a timeline: {svg}");
    Ok(())
}

fn controller() -> Tried {
    let dir = tempfile::tempdir()?;
    let svg = dir.path().join("demo.svg");
    let mut demo = Demo::start(&[
        "controller",
        "--fencing",
        "--story",
        "freeze",
        "--tick",
        "500ms",
        "--svg",
        &svg.to_string_lossy(),
    ])?;
    let code = demo.wait(LONG)?;
    let (said, errors) = demo.said()?;
    check!(code == Some(0), "it ended with {code:?}\n{said}\n{errors}");
    for line in [
        "=== controller: 3 replicas compete for one Lease; its holder leads, and copies ConfigMaps",
        "    fencing is in force",
        // In one line for all at once. On a busy machine there may be one more source by then.
        "reconciled created=1",
        "=== 1/1 freeze: SIGSTOP to controller-",
        "reconciled action=updated",
        "made no stale act after the thaw",
        "==> somebody led after 1 of 1 faults; two never acted at once",
    ] {
        check!(said.contains(line), "{line:?} is missing in\n{said}\n{errors}");
    }
    check!(!said.contains("refused"), "the gate did not ask first\n{said}");
    let svg = std::fs::read_to_string(svg)?;
    check!(svg.contains("<title>controller with fencing: ") && svg.contains(" acts, "), "no acts are shown: {svg}");
    Ok(())
}

/// The library ends a process whose work does not stop in time, which after such a thaw is at once. Then it has written nothing.
const HAS_ENDED: &str = "exiting reason=the work did not stop within";

fn without_gate() -> Tried {
    let mut demo = Demo::start(&["controller", "--without-gate", "--story", "freeze"])?;
    let code = demo.wait(LONG)?;
    let (said, errors) = demo.said()?;
    let acted = said.contains("TWO ACTED AT ONCE: controller-") && said.contains("; two acted at once\n");
    let as_told = if acted { code == Some(3) } else { code == Some(0) && said.contains(HAS_ENDED) };
    check!(as_told, "it ended with {code:?}\n{said}\n{errors}");
    Ok(())
}

fn fenced() -> Tried {
    let mut demo = Demo::start(&["controller", "--without-gate", "--fencing", "--story", "freeze"])?;
    let code = demo.wait(LONG)?;
    let (said, errors) = demo.said()?;
    let parts = [" WARN fenced: epoch ", " has written since refused=", "F fenced", "at once; the fence refused "];
    let is_refused = parts.iter().all(|part| said.contains(part));
    check!(code == Some(0), "it ended with {code:?}\n{said}\n{errors}");
    check!(is_refused || said.contains(HAS_ENDED), "nothing stopped it\n{said}\n{errors}");
    Ok(())
}

fn keys() -> Tried {
    let terminal = Terminal::open(40)?;
    let before = terminal.modes()?;
    let mut demo = terminal.start(&[], ("LC_ALL", "C.UTF-8"))?;
    terminal.wait_for("still leading n=1", LONG)?;
    terminal.press(b'k')?;
    terminal.wait_for("==> native-", SOON)?;
    terminal.press(b'q')?;
    let code = demo.wait(SOON)?;
    let said = terminal.said();
    check!(code == Some(0), "it ended with {code:?}\n{said}");
    check!(terminal.modes()? == before, "the terminal is not as it was");
    // On this narrow terminal the table is a list. Lines begin on the left, also while keys are read.
    for part in ["a story", " kill\r\n  native-", "\r\nfault", "▇▇", "\x1b["] {
        check!(said.contains(part), "{part:?} is missing in\n{said}");
    }
    check!(!said.replace("\r\n", "").contains('\n'), "a line does not begin on the left: {said:?}");
    Ok(())
}

fn no_colour() -> Tried {
    let terminal = Terminal::open(9)?;
    // A new Lease has no leader for the first five seconds.
    let mut demo = terminal.start(&["--for", "12s"], ("NO_COLOR", "1"))?;
    let code = demo.wait(LONG)?;
    let said = terminal.said();
    check!(code == Some(0) && !said.contains('\x1b') && said.contains("#####"), "it ended with {code:?}\n{said:?}");
    Ok(())
}

fn interrupt() -> Tried {
    let mut demo = Demo::start(&["--for", "10m"])?;
    demo.wait_for("still leading n=1", LONG)?;
    demo.signal(Signal::INT)?;
    let code = demo.wait(SOON)?;
    let (said, errors) = demo.said()?;
    check!(code == Some(130), "it ended with {code:?}\n{said}\n{errors}");
    let kubeconfig = said.split_whitespace().skip_while(|word| *word != "--kubeconfig").nth(1).unwrap_or_default();
    let dir = std::path::Path::new(kubeconfig).parent().unwrap_or(std::path::Path::new("/"));
    check!(dir.parent().is_some() && !dir.exists(), "{} is still there", dir.display());
    Ok(())
}

fn closed_output() -> Tried {
    let (reader, writer) = std::io::pipe()?;
    let mut demo = Demo::start_into(&["--for", "10m"], writer.into())?;
    let mut first = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(reader), &mut first)?;
    check!(first.starts_with("=== native"), "it began with {first:?}");
    let code = demo.wait(LONG)?;
    let (_, errors) = demo.said()?;
    check!(code == Some(141) && !errors.contains("panicked"), "it ended with {code:?}\n{errors}");
    Ok(())
}

fn quit_in_the_middle() -> Tried {
    let terminal = Terminal::open(120)?;
    let mut demo = terminal.start(&["--story", "kill,term"], ("NO_COLOR", "1"))?;
    terminal.wait_for("=== 1/2 kill: SIGKILL to native-", LONG)?;
    terminal.press(b'q')?;
    let code = demo.wait(SOON)?;
    let said = terminal.said();
    check!(code == Some(4), "it ended with {code:?}\n{said}");
    check!(said.contains("==> somebody led after 0 of 1 faults; 1 undecided; two never acted at once"), "{said}");
    let row = said.lines().find(|line| line.starts_with("1  kill")).unwrap_or_default();
    check!(row.contains("undecided"), "the table counts it as passed: {row:?}\n{said}");
    Ok(())
}

fn two_at_once() -> Tried {
    let terminal = Terminal::open(200)?;
    let mut demo = terminal.start(&["--for", "10m"], ("NO_COLOR", "1"))?;
    terminal.wait_for("still leading n=1", LONG)?;
    terminal.press(b'f')?;
    terminal.wait_for(" is frozen: r thaws native-", SOON)?;
    // Another replica leads, and is killed before the first outcome is printed.
    let leads = |said: &str| said.matches(" INFO leading ").count() >= 2;
    let deadline = Instant::now() + SOON;
    while !leads(&terminal.said()) && Instant::now() < deadline {
        sleep(Duration::from_millis(20));
    }
    terminal.press(b'k')?;
    terminal.wait_for("==> native-", SOON)?;
    let after_kill = terminal.said().matches("==> native-").count() + 1;
    let deadline = Instant::now() + SOON;
    while terminal.said().matches("==> native-").count() < after_kill && Instant::now() < deadline {
        sleep(Duration::from_millis(50));
    }
    terminal.press(b'r')?;
    terminal.wait_for("healed: native-", SOON)?;
    terminal.press(b'q')?;
    let code = demo.wait(SOON)?;
    let said = terminal.said();
    check!(code == Some(0), "it ended with {code:?}\n{said}");
    check!(said.contains("==> somebody led after 2 of 2 faults; two never acted at once"), "{said}");
    for (number, fault, cause) in [("1", "freeze", "SIGSTOP"), ("2", "kill", "SIGKILL")] {
        let line = said.lines().find(|line| line.starts_with("==> ") && line.contains(cause)).unwrap_or_default();
        let gap = line.split("nobody led for ").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or("no figure");
        let row = said.lines().find(|line| line.starts_with(&format!("{number}  {fault}"))).unwrap_or_default();
        check!(row.contains(&format!(" {gap} ")), "the line says {gap}, the table {row:?}\n{said}");
    }
    Ok(())
}

fn bad_command_line() -> Tried {
    for (arguments, why) in [
        (&["nativ"][..], "the variants are native,"),
        (&["--lease-duration", "3s"], "--lease-duration 3s must be longer than --renew-deadline 3s"),
        (&["kube-coordinate", "--lease-duration", "4s"], "kube-coordinate needs a lease duration of 4.25s"),
        (&["client-go", "--fencing"], "--fencing is for the example controller only, not for client-go"),
    ] {
        let mut demo = Demo::start(arguments)?;
        let code = demo.wait(SOON)?;
        let (said, errors) = demo.said()?;
        let is_one_line = errors.lines().count() == 1 && said.is_empty();
        check!(code == Some(2) && is_one_line && errors.contains(why), "{code:?}\n{said}\n{errors}");
    }
    Ok(())
}

fn on_the_real_one() -> Tried {
    let mut demo = Demo::start_into(&["--real", "--story", "kill"], Stdio::null())?;
    let code = demo.wait(LONG)?;
    let (_, errors) = demo.said()?;
    check!(code == Some(0), "it ended with {code:?}\n{errors}");
    Ok(())
}

//! `cargo simulate` as it is called: the last line, the exit code, the file.

// Only a test has helpers that unwrap.
#![cfg(test)]

use std::process::{Command, Output};

fn simulate(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_still-leading-simulation")).args(words).output().unwrap()
}

fn last_line(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn seeds_that_hold_end_with_one_line_and_exit_code_0() {
    let output = simulate(&["--seeds", "20"]);
    let line = last_line(&output);
    assert!(line.starts_with("20 seeds, 0 overlaps, 0 stuck, ") && line.ends_with(" s"), "{line}");
    assert_eq!((output.status.code(), output.stderr.is_empty()), (Some(0), true));
}

#[test]
fn a_seed_that_fails_is_explained_and_drawn_with_exit_code_1() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("timeline.svg");
    let svg = file.to_str().unwrap();
    let output = simulate(&["--seeds", "20", "--control", "no-compare-and-swap", "--svg", svg]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("LEADS in epoch") && text.contains("cargo simulate --seed "), "{text}");
    assert!(!last_line(&output).contains(" 0 overlaps"), "{text}");
    assert_eq!(output.status.code(), Some(1));
    assert!(std::fs::read_to_string(file).unwrap().starts_with("<svg"));
}

#[test]
fn one_seed_is_replayed_line_by_line() {
    let output = simulate(&["--seed", "7"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("r0  starts as r0_0") && text.contains("LEADS in epoch"), "{text}");
    assert!(last_line(&output).starts_with("1 seeds, 0 overlaps, 0 stuck, "), "{text}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_bad_command_line_is_one_line_and_exit_code_2() {
    let output = simulate(&["--seeds", "many"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
}

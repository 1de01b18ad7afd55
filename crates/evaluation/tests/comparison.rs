//! The documents say what was recorded. Here, because the executables that write them are built for this test anyway.

use std::process::Command;

#[test]
fn the_pages_of_the_matrix_are_those_of_its_record() {
    let output = Command::new(env!("CARGO_BIN_EXE_evaluate")).args(["report", "--check"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_tables_of_the_comparison_are_those_of_the_records() {
    let output = Command::new(env!("CARGO_BIN_EXE_comparison")).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_tables_of_the_controller_are_those_of_its_record() {
    let output = Command::new(env!("CARGO_BIN_EXE_controller")).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

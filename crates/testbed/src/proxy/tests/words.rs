//! The names of the modes.

use super::*;
use std::collections::BTreeSet;

#[test]
fn every_mode_is_a_word_of_its_own_that_parses_to_it() {
    let words: BTreeSet<String> = Mode::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), Mode::ALL.len());
    for mode in Mode::ALL {
        let word = mode.to_string();
        assert!(word.chars().all(|char| char == '-' || char.is_ascii_lowercase()), "{word}");
        assert_eq!(word.parse(), Ok(*mode));
    }
    assert_eq!(Mode::default().to_string(), "pass");
}

#[test]
fn an_unknown_word_is_answered_with_those_there_are() {
    let error = "passs".parse::<Mode>().unwrap_err().to_string();
    assert!(Mode::ALL.iter().all(|mode| error.contains(mode.name())), "{error}");
}

#[test]
fn every_mode_is_described_in_a_line_of_its_own() {
    let lines: BTreeSet<&str> = Mode::ALL.iter().map(|mode| mode.describe()).collect();
    assert_eq!(lines.len(), Mode::ALL.len());
    assert!(lines.iter().all(|line| !line.is_empty() && line.len() < 100 && !line.contains('\n')), "{lines:?}");
}

#[test]
fn what_limits_a_fault_is_not_in_its_word() {
    let mode = Mode::from(Fault::new(Action::Unavailable).on(Scope::Watches).times(2));
    assert_eq!((mode.to_string(), mode.describe()), ("unavailable".to_owned(), Action::Unavailable.describe()));
}

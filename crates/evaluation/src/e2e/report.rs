//! What a person reads: a line for each step, and what is wrong in the end.

use still_leading_testbed::Variant;

use super::record::{Outcome, Tried};
use crate::stats::median;

/// One step in one line.
#[must_use]
pub fn line(tried: &Tried) -> String {
    let outcome = match tried.outcome {
        Outcome::Kept => "kept",
        Outcome::Broken => "broken",
        Outcome::Error => "error",
        Outcome::NotTried => "not tried",
    };
    let expected = match (tried.outcome, &tried.expected) {
        (Outcome::Broken, Some(reason)) => format!(" (as expected: {reason})"),
        (Outcome::Broken, None) => " (NOT EXPECTED)".to_owned(),
        (Outcome::Kept, Some(_)) => " (kept this time; it may break)".to_owned(),
        _ => String::new(),
    };
    format!("  {:<13}{outcome:<11}{}{expected}", tried.step, tried.said)
}

/// Seconds: their median, and their range if there are several; none if there are none.
pub(crate) fn seconds(values: &[f64]) -> Option<String> {
    let (least, most) = values.iter().fold((f64::INFINITY, 0_f64), |(a, b), it| (a.min(*it), b.max(*it)));
    match values.len() {
        0 => None,
        1 => Some(format!("{most:.2} s")),
        n => Some(format!("{:.2} s ({least:.2}–{most:.2}, n = {n})", median(values))),
    }
}

/// Numbers, one for each trial; none if there are none.
pub(crate) fn counts(values: &[f64]) -> Option<String> {
    let words: Vec<String> = values.iter().map(f64::to_string).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// What fails the run, a line each.
#[must_use]
pub fn failures(variant: Variant, steps: &[Tried]) -> Vec<String> {
    let wrong = steps.iter().filter(|tried| !tried.is_fine());
    wrong.map(|tried| format!("{variant}, {}: {}", tried.step, tried.said)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::e2e::step::Step;

    fn tried(outcome: Outcome, expected: Option<&str>) -> Tried {
        let (figures, said) = (Default::default(), "3 acts".to_owned());
        Tried { step: Step::Freeze, outcome, expected: expected.map(str::to_owned), figures, said }
    }

    #[test]
    fn a_line_tells_the_step_its_outcome_its_figure_and_whether_that_was_expected() {
        let told = |outcome, expected| line(&tried(outcome, expected));
        assert_eq!(told(Outcome::Kept, None), "  freeze       kept       3 acts");
        assert_eq!(told(Outcome::Broken, Some("x.go:1")), "  freeze       broken     3 acts (as expected: x.go:1)");
        assert_eq!(told(Outcome::Broken, None), "  freeze       broken     3 acts (NOT EXPECTED)");
        assert_eq!(told(Outcome::Kept, Some("x")), "  freeze       kept       3 acts (kept this time; it may break)");
        assert_eq!(told(Outcome::NotTried, Some("x")), "  freeze       not tried  3 acts");
    }

    #[test]
    fn several_values_are_told_with_their_range_and_one_by_itself() {
        assert_eq!(seconds(&[0.314]).as_deref(), Some("0.31 s"));
        assert_eq!(seconds(&[0.5, 0.25, 16.0]).as_deref(), Some("0.50 s (0.25–16.00, n = 3)"));
        assert_eq!(counts(&[3.0, 0.0]).as_deref(), Some("3, 0"));
        assert_eq!((seconds(&[]), counts(&[])), (None, None));
    }

    #[test]
    fn what_fails_the_run_is_told_with_its_variant() {
        let steps = [tried(Outcome::Broken, Some("x")), tried(Outcome::Broken, None), tried(Outcome::Kept, None)];
        assert_eq!(failures(Variant::Native, &steps), ["native, freeze: 3 acts"]);
    }
}

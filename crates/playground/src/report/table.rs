//! All faults in one table, or as a list where the terminal is too narrow.

use std::fmt::Write;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::{Outcome, Row, Verdict};
use crate::print::seconds;

const HEAD: [&str; 6] = ["#", "fault", "led before", "led after", "nobody led", "two acted at once"];

/// Formats all faults with their outcomes, one row per fault, in lines of at most `width` columns if possible.
pub fn table(rows: &[Row], width: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let cells: Vec<[String; 6]> = rows.iter().enumerate().map(|(place, it)| row(place, it)).collect();
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(HEAD).add_rows(&cells);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    // The line end is not a column.
    let is_wide = lines.iter().any(|line| line.chars().count() > width.saturating_add(1));
    if is_wide { list(&cells) } else { lines.concat() }
}

fn row(place: usize, Row { fault, outcome, verdict }: &Row) -> [String; 6] {
    let at_once = match &outcome.stale {
        None => "no".to_owned(),
        Some(stale) => {
            let word = if stale.beside.is_some() { "YES" } else { "STALE ACTS" };
            format!("{word}: {} in {}", counted(stale.acts), seconds(stale.lasting))
        }
    };
    let after_thaw = outcome.after_thaw.map(|acts| format!(", {} after the thaw", counted(acts)));
    let refused = (outcome.refused > 0).then(|| format!(", {} refused", outcome.refused));
    [
        (place + 1).to_string(),
        fault.name().to_owned(),
        outcome.before.clone(),
        led_after(outcome, *verdict),
        seconds(outcome.gap),
        at_once + &after_thaw.unwrap_or_default() + &refused.unwrap_or_default(),
    ]
}

fn led_after(outcome: &Outcome, verdict: Verdict) -> String {
    let first = || outcome.successor.as_ref().map(|(name, _)| name.clone());
    match verdict {
        Verdict::Undecided => "undecided".to_owned(),
        _ => outcome.after.clone().or_else(first).unwrap_or_else(|| "nobody".to_owned()),
    }
}

fn counted(acts: usize) -> String {
    match acts {
        0 => "no act".to_owned(),
        1 => "1 act".to_owned(),
        acts => format!("{acts} acts"),
    }
}

fn list(rows: &[[String; 6]]) -> String {
    let mut text = String::new();
    for [number, fault, before, after, gap, at_once] in rows {
        // Writing to a String cannot fail.
        writeln!(text, "{number} {fault}").ok();
        let lines =
            [format!("{before}, then {after}"), format!("nobody led: {gap}"), format!("two at once: {at_once}")];
        for line in lines {
            writeln!(text, "  {line}").ok();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;
    use crate::report::StaleActs;
    use std::time::Duration;

    fn outcome(stale: Option<StaleActs>, after_thaw: Option<usize>) -> Outcome {
        Outcome {
            before: "native-0".to_owned(),
            successor: Some(("native-1".to_owned(), Duration::from_millis(4_990))),
            after: Some("native-1".to_owned()),
            gap: Duration::from_millis(4_980),
            stale,
            overlap: Duration::ZERO,
            after_thaw,
            refused: 0,
        }
    }

    fn row(fault: Fault, outcome: Outcome) -> Row {
        Row { fault, outcome, verdict: Verdict::Led }
    }

    fn rows() -> Vec<Row> {
        let beside = StaleActs {
            who: "native-0".to_owned(),
            beside: Some("native-1".to_owned()),
            acts: 2,
            lasting: Duration::from_millis(1_900),
        };
        vec![row(Fault::Kill, outcome(None, None)), row(Fault::Freeze, outcome(Some(beside), Some(2)))]
    }

    #[test]
    fn a_row_says_who_led_the_gap_and_whether_two_acted() {
        let expected = "\
#  fault   led before  led after  nobody led  two acted at once
1  kill    native-0    native-1   4.98 s      no
2  freeze  native-0    native-1   4.98 s      YES: 2 acts in 1.90 s, 2 acts after the thaw
";
        assert_eq!(table(&rows(), 100), expected);
    }

    #[test]
    fn what_a_fence_refused_is_counted() {
        let refused = Outcome { refused: 7, ..outcome(None, Some(0)) };
        let text = table(&[row(Fault::Freeze, refused)], 100);
        assert!(text.ends_with("no, no act after the thaw, 7 refused\n"), "{text}");
    }

    #[test]
    fn on_forty_columns_it_is_a_list_that_fits() {
        let rows = [row(Fault::Kill, outcome(None, None))];
        let text = table(&rows, 40);
        assert_eq!(text, "1 kill\n  native-0, then native-1\n  nobody led: 4.98 s\n  two at once: no\n");
        assert!(text.lines().all(|line| line.len() <= 40), "{text}");
        assert_eq!(table(&rows, 0), text);
    }

    #[test]
    fn a_row_shows_when_nobody_led_or_nothing_was_decided_and_without_faults_there_is_no_table() {
        let outcome = Outcome { successor: None, after: None, ..outcome(None, None) };
        let mut row = Row { fault: Fault::Kill, outcome, verdict: Verdict::NobodyLed };
        assert!(table(std::slice::from_ref(&row), 100).contains("native-0    nobody     4.98 s"), "nobody");
        row.verdict = Verdict::Undecided;
        assert!(table(std::slice::from_ref(&row), 100).contains("native-0    undecided  4.98 s"), "undecided");
        assert_eq!(table(&[], 100), "");
    }
}

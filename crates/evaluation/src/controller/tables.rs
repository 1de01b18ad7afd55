//! From the record to the tables of `docs/controller-measured.md`: pure functions.

use std::collections::BTreeSet;

use super::record::{AgainstGo, Fault, Fence, Graceful, Language, Record, Safety, Section, Side, Takeover, What};
use crate::comparison::Table;
use crate::stats::{median, percentile};
use crate::table::markdown;

/// All tables of the page, each with the line that says how it was measured.
#[must_use]
pub fn tables(record: &Record) -> Vec<Table> {
    vec![
        ("safety", text(record.safety.as_ref(), safety)),
        ("fence", text(record.fence.as_ref(), fence)),
        ("takeover", text(record.takeover.as_ref(), takeover)),
        ("graceful", text(record.graceful.as_ref(), graceful)),
        ("against Go", text(record.against_go.as_ref(), against_go)),
    ]
}

fn text<T>(section: Option<&Section<T>>, table: impl Fn(&[T]) -> String) -> String {
    let Some(section) = section else { return "Not measured yet.\n".to_owned() };
    let measured = &section.measured;
    let mut text = format!(
        "{}\n{}, commit {}: Kubernetes {}, {} processors, {}; {} trials at a time. `{}`\n",
        table(&section.trials),
        measured.date,
        section.commit,
        measured.kubernetes.as_deref().unwrap_or("unknown"),
        measured.machine.cpus,
        measured.machine.os,
        section.at_a_time,
        measured.command,
    );
    for failed in &section.failed {
        let first = failed.lines().next().unwrap_or_default();
        text += &format!("\nNot judged: {first}\n");
    }
    text
}

fn safety(trials: &[Safety]) -> String {
    let faults: BTreeSet<Fault> = trials.iter().map(|it| it.fault).collect();
    let rows = faults.into_iter().map(|fault| {
        let of: Vec<&Safety> = trials.iter().filter(|it| it.fault == fault).collect();
        let sum = |count: fn(&Safety) -> usize| of.iter().map(|it| count(it)).sum::<usize>().to_string();
        let figures: [fn(&Safety) -> usize; 9] = [
            |it| it.takeovers,
            |it| it.writes,
            |it| it.back,
            |it| it.late,
            |it| it.unstamped,
            |it| it.wrong,
            |it| it.orphaned,
            |it| it.refused,
            |it| it.conflicts,
        ];
        let times = |of_one: fn(&Safety) -> Option<f64>| spread(of.iter().filter_map(|it| of_one(it)).collect());
        let mut row = vec![name_of(fault).to_owned(), of.len().to_string()];
        row.extend(figures.map(sum));
        row.extend([times(|it| it.first_ms), times(|it| it.last_ms)]);
        row
    });
    let header = [
        "fault",
        "n",
        "take-overs",
        "writes",
        "epoch back",
        "late",
        "not stamped",
        "wrong at end",
        "orphans written",
        "refused",
        "409",
        "first copy, ms",
        "last copy, ms",
    ];
    markdown(&header, &rows.collect::<Vec<_>>())
}

fn name_of(fault: Fault) -> &'static str {
    match fault {
        Fault::Term => "SIGTERM",
        Fault::Kill => "SIGKILL",
        Fault::Freeze => "frozen, thawed",
        Fault::Cut => "cut off",
        Fault::Rollout => "rollout",
        Fault::TooManyRequests => "429",
        Fault::Slow => "slow answers",
    }
}

fn fence(trials: &[Fence]) -> String {
    let rows = [Side::Nothing, Side::Policy, Side::PolicyWithNewSources, Side::Gate].map(|side| {
        let of: Vec<&Fence> = trials.iter().filter(|it| it.side == side).collect();
        let sum = |count: fn(&Fence) -> usize| of.iter().map(|it| count(it)).sum::<usize>().to_string();
        let late = of.iter().filter(|it| it.late > 0).count();
        let (gate, policy, sources) = match side {
            Side::Nothing => ("no", "no", "changed"),
            Side::Policy => ("no", "yes", "changed"),
            Side::PolicyWithNewSources => ("no", "yes", "changed and made"),
            Side::Gate => ("yes", "no", "changed and made"),
        };
        let mut row = [gate, policy, sources].map(str::to_owned).to_vec();
        let (n, sent, refused) = (of.len().to_string(), sum(|it| it.sent), sum(|it| it.refused));
        row.extend([n, sent, refused, sum(|it| it.conflicts), sum(|it| it.late), sum(|it| it.back)]);
        row.push(format!("{late} of {}", of.len()));
        row
    });
    let header = [
        "gate",
        "policy",
        "sources",
        "n",
        "sent after the thaw",
        "refused by the policy",
        "409",
        "late, accepted",
        "epoch back",
        "trials with a late write",
    ];
    let mut text = markdown(&header, &rows);
    let message =
        trials.iter().filter_map(|it| it.message.as_deref()).find_map(|it| it.split("denied request: ").nth(1));
    if let Some(message) = message {
        text += &format!("\nA refusal, as the log of the thawed leader has it: `{message}`\n");
    }
    text
}

fn takeover(trials: &[Takeover]) -> String {
    let kinds: BTreeSet<(usize, bool, bool)> = trials.iter().map(|it| (it.objects, it.stamp, it.warm)).collect();
    let rows = kinds.into_iter().map(|(objects, stamp, warm)| {
        let of: Vec<&Takeover> =
            trials.iter().filter(|it| (it.objects, it.stamp, it.warm) == (objects, stamp, warm)).collect();
        let standbys: Vec<f64> = of.iter().flat_map(|it| it.standby_mib.iter().copied()).collect();
        vec![
            objects.to_string(),
            if stamp { "yes" } else { "no" }.to_owned(),
            if warm { "warm" } else { "cold" }.to_owned(),
            of.len().to_string(),
            spread(of.iter().map(|it| it.first_ms).collect()),
            spread(of.iter().map(|it| it.last_ms).collect()),
            format!("{:.1}", median(&standbys)),
        ]
    });
    let header = ["objects", "each copy written", "caches", "n", "first, ms", "last, ms", "a standby, MiB"];
    markdown(&header, &rows.collect::<Vec<_>>())
}

fn graceful(trials: &[Graceful]) -> String {
    let sum = |count: fn(&Graceful) -> usize| trials.iter().map(count).sum::<usize>().to_string();
    let row = vec![
        trials.len().to_string(),
        sum(|it| it.in_flight),
        sum(|it| it.finished),
        sum(|it| it.begun),
        sum(|it| it.late),
        spread(trials.iter().map(|it| it.release_ms).collect()),
    ];
    let header = [
        "n",
        "in flight at SIGTERM",
        "written before the release",
        "begun after SIGTERM",
        "written after the release",
        "SIGTERM to release, ms",
    ];
    markdown(&header, &[row])
}

/// The rows of the comparison with Go, and whether the trials of each are added up.
const ROWS: [(&str, bool); 10] = [
    ("SIGTERM until the successor has the Lease, ms", false),
    ("SIGTERM to the successor's first write, ms", false),
    ("SIGKILL until the successor has the Lease, ms", false),
    ("SIGKILL to the successor's first write, ms", false),
    ("thaw: stale writes that were accepted", true),
    ("thaw: writes that were refused (409)", true),
    ("thaw to the last stale write, ms", false),
    ("SIGTERM with 4 reconciles of 300 ms in flight: written before the release", true),
    ("the same: written after the release", true),
    ("the same: SIGTERM to the successor's first write, ms", false),
];

/// What a trial says, row by row.
fn figures(what: &What) -> Vec<(usize, f64)> {
    let count = |count: usize| count as f64;
    match *what {
        What::Term { acquired_ms, first_write_ms } => vec![(0, acquired_ms), (1, first_write_ms)],
        What::Kill { acquired_ms, first_write_ms } => vec![(2, acquired_ms), (3, first_write_ms)],
        What::Freeze { stale, refused, last_ms } => {
            let mut figures = vec![(4, count(stale)), (5, count(refused))];
            figures.extend(last_ms.map(|last| (6, last)));
            figures
        }
        What::Drain { finished, late, first_write_ms, .. } => {
            vec![(7, count(finished)), (8, count(late)), (9, first_write_ms)]
        }
    }
}

fn against_go(trials: &[AgainstGo]) -> String {
    let cell = |language: Language, row: usize, is_sum: bool| {
        let of = trials.iter().filter(|it| it.language == language).flat_map(|it| figures(&it.what));
        let values: Vec<f64> = of.filter(|(of_row, _)| *of_row == row).map(|(_, value)| value).collect();
        match values.len() {
            0 => "–".to_owned(),
            n if is_sum => format!("{}, n = {n}", values.iter().sum::<f64>()),
            n => format!("{}, n = {n}", spread(values)),
        }
    };
    let rows = ROWS.iter().enumerate().map(|(row, (name, is_sum))| {
        vec![(*name).to_owned(), cell(Language::Rust, row, *is_sum), cell(Language::Go, row, *is_sum)]
    });
    markdown(&["", "kube-rs and still-leading", "controller-runtime"], &rows.collect::<Vec<_>>())
}

/// The median, and the smallest and the largest.
fn spread(values: Vec<f64>) -> String {
    if values.is_empty() {
        return "–".to_owned();
    }
    let [least, most] = [0.0, 100.0].map(|percent| percentile(&values, percent));
    format!("{:.0} ({least:.0}–{most:.0})", median(&values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_between_the_extremes() {
        assert_eq!(spread(vec![30.0, 10.0, 20.0]), "20 (10–30)");
        assert_eq!(spread(Vec::new()), "–");
    }

    #[test]
    fn both_languages_have_a_column_and_what_was_not_tried_a_dash() {
        let trial =
            |language, first_write_ms| AgainstGo { language, what: What::Kill { acquired_ms: 1.0, first_write_ms } };
        let table = against_go(&[trial(Language::Rust, 10.0), trial(Language::Go, 30.0), trial(Language::Go, 50.0)]);
        let row = table.lines().find(|line| line.contains("SIGKILL to")).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[2..4], ["10 (10–10), n = 1", "40 (30–50), n = 2"]);
        let row = table.lines().find(|line| line.contains("stale writes")).unwrap();
        assert_eq!(row.split('|').map(str::trim).collect::<Vec<_>>()[2..4], ["–", "–"]);
    }

    #[test]
    fn counts_of_one_fault_are_added_up() {
        let trial = Safety {
            fault: Fault::Kill,
            takeovers: 1,
            first_ms: Some(5.0),
            last_ms: None,
            writes: 7,
            back: 1,
            late: 2,
            orphaned: 0,
            unstamped: 0,
            wrong: 0,
            refused: 3,
            conflicts: 0,
            found: Vec::new(),
        };
        let table = safety(&[trial.clone(), trial]);
        let row: Vec<&str> = table.lines().next_back().unwrap().split('|').map(str::trim).collect();
        assert_eq!(row[1..7], ["SIGKILL", "2", "2", "14", "2", "4"]);
        assert_eq!(row[10..14], ["6", "0", "5 (5–5)", "–"]);
    }
}

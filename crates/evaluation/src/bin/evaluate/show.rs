//! What the commands print.

use std::collections::BTreeMap;
use std::fmt::Write;

use still_leading_evaluation::matrix::faults;
use still_leading_evaluation::matrix::judge::{Figures, Judgement, Verdict};
use still_leading_evaluation::matrix::picture;
use still_leading_evaluation::matrix::record::Trial;
use still_leading_evaluation::matrix::subject::Subject;
use still_leading_evaluation::stats::median;
use still_leading_evaluation::table::plain;

type Cells = BTreeMap<(String, String), Vec<Judgement>>;

/// Subjects and faults, each with what it is.
pub fn list() {
    println!("subjects:");
    for subject in Subject::variants().into_iter().chain(Subject::controls()) {
        println!("  {subject}");
    }
    println!("faults:");
    for fault in faults::all() {
        println!("  {:<24} {}", fault.name(), fault.what());
    }
}

/// One trial in one line.
pub fn line(trial: &Trial, judged: &Judgement) -> String {
    let verdict = match (&judged.safety, &judged.liveness, &judged.manners) {
        // A history may follow.
        (Verdict::Unknown(why), ..) => format!("unknown: {}", why.lines().next().unwrap_or_default()),
        (Verdict::Held, Verdict::Held, Verdict::Held) => "held".to_owned(),
        (safety, liveness, manners) => {
            let broken = [safety, liveness, manners].into_iter().filter(|it| !it.is_held());
            broken.map(ToString::to_string).collect::<Vec<_>>().join("; ")
        }
    };
    format!("{:<36} {:<24} {:>2}  {verdict}", trial.subject, trial.fault, trial.number)
}

/// One trial with everything that is known of it.
pub fn whole(trial: &Trial, judged: &Judgement) -> String {
    let mut text = format!("{} under {}, trial {}\n", trial.subject, trial.fault, trial.number);
    if let Ok(fault) = faults::find(&trial.fault) {
        writeln!(text, "  {}", fault.what()).ok();
    }
    for (what, verdict) in [("safety", &judged.safety), ("liveness", &judged.liveness), ("manners", &judged.manners)] {
        writeln!(text, "  {what:<9} {verdict}").ok();
    }
    if let Some(breaks) = &trial.breaks {
        writeln!(text, "  assumption broken by the fault: {breaks}").ok();
    }
    if let Some(figures) = &judged.figures {
        text += &of_figures(figures);
    }
    text
}

fn of_figures(it: &Figures) -> String {
    let recovered = it.recovered_ms.map_or("never".to_owned(), |ms| format!("{ms} ms after the fault had gone"));
    let requests: Vec<String> = it.traffic.requests.iter().map(|(verb, count)| format!("{count} {verb}")).collect();
    format!(
        "  overlap {} ms, {} acts beside a later leader, {} after the end of the actor's term\n  \
         longest gap {} ms; led again: {recovered}; {} new terms\n  \
         {} exits by themselves, {} panics; {} requests ({}), at most {} in a second, {} conflicts, {} Lease writes\n",
        it.overlap_ms,
        it.acts_beside,
        it.stale_acts,
        it.gap_ms,
        it.terms,
        it.exits,
        it.panics,
        it.traffic.total(),
        requests.join(", "),
        it.traffic.peak,
        it.traffic.conflicts,
        it.lease_writes,
    )
}

/// A trial as a picture (SVG).
pub fn picture(trial: &Trial) -> String {
    picture::of(trial)
}

/// Each cell in one line.
pub fn table(cells: &Cells) -> String {
    let header =
        ["subject", "fault", "n", "unsafe", "late", "rude", "?", "overlap ms", "stale acts", "gap ms", "again ms"];
    let rows: Vec<Vec<String>> = cells.iter().map(|((subject, fault), judged)| row(subject, fault, judged)).collect();
    plain(&header, 2, &rows)
}

fn row(subject: &str, fault: &str, judged: &[Judgement]) -> Vec<String> {
    let count = |of: fn(&Judgement) -> &Verdict| {
        let count = judged.iter().filter(|it| of(it).is_violated()).count();
        if count == 0 { String::new() } else { count.to_string() }
    };
    let unknown = judged.iter().filter(|it| matches!(it.safety, Verdict::Unknown(_))).count();
    let figures: Vec<&Figures> = judged.iter().filter_map(|it| it.figures.as_ref()).collect();
    let most = |of: fn(&Figures) -> f64| {
        figures.iter().map(|it| of(it)).reduce(f64::max).map(|it| format!("{it:.0}")).unwrap_or_default()
    };
    let middle = |values: Vec<f64>| if values.is_empty() { String::new() } else { format!("{:.0}", median(&values)) };
    vec![
        subject.to_owned(),
        fault.to_owned(),
        judged.len().to_string(),
        count(|it| &it.safety),
        count(|it| &it.liveness),
        count(|it| &it.manners),
        if unknown == 0 { String::new() } else { unknown.to_string() },
        most(|it| it.overlap_ms),
        most(|it| it.stale_acts as f64),
        middle(figures.iter().map(|it| it.gap_ms).collect()),
        middle(figures.iter().filter_map(|it| it.recovered_ms).collect()),
    ]
}

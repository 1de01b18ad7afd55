//! A summary written by hand, and what is made of it.

use super::*;
use crate::matrix::judge::{Figures, Judgement, Verdict};
use crate::matrix::summary::Judged;

fn cell_of(subject: &str, fault: &str, safety: &[Option<&str>]) -> Cell {
    let judged = |(place, broken): (usize, &Option<&str>)| Judged {
        number: place + 1,
        judgement: Judgement {
            safety: broken.map_or(Verdict::Held, |how| Verdict::Violated(how.to_owned())),
            liveness: Verdict::Held,
            manners: Verdict::Held,
            figures: Some(Figures {
                gap_ms: 100.0 * (place + 1) as f64,
                overlap_ms: broken.map_or(0.0, |_| 1_500.0),
                ..Figures::default()
            }),
        },
    };
    let trials = safety.iter().enumerate().map(judged).collect();
    Cell { timings: TIMINGS.to_owned(), subject: subject.to_owned(), fault: fault.to_owned(), run: 0, trials }
}

fn summary() -> Summary {
    let cells = vec![
        cell_of("native", "sigterm", &[None, None]),
        cell_of("kubert.as-documented", "sigterm", &[None, Some("two led at once"), None]),
    ];
    Summary { runs: Vec::new(), cells }
}

#[test]
fn a_cell_shows_the_worst_and_in_how_many_trials() {
    let summary = summary();
    assert_eq!(symbol::text(&summary.cells[0]), "✓");
    assert_eq!(symbol::text(&summary.cells[1]), "✗1/3");
}

#[test]
fn two_leaders_are_excused_for_a_lease_duration_where_an_assumption_is_broken() {
    let short = cell_of("native", "lease-emptied", &[Some("two led at once"), None]);
    assert_eq!(symbol::text(&short), "○1/2");
    let mut long = short.clone();
    let figures = long.trials[0].judgement.figures.as_mut().unwrap();
    figures.overlap_ms = 5_001.0;
    assert_eq!(symbol::text(&long), "✗1/2");
    let elsewhere = cell_of("native", "sigterm", &[Some("two led at once")]);
    assert_eq!(symbol::text(&elsewhere), "✗");
}

#[test]
fn nobody_is_blamed_for_what_the_lease_says() {
    let mut waits = cell_of("native", "lease-absurd-duration", &[None]);
    waits.trials[0].judgement.liveness = Verdict::Violated("nobody led again".to_owned());
    assert_eq!(symbol::text(&waits), "○");
    let mut lost = waits.clone();
    lost.fault = "sigkill".to_owned();
    assert_eq!(symbol::text(&lost), "∅");
    let short = short(
        &Summary { runs: Vec::new(), cells: vec![waits, cell_of("native", "sigkill", &[None])] },
        &Artefacts::default(),
    );
    let native = short.lines().find(|line| line.starts_with("| native ")).unwrap();
    assert_eq!(native.matches("0 of 1").count(), 2, "{native}");
}

#[test]
fn a_control_is_shown_under_its_own_fault_with_how_often_it_was_caught() {
    let cells = vec![
        cell_of("control.boolean", "leader-refuse", &[Some("two led at once"), None]),
        cell_of("control.boolean", "sigterm", &[Some("two led at once")]),
    ];
    let controls = wide::controls(&Summary { runs: Vec::new(), cells });
    let rows: Vec<&str> = controls.lines().skip(2).collect();
    assert_eq!(rows.len(), 1, "{controls}");
    assert!(rows[0].contains("leader-refuse") && rows[0].contains("1 of 2"), "{controls}");
}

#[test]
fn the_matrix_has_a_row_a_fault_and_links_to_each_section() {
    let wide = wide(&summary());
    let rows = wide.lines().filter(|line| line.starts_with("| [")).count();
    assert_eq!(rows, faults().len());
    assert!(wide.contains("[✗1/3](matrix/sigterm.md#kubertas-documented)"), "{wide}");
    assert!(wide.contains("- native: ✓ 1 of 1 faults"), "{wide}");
}

#[test]
fn the_short_table_shows_worst_overlap_and_median_gap() {
    let short = short(&summary(), &Artefacts::default());
    let row = short.lines().find(|line| line.contains("kubert.as-documented")).unwrap();
    assert!(row.contains("1.5 s") && row.contains("1 of 1") && row.contains("200 ms (300 ms)"), "{row}");
    let native = short.lines().find(|line| line.starts_with("| native ")).unwrap();
    assert!(native.contains("none") && native.contains("0 of 1"), "{native}");
}

#[test]
fn a_page_says_how_it_was_broken_and_how_to_repeat_it() {
    let page = page(&summary(), crate::matrix::faults::find("sigterm").unwrap().as_ref());
    assert!(page.contains("broken in 1 of 3. Trial 2: two led at once."), "{page}");
    assert!(page.contains("cargo evaluate run --variant kubert --form as-documented --fault sigterm"), "{page}");
    assert!(page.contains("(kubert.as-documented.sigterm.svg)") && !page.contains("(native.sigterm.svg)"), "{page}");
}

#[test]
fn the_picture_has_a_field_a_cell_and_a_sign_in_each() {
    let picture = picture(&summary());
    assert_eq!(picture.matches("<rect class=\"").count(), 1 + 2);
    assert!(picture.contains(">✗</text>") && picture.contains("prefers-color-scheme:dark"));
}

#[test]
fn nothing_recorded_says_so() {
    for (name, text) in tables(&Summary::default(), &Artefacts::default()) {
        assert!(text.starts_with("No run is recorded yet") && !text.contains("]("), "{name}: {text}");
    }
}

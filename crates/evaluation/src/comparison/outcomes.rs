//! Which promises each variant keeps.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};

use super::artefacts::machine;
use crate::record::{BlackBox, Expected, Form, Kind, Outcome, Timings};
use crate::table::markdown;

/// A table of cases by variants, and why the ones that are not kept are not.
#[derive(Debug)]
pub(super) struct Matrix {
    pub(super) table: String,
    pub(super) reasons: String,
}

/// The outcomes of one form, with the variants that have any in the order of `variants`.
pub(super) fn matrix(record: &BlackBox, form: Form, variants: &[&str]) -> Result<Matrix> {
    let outcomes: Vec<&Outcome> = record.outcomes.iter().filter(|outcome| outcome.form == form).collect();
    check(&outcomes, variants)?;
    let columns: Vec<&str> = variants.iter().copied().filter(|it| outcomes.iter().any(|o| o.variant == *it)).collect();
    // Each template is tried; an example there is of third-party crates only.
    let missing = variants.iter().find(|variant| form == Form::Template && !columns.contains(variant));
    if let Some(variant) = missing {
        bail!("no record of what {variant} passes: run `just record`");
    }
    let mut cases: Vec<&str> = Vec::new();
    for outcome in &outcomes {
        if !cases.contains(&outcome.case.as_str()) {
            cases.push(&outcome.case);
        }
    }
    let of = |case: &str, variant: &str| outcomes.iter().find(|it| it.case == case && it.variant == variant).copied();
    // Numbered column by column, so that the reasons of a variant stand together.
    let mut reasons: Vec<String> = Vec::new();
    let mut rows: Vec<Vec<String>> = cases.iter().map(|case| vec![sentence(case)]).collect();
    for variant in &columns {
        for (row, case) in rows.iter_mut().zip(&cases) {
            row.push(cell(of(case, variant), &mut reasons)?);
        }
    }
    let header: Vec<&str> = ["promise"].into_iter().chain(columns).collect();
    let numbered = reasons.iter().enumerate().map(|(number, reason)| format!("{}. {reason}\n", number + 1));
    Ok(Matrix { table: markdown(&header, &rows), reasons: numbered.collect() })
}

/// When, where, with which durations and by which command.
pub(super) fn recorded(record: &BlackBox, variants: &[&str]) -> String {
    let BlackBox { kubernetes, date, command, .. } = record;
    let (on, durations) = (machine(&record.machine), durations(record, variants));
    format!(
        "- Recorded on {date}: {on}; Kubernetes {kubernetes}; each case once (n = 1); `{command}`.\n\
         - Lease duration, renew deadline and retry period: {durations}.\n"
    )
}

/// Each set of durations once, with those that were given it.
fn durations(record: &BlackBox, variants: &[&str]) -> String {
    let mut groups: Vec<(Timings, Vec<&str>)> = Vec::new();
    for variant in variants {
        let Some(timings) = record.timings.get(*variant) else { continue };
        match groups.iter_mut().find(|(group, _)| group == timings) {
            Some((_, names)) => names.push(variant),
            None => groups.push((*timings, vec![variant])),
        }
    }
    let told = |(timings, names): &(Timings, Vec<&str>)| {
        let Timings { lease_duration_s, renew_deadline_s, retry_period_s } = timings;
        format!("{lease_duration_s}/{renew_deadline_s}/{retry_period_s} s for {}", names.join(", "))
    };
    groups.iter().map(told).collect::<Vec<_>>().join("; ")
}

/// A record is one of a passing suite, of known variants, with each case once.
fn check(outcomes: &[&Outcome], variants: &[&str]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for Outcome { variant, case, outcome, expected, why, .. } in outcomes.iter().copied() {
        ensure!(variants.contains(&variant.as_str()), "there is a record of {variant}, but no such variant");
        ensure!(seen.insert((variant, case)), "{variant}::{case} is recorded twice");
        let fits = match outcome {
            Kind::Kept => *expected != Expected::Broken,
            Kind::Broken => *expected != Expected::Kept,
            Kind::Error => false,
            Kind::Ignored => true,
        };
        let why = why.as_deref().unwrap_or("no reason given");
        ensure!(
            fits,
            "{variant}::{case} was recorded as {outcome:?}, expected {expected:?} ({why}): run `just record`"
        );
    }
    Ok(())
}

fn cell(outcome: Option<&Outcome>, reasons: &mut Vec<String>) -> Result<String> {
    let Some(outcome) = outcome.filter(|outcome| outcome.outcome != Kind::Ignored) else {
        return Ok("–".to_owned());
    };
    let word = match outcome.expected {
        Expected::Kept => return Ok("kept".to_owned()),
        Expected::Broken => "**broken**",
        Expected::Either => "either",
    };
    let Outcome { variant, case, .. } = outcome;
    let reason = outcome.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    let reason = reason.with_context(|| format!("{variant}::{case} is {:?} without a reason", outcome.expected))?;
    reasons.push(format!("{variant}, *{}*: {reason}", sentence(case)));
    Ok(format!("{word} ({})", reasons.len()))
}

/// The name of a test as what it is.
fn sentence(case: &str) -> String {
    let words = case.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Machine;

    fn record(outcomes: &[&str]) -> BlackBox {
        let outcome = |line: &&str| {
            let words: Vec<&str> = line.splitn(6, ' ').collect();
            let [variant, form, case, outcome, expected] = words[..5] else { panic!("{line}") };
            let reason = words.get(5);
            let json = serde_json::json!({
                "variant": variant, "form": form, "case": case, "outcome": outcome, "why": null,
                "expected": expected, "reason": reason,
            });
            serde_json::from_value(json).unwrap()
        };
        BlackBox {
            kubernetes: "v1.37.1".to_owned(),
            machine: Machine { cpus: 2, memory_gib: 23.5, os: "Linux".to_owned() },
            date: "2026-11-21".to_owned(),
            command: "cargo test".to_owned(),
            timings: ["native", "other", "third"].map(|name| (name.to_owned(), timings(name))).into(),
            outcomes: outcomes.iter().map(outcome).collect(),
        }
    }

    fn timings(variant: &str) -> Timings {
        let retry_period_s = if variant == "other" { 1.0 } else { 0.5 };
        Timings { lease_duration_s: 5.0, renew_deadline_s: 3.0, retry_period_s }
    }

    #[test]
    fn each_case_is_a_row_and_each_variant_a_column_with_numbered_reasons() {
        let record = record(&[
            "native template one_leads kept kept",
            "other template one_leads broken broken lease.rs:7: it asks",
            "native template it_stops kept kept",
            "other template it_stops kept either lease.rs:9: it depends",
            "native template it_starts ignored kept",
            "other as-documented one_leads broken broken lease.rs:8",
        ]);
        let templates = matrix(&record, Form::Template, &["native", "other"]).unwrap();
        let cells = |line: &str| line.trim_matches('|').split('|').map(|it| it.trim().to_owned()).collect::<Vec<_>>();
        let lines: Vec<Vec<String>> = templates.table.lines().map(cells).collect();
        assert_eq!(lines[0], ["promise", "native", "other"]);
        assert_eq!(lines[2], ["One leads", "kept", "**broken** (1)"]);
        assert_eq!(lines[3], ["It stops", "kept", "either (2)"]);
        assert_eq!(lines[4], ["It starts", "–", "–"]);
        let reasons = "1. other, *One leads*: lease.rs:7: it asks\n2. other, *It stops*: lease.rs:9: it depends\n";
        assert_eq!(templates.reasons, reasons);

        let documented = matrix(&record, Form::AsDocumented, &["native", "other"]).unwrap();
        assert_eq!(cells(documented.table.lines().next().unwrap()), ["promise", "other"]);
        assert_eq!(documented.reasons, "1. other, *One leads*: lease.rs:8\n");
    }

    #[test]
    fn a_record_of_a_failed_or_incomplete_suite_is_refused() {
        let error = |line: &str| matrix(&record(&[line]), Form::Template, &["native"]).unwrap_err().to_string();
        for line in [
            "native template one_leads broken kept",
            "native template one_leads kept broken a-reason",
            "native template one_leads error kept",
        ] {
            assert!(error(line).starts_with("native::one_leads was recorded as "), "{}", error(line));
        }
        assert_eq!(error("native template one_leads broken broken"), "native::one_leads is Broken without a reason");
        assert_eq!(error("other template one_leads kept kept"), "there is a record of other, but no such variant");
        let twice = record(&["native template one_leads kept kept", "native template one_leads kept kept"]);
        let error = matrix(&twice, Form::Template, &["native"]).unwrap_err().to_string();
        assert_eq!(error, "native::one_leads is recorded twice");
        let one = record(&["native template one_leads kept kept"]);
        let error = matrix(&one, Form::Template, &["native", "other"]).unwrap_err().to_string();
        assert_eq!(error, "no record of what other passes: run `just record`");
    }

    #[test]
    fn a_recording_tells_its_date_machine_versions_durations_and_command() {
        let expected = "- Recorded on 2026-11-21: 2 CPUs, 23.5 GiB, Linux; Kubernetes v1.37.1; each case once (n = 1); \
                        `cargo test`.\n\
                        - Lease duration, renew deadline and retry period: 5/3/0.5 s for native, third; 5/3/1 s for other.\n";
        assert_eq!(recorded(&record(&[]), &["native", "other", "third"]), expected);
    }
}

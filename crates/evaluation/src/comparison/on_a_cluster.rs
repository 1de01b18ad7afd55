//! What came of the variants as pods, one row each.

use anyhow::{Result, bail};

use super::artefacts::machine;
use crate::e2e::record::{Outcome, Run, Tried, counts, figure, seconds};
use crate::e2e::step::Step;
use crate::table::markdown;

/// What was not tried.
const NONE: &str = "–";

/// Every figure of the run, in seconds where it has no other unit.
pub(super) fn table(run: &Run, variants: &[&str]) -> Result<String> {
    check(run, variants)?;
    let header = [
        "variant",
        "deleted",
        "deleted by force",
        "changes in a rollout",
        "node frozen: successor / stale acts",
        "node cut off: stopped / successor",
        "node drained",
    ];
    let row = |name: &&str| {
        let steps = run.variants.get(*name).map_or(&[][..], Vec::as_slice);
        let of = |step: Step, figure: &str| {
            let tried = steps.iter().find(|tried| tried.step == step);
            tried.and_then(|tried| tried.figures.get(figure)).map_or(&[][..], Vec::as_slice)
        };
        let handover = |step| seconds(of(step, figure::HANDOVER));
        vec![
            (*name).to_owned(),
            cell(handover(Step::Delete)),
            cell(handover(Step::ForceDelete)),
            cell(counts(of(Step::Rollout, figure::CHANGES))),
            pair(handover(Step::Freeze), counts(of(Step::Freeze, figure::STALE_ACTS))),
            pair(seconds(of(Step::Cut, figure::STOPPED)), handover(Step::Cut)),
            cell(handover(Step::Drain)),
        ]
    };
    Ok(markdown(&header, &variants.iter().map(row).collect::<Vec<_>>()))
}

/// When, where, with what and by which command.
pub(super) fn recorded(run: &Run) -> String {
    let Run { date, command, kubernetes, nodes, .. } = run;
    let tools: Vec<String> = run.tools.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let on = machine(&run.machine);
    format!(
        "- Recorded on {date}: {on}; Kubernetes {kubernetes} on {nodes} nodes; {}; `{command}`.\n",
        tools.join(", ")
    )
}

/// A record is one of a passing run, of known variants.
fn check(run: &Run, variants: &[&str]) -> Result<()> {
    for (variant, steps) in &run.variants {
        if !variants.contains(&variant.as_str()) {
            bail!("there is a record of {variant}, but no such variant");
        }
        if let Some(Tried { step, outcome, said, .. }) = steps.iter().find(|tried| !tried.is_fine()) {
            bail!("{variant}, {step} was recorded as {outcome:?} ({said}): run `just e2e`");
        }
        if let Some(tried) = steps.iter().find(|it| it.outcome == Outcome::Broken && it.figures.is_empty()) {
            bail!("{variant}, {} broke without a figure: run `just e2e`", tried.step);
        }
    }
    Ok(())
}

fn cell(told: Option<String>) -> String {
    told.unwrap_or_else(|| NONE.to_owned())
}

fn pair(first: Option<String>, second: Option<String>) -> String {
    if first.is_none() && second.is_none() { NONE.to_owned() } else { format!("{} / {}", cell(first), cell(second)) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::record::Machine;

    fn tried(step: Step, outcome: Outcome, figures: &[(&str, &[f64])]) -> Tried {
        let figures = figures.iter().map(|(name, values)| ((*name).to_owned(), values.to_vec())).collect();
        Tried { step, outcome, expected: None, figures, said: "it is so".to_owned() }
    }

    fn run(steps: Vec<Tried>) -> Run {
        Run {
            date: "2026-11-21".to_owned(),
            command: "just e2e".to_owned(),
            machine: Machine { cpus: 2, memory_gib: 23.5, os: "Linux".to_owned() },
            kubernetes: "v1.37.1".to_owned(),
            nodes: 4,
            tools: BTreeMap::from([
                ("kind".to_owned(), "v0.33.0".to_owned()),
                ("docker".to_owned(), "28.1".to_owned()),
            ]),
            variants: BTreeMap::from([("native".to_owned(), steps)]),
        }
    }

    fn row(table: &str, line: usize) -> Vec<&str> {
        let line = table.lines().nth(line).unwrap();
        line.trim_matches('|').split('|').map(str::trim).collect()
    }

    #[test]
    fn each_variant_is_a_row_of_figures_and_what_was_not_tried_is_a_dash() {
        let mut frozen = tried(
            Step::Freeze,
            Outcome::Broken,
            &[(figure::HANDOVER, &[16.0, 15.5]), (figure::STALE_ACTS, &[3.0, 0.0])],
        );
        frozen.expected = Some("it races".to_owned());
        let steps = vec![
            tried(Step::Delete, Outcome::Kept, &[(figure::HANDOVER, &[0.3, 0.25, 0.74])]),
            tried(Step::Rollout, Outcome::Kept, &[(figure::CHANGES, &[2.0]), (figure::GAP, &[0.5])]),
            frozen,
            tried(Step::Cut, Outcome::Kept, &[(figure::STOPPED, &[8.021]), (figure::HANDOVER, &[15.32])]),
            tried(Step::Drain, Outcome::NotTried, &[]),
        ];
        let table = table(&run(steps), &["native", "kubert"]).unwrap();
        let deleted = "0.30 s (0.25–0.74, n = 3)";
        let frozen = "15.75 s (15.50–16.00, n = 2) / 3, 0";
        assert_eq!(row(&table, 2), ["native", deleted, "–", "2", frozen, "8.02 s / 15.32 s", "–"]);
        assert_eq!(row(&table, 3), ["kubert", "–", "–", "–", "–", "–", "–"]);
    }

    #[test]
    fn a_record_of_a_run_that_failed_is_refused() {
        let error = |run: &Run| table(run, &["native"]).unwrap_err().to_string();
        for outcome in [Outcome::Broken, Outcome::Error] {
            let said = error(&run(vec![tried(Step::Cut, outcome, &[])]));
            assert_eq!(said, format!("native, cut was recorded as {outcome:?} (it is so): run `just e2e`"));
        }
        let mut expected = tried(Step::Freeze, Outcome::Broken, &[]);
        expected.expected = Some("it races".to_owned());
        assert_eq!(error(&run(vec![expected])), "native, freeze broke without a figure: run `just e2e`");
        let error = table(&run(Vec::new()), &["other"]).unwrap_err().to_string();
        assert_eq!(error, "there is a record of native, but no such variant");
    }

    #[test]
    fn a_recording_tells_its_date_machine_versions_and_command() {
        let expected = "- Recorded on 2026-11-21: 2 CPUs, 23.5 GiB, Linux; Kubernetes v1.37.1 on 4 nodes; docker 28.1, kind \
                        v0.33.0; `just e2e`.\n";
        assert_eq!(recorded(&run(Vec::new())), expected);
    }
}

//! What came of the variants as pods, one row each.

use anyhow::{Result, bail};

use super::artefacts::machine;
use super::table::markdown;
use crate::e2e::record::{Outcome, Run, Tried, figure};
use crate::e2e::report::{counts, seconds};
use crate::e2e::step::Step;

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
mod tests;

//! What one replica costs under each setting, one row each.

use anyhow::{Result, bail};

use super::artefacts::machine;
use crate::e2e::single::action::Action;
use crate::e2e::single::record::Single;
use crate::e2e::single::setting::Choice;
use crate::table::markdown;

/// What was not tried.
const NONE: &str = "–";
/// Fewer trials show nothing, but of a lost node, which takes minutes.
const TRIALS_MIN: usize = 3;

pub(super) fn table(run: &Single) -> Result<String> {
    for row in &run.rows {
        let (name, trials) = (Choice { setting: row.setting, election: row.election }, row.overlap_s.len());
        if row.is_broken() {
            bail!("{name}, {}: two led: run `just e2e single`", row.action);
        }
        if trials < TRIALS_MIN && row.action != Action::Lost {
            bail!("{name}, {}: {trials} trials are too few: run `just e2e single`", row.action);
        }
    }
    let header = ["setting", "rollout", "pod deleted", "node drained", "node lost for two minutes"];
    let row = |choice: Choice| {
        let cell = |action: Action| {
            let of = |it: &&crate::e2e::single::record::Row| {
                (it.setting, it.election, it.action) == (choice.setting, choice.election, action)
            };
            run.rows.iter().find(of).map_or_else(|| NONE.to_owned(), |row| row.told())
        };
        [choice.to_string()].into_iter().chain(Action::ALL.map(cell)).collect()
    };
    Ok(markdown(&header, &Choice::all().map(row).collect::<Vec<Vec<String>>>()))
}

/// When, where, with what and by which command.
pub(super) fn recorded(run: &Single) -> String {
    let Single { date, command, kubernetes, nodes, .. } = run;
    let tools: Vec<String> = run.tools.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let on = machine(&run.machine);
    format!(
        "- Recorded on {date}: {on}; Kubernetes {kubernetes} on {nodes} nodes; {}; `{command}`.\n",
        tools.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::e2e::single::record::Row;
    use crate::e2e::single::setting::Setting;
    use crate::record::Machine;

    fn run(setting: Setting, overlap: &[f64]) -> Single {
        let row = Row {
            setting,
            election: false,
            action: Action::Rollout,
            overlap_s: overlap.to_vec(),
            acts_beside: vec![0; overlap.len()],
            gap_s: vec![0.5; overlap.len()],
        };
        Single {
            date: "2026-11-26".to_owned(),
            command: "just e2e single".to_owned(),
            machine: Machine { cpus: 2, memory_gib: 23.5, os: "Linux".to_owned() },
            kubernetes: "v1.37.1".to_owned(),
            nodes: 4,
            tools: BTreeMap::from([("kind".to_owned(), "v0.33.0".to_owned())]),
            stopping_s: 5,
            rows: vec![row],
        }
    }

    #[test]
    fn each_choice_is_a_row_and_what_was_not_tried_is_a_dash() {
        let table = table(&run(Setting::Recreate, &[0.0; 3])).unwrap();
        assert_eq!(table.lines().count(), 10, "{table}");
        let row = table.lines().find(|line| line.contains("Recreate, without the election")).unwrap();
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells[1..], ["one, nobody for 0.50 s (at most 0.50 s)", "–", "–", "–"]);
    }

    #[test]
    fn a_broken_promise_and_too_few_trials_are_no_record() {
        let error = |run| table(&run).unwrap_err().to_string();
        assert!(error(run(Setting::StatefulSet, &[0.0, 0.0, 0.1])).contains("rollout: two led"));
        assert!(error(run(Setting::SurgeOne, &[5.0, 5.0])).contains("2 trials are too few"));
    }

    #[test]
    fn a_recording_says_its_date_machine_versions_and_command() {
        let expected = "- Recorded on 2026-11-26: 2 CPUs, 23.5 GiB, Linux; Kubernetes v1.37.1 on 4 nodes; kind v0.33.0; `just \
                        e2e single`.\n";
        assert_eq!(recorded(&run(Setting::Recreate, &[])), expected);
    }
}

//! The variants as artefacts, one row each.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::footprint::{Footprint, Replica};
use crate::record::{Artefact, Artefacts, Machine, Measured, Rule};
use crate::stats::median;
use crate::table::markdown;

const MB: f64 = 1e6;
/// What is not known, or does not exist.
const NONE: &str = "–";

/// The records in the order of `variants`.
pub(super) fn choose<'a>(artefacts: &'a Artefacts, variants: &[&'a str]) -> Result<Vec<(&'a str, &'a Artefact)>> {
    let of = |name: &&'a str| {
        let artefact = artefacts.variants.get(*name);
        Ok((*name, artefact.with_context(|| format!("no record of {name} as an artefact: run `just record`"))?))
    };
    variants.iter().map(of).collect()
}

/// What one depends on.
pub(super) fn crates(artefacts: &[(&str, &Artefact)]) -> String {
    let header =
        ["variant", "version", "released", "licence", "Rust", "kube", "k8s-openapi", "direct", "all", "beyond kube"];
    let row = |(name, artefact): &(&str, &Artefact)| {
        let package = &artefact.package;
        let beyond = package.beyond_kube.map(|count| count.to_string());
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| NONE.to_owned());
        vec![
            (*name).to_owned(),
            known(&package.version),
            known(&package.released),
            known(&package.licence),
            known(&package.rust_version),
            known(&package.kube),
            known(&package.k8s_openapi),
            package.direct.len().to_string(),
            package.total.to_string(),
            known(&beyond),
        ]
    };
    markdown(&header, &artefacts.iter().map(row).collect::<Vec<_>>())
}

/// What one copies, waits for and pays.
pub(super) fn weights(artefacts: &[(&str, &Artefact)]) -> String {
    let header = [
        "variant",
        "lines to copy",
        "lines as documented",
        "cold build",
        "executable",
        "resident, median (max)",
        "resident, leader",
    ];
    let row = |(name, artefact): &(&str, &Artefact)| {
        let footprint = &artefact.footprint;
        let resident: Vec<f64> = footprint.resident_bytes().map(|bytes| bytes as f64 / MB).collect();
        let most = resident.iter().copied().fold(0.0, f64::max);
        let build = artefact.cold_build.as_ref();
        let build = build.map(|build| format!("{:.0} s (n = {})", median(&build.seconds), build.seconds.len()));
        let documented = artefact.lines_as_documented.map(|lines| lines.to_string());
        vec![
            (*name).to_owned(),
            lines(&artefact.lines),
            documented.unwrap_or_else(|| NONE.to_owned()),
            build.unwrap_or_else(|| NONE.to_owned()),
            format!("{:.1} MB", footprint.executable_bytes as f64 / MB),
            format!("{:.1} ({most:.1}) MB", median(&resident)),
            format!("{:.1} MB", footprint.leader.resident_bytes as f64 / MB),
        ]
    };
    markdown(&header, &artefacts.iter().map(row).collect::<Vec<_>>())
}

/// What the API server gets to see, and what it must allow.
pub(super) fn requests(artefacts: &[(&str, &Artefact)]) -> String {
    let header = ["variant", "leader", "each standby", "watch", "rights on its Lease"];
    let row = |(name, artefact): &(&str, &Artefact)| {
        let footprint = &artefact.footprint;
        vec![
            (*name).to_owned(),
            rates(&[&footprint.leader], footprint.periods()),
            rates(&footprint.standbys.iter().collect::<Vec<_>>(), footprint.periods()),
            watchers(footprint).to_owned(),
            artefact.rules.iter().map(rights).collect::<Vec<_>>().join("; "),
        ]
    };
    markdown(&header, &artefacts.iter().map(row).collect::<Vec<_>>())
}

/// When, where and by which command, once for all variants of which the same is true.
pub(super) fn measured(artefacts: &[(&str, &Artefact)]) -> String {
    let runs = artefacts.iter().map(|(name, artefact)| (*name, &artefact.measured));
    let windows = artefacts.iter().map(|(_, artefact)| artefact.footprint.window_s.round());
    let (least, most) = windows.fold((f64::INFINITY, 0_f64), |(a, b), it| (a.min(it), b.max(it)));
    let window = if least < most { format!("{least} to {most} s") } else { format!("{most} s") };
    let mut text = runs_of("Measured", runs);
    text += &format!(
        "- Requests were counted for {window} and memory read at their end, three replicas of each (n = 1).\n"
    );
    let built: Vec<_> = artefacts.iter().filter_map(|(name, it)| Some((*name, it.cold_build.as_ref()?))).collect();
    if built.iter().any(|(name, build)| is_of_another_run(artefacts, name, &build.measured)) {
        text += &runs_of("Built", built.iter().map(|(name, build)| (*name, &build.measured)));
    }
    let mut commands: Vec<String> = Vec::new();
    for (name, build) in &built {
        let command = build.build.replace(&format!("still-leading-{name}"), "still-leading-<variant>");
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    let commands: Vec<String> = commands.iter().map(|command| format!("`{command}`")).collect();
    text + &format!("- A cold build is {}, from fetched sources into an empty folder.\n", commands.join(" or "))
}

fn is_of_another_run(artefacts: &[(&str, &Artefact)], name: &str, build: &Measured) -> bool {
    artefacts.iter().any(|(it, artefact)| it == &name && artefact.measured.date != build.date)
}

/// One line for each set of variants that share a run.
fn runs_of<'a>(verb: &str, runs: impl Iterator<Item = (&'a str, &'a Measured)>) -> String {
    let mut groups: Vec<(Vec<&str>, &Measured, BTreeSet<&str>)> = Vec::new();
    for (name, run) in runs {
        let without_go = |run: &Measured| Measured { go: None, ..run.clone() };
        let position = groups.iter().position(|(_, of, _)| without_go(of) == without_go(run));
        let at = position.unwrap_or_else(|| {
            groups.push((Vec::new(), run, BTreeSet::new()));
            groups.len() - 1
        });
        groups[at].0.push(name);
        groups[at].2.extend(run.go.as_deref());
    }
    let line = |(names, run, go): &(Vec<&str>, &Measured, BTreeSet<&str>)| {
        let names = names.join(", ");
        let on = machine(&run.machine);
        let tools = [run.rustc.as_str()].into_iter().chain(go.iter().copied()).collect::<Vec<_>>().join(", ");
        let kubernetes = run.kubernetes.as_ref().map(|version| format!(", Kubernetes {version}")).unwrap_or_default();
        format!("- {verb} on {}: {names}; {on}; {tools}{kubernetes}; `{}`.\n", run.date, run.command)
    };
    groups.iter().map(line).collect()
}

/// A machine in a few words.
pub(super) fn machine(machine: &Machine) -> String {
    format!("{} CPUs, {:.1} GiB, {}", machine.cpus, machine.memory_gib, machine.os)
}

fn lines(files: &BTreeMap<String, usize>) -> String {
    let all: usize = files.values().sum();
    if files.len() == 1 { all.to_string() } else { format!("{all} in {} files", files.len()) }
}

/// Requests per retry period and replica, by verb.
fn rates(replicas: &[&Replica], periods: f64) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (verb, count) in replicas.iter().flat_map(|replica| &replica.requests) {
        *counts.entry(verb).or_default() += count;
    }
    let rate = |count: usize| count as f64 / replicas.len() as f64 / periods;
    let rates: Vec<String> = counts.iter().map(|(verb, count)| format!("{:.2} {verb}", rate(*count))).collect();
    if rates.is_empty() { "0".to_owned() } else { rates.join(" + ") }
}

fn watchers(footprint: &Footprint) -> &'static str {
    match (footprint.leader.watches, footprint.standbys.iter().any(|standby| standby.watches)) {
        (true, true) => "each replica",
        (true, false) => "leader",
        (false, true) => "standbys",
        (false, false) => "none",
    }
}

fn rights(rule: &Rule) -> String {
    let verbs: Vec<String> = rule.verbs.iter().map(|verb| format!("`{verb}`")).collect();
    let on = if rule.resources == ["leases"] { String::new() } else { format!(" on {}", rule.resources.join(", ")) };
    let named = if rule.by_name { "by name" } else { "on any in the namespace" };
    format!("{}{on} {named}", verbs.join(", "))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::record::{ColdBuild, Package};

    fn measured_on(date: &str) -> Measured {
        Measured {
            date: date.to_owned(),
            command: "artefacts".to_owned(),
            machine: Machine { cpus: 2, memory_gib: 23.5, os: "Linux".to_owned() },
            rustc: "rustc 1.95.0".to_owned(),
            go: None,
            kubernetes: Some("v1.37.1".to_owned()),
        }
    }

    /// A sample: a crate called `elector`.
    pub(crate) fn artefact() -> Artefact {
        let replica = |requests: &[(&str, usize)], resident_bytes| Replica {
            resident_bytes,
            requests: requests.iter().map(|(verb, count)| ((*verb).to_owned(), *count)).collect(),
            watches: false,
        };
        let rule = |verbs: &[&str], by_name| Rule {
            resources: vec!["leases".to_owned()],
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            by_name,
        };
        let footprint = Footprint {
            executable_bytes: 9_140_000,
            window_s: 60.0,
            retry_period_s: 2.0,
            leader: replica(&[("get", 30), ("patch", 30)], 10_100_000),
            standbys: vec![replica(&[("get", 10)], 10_000_000), replica(&[("get", 20)], 9_000_000)],
        };
        let package = Package {
            name: "elector".to_owned(),
            version: Some("0.44.0".to_owned()),
            licence: Some("MIT".to_owned()),
            released: None,
            rust_version: None,
            kube: Some("4.2.0".to_owned()),
            k8s_openapi: Some("0.28.0".to_owned()),
            direct: vec!["kube v4.2.0".to_owned(), "log v0.4.35".to_owned()],
            total: 129,
            beyond_kube: Some(2),
        };
        let build = "cargo build --bin still-leading-elector".to_owned();
        Artefact {
            measured: measured_on("2026-11-21"),
            package,
            cold_build: Some(ColdBuild {
                measured: measured_on("2026-11-21"),
                build,
                seconds: vec![100.0, 141.6, 200.0],
            }),
            footprint,
            lines: BTreeMap::from([("src/election.rs".to_owned(), 90)]),
            lines_as_documented: Some(40),
            rules: vec![rule(&["get", "patch"], true), rule(&["create"], false)],
        }
    }

    /// The cells of the only row.
    fn row(table: &str) -> Vec<&str> {
        let line = table.lines().nth(2).unwrap();
        line.trim_matches('|').split('|').map(str::trim).collect()
    }

    #[test]
    fn a_variant_that_was_not_measured_is_missed() {
        let artefacts = Artefacts { variants: BTreeMap::from([("elector".to_owned(), artefact())]) };
        assert_eq!(choose(&artefacts, &["elector"]).unwrap().len(), 1);
        let error = choose(&artefacts, &["elector", "other"]).unwrap_err().to_string();
        assert_eq!(error, "no record of other as an artefact: run `just record`");
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_never_made_up() {
        let artefact = artefact();
        let table = crates(&[("elector", &artefact)]);
        assert_eq!(row(&table), ["elector", "0.44.0", "–", "MIT", "–", "4.2.0", "0.28.0", "2", "129", "2"]);
    }

    #[test]
    fn a_weight_is_shown_with_its_median_and_its_most_and_a_time_with_its_n() {
        let mut artefact = artefact();
        let cells = ["elector", "90", "40", "142 s (n = 3)", "9.1 MB", "10.0 (10.1) MB", "10.1 MB"];
        assert_eq!(row(&weights(&[("elector", &artefact)])), cells);
        artefact.cold_build = None;
        artefact.lines_as_documented = None;
        artefact.lines.insert("src/lease.rs".to_owned(), 10);
        let cells = ["elector", "100 in 2 files", "–", "–", "9.1 MB", "10.0 (10.1) MB", "10.1 MB"];
        assert_eq!(row(&weights(&[("elector", &artefact)])), cells);
    }

    #[test]
    fn requests_are_told_by_verb_per_retry_period_and_per_standby() {
        let mut artefact = artefact();
        let rights = "`get`, `patch` by name; `create` on any in the namespace";
        let cells = ["elector", "1.00 get + 1.00 patch", "0.50 get", "none", rights];
        assert_eq!(row(&requests(&[("elector", &artefact)])), cells);
        artefact.footprint.standbys.iter_mut().for_each(|standby| standby.requests.clear());
        artefact.footprint.standbys[1].watches = true;
        artefact.rules = vec![Rule { resources: vec!["events".into()], verbs: vec!["create".into()], by_name: false }];
        let rights = "`create` on events on any in the namespace";
        assert_eq!(
            row(&requests(&[("elector", &artefact)])),
            ["elector", "1.00 get + 1.00 patch", "0", "standbys", rights]
        );
    }

    #[test]
    fn variants_of_one_run_are_told_of_once_and_one_of_another_day_by_itself() {
        let (first, mut second) = (artefact(), artefact());
        second.measured.go = Some("go version go1.26.8".to_owned());
        let text = measured(&[("elector", &first), ("other", &second)]);
        assert!(
            text.contains(
                "- Measured on 2026-11-21: elector, other; 2 CPUs, 23.5 GiB, Linux; rustc 1.95.0, go version"
            )
        );
        assert_eq!(text.matches("Measured on").count(), 1, "{text}");
        assert!(!text.contains("Built on"), "{text}");
        assert!(text.contains("`cargo build --bin still-leading-<variant>`"), "{text}");

        second.measured = measured_on("2026-11-22");
        let text = measured(&[("elector", &first), ("other", &second)]);
        assert!(text.contains("2026-11-21: elector;") && text.contains("2026-11-22: other;"), "{text}");
        assert!(text.contains("Built on 2026-11-21: elector, other;"), "{text}");
    }
}

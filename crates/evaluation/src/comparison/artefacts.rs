//! The variants as artefacts, one row each.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::table::markdown;
use crate::footprint::{Footprint, Replica};
use crate::record::{Artefact, Artefacts, Machine, Measured, Rule};
use crate::stats::median;

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
pub(super) mod tests;

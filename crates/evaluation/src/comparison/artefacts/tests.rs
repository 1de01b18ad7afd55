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
        cold_build: Some(ColdBuild { measured: measured_on("2026-11-21"), build, seconds: vec![100.0, 141.6, 200.0] }),
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
        text.contains("- Measured on 2026-11-21: elector, other; 2 CPUs, 23.5 GiB, Linux; rustc 1.95.0, go version")
    );
    assert_eq!(text.matches("Measured on").count(), 1, "{text}");
    assert!(!text.contains("Built on"), "{text}");
    assert!(text.contains("`cargo build --bin still-leading-<variant>`"), "{text}");

    second.measured = measured_on("2026-11-22");
    let text = measured(&[("elector", &first), ("other", &second)]);
    assert!(text.contains("2026-11-21: elector;") && text.contains("2026-11-22: other;"), "{text}");
    assert!(text.contains("Built on 2026-11-21: elector, other;"), "{text}");
}

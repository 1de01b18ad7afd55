//! Runs the tests of `docs/upstream` against the versions of the crates that this repository compares. Each of them shows a
//! finding, so each fails, with its own message. One that passes shows that the fault is mended, or that the test is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::{Variant, cargo, target_dir, workspace};

/// Where the file is in the package that is made here. A message from another file is not an assertion of the test.
const FILE: &str = "tests/upstream.rs";

/// The name of a test, and the words with which it fails.
type Finding = (&'static str, &'static str);

/// Runs the tests of a crate, and returns what is not as expected, one line each.
fn differences(variant: Variant, findings: &[Finding]) -> Result<Vec<String>> {
    let dir = TempDir::new("still-leading-upstream-")?;
    let upstream = workspace().join("docs/upstream");
    for folder in ["src", "tests/lease"] {
        fs::create_dir_all(dir.path().join(folder))?;
    }
    fs::write(dir.path().join("src/lib.rs"), "")?;
    let locked = variant.folder().join("Cargo.lock");
    dir.copy_in(&upstream.join(format!("{variant}.toml")), Path::new("Cargo.toml"))?;
    dir.copy_in(&upstream.join(format!("{variant}.rs")), Path::new(FILE))?;
    dir.copy_in(&upstream.join("lease.rs"), Path::new("tests/lease/mod.rs"))?;
    dir.copy_in(&locked, Path::new("Cargo.lock"))?;

    let mut test = cargo();
    test.args(["test", "--test", "upstream", "--manifest-path"]).arg(dir.path().join("Cargo.toml"));
    test.env("CARGO_TARGET_DIR", target_dir()).env("CARGO_INCREMENTAL", "0").env("RUST_BACKTRACE", "0");
    eprintln!("testing {variant}; building it may take a minute the first time");
    let output = test.output().context("starting cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let results = results(&said);
    ensure!(!results.is_empty(), "no test of {variant} ran:\n{}", String::from_utf8_lossy(&output.stderr));

    let [tested, compared] = [dir.path().join("Cargo.lock"), locked].map(fs::read_to_string);
    let (tested, compared) = (tested?, compared?);
    let own = format!("name = \"upstream-{variant}\"");
    let compared = packages(&compared);
    let other: Vec<_> = packages(&tested).into_iter().filter(|it| it.0 != own && !compared.contains(it)).collect();
    ensure!(other.is_empty(), "{variant} was tested with packages that its Cargo.lock does not have: {other:?}");
    Ok(compare(&results, findings))
}

/// The name and version of each package in a lock file, as they are written there.
fn packages(lock: &str) -> BTreeSet<(&str, &str)> {
    let packages = lock.split("[[package]]\n").skip(1).map(str::lines);
    packages.filter_map(|mut lines| Some((lines.next()?, lines.next()?))).collect()
}

/// What libtest printed of each test that ran: nothing for one that passed.
fn results(said: &str) -> BTreeMap<&str, Option<&str>> {
    let mut results = BTreeMap::new();
    for line in said.lines() {
        let result = line.strip_prefix("test ").and_then(|line| line.split_once(" ... "));
        match result {
            Some((name, "ok")) => results.insert(name, None),
            Some((name, "FAILED")) => results.insert(name, Some("")),
            _ => None,
        };
    }
    for part in said.split("\n---- ").skip(1) {
        if let Some((name, text)) = part.split_once(" stdout ----\n") {
            // The last part is followed by the list of all failures.
            results.insert(name, text.split("\n\nfailures:\n").next());
        }
    }
    results
}

/// Whether the last panic of a test is its own assertion, with these words.
fn fails_with(text: &str, words: &str) -> bool {
    let panic = text.rsplit_once("panicked at ").map(|(_, panic)| panic);
    panic.is_some_and(|panic| panic.starts_with(FILE) && panic.contains(words))
}

fn compare(results: &BTreeMap<&str, Option<&str>>, findings: &[Finding]) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, words) in findings {
        match results.get(name) {
            None => differences.push(format!("{name} did not run")),
            Some(None) => differences.push(format!("{name} passes: the fault is mended, or the test is wrong")),
            Some(Some(text)) if fails_with(text, words) => {}
            Some(Some(text)) => differences.push(format!("{name} fails for another reason than {words:?}:\n{text}")),
        }
    }
    let is_listed = |name: &str| findings.iter().any(|(listed, _)| *listed == name);
    let unlisted = results.keys().filter(|name| !is_listed(name));
    differences.extend(unlisted.map(|name| format!("{name} is not listed in this test")));
    differences
}

/// Each test of the crate fails as listed, and its page names each.
fn each_finding_shows(variant: Variant, findings: &[Finding]) -> Result<()> {
    let page = fs::read_to_string(workspace().join(format!("docs/upstream/{variant}.md")))?;
    let unnamed: Vec<_> = findings.iter().filter(|(name, _)| !page.contains(&format!("`{name}`"))).collect();
    ensure!(unnamed.is_empty(), "docs/upstream/{variant}.md does not name {unnamed:?}");
    let differences = differences(variant, findings)?;
    ensure!(differences.is_empty(), "{variant}:\n{}", differences.join("\n"));
    Ok(())
}

#[test]
fn the_findings_in_kube_leader_election_show() -> Result<()> {
    each_finding_shows(
        Variant::KubeLeaderElection,
        &[
            (
                "the_example_stops_leading_when_it_is_cut_off_for_longer_than_the_ttl",
                "requests are refused, and the flag is `true`",
            ),
            (
                "the_example_stops_leading_when_it_gets_no_answer_for_longer_than_the_ttl",
                "requests get no answer, and the flag is `true`",
            ),
            ("a_lease_with_an_empty_spec_is_acquired", "an empty lease is an error"),
            (
                "a_lease_that_has_no_count_of_transitions_is_acquired_when_it_has_expired",
                "a lease without leaseTransitions is an error",
            ),
            ("one_of_two_candidates_acquires_an_expired_lease", "two candidates acquired the lease at once"),
            (
                "a_late_renewal_fails_when_another_candidate_has_acquired_the_lease",
                "a renewal of the lease of another holder returns `Acquired`",
            ),
        ],
    )
}

#[test]
fn the_findings_in_kube_coordinate_show() -> Result<()> {
    each_finding_shows(
        Variant::KubeCoordinate,
        &[
            (
                "the_state_is_not_leading_after_the_handle_is_dropped",
                "the handle is dropped, the lease has expired, and the state is Leading",
            ),
            ("the_state_is_not_leading_after_a_shutdown", "the task has ended, and the state is Leading"),
            ("a_shutdown_releases_the_lease", "the lease is still held by \"a\" after the shutdown"),
            ("one_of_two_candidates_creates_a_missing_lease", "two candidates created the lease, and both lead"),
            ("one_of_two_candidates_acquires_a_released_lease", "two candidates acquired the lease, and both lead"),
            (
                "a_candidate_does_not_lead_on_its_own_expired_lease_before_it_has_written",
                "the state is Leading before any write succeeded",
            ),
        ],
    )
}

#[test]
fn the_findings_in_kubert_show() -> Result<()> {
    each_finding_shows(
        Variant::Kubert,
        &[
            ("the_task_goes_on_after_an_outage_of_the_api_server", "the task ended during an outage of 6 s"),
            (
                "a_renewal_that_fails_once_is_repeated_within_the_grace_period",
                "the claim expired, although the API server was back 0.7 s before",
            ),
            ("a_lease_that_is_deleted_is_claimed_again", "the task ended after the deletion of the lease"),
            ("writes_that_meet_conflicts_are_repeated_with_a_pause", "requests in 2 s"),
            ("the_count_of_transitions_grows_by_one_beyond_65535", "the count of transitions fell"),
        ],
    )
}

#[test]
fn the_findings_in_kube_lease_manager_show() -> Result<()> {
    each_finding_shows(
        Variant::KubeLeaseManager,
        &[
            (
                "a_holder_that_is_cut_off_stops_leading_when_its_lease_has_expired",
                "requests are refused, and the channel says `true`",
            ),
            (
                "a_holder_that_gets_no_answer_stops_leading_when_its_lease_has_expired",
                "requests get no answer, and the channel says `true`",
            ),
            (
                "a_lease_that_is_deleted_is_held_again_in_the_mode_auto_create",
                "nobody holds the lease three durations after its deletion",
            ),
            (
                "a_release_of_an_expired_lease_that_arrives_late_leaves_a_new_holder_alone",
                "a late release took the lease from its new holder",
            ),
            ("a_conflict_during_a_release_is_an_error_and_not_a_panic", "release() panicked"),
        ],
    )
}

#[test]
fn the_findings_in_k8s_controller_show() -> Result<()> {
    each_finding_shows(
        Variant::K8sController,
        &[
            (
                "a_leader_that_is_cut_off_stops_before_a_standby_takes_the_lease_over",
                "the standby leads, and the leader that is cut off has not stopped",
            ),
            (
                "a_standby_waits_when_the_lease_of_a_leader_that_is_cut_off_is_deleted",
                "the standby leads at once, beside the leader that is cut off",
            ),
            (
                "a_candidate_that_once_gets_no_answer_tries_again",
                "the candidate waits for the answer to its first request, and nobody leads",
            ),
            (
                "an_acquisition_that_is_answered_after_the_lease_has_expired_does_not_count",
                "the answer came after the lease had passed to another, and both lead",
            ),
            ("a_release_that_gets_no_answer_ends", "`with_lease` has not returned"),
        ],
    )
}

/// A crate that is added needs a page, and a test above.
#[test]
fn each_other_variant_has_a_page_a_manifest_and_tests() -> Result<()> {
    let others = Variant::ALL.iter().filter(|it| ![Variant::Native, Variant::ClientGo].contains(it));
    let mut expected: BTreeSet<_> =
        others.flat_map(|variant| ["md", "rs", "toml"].map(|kind| format!("{variant}.{kind}"))).collect();
    expected.insert("lease.rs".to_owned());
    let entries = fs::read_dir(workspace().join("docs/upstream"))?;
    let found = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    assert_eq!(found.collect::<Result<BTreeSet<_>>>()?, expected);
    Ok(())
}

#[test]
fn a_finding_that_shows_otherwise_is_a_difference() {
    let said = "
running 5 tests
test listed ... FAILED
test mended ... ok
test moved ... FAILED
test new ... ok
test reworded ... FAILED

failures:

---- listed stdout ----

thread 'listed' (1) panicked at src/error.rs:40:46:
unreachable

thread 'listed' (1) panicked at tests/upstream.rs:1:5:
as listed

---- moved stdout ----

thread 'moved' (2) panicked at src/lease.rs:1:5:
as listed

---- reworded stdout ----

thread 'reworded' (3) panicked at tests/upstream.rs:1:5:
the test is wrong

failures:
    listed
    moved
    reworded

test result: FAILED.
";
    let findings = ["absent", "listed", "mended", "moved", "reworded"].map(|name| (name, "as listed"));
    let found = compare(&results(said), &findings);
    let first: Vec<_> = found.iter().filter_map(|it| it.lines().next()).collect();
    assert_eq!(
        first,
        [
            "absent did not run",
            "mended passes: the fault is mended, or the test is wrong",
            "moved fails for another reason than \"as listed\":",
            "reworded fails for another reason than \"as listed\":",
            "new is not listed in this test",
        ]
    );
}

#[test]
fn a_lock_file_has_names_and_versions() {
    let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1\"\nsource = \"x\"\n\n[[package]]\nname = \"b\"\nversion = \"2\"\n";
    let expected = [("name = \"a\"", "version = \"1\""), ("name = \"b\"", "version = \"2\"")];
    assert_eq!(packages(lock), BTreeSet::from(expected));
}

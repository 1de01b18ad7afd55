//! Tests of the suite itself: how it judges, what it records, and how it removes a verb from a Role. They need no API server.
//! They run with the cases, since a target with its own list of tests has no other place for them.

use anyhow::{Result, anyhow};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use still_leading_testbed::{Form, Variant, manifests};

use crate::expected::{Row, Verdict, defects};
use crate::promise::{Violation, promise_within};
use crate::record::{Outcome, Recorder, disagreements, document};
use crate::{Id, judge, privileges};

macro_rules! own {
    ($($name:ident),+ $(,)?) => {
        vec![$(Trial::test(concat!("suite::", stringify!($name)), || Ok($name()))),+]
    };
}

pub fn trials() -> Vec<Trial> {
    own![
        what_a_variant_fails_to_do_in_time_is_a_broken_promise_with_the_reason_below,
        only_a_broken_promise_can_be_expected,
        a_row_about_no_case_and_a_second_row_are_defects,
        a_record_has_every_case_in_order_and_the_first_line_of_what_went_wrong,
        a_record_that_lacks_a_case_or_has_another_outcome_disagrees,
        a_verb_is_taken_out_of_every_rule_and_a_rule_without_verbs_goes,
    ]
}

const KEPT: Id = Id { variant: Variant::Native, form: Form::Template, case: "a" };
const BROKEN: Id = Id { variant: Variant::Kubert, form: Form::AsDocumented, case: "b" };
const EITHER: Id = Id { variant: Variant::Kubert, form: Form::AsDocumented, case: "c" };

fn row(id: Id, verdict: Verdict) -> Row {
    Row { variant: id.variant, form: id.form, case: id.case, verdict, reason: "lease.rs:1" }
}

fn table() -> Vec<Row> {
    vec![row(BROKEN, Verdict::Fails), row(EITHER, Verdict::Races)]
}

fn violation() -> Result<()> {
    Err(Violation("two led\nfor long".to_owned()).into())
}

fn what_a_variant_fails_to_do_in_time_is_a_broken_promise_with_the_reason_below() {
    let wait = async { Err::<(), _>(anyhow!("the history")) };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let error = runtime.block_on(promise_within(wait, "nobody led")).expect_err("it waited in vain");
    assert!(error.is::<Violation>());
    let text = error.to_string();
    assert!(text.starts_with("nobody led\n") && text.contains("the history"), "{text}");
}

fn only_a_broken_promise_can_be_expected() {
    let [fails, races] = [row(BROKEN, Verdict::Fails), row(EITHER, Verdict::Races)];
    let ends: [fn() -> Result<()>; 3] = [|| Ok(()), violation, || Err(anyhow!("no room on the disk"))];
    let passes = |row: Option<&Row>| ends.map(|end| judge(end(), row).is_ok());
    assert_eq!(passes(None), [true, false, false]);
    assert_eq!(passes(Some(&fails)), [false, true, false]);
    assert_eq!(passes(Some(&races)), [true, true, false]);
}

fn a_row_about_no_case_and_a_second_row_are_defects() {
    assert_eq!(defects(&table(), &[KEPT, BROKEN, EITHER]), Vec::<String>::new());
    assert_eq!(defects(&table(), &[KEPT, BROKEN]), ["there is no case kubert/as-documented::c"]);
    let twice = [row(BROKEN, Verdict::Fails), row(BROKEN, Verdict::Races)];
    assert_eq!(defects(&twice, &[BROKEN]), ["there are two rows about kubert/as-documented::b"]);
}

fn a_record_has_every_case_in_order_and_the_first_line_of_what_went_wrong() {
    let recorder = Recorder::new(&[KEPT, BROKEN, EITHER]);
    recorder.note(BROKEN, Outcome::of(&violation()));
    recorder.note(KEPT, Outcome::of(&Ok(())));
    let document = document("1.37.1", &table(), &recorder.outcomes()).expect("a document");
    let outcomes = json!([
        {"variant": "native", "form": "template", "case": "a",
         "outcome": "kept", "why": null, "expected": "kept", "reason": null},
        {"variant": "kubert", "form": "as-documented", "case": "b",
         "outcome": "broken", "why": "two led", "expected": "broken", "reason": "lease.rs:1"},
        {"variant": "kubert", "form": "as-documented", "case": "c",
         "outcome": "ignored", "why": null, "expected": "either", "reason": "lease.rs:1"},
    ]);
    assert_eq!(document["outcomes"], outcomes);
    assert_eq!(document["kubernetes"], "1.37.1");
    assert_eq!(document["timings"]["native"]["retry_period_s"], 0.5);
    assert!(document["machine"]["memory_gib"].as_f64() > Some(0.0), "{document}");
    let date = document["date"].as_str().unwrap_or_default();
    assert!(date.len() == 10 && date.starts_with("20"), "{date}");
    let error = Outcome::of(&Err(anyhow!("no room").context("starting etcd")));
    assert_eq!(error, Outcome::Error("starting etcd: no room".to_owned()));
}

fn a_record_that_lacks_a_case_or_has_another_outcome_disagrees() {
    let outcome = |id: Id, outcome: &str| json!({"variant": id.variant.name(), "form": id.form.name(), "case": id.case, "outcome": outcome});
    let told = |outcomes: &[Value]| disagreements(&json!({"outcomes": outcomes}), &table(), &[KEPT, BROKEN, EITHER]);
    let right = [outcome(KEPT, "kept"), outcome(BROKEN, "broken"), outcome(EITHER, "kept")];
    assert_eq!(told(&right), Vec::<String>::new());
    assert_eq!(told(&right[..2]), ["it lacks kubert/as-documented::c"]);
    let wrong = [outcome(KEPT, "ignored"), outcome(BROKEN, "kept"), outcome(EITHER, "error")];
    assert_eq!(told(&wrong).len(), 3, "{:?}", told(&wrong));
    let gone = outcome(Id { case: "z", ..KEPT }, "kept");
    let more = [right.as_slice(), &[gone]].concat();
    assert!(told(&more).len() == 1 && told(&more)[0].contains("no longer exists"), "{:?}", told(&more));
    assert_eq!(disagreements(&json!({}), &table(), &[KEPT]), ["it lacks native::a"]);
}

fn a_verb_is_taken_out_of_every_rule_and_a_rule_without_verbs_goes() {
    let role = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: x}
rules:
  - {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [x], verbs: [get, patch]}
  - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
";
    let role = manifests::parse(role).expect("a Role");
    assert_eq!(privileges::verbs(&role), ["get", "patch", "create"]);
    assert_eq!(privileges::verbs(&privileges::without(&role, "get")), ["patch", "create"]);
    let rules = privileges::without(&role, "create")[0].data["rules"].clone();
    assert_eq!(rules.as_array().map(Vec::len), Some(1), "{rules}");
}

//! The suite's own tests.

use k8s_openapi::jiff::Timestamp;
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use crate::fill::{Fill, only};
use crate::judge::{compare, judge};
use crate::normalise::{Known, normalise};
use crate::scenario::{Only, Scenario};

pub fn trial(name: &str, run: impl FnOnce() -> anyhow::Result<()> + Send + 'static) -> Trial {
    Trial::test(format!("own::{name}"), move || run().map_err(|error| Failed::from(format!("{error:#}"))))
}

macro_rules! own {
    ($($name:ident),+ $(,)?) => {
        vec![$(Trial::test(concat!("own::", stringify!($name)), || { $name(); Ok(()) })),+]
    };
}

pub fn trials() -> Vec<Trial> {
    own![
        versions_keep_their_order_and_lists_tell_what_they_include,
        uids_and_names_go_wherever_they_stand,
        a_time_is_now_only_if_it_is,
        managed_fields_lose_their_times_but_not_their_order,
        a_bookmark_repeated_is_one,
        an_age_in_a_row_is_any_age,
        an_object_in_a_message_is_compared_as_a_value,
        every_difference_has_a_place,
        a_row_covers_what_it_names_and_has_to_cover_something,
        values_of_earlier_answers_are_filled_in,
        of_a_long_list_only_the_chosen_are_left,
    ]
}

fn normalised(answers: &[Value]) -> Vec<Value> {
    let (namespace, address) = ("exchange-000007".to_owned(), "127.0.0.1:4711".to_owned());
    normalise(answers, &Known { namespace, address, ranks_times: false, began: Timestamp::now() })
}

fn object(version: &str) -> Value {
    json!({"body": {"metadata": {"resourceVersion": version}}})
}

fn versions_keep_their_order_and_lists_tell_what_they_include() {
    let list = json!({"body": {"kind": "LeaseList", "metadata": {"resourceVersion": "150"}, "items": []}});
    let conflict = json!({"body": {"message": "Too large resource version: 999, current: 99"}});
    let found = normalised(&[object("200"), object("90"), list, object("100"), conflict, object("abc")]);
    let version = |i: usize| found[i]["body"]["metadata"]["resourceVersion"].clone();
    assert_eq!([version(0), version(1), version(2), version(3)], ["rv3", "rv1", "since rv2", "rv2"]);
    assert_eq!(found[4]["body"]["message"], "Too large resource version: 999, current: since rv1");
    assert_eq!(version(5), "abc");
}

fn uids_and_names_go_wherever_they_stand() {
    let uid = "d1d52cf6-9a6b-4819-8149-785709832d34";
    let text = format!("/registry/leases/exchange-000007/a of {uid} at 127.0.0.1:4711");
    let found = normalised(&[json!({"body": {"metadata": {"uid": uid}, "message": text}})]);
    assert_eq!(found[0]["body"]["metadata"]["uid"], "uid1");
    assert_eq!(found[0]["body"]["message"], "/registry/leases/{ns}/a of uid1 at {address}");
}

fn a_time_is_now_only_if_it_is() {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let found = normalised(&[json!({"at": now, "long ago": "2020-01-01T00:00:00Z", "text": format!("at {now}: no")})]);
    assert_eq!(found[0], json!({"at": "now", "long ago": "2020-01-01T00:00:00Z", "text": "at now: no"}));
}

fn managed_fields_lose_their_times_but_not_their_order() {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let entry = |manager: &str, time: &str| json!({"manager": manager, "operation": "Update", "time": time});
    let fields = |entries: [Value; 2]| {
        let found = normalised(&[json!({"body": {"metadata": {"managedFields": entries}}})]);
        found[0]["body"]["metadata"]["managedFields"].clone()
    };
    let sorted = fields([entry("z", "2020-01-01T00:00:00Z"), entry("a", &now)]);
    assert_eq!(sorted, json!([entry("a", "now"), entry("z", "2020-01-01T00:00:00Z")]));
    let unsorted = fields([entry("z", &now), entry("a", &now)]);
    assert_eq!(unsorted.as_array().map(Vec::len), Some(3), "{unsorted}");
}

fn a_bookmark_repeated_is_one() {
    let bookmark = |version: &str| json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}});
    let added = json!({"type": "ADDED", "object": {"metadata": {"resourceVersion": "5"}}});
    let found = normalised(&[json!({"frames": [added, bookmark("6"), bookmark("9")]})]);
    assert_eq!(found[0]["frames"].as_array().map(Vec::len), Some(2));
    assert_eq!(found[0]["frames"][1]["object"]["metadata"]["resourceVersion"], "since rv1");
}

fn an_age_in_a_row_is_any_age() {
    let found = normalised(&[json!({"rows": [{"cells": ["2y331d", "x", "5", 1, "s", "", "59s", "5x"]}]})]);
    assert_eq!(found[0]["rows"][0]["cells"], json!(["an age", "x", "5", 1, "s", "", "an age", "5x"]));
}

fn an_object_in_a_message_is_compared_as_a_value() {
    let message = |object: &str| format!("patch: Invalid value: {}: no", Value::from(object));
    let one = message(r#"{"kind":"Lease","metadata":{"name":"a","resourceVersion":"7"}}"#);
    let other = message(r#"{"metadata":{"resourceVersion":"7","name":"a"},"kind":"Lease"}"#);
    let found = normalised(&[object("7"), json!({"message": one}), json!({"message": other})]);
    assert_eq!(found[1], found[2]);
    assert_eq!(found[1]["message"], message(r#"{"kind":"Lease","metadata":{"name":"a","resourceVersion":"rv1"}}"#));
    let untouched = json!({"message": r#"Invalid value: "Q_q": a name; Invalid value: 0: a number"#});
    assert_eq!(normalised(std::slice::from_ref(&untouched)), [untouched]);
}

fn every_difference_has_a_place() {
    let golden = [json!({"status": 200, "body": {"a/b": [1, 2]}}), json!({"status": 200, "body": 1}), json!(null)];
    let actual = [json!({"status": 200, "body": {"a/b": [1], "c": 3}}), json!({"status": 201, "body": 2})];
    let found = compare(&golden, &actual);
    let places: Vec<(usize, &str)> = found.iter().map(|it| (it.step, it.at.as_str())).collect();
    assert_eq!(places, [(1, "/body/a~1b/1"), (1, "/body/c"), (2, ""), (3, "")]);
}

fn a_row_covers_what_it_names_and_has_to_cover_something() {
    let scenario: Scenario =
        serde_saphyr::from_str("{name: it, steps: [{request: GET leases}]}").expect("a scenario of one step");
    let row = |at: &str| crate::differences::Row {
        topic: String::new(),
        scenario: String::new(),
        step: 1,
        at: at.to_owned(),
        what: String::new(),
        why: String::new(),
    };
    let (golden, actual) = ([json!({"body": {"x": 1}})], [json!({"body": {"x": 2}})]);
    assert!(judge(&scenario, &golden, &actual, &[]).is_err());
    assert!(judge(&scenario, &golden, &actual, &[row("/bod")]).is_err(), "not the same name");
    assert_eq!(judge(&scenario, &golden, &actual, &[row("/body")]), Ok(()));
    let gone = judge(&scenario, &golden, &golden, &[row("/body")]).expect_err("nothing differs");
    assert!(gone.contains("take it out"), "{gone}");
}

fn values_of_earlier_answers_are_filled_in() {
    let mut fill = Fill::new("here");
    fill.save("first", json!({"metadata": {"uid": "u"}, "items": [{"n": 1}]}));
    assert_eq!(fill.text("{ns}/${first.metadata.uid}/${first.items.0.n}").ok().as_deref(), Some("here/u/1"));
    assert_eq!(fill.value(&json!({"x": "${first.items}"})).ok(), Some(json!({"x": [{"n": 1}]})));
    assert!(fill.text("${second}").is_err() && fill.text("${first.spec}").is_err() && fill.text("${first").is_err());
}

fn of_a_long_list_only_the_chosen_are_left() {
    let mut body =
        json!({"groups": [{"name": "a"}, {"name": "b"}, {"metadata": {"name": "c"}}], "others": [{"name": "b"}]});
    only(&mut body, &Only { key: "groups".to_owned(), names: vec!["a".to_owned(), "c".to_owned()] });
    assert_eq!(body, json!({"groups": [{"name": "a"}, {"metadata": {"name": "c"}}], "others": [{"name": "b"}]}));
}

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

//! People search `docs/troubleshooting.md` for what they see, so what it quotes has to be what the programs say.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use still_leading_testbed::workspace;

/// Where log lines, metrics, alerts, answers and flags come from.
const SOURCES: [&str; 6] =
    ["apps", "crates/scaffold", "crates/still-leading", "crates/playground", "examples", "deploy"];
/// What is quoted of other programs, or is a path, a variable or a setting: nothing that we say.
const FOREIGN: [&str; 7] =
    ["kubectl ", "helm ", "KUBECONFIG", "maxSurge", "proxy-url", "ReleaseOnCancel", "failed to parse NO_PROXY"];

/// The text of every source, with strings that go over several lines in one piece.
fn sources() -> Result<String> {
    let mut text = String::new();
    for source in SOURCES {
        read(&workspace().join(source), &mut text)?;
    }
    Ok(in_one_piece(&text))
}

/// Rust continues a string after a backslash, Go adds the next one.
fn in_one_piece(text: &str) -> String {
    let mut whole = String::new();
    for line in text.lines().map(str::trim) {
        if whole.ends_with('\\') {
            whole.pop();
            whole += line;
        } else if whole.ends_with("\" +") {
            whole.truncate(whole.len() - 3);
            whole += line.trim_start_matches('"');
        } else {
            whole.push('\n');
            whole += line;
        }
    }
    whole
}

fn read(folder: &Path, text: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_text = ["rs", "go", "yaml"].iter().any(|end| name.ends_with(&format!(".{end}")));
        if path.is_dir() && !["target", "tests", "bin"].contains(&name.as_str()) {
            read(&path, text)?;
        } else if is_text && !name.ends_with("_test.go") && name != "tests.rs" {
            text.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// The rows of all tables but their heads.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what you see"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What a cell quotes, in the parts between what differs.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    let spans = cell.split('`').skip(1).step_by(2).filter(|it| !FOREIGN.iter().any(|word| it.contains(word)));
    spans.flat_map(|span| span.split('…')).map(str::trim).filter(|part| !part.is_empty())
}

/// A metric is registered without what OpenMetrics adds to its name.
fn registered(part: &str) -> &str {
    let name = part.strip_suffix("_total").unwrap_or(part);
    name.strip_suffix("_seconds").unwrap_or(name)
}

fn page() -> Result<String> {
    fs::read_to_string(workspace().join("docs/troubleshooting.md")).context("reading the page")
}

#[test]
fn whatever_the_page_quotes_is_said_by_a_program_or_an_alert() -> Result<()> {
    let (page, sources) = (page()?, sources()?);
    let rows = rows(&page);
    let missing: Vec<&str> = rows
        .iter()
        .flat_map(|row| quoted(row[0]))
        .filter(|part| !sources.contains(part) && !sources.contains(registered(part)))
        .collect();
    assert!(rows.len() > 50, "{} rows", rows.len());
    assert_eq!(missing, Vec::<&str>::new());
    Ok(())
}

#[test]
fn every_row_has_a_symptom_a_cause_and_what_to_do() -> Result<()> {
    for row in rows(&page()?) {
        assert!(row.len() == 3 && !row[0].is_empty() && !row[2].is_empty(), "{row:?}");
    }
    Ok(())
}

#[test]
fn an_alert_or_a_warning_of_the_library_that_is_new_gets_a_row() -> Result<()> {
    let page = page()?;
    let rules = fs::read_to_string(workspace().join("deploy/components/monitoring/prometheusrule.yaml"))?;
    let report = in_one_piece(&fs::read_to_string(workspace().join("crates/still-leading/src/report.rs"))?);
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    // The message is the first string in it; what it says after a value or a colon is not looked at.
    let warnings = ["warn!(", "error!("].into_iter().flat_map(|begin| report.split(begin).skip(1));
    let warnings = warnings.filter_map(|rest| rest.split('"').nth(1)?.split(['{', ':']).next());
    let warnings: Vec<&str> = warnings.map(str::trim).collect();
    assert!(alerts.len() > 5 && warnings.len() > 10, "{alerts:?} {warnings:?}");
    for words in alerts.iter().chain(&warnings) {
        assert!(page.contains(words), "there is no row about {words:?}");
    }
    Ok(())
}

//! Each sign that docs/faults.md and docs/choosing.md show is that of the cell which it leads to.

use std::fs;

use anyhow::{Context, Result, ensure};
use still_leading_evaluation::matrix::report::{Symbol, TIMINGS};
use still_leading_evaluation::matrix::subject::Subject;
use still_leading_evaluation::matrix::summary::{SUMMARY, Summary};
use still_leading_testbed::workspace;

/// A link to a section of a fault's page, as `[✗ leader-refuse](matrix/leader-refuse.md#kubertas-documented)`.
struct Shown<'a> {
    sign: &'a str,
    fault: &'a str,
    anchor: &'a str,
}

/// All such links, whatever their text is.
fn shown(text: &str) -> Result<Vec<Shown<'_>>> {
    let links = text
        .match_indices("](matrix/")
        .filter(|(at, _)| text[at + 9..].split(')').next().is_some_and(|it| it.contains('#')));
    links
        .map(|(at, open)| {
            let label = text[..at].rsplit('[').next().unwrap_or_default();
            let target = text[at + open.len()..].split(')').next().unwrap_or_default();
            let (fault, anchor) = target.split_once(".md#").with_context(|| format!("{target} is no section"))?;
            let (sign, named) = label.split_once(' ').with_context(|| format!("{label} has no sign"))?;
            ensure!(named == fault, "{label} leads to {target}");
            Ok(Shown { sign, fault, anchor })
        })
        .collect()
}

/// What GitHub makes of the heading.
fn anchor(subject: Subject) -> String {
    subject.to_string().replace('.', "")
}

fn check(document: &str) -> Result<usize> {
    let text = fs::read_to_string(workspace().join(document)).with_context(|| format!("reading {document}"))?;
    let summary = Summary::read(&workspace().join(SUMMARY))?;
    let shown = shown(&text)?;
    for Shown { sign, fault, anchor: to } in &shown {
        let subject = Subject::variants().into_iter().find(|it| anchor(*it) == *to);
        let subject = subject.with_context(|| format!("{document}: nobody is called {to}"))?.to_string();
        let cell = summary.cell(TIMINGS, &subject, fault);
        let cell = cell.with_context(|| format!("{document}: {subject} was not tried under {fault}"))?;
        let is = Symbol::of(cell).0.sign();
        ensure!(is == *sign, "{document}: {subject} under {fault} is {is} in {SUMMARY}, not {sign}");
    }
    Ok(shown.len())
}

#[test]
fn each_sign_of_the_findings_is_that_of_its_cell() -> Result<()> {
    // Were links written in another way, none would be found.
    ensure!(check("docs/faults.md")? >= 20, "docs/faults.md leads to few cells");
    Ok(())
}

#[test]
fn each_sign_of_the_advice_is_that_of_its_cell() -> Result<()> {
    check("docs/choosing.md").map(drop)
}

#[test]
fn a_link_is_read_with_its_sign() -> Result<()> {
    let text = "See [✗ sigterm](matrix/sigterm.md#kubertas-documented), and [all](matrix/sigterm.md).";
    let found = shown(text)?;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].sign, found[0].fault, found[0].anchor), ("✗", "sigterm", "kubertas-documented"));
    assert!(shown("[sigterm](matrix/sigterm.md#native)").is_err());
    assert!(shown("[✗ sigkill](matrix/sigterm.md#native)").is_err());
    Ok(())
}

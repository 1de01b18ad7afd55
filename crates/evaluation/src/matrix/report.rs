//! Pages out of a [`Summary`]: pure functions, summary in, text out.

mod heat;
mod page;
mod short;
mod symbol;
mod wide;

pub use heat::picture;
pub use page::page;
pub use symbol::Symbol;

use short::{at_rest, short};
use wide::{controls, made, wide};

use still_leading_testbed::{Form, Variant};

use super::fault::Fault;
use super::subject::Subject;
use super::summary::{Cell, Summary};
use crate::comparison::Table;
use crate::record::Artefacts;

/// The timings that all faults are tried with, in seconds.
pub const TIMINGS: &str = "5/3/1";
/// client-go's, which hand-overs are tried with as well.
pub const DEFAULT_TIMINGS: &str = "15/10/2";
/// In place of each table until there is a run.
const NOTHING: &str = "No run is recorded yet: `just evaluate` and `just matrix` make one.\n";
/// Where the pages of faults are, from the root of the repository.
pub const PAGES: &str = "docs/matrix";

/// The tables of `docs/comparison.md` that are made of it.
#[must_use]
pub fn tables(summary: &Summary, artefacts: &Artefacts) -> Vec<Table> {
    // Tables of nothing would lead to pages that are not there.
    let unless_empty = |text: String| if summary.cells.is_empty() { NOTHING.to_owned() } else { text };
    vec![
        ("in short", unless_empty(short(summary, artefacts))),
        ("matrix", unless_empty(wide(summary))),
        ("controls", unless_empty(controls(summary))),
        ("at rest", unless_empty(at_rest(summary))),
        ("matrix recorded", unless_empty(made(summary))),
    ]
}

/// The faults of the matrix: what happens to nobody is another table.
#[must_use]
pub fn faults() -> Vec<Box<dyn Fault>> {
    super::faults::all().into_iter().filter(|fault| !is_rest(&fault.name())).collect()
}

fn is_rest(fault: &str) -> bool {
    fault.starts_with("rest-")
}

/// A variant and the names of its subjects: as a template and as documented.
fn columns() -> Vec<(Variant, Vec<String>)> {
    let names = |variant: Variant| {
        let forms = variant.forms().into_iter().map(move |form| Subject::Variant(variant, form).to_string());
        (variant, forms.collect())
    };
    // The yardstick beside native, where one looks for it.
    let first = [Variant::Native, Variant::ClientGo];
    let rest = Variant::ALL.iter().copied().filter(|variant| !first.contains(variant));
    first.into_iter().chain(rest).map(names).collect()
}

/// Every subject, in the order of the columns.
fn subjects() -> Vec<Subject> {
    let forms = |(variant, _): (Variant, Vec<String>)| {
        let forms = variant.forms();
        forms.into_iter().map(move |form: Form| Subject::Variant(variant, form))
    };
    columns().into_iter().flat_map(forms).collect()
}

fn cell<'a>(summary: &'a Summary, subject: &str, fault: &str) -> Option<&'a Cell> {
    summary.cell(TIMINGS, subject, fault)
}

/// The anchor that Markdown gives a heading of that text.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|it| it.is_alphanumeric() || "-_ ".contains(*it))
        .collect::<String>()
        .replace(' ', "-")
}

/// Milliseconds for a person: seconds from one second on.
fn time(ms: f64) -> String {
    match ms {
        ms if ms >= 9_950.0 => format!("{:.0} s", ms / 1e3),
        ms if ms >= 995.0 => format!("{:.1} s", ms / 1e3),
        ms => format!("{ms:.0} ms"),
    }
}

/// A median and the worst, if they differ.
fn spread(of: Option<(f64, f64)>) -> String {
    match of {
        None => "–".to_owned(),
        Some((median, most)) if time(median) == time(most) => time(most),
        Some((median, most)) => format!("{} ({})", time(median), time(most)),
    }
}

#[cfg(test)]
mod tests;

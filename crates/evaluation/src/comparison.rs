//! From the records to the tables of `docs/comparison.md`: pure functions, record in, Markdown out.

mod artefacts;
pub mod markers;
mod outcomes;
mod stale;
mod table;

pub use stale::{Sources, stale};

use anyhow::Result;

use crate::record::{Artefacts, BlackBox, Form};

/// A name as it stands in a marker, and the text that belongs between the markers.
pub type Table = (&'static str, String);

/// All tables of the document, with the variants in the order of `variants`.
///
/// # Errors
/// A record is not one of all variants, or not one of a passing suite. One line.
pub fn tables(artefacts: &Artefacts, black_box: &BlackBox, variants: &[&str]) -> Result<Vec<Table>> {
    let chosen = artefacts::choose(artefacts, variants)?;
    let templates = outcomes::matrix(black_box, Form::Template, variants)?;
    let documented = outcomes::matrix(black_box, Form::AsDocumented, variants)?;
    Ok(vec![
        ("crates", artefacts::crates(&chosen)),
        ("weights", artefacts::weights(&chosen)),
        ("requests", artefacts::requests(&chosen)),
        ("artefacts measured", artefacts::measured(&chosen)),
        ("templates", templates.table),
        ("templates, reasons", templates.reasons),
        ("as documented", documented.table),
        ("as documented, reasons", documented.reasons),
        ("outcomes recorded", outcomes::recorded(black_box, variants)),
    ])
}

//! From the records to the tables of `docs/comparison.md`, `docs/on-a-cluster.md` and `docs/one-replica.md`: pure functions,
//! record in, Markdown out.

mod artefacts;
pub mod markers;
mod on_a_cluster;
mod one_replica;
mod outcomes;
mod outdated;

pub use outdated::{Sources, outdated};

use anyhow::Result;

use crate::e2e::record::Run;
use crate::e2e::single::record::Single;
use crate::record::{Artefacts, BlackBox, Form};

/// A name as it stands in a marker, and the text that belongs between the markers.
pub type Table = (&'static str, String);

/// All tables of `docs/comparison.md`, with the variants in the order of `variants`.
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

/// All tables of `docs/on-a-cluster.md`, with the variants in the order of `variants`.
///
/// # Errors
/// The record is one of an unknown variant, or of a run that failed. One line.
pub fn tables_on_a_cluster(run: &Run, variants: &[&str]) -> Result<Vec<Table>> {
    Ok(vec![("e2e", on_a_cluster::table(run, variants)?), ("e2e recorded", on_a_cluster::recorded(run))])
}

/// All tables of `docs/one-replica.md`.
///
/// # Errors
/// The record is one of a run that broke a promise, or has fewer than three trials of what is tried several times. One line.
pub fn tables_of_one_replica(run: &Single) -> Result<Vec<Table>> {
    Ok(vec![("one replica", one_replica::table(run)?), ("one replica recorded", one_replica::recorded(run))])
}

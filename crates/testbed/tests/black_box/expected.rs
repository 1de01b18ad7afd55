//! The cases that a variant cannot pass, or not always, each with the reason. Every row was seen to fail.
//!
//! A row is a fact about a variant, not an excuse: the suite fails when a case with [`Verdict::Fails`] passes after all.

mod client_go;
mod k8s_controller;
mod kube_coordinate;
mod kube_leader_election;
mod kube_lease_manager;
mod kubert;

use still_leading_testbed::{Form, Variant};

use crate::Id;

/// The verdict on a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It breaks a promise, every time.
    Fails,
    /// It breaks a promise or not, depending on a moment that no test can choose. The reason says which moment.
    Races,
}

#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub variant: Variant,
    pub form: Form,
    pub case: &'static str,
    pub verdict: Verdict,
    /// Where in the crate's source the behaviour comes from, and what it is.
    pub reason: &'static str,
}

/// How a case should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Kept,
    Broken,
    Either,
}

impl Expected {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Broken => "broken",
            Self::Either => "either",
        }
    }

    /// Whether an outcome of this name is as expected. An error or an ignored case never is.
    pub fn allows(self, outcome: &str) -> bool {
        match self {
            Self::Kept => outcome == "kept",
            Self::Broken => outcome == "broken",
            Self::Either => ["kept", "broken"].contains(&outcome),
        }
    }
}

impl Row {
    pub fn expected(&self) -> Expected {
        match self.verdict {
            Verdict::Fails => Expected::Broken,
            Verdict::Races => Expected::Either,
        }
    }
}

/// The whole table.
pub fn table() -> Vec<Row> {
    let tables: [&[Row]; 6] = [
        kube_leader_election::ROWS,
        kube_coordinate::ROWS,
        kubert::ROWS,
        kube_lease_manager::ROWS,
        k8s_controller::ROWS,
        client_go::ROWS,
    ];
    tables.concat()
}

/// Returns the row about a case, if there is one.
pub fn row(table: &[Row], id: Id) -> Option<&Row> {
    table.iter().find(|row| is_about(row, id))
}

/// Returns how a case should end.
pub fn expected(table: &[Row], id: Id) -> Expected {
    row(table, id).map_or(Expected::Kept, Row::expected)
}

/// Returns what is wrong with the table itself: rows about cases that do not exist, and second rows about one case.
pub fn defects(table: &[Row], ids: &[Id]) -> Vec<String> {
    let name = |row: &Row| Id { variant: row.variant, form: row.form, case: row.case }.to_string();
    let unknown = table.iter().filter(|row| !ids.iter().any(|id| is_about(row, *id)));
    let unknown = unknown.map(|row| format!("there is no case {}", name(row)));
    let repeated = table.iter().enumerate().filter(|(i, row)| table[..*i].iter().any(|other| name(other) == name(row)));
    unknown.chain(repeated.map(|(_, row)| format!("there are two rows about {}", name(row)))).collect()
}

fn is_about(row: &Row, id: Id) -> bool {
    (row.variant, row.form, row.case) == (id.variant, id.form, id.case)
}

//! The documents that cite lines, cut into units: a cell, a paragraph or list item, a string literal, a comment.

use std::path::PathBuf;

use still_leading_testbed::{Variant, workspace};

/// How a document is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    Markdown,
    /// Rust, of which the string literals are read, tests aside.
    Strings,
    /// Rust or Go, of which the comments are read.
    Comments,
}

/// Which numbers are read as lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Every number that nothing shows to be something else.
    All,
    /// Numbers behind the name of a file, and ranges.
    Pointed,
}

/// A document that may cite lines.
#[derive(Clone, Debug)]
pub struct Document {
    /// What `in` of a row calls it.
    pub kind: &'static str,
    /// Relative to the root of the repository.
    pub path: String,
    /// The variant whose crate all numbers are about, for a document about one variant.
    pub app: Option<&'static str>,
    pub syntax: Syntax,
    pub reading: Reading,
}

/// All of them. A new variant's are found by its name.
pub fn documents() -> Vec<Document> {
    use {Reading::*, Syntax::*};
    let shared =
        |kind, path: &str, syntax, reading| Document { kind, path: path.to_owned(), app: None, syntax, reading };
    let mut all = vec![
        shared("comparison", "docs/comparison.md", Markdown, All),
        shared("choosing", "docs/choosing.md", Markdown, All),
        shared("faults", "docs/faults.md", Markdown, Pointed),
        shared("cluster", "docs/on-a-cluster.md", Markdown, Pointed),
        shared("e2e", "crates/evaluation/src/e2e/step.rs", Strings, All),
    ];
    // Native shows no crate.
    for app in Variant::ALL.iter().filter(|variant| **variant != Variant::Native).map(|variant| variant.name()) {
        let of_app = |kind, path, syntax, reading| Document { kind, path, app: Some(app), syntax, reading };
        let is_go = workspace().join("apps").join(app).join("go.mod").is_file();
        let template = if is_go { "election.go" } else { "src/election.rs" };
        let expected = format!("crates/testbed/tests/black_box/expected/{}.rs", app.replace('-', "_"));
        all.push(of_app("readme", format!("apps/{app}/README.md"), Markdown, All));
        all.push(of_app("template", format!("apps/{app}/{template}"), Comments, Pointed));
        all.push(of_app("expected", expected, Strings, All));
        if !is_go {
            all.push(of_app("upstream", format!("docs/upstream/{app}.md"), Markdown, Pointed));
        }
    }
    all
}

impl Document {
    pub fn file(&self) -> PathBuf {
        workspace().join(&self.path)
    }

    pub fn units(&self, text: &str) -> Vec<Unit> {
        match self.syntax {
            Syntax::Markdown => markdown(text),
            Syntax::Strings => strings(text),
            Syntax::Comments => comments(text),
        }
    }
}

/// A piece of text within which the crate and the file that were named last hold for the numbers that follow.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// The words, with one space where the document has a line break.
    pub text: String,
    /// Where each line begins in `text`, and its number in the document.
    lines: Vec<(usize, usize)>,
    /// For a cell of a table: the head of its column and the first cell of its row, which name a crate or a file for it.
    pub context: Vec<String>,
}

impl Unit {
    fn push(&mut self, line: usize, text: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.lines.push((self.text.len(), line));
        self.text.push_str(text.trim());
    }

    /// The line of the document of a place in `text`.
    pub fn line(&self, at: usize) -> usize {
        self.lines.iter().rev().find(|(from, _)| *from <= at).map_or(0, |(_, line)| *line)
    }
}

/// What is outside the tables that a program writes from records: those say what was true of the record.
fn markdown(text: &str) -> Vec<Unit> {
    let (mut units, mut unit, mut head) = (Vec::new(), Unit::default(), None::<Vec<&str>>);
    let (mut is_generated, mut is_code) = (false, false);
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        is_code ^= trimmed.starts_with("```");
        is_generated |= trimmed.starts_with("<!-- table:");
        let is_left_out = is_generated || is_code || trimmed.starts_with("```");
        is_generated &= !trimmed.starts_with("<!-- end");
        let is_table = trimmed.starts_with('|') && !is_left_out;
        if is_left_out || is_table || trimmed.is_empty() || item(trimmed).is_some() {
            units.push(std::mem::take(&mut unit));
        }
        if is_table {
            let cells: Vec<&str> = trimmed.trim_matches('|').split('|').map(str::trim).collect();
            units.extend(row(head.as_deref().unwrap_or_default(), &cells, at + 1));
            head.get_or_insert(cells);
        } else {
            head = None;
            if !is_left_out {
                unit.push(at + 1, item(trimmed).unwrap_or(trimmed));
            }
        }
    }
    units.push(unit);
    units.retain(|unit| !unit.text.is_empty());
    units
}

/// The text of a list item, without its dash or number.
fn item(line: &str) -> Option<&str> {
    let after_number = line.trim_start_matches(|it: char| it.is_ascii_digit());
    let numbered = after_number.strip_prefix(". ").filter(|_| after_number.len() < line.len());
    line.strip_prefix("- ").or(numbered)
}

fn row(head: &[&str], cells: &[&str], line: usize) -> Vec<Unit> {
    let first = cells.first().copied().unwrap_or_default();
    let unit = |(column, cell): (usize, &&str)| {
        let head = head.get(column).copied().unwrap_or_default();
        let mut unit = Unit { context: vec![first.to_owned(), head.to_owned()], ..Unit::default() };
        unit.push(line, cell);
        unit
    };
    cells.iter().enumerate().map(unit).collect()
}

fn comments(text: &str) -> Vec<Unit> {
    let (mut units, mut unit) = (Vec::new(), Unit::default());
    for (at, line) in text.lines().enumerate() {
        let comment = line.trim().strip_prefix("//").map(|it| it.trim_start_matches(['/', '!']).trim());
        if comment.is_none_or(|it| it.is_empty() || item(it).is_some()) {
            units.push(std::mem::take(&mut unit));
        }
        if let Some(comment) = comment {
            unit.push(at + 1, comment);
        }
    }
    units.push(unit);
    units.retain(|unit| !unit.text.is_empty());
    units
}

/// The string literals. Raw ones and characters in quotes are not expected.
fn strings(text: &str) -> Vec<Unit> {
    let (mut units, mut unit) = (Vec::new(), Unit::default());
    let mut is_inside = false;
    for (at, line) in text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate() {
        if !is_inside && line.trim().starts_with("//") {
            continue;
        }
        // Every second piece is inside, beginning with the first one if the literal began on a line before.
        for (count, piece) in line.split('"').enumerate() {
            if count > 0 {
                is_inside = !is_inside;
                units.push(std::mem::take(&mut unit));
            }
            if is_inside {
                unit.push(at + 1, piece.trim_end_matches('\\'));
            }
        }
    }
    units.push(unit);
    units.retain(|unit| !unit.text.is_empty());
    units
}

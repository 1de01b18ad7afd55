//! Compares documents with rows: each citation needs a row, and each row a citation in each document that it names.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::data::{Data, Row};
use crate::document::Document;
use crate::scan::{Citation, Scanner};

/// Returns what is wrong with the citations of a document, one line per finding.
///
/// # Errors
/// The document cannot be read.
pub fn look(data: &Data, document: &Document) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(document.file()).with_context(|| document.path.clone())?;
    Ok(look_at(data, document, &text))
}

pub fn look_at(data: &Data, document: &Document, text: &str) -> Vec<String> {
    let only = document.app.and_then(|app| data.sources.iter().position(|source| source.name == app));
    let not_lines = data.not_lines.get(document.kind).map(Vec::as_slice).unwrap_or_default();
    let scanner = Scanner { sources: &data.sources, only, reading: document.reading, not_lines };
    let citations: Vec<Citation> = document.units(text).iter().flat_map(|unit| scanner.scan(unit)).collect();
    let mut used = BTreeSet::new();
    let mut findings = Vec::new();
    for citation in &citations {
        match row(data, document, citation) {
            Ok(place) => _ = used.insert(place),
            Err(what) => findings.push(format!("{}:{}: {what}", document.path, citation.line)),
        }
    }
    let unused = rows(data, document).filter(|(place, _)| !used.contains(place));
    findings.extend(unused.map(|((source, _), row)| {
        let source = &data.sources[source];
        format!(
            "{}: citations.toml says that it cites {source}, {} {}, and it does not",
            document.path, row.file, row.at
        )
    }));
    findings
}

/// Returns the rows that a document has to cite, each with its place in the data.
fn rows<'a>(data: &'a Data, document: &'a Document) -> impl Iterator<Item = ((usize, usize), &'a Row)> {
    let of_source = data.sources.iter().enumerate().filter(|(_, source)| {
        // A document about one variant cites the sources that this one is built from.
        document.app.is_none_or(|app| source.app == app)
    });
    let rows = of_source.flat_map(|(at, source)| source.lines.iter().enumerate().map(move |(row, it)| ((at, row), it)));
    rows.filter(|(_, row)| row.cited_in.iter().any(|kind| kind == document.kind))
}

/// Returns the place of the row of a citation, or what is wrong with the citation.
fn row(data: &Data, document: &Document, citation: &Citation) -> Result<(usize, usize), String> {
    let Citation { at, source, file, .. } = citation;
    let (Some(source), Some(file)) = (*source, file) else {
        return Err(format!(
            "`{at}` may be a line number, but no crate and file is named before it. If it is not one, add the text around \
             it to [not_lines] in citations.toml"
        ));
    };
    let is_it = |((of, _), row): &((usize, usize), &Row)| (*of, &row.file, row.at) == (source, file, *at);
    let found = rows(data, document).find(is_it).map(|(place, _)| place);
    found.ok_or_else(|| {
        let source = &data.sources[source];
        format!("`{at}` cites {source}, {file}, and citations.toml has no row for it in `{}`", document.kind)
    })
}

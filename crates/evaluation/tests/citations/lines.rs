//! Checks that the lines of a source still contain what the rows say.

use crate::data::{Row, Source};

/// Returns what is wrong with the rows of `source`, one line per finding. `read` returns the text of one of its files.
pub fn stale(source: &Source, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    source.lines.iter().flat_map(|row| stale_ends(source, row, &read)).collect()
}

fn stale_ends(source: &Source, row: &Row, read: &impl Fn(&str) -> Option<String>) -> Vec<String> {
    let Some(text) = read(&row.file) else {
        return vec![format!("{source}, {}: there is no such file, but line {} of it is cited", row.file, row.at)];
    };
    let text: Vec<&str> = text.lines().collect();
    let ends = [(row.at.first, Some(&row.first)), (row.at.last, row.last.as_ref())];
    let ends = ends.into_iter().filter_map(|(line, token)| Some((line, token?)));
    let findings = ends.filter_map(|(line, token)| finding(&text, line, token));
    let cited_in = row.cited_in.join(", ");
    findings.map(|what| format!("{source}, {} {} (in {cited_in}): {what}", row.file, row.at)).collect()
}

/// What is wrong with a line, if anything is. Its token must not be on the line above or below as well: a citation that is
/// one line off would pass.
fn finding(text: &[&str], line: usize, token: &str) -> Option<String> {
    let holds_at = |line: usize| line.checked_sub(1).and_then(|at| text.get(at)).is_some_and(|it| holds(it, token));
    if holds_at(line) {
        let neighbour = [line - 1, line + 1].into_iter().find(|it| holds_at(*it))?;
        return Some(format!("`{token}` is too weak for line {line}: line {neighbour} contains it as well"));
    }
    let places = (1..=text.len()).filter(|it| holds_at(*it));
    let now = places.min_by_key(|it| it.abs_diff(line)).map(|it| format!("; line {it} contains it"));
    let there = line.checked_sub(1).and_then(|at| text.get(at)).map_or("", |it| it.trim());
    Some(format!("line {line} is `{there}` and does not contain `{token}`{}", now.unwrap_or_default()))
}

/// A token is a part of its line. One without letters, such as a closing brace, is the whole line with its indentation.
fn holds(line: &str, token: &str) -> bool {
    if token.contains(char::is_alphanumeric) { line.contains(token) } else { line.trim_end() == token }
}

//! The places in a document that belong to a program: from `<!-- table: name -->` to the next `<!-- end -->`.

use anyhow::{Result, bail};

use super::Table;

const END: &str = "<!-- end -->";
/// As many lines of a difference as one reads.
const LINES_MAX: usize = 12;

/// `document` with each table in its place. What stands outside the markers stays.
///
/// # Errors
/// A place is missing, doubled, open or unknown. One line, which names it.
pub fn fill(document: &str, tables: &[Table]) -> Result<String> {
    if let Some(name) = document.lines().filter_map(opening).find(|name| !tables.iter().any(|(it, _)| it == name)) {
        bail!("nothing belongs into the place `<!-- table: {name} -->`");
    }
    let mut filled = document.to_owned();
    for (name, text) in tables {
        let place = place(&filled, name)?;
        filled.replace_range(place, text);
    }
    Ok(filled)
}

/// The tables whose text in `document` is another one, with what differs, in the manner of a diff.
///
/// # Errors
/// As for [`fill`].
pub fn drift(document: &str, tables: &[Table]) -> Result<Vec<(&'static str, String)>> {
    fill(document, tables)?;
    let mut drifted = Vec::new();
    for (name, text) in tables {
        let there = &document[place(document, name)?];
        if there != text {
            drifted.push((*name, difference(there, text)));
        }
    }
    Ok(drifted)
}

/// What is outside the places: written by hand.
///
/// # Errors
/// As for [`fill`].
pub fn prose(document: &str, tables: &[Table]) -> Result<String> {
    let empty: Vec<Table> = tables.iter().map(|(name, _)| (*name, String::new())).collect();
    fill(document, &empty)
}

fn opening(line: &str) -> Option<&str> {
    line.trim().strip_prefix("<!-- table: ")?.strip_suffix(" -->")
}

/// The bytes between the two markers.
fn place(document: &str, name: &str) -> Result<std::ops::Range<usize>> {
    let marker = format!("<!-- table: {name} -->\n");
    let mut found = document.match_indices(&marker);
    let Some((at, _)) = found.next() else { bail!("the place `{}` is missing", marker.trim()) };
    if found.next().is_some() {
        bail!("the place `{}` is there twice", marker.trim());
    }
    let from = at + marker.len();
    let mut length = 0;
    for line in document[from..].split_inclusive('\n') {
        if line.trim() == END {
            return Ok(from..from + length);
        }
        if opening(line).is_some() {
            break;
        }
        length += line.len();
    }
    bail!("the place `{}` has no `{END}`", marker.trim());
}

/// The lines that differ, between the first and the last of them.
fn difference(there: &str, text: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (there.lines().collect(), text.lines().collect());
    let before = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[before..], &new[before..]);
    let after = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let side = |sign: char, lines: &[&str]| {
        let mut text: String = lines.iter().take(LINES_MAX).map(|line| format!("{sign} {line}\n")).collect();
        if lines.len() > LINES_MAX {
            text += &format!("{sign} … and {} more lines\n", lines.len() - LINES_MAX);
        }
        text
    };
    side('-', &old[..old.len() - after]) + &side('+', &new[..new.len() - after])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# Title\n<!-- table: a -->\nold\n<!-- end -->\nprose\n<!-- table: b -->\n<!-- end -->\n";

    fn tables(a: &str, b: &str) -> Vec<Table> {
        vec![("a", a.to_owned()), ("b", b.to_owned())]
    }

    #[test]
    fn what_is_between_the_markers_is_replaced_and_the_rest_stays() {
        let filled = fill(DOCUMENT, &tables("1\n2\n", "3\n")).unwrap();
        let expected = "# Title\n<!-- table: a -->\n1\n2\n<!-- end -->\nprose\n<!-- table: b -->\n3\n<!-- end -->\n";
        assert_eq!(filled, expected);
        assert_eq!(fill(&filled, &tables("1\n2\n", "3\n")).unwrap(), expected, "twice is once");
    }

    #[test]
    fn a_place_that_is_missing_doubled_open_or_unknown_is_named_in_one_line() {
        let of = |document: &str| fill(document, &tables("", "")).unwrap_err().to_string();
        assert_eq!(of("<!-- table: a -->\n<!-- end -->\n"), "the place `<!-- table: b -->` is missing");
        assert_eq!(of(&DOCUMENT.repeat(2)), "the place `<!-- table: a -->` is there twice");
        let open = DOCUMENT.replacen("<!-- end -->\n", "", 1);
        assert_eq!(of(&open), "the place `<!-- table: a -->` has no `<!-- end -->`");
        let unknown = DOCUMENT.to_owned() + "<!-- table: c -->\n<!-- end -->\n";
        assert_eq!(of(&unknown), "nothing belongs into the place `<!-- table: c -->`");
    }

    #[test]
    fn a_drift_names_its_table_and_shows_the_lines_that_differ() {
        assert!(drift(DOCUMENT, &tables("old\n", "")).unwrap().is_empty());
        let drifted = drift(DOCUMENT, &tables("old\nnew\n", "")).unwrap();
        assert_eq!(drifted, [("a", "+ new\n".to_owned())]);
        assert_eq!(difference("1\n2\n3\n", "1\n4\n3\n"), "- 2\n+ 4\n");
        assert_eq!(difference(&"x\n".repeat(20), "").lines().count(), LINES_MAX + 1);
    }

    #[test]
    fn prose_is_what_no_program_wrote() {
        let prose = prose(DOCUMENT, &tables("", "")).unwrap();
        assert!(prose.contains("prose") && !prose.contains("old"), "{prose}");
    }
}

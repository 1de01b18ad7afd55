//! Markdown tables that are as readable before rendering as after.

/// A table with its columns padded to one width each.
pub(super) fn markdown(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count(), 3]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
        format!("|{}\n", cells.collect::<String>())
    };
    let rule: String = widths.iter().map(|width| format!("{}|", "-".repeat(width + 2))).collect();
    let mut text = line(&mut header.iter().copied()) + "|" + &rule + "\n";
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["native".to_owned(), "–".to_owned()], vec!["x".to_owned(), "1.0".to_owned()]];
        let expected = "| variant | n   |\n|---------|-----|\n| native  | –   |\n| x       | 1.0 |\n";
        assert_eq!(markdown(&["variant", "n"], &rows), expected);
    }
}

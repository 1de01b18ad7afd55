//! Tables as text.

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{CellAlignment, ColumnConstraint, Table, Width};

/// A Markdown table that is as readable before rendering as after: its columns are padded to one width each.
pub(crate) fn markdown(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(header).add_rows(rows);
    for column in table.column_iter_mut() {
        // Three dashes and the padding, as many programs want it.
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(5)));
    }
    format!("{table}\n")
}

/// A table for a terminal: names on the left, then numbers, which line up on the right.
#[must_use]
pub fn plain(header: &[&str], names: usize, rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(header).add_rows(rows);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 3));
        if place >= names {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
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

    #[test]
    fn numbers_line_up_on_the_right() {
        let rows = [["native", "9.5"], ["client-go", "110.0"]].map(|row| row.map(str::to_owned).to_vec());
        let expected = "variant       min\nnative        9.5\nclient-go   110.0\n";
        assert_eq!(plain(&["variant", "min"], 1, &rows), expected);
    }
}

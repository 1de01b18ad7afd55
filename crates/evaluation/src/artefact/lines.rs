//! Counts lines of code.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The lines of a file that are neither blank nor comment nor test.
pub(super) fn count_in(file: &Path) -> Result<usize> {
    Ok(count(&fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?))
}

/// A comment is a line that begins with `//`, as all do here and in what gofmt and rustfmt leave. Tests come last in a
/// file.
fn count(source: &str) -> usize {
    let code = source.lines().map(str::trim).take_while(|line| *line != "#[cfg(test)]");
    code.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_comments_and_tests_do_not_count() {
        let source = "//! What it is.\n\nuse std::fmt; // Counts.\n\n/// Doc.\nfn f() {\n    // Why.\n}\n";
        assert_eq!(count(source), 3);
        assert_eq!(count(&format!("{source}\n#[cfg(test)]\nmod tests {{\n    fn g() {{}}\n}}\n")), 3);
        assert_eq!(count("package main\n\n// Doc.\nfunc f() {}\n"), 2);
    }
}

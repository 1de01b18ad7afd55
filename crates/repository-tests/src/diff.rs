//! A change that a page shows, made.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Replaces whole lines in files of `folder`, as a diff without context and line numbers says.
///
/// # Errors
/// It does not fit: a line is not there, or there more than once.
pub fn apply(diff: &str, folder: &Path) -> Result<()> {
    let (mut file, mut lines): (Option<&str>, Vec<String>) = (None, Vec::new());
    let mut place = 0;
    let save = |file: Option<&str>, lines: &[String]| -> Result<()> {
        let Some(file) = file else { return Ok(()) };
        fs::write(folder.join(file), lines.join("\n") + "\n").with_context(|| format!("writing {file}"))
    };
    for line in diff.lines() {
        if let Some(next) = line.strip_prefix("--- a/") {
            save(file, &lines)?;
            let text = fs::read_to_string(folder.join(next)).with_context(|| format!("reading {next}"))?;
            (file, lines) = (Some(next), text.lines().map(str::to_owned).collect());
        } else if let Some(old) = line.strip_prefix('-') {
            let found: Vec<_> = (0..lines.len()).filter(|at| lines[*at] == old).collect();
            let [at] = found[..] else {
                bail!("{} has {} lines `{old}`, not one", file.unwrap_or("no file"), found.len())
            };
            lines.remove(at);
            place = at;
        } else if let Some(new) = line.strip_prefix('+') {
            lines.insert(place, new.to_owned());
            place += 1;
        } else {
            bail!("this line of the diff is neither file nor change: {line}");
        }
    }
    save(file, &lines)
}

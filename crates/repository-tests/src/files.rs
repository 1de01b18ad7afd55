//! The text files of the repository, for tests that read all of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use still_leading_testbed::workspace;

/// Folders without texts of ours: those of builds.
const FOREIGN: [&str; 3] = ["target", "bin", "node_modules"];
/// Hidden folders with texts of ours.
const HIDDEN: [&str; 3] = [".cargo", ".ci", ".github"];

/// The contents of the repository's files for which `wanted` returns true, by their paths from the root. The folders of
/// builds and of tools are left out. Bytes that are not text are replaced.
///
/// # Errors
/// A folder or a file cannot be read.
pub fn read(wanted: impl Fn(&Path) -> bool) -> Result<BTreeMap<String, String>> {
    let root = workspace();
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("looking into {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                let is_ours =
                    !name.starts_with('.') && !FOREIGN.contains(&name.as_str()) || HIDDEN.contains(&name.as_str());
                if is_ours && !path.is_symlink() {
                    folders.push(path);
                }
            } else if path.is_file() && wanted(path.strip_prefix(&root)?) {
                let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                found.insert(
                    path.strip_prefix(&root)?.display().to_string(),
                    String::from_utf8_lossy(&bytes).into_owned(),
                );
            }
        }
    }
    Ok(found)
}

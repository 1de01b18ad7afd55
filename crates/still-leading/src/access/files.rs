//! The files that the configuration was made of, as they were read.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// The contents of files; `None` where one could not be read.
#[derive(Clone, Default)]
pub struct Files(BTreeMap<PathBuf, Option<Vec<u8>>>);

impl Files {
    /// As they are now.
    pub fn read(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(
            paths
                .into_iter()
                .map(|path| {
                    let content = fs::read(&path).ok();
                    (path, content)
                })
                .collect(),
        )
    }

    /// Both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether one of them reads differently now. A file that cannot be read any more is no change: some take the token away
    /// once a process has started (kubernetes#68164), and a file that is replaced may be missing for a moment.
    pub fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, before)| fs::read(path).is_ok_and(|now| before.as_ref() != Some(&now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_content_is_a_change_and_a_missing_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (old, late) = (dir.path().join("old"), dir.path().join("late"));
        fs::write(&old, "1").unwrap();
        let files = Files::read([old.clone(), late.clone()]);
        assert!(!files.have_changed());
        fs::remove_file(&old).unwrap();
        assert!(!files.have_changed(), "a file that is missing");
        fs::write(&old, "1").unwrap();
        assert!(!files.have_changed(), "written anew with the same content");
        fs::write(&late, "").unwrap();
        assert!(files.have_changed(), "a file that came later");
        fs::remove_file(&late).unwrap();
        fs::write(&old, "2").unwrap();
        assert!(files.have_changed());
    }
}

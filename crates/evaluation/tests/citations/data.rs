//! The rows of `citations.toml`: which lines of which source are cited where, and what stands on them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// By kind of document: text whose numbers are not lines, such as an HTTP status.
    #[serde(default)]
    pub not_lines: BTreeMap<String, Vec<String>>,
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
}

/// One version of a crate or Go module, with the lines of it that are cited.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The crate, or what documents call the module.
    pub name: String,
    /// The Go module. A source without one is a crate.
    pub module: Option<String>,
    /// The version that the lines were last compared with.
    pub version: String,
    /// The folder in `apps/` whose lock file or go.mod chooses the version.
    pub app: String,
    /// The folder in which a file is looked for that a document names without one.
    pub base: String,
    /// The file that a number belongs to when the document names none.
    pub file: Option<String>,
    #[serde(default)]
    pub lines: Vec<Row>,
}

/// A line, or a range of lines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Relative to the root of the source.
    pub file: String,
    pub at: Lines,
    /// Text on the first line.
    pub first: String,
    /// Text on the last line, if there are several.
    pub last: Option<String>,
    /// The kinds of document that cite it, for instance `readme`.
    #[serde(rename = "in")]
    pub cited_in: Vec<String>,
}

/// The first and the last line, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Lines {
    pub first: usize,
    pub last: usize,
}

impl FromStr for Lines {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| match text.parse() {
            Ok(number) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
            _ => Err(anyhow!("`{text}` is not the number of a line")),
        };
        let lines = Self { first: number(first)?, last: number(last)? };
        let is_range = text.contains('-');
        ensure!(lines.first > 0 && (lines.first < lines.last || !is_range), "`{text}` is not a range of lines");
        Ok(lines)
    }
}

impl TryFrom<String> for Lines {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl Source {
    /// The file that a document means by `name`, relative to the root of the source.
    pub fn resolve(&self, name: &str) -> String {
        let is_code = [".rs", ".go"].iter().any(|ending| name.ends_with(ending));
        let is_from_root = ["src/", "examples/", "tools/"].iter().any(|folder| name.starts_with(folder));
        if is_code && !is_from_root { format!("{}/{name}", self.base) } else { name.to_owned() }
    }
}

impl Data {
    /// # Errors
    /// The text is not TOML of this form, or a row does not hold both of its ends.
    pub fn parse(text: &str) -> Result<Self> {
        let data: Self = toml::from_str(text)?;
        for source in &data.sources {
            for (place, row) in source.lines.iter().enumerate() {
                let name = format!("{source}, {} {}", row.file, row.at);
                let is_range = row.at.first < row.at.last;
                ensure!(row.last.is_some() == is_range, "{name}: a range, and only a range, needs `last`");
                let is_empty = |token: &String| token.trim().is_empty();
                ensure!(!is_empty(&row.first) && !row.last.as_ref().is_some_and(is_empty), "{name}: an empty token");
                ensure!(!row.cited_in.is_empty(), "{name}: cited nowhere");
                let is_same = |other: &Row| (&other.file, other.at) == (&row.file, row.at);
                ensure!(!source.lines[..place].iter().any(is_same), "{name}: there are two rows");
            }
        }
        Ok(data)
    }

    /// # Errors
    /// As for [`Data::parse`], or the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }
}

//! The citations in a unit: numbers that are lines of a file of a crate.

use std::ops::Range;

use crate::data::{Lines, Source};
use crate::document::{Reading, Unit};

/// What may follow a number that counts something.
const UNITS: &[&str] = &[
    "s",
    "ms",
    "second",
    "seconds",
    "minutes",
    "times",
    "lines",
    "months",
    "MB",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const CONJUNCTIONS: [&str; 3] = ["and", "or", "to"];
/// What may precede a number that is a version.
const VERSIONED: [&str; 2] = ["kube", "Go"];
const FILES: [&str; 4] = [".rs", ".go", ".md", ".toml"];
const YEARS: Range<usize> = 2000..2100;

/// A number in a document that is read as a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// In the document.
    pub line: usize,
    pub at: Lines,
    /// The place of the source in the data, and the file, as far as the document names them.
    pub source: Option<usize>,
    pub file: Option<String>,
}

/// The crate and the file that a number belongs to.
#[derive(Clone, Debug, Default)]
struct Scope {
    source: Option<usize>,
    file: Option<String>,
}

pub struct Scanner<'a> {
    pub sources: &'a [Source],
    /// The source of a document about one variant, which no other name changes.
    pub only: Option<usize>,
    pub reading: Reading,
    /// Text whose numbers are not lines.
    pub not_lines: &'a [String],
}

impl Scanner<'_> {
    pub fn scan(&self, unit: &Unit) -> Vec<Citation> {
        let mut scope = Scope { source: self.only, file: None };
        for context in &unit.context {
            self.read(&mut scope, context, |_, _, _| {});
        }
        let mut found = Vec::new();
        let exempt = self.exempt(&unit.text);
        let mut previous = Previous::Nothing;
        self.read(&mut scope, &unit.text, |scope, word, place| {
            let before = previous;
            previous = Previous::of(word, &unit.text[..place.start], before);
            let Ok(at) = word.parse::<Lines>() else { return };
            let is_range = at.first < at.last;
            let is_read = self.reading == Reading::All || before == Previous::File || is_range;
            let is_number = exempt.iter().any(|it| it.contains(&place.start)) || counts(&unit.text[place.end..]);
            let is_version = before == Previous::Versioned && !is_range;
            if !is_read || is_number || is_version || (!is_range && YEARS.contains(&at.first)) {
                return;
            }
            let file = scope.file.clone().or_else(|| self.sources[scope.source?].default_file());
            found.push(Citation { line: unit.line(place.start), at, source: scope.source, file });
        });
        found
    }

    /// Goes through the words of `text` and keeps `scope` up with them.
    fn read(&self, scope: &mut Scope, text: &str, mut at_word: impl FnMut(&Scope, &str, Range<usize>)) {
        let words = words(text);
        for (count, place) in words.iter().enumerate() {
            let word = &text[place.clone()];
            if FILES.iter().any(|ending| word.ends_with(ending)) && !text[..place.start].ends_with("](") {
                scope.source = scope.source.or_else(|| self.of_default_file(word));
                scope.file = scope.source.map(|source| self.sources[source].resolve(word));
            } else if self.only.is_none() && self.sources.iter().any(|source| source.name == word) {
                let version = words.get(count + 1).map(|it| text[it.clone()].trim_start_matches('v'));
                *scope = Scope { source: self.named(word, version), file: None };
            }
            at_word(scope, word, place.clone());
        }
    }

    /// The source of a name: of the version that follows it, or the only one.
    fn named(&self, name: &str, version: Option<&str>) -> Option<usize> {
        let named: Vec<usize> = (0..self.sources.len()).filter(|it| self.sources[*it].name == name).collect();
        let is_of_version = |it: &&usize| Some(self.sources[**it].version.trim_start_matches('v')) == version;
        named.iter().find(is_of_version).or(named.first().filter(|_| named.len() == 1)).copied()
    }

    /// The one source that has a default file of this name.
    fn of_default_file(&self, name: &str) -> Option<usize> {
        let has_it = |it: &usize| self.sources[*it].file.as_deref() == Some(name);
        let mut having = (0..self.sources.len()).filter(has_it);
        having.next().filter(|_| having.next().is_none())
    }

    /// The places in `text` whose numbers are not lines.
    fn exempt(&self, text: &str) -> Vec<Range<usize>> {
        let phrases = self.not_lines.iter();
        phrases.flat_map(|it| text.match_indices(it.as_str())).map(|(at, it)| at..at + it.len()).collect()
    }
}

impl Source {
    fn default_file(&self) -> Option<String> {
        self.file.as_deref().map(|file| self.resolve(file))
    }
}

/// What stands before a word, as far as it says what a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Previous {
    Nothing,
    File,
    Versioned,
}

impl Previous {
    /// After `word`, which itself comes after `text`. `12 and 14` are both what the first of them is.
    fn of(word: &str, text: &str, before: Self) -> Self {
        let is_first_of_link = text.ends_with("](");
        if FILES.iter().any(|ending| word.ends_with(ending)) && !is_first_of_link {
            Self::File
        } else if VERSIONED.contains(&word) {
            Self::Versioned
        } else if CONJUNCTIONS.contains(&word) || word.parse::<Lines>().is_ok() {
            before
        } else {
            Self::Nothing
        }
    }
}

/// The places of the words: names, paths, versions and numbers, without the full stop that ends a sentence.
fn words(text: &str) -> Vec<Range<usize>> {
    let is_part = |letter: char| letter.is_alphanumeric() || "_./@+%-".contains(letter);
    let mut words: Vec<Range<usize>> = Vec::new();
    for (at, letter) in text.char_indices().filter(|(_, letter)| is_part(*letter)) {
        let end = at + letter.len_utf8();
        match words.last_mut().filter(|word| word.end == at) {
            Some(word) => word.end = end,
            None => words.push(at..end),
        }
    }
    for word in &mut words {
        word.end = word.start + text[word.clone()].trim_end_matches(['.', '-']).len();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a number before `rest` counts something: `2 s`, and the first of `2 and 4 s`.
fn counts(rest: &str) -> bool {
    let mut words = words(rest).into_iter().map(|it| &rest[it]);
    let Some(word) = words.next().filter(|_| rest.starts_with(' ')) else { return false };
    if CONJUNCTIONS.contains(&word) {
        let is_number = words.next().is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
        return is_number && words.next().is_some_and(|it| UNITS.contains(&it));
    }
    UNITS.contains(&word)
}

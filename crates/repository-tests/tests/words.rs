//! Words and phrases that no text of this repository has, since a reader would stumble over them.
//!
//! The texts are Markdown outside code, and the comments of sources, manifests and scripts. A flag's doc comment is its line
//! in `--help`, and a recipe's comment in the Justfile is what `just` prints.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use still_leading_repository_tests::files;

/// Files that have such words today, and how many, as `path count` lines. No number may grow, and after a rewrite the test
/// prints the smaller ones, to be pasted here.
const NOT_MENDED: &str = include_str!("words.txt");

/// What is never written. Better: a verb of the field, such as reports, shows, returns, documented, notified.
const PHRASES: [&[&str]; 7] = [
    &["told"],
    &["tells"],
    &["whoever"],
    &["the", "house"],
    &["our", "house"],
    &["by", "reading"],
    &["to", "the", "letter"],
];
/// Names that are never given, neither in a text nor to an item.
const NAMES: [&str; 13] =
    ["deed", "deeds", "wound", "wounds", "ward", "wards", "cure", "cures", "reign", "reigns", "fate", "fates", "hush"];
/// In "a row a fault", what stands for "one row per fault".
const UNITS: [&str; 13] = [
    "cell", "column", "file", "folder", "line", "minute", "page", "picture", "request", "row", "sentence", "step",
    "test",
];
/// After "of its", each of these shows that the noun is missing: "a request of its about Leases".
const AFTER_OF_ITS: [&str; 12] = ["about", "and", "at", "by", "for", "from", "in", "is", "on", "that", "to", "which"];
/// After "is no", each of these is plain English: "is no longer".
const AFTER_IS_NO: [&str; 6] = ["earlier", "later", "less", "longer", "more", "one"];

/// How the comments of a file begin; `None` for a file without text for people.
fn comments_of(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("rs" | "go") => Some("//"),
        Some("yaml" | "yml" | "toml" | "bash") => Some("#"),
        // Scripts, the Justfile and Dockerfiles.
        None if !name.starts_with("LICENSE") => Some("#"),
        _ => None,
    }
}

/// The comments of a source, as Markdown: lines that follow each other are one paragraph.
fn comments(source: &str, begin: &str) -> String {
    let mut text = String::new();
    let behind = format!(" {begin} ");
    for line in source.lines() {
        let comment =
            line.trim_start().strip_prefix(begin).or_else(|| line.split_once(&behind).map(|(_, comment)| comment));
        match comment {
            // The first line of a script names its interpreter.
            Some(comment) if !comment.starts_with("!/") => {
                let comment = comment.trim_start_matches(['/', '!']);
                text += comment.strip_prefix(' ').unwrap_or(comment);
            }
            _ => {}
        }
        text.push('\n');
    }
    text
}

/// The words of a page in order, with each mark as a word of its own and inline code as one. Blocks of code are left out.
fn words(page: &str) -> Vec<String> {
    let (mut text, mut in_code) = (String::new(), false);
    for event in Parser::new_ext(page, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            _ if in_code => {}
            Event::Text(part) => text += &part,
            Event::Code(_) => text += "Code",
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            Event::End(
                TagEnd::Paragraph
                | TagEnd::Item
                | TagEnd::Heading(_)
                | TagEnd::TableCell
                | TagEnd::TableHead
                | TagEnd::TableRow,
            ) => text += " . ",
            Event::Start(Tag::List(_)) => text += " . ",
            _ => {}
        }
    }
    let mut words = vec![String::new()];
    for letter in text.chars() {
        if letter.is_alphanumeric() || matches!(letter, '\'' | '_' | '-') {
            words.last_mut().expect("there is one").push(letter);
        } else if letter.is_whitespace() {
            words.push(String::new());
        } else {
            words.extend([letter.to_string(), String::new()]);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What is found in a page, each with a few words around it.
fn avoided_in(page: &str) -> Vec<String> {
    let words = words(page);
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let is_avoided = |at: usize| {
        let rest = &lower[at..];
        PHRASES.iter().any(|phrase| rest.starts_with(phrase))
            || NAMES.contains(&rest[0])
            // As the subject of a sentence only: "whatever happens" is fine.
            || words[at] == "Whatever"
            || matches!(rest, ["a" | "one", unit, "a" | "an", ..] if UNITS.contains(unit))
            || matches!(rest, ["of", "its", next, ..] if AFTER_OF_ITS.contains(next) || !next.starts_with(char::is_alphanumeric))
            || matches!(rest, ["for", "nothing", next, ..] if *next != "else")
            || matches!(rest, ["is", "no", next, ..] if !AFTER_IS_NO.contains(next) && !lower[..at].ends_with(&["there"]))
    };
    let around = |at: usize| words[at.saturating_sub(3)..words.len().min(at + 5)].join(" ");
    (0..words.len()).filter(|at| is_avoided(*at)).map(around).collect()
}

/// The names in a source that have a word of `NAMES` in them.
fn avoided_names(source: &str) -> Vec<String> {
    let names = source.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let avoided = names.filter(|name| name.split('_').any(|part| NAMES.contains(&part.to_lowercase().as_str())));
    avoided.map(str::to_owned).collect()
}

/// What is found in a file, by its path from the root.
fn avoided_in_file(path: &str, content: &str) -> Vec<String> {
    let path = Path::new(path);
    if path.extension().is_some_and(|extension| extension == "md") {
        return avoided_in(content);
    }
    let Some(begin) = comments_of(path) else { return Vec::new() };
    let mut found = avoided_in(&comments(content, begin));
    if begin == "//" {
        found.extend(avoided_names(content));
    }
    found
}

#[test]
fn no_text_has_a_word_that_is_avoided() -> Result<()> {
    // This file names them.
    let own = Path::new(file!()).file_name().context("a name")?;
    let is_text = |path: &Path| path.extension().is_some_and(|it| it == "md") || comments_of(path).is_some();
    let texts = files::read(|path| is_text(path) && path.file_name() != Some(own))?;
    assert!(texts.len() > 400, "{} files", texts.len());
    let found: BTreeMap<&str, Vec<String>> = texts
        .iter()
        .map(|(path, text)| (path.as_str(), avoided_in_file(path, text)))
        .filter(|(_, it)| !it.is_empty())
        .collect();

    let mut allowed = BTreeMap::new();
    for line in NOT_MENDED.lines() {
        let (path, count) = line.rsplit_once(' ').with_context(|| format!("{line:?} is not a path and a number"))?;
        allowed.insert(path, count.parse::<usize>()?);
    }
    let new: BTreeMap<_, _> =
        found.iter().filter(|(path, it)| it.len() > allowed.get(*path).copied().unwrap_or_default()).collect();
    assert!(new.is_empty(), "write these in other words:\n{new:#?}");
    let now: String = found.iter().map(|(path, it)| format!("{path} {}\n", it.len())).collect();
    assert!(NOT_MENDED == now, "fewer are left than words.txt has; it should read:\n{now}");
    Ok(())
}

#[test]
fn each_word_is_found_in_a_paragraph_a_heading_a_list_and_a_cell() {
    for avoided in [
        "It is told.",
        "It tells the leader.",
        "Whoever leads",
        "has one leader for nothing.",
        "The house",
        "shows by reading",
        "follows it to the\nletter",
        "Whatever wins",
        "A row a fault",
        "one line an event",
        "a request of its about Leases",
        "a request of its.",
        "which is no standby",
        "the leader's fate",
    ] {
        for page in [format!("{avoided}\n"), format!("- {avoided}\n"), format!("## {}\n", avoided.replace('\n', " "))] {
            assert_eq!(avoided_in(&page).len(), 1, "{page}");
        }
        assert_eq!(avoided_in(&format!("| {} |\n|---|\n", avoided.replace('\n', " "))).len(), 1, "{avoided}");
    }
}

#[test]
fn plain_english_and_code_are_not_found() {
    for plain in [
        "He can tell one from the other. A told-off replica.",
        "There is no leader. It is no longer there. It is no more than 5 s.",
        "It is. No, it is not.",
        "one of its requests, of its own, and of its\nLease",
        "Gives a replica a Lease, once a second.",
        "It waits, whatever happens. It is needed for nothing else.",
        "`told` and `a row a fault`",
        "```sh\nit is told\n```",
        "a background, forward, rewards",
    ] {
        assert_eq!(avoided_in(plain), Vec::<String>::new(), "{plain}");
    }
}

#[test]
fn the_comments_of_a_file_are_read_and_its_code_is_not_except_for_names() {
    let rust =
        "//! It is\n//! told.\nlet told = 1; // It tells.\n/// ```\n/// it tells\n/// ```\nfn the_reign_ends() {}\n";
    assert_eq!(avoided_in_file("a/b.rs", rust).len(), 3);
    assert_eq!(avoided_in_file("Justfile", "# Who is told\nrun:\n    told\n").len(), 1);
    assert_eq!(avoided_in_file("a.yaml", "told: 1 # whoever reads\n").len(), 1);
    assert_eq!(avoided_in_file("run", "#!/told\n").len(), 0);
    assert_eq!(avoided_in_file("a.json", "told").len(), 0);
}

//! People read the documents once. A sentence of more than thirty words has to be read twice.

use std::collections::BTreeMap;

use anyhow::Result;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use still_leading_repository_tests::files;

/// The most words that a sentence may have. Inline code counts as one.
const WORDS_MAX: usize = 30;
/// Documents that have longer sentences today, as paths from the root. Take out a document that you have mended.
const NOT_MENDED: [&str; 1] = ["docs/comparison.md"];

/// The paragraphs and list items of a page, without headings, tables and code.
fn paragraphs(page: &str) -> Vec<String> {
    let (mut paragraphs, mut text, mut skipped) = (Vec::new(), String::new(), 0_usize);
    for event in Parser::new_ext(page, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. } | Tag::Table(_) | Tag::CodeBlock(_) | Tag::HtmlBlock) => {
                paragraphs.push(std::mem::take(&mut text));
                skipped += 1;
            }
            Event::End(TagEnd::Heading(_) | TagEnd::Table | TagEnd::CodeBlock | TagEnd::HtmlBlock) => skipped -= 1,
            Event::Start(Tag::Paragraph | Tag::Item | Tag::List(_)) | Event::End(TagEnd::Paragraph | TagEnd::Item) => {
                paragraphs.push(std::mem::take(&mut text));
            }
            _ if skipped > 0 => {}
            Event::Text(part) => text += &part,
            // One word, and one that a sentence may begin with.
            Event::Code(_) => text += "Code",
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            _ => {}
        }
    }
    paragraphs.push(text);
    paragraphs
}

/// The sentences of a paragraph. One ends before a word that begins with no small letter, so "e.g. this" ends none.
fn sentences(paragraph: &str) -> Vec<String> {
    let (mut sentences, mut sentence) = (Vec::new(), Vec::new());
    let mut words = paragraph.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).peekable();
    while let Some(word) = words.next() {
        sentence.push(word);
        let ends = word.trim_end_matches(['"', ')', '*', '”']).ends_with(['.', '!', '?']);
        let next = words.peek().and_then(|next| next.chars().find(|it| it.is_alphanumeric()));
        if next.is_none() || ends && next.is_some_and(|first| !first.is_lowercase()) {
            sentences.push(std::mem::take(&mut sentence).join(" "));
        }
    }
    sentences
}

/// The sentences of a page that are too long, each with its number of words.
fn too_long(page: &str) -> Vec<String> {
    let paragraphs = paragraphs(page);
    let sentences = paragraphs.iter().flat_map(|paragraph| sentences(paragraph));
    let counted = sentences.map(|sentence| (sentence.split(' ').count(), sentence));
    counted.filter(|(words, _)| *words > WORDS_MAX).map(|(words, it)| format!("{words} words: {it}")).collect()
}

#[test]
fn no_sentence_of_a_document_has_more_than_thirty_words() -> Result<()> {
    let pages = files::read(|path| path.extension().is_some_and(|extension| extension == "md"))?;
    assert!(pages.len() > 30, "{} documents", pages.len());
    let found: BTreeMap<&str, Vec<String>> = pages
        .iter()
        .map(|(path, page)| (path.as_str(), too_long(page)))
        .filter(|(_, found)| !found.is_empty())
        .collect();
    let new: BTreeMap<_, _> = found.iter().filter(|(path, _)| !NOT_MENDED.contains(path)).collect();
    assert!(new.is_empty(), "split these sentences:\n{new:#?}");
    let mended: Vec<_> = NOT_MENDED.iter().filter(|path| !found.contains_key(*path)).collect();
    assert!(mended.is_empty(), "take these out of NOT_MENDED: {mended:?}");
    Ok(())
}

#[test]
fn a_long_sentence_is_found_in_a_paragraph_and_in_a_list_and_nowhere_else() {
    let long = "word ".repeat(WORDS_MAX + 1);
    let short = "word ".repeat(WORDS_MAX);
    assert_eq!(too_long(&format!("{long}\n\n- {long}\n\n> {long}\n")).len(), 3);
    assert_eq!(too_long(&short).len(), 0);
    for passes in [
        format!("# {long}"),
        format!("```sh\n{long}\n```"),
        format!("| {long} |\n|---|\n| {long} |"),
        format!("`{long}`"),
    ] {
        assert_eq!(too_long(&passes), Vec::<String>::new(), "{passes}");
    }
}

#[test]
fn a_sentence_ends_at_a_full_stop_before_a_capital_a_number_or_code() {
    let ends = |text: &str| sentences(&paragraphs(text).concat()).len();
    assert_eq!(ends("One is here. Two\nis there. `three` as well. 4 is last."), 4);
    assert_eq!(ends("One, e.g. this, in version 1.2 of (a.b) and [a.md](a.md)."), 1);
}

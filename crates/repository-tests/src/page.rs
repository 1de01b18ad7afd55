//! The blocks of code of a page in `docs/`, for tests that do what the page says.

use std::fs;

use anyhow::{Context, Result};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use still_leading_testbed::workspace;

/// A block of code.
#[derive(Debug, Default)]
pub struct Block {
    /// The heading that it stands under.
    pub section: String,
    /// The language that the page gives.
    pub language: String,
    /// What is in it.
    pub text: String,
}

/// The blocks of a page, in order.
///
/// # Errors
/// There is no such page.
pub fn read(page: &str) -> Result<Vec<Block>> {
    let page = workspace().join("docs").join(page);
    Ok(blocks(&fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?))
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut section) = (Vec::new(), String::new());
    let (mut block, mut in_heading): (Option<Block>, bool) = (None, false);
    for event in Parser::new(page) {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                section.clear();
                in_heading = true;
            }
            Event::End(TagEnd::Heading(_)) => in_heading = false,
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                let language = language.into_string();
                block = Some(Block { section: section.clone(), language, ..Block::default() });
            }
            Event::Text(text) if in_heading => section += &text,
            Event::Text(text) => {
                if let Some(block) = &mut block {
                    block.text += &text;
                }
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(block.take()),
            _ => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn the_blocks_of_a_page_are_found_with_their_headings_and_languages() {
        let blocks = blocks("# A\n\n```toml\n# a.toml\nx = 1\n```\n\n## B c\n\ntext\n\n```sh\ntrue\n```\n");
        let found: Vec<_> = blocks.iter().map(|it| (it.section.as_str(), it.language.as_str())).collect();
        assert_eq!(found, [("A", "toml"), ("B c", "sh")]);
        assert_eq!(blocks[0].text, "# a.toml\nx = 1\n");
    }
}

//! How text looks on a terminal: its colours, and lines that fit.

use anstyle::{AnsiColor, Style};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// The colours of replicas by number. With more replicas they repeat.
const COLOURS: [AnsiColor; 6] =
    [AnsiColor::Cyan, AnsiColor::Yellow, AnsiColor::Magenta, AnsiColor::Green, AnsiColor::Blue, AnsiColor::BrightRed];

/// Returns the colour of a replica, by its number.
pub fn colour_of(replica: &str) -> Style {
    Style::new().fg_color(Some(COLOURS[number(replica) % COLOURS.len()].into()))
}

/// Returns the number at the end of a replica's name.
pub fn number(replica: &str) -> usize {
    replica.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Returns the text in a style, or as it is without `colour`.
pub fn painted(text: &str, style: Style, colour: bool) -> String {
    if colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// Breaks a text between words into lines of at most `width` columns, and indents the later lines. A longer word stays whole,
/// so that a path can be copied; the terminal breaks it. Without a width there is one line.
pub fn wrap(text: &str, width: Option<usize>, indent: usize) -> Vec<String> {
    let Some(width) = width else { return vec![text.to_owned()] };
    // On a very narrow terminal an indentation would leave no room.
    let indent = if width > indent * 4 { " ".repeat(indent) } else { String::new() };
    let options = Options::new(width)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::wrap(text, options).into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_replicas_differ_in_colour() {
        let colours: Vec<Style> = (0..6).map(|number| colour_of(&format!("native-{number}"))).collect();
        assert!(colours.iter().enumerate().all(|(place, colour)| !colours[..place].contains(colour)), "{colours:?}");
        assert_eq!(colour_of("odd"), colour_of("native-6"));
    }

    #[test]
    fn a_text_is_broken_between_words_and_its_later_lines_are_indented() {
        let lines = wrap("=== one two three four five", Some(16), 4);
        assert_eq!(lines, ["=== one two", "three four five"]);
        let lines = wrap("=== one two three four five", Some(18), 4);
        assert_eq!(lines, ["=== one two three", "    four five"]);
    }

    #[test]
    fn a_long_word_stays_whole() {
        assert_eq!(wrap("see /a/long/path/to/it now", Some(8), 1), ["see", " /a/long/path/to/it", " now"]);
    }

    #[test]
    fn what_is_indented_stays_so_and_what_fits_is_one_line() {
        assert_eq!(wrap("   x  y", Some(40), 4), ["   x  y"]);
        assert_eq!(wrap("", Some(40), 4), [""]);
        assert_eq!(wrap("a b", None, 4), ["a b"]);
    }

    #[test]
    fn no_width_at_all_is_a_word_a_line() {
        assert_eq!(wrap("a b c", Some(0), 4), ["a", "b", "c"]);
    }
}

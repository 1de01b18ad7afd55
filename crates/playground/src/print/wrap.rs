//! Lines that fit a terminal.

/// Breaks a text between words into lines of at most `width` columns; the later ones are indented. A word that is longer
/// stays whole, so that a path can be copied: the terminal breaks it by itself. Without a width there is one line.
pub fn wrap(text: &str, width: Option<usize>, indent: usize) -> Vec<String> {
    let Some(width) = width else { return vec![text.to_owned()] };
    // On a terminal that is narrower still, indentation would leave nothing.
    let indent = if width > indent * 4 { indent } else { 0 };
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        let length = line.chars().count() + word.trim_end().chars().count();
        if length > width && !line.trim().is_empty() {
            lines.push(line.trim_end().to_owned());
            line = " ".repeat(indent);
        }
        line.push_str(word);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

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

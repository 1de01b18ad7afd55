//! The timeline for a terminal, with one row per replica.

use still_leading_timeline::{Mark, Row, Span, Timeline};

use crate::print::{colour_of, painted, wrap};

/// A narrower chart shows nothing. On a narrower terminal lines break.
const COLUMNS_MIN: usize = 10;
/// A wider chart is not easier to read.
const COLUMNS_MAX: usize = 160;
/// The width of a label of the axis, with the space after it.
const LABEL: usize = 8;

/// How to draw it.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether it can show more than ASCII.
    pub utf8: bool,
    /// Whether it can show colours.
    pub colour: bool,
}

struct Glyphs {
    leads: char,
    stands_by: char,
    frozen: char,
    ended: char,
    stale: char,
    refused: char,
    lasts: char,
}

const UTF8: Glyphs =
    Glyphs { leads: '▇', stands_by: '·', frozen: '░', ended: '×', stale: '!', refused: 'F', lasts: '─' };
const ASCII: Glyphs =
    Glyphs { leads: '#', stands_by: '.', frozen: '~', ended: 'x', stale: '!', refused: 'F', lasts: '-' };

/// Draws the timeline, in lines of at most `look.width` columns if possible.
pub fn text(timeline: &Timeline, look: Look) -> String {
    if timeline.rows.is_empty() {
        return String::new();
    }
    let glyphs = if look.utf8 { UTF8 } else { ASCII };
    let labels = labels(timeline, look.width);
    let margin = labels.iter().map(String::len).max().unwrap_or(0) + 1;
    let columns = look.width.saturating_sub(margin).clamp(COLUMNS_MIN, COLUMNS_MAX);
    let scale = Scale { span: timeline.span, columns };
    let line = |label: &str, chart: &str| format!("{label:margin$}{}\n", chart.trim_end());

    let mut text = line("", &axis(timeline, &scale));
    for (row, label) in timeline.rows.iter().zip(&labels) {
        let plain = line(label, &cells(row, &scale, &glyphs));
        text += &(painted(plain.trim_end(), colour_of(&row.name), look.colour) + "\n");
    }
    if !timeline.faults.is_empty() {
        text += &line("fault", &marks(&timeline.faults, &scale, &glyphs));
    }
    for line in wrap(&legend(timeline, &glyphs), Some(look.width), 2) {
        text += &(line + "\n");
    }
    text
}

/// The names of the replicas, or only their numbers if names would leave less than half of the width.
fn labels(timeline: &Timeline, width: usize) -> Vec<String> {
    let is_long = timeline.rows.iter().any(|row| row.name.len() * 2 > width);
    let number = |name: &str| name.rsplit('-').next().unwrap_or_default().to_owned();
    let label = |row: &Row| if is_long { number(&row.name) } else { row.name.clone() };
    // As wide as the label of the faults.
    timeline.rows.iter().map(|row| format!("{:5}", label(row))).collect()
}

fn legend(timeline: &Timeline, glyphs: &Glyphs) -> String {
    let Glyphs { leads, stands_by, frozen, ended, stale, refused, .. } = glyphs;
    let is_refused = timeline.rows.iter().any(|row| !row.refused.is_empty());
    let refused = if is_refused { format!("  {refused} fenced") } else { String::new() };
    format!(
        "{leads} leads  {stands_by} stands by  {frozen} frozen  {ended} ended  \
         {stale} acts although another leads{refused}"
    )
}

/// Converts times to columns.
struct Scale {
    span: Span,
    columns: usize,
}

impl Scale {
    /// The middle of a column. Its leader has the whole column, so that a hand-over within one column is not shown as an overlap.
    fn middle(&self, column: usize) -> u64 {
        let (from, until) = self.span;
        let part = (column as f64 + 0.5) / self.columns as f64;
        from + ((until - from) as f64 * part) as u64
    }

    fn column(&self, at: u64) -> usize {
        let (from, until) = self.span;
        let part = at.saturating_sub(from) as f64 / (until - from) as f64;
        ((part * self.columns as f64) as usize).min(self.columns - 1)
    }
}

fn axis(timeline: &Timeline, scale: &Scale) -> String {
    let step = timeline.seconds_between_labels(scale.columns / LABEL);
    let seconds = (scale.span.1 - scale.span.0) / 1_000_000_000;
    let mut chart = vec![' '; scale.columns];
    for second in (0..=seconds).step_by(step as usize) {
        put(&mut chart, scale.column(scale.span.0 + second * 1_000_000_000), &format!("{second}s"));
    }
    chart.into_iter().collect()
}

fn cells(row: &Row, scale: &Scale, glyphs: &Glyphs) -> String {
    let within = |spans: &[Span], at: u64| spans.iter().any(|(from, until)| (*from..*until).contains(&at));
    let cell = |column: usize| match scale.middle(column) {
        at if within(&row.leading, at) => glyphs.leads,
        at if within(&row.frozen, at) => glyphs.frozen,
        at if within(&[row.alive], at) => glyphs.stands_by,
        _ => ' ',
    };
    let mut chart: Vec<char> = (0..scale.columns).map(cell).collect();
    if row.has_ended {
        chart[scale.column(row.alive.1)] = glyphs.ended;
    }
    for at in &row.refused {
        chart[scale.column(*at)] = glyphs.refused;
    }
    for at in &row.stale {
        chart[scale.column(*at)] = glyphs.stale;
    }
    chart.into_iter().collect()
}

fn marks(faults: &[Mark], scale: &Scale, glyphs: &Glyphs) -> String {
    let mut chart = vec![' '; scale.columns];
    for mark in faults {
        let (from, until) = (scale.column(mark.span.0), scale.column(mark.span.1));
        chart[from..=until.max(from)].fill(glyphs.lasts);
    }
    // Last, since the lines would run through the numbers.
    for (place, mark) in faults.iter().enumerate() {
        put(&mut chart, scale.column(mark.span.0), &(place + 1).to_string());
    }
    chart.into_iter().collect()
}

/// Writes a text that begins at a column, or nothing where it does not fit.
fn put(chart: &mut [char], column: usize, text: &str) {
    if let Some(place) = chart.get_mut(column..column + text.len()) {
        place.copy_from_slice(&text.chars().collect::<Vec<_>>());
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::story;
    use super::*;

    const PLAIN: Look = Look { width: 49, utf8: false, colour: false };

    #[test]
    fn a_row_shows_who_led_who_was_frozen_and_who_acted_beside_the_leader() {
        let expected = "
         0s      2s      4s      6s      8s
native-0 ########x
native-1 ................########~~~~~~~~####!#F#
native-2                 ............############
fault            1               2--------
# leads  . stands by  ~ frozen  x ended  ! acts
  although another leads  F fenced
";
        assert_eq!(text(&story(), PLAIN), expected[1..]);
    }

    #[test]
    fn in_a_locale_of_utf_8_it_has_blocks() {
        let drawn = text(&story(), Look { utf8: true, ..PLAIN });
        assert!(drawn.contains("▇▇▇▇░░░░") && drawn.contains('×') && !drawn.contains('#'), "{drawn}");
    }

    #[test]
    fn colours_are_used_only_if_asked_for() {
        assert!(!text(&story(), PLAIN).contains('\x1b'));
        assert!(text(&story(), Look { colour: true, ..PLAIN }).contains("\x1b[33mnative-1"));
    }

    #[test]
    fn it_fits_forty_columns_also_with_long_names() {
        let mut timeline = story();
        for row in &mut timeline.rows {
            row.name = row.name.replace("native", "kube-leader-election");
        }
        let drawn = text(&timeline, Look { width: 40, ..PLAIN });
        assert!(drawn.lines().all(|line| line.len() <= 40), "{drawn}");
        assert!(drawn.contains("\n0     ####"), "{drawn}");
    }

    #[test]
    fn no_width_no_time_and_no_replicas_cause_no_panic() {
        for width in [0, 1, 9] {
            assert!(text(&story(), Look { width, ..PLAIN }).contains("leads"), "{width}");
        }
        let still = Timeline { span: (7, 8), ..story() };
        assert!(text(&still, PLAIN).contains("native-0"));
        assert_eq!(text(&Timeline::new((5, 5), Vec::new(), Vec::new()), PLAIN), "");
    }

    #[test]
    fn a_number_that_does_not_fit_is_left_out() {
        let mut timeline = story();
        timeline.faults = vec![Mark { name: "kill".into(), span: (timeline.span.1, timeline.span.1) }; 12];
        assert!(text(&timeline, PLAIN).contains("fault"));
    }
}

//! The timeline as an SVG that stands alone. It has no scripts and no fonts, and is light or dark as the reader's screen.
//!
//! No crate is used: the picture is a handful of rectangles and texts. A chart library has neither this kind of chart nor the
//! style sheet for dark screens, and a builder of SVG would save one function, `escaped`.

use std::fmt::Write;

use super::{Mark, Row, Span, Timeline};

const WIDTH_MIN: f64 = 960.0;
/// The width of a fault's name. Half of a name is enough, since names alternate between two lines.
const FAULT: f64 = 90.0;
const ROW: f64 = 30.0;
const BAR: f64 = 18.0;
/// Space above the rows: the title, and two lines for the names of the faults.
const TOP: f64 = 88.0;
/// Space below the rows: the axis and the legend.
const BOTTOM: f64 = 64.0;
const RIGHT: f64 = 24.0;
/// The width of a character at the size of the text, approximately.
const CHARACTER: f64 = 7.6;
/// A narrower bar would be invisible.
const BAR_MIN: f64 = 1.0;

const STYLE: &str = "\
text{font:13px ui-sans-serif,system-ui,sans-serif;fill:#1f2328}
.title{font-size:16px;font-weight:600}
.back{fill:#ffffff}.grid{stroke:#d1d9e0}.fault{fill:#bf8700;fill-opacity:.16}.mark{stroke:#9a6700}
.alive{fill:#d1d9e0}.leads{fill:#0969da}.frozen{fill:#8250df}.stale{fill:#cf222e}
.act{stroke:#ffffff;stroke-opacity:.7}.refused{fill:none;stroke:#cf222e;stroke-width:2}
@media(prefers-color-scheme:dark){
text{fill:#e6edf3}.back{fill:#0d1117}.grid{stroke:#30363d}.fault{fill:#d29922;fill-opacity:.22}.mark{stroke:#d29922}
.alive{fill:#30363d}.leads{fill:#4493f8}.frozen{fill:#ab7df8}.stale{fill:#f85149}
.act{stroke:#0d1117}.refused{stroke:#f85149}}";

/// Returns the timeline as SVG.
pub fn svg(timeline: &Timeline, title: &str) -> String {
    let scale = Scale::of(timeline);
    let width = scale.width;
    let height = TOP + ROW * timeline.rows.len() as f64 + BOTTOM;
    let title = escaped(title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"{title}\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"16\" y=\"26\">{title}</text>\n"
    );
    axis(&mut svg, timeline, &scale, height);
    for (place, fault) in timeline.faults.iter().enumerate() {
        mark(&mut svg, &scale, place, fault, height);
    }
    for (place, row) in timeline.rows.iter().enumerate() {
        draw_row(&mut svg, &scale, TOP + ROW * place as f64, row);
    }
    legend(&mut svg, timeline, height - 16.0);
    svg + "</svg>\n"
}

/// Converts times to places.
struct Scale {
    span: Span,
    left: f64,
    width: f64,
}

impl Scale {
    fn of(timeline: &Timeline) -> Self {
        let longest = timeline.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let left = 32.0 + CHARACTER * longest as f64;
        Self { span: timeline.span, left, width: WIDTH_MIN.max(left + RIGHT + FAULT * timeline.faults.len() as f64) }
    }

    fn x(&self, at: u64) -> f64 {
        let (from, until) = self.span;
        let part = at.clamp(from, until).saturating_sub(from) as f64 / (until - from) as f64;
        self.left + part * (self.width - RIGHT - self.left)
    }

    fn seconds(&self, at: u64) -> f64 {
        at.saturating_sub(self.span.0) as f64 / 1e9
    }
}

fn axis(svg: &mut String, timeline: &Timeline, scale: &Scale, height: f64) {
    let (from, until) = scale.span;
    let step = timeline.seconds_between_labels(12);
    let bottom = height - BOTTOM;
    for second in (0..=(until - from) / 1_000_000_000).step_by(step as usize) {
        let x = scale.x(from + second * 1_000_000_000);
        let y = bottom + 18.0;
        // Writing to a String cannot fail, here and below.
        writeln!(svg, "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>").ok();
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{second} s</text>").ok();
    }
}

fn mark(svg: &mut String, scale: &Scale, place: usize, fault: &Mark, height: f64) {
    let (x, end) = (scale.x(fault.span.0), scale.x(fault.span.1));
    // On two lines in turn, since faults may come close together.
    let y = if place.is_multiple_of(2) { 42.0 } else { 62.0 };
    let (width, deep) = (end - x, height - BOTTOM - y);
    let (number, name, at) = (place + 1, escaped(&fault.name), scale.seconds(fault.span.0));
    writeln!(svg, "<g><title>{number} {name}, at {at:.2} s</title>").ok();
    writeln!(svg, "<rect class=\"fault\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{deep}\"/>").ok();
    writeln!(svg, "<line class=\"mark\" x1=\"{x:.1}\" y1=\"{y}\" x2=\"{x:.1}\" y2=\"{}\"/>", y + deep).ok();
    writeln!(svg, "<text x=\"{:.1}\" y=\"{}\">{number} {name}</text></g>", x + 4.0, y + 13.0).ok();
}

fn draw_row(svg: &mut String, scale: &Scale, y: f64, row: &Row) {
    let (name, top) = (escaped(&row.name), y + (ROW - BAR) / 2.0);
    let text = y + ROW / 2.0 + 4.5;
    writeln!(svg, "<text x=\"16\" y=\"{text}\">{name}</text>").ok();
    let mut bar = |class: &str, what: &str, span: Span, top: f64, height: f64| {
        let (x, from, until) = (scale.x(span.0), scale.seconds(span.0), scale.seconds(span.1));
        let width = (scale.x(span.1) - x).max(BAR_MIN);
        let title = format!("{name} {what}, {from:.2} s to {until:.2} s");
        let place = format!("x=\"{x:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\"");
        writeln!(svg, "<rect class=\"{class}\" {place}><title>{title}</title></rect>").ok();
    };
    bar("alive", "runs", row.alive, y + ROW / 2.0 - 2.0, 4.0);
    for span in &row.frozen {
        bar("frozen", "is frozen", *span, top, BAR);
    }
    for span in &row.leading {
        bar("leads", "leads", *span, top, BAR);
    }
    for at in &row.acts {
        let (x, end, at) = (scale.x(*at), top + BAR, scale.seconds(*at));
        let title = format!("<title>{name} acts, {at:.2} s</title>");
        writeln!(svg, "<line class=\"act\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{end}\">{title}</line>").ok();
    }
    for at in &row.stale {
        let (x, y, at) = (scale.x(*at), y + ROW / 2.0, scale.seconds(*at));
        let title = format!("{name} acts although another leads, {at:.2} s");
        writeln!(svg, "<circle class=\"stale\" cx=\"{x:.1}\" cy=\"{y}\" r=\"4\"><title>{title}</title></circle>").ok();
    }
    for at in &row.refused {
        let (x, y, at) = (scale.x(*at), y + ROW / 2.0, scale.seconds(*at));
        let title = format!("<title>a write of {name} is refused, {at:.2} s</title>");
        writeln!(svg, "<path class=\"refused\" d=\"{}\">{title}</path>", cross(x, y)).ok();
    }
}

/// Draws a cross, which stands for a refused write.
fn cross(x: f64, y: f64) -> String {
    let (left, right, above, below) = (x - 4.0, x + 4.0, y - 4.0, y + 4.0);
    format!("M{left:.1} {above}L{right:.1} {below}M{left:.1} {below}L{right:.1} {above}")
}

fn legend(svg: &mut String, timeline: &Timeline, y: f64) {
    let mut entries = vec![
        ("leads", "leads"),
        ("alive", "stands by"),
        ("frozen", "frozen"),
        ("fault", "fault"),
        ("stale", "acts although another leads"),
    ];
    if timeline.rows.iter().any(|row| !row.acts.is_empty()) {
        entries.insert(1, ("act", "acts"));
    }
    if timeline.rows.iter().any(|row| !row.refused.is_empty()) {
        entries.push(("refused", "a write is refused"));
    }
    let mut x = 16.0;
    for (class, text) in entries {
        let (top, middle) = (y - 9.0, x + 7.0);
        let swatch =
            |class: &str| format!("<rect class=\"{class}\" x=\"{x}\" y=\"{top}\" width=\"14\" height=\"10\"/>");
        let drawn = match class {
            "act" => {
                let line = format!("x1=\"{middle}\" y1=\"{top}\" x2=\"{middle}\" y2=\"{}\"", top + 10.0);
                swatch("leads") + &format!("<line class=\"act\" {line}/>")
            }
            "refused" => format!("<path class=\"refused\" d=\"{}\"/>", cross(middle, y - 4.0)),
            class => swatch(class),
        };
        writeln!(svg, "{drawn}").ok();
        writeln!(svg, "<text x=\"{}\" y=\"{y}\">{text}</text>", x + 20.0).ok();
        x += 48.0 + CHARACTER * text.len() as f64;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::story;
    use super::*;

    #[test]
    fn it_stands_alone_and_is_readable_light_and_dark() {
        let drawn = svg(&story(), "native");
        assert!(drawn.starts_with("<svg xmlns=") && drawn.ends_with("</svg>\n"), "{drawn}");
        assert!(drawn.contains("prefers-color-scheme:dark") && drawn.contains("<title>native</title>"), "{drawn}");
        for outside in ["href", "<script", "url("] {
            assert!(!drawn.contains(outside), "{outside}");
        }
    }

    #[test]
    fn every_drawn_part_has_a_title() {
        let drawn = svg(&story(), "native");
        for title in [
            "native-1 leads, 4.00 s to 6.00 s",
            "native-1 is frozen, 6.00 s to 8.00 s",
            "native-1 acts, 5.00 s",
            "native-1 acts although another leads, 9.00 s",
            "a write of native-1 is refused, 9.50 s",
            "1 kill, at 2.00 s",
            "2 freeze, at 6.00 s",
        ] {
            assert!(drawn.contains(&format!("<title>{title}</title>")), "{title} is missing in\n{drawn}");
        }
    }

    #[test]
    fn every_element_is_closed_and_no_name_breaks_it() {
        let mut timeline = story();
        timeline.rows[0].name = "<a&\"b\">".to_owned();
        let drawn = svg(&timeline, "a < b & c");
        for name in ["svg", "g", "text", "title", "circle", "style"] {
            let open = drawn.matches(&format!("<{name}>")).count() + drawn.matches(&format!("<{name} ")).count();
            assert_eq!(open, drawn.matches(&format!("</{name}>")).count(), "{name}");
        }
        assert!(drawn.contains("a &lt; b &amp; c") && !drawn.contains("<a&"), "{drawn}");
    }

    #[test]
    fn nothing_to_show_is_still_a_picture() {
        assert!(svg(&Timeline::new((5, 5), Vec::new(), Vec::new()), "native").ends_with("</svg>\n"));
    }
}

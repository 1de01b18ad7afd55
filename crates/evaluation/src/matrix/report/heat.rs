//! The matrix as a picture for the README: a field for each subject and fault, with a colour and a sign.

use std::fmt::Write;

use super::symbol::Symbol;
use super::{cell, faults, subjects};
use crate::matrix::summary::Summary;

const FIELD: f64 = 18.0;
const LEFT: f64 = 190.0;
const TOP: f64 = 210.0;
const BOTTOM: f64 = 84.0;
/// The names of the columns lean over the last one.
const RIGHT: f64 = 130.0;

const STYLE: &str = "\
text{font:12px ui-sans-serif,system-ui,sans-serif;fill:#1f2328}.back{fill:#ffffff}
.sign{text-anchor:middle;font-weight:600}.held{fill:#dafbe1}.unsafe{fill:#ff8182}.leaderless{fill:#ffc680}
.rude{fill:#fff8c5}.unknown{fill:#eaeef2}.excused{fill:#ddf4ff}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.back{fill:#0d1117}.held{fill:#12361f}.unsafe{fill:#8e1519}
.leaderless{fill:#7a4510}.rude{fill:#4d3f08}.unknown{fill:#2b3138}.excused{fill:#10304d}}";

/// Draws it (SVG).
#[must_use]
pub fn picture(summary: &Summary) -> String {
    let (subjects, faults) = (subjects(), faults());
    let width = LEFT + FIELD * 1.6 * subjects.len() as f64 + RIGHT;
    let height = TOP + FIELD * faults.len() as f64 + BOTTOM;
    let title = "Which election keeps its promises under which fault";
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">\n\
         <title>{title}</title>\n<desc>A row for each fault, a column for each election. The same as the table in \
         docs/comparison.md.</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    for (place, subject) in subjects.iter().enumerate() {
        let (x, y) = (LEFT + FIELD * 1.6 * (place as f64 + 0.5) + 4.0, TOP - 8.0);
        writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" transform=\"rotate(-60 {x} {y})\">{}</text>",
            subject.to_string().replace(".as-documented", ", as documented")
        )
        .ok();
    }
    for (row, fault) in faults.iter().enumerate() {
        let (name, y) = (fault.name(), TOP + FIELD * row as f64);
        writeln!(svg, "<text x=\"8\" y=\"{}\">{name}</text>", y + 13.0).ok();
        for (place, subject) in subjects.iter().enumerate() {
            let Some(cell) = cell(summary, &subject.to_string(), &name) else { continue };
            let (symbol, x) = (Symbol::of(cell).0, LEFT + FIELD * 1.6 * place as f64);
            let (class, sign) = (symbol.class(), symbol.sign());
            writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\"><title>{subject} under {name}</title></rect>\
                 <text class=\"sign\" x=\"{}\" y=\"{}\">{sign}</text>",
                FIELD * 1.6 - 2.0,
                FIELD - 2.0,
                x + FIELD * 0.8 - 1.0,
                y + 12.5,
            )
            .ok();
        }
    }
    let signs = [
        "✓ held    ✗ two led at once, or an act after the end of a term",
        "∅ nobody led again in time    ! panics or floods    ? shows nothing",
        "○ two led or nobody did, where the fault breaks what every election by a Lease assumes",
    ];
    for (line, text) in signs.into_iter().enumerate() {
        writeln!(svg, "<text x=\"8\" y=\"{}\">{text}</text>", height - BOTTOM + 26.0 + 18.0 * line as f64).ok();
    }
    svg + "</svg>\n"
}

//! A story as a sequence diagram in SVG 1.1, for readers without a Mermaid viewer.

use super::Story;
use super::step::Step;
use super::words::{label, parties};

/// Width of a column, height of a row, the margins, and below: in pixels.
const COLUMN: usize = 190;
const ROW: usize = 34;
const MARGIN: usize = 20;
/// Of a line of the title.
const LINE: usize = 18;
/// About the width of a bold letter.
const LETTER: usize = 8;
/// About the width of a letter of a label.
const LABEL_LETTER: usize = 7;

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The diagram: a column for each party in order of appearance, a row for each step.
pub(super) fn draw(story: &Story) -> String {
    let row = |step: &Step| (parties(step.action, step.message, story.nodes), label(step));
    let rows: Vec<_> = story.steps.iter().map(row).collect();
    let title = format!("{}\n{}", story.title(), story.summary());
    let mut names: Vec<&str> = Vec::new();
    for ((from, to), _) in &rows {
        for name in [from, to] {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    let head = 2 * MARGIN + title.lines().count() * LINE;
    let longest = title.lines().map(str::len).max().unwrap_or(0) * LETTER;
    let widest_label = rows.iter().map(|(_, label)| label.len() * LABEL_LETTER).max().unwrap_or(0);
    let place = |name: &str| names.iter().position(|known| *known == name).unwrap_or(0);
    let x = |column: usize| MARGIN + COLUMN / 2 + column * COLUMN;
    let y = |row: usize| head + 40 + row * ROW;
    let (width, height) =
        (2 * MARGIN + (names.len() * COLUMN).max(longest).max(COLUMN + widest_label), y(rows.len()) + MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <defs><marker id=\"head\" markerWidth=\"9\" markerHeight=\"8\" refX=\"8\" refY=\"4\" orient=\"auto\">\
         <path d=\"M0,0 L9,4 L0,8 z\"/></marker></defs>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (number, line) in title.lines().enumerate() {
        let y = MARGIN + 4 + number * LINE;
        out += &format!("<text x=\"{MARGIN}\" y=\"{y}\" font-weight=\"bold\">{}</text>\n", escaped(line));
    }
    for (column, name) in names.iter().enumerate() {
        let (middle, foot) = (x(column), height - MARGIN);
        out += &format!(
            "<line x1=\"{middle}\" y1=\"{head}\" x2=\"{middle}\" y2=\"{foot}\" stroke=\"#bbb\"/>\n\
             <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"bold\">{}</text>\n",
            head - 8,
            escaped(name)
        );
    }
    for (row, ((from, to), label)) in rows.iter().enumerate() {
        out += &arrow(x(place(from)), x(place(to)), y(row), row + 1, &escaped(label));
    }
    out + "</svg>"
}

/// A numbered arrow; to oneself, a dot.
fn arrow(from: usize, to: usize, y: usize, number: usize, label: &str) -> String {
    let (label_x, anchor) = if from == to { (from + 10, "start") } else { ((from + to) / 2, "middle") };
    let line = if from == to {
        format!("<circle cx=\"{from}\" cy=\"{y}\" r=\"4\"/>")
    } else {
        format!("<line x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\" stroke=\"black\" marker-end=\"url(#head)\"/>")
    };
    // A white rim keeps the label readable where it crosses a life line.
    format!(
        "{line}\n<text x=\"{label_x}\" y=\"{}\" text-anchor=\"{anchor}\" paint-order=\"stroke\" stroke=\"white\" \
         stroke-width=\"4\">{number}. {label}</text>\n",
        y - 5
    )
}

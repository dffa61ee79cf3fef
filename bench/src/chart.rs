//! A bar chart of wall times as SVG: one group of bars a corpus and round, each group on a scale of its own.

use std::fmt::Write;

use crate::report::{Median, Report, medians};

const WIDTH: usize = 720;
const NAMES: usize = 130;
const BARS: usize = 480;
const LINE: usize = 18;
const GAP: usize = 16;
const STYLE: &str = "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}.small{font-size:10px;fill:#666}";
const OURS: &str = "#1f6f8b";
const OTHERS: &str = "#b8b8b8";
/// Their versions say nothing.
const FLOORS: [&str; 2] = ["cp", "walk"];

/// The chart of a report.
pub fn svg(report: &Report) -> String {
    let medians = medians(&report.runs);
    let mut body = String::new();
    let mut top = 4 * LINE + GAP;
    for group in medians.chunk_by(|a, b| (a.corpus, a.round) == (b.corpus, b.round)) {
        let title = format!("{}, {}: seconds, less is better", group[0].corpus, group[0].round.title());
        text(&mut body, 8, top, "title", &title);
        top += LINE;
        let longest = group.iter().map(|median| median.cost.wall).fold(f64::MIN_POSITIVE, f64::max);
        for median in group {
            bar(&mut body, top, median, longest);
            top += LINE;
        }
        top += GAP;
    }
    let mut head = String::new();
    text(&mut head, 8, LINE, "title", "Wall time, median, page cache warm, encrypted, zstd 3 or nearest");
    text(&mut head, 8, 2 * LINE, "small", &format!("{} × {}", report.machine.processors, report.machine.cpu));
    let programs = report.versions.iter().filter(|(tool, _)| !FLOORS.contains(&tool.as_str()));
    let versions: Vec<String> = programs.map(|(tool, version)| format!("{tool} {version}")).collect();
    text(&mut head, 8, 3 * LINE, "small", &versions.join(", "));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{top}\" viewBox=\"0 0 {WIDTH} {top}\">\n\
         <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{head}{body}</svg>\n"
    )
}

fn bar(into: &mut String, top: usize, median: &Median, longest: f64) {
    let width = (median.cost.wall / longest * BARS as f64).max(1.0);
    let colour = if median.tool.starts_with("bailee") { OURS } else { OTHERS };
    text(into, 16, top, "", &median.tool);
    let _ = writeln!(
        into,
        "<rect x=\"{NAMES}\" y=\"{}\" width=\"{width:.1}\" height=\"13\" fill=\"{colour}\"/>",
        top - 11
    );
    text(into, NAMES + width as usize + 6, top, "", &format!("{:.3}", median.cost.wall));
}

fn text(into: &mut String, left: usize, base: usize, class: &str, text: &str) {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(into, "<text x=\"{left}\" y=\"{base}\" class=\"{class}\">{escaped}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn the_chart_is_xml_with_a_bar_a_median_in_proportion() {
        let drawn = svg(&report());
        let document = roxmltree::Document::parse(&drawn).unwrap();
        let width = |node: roxmltree::Node<'_, '_>| node.attribute("width")?.parse::<f64>().ok();
        let bars: Vec<f64> =
            document.descendants().filter(|node| node.has_tag_name("rect")).filter_map(width).collect();
        assert_eq!(bars, [96.0, 96.0, 480.0, 480.0, 240.0]);
        let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
        assert!(texts.iter().any(|text| text.contains("a <fast> one")), "{texts:?}");
        assert!(texts.contains(&"10.000"));
    }

    #[test]
    fn an_empty_report_is_a_chart_too() {
        let empty = Report { runs: Vec::new(), ..report() };
        assert!(roxmltree::Document::parse(&svg(&empty)).is_ok());
    }
}

//! A JUnit report, which build servers read: a suite for each scope, a case for each thing that it shows.

use std::time::Duration;

use crate::check::Report;

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Wall time; zero where it was part of another case.
    pub time: Duration,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

impl Case {
    /// A case that was decided as part of another one.
    pub fn new(name: &str, failure: Option<String>) -> Self {
        Case { name: name.into(), time: Duration::ZERO, failure }
    }
}

/// The cases of one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    /// The scope.
    pub name: String,
    /// The cases.
    pub cases: Vec<Case>,
}

impl Suite {
    fn failures(&self) -> usize {
        self.cases.iter().filter(|case| case.failure.is_some()).count()
    }

    fn time(&self) -> Duration {
        self.cases.iter().map(|case| case.time).sum()
    }

    fn text(&self) -> String {
        let (name, tests, failures) = (escaped(&self.name), self.cases.len(), self.failures());
        let time = self.time().as_secs_f64();
        let mut out = format!(
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\" \
             time=\"{time:.6}\">\n"
        );
        for case in &self.cases {
            let time = case.time.as_secs_f64();
            let head =
                format!("    <testcase classname=\"{name}\" name=\"{}\" time=\"{time:.6}\"", escaped(&case.name));
            out += &match &case.failure {
                None => format!("{head}/>\n"),
                Some(why) => format!("{head}><failure message=\"{}\"/></testcase>\n", escaped(why)),
            };
        }
        out + "  </testsuite>\n"
    }
}

/// The cases of a check: the exploration with its time, and its verdicts, which were made on the way.
pub fn cases(report: &Report) -> Vec<Case> {
    let refused = (!report.refused.is_empty()).then(|| report.refused.join("; "));
    let mut cases = vec![Case { name: "model".into(), time: report.elapsed, failure: refused }];
    for v in &report.verdicts {
        let why = || format!("{} where {} was expected", v.verdict, v.expected);
        cases.push(Case::new(v.id, (!v.is_expected()).then(why)));
    }
    cases
}

/// The report as XML.
pub fn report(suites: &[Suite]) -> String {
    let tests: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let failures: usize = suites.iter().map(Suite::failures).sum();
    let time: Duration = suites.iter().map(Suite::time).sum();
    let body: String = suites.iter().map(Suite::text).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"0\" time=\"{:.6}\">\n{body}</testsuites>\n",
        time.as_secs_f64()
    )
}

/// Text as an attribute of XML 1.0: a character that has no place there becomes a question mark.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' => out += "&#10;",
            '\t' => out += "&#9;",
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_makes_a_sound_report_whose_sums_add_up() {
        let why = "a < b && c > \"d\"\nsecond line \u{1} end".to_string();
        let run = Case { name: "run".into(), time: Duration::from_millis(1500), failure: None };
        let cases = vec![run, Case::new("one & all", Some(why))];
        let text = report(&[Suite { name: "x<y".into(), cases }]);
        let document = roxmltree::Document::parse(&text).unwrap();
        let root = document.root_element();
        assert_eq!((root.attribute("tests"), root.attribute("failures")), (Some("2"), Some("1")));
        let suite = root.first_element_child().unwrap();
        assert_eq!((suite.attribute("name"), suite.attribute("time")), (Some("x<y"), Some("1.500000")));
        let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
        assert_eq!(failure.attribute("message"), Some("a < b && c > \"d\"\nsecond line ? end"));
    }
}

//! Every rule of `spec/` is cited by code and by a test, or `spec/uncited.toml` says why not.
//!
//! A citation is the rule's id in a comment of a source file. It is the reader's way from the text to what implements a rule and to
//! what shows it, and back.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::files::{sources, text, without_tests};
use crate::rule_ids::{definitions, rule_ids};

/// The exemptions, as `spec/uncited.toml` has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exemptions {
    exempt: Vec<Exemption>,
}

/// Rules that code, a test or both do not cite, with the reason for all of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exemption {
    rules: Vec<String>,
    lacks: Lack,
    reason: String,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Lack {
    Code,
    Test,
    Both,
}

/// The ids that are cited, by code and by tests.
#[derive(Default)]
struct Cited {
    code: BTreeSet<String>,
    test: BTreeSet<String>,
}

/// The part of a source file that is code, and the part that is a test.
fn parts<'a>(path: &str, content: &'a str) -> (&'a str, &'a str) {
    let of_tests = path.starts_with("tests/") || path.starts_with("fuzz/") || path.contains("/tests/");
    if of_tests || path.ends_with("/tests.rs") {
        return ("", content);
    }
    without_tests(content)
}

/// The comments of a source file; of one in another language, all of it.
fn comments(path: &str, part: &str) -> String {
    if !path.ends_with(".rs") {
        return part.into();
    }
    part.lines().filter_map(|line| line.split_once("//")).map(|(_, comment)| format!("{comment}\n")).collect()
}

impl Cited {
    fn by(files: &[(String, String)]) -> Cited {
        let mut cited = Cited::default();
        for (path, content) in files {
            let (code, test) = parts(path, content);
            cited.code.extend(rule_ids(&comments(path, code)).into_iter().map(|(_, id)| id));
            cited.test.extend(rule_ids(&comments(path, test)).into_iter().map(|(_, id)| id));
        }
        cited
    }
}

/// The exemptions by rule, and what is wrong with the list itself.
fn exemptions(list: &str) -> (BTreeMap<String, Lack>, Vec<String>) {
    let list: Exemptions = toml::from_str(list).unwrap_or_else(|error| panic!("spec/uncited.toml: {error}"));
    let (mut by_rule, mut errors) = (BTreeMap::new(), Vec::new());
    for exemption in list.exempt {
        if exemption.reason.split_whitespace().count() < 5 {
            errors.push(format!("{:?}: the reason is no sentence", exemption.rules));
        }
        for rule in exemption.rules {
            if by_rule.insert(rule.clone(), exemption.lacks).is_some() {
                errors.push(format!("{rule} is exempt twice"));
            }
        }
    }
    (by_rule, errors)
}

/// Rules without a citation and without an exemption, and exemptions without a need.
fn citation_errors(defined: &BTreeSet<String>, cited: &Cited, list: &str) -> Vec<String> {
    let (exempt, mut errors) = exemptions(list);
    for id in exempt.keys().filter(|id| !defined.contains(*id)) {
        errors.push(format!("{id} is exempt and not defined"));
    }
    for id in defined {
        let lack = exempt.get(id).copied();
        for (by, cited, other) in [("code", &cited.code, Lack::Test), ("test", &cited.test, Lack::Code)] {
            let excused = lack.is_some_and(|lack| lack != other);
            match (cited.contains(id), excused) {
                (false, false) => errors.push(format!("{id} is cited by no {by}, and is not exempt")),
                (true, true) => errors.push(format!("{id} is cited by {by}: take it off the list of exemptions")),
                _ => {}
            }
        }
    }
    errors
}

fn defined() -> BTreeSet<String> {
    let norms = [text("spec/alphabet.md"), text("spec/protocol.md")];
    norms.iter().flat_map(|norm| definitions(norm)).map(|(id, _)| id).collect()
}

/// Every source file that implements a rule or shows one.
fn citing() -> Vec<(String, String)> {
    let folders = ["model", "reference", "spec/src", "tests", "fuzz/src", "fuzz/tests", "fuzz/fuzz_targets"];
    let files = folders.iter().flat_map(|folder| sources(folder));
    files.filter(|(path, _)| !path.ends_with("/citations.rs")).collect()
}

#[test]
fn every_rule_is_cited_by_code_and_by_a_test() {
    let cited = Cited::by(&citing());
    let errors = citation_errors(&defined(), &cited, &text("spec/uncited.toml"));
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn a_missing_citation_and_an_idle_exemption_are_seen() {
    let defined: BTreeSet<String> = ["ENR-1", "ENR-2", "ENR-3"].map(String::from).into();
    let file = |path: &str, content: &str| (path.to_string(), content.to_string());
    let errors = |files: &[(String, String)], list: &str| {
        let list = if list.is_empty() { "exempt = []".into() } else { format!("[[exempt]]\n{list}") };
        citation_errors(&defined, &Cited::by(files), &list)
    };
    let all = "// ENR-1, ENR-2, ENR-3\n";
    let both = format!("{all}#[cfg(test)]\nmod tests {{\n{all}}}\n");
    assert_eq!(errors(&[file("model/src/a.rs", &both)], ""), Vec::<String>::new());
    let code = [file("model/src/a.rs", all), file("tests/a.rs", "// ENR-1 ENR-2\nlet no = \"ENR-3\";")];
    assert_eq!(errors(&code, ""), ["ENR-3 is cited by no test, and is not exempt"]);
    let why = "reason = 'no test can see what it says'";
    assert_eq!(errors(&code, &format!("rules = ['ENR-3']\nlacks = 'test'\n{why}")), Vec::<String>::new());
    assert_eq!(
        errors(&code, &format!("rules = ['ENR-3']\nlacks = 'both'\n{why}")),
        ["ENR-3 is cited by code: take it off the list of exemptions"]
    );
    assert_eq!(
        errors(&code, "rules = ['ENR-3', 'ENR-9', 'ENR-9']\nlacks = 'test'\nreason = 'none'"),
        [
            "[\"ENR-3\", \"ENR-9\", \"ENR-9\"]: the reason is no sentence",
            "ENR-9 is exempt twice",
            "ENR-9 is exempt and not defined"
        ]
    );
    let declared = file("model/src/a.rs", &format!("#[cfg(test)]\nmod tests;\n{all}"));
    let elsewhere = file("model/src/a/tests.rs", all);
    assert_eq!(errors(&[declared, elsewhere], ""), Vec::<String>::new());
}

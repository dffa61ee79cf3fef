//! Every lettered check of `spec/protocol.md` has a test in which it refuses by the name that the text says.
//!
//! A rule with a letter is a check of bytes, which no story of the alphabet shows. What shows it is a row of a table of
//! `reference/core/tests/refusals`, or a test there or beside it whose comment cites the rule: one that names the refusal too.

use crate::files::{sources, text};
use crate::rule_ids::rule_ids;

/// Checks that have no such test, each with its refusal and the reason.
const EXEMPT: &[(&str, &str, &str)] = &[];

/// How much of a row follows the id of its rule.
const ROW_BYTES: usize = 260;

/// Refusals and the rules that raise them, from the table of section 18; not those that are reserved.
fn raised(protocol: &str) -> Vec<(String, String)> {
    let table = protocol.split("\n## 18. ").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
    let mut out = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.contains("reserved")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if let [_, _, name, _, rules, _] = cells[..]
            && let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'))
        {
            out.extend(rule_ids(rules).into_iter().map(|(_, rule)| (name.to_string(), rule)));
        }
    }
    out
}

fn is_lettered(rule: &str) -> bool {
    rule.ends_with(|c: char| c.is_ascii_lowercase())
}

/// The pieces of a test file that can show a refusal: rows of tables, and tests with their comments.
fn pieces<'a>(path: &str, content: &'a str) -> Vec<&'a str> {
    let mut out = Vec::new();
    let cut = |from: usize, to: usize| content.get(from..to.min(content.len()));
    if path.contains("/refusals/") {
        for (at, _) in rule_ids(content) {
            let is_row = content[..at].ends_with('"');
            let end = (at + ROW_BYTES..content.len()).find(|end| content.is_char_boundary(*end));
            out.extend(is_row.then(|| cut(at, end.unwrap_or(content.len()))).flatten());
        }
    }
    for (at, _) in content.match_indices("\n#[test]\n") {
        let comment = content[..at + 1].rfind("\n\n").map_or(0, |blank| blank + 1);
        let end = content[at..].find("\n}\n").map_or(content.len(), |end| at + end);
        out.extend(cut(comment, end));
    }
    out
}

/// The lettered checks that nothing shows.
fn without_a_test(protocol: &str, files: &[(String, String)]) -> Vec<String> {
    let pieces: Vec<&str> = files.iter().flat_map(|(path, content)| pieces(path, content)).collect();
    let cites = |piece: &str, rule: &str| rule_ids(piece).iter().any(|(_, id)| id == rule);
    let shown = |name: &str, rule: &str| pieces.iter().any(|piece| piece.contains(name) && cites(piece, rule));
    let exempt = |name: &str, rule: &str| EXEMPT.iter().any(|(of, at, _)| *of == name && *at == rule);
    let lettered = raised(protocol).into_iter().filter(|(_, rule)| is_lettered(rule));
    let missing = lettered.filter(|(name, rule)| !exempt(name, rule) && !shown(&format!("Refusal::{name}"), rule));
    missing.map(|(name, rule)| format!("{rule} → {name}")).collect()
}

fn tests_of_roles() -> Vec<(String, String)> {
    let mut files = sources("reference/core/tests");
    files.extend(sources("tests/lockstep/tests").into_iter().filter(|(path, _)| path.ends_with("/rules.rs")));
    files
}

#[test]
fn every_lettered_check_refuses_in_a_test() {
    let protocol = text("spec/protocol.md");
    let lettered = raised(&protocol).iter().filter(|(_, rule)| is_lettered(rule)).count();
    assert!(lettered > 100, "the table of refusals was not read: {lettered}");
    assert_eq!(without_a_test(&protocol, &tests_of_roles()), Vec::<String>::new());
    for (name, rule, reason) in EXEMPT {
        assert!(!reason.is_empty(), "{rule} → {name}");
    }
}

#[test]
fn a_check_without_a_test_is_seen() {
    let protocol = "\n## 18. Refusals\n| 3 | `Malformed` | x | ENR-9a, ENR-9 |\n| 5 | `Conflict` | x | reserved (ENR-8a) |\n\n## 19. x\n";
    assert_eq!(raised(protocol).len(), 2);
    let file = |path: &str, content: &str| vec![(path.to_string(), content.to_string())];
    assert_eq!(without_a_test(protocol, &[]), ["ENR-9a → Malformed"]);
    let row = file("core/tests/refusals/x.rs", "(\"ENR-9a\", \"garbled\", Refusal::Malformed, &garble)");
    assert!(without_a_test(protocol, &row).is_empty());
    let other = file("core/tests/refusals/x.rs", "(\"ENR-9a\", \"garbled\", Refusal::Sealed, &garble)");
    assert_eq!(without_a_test(protocol, &other).len(), 1, "another refusal");
    let test = |refusal: &str| format!("\n\n/// ENR-9a.\n#[test]\nfn x() {{\n    Refusal::{refusal}\n}}\n");
    assert!(without_a_test(protocol, &file("x.rs", &test("Malformed"))).is_empty());
    assert_eq!(without_a_test(protocol, &file("x.rs", &test("Sealed"))).len(), 1);
}

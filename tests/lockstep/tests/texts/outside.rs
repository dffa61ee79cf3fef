//! No text of the repository refers to a document that is not in it.

use std::collections::BTreeSet;

use crate::files::{root, text};

/// Names of documents that readers of the repository do not have; in two parts, so that this file has none of them.
const ELSEWHERE: [&str; 8] = [
    concat!("the", " brief"),
    concat!("design", " brief"),
    concat!("brief", " §"),
    concat!("protocol", " brief"),
    concat!("protocol_", "brief"),
    concat!("DESIGN", ".md"),
    concat!("article", ".txt"),
    concat!("roadmap", "/"),
];

/// Folders and files without words for readers.
const WITHOUT_WORDS: [&str; 6] = [".git", "target", "corpus", "vectors", "Cargo.lock", "artifacts"];

/// Every text of the repository, with its path.
fn texts() -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if WITHOUT_WORDS.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(content) = std::fs::read_to_string(&path) {
                out.push((path.strip_prefix(root()).unwrap().display().to_string(), content));
            }
        }
    }
    out
}

/// The decisions that a text numbers: `D7` where it is bold.
fn decisions(text: &str) -> BTreeSet<String> {
    let bold = text.split("**").skip(1).step_by(2);
    bold.filter(|word| numbered(word, 'D')).map(String::from).collect()
}

/// Whether a word is this letter and a number of one or two digits.
fn numbered(word: &str, letter: char) -> bool {
    let digits = word.strip_prefix(letter).unwrap_or_default();
    (1..=2).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// References of comments and texts that lead nowhere.
fn outside_errors(path: &str, text: &str, decided: &BTreeSet<String>) -> Vec<String> {
    let mut errors = Vec::new();
    let is_code = path.ends_with(".rs");
    for (number, line) in text.lines().enumerate() {
        let words = if is_code { line.split_once("//").map_or("", |(_, comment)| comment) } else { line };
        let place = format!("{path}:{}", number + 1);
        for elsewhere in ELSEWHERE {
            if words.contains(elsewhere) {
                errors.push(format!("{place}: `{elsewhere}` is not in the repository"));
            }
        }
        for word in words.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_') {
            if numbered(word, 'F') && !path.ends_with(".pml") {
                errors.push(format!("{place}: {word} is a number of a list that is not in the repository"));
            }
            if numbered(word, 'D') && !decided.contains(word) {
                errors.push(format!("{place}: {word} is no decision of spec/decisions.md"));
            }
        }
    }
    errors
}

#[test]
fn no_text_refers_to_what_is_not_here() {
    let decided = decisions(&text("spec/decisions.md"));
    assert!(decided.len() > 10, "the decisions are read: {decided:?}");
    let texts = texts();
    assert!(texts.iter().any(|(path, _)| path == "README.md") && texts.len() > 200, "the texts are read");
    let errors: Vec<String> = texts.iter().flat_map(|(path, text)| outside_errors(path, text, &decided)).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn a_reference_to_elsewhere_is_seen() {
    let decided = decisions("1. **D1** first. 2. **D20** last, **DV** is a device.");
    assert_eq!(decided, BTreeSet::from(["D1".to_string(), "D20".to_string()]));
    let errors = |path: &str, text: &str| outside_errors(path, text, &decided);
    assert_eq!(errors("a.rs", "let x = D7; // see D1, D20"), Vec::<String>::new());
    assert_eq!(errors("a.rs", "// see D7"), ["a.rs:1: D7 is no decision of spec/decisions.md"]);
    assert_eq!(errors("a.md", "a\nas F4 says"), ["a.md:2: F4 is a number of a list that is not in the repository"]);
    for elsewhere in ELSEWHERE {
        let said = format!("a.rs:1: `{elsewhere}` is not in the repository");
        assert_eq!(errors("a.rs", &format!("//! x ({elsewhere})")), [said]);
        assert_eq!(errors("a.rs", &format!("let x = \"{elsewhere}\";")), Vec::<String>::new());
    }
}

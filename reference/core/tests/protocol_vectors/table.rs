//! The table of `spec/vectors/README.md`: which vectors show which rule.

use std::collections::BTreeMap;

use serde_json::Value;

const BEGIN: &str = "<!-- written by make-protocol-vectors: begin -->\n";
const END: &str = "<!-- written by make-protocol-vectors: end -->";

/// Of a rule: how many vectors show it, sound and malformed, and where the first of each are.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) sound: Vec<String>,
    pub(crate) malformed: Vec<String>,
}

/// What shows each rule.
pub(crate) fn shown() -> BTreeMap<String, Shown> {
    let mut rules: BTreeMap<String, Shown> = BTreeMap::new();
    for content in super::files().values() {
        let file: Value = serde_json::from_str(content).expect("it is JSON");
        for vector in file["vectors"].as_array().expect("a list") {
            for rule in vector["rules"].as_array().expect("a list") {
                let shown = rules.entry(rule.as_str().expect("a text").into()).or_default();
                let list = if vector["fault"] == "none" { &mut shown.sound } else { &mut shown.malformed };
                list.push(vector["id"].as_str().expect("a text").into());
            }
        }
    }
    rules
}

/// A rule's place in a list: its family, its number, its letter.
pub(crate) fn place(rule: &str) -> (String, u32, String) {
    let (family, rest) = rule.split_once('-').expect("a rule id");
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (family.into(), digits.parse().expect("a number"), rest[digits.len()..].into())
}

fn rows() -> String {
    let mut out = String::from("| rule | sound | malformed | for example |\n|---|---|---|---|\n");
    let shown = shown();
    let mut rules: Vec<&String> = shown.keys().collect();
    rules.sort_by_key(|rule| place(rule));
    for rule in rules {
        let Shown { sound, malformed } = &shown[rule];
        let examples: Vec<String> =
            [sound.first(), malformed.first()].into_iter().flatten().map(|id| format!("`{id}`")).collect();
        out += &format!("| {rule} | {} | {} | {} |\n", sound.len(), malformed.len(), examples.join(", "));
    }
    let table = |head: &str, rows: &[(&str, &str)]| {
        let rows: String = rows.iter().map(|(name, says)| format!("| `{name}` | {says} |\n")).collect();
        format!("\n{head}\n|---|---|\n{rows}")
    };
    out + &table("| operation | what is asked |", super::OPERATIONS) + &table("| field | meaning |", super::FIELDS)
}

/// The page with its tables as they are now.
pub(crate) fn with_table(page: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("the page has a place for the table");
    let (_, after) = rest.split_once(END).expect("the table has an end");
    format!("{before}{BEGIN}{}{END}{after}", rows())
}

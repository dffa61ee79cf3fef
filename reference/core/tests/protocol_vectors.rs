//! The committed vectors of the protocol: they are what is generated now, the reference reads each as it says, and every rule that
//! bytes can show is shown.

#[path = "common/bug.rs"]
mod bug;
#[path = "protocol_vectors/generate.rs"]
mod generate;
#[path = "protocol_vectors/read.rs"]
mod read;

use std::collections::{BTreeMap, BTreeSet};

use bailee_spec::outcome::Refusal;
use generate::table::{Shown, place, shown};
use generate::{OPERATIONS, files, folder};
use serde_json::Value;

fn committed(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_default()
}

/// Every committed vector.
fn vectors() -> Vec<Value> {
    let file = |name: &String| -> Value { serde_json::from_str(&committed(&format!("protocol/{name}"))).unwrap() };
    files().keys().flat_map(|name| file(name)["vectors"].as_array().unwrap().clone()).collect()
}

#[test]
fn what_is_committed_is_what_is_generated() {
    let how = "cargo run --release -p bailee-core --example make-protocol-vectors";
    for (name, generated) in files() {
        assert!(committed(&format!("protocol/{name}")) == generated, "{name} is out of date: {how}");
    }
    assert!(committed("protocol.sha256") == generate::sums(), "protocol.sha256 is out of date: {how}");
    let page = committed("README.md");
    assert!(generate::table::with_table(&page) == page, "the tables of README.md are out of date: {how}");
    let names: BTreeSet<String> = std::fs::read_dir(folder().join("protocol"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, files().into_keys().collect(), "a file that nothing writes");
}

#[test]
fn the_reference_reads_each_vector_as_it_says() {
    bug::bug();
    let mut wrong = Vec::new();
    for vector in vectors() {
        let found = read::read(vector["operation"].as_str().unwrap(), &vector["inputs"]);
        let expected = &vector["expected"];
        let expected =
            expected["refusal"].as_str().map_or_else(|| Ok(expected["value"].clone()), |no| Err(no.into()));
        if found != expected {
            let short =
                |outcome: read::Outcome| outcome.map(|value| value.to_string().chars().take(200).collect::<String>());
            wrong.push(format!("{}: {:?}, not {:?}", vector["id"], short(found), short(expected)));
        }
    }
    assert!(wrong.is_empty(), "{} vectors:\n{}", wrong.len(), wrong.join("\n"));
}

/// Names of the results of constructions, for which section 18 has no refusal.
const OF_CONSTRUCTIONS: &[&str] =
    &["Absent", "NotCombined", "NotMatched", "NotOpened", "NotSealed", "NotShared", "NotVerified"];

#[test]
fn each_malformed_vector_has_one_named_fault_and_a_sound_twin() {
    let vectors = vectors();
    let mut by_id = BTreeMap::new();
    for vector in &vectors {
        let id = vector["id"].as_str().unwrap();
        assert!(by_id.insert(id, vector).is_none(), "{id} is there twice");
    }
    let (mut sound, mut malformed) = (0, 0);
    for vector in &vectors {
        let (id, fault) = (vector["id"].as_str().unwrap(), vector["fault"].as_str().unwrap());
        assert!(OPERATIONS.iter().any(|(name, _)| vector["operation"] == *name), "{id}");
        if fault == "none" {
            assert!(vector["expected"]["value"].is_object() && vector["twin"].is_null(), "{id}");
            sound += 1;
            continue;
        }
        let refusal = vector["expected"]["refusal"].as_str().unwrap();
        let is_named =
            OF_CONSTRUCTIONS.contains(&refusal) || Refusal::ALL.iter().any(|no| format!("{no:?}") == refusal);
        assert!(is_named, "{id}: {refusal}");
        let twin = by_id[vector["twin"].as_str().unwrap()];
        assert_eq!(id, format!("{}/{fault}", twin["id"].as_str().unwrap()));
        assert!(twin["fault"] == "none" && twin["operation"] == vector["operation"], "{id}");
        assert_ne!(twin["inputs"], vector["inputs"], "{id}");
        malformed += 1;
    }
    assert!(sound > 200 && malformed > 700, "{sound} sound and {malformed} malformed vectors");
}

/// The rules of a text: their ids stand bold where they are defined.
fn rules_of(text: &str) -> BTreeSet<String> {
    let bold = text.split("**").skip(1).step_by(2);
    let is_id = |id: &&str| {
        let Some((family, rest)) = id.split_once('-') else { return false };
        let digits = rest.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let family_fits = family.len() >= 3 && family.chars().all(|c| c.is_ascii_uppercase());
        family_fits
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_ascii_digit())
            && rest.len() - digits.len() < 2
    };
    bold.filter(is_id).map(str::to_owned).collect()
}

/// The rules that `README.md` lists as those that bytes cannot show, or cannot show in full.
fn listed() -> BTreeMap<String, String> {
    let page = committed("README.md");
    let section = page.split("\n## Rules that these vectors do not show").nth(1).expect("a section");
    let rows =
        section.split("\n## ").next().unwrap().lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let mut listed = BTreeMap::new();
    for row in rows.skip(1) {
        let (rules, reason) = row.split_once(" | ").expect("two columns");
        assert!(reason.split_whitespace().count() > 4, "{rules}: the reason is no sentence");
        for rule in rules.split([',', ' ']).filter(|rule| !rule.is_empty()) {
            assert!(listed.insert(rule.to_owned(), reason.to_owned()).is_none(), "{rule} is listed twice");
        }
    }
    listed
}

/// Each rule of protocol.md has a sound and a malformed vector, or a line with the reason why not.
#[test]
fn every_rule_is_shown_or_listed_with_a_reason() {
    let text = std::fs::read_to_string(folder().join("../protocol.md")).unwrap();
    let (rules, shown, listed) = (rules_of(&text), shown(), listed());
    assert!(rules.len() > 180 && rules.contains("GEN-26a") && rules.contains("REP-7a"), "{} rules", rules.len());
    let is_whole = |rule: &String| {
        shown.get(rule).is_some_and(|Shown { sound, malformed }| !sound.is_empty() && !malformed.is_empty())
    };
    let mut missing: Vec<&String> =
        rules.iter().filter(|rule| !is_whole(rule) && !listed.contains_key(*rule)).collect();
    missing.sort_by_key(|rule| place(rule));
    assert!(missing.is_empty(), "neither shown nor listed: {missing:?}");
    let idle: Vec<&String> = listed.keys().filter(|rule| is_whole(rule) || !rules.contains(*rule)).collect();
    assert!(idle.is_empty(), "listed without need: {idle:?}");
    let unknown: Vec<&String> = shown.keys().filter(|rule| !rules.contains(*rule)).collect();
    assert!(unknown.is_empty(), "shown and not defined: {unknown:?}");
}

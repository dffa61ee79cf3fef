//! The commands as a user runs them: what they print, what they exit with, and that they can fail.

use std::path::Path;
use std::process::{Command, Output};

use bailee_model::protocol::{Mutation, properties, scopes};
use bailee_spec::scope::Part;
use serde_json::Value;

fn model(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bailee-model")).args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn complained(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json_lines(output: &Output) -> Vec<Value> {
    said(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn last_line(output: &Output) -> Value {
    json_lines(output).pop().unwrap()
}

/// Writes a file into a folder, and gives its path.
fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_string()
}

const SMALL: &str = "[[scope]]\nname = \"small\"\nstart = \"sealed\"\nparts = [\"ceremony\", \"time\"]\n\
                     properties = [\"start-is-sealed\", \"unsealed\"]\n";

#[test]
fn a_check_ends_with_a_summary_of_what_it_found() {
    let output = model(&["check", "--scope", "unsorted", "--json"]);
    assert_eq!(code(&output), 0);
    let summary = last_line(&output);
    assert_eq!(summary["message_type"], "summary");
    let scope = &summary["scopes"][0];
    assert_eq!(
        (&scope["scope"], &scope["states"], &scope["transitions"], &scope["depth"]),
        (&Value::from("unsorted"), &Value::from(1016), &Value::from(7140), &Value::from(27))
    );
    let properties = summary["properties"].as_array().unwrap();
    assert!(properties.iter().all(|property| property["verdict"] == property["expected"]));
    assert!(properties.len() >= 5);
}

#[test]
fn the_sums_of_a_check_add_up_and_it_names_what_it_left_out() {
    let output = model(&["check"]);
    let told = said(&output);
    let lines: Vec<&str> = told.lines().collect();
    let left_out = lines.last().unwrap();
    let named: Vec<&str> = left_out.split([':', ';', ',']).map(str::trim).collect();
    for scope in scopes::committed() {
        assert_eq!(named.contains(&scope.name.as_str()), !scope.focused, "{left_out}");
    }
    let sums = lines[lines.len() - 2];
    let expected: Vec<_> =
        scopes::committed().into_iter().filter(|scope| scope.focused).filter_map(|scope| scope.expected).collect();
    let states: u64 = expected.iter().map(|expected| expected.states).sum();
    let transitions: u64 = expected.iter().map(|expected| expected.transitions).sum();
    let begins = format!("{} scopes: {states} states, {transitions} transitions, ", expected.len());
    assert!(sums.starts_with(&begins), "{sums}");
    let number = |word: &str| -> u64 {
        let before: Vec<&str> = sums.split(word).next().unwrap().trim().split([' ', ',']).collect();
        before.last().unwrap().parse().unwrap()
    };
    let parts = [number(" hold"), number(" broken as expected"), number(" unexpected")];
    assert_eq!(number(" verdicts"), parts.iter().sum::<u64>(), "{sums}");
    assert!(told.contains(" 1 step\n") && !told.contains(" 1 steps"), "one is singular");
}

#[test]
fn both_engines_give_the_same_counts() {
    let counts = |engine: &str| {
        let output = model(&["check", "--scope", "betrayal", "--engine", engine, "--json"]);
        assert_eq!(code(&output), 0);
        let scope = last_line(&output)["scopes"][0].clone();
        (scope["states"].clone(), scope["transitions"].clone(), scope["depth"].clone())
    };
    assert_eq!(counts("bailee"), counts("stateright"));
}

#[test]
fn a_property_that_is_switched_off_is_missed() {
    let check = model(&["check", "--scope", "unsorted", "--without", "can-unseal"]);
    assert_eq!(code(&check), 100, "{}", complained(&check));
    assert!(complained(&check).contains("declared in unsorted and was not checked"));
    let mutants = model(&["mutants", "--without", "one-key", "--json"]);
    assert_eq!(code(&mutants), 100);
    let summary = last_line(&mutants);
    assert!(summary["caught"].as_u64().unwrap() < summary["total"].as_u64().unwrap());
}

/// The report, and its failures by suite and case.
fn junit(path: &str) -> (usize, Vec<(String, String)>) {
    let text = std::fs::read_to_string(path).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let root = document.root_element();
    let number = |node: roxmltree::Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse::<usize>().unwrap();
    let elements =
        |node: roxmltree::Node<'_, '_>, name: &str| node.descendants().filter(|node| node.has_tag_name(name)).count();
    let mut failed = Vec::new();
    for node in std::iter::once(root).chain(root.children().filter(|node| node.has_tag_name("testsuite"))) {
        assert_eq!(number(node, "tests"), elements(node, "testcase"));
        assert_eq!(number(node, "failures"), elements(node, "failure"));
        assert!(node.attribute("time").unwrap().parse::<f64>().unwrap() > 0.0);
    }
    for case in root.descendants().filter(|node| node.has_tag_name("testcase")) {
        case.attribute("time").unwrap().parse::<f64>().unwrap();
        if case.children().any(|node| node.has_tag_name("failure")) {
            failed.push((case.attribute("classname").unwrap().into(), case.attribute("name").unwrap().into()));
        }
    }
    (number(root, "tests"), failed)
}

#[test]
fn the_junit_report_fails_when_the_run_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.xml");
    let path = path.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let output = model(&[&["check", "--junit", path][..], arguments].concat());
        (code(&output), junit(path))
    };
    let (code, (tests, failed)) = run(&["--scope", "unsorted"]);
    assert_eq!((code, tests, failed), (0, 8, vec![]));
    let (code, (_, failed)) = run(&["--scope", "unsorted", "--without", "can-unseal"]);
    assert_eq!((code, failed), (100, vec![("unsorted".into(), "can-unseal".into())]));
    let wrong = SMALL.to_string() + "expected = { states = 1, transitions = 1, depth = 1 }\n";
    let wrong = file(folder.path(), "wrong.toml", &wrong);
    let (code, (_, failed)) = run(&["--scope-file", &wrong]);
    assert_eq!((code, failed), (100, vec![("small".into(), "model".into())]));
    let vain = file(folder.path(), "vain.toml", &SMALL.replace("\"unsealed\"", "\"rekeyed\""));
    let (code, (_, failed)) = run(&["--scope-file", &vain]);
    assert_eq!((code, failed), (100, vec![("small".into(), "rekeyed".into())]));
    let (code, (tests, failed)) = run(&["--scope", "unsorted", "--engine", "stateright"]);
    assert_eq!((code, tests, failed), (0, 2, vec![]));
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let empty = file(folder.path(), "empty.toml", "");
    let big = file(folder.path(), "big.toml", &format!("{SMALL}users = 9\n"));
    let bare = file(folder.path(), "bare.toml", "[[scope]]\nname = \"bare\"\nparts = [\"time\"]\n");
    for (arguments, what) in [
        (&["check", "--scope", "nowhere"][..], "there is no scope nowhere; there are: enrolment"),
        (&["check", "--without", "nothing"], "there is no property nothing"),
        (&["check", "--without", "one-key", "--engine", "stateright"], "--without"),
        (&["check", "--scope-file", "no/such/file"], "no/such/file: "),
        (&["check", "--scope-file", &empty], "empty.toml: it has no [[scope]]"),
        (&["check", "--scope-file", &big], "line 1: scope small: expected 1 or 2 users"),
        (&["check", "--scope-file", &bare], "scope bare: it names no property"),
        (&["explain", "C99"], "there is no claim and no property C99"),
        (&["explain", "C04", "--with", "magic"], "there is no mutation magic"),
        (&["explain", "C04", "--scope", "nowhere"], "there is no scope nowhere"),
        (&["graph", "--scope", "nowhere"], "there is no scope nowhere"),
        (&["mutants", "--without", "nothing"], "there is no property nothing"),
        (&["bench", "--repetitions", "0"], "--repetitions"),
        (&["list", "everything"], "everything"),
        (&["nonsense"], "nonsense"),
    ] {
        let output = model(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", complained(&output));
        assert!(complained(&output).contains(what), "{}", complained(&output));
    }
}

#[test]
fn a_failure_ends_with_1_and_nothing_to_do_with_4() {
    let output = model(&["check", "--scope", "betrayal", "--junit", "/no/such/folder/report.xml"]);
    assert_eq!(code(&output), 1);
    assert!(complained(&output).contains("/no/such/folder/report.xml"));
    let output = model(&["explain", "C06", "--format", "svg"]);
    assert_eq!((code(&output), said(&output).as_str()), (4, ""));
}

#[test]
fn a_scope_file_is_checked_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let small = file(folder.path(), "small.toml", SMALL);
    let output = model(&["check", "--scope-file", &small]);
    assert_eq!(code(&output), 0, "{}", complained(&output));
    assert!(said(&output).starts_with("small "), "{}", said(&output));
    let output = model(&["explain", "unsealed", "--scope-file", &small]);
    let replay = format!(
        "replay: cargo model explain unsealed --scope small --scope-file {small} --format json | cargo lockstep replay \
         --scope-file {small}"
    );
    assert!(said(&output).contains(&replay), "{}", said(&output));
}

#[test]
fn every_claim_is_explained_in_any_case() {
    for claim in bailee_spec::claim::parse(bailee_spec::CLAIMS).unwrap() {
        let output = model(&["explain", &claim.id.to_lowercase()]);
        let told = said(&output);
        assert_eq!(code(&output), 0, "{}: {}", claim.id, complained(&output));
        assert!(told.starts_with(&format!("{}: {}\n", claim.id, claim.text)), "{told}");
        assert_eq!(told.contains("It is planned"), claim.planned, "{told}");
        if claim.planned {
            continue;
        }
        let mut rests_on = claim.properties.iter().chain(&claim.tests);
        assert!(rests_on.all(|id| told.contains(id.as_str())), "{told}");
        for test in &claim.tests {
            let run = told.lines().find(|line| line.contains("run it: cargo test") && line.ends_with(test.as_str()));
            assert!(run.is_some(), "{told}");
        }
        assert_eq!(told.contains("\nreplay: cargo model explain "), claim.classic == "X", "{told}");
    }
}

/// The claims go through the others.
#[test]
fn every_property_without_a_claim_is_explained_in_any_case() {
    let claims = bailee_spec::claim::parse(bailee_spec::CLAIMS).unwrap();
    let of_a_claim = |id: &str| claims.iter().any(|claim| claim.properties.iter().any(|known| known == id));
    for property in properties::ALL.iter().filter(|property| !of_a_claim(property.id)) {
        let output = model(&["explain", &property.id.to_uppercase()]);
        let told = said(&output);
        assert_eq!(code(&output), 0, "{}: {}", property.id, complained(&output));
        assert!(told.contains(property.about), "{told}");
        assert!(told.contains("It holds in every state of") || told.contains("\nreplay: "), "{told}");
    }
}

#[test]
fn every_mutation_is_explained_by_what_it_changes() {
    for mutation in Mutation::ALL {
        for property in mutation.properties() {
            let output = model(&["explain", property, "--with", mutation.id()]);
            let told = said(&output);
            assert_eq!(code(&output), 0, "{}: {}", mutation.id(), complained(&output));
            let story = told.contains(&format!(" --with {} --format json | cargo lockstep replay", mutation.id()));
            let verdict = told.contains(&format!("with {} switched on", mutation.id()));
            assert!(story || verdict, "{told}");
        }
    }
}

#[test]
fn a_step_is_told_in_words_and_only_by_those_who_act() {
    for mutation in Mutation::ALL {
        let output = model(&["explain", mutation.properties()[0], "--with", mutation.id(), "--format", "json"]);
        let told = last_line(&output);
        for step in told["steps"].as_array().into_iter().flatten() {
            let (text, from) = (step["text"].as_str().unwrap(), step["from"].as_str().unwrap());
            assert!(!text.contains('{') && !text.contains("Refused("), "{text}");
            assert!(text.contains('[') && text.contains('-'), "no rule: {text}");
            assert!(!from.is_empty() && from != "environment", "{step}");
            let of_network = ["[NET-4]", "[NET-11]", "[NET-12]"].iter().any(|rule| text.ends_with(rule));
            assert!(from != "network" || of_network, "{step}");
        }
    }
}

#[test]
fn a_broken_promise_is_explained_in_every_form() {
    for claim in ["C13", "C14", "C15", "C16", "C33"] {
        for (form, begins) in [("text", claim), ("mermaid", "sequenceDiagram"), ("svg", "<svg "), ("json", "{")] {
            let output = model(&["explain", claim, "--format", form]);
            assert_eq!(code(&output), 0);
            assert!(said(&output).starts_with(begins), "{claim} as {form}");
        }
        let picture = said(&model(&["explain", claim, "--format", "svg"]));
        assert!(roxmltree::Document::parse(&picture).is_ok());
    }
}

#[test]
fn what_there_is_can_be_listed_with_a_sentence_each() {
    let claims = bailee_spec::claim::parse(bailee_spec::CLAIMS).unwrap().len();
    for (what, number) in [
        ("scopes", scopes::committed().len()),
        ("parts", Part::ALL.len()),
        ("properties", properties::ALL.len()),
        ("mutations", Mutation::ALL.len()),
        ("claims", claims),
    ] {
        let entries = json_lines(&model(&["list", what, "--json"]));
        assert_eq!(entries.len(), number, "{what}");
        let told = said(&model(&["list", what]));
        assert_eq!(told.lines().count(), number, "{what}");
        for (entry, line) in entries.iter().zip(told.lines()) {
            let (id, about) = (entry["id"].as_str().unwrap(), entry["about"].as_str().unwrap());
            assert!(about.ends_with('.') && about.len() > 8, "{what} {id}: {about}");
            assert!(line.starts_with(id) && line.contains(about), "{line}");
            assert!(entry["message_type"].is_string());
        }
    }
}

#[test]
fn stories_as_text() {
    insta::assert_snapshot!("broken_promise", said(&model(&["explain", "C16"])));
    insta::assert_snapshot!("mutated", said(&model(&["explain", "C34", "--with", "pending-survives"])));
    insta::assert_snapshot!("holds", said(&model(&["explain", "C20"])));
}

#[test]
fn a_story_as_a_picture() {
    let output = model(&["explain", "C16", "--format", "svg"]);
    insta::assert_snapshot!(said(&output));
}

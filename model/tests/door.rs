//! The commands as a user runs them: what they exit with, and that they can fail.

use std::process::{Command, Output};

use serde_json::Value;

fn model(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bailee-model")).args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn last_line(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

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
    assert_eq!(code(&check), 100, "{}", String::from_utf8_lossy(&check.stderr));
    assert!(String::from_utf8_lossy(&check.stderr).contains("declared and was not checked"));
    let mutants = model(&["mutants", "--without", "one-key", "--json"]);
    assert_eq!(code(&mutants), 100);
    let summary = last_line(&mutants);
    assert!(summary["caught"].as_u64().unwrap() < summary["total"].as_u64().unwrap());
}

#[test]
fn an_unknown_name_is_refused_with_the_known_ones() {
    for (arguments, what) in [
        (&["check", "--scope", "nowhere"][..], "there is no scope nowhere; there are: enrolment"),
        (&["check", "--without", "nothing"], "there is no property nothing"),
        (&["explain", "C99"], "there is no property C99"),
    ] {
        let output = model(arguments);
        assert_eq!(code(&output), 1);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn a_broken_promise_is_explained_in_every_form() {
    for claim in ["C13", "C14", "C15", "C16", "C33"] {
        for (form, begins) in
            [("text", "counterexample of "), ("mermaid", "sequenceDiagram"), ("svg", "<svg "), ("json", "{")]
        {
            let output = model(&["explain", claim, "--format", form]);
            assert_eq!(code(&output), 0);
            assert!(String::from_utf8(output.stdout).unwrap().starts_with(begins), "{claim} as {form}");
        }
    }
}

#[test]
fn a_story_as_a_picture() {
    let output = model(&["explain", "C16", "--format", "svg"]);
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

//! `spec/adapter.schema.json` and the alphabet name the same things, field by field.

use std::collections::BTreeSet;

use bailee_spec::action::{Asking, Caller, Clock, Condition, Handing, Lane, Point, Purpose, Requester};
use bailee_spec::observation::{
    AccountState, Attempt, Capability, CeremonyState, DeviceState, Disk, Freshness, JobKind, JobState, Message,
    Person, Program, ShareHeld, Standing, Window,
};
use bailee_spec::scope::{Part, Start};
use bailee_spec::{Action, Observation, Refusal};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::from_str(include_str!("../adapter.schema.json")).expect("the schema is JSON")
}

/// The definition behind a reference.
fn resolved<'s>(schema: &'s Value, at: &'s Value) -> &'s Value {
    match at["$ref"].as_str() {
        Some(reference) => schema.pointer(reference.trim_start_matches('#')).expect(reference),
        None => at,
    }
}

/// The names in a closed set: constants, or objects with one field.
fn names(of: &Value) -> BTreeSet<String> {
    let name = |case: &Value| match &case["const"] {
        Value::String(name) => name.clone(),
        _ => case["required"][0].as_str().expect("a name").to_string(),
    };
    match &of["enum"] {
        Value::Array(all) => all.iter().map(|name| name.as_str().expect("a name").to_string()).collect(),
        _ => of["oneOf"].as_array().expect("a closed set").iter().map(name).collect(),
    }
}

/// The names that a type takes, as the error about another one lists them.
fn expected<T: DeserializeOwned>(other: Value) -> BTreeSet<String> {
    let error = serde_json::from_value::<T>(other).err().expect("a name that is not there").to_string();
    let (_, list) = error.split_once("expected ").expect("a list of names");
    list.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

/// A value that fits a definition, with every field.
fn sample(schema: &Value, at: &Value) -> Value {
    let at = resolved(schema, at);
    if let Some(one) = at["anyOf"].get(0).or(at["oneOf"].get(0)) {
        return sample(schema, one);
    }
    if at.get("const").is_some() {
        return at["const"].clone();
    }
    match at["type"].as_str() {
        Some("object") => {
            let fields = at["properties"].as_object().expect("fields");
            fields.iter().map(|(name, field)| (name.clone(), sample(schema, field))).collect()
        }
        Some("array") => match at["prefixItems"].as_array() {
            Some(items) => items.iter().map(|item| sample(schema, item)).collect(),
            None => vec![sample(schema, &at["items"]); at["minItems"].as_u64().unwrap_or(1) as usize].into(),
        },
        Some("boolean") => json!(true),
        Some("integer") => json!(1),
        _ => panic!("no sample for {at}"),
    }
}

#[test]
fn every_closed_set_has_the_names_of_the_alphabet() {
    let schema = schema();
    let agree = |name: &str, expected: BTreeSet<String>| {
        assert!(!expected.is_empty(), "{name}");
        assert_eq!(names(&schema["$defs"][name]), expected, "{name}");
    };
    macro_rules! agree {
        ($($name:ident),+) => { $(agree(stringify!($name), expected::<$name>(json!("?")));)+ };
    }
    agree!(AccountState, Asking, Attempt, Caller, Capability, CeremonyState, Clock, Condition, DeviceState, Disk);
    agree!(Freshness, Handing, JobKind, JobState, Lane, Message, Part, Person, Point, Program, Purpose, Requester);
    agree!(ShareHeld, Standing, Window);
    agree("RefusalName", expected::<Refusal>(json!("?")));
    let start = &schema["$defs"]["Scope"]["properties"]["start"];
    assert_eq!(names(start), expected::<Start>(json!("?")));
}

#[test]
fn every_action_is_in_the_schema_with_all_its_arguments() {
    let schema = schema();
    let cases = schema["$defs"]["Action"]["oneOf"].as_array().expect("actions");
    let mut named = BTreeSet::new();
    for case in cases {
        let value = sample(&schema, case);
        let action: Action = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"));
        assert_eq!(serde_json::to_value(action).expect("an action is JSON"), value);
        named.insert(value["action"].as_str().expect("a name").to_string());
    }
    assert_eq!(named, expected::<Action>(json!({"action": "?"})));
}

#[test]
fn an_observation_has_the_fields_of_the_schema_and_no_others() {
    let schema = schema();
    let value = sample(&schema, &json!({"$ref": "#/$defs/Observation"}));
    let observation: Observation = serde_json::from_value(value.clone()).expect("an observation");
    assert_eq!(serde_json::to_value(observation).expect("an observation is JSON"), value);
}

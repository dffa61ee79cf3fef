//! `cargo model list`: scopes, parts, properties, mutations and claims, a sentence each.

use bailee_model::command::{Failure, line};
use bailee_model::protocol::{Mutation, properties, scopes};
use bailee_model::scope_file::part_id;
use bailee_spec::claim;
use bailee_spec::scope::Part;
use clap::ValueEnum;
use serde_json::{Value, json};

/// What is listed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    /// Bounded instances of the protocol.
    Scopes,
    /// What a scope can switch on.
    Parts,
    /// What is checked.
    Properties,
    /// Changes of the rules that must be seen.
    Mutations,
    /// The promises.
    Claims,
}

/// One line: an id, a sentence, and what else there is to know.
struct Entry {
    id: String,
    about: String,
    more: Value,
}

/// Lists them in their order of declaration.
pub(super) fn run_list(what: What, as_json: bool) -> Result<u8, Failure> {
    let (kind, entries) = match what {
        What::Scopes => ("scope", scope_entries()),
        What::Parts => ("part", part_entries()),
        What::Properties => ("property", property_entries()),
        What::Mutations => ("mutation", mutation_entries()),
        What::Claims => ("claim", claim_entries()?),
    };
    let width = entries.iter().map(|entry| entry.id.len()).max().unwrap_or(0);
    for Entry { id, about, mut more } in entries {
        if !as_json {
            let notes = more["note"].as_str().map(|note| format!(" ({note})")).unwrap_or_default();
            line(format_args!("{id:<width$}  {about}{notes}"));
            continue;
        }
        if let Some(fields) = more.as_object_mut() {
            fields.remove("note");
            fields.insert("message_type".into(), kind.into());
            fields.insert("id".into(), id.into());
            fields.insert("about".into(), about.into());
        }
        line(more);
    }
    Ok(0)
}

fn scope_entries() -> Vec<Entry> {
    let entry = |scope: bailee_spec::Scope| {
        let states = scope.expected.map(|expected| expected.states);
        let note = match (states, scope.focused) {
            (Some(states), true) => json!(format!("{states} states")),
            (Some(states), false) => json!(format!("{states} states; only with --scope")),
            (None, _) => Value::Null,
        };
        let mut more = json!(scope);
        more["note"] = note;
        Entry { id: scope.name, about: scope.about, more }
    };
    scopes::committed().into_iter().map(entry).collect()
}

fn part_entries() -> Vec<Entry> {
    let committed = scopes::committed();
    let entry = |&part: &Part| {
        let met = committed.iter().filter(|scope| scope.parts.contains(&part)).map(|scope| scope.name.clone());
        Entry { id: part_id(part), about: part.about().into(), more: json!({"scopes": met.collect::<Vec<_>>()}) }
    };
    Part::ALL.iter().map(entry).collect()
}

fn property_entries() -> Vec<Entry> {
    let committed = scopes::committed();
    let entry = |property: &properties::Property| {
        let checks = |scope: &&bailee_spec::Scope| scope.properties.iter().any(|id| id == property.id);
        let scopes: Vec<String> = committed.iter().filter(checks).map(|scope| scope.name.clone()).collect();
        let expected = if property.holds { "holds" } else { "broken" };
        let kind = property.kind.name();
        let note = if property.holds { kind.to_string() } else { format!("{kind}; classic breaks it") };
        let more = json!({"kind": kind, "expected": expected, "scopes": scopes, "note": note});
        Entry { id: property.id.into(), about: property.about.into(), more }
    };
    properties::ALL.iter().map(entry).collect()
}

fn mutation_entries() -> Vec<Entry> {
    let entry = |mutation: &Mutation| {
        let note = format!("{}; caught by {}", mutation.scope(), mutation.properties().join(", "));
        let more = json!({"scope": mutation.scope(), "properties": mutation.properties(), "note": note});
        Entry { id: mutation.id().into(), about: mutation.about().into(), more }
    };
    Mutation::ALL.iter().map(entry).collect()
}

fn claim_entries() -> Result<Vec<Entry>, Failure> {
    let entry = |claim: claim::Claim| {
        let note = match (claim.planned, claim.classic.as_str()) {
            (true, _) => "planned".to_string(),
            (false, "X") => format!("classic breaks it; evidence: {}", claim.evidence),
            (false, _) => format!("evidence: {}", claim.evidence),
        };
        let more = json!({"classic": claim.classic, "blind": claim.blind, "evidence": claim.evidence,
            "properties": claim.properties, "tests": claim.tests, "planned": claim.planned, "note": note});
        Entry { id: claim.id, about: claim.text, more }
    };
    Ok(claim::parse(bailee_spec::CLAIMS)?.into_iter().map(entry).collect())
}

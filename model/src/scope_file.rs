//! Scopes of a user's own, and the choice among scopes. `spec/scopes.md` describes the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bailee_spec::Scope;
use serde::Deserialize;
use toml::Spanned;

use crate::command::Failure;
use crate::protocol::properties::{self, Kind};
use crate::protocol::{Protocol, scopes};

/// The longest name of a scope, in bytes.
pub const NAME_BYTES: usize = 64;

/// The scopes that a command runs, and those that it leaves out unless they are named.
#[derive(Clone, Debug)]
pub struct Selection {
    /// To be run.
    pub chosen: Vec<Scope>,
    /// Left out.
    pub left_out: Vec<Scope>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    scope: Vec<Spanned<Scope>>,
}

/// Reads scopes from the text of a file, and checks each.
///
/// # Errors
/// Everything that is wrong, a line each: the line of the file, what was found, and what was expected.
pub fn parse(text: &str) -> Result<Vec<Scope>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    if file.scope.is_empty() {
        return Err("it has no [[scope]], so nothing would run".into());
    }
    let line_of = |at: usize| 1 + text[..at].matches('\n').count();
    let mut wrong = Vec::new();
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for scope in &file.scope {
        let (line, scope) = (line_of(scope.span().start), scope.get_ref());
        match first.get(&scope.name) {
            Some(before) => wrong.push(format!("line {line}: the name {} is that of line {before} too", scope.name)),
            None => drop(first.insert(scope.name.clone(), line)),
        }
        wrong.extend(faults(scope).into_iter().map(|fault| format!("line {line}: {fault}")));
    }
    if wrong.is_empty() {
        Ok(file.scope.into_iter().map(Spanned::into_inner).collect())
    } else {
        Err(wrong.join("\n"))
    }
}

/// What is wrong with one scope.
fn faults(scope: &Scope) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut fault = |what: String| wrong.push(format!("scope {}: {what}", scope.name));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if scope.name.is_empty() || scope.name.len() > NAME_BYTES || !scope.name.chars().all(plain) {
        fault(format!("its name is not 1 to {NAME_BYTES} letters, digits, `-` and `_`"));
    }
    if scope.parts.is_empty() {
        fault("it has no parts, so nothing could happen".into());
    }
    let (mut parts, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for part in scope.parts.iter().filter(|part| !parts.insert(**part)) {
        fault(format!("the part {} is named twice", part_id(*part)));
    }
    for id in &scope.properties {
        match properties::find(id) {
            None => fault(format!("there is no property {id} (`cargo model list properties`)")),
            Some(property) if scope.sorted && matches!(property.kind, Kind::LeadsTo(..)) => {
                fault(format!("{id} says who does what in the end, which sorting loses: it needs sorted = false"));
            }
            Some(_) => {}
        }
        if !ids.insert(id) {
            fault(format!("the property {id} is named twice"));
        }
    }
    if parts.len() == scope.parts.len()
        && let Err(error) = Protocol::new(scope, None)
    {
        wrong.push(format!(
            "{error}; it has users = {}, devices-per-user = {}, nodes = {}, custodians = {}, threshold = {}",
            scope.users, scope.devices_per_user, scope.nodes, scope.custodians, scope.threshold
        ));
    }
    wrong
}

/// The name of a part, as scope files have it.
pub fn part_id(part: bailee_spec::scope::Part) -> String {
    serde_json::to_value(part).ok().and_then(|id| id.as_str().map(str::to_string)).unwrap_or_default()
}

/// The scopes of a file; the committed ones without one.
///
/// # Errors
/// The file cannot be read, or something in it is wrong.
pub fn load(file: Option<&Path>) -> Result<Vec<Scope>, Failure> {
    let Some(path) = file else { return Ok(scopes::committed()) };
    let usage = |what: String| Failure::Usage(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
    parse(&text).map_err(|wrong| usage(wrong.replace('\n', &format!("\nerror: {}: ", path.display()))))
}

/// The scope of a name; without a name every scope of a file, and the focused ones of the committed.
///
/// # Errors
/// As [`load`], or no scope has the name.
pub fn select(file: Option<&Path>, name: Option<&str>) -> Result<Selection, Failure> {
    let all = load(file)?;
    let Some(name) = name else {
        let (chosen, left_out) = all.into_iter().partition(|scope| file.is_some() || scope.focused);
        return Ok(Selection { chosen, left_out });
    };
    let names: Vec<&str> = all.iter().map(|scope| scope.name.as_str()).collect();
    let unknown = Failure::Usage(format!("there is no scope {name}; there are: {}", names.join(", ")));
    let chosen = all.iter().find(|scope| scope.name == name).cloned().ok_or(unknown)?;
    Ok(Selection { chosen: vec![chosen], left_out: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "[[scope]]\nname = \"small\"\nparts = [\"ceremony\", \"time\"]\nstart = \"sealed\"\n";

    fn wrong(text: &str) -> String {
        parse(text).unwrap_err()
    }

    #[test]
    fn what_is_left_out_has_the_stated_defaults() {
        let scope = &parse(SMALL).unwrap()[0];
        assert_eq!((scope.users, scope.devices_per_user, scope.nodes), (1, 1, 1));
        assert_eq!((scope.custodians, scope.threshold), (2, 2));
        assert!(scope.sorted && scope.lockstep && scope.focused && scope.properties.is_empty());
        assert_eq!((scope.about.as_str(), scope.expected), ("", None));
    }

    #[test]
    fn every_committed_scope_would_pass_as_a_file() {
        assert_eq!(parse(bailee_spec::SCOPES).unwrap(), scopes::committed());
    }

    #[test]
    fn an_empty_file_or_scope_is_refused() {
        assert!(wrong("").contains("no [[scope]]"));
        assert!(wrong("# nothing\n").contains("no [[scope]]"));
        let said = wrong("\n[[scope]]\nname = \"x\"\nparts = []\n");
        assert!(said.contains("line 2: scope x: it has no parts"), "{said}");
        assert!(wrong("[[scope]]\nname = \"\"\nparts = [\"time\"]\n").contains("its name is not 1 to 64"));
        assert!(wrong("[[scope]]\nname = \"../x\"\nparts = [\"time\"]\n").contains("its name is not 1 to 64"));
    }

    #[test]
    fn what_is_named_twice_is_refused_with_its_line() {
        let said = wrong(&format!("{SMALL}\n{SMALL}"));
        assert_eq!(said, "line 6: the name small is that of line 1 too");
        let said = wrong(&SMALL.replace("\"time\"", "\"time\", \"time\""));
        assert_eq!(said, "line 1: scope small: the part time is named twice");
        let said = wrong(&format!("{SMALL}properties = [\"unsealed\", \"unsealed\"]\n"));
        assert_eq!(said, "line 1: scope small: the property unsealed is named twice");
    }

    #[test]
    fn an_impossible_size_is_refused_with_what_was_found_and_expected() {
        for (size, expected) in [
            ("users = 3", "expected 1 or 2 users"),
            ("users = 0", "expected 1 or 2 users"),
            ("nodes = 9", "expected 1 or 2 nodes"),
            ("custodians = 6", "expected 2 to 5 custodians"),
            ("threshold = 3", "threshold of 2 or more"),
        ] {
            let said = wrong(&format!("{SMALL}{size}\n"));
            assert!(said.starts_with("line 1: scope small: ") && said.contains(expected), "{said}");
            assert!(said.contains(size), "{said}");
        }
        let said = wrong(&format!("{SMALL}users = 300\n"));
        assert!(said.contains("line 5") && said.contains("300"), "{said}");
        let said = wrong(&format!("{SMALL}users = -1\n"));
        assert!(said.contains("line 5") && said.contains("-1"), "{said}");
    }

    #[test]
    fn every_fault_of_a_file_is_told_at_once() {
        let said = wrong("[[scope]]\nname = \"a b\"\nusers = 9\nparts = [\"time\"]\nproperties = [\"nothing\"]\n");
        assert_eq!(said.lines().count(), 3, "{said}");
        assert!(said.contains("there is no property nothing"), "{said}");
    }

    #[test]
    fn a_property_that_needs_an_unsorted_scope_is_refused_in_a_sorted_one() {
        let said = wrong(&format!("{SMALL}properties = [\"held-leads-to-purged\"]\n"));
        assert!(said.contains("sorted = false"), "{said}");
    }

    #[test]
    fn the_focused_scopes_are_chosen_and_the_others_are_named() {
        let Selection { chosen, left_out } = select(None, None).unwrap();
        assert_eq!(chosen.len() + left_out.len(), scopes::committed().len());
        assert!(!left_out.is_empty() && left_out.iter().all(|scope| !scope.focused));
        let Err(Failure::Usage(said)) = select(None, Some("nowhere")) else { panic!("it is known") };
        assert!(said.contains("there is no scope nowhere; there are: enrolment"), "{said}");
    }
}

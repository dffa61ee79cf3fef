//! The committed scopes, and scopes from a file.

use bailee_spec::scope::Scope;
use serde::Deserialize;

/// A file of scopes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeFile {
    scope: Vec<Scope>,
}

/// Reads scopes from the text of a file.
///
/// # Errors
/// Line, column and what was expected.
pub fn parse(text: &str) -> Result<Vec<Scope>, String> {
    toml::from_str::<ScopeFile>(text).map(|file| file.scope).map_err(|error| error.to_string())
}

/// The committed scopes.
///
/// # Panics
/// Never: a test parses the committed file.
pub fn committed() -> Vec<Scope> {
    parse(bailee_spec::SCOPES).expect("spec/scopes.toml is tested")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_scope_file_is_refused_with_line_column_and_expectation() {
        let whole = bailee_spec::SCOPES;
        let misspelt = whole.replacen("start = \"fresh\"", "start = \"frosh\"", 1);
        let error = parse(&misspelt).unwrap_err();
        assert!(error.contains("line 12, column 9"), "{error}");
        assert!(error.contains("expected one of `fresh`, `enrolled`, `sealed`"), "{error}");
        let unknown = whole.replacen("nodes = 1", "knots = 1", 1);
        assert!(parse(&unknown).unwrap_err().contains("unknown field `knots`"));
    }

    #[test]
    fn a_scope_that_contradicts_itself_is_refused() {
        let mut scope = committed().remove(0);
        scope.threshold = 3;
        let error = crate::protocol::Protocol::new(&scope, None).unwrap_err();
        assert!(error.contains("threshold"), "{error}");
    }

    /// Sorting is canonical: every exchange of a reachable world has the same representative.
    #[test]
    fn exchanged_worlds_have_one_representative() {
        use crate::explorer::{Options, Watch, explore};
        use crate::protocol::{Protocol, canon::Exchange};
        for name in ["enrolment", "neighbours-enrol", "neighbours", "unsealing"] {
            let scope = committed().into_iter().find(|scope| scope.name == name).unwrap();
            let model = Protocol::new(&scope, None).unwrap();
            let graph = explore(&model, Options::default(), &Watch::default()).unwrap();
            let exchanges = Exchange::all(&scope);
            assert!(exchanges.len() > 1 || scope.custodians > 2);
            for id in (0..graph.states() as u32).step_by(7) {
                let world = model.unpack(graph.key(id));
                for exchange in &exchanges {
                    let mut other = exchange.apply(&world);
                    other.custodians[..scope.custodians as usize].rotate_left(1);
                    assert_eq!(model.pack(&model.canonical(&other)), graph.key(id), "{name}");
                }
            }
        }
    }

    /// The explorer's short way gives what every action's `next_state` gives, in every state; those that it does not try for
    /// being refused in every world among them.
    #[test]
    fn the_successors_are_the_next_states_of_all_actions() {
        use crate::explorer::{Options, Packed, Successor, Watch, explore};
        use crate::protocol::Protocol;
        use stateright::Model;
        for scope in committed().into_iter().filter(|scope| scope.focused) {
            let model = Protocol::new(&scope, None).unwrap();
            let graph = explore(&model, Options::default(), &Watch::default()).unwrap();
            for id in graph.ids() {
                let (key, world) = (graph.key(id), model.unpack(graph.key(id)));
                let mut short = Vec::new();
                model.successors(&world, key, &mut Vec::new(), &mut short);
                let next = |action| model.next_state(&world, action).map(|next| model.pack(&next));
                let successor = |action| Some(Successor { class: model.class(&world, &action), key: next(action)? });
                let long: Vec<Successor> = model.actions.iter().copied().filter_map(successor).collect();
                assert_eq!(short, long, "{}: {world:?}", scope.name);
            }
        }
    }

    /// GEN-1: what is refused changed nothing, but for a message or a share that it consumed. The explorer relies on it, with
    /// and without a mutation.
    #[test]
    fn a_refusal_changes_nothing_but_what_it_consumes() {
        use crate::protocol::mutation::Mutation;
        let (mut refused, mut consumed) = (0, 0);
        for scope in committed().into_iter().filter(|scope| scope.focused) {
            let mutations = Mutation::ALL.iter().copied().filter(|mutation| mutation.scope() == scope.name).map(Some);
            for mutation in std::iter::once(None).chain(mutations) {
                let (r, c) = refusals(&scope, mutation);
                refused += r;
                consumed += c;
            }
        }
        assert!(refused > 1_000_000 && consumed > 10_000, "{refused} refusals, {consumed} that consumed something");
    }

    /// All refusals in the first states of a scope, and those that consumed something.
    fn refusals(scope: &Scope, mutation: Option<crate::protocol::mutation::Mutation>) -> (u64, u64) {
        use crate::explorer::{Options, Watch, explore};
        use crate::protocol::{Protocol, step::may_have_changed};
        const MUTATED_STATES: usize = 20_000;
        let model = Protocol::new(scope, mutation).unwrap();
        let limit = mutation.map(|_| MUTATED_STATES);
        let graph = explore(&model, Options { limit, ..Options::default() }, &Watch::default()).unwrap();
        let (mut refused, mut consumed) = (0, 0);
        for id in graph.ids() {
            let world = model.unpack(graph.key(id));
            for &action in &model.actions {
                let (outcome, next) = model.step(&world, action);
                let changed = next != world;
                let told = (&scope.name, mutation, action, outcome);
                assert!(!changed || may_have_changed(action, outcome), "{told:?}");
                let refusal = outcome != bailee_spec::Outcome::Accepted;
                refused += u64::from(refusal);
                consumed += u64::from(refusal && changed);
            }
        }
        (refused, consumed)
    }
}

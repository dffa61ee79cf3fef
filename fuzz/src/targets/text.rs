//! What people and other programs write.

use bailee_model::protocol::{Protocol, scopes};
use bailee_spec::{Action, Scope};

#[derive(serde::Serialize)]
struct ScopeFile {
    scope: Vec<Scope>,
}

/// A file of scopes: refused with line and column, or the same when it is written and read again; and a scope that
/// contradicts itself is refused before it is explored.
pub fn scope_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match scopes::parse(text) {
        Ok(scope) => {
            for scope in &scope {
                if let Err(error) = Protocol::new(scope, None) {
                    assert!(error.contains(&scope.name), "a refusal that does not name the scope: {error}");
                }
            }
            let written = toml::to_string(&ScopeFile { scope: scope.clone() }).expect("scopes are TOML");
            assert_eq!(scopes::parse(&written).as_ref(), Ok(&scope));
        }
        Err(error) => {
            assert!(error.contains("line ") && error.contains("column "), "a refusal without a place: {error}")
        }
    }
}

/// The actions of a story, as JSON: refused with line and column, or the same when they are written and read again.
pub fn actions(data: &[u8]) {
    match serde_json::from_slice::<Vec<Action>>(data) {
        Ok(actions) => {
            let written = serde_json::to_vec(&actions).expect("actions are JSON");
            assert_eq!(serde_json::from_slice::<Vec<Action>>(&written).ok(), Some(actions));
        }
        Err(error) => assert!(error.line() > 0 || error.is_eof(), "a refusal without a place: {error}"),
    }
}

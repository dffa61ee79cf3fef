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

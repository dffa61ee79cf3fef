//! The claims of `spec/claims.toml`, and which of them a run covers.

use std::collections::BTreeMap;

use bailee_model::check::Report;
use bailee_model::protocol::Mutation;
use serde::{Deserialize, Serialize};

/// A claim.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Claim {
    /// Its id.
    pub id: String,
    /// What it says.
    pub text: String,
    /// `article` or `bailee`.
    pub origin: String,
    /// The expected verdict in `classic`.
    pub classic: String,
    /// The expected verdict in `blind`.
    pub blind: String,
    /// `crypto`, `server` or `policy`.
    pub enforcement: Vec<String>,
    /// `model`, `test`, `both` or `argument`.
    pub evidence: String,
    /// Property ids.
    #[serde(default)]
    pub properties: Vec<String>,
    /// Names of tests.
    #[serde(default)]
    pub tests: Vec<String>,
    /// Shown by a later issue.
    #[serde(default)]
    pub planned: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimFile {
    claim: Vec<Claim>,
}

/// Reads the claims.
///
/// # Errors
/// Line, column and what was expected.
pub fn parse(text: &str) -> Result<Vec<Claim>, String> {
    toml::from_str::<ClaimFile>(text).map(|file| file.claim).map_err(|error| error.to_string())
}

/// How many claims there are, and what they rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// All.
    pub total: usize,
    /// Each property has its expected verdict in this run, and a mutation changes that verdict.
    pub covered: usize,
    /// Evidence is a test of the suite, which this run does not repeat.
    pub tested: usize,
    /// Left for later.
    pub planned: usize,
}

/// Counts the claims that these reports cover; `changed` names the properties whose verdict a mutation of this run changed.
pub fn coverage(claims: &[Claim], reports: &[Report], changed: &[&str]) -> Coverage {
    let mut as_expected: BTreeMap<&str, bool> = BTreeMap::new();
    for verdict in reports.iter().flat_map(|report| &report.verdicts) {
        *as_expected.entry(verdict.id).or_insert(true) &= verdict.is_expected();
    }
    let shown = |id: &String| as_expected.get(id.as_str()) == Some(&true) && changed.contains(&id.as_str());
    let count = |of: &dyn Fn(&Claim) -> bool| claims.iter().filter(|claim| of(claim)).count();
    Coverage {
        total: claims.len(),
        covered: count(&|claim| !claim.planned && !claim.properties.is_empty() && claim.properties.iter().all(shown)),
        tested: count(&|claim| !claim.planned && claim.evidence == "test"),
        planned: count(&|claim| claim.planned),
    }
}

/// The properties whose verdict some mutation changes, found by running every mutation.
///
/// # Errors
/// When a mutation names a scope that does not exist.
pub fn changed_by_mutations() -> Result<Vec<&'static str>, String> {
    let scopes = bailee_model::protocol::scopes::committed();
    let mut changed = Vec::new();
    for &mutation in Mutation::ALL {
        let scope = scopes.iter().find(|scope| scope.name == mutation.scope());
        let mut scope = scope.ok_or_else(|| format!("there is no scope {}", mutation.scope()))?.clone();
        scope.properties = mutation.properties().iter().map(|id| id.to_string()).collect();
        let how = bailee_model::check::How { mutation: Some(mutation), ..Default::default() };
        let report = bailee_model::check::check(&scope, how)?;
        changed.extend(mutation.properties().iter().filter(|id| report.unexpected(id).is_some()));
    }
    Ok(changed)
}

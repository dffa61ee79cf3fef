//! The claims of `spec/claims.toml`, and which of them a run covers.

use std::collections::BTreeMap;

use bailee_model::check::Report;
use bailee_model::protocol::Mutation;
pub use bailee_spec::claim::{Claim, parse};
use serde::Serialize;

/// How many claims there are, and what they rest on: the parts make the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// All.
    pub total: usize,
    /// Each property has its expected verdict in this run, and a mutation changes that verdict.
    pub covered: usize,
    /// Evidence is a test of the suite, which this run does not repeat.
    pub tested: usize,
    /// Evidence is an argument.
    pub argued: usize,
    /// Left for later.
    pub planned: usize,
    /// Not shown by this run: a property is not in its scopes, has another verdict, or hangs on no mutation.
    pub not_shown: usize,
}

/// Counts the claims that these reports cover; `changed` names the properties whose verdict a mutation of this run changed.
pub fn coverage(claims: &[Claim], reports: &[&Report], changed: &[&str]) -> Coverage {
    let mut as_expected: BTreeMap<&str, bool> = BTreeMap::new();
    for verdict in reports.iter().flat_map(|report| &report.verdicts) {
        *as_expected.entry(verdict.id).or_insert(true) &= verdict.is_expected();
    }
    let shown = |id: &String| as_expected.get(id.as_str()) == Some(&true) && changed.contains(&id.as_str());
    let mut counts = Coverage { total: claims.len(), ..Coverage::default() };
    for claim in claims {
        let count = match claim.evidence.as_str() {
            _ if claim.planned => &mut counts.planned,
            "test" => &mut counts.tested,
            "argument" => &mut counts.argued,
            _ if !claim.properties.is_empty() && claim.properties.iter().all(shown) => &mut counts.covered,
            _ => &mut counts.not_shown,
        };
        *count += 1;
    }
    counts
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

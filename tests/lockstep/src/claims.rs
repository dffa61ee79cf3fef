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

/// How many claims there are, and how many a run covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// All.
    pub total: usize,
    /// Every property has its expected verdict in this run, and a mutation that flips it (or is itself the expected
    /// violation); or the evidence is a test of the suite.
    pub covered: usize,
    /// Left for later.
    pub planned: usize,
}

/// Counts the claims that these reports cover; `flipped` names the properties that a mutation of this run broke.
pub fn coverage(claims: &[Claim], reports: &[Report], flipped: &[&str]) -> Coverage {
    let mut verdicts: BTreeMap<&str, bool> = BTreeMap::new();
    let mut expected_broken: Vec<&str> = Vec::new();
    for verdict in reports.iter().flat_map(|report| &report.verdicts) {
        *verdicts.entry(verdict.id).or_insert(true) &= verdict.verdict == verdict.expected;
        if verdict.expected == "broken" {
            expected_broken.push(verdict.id);
        }
    }
    let shown = |id: &String| {
        let as_expected = verdicts.get(id.as_str()).copied().unwrap_or(false);
        as_expected && (flipped.contains(&id.as_str()) || expected_broken.contains(&id.as_str()))
    };
    let covered = |claim: &&Claim| {
        let by_test = claim.evidence == "test" && !claim.tests.is_empty();
        !claim.planned && (by_test || (!claim.properties.is_empty() && claim.properties.iter().all(shown)))
    };
    Coverage {
        total: claims.len(),
        covered: claims.iter().filter(covered).count(),
        planned: claims.iter().filter(|claim| claim.planned).count(),
    }
}

/// The properties that some mutation breaks, found by running every mutation.
///
/// # Errors
/// When a mutation names a scope that does not exist.
pub fn flipped() -> Result<Vec<&'static str>, String> {
    let scopes = bailee_model::protocol::scopes::committed();
    let mut flipped = Vec::new();
    for &mutation in Mutation::ALL {
        let scope = scopes.iter().find(|scope| scope.name == mutation.scope());
        let mut scope = scope.ok_or_else(|| format!("there is no scope {}", mutation.scope()))?.clone();
        scope.properties = vec![mutation.property().to_string()];
        let how = bailee_model::check::How { mutation: Some(mutation), ..Default::default() };
        let report = bailee_model::check::check(&scope, how)?;
        if report.verdicts.iter().any(|v| v.verdict != v.expected) {
            flipped.push(mutation.property());
        }
    }
    Ok(flipped)
}

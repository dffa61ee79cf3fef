//! A claim: a promise, its expected verdicts, and what shows them. The committed ones are in `spec/claims.toml`.

use serde::Deserialize;

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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
    /// Shown by a later part of the project.
    #[serde(default)]
    pub planned: bool,
}

/// Reads the claims of a file.
///
/// # Errors
/// Line, column and what was expected.
pub fn parse(text: &str) -> Result<Vec<Claim>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ClaimFile {
        claim: Vec<Claim>,
    }
    toml::from_str::<ClaimFile>(text).map(|file| file.claim).map_err(|error| error.to_string())
}

//! What must hold: the alphabet, the scopes, the claims and the limits of the protocol. No logic.
//!
//! `model` reads this alphabet symbolically, `reference` reads it with real keys and real bytes, and neither knows the
//! other. The words are in `spec/alphabet.md` (actions) and `spec/protocol.md` (messages).

mod about;
pub mod action;
pub mod claim;
pub mod limits;
pub mod observation;
pub mod outcome;
pub mod scope;

pub use action::{Action, Lane};
pub use claim::Claim;
pub use observation::Observation;
pub use outcome::{Outcome, Refusal};
pub use scope::Scope;

/// The committed scopes, as TOML.
pub const SCOPES: &str = include_str!("../scopes.toml");

/// Why some pairs of parts meet in no committed scope, as TOML.
pub const COVERAGE: &str = include_str!("../coverage.toml");

/// The claims, as TOML.
pub const CLAIMS: &str = include_str!("../claims.toml");

//! What it means: the protocol read symbolically, and checked in every state of a scope.
//!
//! `protocol` has the rules; `explorer`, a crate of its own, visits every state of a scope; `check` is the only door to a verdict.
//!
//! This is exhaustive checking of a bounded symbolic abstraction. It is not a cryptographic proof.

pub mod bench;
pub mod check;
pub mod command;
pub mod coverage;
pub mod junit;
pub mod machines;
pub mod protocol;
pub mod scope_file;
pub mod story;

pub use bailee_explorer as explorer;

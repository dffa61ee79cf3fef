//! The messages, as canonical CBOR (`spec/formats.cddl`), and the one table of who may send which kind to whom.

mod bodies;
mod field;
mod frame;

pub use bodies::*;
pub use frame::{Body, Frame, Place, Sender, StandingChange};

//! They agree: the model and the reference, one transition at a time.
//!
//! Every transition of a scope's graph is executed on the reference, once, from a save-point, descending the
//! breadth-first tree; outcome and observation are compared after every action that is tried, refusals included.

pub mod bugs;
pub mod claims;
pub mod guard;
pub mod locksmith;
pub mod pair;
pub mod replay;
pub mod shrink;

//! The roles, as state machines (`crate::machine`).
//!
//! A role reads its store, changes its memory, and answers with effects. It calls no other role, reads no clock and writes no
//! store: the one who runs it does that, by `CONTRACT.md`.

pub mod authority;
pub mod custodian;
pub mod custody;
pub mod device;
pub mod keystore;
pub mod mark;
pub mod restorer;
pub mod signed;
pub mod storage;

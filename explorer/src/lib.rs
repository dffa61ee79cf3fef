#![doc = include_str!("../README.md")]

pub mod beside;
mod exploration;
mod explore;
pub mod graph;
mod packed;
mod shard;
mod stopped;
mod table;

pub use exploration::{Exploration, Step};
pub use explore::{Options, Predicate, StepJudge, Watch, explore};
pub use graph::Transitions;
pub use packed::{Packed, Successor};
pub use stopped::{Asked, Panicked, Stopped, caught};
pub use table::{Id, Key};

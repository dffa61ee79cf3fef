//! The protocol, read symbolically: keys are names, a ciphertext is the name inside it, cryptography is perfect.

pub mod actions;
pub mod canon;
mod ceremony;
mod disaster;
mod enrol;
mod job;
pub mod layout;
pub mod model;
pub mod mutation;
pub mod observe;
pub mod properties;
mod publication;
mod rights;
pub mod scopes;
pub mod step;
pub mod world;

pub use model::Protocol;
pub use mutation::Mutation;

/// The world of the explored scopes: up to two users and two devices in all.
pub type SmallWorld = world::World<2, 2>;

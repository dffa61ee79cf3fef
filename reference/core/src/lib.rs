//! How it is done: the cryptography, the wire and the roles of the protocol, without input or output.
//!
//! Nothing here reaches a socket, a clock, a file or a thread. Time, randomness and disk come from outside, so the same
//! code runs under the lockstep runner, in the demo and in a service.

pub mod cbor;
pub mod crypto;
pub mod ensemble;
pub mod machine;
pub mod quirks;
pub mod roles;
pub mod store;
pub mod wire;

//! Every role, run as a service would run it: encoded frames and timers are the only inputs, each store is reached through
//! [`bailee_core::store::Store`], and any role may stop and start between two inputs. Nothing here looks into a role's memory to
//! decide what comes next.
//!
//! [`World`] is the carrier: it authenticates, applies batches, carries frames and fires timers. `people` gives the orders of
//! every flow, and tries again what a restart cut short.
//!
//! ```
//! use bailee_services::{Restarts, Size, World, InMemory};
//!
//! let mut world = World::new(InMemory, Size::default(), 1);
//! world.restarts = Restarts::Always;
//! world.enrol(0);
//! assert!(world.key_of(0).is_some());
//! ```

mod disks;
mod people;
mod setup;
mod world;

pub use disks::{Disks, InMemory};
pub use setup::{ADMIN, HEAD, Size, password_of, tenant_of, user_of};
pub use world::{At, Entry, Flight, Restarts, World};

//! Memory for secrets: locked, kept out of dumps, wiped on drop.
//!
//! [`SecretBytes<N>`] is a secret of a size known to the compiler (keys), [`LockedBox`] one of a size known at run
//! time (an opened keyring, a password). Both
//!
//! * live in pages that the kernel neither swaps (`mlock`), writes to a core dump (`MADV_DONTDUMP`) nor copies to a
//!   forked child (`MADV_WIPEONFORK`);
//! * are wiped when they are dropped, and never move in memory while they live: moving the handle moves a pointer;
//! * compare in constant time;
//! * have no `Debug`, `Display`, `Clone` or `Serialize`: a secret cannot be printed or copied by accident.
//!
//! # Cost, and what happens when the kernel refuses
//!
//! Secrets share pages: an arena hands out slots of 32 to 4096 bytes from regions of 64 KiB, so that a secret costs
//! tens of nanoseconds and thousands of them stay far below a `RLIMIT_MEMLOCK` of 8 MiB. When the limit is reached, or
//! the system has no such call, the arena goes on in ordinary pages, *openly*: [`SecretBytes::protection`] says so for
//! the one secret, [`status`] for the process, and a service shows it. Wiping never depends on locking.
//!
//! # What this does not do
//!
//! Stack copies made by a compiler, registers, and copies inside libraries that take a key by value (an expanded AES
//! key, an HPKE private key) are outside these pages; those libraries' own wiping is switched on instead. Root on the
//! running machine reads everything: locked memory is no defence against it, and none is claimed. `memfd_secret` is
//! left out on purpose: it would blind the memory scan by which the purge of a key is tested.
//!
//! This crate has the only `unsafe` of the project, in `pages` and `arena`.

mod arena;
mod buffer;
mod bytes;
mod pages;
mod process;
mod protection;

pub use buffer::LockedBox;
pub use bytes::{SecretBytes, WrongLength};
pub use process::disable_core_dumps;
pub use protection::{Protection, Reason, Status, status};

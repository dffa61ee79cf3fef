//! Slots in locked pages. The only `unsafe` code of the project outside vector code.
#![allow(unsafe_code)]

use std::fmt;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::{Mutex, MutexGuard, OnceLock};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous};
use zeroize::Zeroize;

/// Bytes of the smallest slot.
const LEAST_BYTES: usize = 64;
/// Bytes mapped at a time, and of the largest slot: small enough for the usual limit on locked memory.
pub(crate) const REGION_BYTES: usize = 64 * 1024;
/// Sizes of slots: every power of two from the least to a whole region.
const SIZES: usize = (REGION_BYTES / LEAST_BYTES).trailing_zeros() as usize + 1;

/// How well the secrets of this process are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Every page is locked and kept out of dumps.
    Locked,
    /// Some page is not, and why the first one is not. Secrets are still wiped on drop.
    Unlocked(Weakness),
}

/// Why a page is not protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// The process may lock no memory at all.
    NotPermitted,
    /// The process has locked as much memory as it may.
    LimitReached,
    /// The page is locked, but the system did not take it out of core dumps.
    InDumps,
    /// Another refusal to lock, as the system's own number.
    System(i32),
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Protection::Locked => f.write_str("secrets are locked in memory and kept out of core dumps"),
            Protection::Unlocked(weakness) => write!(f, "secrets may reach swap space or a core dump: {weakness}"),
        }
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Weakness::NotPermitted => {
                f.write_str("this process may lock no memory (RLIMIT_MEMLOCK is 0, see `ulimit -l`)")
            }
            Weakness::LimitReached => {
                f.write_str("this process may lock no more memory (RLIMIT_MEMLOCK is reached, see `ulimit -l`)")
            }
            Weakness::InDumps => f.write_str("the system did not take the memory out of core dumps"),
            Weakness::System(number) => write!(f, "the system did not lock the memory (error {number})"),
        }
    }
}

impl Weakness {
    /// What `mlock` refused with (mlock(2)).
    fn of_lock(error: Errno) -> Self {
        match error {
            Errno::PERM => Weakness::NotPermitted,
            Errno::NOMEM | Errno::AGAIN => Weakness::LimitReached,
            other => Weakness::System(other.raw_os_error()),
        }
    }
}

/// The first weakness, once there is one: a process does not become stronger again.
static WEAKNESS: OnceLock<Weakness> = OnceLock::new();

/// How well the secrets of this process are protected, up to now.
pub fn protection() -> Protection {
    WEAKNESS.get().map_or(Protection::Locked, |weakness| Protection::Unlocked(*weakness))
}

/// Addresses of free slots, by size. Regions are never unmapped: their slots are used again.
static FREE: Mutex<[Vec<Address>; SIZES]> = Mutex::new([const { Vec::new() }; SIZES]);

#[derive(Clone, Copy)]
struct Address(NonNull<u8>);

// SAFETY: an address in the free list is owned by the list alone; taking it out under the lock transfers it.
unsafe impl Send for Address {}

/// A slot, owned by one secret: `LEAST_BYTES << size` bytes.
pub(crate) struct Slot {
    address: Address,
    size: usize,
}

// SAFETY: a slot is reached only through its owner, by the usual borrowing rules.
unsafe impl Send for Slot {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for Slot {}

/// The smallest size whose slots hold so many bytes, at most [`REGION_BYTES`].
fn size_for(bytes: usize) -> usize {
    (bytes.max(LEAST_BYTES).next_power_of_two() / LEAST_BYTES).trailing_zeros() as usize
}

fn free() -> MutexGuard<'static, [Vec<Address>; SIZES]> {
    FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Slot {
    /// A zeroed slot of at least so many bytes, at most [`REGION_BYTES`].
    pub(crate) fn take(bytes: usize) -> Slot {
        let size = size_for(bytes);
        let mut free = free();
        if free[size].is_empty() {
            free[size].extend(map_region(LEAST_BYTES << size));
        }
        match free[size].pop() {
            Some(address) => Slot { address, size },
            None => std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u8; REGION_BYTES]>()),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the address is of so many mapped, initialised bytes that nobody else refers to.
        unsafe { slice::from_raw_parts(self.address.0.as_ptr(), LEAST_BYTES << self.size) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.address.0.as_ptr(), LEAST_BYTES << self.size) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        free()[self.size].push(self.address);
    }
}

/// Maps and locks a region and cuts it into slots of so many bytes; none if the system gives no memory.
fn map_region(slot_bytes: usize) -> Vec<Address> {
    // SAFETY: a fresh private anonymous mapping aliases nothing.
    let mapped = unsafe {
        mmap_anonymous(ptr::null_mut(), REGION_BYTES, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    };
    let Some(start) = mapped.ok().and_then(NonNull::new) else { return Vec::new() };
    // SAFETY: the range is the mapping made above.
    let locked = unsafe { mlock(start.as_ptr(), REGION_BYTES) };
    // SAFETY: as above; the advice changes no content.
    let undumped = unsafe { madvise(start.as_ptr(), REGION_BYTES, Advice::LinuxDontDump) };
    let weakness = locked.map_err(Weakness::of_lock).and(undumped.map_err(|_| Weakness::InDumps));
    if let Err(weakness) = weakness {
        WEAKNESS.get_or_init(|| weakness);
    }
    (0..REGION_BYTES / slot_bytes)
        // SAFETY: every offset lies inside the mapping.
        .map(|slot| Address(unsafe { start.cast::<u8>().add(slot * slot_bytes) }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_the_smallest_that_fits() {
        for (bytes, slot) in [(0, 64), (1, 64), (64, 64), (65, 128), (4096, 4096), (4097, 8192), (65536, 65536)] {
            assert_eq!(LEAST_BYTES << size_for(bytes), slot, "{bytes} bytes");
        }
        assert_eq!(size_for(REGION_BYTES), SIZES - 1);
    }

    #[test]
    fn slots_of_any_size_are_wiped_before_they_are_used_again() {
        for bytes in [64, 100, 5000, REGION_BYTES] {
            let mut slot = Slot::take(bytes);
            slot.bytes_mut().fill(0xa5);
            drop(slot);
            assert!(Slot::take(bytes).bytes().iter().all(|byte| *byte == 0), "{bytes} bytes");
        }
    }

    #[test]
    fn a_refusal_to_lock_has_a_name() {
        assert_eq!(Weakness::of_lock(Errno::PERM), Weakness::NotPermitted);
        assert_eq!(Weakness::of_lock(Errno::NOMEM), Weakness::LimitReached);
        assert_eq!(Weakness::of_lock(Errno::AGAIN), Weakness::LimitReached);
        assert_eq!(Weakness::of_lock(Errno::INVAL), Weakness::System(Errno::INVAL.raw_os_error()));
    }
}

//! Slots in locked pages. The only `unsafe` code of the project outside vector code.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous};
use zeroize::Zeroize;

/// Bytes a slot.
pub(crate) const SLOT_BYTES: usize = 64;
/// Bytes mapped at a time: small enough for the usual limit on locked memory.
const REGION_BYTES: usize = 64 * 1024;

/// How well secrets are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Every page is locked and kept out of dumps.
    Locked,
    /// The system refused to lock a page; secrets are still wiped on drop.
    Unlocked,
}

/// Set once the system has refused to lock a page.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// How well the secrets of this process are protected.
pub fn protection() -> Protection {
    if REFUSED.load(Ordering::Relaxed) { Protection::Unlocked } else { Protection::Locked }
}

/// Addresses of free slots. Regions are never unmapped: their slots are used again.
static FREE: Mutex<Vec<Address>> = Mutex::new(Vec::new());

#[derive(Clone, Copy)]
struct Address(NonNull<u8>);

// SAFETY: an address in the free list is owned by the list alone; taking it out under the lock transfers it.
unsafe impl Send for Address {}

/// A slot, owned by one secret.
pub(crate) struct Slot(Address);

// SAFETY: a slot is reached only through its owner, by the usual borrowing rules.
unsafe impl Send for Slot {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for Slot {}

impl Slot {
    /// A zeroed slot.
    pub(crate) fn take() -> Slot {
        let mut free = FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if free.is_empty() {
            free.extend(map_region());
        }
        match free.pop() {
            Some(address) => Slot(address),
            None => std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u8; REGION_BYTES]>()),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8; SLOT_BYTES] {
        // SAFETY: the address is of SLOT_BYTES mapped, initialised bytes that nobody else refers to.
        unsafe { self.0.0.cast().as_ref() }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; SLOT_BYTES] {
        // SAFETY: as in `bytes`, and `self` is borrowed mutably.
        unsafe { self.0.0.cast().as_mut() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(self.0);
    }
}

/// Maps and locks a region and cuts it into slots; none if the system gives no memory.
fn map_region() -> Vec<Address> {
    // SAFETY: a fresh private anonymous mapping aliases nothing.
    let mapped = unsafe {
        mmap_anonymous(ptr::null_mut(), REGION_BYTES, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    };
    let Some(start) = mapped.ok().and_then(NonNull::new) else { return Vec::new() };
    // SAFETY: the range is the mapping made above.
    let locked = unsafe { mlock(start.as_ptr(), REGION_BYTES) };
    // SAFETY: as above; the advice changes no content.
    let undumped = unsafe { madvise(start.as_ptr(), REGION_BYTES, Advice::LinuxDontDump) };
    if locked.is_err() || undumped.is_err() {
        REFUSED.store(true, Ordering::Relaxed);
    }
    (0..REGION_BYTES / SLOT_BYTES)
        // SAFETY: every offset lies inside the mapping.
        .map(|slot| Address(unsafe { start.cast::<u8>().add(slot * SLOT_BYTES) }))
        .collect()
}

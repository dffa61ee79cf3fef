//! Slots for secrets, cut from locked pages and handed out again after they were wiped.
//!
//! One pool a size class, each under its own lock and with its own list of free slots. A free slot is always zero: it
//! starts so and is wiped before it is listed again. Pages of a pool are never given back, so the memory held is that
//! of the busiest moment.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize;

use crate::pages::{Locker, PAGE, Pages, lock};
use crate::protection::Protection;

/// Slot sizes in bytes.
const CLASSES: [usize; 8] = [32, 64, 128, 256, 512, 1024, 2048, 4096];
/// Pages are taken in regions of this many bytes.
const REGION: usize = 16 * PAGE;

static POOLS: [Pool; 8] = [
    Pool::new(CLASSES[0], lock),
    Pool::new(CLASSES[1], lock),
    Pool::new(CLASSES[2], lock),
    Pool::new(CLASSES[3], lock),
    Pool::new(CLASSES[4], lock),
    Pool::new(CLASSES[5], lock),
    Pool::new(CLASSES[6], lock),
    Pool::new(CLASSES[7], lock),
];

/// Exclusive use of `length` bytes of protected memory, zero at first, wiped at last.
pub(crate) struct Slot {
    start: NonNull<u8>,
    length: usize,
    home: Home,
}

/// Where a slot's memory goes back to.
enum Home {
    Pool {
        pool: &'static Pool,
        protection: Protection,
    },
    /// A secret larger than every class has pages of its own, unmapped after the wipe.
    Own(Pages),
}

// SAFETY: a slot is the only user of its bytes (the pool hands a start out once until it is given back), so it may go
// to another thread like a `Box<[u8]>`.
unsafe impl Send for Slot {}
// SAFETY: shared access only reads (`bytes`), as with `Box<[u8]>`.
unsafe impl Sync for Slot {}

impl Slot {
    /// A zeroed slot of `length` bytes. Aborts, as `Box` does, when memory is exhausted.
    pub(crate) fn zeroed(length: usize) -> Slot {
        match CLASSES.iter().position(|&size| length <= size) {
            Some(class) => POOLS[class].slot(length),
            None => Slot::own(length),
        }
    }

    fn own(length: usize) -> Slot {
        let pages = Pages::map(length.next_multiple_of(PAGE), lock);
        Slot {
            start: pages.start(),
            length,
            home: Home::Own(pages),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `start` points to at least `length` initialised bytes (mapped pages are zeroed) inside a live mapping
        // that only this slot uses, and `&self` excludes a writer for the life of the slice.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }

    pub(crate) fn protection(&self) -> Protection {
        match &self.home {
            Home::Pool { protection, .. } => *protection,
            Home::Own(pages) => pages.protection(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        if let Home::Pool { pool, protection } = self.home {
            pool.take_back(Free {
                start: self.start,
                protection,
            });
        }
    }
}

/// A wiped slot that waits for its next secret.
struct Free {
    start: NonNull<u8>,
    protection: Protection,
}

// SAFETY: a free slot is an address that nobody reads or writes until it is handed out under the pool's lock.
unsafe impl Send for Free {}

struct Pool {
    size: usize,
    lock: Locker,
    shelves: Mutex<Shelves>,
}

/// Free slots by protection: locked ones are handed out first.
struct Shelves {
    locked: Vec<Free>,
    unlocked: Vec<Free>,
    regions: Vec<Pages>,
}

impl Pool {
    const fn new(size: usize, lock: Locker) -> Pool {
        let shelves = Shelves {
            locked: Vec::new(),
            unlocked: Vec::new(),
            regions: Vec::new(),
        };
        Pool {
            size,
            lock,
            shelves: Mutex::new(shelves),
        }
    }

    fn slot(&'static self, length: usize) -> Slot {
        debug_assert!(length <= self.size);
        let free = self.shelves().take(self.size, self.lock);
        Slot {
            start: free.start,
            length,
            home: Home::Pool {
                pool: self,
                protection: free.protection,
            },
        }
    }

    fn take_back(&self, free: Free) {
        let mut shelves = self.shelves();
        shelves.shelf(free.protection).push(free);
    }

    /// The shelves are whole between any two statements that can panic, so a poisoned lock is as good as another.
    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn shelf(&mut self, protection: Protection) -> &mut Vec<Free> {
        match protection {
            Protection::Locked => &mut self.locked,
            Protection::Unlocked(_) => &mut self.unlocked,
        }
    }

    fn take(&mut self, size: usize, lock: Locker) -> Free {
        loop {
            if let Some(free) = self.locked.pop().or_else(|| self.unlocked.pop()) {
                return free;
            }
            self.grow(size, lock);
        }
    }

    fn grow(&mut self, size: usize, lock: Locker) {
        let region = Pages::map(REGION, lock);
        let protection = region.protection();
        let slots = REGION / size;
        let everything = (self.regions.len() + 1) * slots;
        let shelf = self.shelf(protection);
        // Room for every slot there is, so that a drop never allocates.
        shelf.reserve(everything - shelf.len());
        for index in (0..slots).rev() {
            // SAFETY: `index * size` is inside the region, which has `slots * size` bytes.
            let start = unsafe { region.start().add(index * size) };
            shelf.push(Free { start, protection });
        }
        self.regions.push(region);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protection::Reason;

    /// A pool of the test's own: no other thread takes its slots.
    fn pool(size: usize, lock: Locker) -> &'static Pool {
        Box::leak(Box::new(Pool::new(size, lock)))
    }

    #[test]
    fn a_dropped_slot_is_wiped_and_used_again() {
        let pool = pool(64, lock);
        let mut slot = pool.slot(40);
        slot.bytes_mut().fill(0xa5);
        let start = slot.start;
        drop(slot);
        // SAFETY: the region of the leaked pool stays mapped, and no slot of it is in use.
        let left = unsafe { std::slice::from_raw_parts(start.as_ptr(), 64) };
        assert_eq!(left, [0; 64], "wiped in place");
        assert_eq!(pool.slot(64).start, start, "the freed slot is the next one");
    }

    #[test]
    fn slots_in_use_never_overlap() {
        let pool = pool(4096, lock);
        let mut slots: Vec<Slot> = (0..100).map(|_| pool.slot(4096)).collect();
        for (index, slot) in slots.iter_mut().enumerate() {
            slot.bytes_mut().fill(index as u8);
        }
        for (index, slot) in slots.iter().enumerate() {
            assert!(slot.bytes().iter().all(|&byte| byte == index as u8));
        }
    }

    #[test]
    fn a_refused_lock_yields_a_working_slot_that_says_so() {
        let pool = pool(32, |_, _| Err(Reason::LimitReached));
        let mut slot = pool.slot(32);
        slot.bytes_mut().fill(7);
        assert_eq!(
            slot.protection(),
            Protection::Unlocked(Reason::LimitReached)
        );
        assert_eq!(slot.bytes(), [7; 32]);
    }

    #[test]
    fn a_large_slot_has_pages_of_its_own() {
        let mut slot = Slot::zeroed(100_000);
        assert_eq!(slot.bytes().len(), 100_000);
        slot.bytes_mut()[99_999] = 1;
        assert!(matches!(slot.home, Home::Own(_)));
    }

    #[test]
    fn slots_go_between_threads() {
        let handles: Vec<_> = (0..4u8)
            .map(|thread| {
                std::thread::spawn(move || {
                    (0..2000u32)
                        .map(|_| {
                            let mut slot = Slot::zeroed(32);
                            assert_eq!(slot.bytes(), [0; 32], "a slot starts zeroed");
                            slot.bytes_mut().fill(thread + 1);
                            slot
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for (thread, handle) in handles.into_iter().enumerate() {
            let slots = handle.join().expect("no panic in the thread");
            assert!(
                slots
                    .iter()
                    .all(|slot| slot.bytes() == [thread as u8 + 1; 32])
            );
        }
    }
}

//! Whole pages from the operating system: mapped, locked if it lets us, kept out of dumps and children.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use crate::protection::{Protection, Reason, count_mapped, count_unmapped};

/// How to lock pages: a value, so that a test can refuse.
pub(crate) type Locker = fn(NonNull<u8>, usize) -> Result<(), Reason>;

/// A run of zeroed pages that this value owns. Unmapped on drop; the owner wipes first.
pub(crate) struct Pages {
    start: NonNull<u8>,
    bytes: usize,
    protection: Protection,
}

// SAFETY: `Pages` owns its mapping alone, hands out only its address, and a mapping belongs to no thread.
unsafe impl Send for Pages {}
// SAFETY: no method of `Pages` reads or writes the mapping.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps `bytes` (a positive multiple of [`PAGE`]) and tries to lock them.
    ///
    /// Aborts the process, as `Box` does, when the system has no memory at all.
    pub(crate) fn map(bytes: usize, lock: Locker) -> Pages {
        assert!(bytes > 0 && bytes.is_multiple_of(PAGE), "whole pages only");
        let start = os::map(bytes);
        let protection = match lock(start, bytes) {
            Ok(()) => Protection::Locked,
            Err(reason) => Protection::Unlocked(reason),
        };
        count_mapped(protection, bytes);
        Pages {
            start,
            bytes,
            protection,
        }
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn protection(&self) -> Protection {
        self.protection
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        count_unmapped(self.protection, self.bytes);
        os::unmap(self.start, self.bytes);
    }
}

/// The granularity of mappings. Kernels with larger pages round up by themselves.
pub(crate) const PAGE: usize = 4096;

pub(crate) use os::lock;

#[cfg(all(unix, not(miri)))]
mod os {
    use std::alloc::{Layout, handle_alloc_error};
    use std::ptr::{NonNull, null_mut};

    use rustix::io::Errno;
    use rustix::mm::{MapFlags, ProtFlags, mlock, mmap_anonymous, munmap};

    use super::PAGE;
    use crate::protection::Reason;

    pub(super) fn map(bytes: usize) -> NonNull<u8> {
        // SAFETY: a fresh private anonymous mapping at an address of the kernel's choice aliases nothing.
        let mapped = unsafe {
            mmap_anonymous(
                null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        };
        match mapped.ok().and_then(|start| NonNull::new(start.cast())) {
            Some(start) => start,
            None => handle_alloc_error(
                Layout::from_size_align(bytes, PAGE).unwrap_or(Layout::new::<u8>()),
            ),
        }
    }

    pub(super) fn unmap(start: NonNull<u8>, bytes: usize) {
        // SAFETY: `start` and `bytes` are one whole mapping made by `map`, and its owner is being dropped.
        let unmapped = unsafe { munmap(start.as_ptr().cast(), bytes) };
        debug_assert!(unmapped.is_ok(), "a mapping of our own can be unmapped");
    }

    pub(crate) fn lock(start: NonNull<u8>, bytes: usize) -> Result<(), Reason> {
        hide(start, bytes);
        // SAFETY: locking changes no content; the range is one whole live mapping made by `map`.
        match unsafe { mlock(start.as_ptr().cast(), bytes) } {
            Ok(()) => Ok(()),
            Err(Errno::NOMEM | Errno::AGAIN) => Err(Reason::LimitReached),
            Err(Errno::PERM) => Err(Reason::NotPermitted),
            Err(Errno::NOSYS) => Err(Reason::Unsupported),
            Err(other) => Err(Reason::Os(other.raw_os_error())),
        }
    }

    /// Keeps the pages out of core dumps and forked children. Best effort: a kernel too old to know the advice still
    /// has the process-wide switch of `disable_core_dumps`.
    #[cfg(target_os = "linux")]
    fn hide(start: NonNull<u8>, bytes: usize) {
        use rustix::mm::{Advice, madvise};
        for advice in [Advice::LinuxDontDump, Advice::LinuxWipeOnFork] {
            // SAFETY: neither advice changes the content that this process sees; the range is one whole live mapping.
            let _ = unsafe { madvise(start.as_ptr().cast(), bytes, advice) };
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn hide(_start: NonNull<u8>, _bytes: usize) {}
}

/// Without Unix calls (and under Miri, which has none): ordinary memory, openly unlocked.
#[cfg(not(all(unix, not(miri))))]
mod os {
    use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
    use std::ptr::NonNull;

    use super::PAGE;
    use crate::protection::Reason;

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, PAGE).expect("a size that fits the address space")
    }

    pub(super) fn map(bytes: usize) -> NonNull<u8> {
        // SAFETY: the layout has a positive size.
        NonNull::new(unsafe { alloc_zeroed(layout(bytes)) })
            .unwrap_or_else(|| handle_alloc_error(layout(bytes)))
    }

    pub(super) fn unmap(start: NonNull<u8>, bytes: usize) {
        // SAFETY: `start` came from `map` with the same layout, and its owner is being dropped.
        unsafe { dealloc(start.as_ptr(), layout(bytes)) }
    }

    pub(crate) fn lock(_start: NonNull<u8>, _bytes: usize) -> Result<(), Reason> {
        Err(Reason::Unsupported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status;

    #[test]
    fn a_refused_lock_is_told_with_its_reason_and_counted() {
        let before = status();
        let pages = Pages::map(PAGE, |_, _| Err(Reason::NotPermitted));
        assert_eq!(
            pages.protection(),
            Protection::Unlocked(Reason::NotPermitted)
        );
        assert!(status().unlocked_bytes >= before.unlocked_bytes + PAGE);
    }

    /// The kernel's own account of a mapping: `lo` locked, `dd` not dumped, `wf` wiped in a forked child.
    #[cfg(all(target_os = "linux", not(miri)))]
    #[test]
    fn the_kernel_confirms_lock_and_advice() {
        let pages = Pages::map(PAGE, lock);
        let flags = flags_of(pages.start().as_ptr() as usize).expect("the mapping is listed");
        assert!(flags.contains("dd"), "dumped: {flags}");
        assert!(flags.contains("wf"), "copied to children: {flags}");
        assert_eq!(
            flags.contains("lo"),
            pages.protection() == Protection::Locked,
            "{flags}"
        );
    }

    #[cfg(all(target_os = "linux", not(miri)))]
    fn flags_of(address: usize) -> Option<String> {
        let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        let mut inside = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|word| word.split_once('-'));
            if let Some((low, high)) = range
                && let (Ok(low), Ok(high)) = (
                    usize::from_str_radix(low, 16),
                    usize::from_str_radix(high, 16),
                )
            {
                inside = (low..high).contains(&address);
            }
            if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
                return Some(flags.to_owned());
            }
        }
        None
    }
}

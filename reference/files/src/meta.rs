//! Metadata, read from the system and given back to it.

use std::ffi::{CStr, CString};
use std::fs::Metadata;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use bailee_archive::limits::XATTR_TOTAL_BYTES;
use bailee_archive::tree::{Meta, Time, Xattr};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::folder::Folder;

/// What tells that a file is as it was: if none of these differs, neither content nor metadata was changed in between, but for a
/// change within the same tick of the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// The file system that it is on.
    pub(crate) dev: u64,
    /// Its number there.
    pub(crate) ino: u64,
    /// Its length, in bytes.
    pub(crate) size: u64,
    /// When its content was changed, or so somebody says.
    pub(crate) mtime: Time,
    /// When content or metadata were changed, as the system alone says.
    pub(crate) ctime: Time,
}

impl State {
    // The types of these fields differ between machines.
    #[allow(clippy::unnecessary_cast)]
    pub(crate) fn of(stat: &Stat) -> State {
        State {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            size: stat.st_size as u64,
            mtime: time(stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            ctime: time(stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }
}

fn time(seconds: i64, nanoseconds: u32) -> Time {
    Time { seconds, nanoseconds }
}

/// The metadata of an entry, without its extended attributes.
pub(crate) fn of(stat: &Stat) -> Meta {
    Meta {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: State::of(stat).mtime,
        xattrs: Vec::new(),
    }
}

/// The same of what the standard library read.
pub(crate) fn of_metadata(metadata: &Metadata) -> Meta {
    Meta {
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mtime: time(metadata.mtime(), metadata.mtime_nsec() as u32),
        xattrs: Vec::new(),
    }
}

/// The extended attributes of an entry itself, ascending by name.
///
/// # Errors
/// What the system said; `InvalidData` when they are too large to be kept. A file system without them has none.
pub(crate) fn xattrs(path: &Path) -> io::Result<Vec<Xattr>> {
    collect(|buffer| rustix::fs::llistxattr(path, buffer), |name, buffer| rustix::fs::lgetxattr(path, name, buffer))
}

/// The same of something open.
///
/// # Errors
/// As [`xattrs`].
pub(crate) fn xattrs_of(open: impl AsFd) -> io::Result<Vec<Xattr>> {
    let open = open.as_fd();
    collect(|buffer| rustix::fs::flistxattr(open, buffer), |name, buffer| rustix::fs::fgetxattr(open, name, buffer))
}

/// The same of what has this name in a folder and cannot be opened, as a link cannot.
///
/// # Errors
/// As [`xattrs`].
pub(crate) fn xattrs_in(folder: &Arc<Folder>, name: &CStr) -> io::Result<Vec<Xattr>> {
    folder.short_path(name, |path| {
        collect(
            |buffer| rustix::fs::llistxattr(path, buffer),
            |name, buffer| rustix::fs::lgetxattr(path, name, buffer),
        )
    })
}

fn collect(
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&CStr, &mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Vec<Xattr>> {
    let names = match sized(list) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    let mut total = 0;
    for name in names.split_inclusive(|byte| *byte == 0) {
        let name = CStr::from_bytes_with_nul(name).map_err(io::Error::other)?;
        let value = match sized(|buffer| get(name, buffer)) {
            Ok(value) => value,
            // It was taken away meanwhile.
            Err(error) if error.raw_os_error() == Some(Errno::NODATA.raw_os_error()) => continue,
            Err(error) => return Err(error),
        };
        total += name.count_bytes() + value.len();
        if total > XATTR_TOTAL_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many bytes of extended attributes"));
        }
        all.push(Xattr { name: name.to_bytes().to_vec().into(), value: value.into() });
    }
    all.sort();
    Ok(all)
}

/// Asks with a small buffer first: most files have no extended attribute, and then it is the only call.
fn sized(ask: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut small = [0; 512];
    match ask(&mut small) {
        Ok(length) => return Ok(small[..length].to_vec()),
        Err(Errno::RANGE) => {}
        Err(error) => return Err(error.into()),
    }
    // The kernel has nothing longer than this.
    let mut large = vec![0; 64 * 1024];
    let length = ask(&mut large)?;
    large.truncate(length);
    Ok(large)
}

/// What the system did not allow of the metadata of an entry.
#[derive(Default)]
pub(crate) struct Refusals(pub(crate) Vec<String>);

impl Refusals {
    fn note(&mut self, what: &str, done: io::Result<()>) {
        if let Err(error) = done {
            self.0.push(format!("{what} not restored: {error}"));
        }
    }
}

fn times(meta: &Meta) -> Timestamps {
    let time = Timespec { tv_sec: meta.mtime.seconds, tv_nsec: meta.mtime.nanoseconds as _ };
    Timestamps { last_access: time, last_modification: time }
}

fn owner(meta: &Meta) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))
}

fn xattr_name(xattr: &Xattr) -> io::Result<CString> {
    Ok(CString::new(xattr.name.to_vec())?)
}

/// Whether a file that is open has this metadata, as far as this user could have given it.
///
/// # Errors
/// What the system said.
pub(crate) fn is_as(open: impl AsFd, meta: &Meta) -> io::Result<bool> {
    let found = Meta { xattrs: xattrs_of(&open)?, ..of(&rustix::fs::fstat(&open)?) };
    let owner = |meta: &Meta| rustix::process::geteuid().is_root().then_some((meta.uid, meta.gid));
    Ok(found.mode == meta.mode
        && found.mtime == meta.mtime
        && found.xattrs == meta.xattrs
        && owner(&found) == owner(meta))
}

/// The permissions that may be given: a set-id bit speaks for the owner or the group that it was set for, and for no other.
fn permitted(open: BorrowedFd<'_>, meta: &Meta, refused: &mut Refusals) -> Mode {
    let mut mode = Mode::from_raw_mode(meta.mode);
    if !mode.intersects(Mode::SUID | Mode::SGID) {
        return mode;
    }
    let is = rustix::fs::fstat(open).map_or((None, None), |stat| (Some(stat.st_uid), Some(stat.st_gid)));
    let bits = [
        (Mode::SUID, is.0 == Some(meta.uid), "the set-user-id bit not restored: it belongs to another user"),
        (Mode::SGID, is.1 == Some(meta.gid), "the set-group-id bit not restored: it belongs to another group"),
    ];
    for (bit, is_right, what) in bits {
        if mode.contains(bit) && !is_right {
            mode.remove(bit);
            refused.0.push(what.into());
        }
    }
    mode
}

/// Gives a file or a folder that is open its metadata. The owner comes first, as the kernel takes set-id bits and capabilities away
/// when it changes; the time comes last, as everything else may change it and because it says that all is done.
pub(crate) fn apply(open: impl AsFd, meta: &Meta) -> Refusals {
    let open = open.as_fd();
    let mut refused = Refusals::default();
    if rustix::process::geteuid().is_root() {
        let (uid, gid) = owner(meta);
        refused.note("the owner", rustix::fs::fchown(open, uid, gid).map_err(Into::into));
    } else {
        // A group that the user is in may be given; another stays away without a word, as the owner does.
        let _ = rustix::fs::fchown(open, None, owner(meta).1);
    }
    for xattr in &meta.xattrs {
        let set = |name: CString| Ok(rustix::fs::fsetxattr(open, &*name, &xattr.value, XattrFlags::empty())?);
        refused.note("an extended attribute", xattr_name(xattr).and_then(set));
    }
    let mode = permitted(open, meta, &mut refused);
    refused.note("the permissions", rustix::fs::fchmod(open, mode).map_err(Into::into));
    refused.note("the time of change", rustix::fs::futimens(open, &times(meta)).map_err(Into::into));
    refused
}

/// Gives what has this name in a folder its metadata: a link, a pipe, a socket, a device.
///
/// # Errors
/// The folder is gone.
pub(crate) fn apply_in(folder: &Arc<Folder>, name: &CStr, meta: &Meta, is_link: bool) -> io::Result<Refusals> {
    let handle = folder.handle()?;
    let mut refused = Refusals::default();
    if rustix::process::geteuid().is_root() {
        let (uid, gid) = owner(meta);
        let done = rustix::fs::chownat(&*handle, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
        refused.note("the owner", done.map_err(Into::into));
    }
    for xattr in &meta.xattrs {
        let set = |xattr_name: CString| {
            folder.short_path(name, |path| {
                Ok(rustix::fs::lsetxattr(path, &*xattr_name, &xattr.value, XattrFlags::empty())?)
            })
        };
        refused.note("an extended attribute", xattr_name(xattr).and_then(set));
    }
    if !is_link {
        refused.note("the permissions", set_mode_in(folder, name, meta.mode));
    }
    let done = rustix::fs::utimensat(&*handle, name, &times(meta), AtFlags::SYMLINK_NOFOLLOW);
    refused.note("the time of change", done.map_err(Into::into));
    Ok(refused)
}

/// Sets the permissions of what has this name in a folder, unless it is a link: no system call of old refuses to follow one.
///
/// # Errors
/// What the system said.
pub(crate) fn set_mode_in(folder: &Arc<Folder>, name: &CStr, mode: u32) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let itself = rustix::fs::openat(&*folder.handle()?, name, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}", itself.as_raw_fd());
    Ok(rustix::fs::chmod(path, Mode::from_raw_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set-id bit that is given to whoever restores would let others act as that user.
    #[test]
    fn set_id_bits_go_to_their_owner_alone() {
        let file = tempfile::tempfile().unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        let given = |uid, gid| {
            let (meta, mut refused) = (Meta { mode: 0o6755, uid, gid, ..Meta::default() }, Refusals::default());
            (permitted(file.as_fd(), &meta, &mut refused).as_raw_mode(), refused.0.len())
        };
        assert_eq!(given(stat.st_uid, stat.st_gid), (0o6755, 0));
        assert_eq!(given(stat.st_uid + 1, stat.st_gid), (0o2755, 1));
        assert_eq!(given(stat.st_uid, stat.st_gid + 1), (0o4755, 1));
    }
}

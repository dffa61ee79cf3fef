//! Metadata, read from the system.

use std::ffi::CStr;
use std::fs::Metadata;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use bailee_archive::limits::XATTR_TOTAL_BYTES;
use bailee_archive::tree::{Meta, Time, Xattr};
use rustix::fs::Stat;
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
    xattrs_at(path)
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
    folder.short_path(name, |path| xattrs_at(path))
}

fn xattrs_at(path: impl rustix::path::Arg + Copy) -> io::Result<Vec<Xattr>> {
    collect(|buffer| rustix::fs::llistxattr(path, buffer), |name, buffer| rustix::fs::lgetxattr(path, name, buffer))
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

//! Metadata, read from the system and given back to it.

use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use bailee_archive::limits::XATTR_TOTAL_BYTES;
use bailee_archive::tree::{Meta, Time, Xattr};
use filetime::FileTime;

/// The metadata of an entry, without its extended attributes.
pub(crate) fn of(metadata: &Metadata) -> Meta {
    Meta {
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mtime: Time { seconds: metadata.mtime(), nanoseconds: metadata.mtime_nsec() as u32 },
        xattrs: Vec::new(),
    }
}

/// The extended attributes of an entry itself, ascending by name.
///
/// # Errors
/// What the system said; `InvalidData` when they are too large to be kept. A file system without them has none.
pub(crate) fn xattrs(path: &Path) -> io::Result<Vec<Xattr>> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    let mut total = 0;
    for name in names {
        let Some(value) = xattr::get(path, &name)? else { continue };
        total += name.len() + value.len();
        if total > XATTR_TOTAL_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many bytes of extended attributes"));
        }
        all.push(Xattr { name: name.as_bytes().to_vec().into(), value: value.into() });
    }
    all.sort();
    Ok(all)
}

/// Gives an entry its metadata; says what the system did not allow. The time comes last: everything else may change it.
pub(crate) fn apply(path: &Path, meta: &Meta, is_link: bool) -> Vec<String> {
    let mut refused = Vec::new();
    let mut note = |what: &str, done: io::Result<()>| {
        if let Err(error) = done {
            refused.push(format!("{what} not restored: {error}"));
        }
    };
    for xattr in &meta.xattrs {
        note("an extended attribute", xattr::set(path, std::ffi::OsStr::from_bytes(&xattr.name), &xattr.value));
    }
    if rustix::process::geteuid().is_root() {
        note("the owner", std::os::unix::fs::lchown(path, Some(meta.uid), Some(meta.gid)));
    }
    if !is_link {
        note("the permissions", std::fs::set_permissions(path, std::fs::Permissions::from_mode(meta.mode)));
    }
    let time = FileTime::from_unix_time(meta.mtime.seconds, meta.mtime.nanoseconds);
    note("the time of change", filetime::set_symlink_file_times(path, time, time));
    refused
}

//! How two folders differ: kinds, bytes, names, links, metadata.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{FilesError, shown};
use crate::meta;

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path, relative to both folders.
    pub path: PathBuf,
    /// What differs.
    pub what: &'static str,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", shown(&self.path), self.what)
    }
}

/// The first name that was seen of a file with several, on either side.
type FirstNames = HashMap<(u64, u64), PathBuf>;

/// Every difference, in the order of the walk. Content is compared byte for byte; so are link targets, permission bits, owners,
/// times of change to the nanosecond, extended attributes, and which names are one file.
///
/// # Errors
/// `Io`: something could not be read, so that nothing can be said.
pub fn compare(left: &Path, right: &Path) -> Result<Vec<Difference>, FilesError> {
    let mut found = Vec::new();
    let (mut first_left, mut first_right) = (FirstNames::new(), FirstNames::new());
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        let (a, b) = (left.join(&path), right.join(&path));
        let (a_meta, b_meta) = (look(&a)?, look(&b)?);
        let mut differ = |what| found.push(Difference { path: path.clone(), what });
        if a_meta.file_type() != b_meta.file_type() {
            differ("another kind");
            continue;
        }
        for what in metadata(&a, &a_meta, &b, &b_meta)? {
            differ(what);
        }
        if first_name(&mut first_left, &a_meta, &path) != first_name(&mut first_right, &b_meta, &path) {
            differ("linked to another name");
        }
        if a_meta.is_dir() {
            let (inside_a, inside_b) = (names(&a)?, names(&b)?);
            for name in inside_a.symmetric_difference(&inside_b) {
                let what = if inside_a.contains(name) { "missing on the right" } else { "missing on the left" };
                found.push(Difference { path: path.join(name), what });
            }
            open.extend(inside_a.intersection(&inside_b).map(|name| path.join(name)));
        } else if a_meta.is_symlink() {
            if fs::read_link(&a).map_err(FilesError::io("reading", &a))?
                != fs::read_link(&b).map_err(FilesError::io("reading", &b))?
            {
                differ("another target");
            }
        } else if a_meta.is_file() && !same_content(&a, &b)? {
            differ("other content");
        }
    }
    Ok(found)
}

fn look(path: &Path) -> Result<Metadata, FilesError> {
    fs::symlink_metadata(path).map_err(FilesError::io("reading", path))
}

fn names(folder: &Path) -> Result<BTreeSet<OsString>, FilesError> {
    let entries = fs::read_dir(folder).map_err(FilesError::io("reading", folder))?;
    entries.map(|entry| entry.map(|entry| entry.file_name()).map_err(FilesError::io("reading", folder))).collect()
}

/// The name under which a file was seen first. Names that it has elsewhere, outside of the folder, are nothing to the folder.
fn first_name(seen: &mut FirstNames, metadata: &Metadata, path: &Path) -> PathBuf {
    let has_several = metadata.is_file() && metadata.nlink() > 1;
    let own = || path.to_path_buf();
    if has_several { seen.entry((metadata.dev(), metadata.ino())).or_insert_with(own).clone() } else { own() }
}

fn metadata(a: &Path, a_meta: &Metadata, b: &Path, b_meta: &Metadata) -> Result<Vec<&'static str>, FilesError> {
    let (left, right) = (meta::of_metadata(a_meta), meta::of_metadata(b_meta));
    let mut found = Vec::new();
    if !a_meta.is_symlink() && left.mode != right.mode {
        found.push("other permissions");
    }
    if (left.uid, left.gid) != (right.uid, right.gid) {
        found.push("another owner");
    }
    if left.mtime != right.mtime {
        found.push("another time of change");
    }
    let xattrs = |path: &Path| meta::xattrs(path).map_err(FilesError::io("reading the extended attributes of", path));
    if xattrs(a)? != xattrs(b)? {
        found.push("other extended attributes");
    }
    if a_meta.rdev() != b_meta.rdev() {
        found.push("another device number");
    }
    Ok(found)
}

fn same_content(a: &Path, b: &Path) -> Result<bool, FilesError> {
    let open = |path: &Path| File::open(path).map_err(FilesError::io("opening", path));
    let (mut a_file, mut b_file) = (open(a)?, open(b)?);
    let (mut a_part, mut b_part) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let a_read = fill(&mut a_file, &mut a_part).map_err(FilesError::io("reading", a))?;
        let b_read = fill(&mut b_file, &mut b_part).map_err(FilesError::io("reading", b))?;
        if a_part[..a_read] != b_part[..b_read] {
            return Ok(false);
        }
        if a_read == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read(&mut buffer[done..])? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

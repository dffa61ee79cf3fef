//! What tests of the walk need and no program does.

use bailee_archive::TreePath;

use crate::meta::State;
use crate::walk::ManyNames;

/// The first name of each name in turn, of files that are given by file system, inode and number of names; none where it is this one.
pub fn first_names(names: &[(u64, u64, u64, TreePath)]) -> Vec<Option<TreePath>> {
    let mut met = ManyNames::default();
    let first = |(dev, ino, links, path): &(u64, u64, u64, TreePath)| {
        met.first(&State { dev: *dev, ino: *ino, ..State::default() }, *links, || path.clone())
    };
    names.iter().map(first).collect()
}

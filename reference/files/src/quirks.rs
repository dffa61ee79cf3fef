//! Bugs that a test can switch on (feature `testing`); without it none can be.

bailee_core::quirks! {
    /// The extended attributes of symbolic links are left out.
    LinkXattrsDropped = "link-xattrs-dropped",
    /// Names are one file if their inodes have one number, on whatever file systems they are.
    HardLinkByInode = "hard-link-by-inode",
}

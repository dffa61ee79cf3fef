//! Folders on disk: scan, metadata, restore.

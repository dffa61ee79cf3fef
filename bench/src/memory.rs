//! A folder in memory, and a store that counts and drops: the block path alone, without disk and file system.

use std::collections::BTreeMap;
use std::io;

use bailee_archive::tree::{Entry, EntryKind, Meta, Time};
use bailee_archive::{
    Archive, ArchiveError, ArchiveKeys, BackUp, Closed, Counters, DeviceId, Files, Journal, Plan, Planned, ReadStore,
    Store, System, Totals, TreePath,
};
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::sign::Signing;

use crate::corpus::text_in_memory;
use crate::dice::Dice;

/// Files below one directory of a folder in memory.
const FILES_OF_A_DIRECTORY: usize = 100;
/// The length of incompressible files, in bytes.
const NOISE_FILE_BYTES: usize = 16 << 20;

/// Keys for benches: fixed, and so good for nothing else.
pub fn keys() -> ArchiveKeys {
    let owner = Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 };
    ArchiveKeys::new(&Secret::take(&mut [7; 32]), &owner)
}

/// The device that signs in benches.
pub fn device() -> Signing {
    Signing::from_seed(&[3; 32])
}

/// The device whose archives benches open.
pub fn trusted() -> [DeviceId; 1] {
    [DeviceId(device().public())]
}

/// Bytes that nothing compresses.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Dice::new(seed, 0).fill(&mut bytes);
    bytes
}

/// A folder in memory: directories of a hundred files each.
pub struct MemoryFolder {
    files: Vec<(TreePath, Vec<u8>)>,
}

impl MemoryFolder {
    /// A folder of files with these contents.
    ///
    /// # Errors
    /// None in practice: the names are short.
    pub fn new(contents: Vec<Vec<u8>>) -> Result<Self, ArchiveError> {
        let named = |(number, content)| {
            let path = directory(number / FILES_OF_A_DIRECTORY)?.join(format!("file_{number:06}.txt").as_bytes())?;
            Ok((path, content))
        };
        Ok(MemoryFolder { files: contents.into_iter().enumerate().map(named).collect::<Result<_, _>>()? })
    }

    /// Text as `cargo peers` makes it, about so many bytes.
    ///
    /// # Errors
    /// As [`MemoryFolder::new`].
    pub fn text(seed: u64, bytes: usize) -> Result<Self, ArchiveError> {
        MemoryFolder::new(text_in_memory(seed, bytes))
    }

    /// So many bytes that nothing compresses, in files of 16 MiB.
    ///
    /// # Errors
    /// As [`MemoryFolder::new`].
    pub fn noise(seed: u64, bytes: usize) -> Result<Self, ArchiveError> {
        MemoryFolder::new(noise(seed, bytes).chunks(NOISE_FILE_BYTES).map(<[u8]>::to_vec).collect())
    }

    /// The contents, in the order of paths.
    pub fn contents(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.files.iter().map(|(_, content)| content.as_slice())
    }

    /// The paths, in order.
    pub fn paths(&self) -> impl Iterator<Item = &TreePath> {
        self.files.iter().map(|(path, _)| path)
    }

    /// The sum of the files' lengths.
    pub fn bytes(&self) -> u64 {
        self.contents().map(|content| content.len() as u64).sum()
    }

    /// A plan to read everything.
    pub fn plan(&self) -> FolderPlan<'_> {
        FolderPlan { folder: self, known: None, next: 0, at: Step::Root }
    }

    /// A plan in which every file is known by the items that [`Items`] heard.
    pub fn known_plan<'a>(&'a self, items: &'a Items) -> FolderPlan<'a> {
        FolderPlan { known: Some(&items.0), ..self.plan() }
    }
}

fn directory(number: usize) -> Result<TreePath, ArchiveError> {
    TreePath::root().join(format!("directory_{number:05}").as_bytes())
}

/// What a plan names next.
enum Step {
    Root,
    Directory,
    File,
}

/// A plan over a folder in memory. A file is its number.
pub struct FolderPlan<'a> {
    folder: &'a MemoryFolder,
    known: Option<&'a [Vec<u8>]>,
    next: usize,
    at: Step,
}

impl Plan for FolderPlan<'_> {
    type File = usize;

    fn next(&mut self) -> Option<Planned<usize>> {
        let entry = |path| Planned::Entry(Entry { path, meta: Meta::default(), kind: EntryKind::Directory });
        if matches!(self.at, Step::Root) {
            self.at = Step::Directory;
            return Some(entry(TreePath::root()));
        }
        let file = self.next;
        let (_, content) = self.folder.files.get(file)?;
        if matches!(self.at, Step::Directory) {
            self.at = Step::File;
            return directory(file / FILES_OF_A_DIRECTORY).ok().map(entry);
        }
        self.next += 1;
        if self.next.is_multiple_of(FILES_OF_A_DIRECTORY) {
            self.at = Step::Directory;
        }
        Some(match self.known {
            Some(items) => Planned::Known { file, items: items[file].clone() },
            None => Planned::File { file, size: content.len() as u64 },
        })
    }
}

impl Files for MemoryFolder {
    type File = usize;
    type Open = usize;

    fn open(&self, file: &usize) -> io::Result<usize> {
        Ok(*file)
    }

    fn read_at(&self, open: &usize, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.files[*open].1.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn close(&self, file: &usize, _: &usize, _: u64) -> Closed {
        Closed { path: self.path(file), meta: Meta::default(), changed: false, sparse: false }
    }

    fn path(&self, file: &usize) -> TreePath {
        self.files[*file].0.clone()
    }
}

/// A journal that keeps the items of every file, in the order of paths. Nothing in memory is left out or refused.
#[derive(Default)]
pub struct Items(Vec<Vec<u8>>);

impl Journal for Items {
    type File = usize;

    fn stored(&mut self, _: &usize, items: &[u8]) {
        self.0.push(items.to_vec());
    }

    fn left_out(&mut self, file: &usize, error: &io::Error) {
        unreachable!("file {file} lies in memory: {error}");
    }

    fn refused(&mut self, path: &TreePath, error: &ArchiveError) {
        unreachable!("{path}: {error}");
    }
}

/// A journal that keeps nothing.
pub struct Deaf;

impl Journal for Deaf {
    type File = usize;

    fn stored(&mut self, _: &usize, _: &[u8]) {}

    fn left_out(&mut self, file: &usize, error: &io::Error) {
        unreachable!("file {file} lies in memory: {error}");
    }

    fn refused(&mut self, path: &TreePath, error: &ArchiveError) {
        unreachable!("{path}: {error}");
    }
}

/// A new archive in an empty store.
///
/// # Errors
/// What the store says.
pub fn fresh<S: Store + Default>() -> Result<Archive<S>, ArchiveError> {
    Archive::create(S::default(), keys(), &System)
}

/// Backs a plan up at the usual settings but for the threads.
///
/// # Errors
/// As [`Archive::back_up`].
pub fn back_up<S: Store>(
    archive: Archive<S>,
    folder: &MemoryFolder,
    plan: FolderPlan<'_>,
    journal: &mut impl Journal<File = usize>,
    threads: usize,
) -> Result<(Archive<S>, Totals), ArchiveError> {
    let (device, counters) = (device(), Counters::default());
    let how = BackUp { threads, ..BackUp::new(&device, Time::default(), &System, &counters) };
    archive.back_up(plan, folder, journal, &how)
}

/// A store that counts what it is given and drops it. Only what segments begin with can be read back.
#[derive(Debug, Default)]
pub struct NullStore {
    segments: BTreeMap<u64, (Vec<u8>, u64)>,
}

impl NullStore {
    fn segment(&self, segment: u64) -> io::Result<&(Vec<u8>, u64)> {
        self.segments.get(&segment).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn segment_mut(&mut self, segment: u64) -> io::Result<&mut (Vec<u8>, u64)> {
        self.segments.get_mut(&segment).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl ReadStore for NullStore {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.segments.keys().copied().collect())
    }

    fn length(&self, segment: u64) -> io::Result<u64> {
        Ok(self.segment(segment)?.1)
    }

    fn read(&self, segment: u64, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let head = &self.segment(segment)?.0;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = head.get(from..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Store for NullStore {
    fn claim(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn create(&mut self, segment: u64, content: &[u8]) -> io::Result<()> {
        self.segments.insert(segment, (content.to_vec(), content.len() as u64));
        Ok(())
    }

    fn append(&mut self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        self.segment_mut(segment)?.1 += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, segment: u64, length: u64) -> io::Result<()> {
        self.segment_mut(segment)?.1 = length;
        Ok(())
    }

    fn remove(&mut self, segments: &[u64]) -> io::Result<()> {
        if segments.iter().any(|segment| !self.segments.contains_key(segment)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.segments.retain(|segment, _| !segments.contains(segment));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bailee_archive::MemoryStore;

    use super::*;

    #[test]
    fn a_null_store_is_given_what_a_memory_store_keeps() {
        let folder = MemoryFolder::text(1, 3_000_000).unwrap();
        let (kept, all) = back_up(fresh::<MemoryStore>().unwrap(), &folder, folder.plan(), &mut Deaf, 2).unwrap();
        let (dropped, same) = back_up(fresh::<NullStore>().unwrap(), &folder, folder.plan(), &mut Deaf, 2).unwrap();
        assert_eq!((all.entries, all.read, all.new), (same.entries, same.read, same.new));
        assert_eq!(all.read, folder.bytes());
        let given: u64 = dropped.into_store().segments.values().map(|(_, length)| length).sum();
        let stored: usize = kept.into_store().segments.values().map(Vec::len).sum();
        // Manifests differ by a byte or two, where times and digests do not.
        assert!(given.abs_diff(stored as u64) < 64, "{given} of {stored}");
    }

    #[test]
    fn a_known_folder_stores_no_content_again() {
        let folder = MemoryFolder::text(2, 2_000_000).unwrap();
        let mut items = Items::default();
        let (archive, _) = back_up(fresh::<NullStore>().unwrap(), &folder, folder.plan(), &mut items, 1).unwrap();
        let (_, again) = back_up(archive, &folder, folder.known_plan(&items), &mut Deaf, 1).unwrap();
        assert_eq!((again.bytes, again.read, again.new), (folder.bytes(), 0, 0));
    }
}

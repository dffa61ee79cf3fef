//! The catalogue: which files the last version has, how they were then, and what of the tree is theirs. It spares the next backup
//! from reading what did not change.
//!
//! ```text
//! catalogue = magic (16) ‖ format (1) ‖ archive (16) ‖ digest of the version (32) ‖ begun (8 + 4) ‖ BLAKE3 of these (32) ‖ frame*
//! frame     = length (4) ‖ BLAKE3 of archive, begun, number of the frame and records (32) ‖ record*
//! record    = shared (4) ‖ rest (4) ‖ dev (8) ‖ ino (8) ‖ size (8) ‖ mtime (8 + 4) ‖ ctime (8 + 4) ‖ items (4) ‖ rest ‖ items
//! ```
//!
//! Numbers are little-endian. Records ascend by their keys; a key is the first `shared` bytes of the one before and `rest`. The
//! last frame is empty: a catalogue without it was cut. It is read in the order of the walk, so that one frame is in memory.
//!
//! It is a local file of mode 0600 beside the keys of the device, and not a part of the archive. It holds names and chunk ids of
//! files that lie in clear on the same machine. Nothing depends on it: it is written beside the old one and renamed, without being
//! made durable, since a catalogue that a crash damaged is noticed and only costs the next backup a full reading.
//!
//! **What is taken for unchanged.** A file counts as unchanged if device, inode, length, mtime and ctime are those of the record.
//! The kernel sets ctime at every change, and no program can set it; but its clock has ticks, so a file that was read and then
//! changed within the same tick looks the same (git calls it racily clean). So a record counts only if both times are older than
//! the beginning of the backup that read the file, by more than the coarsest tick: a later change has then a later ctime. One kind
//! of change can escape: of several stores through a shared mapping, only the first moves ctime until the kernel has written the
//! page, by default within half a minute. Where programs write so, and are not paused or closed for a backup, a file may be kept
//! as it was between two such stores until its ctime moves again; without its catalogue a backup reads everything.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bailee_archive::tree::Time;
use bailee_archive::{ArchiveId, Digest, TreePath};

use crate::meta::State;

const MAGIC: &[u8; 16] = b"bailee-catalogue";
const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 16 + 1 + 16 + 32 + 12;
const HASH_BYTES: usize = 32;
const FIXED_BYTES: usize = 4 + 4 + 8 + 8 + 8 + 12 + 12 + 4;
/// A frame is closed when it is this long. One record may be longer: that of a very large file.
const FRAME_BYTES: usize = 256 * 1024;
/// The longest key, in bytes: the most components of the longest names.
const KEY_BYTES: usize = bailee_archive::limits::PATH_COMPONENTS * (bailee_archive::limits::COMPONENT_BYTES + 1);
/// The coarsest tick of a file system's clock, in seconds: that of FAT.
pub(crate) const TICK_SECONDS: i64 = 2;

/// The key of a name in a folder: bytes that compare as paths do.
pub(crate) fn key(folder: &TreePath, name: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(folder.key());
    if !folder.is_root() {
        out.push(0);
    }
    out.extend_from_slice(name);
}

/// What the beginning of a catalogue says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    archive: ArchiveId,
    version: Digest,
    /// When the backup began that wrote it.
    begun: Time,
}

impl Head {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + HASH_BYTES);
        out.extend_from_slice(MAGIC);
        out.push(FORMAT);
        out.extend_from_slice(&self.archive.0);
        out.extend_from_slice(&self.version.0);
        put_time(&mut out, self.begun);
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Result<Head, &'static str> {
        let (head, hash) = bytes.split_at_checked(HEAD_BYTES).ok_or(CUT)?;
        let mut fields = Fields(head);
        if fields.array()? != *MAGIC {
            return Err("it is no catalogue");
        }
        if fields.array()? != [FORMAT] {
            return Err("it has another format");
        }
        if blake3::hash(head).as_bytes() != hash {
            return Err(DAMAGED);
        }
        let (archive, version) = (ArchiveId(fields.array()?), Digest(fields.array()?));
        Ok(Head { archive, version, begun: fields.time()? })
    }

    /// The hash of a frame: it holds for this place in this catalogue alone.
    fn frame_hash(&self, number: u64, records: &[u8]) -> [u8; HASH_BYTES] {
        let mut bound = Vec::with_capacity(64);
        bound.extend_from_slice(&self.archive.0);
        put_time(&mut bound, self.begun);
        bound.extend_from_slice(&number.to_le_bytes());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bound).update(records);
        *hasher.finalize().as_bytes()
    }
}

const CUT: &str = "it ends too early";
const DAMAGED: &str = "it is damaged";

fn put_time(out: &mut Vec<u8>, time: Time) {
    out.extend_from_slice(&time.seconds.to_le_bytes());
    out.extend_from_slice(&time.nanoseconds.to_le_bytes());
}

/// Fields off the front of bytes.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DAMAGED)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DAMAGED)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, &'static str> {
        self.array().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Result<Time, &'static str> {
        Ok(Time { seconds: self.array().map(i64::from_le_bytes)?, nanoseconds: self.u32()? })
    }
}

/// What a catalogue says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It has no such file.
    New,
    /// The file was another then, or too young to tell.
    Changed,
    /// It is as it was; the items of the tree that are its own.
    Unchanged(Vec<u8>),
}

/// Reads a catalogue, from the first key to the last.
pub(crate) struct Catalogue {
    file: File,
    /// Bytes of the file that were not read yet: nothing longer is ever allocated.
    left: u64,
    head: Head,
    frames: u64,
    frame: Vec<u8>,
    /// Where the next record begins in the frame.
    at: usize,
    key: Vec<u8>,
    state: State,
    items: std::ops::Range<usize>,
    /// Whether `key` and what follows are a record, and not yet or no longer one.
    has_record: bool,
    trouble: Option<&'static str>,
}

impl Catalogue {
    /// Opens the catalogue of a version that the archive still has. None: there is no catalogue yet.
    ///
    /// # Errors
    /// Why it is not used.
    pub(crate) fn open(
        path: &Path,
        archive: ArchiveId,
        has_version: impl Fn(&Digest) -> bool,
    ) -> Result<Option<Catalogue>, String> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let mut file = match OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let mut bytes = [0; HEAD_BYTES + HASH_BYTES];
        file.read_exact(&mut bytes).map_err(|_| CUT)?;
        let head = Head::decode(&bytes)?;
        if head.archive != archive {
            return Err("it is of another archive".into());
        }
        if !has_version(&head.version) {
            return Err("the archive no longer has the version that it is of".into());
        }
        Ok(Some(Catalogue {
            file,
            left: length.saturating_sub(bytes.len() as u64),
            head,
            frames: 0,
            frame: Vec::new(),
            at: 0,
            key: Vec::new(),
            state: State::default(),
            items: 0..0,
            has_record: false,
            trouble: None,
        }))
    }

    /// What it says of a file. Keys are to be asked for in ascending order.
    pub(crate) fn find(&mut self, key: &[u8], state: &State) -> Finding {
        while (!self.has_record || *self.key < *key) && self.trouble.is_none() {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => {
                    self.has_record = false;
                    return Finding::New;
                }
                Err(trouble) => self.stop(trouble),
            }
        }
        if self.trouble.is_some() || self.key != key {
            return Finding::New;
        }
        if self.state != *state || !self.is_settled() {
            return Finding::Changed;
        }
        Finding::Unchanged(self.frame[self.items.clone()].to_vec())
    }

    /// Why reading it stopped, if it did. What came before was whole.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        self.trouble
    }

    fn stop(&mut self, trouble: &'static str) {
        self.trouble = Some(trouble);
        self.has_record = false;
    }

    /// Whether a change after the file was read must have given it another ctime.
    fn is_settled(&self) -> bool {
        let Some(seconds) = self.head.begun.seconds.checked_sub(TICK_SECONDS) else { return false };
        let limit = Time { seconds, ..self.head.begun };
        self.state.mtime < limit && self.state.ctime < limit
    }

    /// The next record; none after the last.
    fn advance(&mut self) -> Result<bool, &'static str> {
        if self.at == self.frame.len() && !self.next_frame()? {
            return Ok(false);
        }
        let mut fields = Fields(&self.frame[self.at..]);
        let (shared, rest) = (fields.u32()? as usize, fields.u32()? as usize);
        let (dev, ino, size) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let state = State { dev, ino, size, mtime: fields.time()?, ctime: fields.time()? };
        let items = fields.u32()? as usize;
        if shared > self.key.len() || rest > KEY_BYTES || shared + rest > KEY_BYTES {
            return Err(DAMAGED);
        }
        let rest = fields.take(rest)?;
        let ascends = rest > &self.key[shared..];
        fields.take(items)?;
        if !ascends {
            return Err(DAMAGED);
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(rest);
        self.at = self.frame.len() - fields.0.len();
        self.items = self.at - items..self.at;
        self.state = state;
        self.has_record = true;
        Ok(true)
    }

    /// The next frame; none after the empty one, behind which nothing is looked at.
    fn next_frame(&mut self) -> Result<bool, &'static str> {
        if self.frames == 0 || !self.frame.is_empty() {
            self.read_frame()?;
        }
        Ok(!self.frame.is_empty())
    }

    fn read_frame(&mut self) -> Result<(), &'static str> {
        let mut head = [0; 4 + HASH_BYTES];
        self.left = self.left.checked_sub(head.len() as u64).ok_or(CUT)?;
        self.file.read_exact(&mut head).map_err(|_| CUT)?;
        let mut fields = Fields(&head);
        let (length, hash): (u32, [u8; HASH_BYTES]) = (fields.u32()?, fields.array()?);
        self.left = self.left.checked_sub(length.into()).ok_or(CUT)?;
        self.frame.clear();
        self.frame.resize(length as usize, 0);
        self.at = 0;
        self.file.read_exact(&mut self.frame).map_err(|_| CUT)?;
        if self.head.frame_hash(self.frames, &self.frame) != hash {
            return Err(DAMAGED);
        }
        self.frames += 1;
        Ok(())
    }
}

/// Writes a catalogue beside the one that there is.
pub(crate) struct Recorder {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    head: Head,
    frames: u64,
    frame: Vec<u8>,
    last: Vec<u8>,
    failed: Option<io::Error>,
}

impl Recorder {
    /// Begins; `begun` is the time before anything of the backup was looked at.
    ///
    /// # Errors
    /// What the system said; `WouldBlock` if another backup is writing the same catalogue.
    pub(crate) fn create(path: &Path, archive: ArchiveId, begun: Time) -> io::Result<Recorder> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(flags.bits() as i32)
            .open(&temporary)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(io::ErrorKind::WouldBlock, "another backup is writing it"),
            TryLockError::Error(error) => error,
        })?;
        file.set_len(0)?;
        // The digest of the version is known at its end: until then the head is that of no version.
        let head = Head { archive, version: Digest([0; 32]), begun };
        file.write_all(&[0; HEAD_BYTES + HASH_BYTES])?;
        Ok(Recorder {
            path: path.to_path_buf(),
            temporary,
            file,
            head,
            frames: 0,
            frame: Vec::with_capacity(FRAME_BYTES),
            last: Vec::new(),
            failed: None,
        })
    }

    /// The catalogue and where it is written until it is whole.
    pub(crate) fn places(&self) -> [&Path; 2] {
        [&self.path, &self.temporary]
    }

    /// Adds a file. A file whose record cannot be kept is read again the next time.
    pub(crate) fn add(&mut self, key: &[u8], state: &State, items: &[u8]) {
        let shared = self.last.iter().zip(key).take_while(|(a, b)| a == b).count();
        let rest = &key[shared..];
        let Ok(items_length) = u32::try_from(items.len()) else { return };
        if key <= &self.last[..] {
            return;
        }
        if self.frame.len() + FIXED_BYTES + rest.len() + items.len() > FRAME_BYTES {
            self.end_frame();
        }
        let out = &mut self.frame;
        out.extend_from_slice(&(shared as u32).to_le_bytes());
        out.extend_from_slice(&(rest.len() as u32).to_le_bytes());
        for number in [state.dev, state.ino, state.size] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_time(out, state.mtime);
        put_time(out, state.ctime);
        out.extend_from_slice(&items_length.to_le_bytes());
        out.extend_from_slice(rest);
        out.extend_from_slice(items);
        self.last.truncate(shared);
        self.last.extend_from_slice(rest);
    }

    fn end_frame(&mut self) {
        if !self.frame.is_empty() {
            self.write_frame();
        }
    }

    fn write_frame(&mut self) {
        if self.failed.is_none() && u32::try_from(self.frame.len()).is_err() {
            self.failed = Some(io::ErrorKind::FileTooLarge.into());
        }
        if self.failed.is_none() {
            let mut head = (self.frame.len() as u32).to_le_bytes().to_vec();
            head.extend_from_slice(&self.head.frame_hash(self.frames, &self.frame));
            self.failed = self.file.write_all(&head).and_then(|()| self.file.write_all(&self.frame)).err();
        }
        self.frames += 1;
        self.frame.clear();
    }

    /// Puts it in the place of the one before it: from now on it speaks for this version.
    ///
    /// # Errors
    /// What the system said, now or earlier. The catalogue before it stays.
    pub(crate) fn finish(mut self, version: Digest) -> io::Result<()> {
        self.end_frame();
        self.write_frame();
        let done = match self.failed.take() {
            Some(error) => Err(error),
            None => self.put_in_place(version),
        };
        if done.is_err() {
            let _ = std::fs::remove_file(&self.temporary);
        }
        done
    }

    fn put_in_place(&mut self, version: Digest) -> io::Result<()> {
        self.head.version = version;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&self.head.encode())?;
        std::fs::rename(&self.temporary, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ARCHIVE: ArchiveId = ArchiveId([1; 16]);
    const VERSION: Digest = Digest([2; 32]);
    const BEGUN: Time = Time { seconds: 1_000_000, nanoseconds: 5 };

    fn state(number: u64, ctime: i64) -> State {
        let time = Time { seconds: ctime, nanoseconds: 3 };
        State { dev: 7, ino: number, size: number * 10, mtime: Time { seconds: -5, nanoseconds: 1 }, ctime: time }
    }

    /// A catalogue of this many files in folders of ten.
    fn written(files: u64) -> Vec<u8> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("catalogue");
        let mut recorder = Recorder::create(&path, ARCHIVE, BEGUN).unwrap();
        for number in 0..files {
            recorder.add(&key_of(number), &state(number, 100), &items_of(number));
        }
        recorder.finish(VERSION).unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
        std::fs::read(path).unwrap()
    }

    fn key_of(number: u64) -> Vec<u8> {
        let folder = TreePath::root().join(format!("{:08}", number / 10).as_bytes()).unwrap();
        let mut out = Vec::new();
        key(&folder, format!("{}", number % 10).as_bytes(), &mut out);
        out
    }

    fn items_of(number: u64) -> Vec<u8> {
        vec![number as u8; (number % 100) as usize * 30]
    }

    fn opened(bytes: &[u8]) -> Result<Option<Catalogue>, String> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("catalogue");
        std::fs::write(&path, bytes).unwrap();
        Catalogue::open(&path, ARCHIVE, |digest| *digest == VERSION)
    }

    #[test]
    fn what_was_written_is_found_and_nothing_else() {
        let bytes = written(2_000);
        assert!(bytes.len() > 3 * FRAME_BYTES);
        let mut catalogue = opened(&bytes).unwrap().unwrap();
        assert_eq!(catalogue.find(b"", &state(0, 100)), Finding::New);
        for number in 0..2_000 {
            match number % 7 {
                0 => {}
                1 => assert_eq!(catalogue.find(&key_of(number), &state(number, 99)), Finding::Changed),
                2 => assert_eq!(catalogue.find(&key_of(number), &state(number + 1, 100)), Finding::Changed),
                _ => {
                    let found = catalogue.find(&key_of(number), &state(number, 100));
                    assert_eq!(found, Finding::Unchanged(items_of(number)));
                    assert_eq!(
                        catalogue.find(&[&key_of(number)[..], b"x"].concat(), &state(number, 100)),
                        Finding::New
                    );
                }
            }
        }
        assert_eq!(catalogue.find(&key_of(2_000), &state(2_000, 100)), Finding::New);
        assert_eq!(catalogue.find(&key_of(1_999), &state(1_999, 100)), Finding::New, "it was passed");
        assert_eq!(catalogue.trouble(), None);
    }

    #[test]
    fn what_is_too_young_counts_as_changed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("catalogue");
        let mut recorder = Recorder::create(&path, ARCHIVE, BEGUN).unwrap();
        let cases = [
            (BEGUN.seconds - 3, true),
            (BEGUN.seconds - 2, true),
            (BEGUN.seconds - 1, false),
            (BEGUN.seconds, false),
        ];
        for (number, (ctime, _)) in (0..).zip(cases) {
            recorder.add(&key_of(number), &state(number, ctime), b"items");
        }
        recorder.finish(VERSION).unwrap();
        let mut catalogue = Catalogue::open(&path, ARCHIVE, |_| true).unwrap().unwrap();
        for (number, (ctime, settled)) in (0..).zip(cases) {
            let found = catalogue.find(&key_of(number), &state(number, ctime));
            assert_eq!(found == Finding::Unchanged(b"items".to_vec()), settled, "{ctime}");
        }
    }

    #[test]
    fn another_writer_waits_for_nobody_and_a_crash_leaves_nothing_in_the_way() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("catalogue");
        let first = Recorder::create(&path, ARCHIVE, BEGUN).unwrap();
        assert_eq!(Recorder::create(&path, ARCHIVE, BEGUN).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(first);
        let mut second = Recorder::create(&path, ARCHIVE, BEGUN).unwrap();
        second.add(b"a", &state(1, 100), b"items");
        second.finish(VERSION).unwrap();
        let of = |version: Digest| Catalogue::open(&path, ARCHIVE, |digest| *digest == version);
        assert!(of(VERSION).unwrap().is_some());

        let next = Digest([3; 32]);
        Recorder::create(&path, ARCHIVE, BEGUN).unwrap().finish(next).unwrap();
        assert!(of(next).unwrap().is_some() && of(VERSION).is_err());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "the old one is gone");
    }

    /// Reads everything; whatever is found must be what was written.
    fn never_wrong(bytes: &[u8], files: u64) -> u64 {
        let Ok(Some(mut catalogue)) = opened(bytes) else { return 0 };
        let mut found = 0;
        for number in 0..files {
            match catalogue.find(&key_of(number), &state(number, 100)) {
                Finding::Unchanged(items) => {
                    assert_eq!(items, items_of(number));
                    found += 1;
                }
                Finding::New => assert!(catalogue.trouble().is_some()),
                Finding::Changed => unreachable!("a record with another state was believed"),
            }
        }
        found
    }

    #[test]
    fn every_flipped_byte_of_a_small_one_is_noticed() {
        let bytes = written(12);
        assert_eq!(never_wrong(&bytes, 12), 12);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            let found = never_wrong(&flipped, 12);
            // All records lie in one frame; the end alone may be flipped without loss.
            assert_eq!(found, if at < bytes.len() - 36 { 0 } else { 12 }, "byte {at}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_cut_and_no_mixture_is_believed(
            cut in any::<prop::sample::Index>(),
            from in any::<prop::sample::Index>(),
            to in any::<prop::sample::Index>(),
            length in 0usize..400_000,
        ) {
            let bytes = written(600);
            never_wrong(&bytes[..cut.index(bytes.len())], 600);
            // A part of it in another place: frames are bound to theirs.
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let part = bytes[from..(from + length).min(bytes.len())].to_vec();
            let mut mixed = bytes.clone();
            mixed.splice(to..(to + part.len()).min(bytes.len()), part);
            never_wrong(&mixed, 600);
        }

        #[test]
        fn records_that_lie_about_their_lengths_are_refused(records in prop::collection::vec(any::<u8>(), 0..300)) {
            // A frame with a true hash around any bytes at all.
            let head = Head { archive: ARCHIVE, version: VERSION, begun: BEGUN };
            let mut bytes = head.encode();
            bytes.extend_from_slice(&(records.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&head.frame_hash(0, &records));
            bytes.extend_from_slice(&records);
            let mut catalogue = opened(&bytes).unwrap().unwrap();
            catalogue.find(&[0xff; 100], &State::default());
        }
    }
}

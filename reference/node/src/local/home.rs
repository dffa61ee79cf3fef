//! The key store: a folder of records, one an archive, that nobody else may read or write.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bailee_archive::{ArchiveId, Digest};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::failure::{Done, Failure, shown};
use super::record::{RECORD_BYTES, Record, RecordError};
use crate::exit::Exit;

/// The folder of the notes which archives were seen where.
const PLACES: &str = "places";
/// The most archives that are remembered of one place.
const SEEN_AT_ONE_PLACE: usize = 16;
/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// The key store.
#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
}

/// Where the key store is: `$BAILEE_HOME`, else `$XDG_DATA_HOME/bailee`, else `~/.local/share/bailee`.
fn place(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // The XDG specification says that a relative path is to be ignored.
    let data = || variable("XDG_DATA_HOME").filter(|path| path.is_absolute()).map(|path| path.join("bailee"));
    let home = || variable("HOME").map(|path| path.join(".local/share/bailee"));
    variable("BAILEE_HOME").or_else(data).or_else(home)
}

impl Home {
    /// The key store of this user; it need not exist yet.
    ///
    /// # Errors
    /// Nothing says where it is.
    pub(crate) fn locate() -> Done<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = place(variable).ok_or_else(|| {
            let what = "there is no place for the key store: neither BAILEE_HOME nor XDG_DATA_HOME nor HOME is set";
            Failure::usage(what, "set BAILEE_HOME to a folder of your own")
        })?;
        Ok(Home { folder })
    }

    /// The record of an archive, if there is one.
    ///
    /// # Errors
    /// The store or the file is open to others, cannot be read, or is no record.
    pub(crate) fn load(&self, archive: ArchiveId) -> Done<Option<Record>> {
        match fs::symlink_metadata(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io("reading the key store", &self.folder, &error)),
            Ok(_) => self.check_folder()?,
        }
        let path = self.path(archive);
        let bytes = match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io("reading the key", &path, &error)),
            Ok((file, bytes)) => {
                check_private(
                    &path,
                    &file.metadata().map_err(|error| Failure::io("reading", &path, &error))?,
                    "600",
                )?;
                bytes
            }
        };
        Record::decode(archive, &bytes).map(Some).map_err(|error| refused(&path, error))
    }

    /// Stores a record durably: a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// The store is open to others or cannot be written.
    pub(crate) fn save(&self, record: &Record) -> Done {
        self.make()?;
        let _lock = self.lock()?;
        self.write(record)
    }

    /// Changes a record durably, as no other process changes it. Nothing is written if the change says so.
    ///
    /// # Errors
    /// As [`Home::load`] and [`Home::save`].
    pub(crate) fn update(&self, archive: ArchiveId, change: impl FnOnce(&mut Record) -> bool) -> Done {
        let _lock = self.lock()?;
        let Some(mut record) = self.load(archive)? else { return Ok(()) };
        if change(&mut record) { self.write(&record) } else { Ok(()) }
    }

    /// The content of a small file of the key store that is no record. It is made durably if it is not there.
    ///
    /// # Errors
    /// The store is open to others, or the file can be neither read nor made; what `make` says.
    pub(crate) fn kept(&self, name: &str, make: impl FnOnce() -> Done<Vec<u8>>) -> Done<Vec<u8>> {
        let path = self.folder.join(name);
        let found = || match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::io("reading", &path, &error)),
            Ok((_, bytes)) => Ok(Some(bytes.to_vec())),
        };
        if let Some(bytes) = found()? {
            return Ok(bytes);
        }
        self.make()?;
        let _lock = self.lock()?;
        // Another process may have made it before this one had the lock.
        if let Some(bytes) = found()? {
            return Ok(bytes);
        }
        let bytes = make()?;
        replace(&path, &bytes).map_err(|error| Failure::io("writing", &path, &error))?;
        Ok(bytes)
    }

    /// The folder of the key store.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the record of an archive is.
    pub(crate) fn path(&self, archive: ArchiveId) -> PathBuf {
        self.folder.join(format!("{archive}.key"))
    }

    /// Where the catalogue of a folder is kept that is backed up into an archive: a cache, as private as the keys. Nothing is made.
    pub(crate) fn catalogue(&self, archive: ArchiveId, folder: &Path) -> PathBuf {
        // The folder's own name for itself, so that it has one catalogue however it is named.
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
        let mut name = Digest::of(folder.as_os_str().as_bytes()).to_string();
        name.truncate(32);
        self.catalogues().join(format!("{archive}-{name}"))
    }

    /// Makes the folder of catalogues, if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn make_catalogues(&self) -> Done {
        self.make()?;
        make_private(&self.catalogues())
    }

    fn catalogues(&self) -> PathBuf {
        self.folder.join("catalogues")
    }

    /// The archives that were seen in a place, the newest first; none if there was never one, or if nobody remembers.
    pub(crate) fn seen_at(&self, place: &Path) -> Vec<ArchiveId> {
        let bytes = match read(&self.note_of(place)) {
            Ok((_, bytes)) => bytes,
            Err(_) => return Vec::new(),
        };
        bytes.split(|byte| *byte == b'\n').filter_map(archive_id).take(SEEN_AT_ONE_PLACE).collect()
    }

    /// Remembers that an archive is in a place.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(crate) fn remember_place(&self, place: &Path, archive: ArchiveId) -> Done {
        let mut seen = self.seen_at(place);
        if seen.first() == Some(&archive) {
            return Ok(());
        }
        seen.retain(|known| *known != archive);
        seen.insert(0, archive);
        seen.truncate(SEEN_AT_ONE_PLACE);
        self.make()?;
        make_private(&self.folder.join(PLACES))?;
        let _lock = self.lock()?;
        let lines: String = seen.iter().map(|id| format!("{id}\n")).collect();
        let path = self.note_of(place);
        replace(&path, lines.as_bytes()).map_err(|error| Failure::io("remembering the archive in", place, &error))
    }

    /// Where it is remembered which archives a place had.
    fn note_of(&self, place: &Path) -> PathBuf {
        let place = fs::canonicalize(place).or_else(|_| std::path::absolute(place));
        let mut name = Digest::of(place.unwrap_or_default().as_os_str().as_bytes()).to_string();
        name.truncate(32);
        self.folder.join(PLACES).join(name)
    }

    fn make(&self) -> Done {
        make_private(&self.folder)?;
        self.check_folder()
    }

    fn check_folder(&self) -> Done {
        let metadata = fs::metadata(&self.folder);
        let metadata = metadata.map_err(|error| Failure::io("reading the key store", &self.folder, &error))?;
        if !metadata.is_dir() {
            return Err(Failure::new(
                Exit::Failure,
                format!("the key store {} is not a folder", shown(&self.folder)),
                "move it away, or set BAILEE_HOME to another folder",
            ));
        }
        check_private(&self.folder, &metadata, "700")
    }

    fn lock(&self) -> Done<File> {
        let path = self.folder.join("lock");
        let failed = |error| Failure::io("locking the key store", &path, &error);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(itself())
            .open(&path)
            .map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    fn write(&self, record: &Record) -> Done {
        let path = self.path(record.archive);
        replace(&path, &record.encode()).map_err(|error| Failure::io("writing the key", &path, &error))
    }
}

/// Writes a file durably: a crash leaves the old one or the new one.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// The id of an archive in hexadecimal.
fn archive_id(line: &[u8]) -> Option<ArchiveId> {
    let text = std::str::from_utf8(line).ok().filter(|text| text.len() == 32 && text.is_ascii())?;
    u128::from_str_radix(text, 16).map(|id| ArchiveId(id.to_be_bytes())).ok()
}

/// Makes a folder that is private from its first moment, and its parents.
fn make_private(folder: &Path) -> Done {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Failure::io("making the key store", folder, &error))
}

/// Refuses what others may read or write, or what is theirs.
fn check_private(path: &Path, metadata: &fs::Metadata, mode: &str) -> Done {
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(Failure::new(
            Exit::Failure,
            format!("{} belongs to another user (number {})", shown(path), metadata.uid()),
            "set BAILEE_HOME to a folder of your own",
        ));
    }
    let bits = metadata.permissions().mode() & 0o7777;
    if bits & OTHERS == 0 {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failure,
        format!("{} is open to other users (mode {bits:03o}), and keys are in it", shown(path)),
        format!("chmod {mode} {}", shown(path)),
    ))
}

/// A whole record file, and the file, for its metadata. A link is not followed.
fn read(path: &Path) -> io::Result<(File, Zeroizing<Vec<u8>>)> {
    let mut file = OpenOptions::new().read(true).custom_flags(itself()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Zeroizing::new(vec![0; RECORD_BYTES + 1]);
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..])? {
            0 => break,
            read => length += read,
        }
    }
    bytes.truncate(length);
    Ok((file, bytes))
}

fn refused(path: &Path, error: RecordError) -> Failure {
    Failure::new(
        Exit::Failure,
        format!("{}: {error}", shown(path)),
        "move the file away and enter the recovery code again with `bailee init --recover`",
    )
}

/// Opens what has the name: no link is followed, and the other end of a pipe is not waited for.
fn itself() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailee_secret::Secret;

    const ARCHIVE: ArchiveId = ArchiveId([3; 16]);

    fn record() -> Record {
        Record::new(ARCHIVE, Secret::take(&mut [9; 32]))
    }

    fn home() -> (tempfile::TempDir, Home) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("deep/inside");
        (temporary, Home { folder })
    }

    fn said(failure: &Failure) -> &str {
        match failure {
            Failure::Because { what, .. } => what,
            Failure::ReaderLeft => "the reader left",
        }
    }

    #[test]
    fn the_place_is_the_first_that_is_named() {
        let with = |set: &[(&str, &str)]| {
            place(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value)))
        };
        let (bailee, xdg, home) = (("BAILEE_HOME", "/b"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h"));
        assert_eq!(with(&[bailee, xdg, home]), Some(PathBuf::from("/b")));
        assert_eq!(with(&[xdg, home]), Some(PathBuf::from("/x/bailee")));
        assert_eq!(with(&[("XDG_DATA_HOME", "relative"), home]), Some(PathBuf::from("/h/.local/share/bailee")));
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn a_record_is_stored_privately_and_found_again() {
        let (_temporary, home) = home();
        assert!(home.load(ARCHIVE).unwrap().is_none());
        home.save(&record()).unwrap();
        assert!(home.load(ARCHIVE).unwrap().unwrap().key == record().key);
        assert!(home.load(ArchiveId([4; 16])).unwrap().is_none());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&home.folder), mode(&home.path(ARCHIVE))), (0o700, 0o600));
        let names: Vec<_> = fs::read_dir(&home.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "a record and the lock: {names:?}");
    }

    #[test]
    fn what_others_may_read_or_write_is_refused_with_the_mend() {
        for (of_folder, of_file) in [(0o750, 0o600), (0o702, 0o600), (0o700, 0o640), (0o700, 0o602)] {
            let (_temporary, home) = home();
            home.save(&record()).unwrap();
            let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            set(&home.path(ARCHIVE), of_file);
            set(&home.folder, of_folder);
            let refused = home.load(ARCHIVE).err().unwrap();
            assert!(said(&refused).contains("open to other users"), "{refused:?}");
            let Failure::Because { next, .. } = refused else { panic!("a reason is given") };
            assert!(next.starts_with("chmod "), "{next}");
        }
    }

    #[test]
    fn a_link_and_a_damaged_record_are_refused_by_name() {
        let (_temporary, home) = home();
        home.save(&record()).unwrap();
        let path = home.path(ARCHIVE);
        let elsewhere = home.folder.join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(home.load(ARCHIVE).is_err());
        fs::remove_file(&path).unwrap();
        let mut bytes = fs::read(&elsewhere).unwrap();
        let at = bytes.windows(32).position(|window| window == [9; 32]).unwrap();
        bytes[at] ^= 1;
        fs::write(&elsewhere, &bytes).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        let refused = home.load(ARCHIVE).err().unwrap();
        assert!(said(&refused).contains("the key in it was damaged"), "{refused:?}");
    }

    #[test]
    fn a_folder_has_one_private_catalogue_however_it_is_named() {
        let (temporary, home) = home();
        let at = |folder: &Path| home.catalogue(ARCHIVE, folder);
        assert_eq!(at(temporary.path()), at(&temporary.path().join(".")));
        assert_ne!(at(temporary.path()), at(Path::new("/")));
        let parent = at(temporary.path()).parent().unwrap().to_path_buf();
        assert!(!parent.exists());
        home.make_catalogues().unwrap();
        assert_eq!(fs::metadata(parent).unwrap().permissions().mode() & 0o7777, 0o700);
    }

    #[test]
    fn a_place_remembers_its_archives_the_newest_first() {
        let (temporary, home) = home();
        let (place, other) = (temporary.path().join("a"), ArchiveId([4; 16]));
        assert_eq!(home.seen_at(&place), []);
        for id in [ARCHIVE, ARCHIVE, other] {
            home.remember_place(&place, id).unwrap();
        }
        assert_eq!(home.seen_at(&temporary.path().join("./a")), [other, ARCHIVE]);
        assert_eq!(home.seen_at(temporary.path()), []);
        home.remember_place(&place, ARCHIVE).unwrap();
        assert_eq!(home.seen_at(&place), [ARCHIVE, other]);
        fs::write(home.note_of(&place), b"junk\n\xff\n").unwrap();
        assert_eq!(home.seen_at(&place), []);
    }

    #[test]
    fn a_small_file_is_made_once_and_privately() {
        let (_temporary, home) = home();
        let kept = |bytes: &[u8]| home.kept("small", || Ok(bytes.to_vec()));
        assert_eq!(kept(b"first").unwrap(), b"first");
        assert_eq!(kept(b"second").unwrap(), b"first");
        let mode = fs::metadata(home.folder.join("small")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        fs::remove_file(home.folder.join("small")).unwrap();
        std::os::unix::fs::symlink("elsewhere", home.folder.join("small")).unwrap();
        assert!(kept(b"third").is_err(), "a link is not followed");
        assert!(!home.folder.join("elsewhere").exists());
    }

    #[test]
    fn a_change_that_changes_nothing_writes_nothing() {
        let (_temporary, home) = home();
        home.save(&record()).unwrap();
        let before = fs::metadata(home.path(ARCHIVE)).unwrap().ino();
        home.update(ARCHIVE, |_| false).unwrap();
        assert_eq!(fs::metadata(home.path(ARCHIVE)).unwrap().ino(), before);
    }
}

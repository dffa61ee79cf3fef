//! The store in a folder: many readers, one writer, nobody else, and no write after one that failed.

use std::io;
use std::os::unix::fs::PermissionsExt;

use bailee_archive::disk::SyncPoint;
use bailee_archive::testing::{Fault, SimDisk};
use bailee_archive::{FolderStore, MemoryStore, ReadStore, Store};

/// More segments than the store keeps open.
const SEGMENTS: u64 = 150;

#[test]
fn many_threads_read_many_segments() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = FolderStore::create_in(folder.path()).unwrap();
    for segment in 1..=SEGMENTS {
        store.create(segment, &segment.to_be_bytes().repeat(100)).unwrap();
    }
    let store = &store;
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for step in 0..1_000 {
                    let segment = 1 + (thread * 31 + step * 7) % SEGMENTS;
                    let mut found = [0; 8];
                    store.read(segment, step % 100 * 8, &mut found).unwrap();
                    assert_eq!(u64::from_be_bytes(found), segment);
                }
            });
        }
    });
    assert!(std::fs::read_dir("/proc/self/fd").unwrap().count() < 128, "files that were read long ago are closed");
}

#[test]
fn only_the_user_may_use_what_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("archive");
    let mut store = FolderStore::create_in(&folder).unwrap();
    store.create(1, b"content").unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

/// Whatever a store is told to do, it does as the one in memory.
fn agree(one: &mut dyn Store, other: &mut dyn Store, act: impl Fn(&mut dyn Store) -> io::Result<()>) {
    let kinds = [act(one), act(other)].map(|done| done.map_err(|error| error.kind()));
    assert_eq!(kinds[0], kinds[1]);
    assert_eq!(one.list().unwrap(), other.list().unwrap());
    for segment in one.list().unwrap() {
        let contents = [&*one, &*other].map(|store| {
            let mut bytes = vec![0; store.length(segment).unwrap() as usize];
            store.read(segment, 0, &mut bytes).unwrap();
            bytes
        });
        assert_eq!(contents[0], contents[1]);
    }
}

#[test]
fn the_stores_do_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let stores: [Box<dyn Store>; 2] = [
        Box::new(FolderStore::create_in(folder.path()).unwrap()),
        Box::new(FolderStore::create_on(SimDisk::new(), "/archive").unwrap()),
    ];
    for mut store in stores {
        let (store, memory) = (&mut *store, &mut MemoryStore::default());
        agree(store, memory, |store| store.create(1, b"one"));
        agree(store, memory, |store| store.create(1, b"again"));
        agree(store, memory, |store| store.append(1, b" and more"));
        agree(store, memory, |store| store.append(2, b"nowhere"));
        agree(store, memory, |store| store.create(2, b"two"));
        agree(store, memory, |store| store.cut(1, 5));
        agree(store, memory, |store| store.append(1, b"end"));
        agree(store, memory, |store| store.sync(1));
        agree(store, memory, |store| store.read(2, 1, &mut [0; 3]));
        agree(store, memory, |store| store.remove(&[1]));
        agree(store, memory, |store| store.remove(&[1]));
        agree(store, memory, |store| store.read(1, 0, &mut [0; 1]));
        agree(store, memory, |store| store.sync(1));
    }
}

#[test]
fn a_removed_segment_stays_removed() {
    let comes_back = |fault: Option<Fault>| {
        let disk = SimDisk::new();
        let mut store = FolderStore::create_on(disk.clone(), "/archive").unwrap();
        store.create(1, b"one").unwrap();
        store.create(2, b"two").unwrap();
        if let Some(fault) = fault {
            disk.break_sync(SyncPoint::Removed, 0, fault);
        }
        store.remove(&[1]).unwrap();
        let found = |seed| FolderStore::open_on(disk.crash(seed), "/archive").unwrap().list().unwrap();
        (0..50).any(|seed| found(seed) != [2])
    };
    assert!(!comes_back(None));
    assert!(comes_back(Some(Fault::Ignored)));
}

#[test]
fn nothing_is_written_after_a_sync_that_failed() {
    let disk = SimDisk::new();
    let mut store = FolderStore::create_on(disk.clone(), "/archive").unwrap();
    store.create(1, b"one").unwrap();
    disk.break_sync(SyncPoint::Appended, 0, Fault::Failed);
    store.append(1, b"more").unwrap();
    assert!(store.sync(1).is_err());
    assert!(store.sync(1).unwrap_err().to_string().contains("earlier write"), "a second sync would prove nothing");
    assert!(store.append(1, b"again").is_err());
    drop(store);
    let mut next = FolderStore::open_on(disk, "/archive").unwrap();
    next.append(1, b"after").unwrap();
    next.sync(1).unwrap();
}

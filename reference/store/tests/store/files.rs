//! The file: who may read it, who may open it, and what is said when it cannot be opened.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use bailee_core::store::{Batch, Read, Store};
use bailee_store::RedbStore;
use redb::{Database, TableDefinition};

fn told(result: Result<RedbStore, impl std::fmt::Display>) -> String {
    result.map(|_| ()).map_err(|error| error.to_string()).expect_err("it must be refused")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn put(store: &mut RedbStore, text: &str) {
    let mut batch = Batch::default();
    batch.put("name", text.as_bytes().to_vec());
    store.apply(&batch).unwrap();
}

#[test]
fn a_new_file_is_for_its_owner_and_keeps_what_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut store = RedbStore::create(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    put(&mut store, "kept");
    drop(store);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(store.get(b"name").unwrap().as_deref(), Some(&b"kept"[..]));
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["store"]);
}

#[test]
fn an_open_file_is_for_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = RedbStore::create(&path).unwrap();
    let second_handle = store.clone();
    let others = || Command::new("flock").arg("--nonblock").arg(&path).arg("true").status().unwrap().success();
    assert!(!others(), "another process took the lock");
    let told_here = told(RedbStore::open(&path));
    assert!(told_here.contains(path.to_str().unwrap()) && told_here.contains("it is open already"), "{told_here}");
    drop(store);
    assert!(!others() && RedbStore::open(&path).is_err(), "a handle still has it open");
    drop(second_handle);
    assert!(others());
    let held = fs::File::open(&path).unwrap();
    held.lock().unwrap();
    assert!(told(RedbStore::open(&path)).contains("it is open already"));
    drop(held);
    RedbStore::open(&path).unwrap();
}

#[test]
fn what_cannot_be_opened_is_said_with_the_path_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let reasons = |reason: &str| {
        let told = told(RedbStore::open(&path));
        assert!(told.contains(path.to_str().unwrap()) && told.contains(reason), "{told}");
    };
    reasons("No such file");
    fs::write(&path, "").unwrap();
    reasons("the file is empty");
    fs::write(&path, "a text of someone, long enough to hold the header of a database ".repeat(200)).unwrap();
    reasons("cannot be opened");
    fs::remove_file(&path).unwrap();
    let foreign = Database::create(&path).unwrap();
    let write = foreign.begin_write().unwrap();
    write.open_table(TableDefinition::<u64, u64>::new("another program's")).unwrap();
    write.commit().unwrap();
    reasons("it is open already");
    drop(foreign);
    reasons("not a store of this version");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    reasons("directory");
}

#[test]
fn a_new_file_takes_the_place_of_none_and_of_a_half_made_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    fs::write(folder.path().join("store.new"), vec![9; 10_000]).unwrap();
    let mut store = RedbStore::create(&path).unwrap();
    put(&mut store, "first");
    drop(store);
    // A crash between giving the file its name and taking the other name away.
    fs::hard_link(&path, folder.path().join("store.new")).unwrap();
    assert!(told(RedbStore::create(&path)).contains("there is a file already"));
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.get(b"name").unwrap().as_deref(), Some(&b"first"[..]));
    assert!(told(RedbStore::create(folder.path().join("no/such/folder"))).contains("No such file"));
}

//! Restores into folders that hand something down: nothing is more open than in the version.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bailee_files::{Overwrite, Selection};
use common::{
    backed_up, bring_back, bring_back_watched, differences, leave_journal, mode_of, noise, odd, set_mode, write,
};
use rustix::fs::{CWD, FileType, XattrFlags, mknodat};

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

/// An access control list in which user 12345 may do everything.
fn list() -> Vec<u8> {
    let entries = [(1u16, 7u16, u32::MAX), (2, 7, 12_345), (4, 7, u32::MAX), (16, 7, u32::MAX), (32, 7, u32::MAX)];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend([&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat());
    }
    bytes
}

/// Sets one. Where the file system has none, there is nothing to inherit.
fn set_list(path: &Path, name: &str) -> bool {
    let done = rustix::fs::setxattr(path, name, &list(), XattrFlags::empty());
    if let Err(error) = done {
        eprintln!("skipped: no access control lists here: {error}");
    }
    done.is_ok()
}

fn lists(path: &Path) -> Vec<&'static str> {
    let has = |name: &&str| rustix::fs::lgetxattr(path, *name, &mut [0; 256][..]).is_ok();
    [ACCESS, DEFAULT].into_iter().filter(has).collect()
}

fn fill(source: &Path) {
    for folder in ["", "folder", "folder/inner"] {
        fs::create_dir_all(source.join(folder)).unwrap();
        set_mode(&source.join(folder), 0o750);
    }
    for file in ["file", "folder/file", "folder/inner/file"] {
        write(&source.join(file), b"for the group alone");
        set_mode(&source.join(file), 0o640);
    }
    mknodat(CWD, source.join("folder/pipe"), FileType::Fifo, 0o660.into(), 0).unwrap();
    set_mode(&source.join("folder/pipe"), 0o660);
}

fn all_of(folder: &Path) -> Vec<PathBuf> {
    let names = ["", "folder", "folder/inner", "file", "folder/file", "folder/inner/file", "folder/pipe"];
    names.iter().map(|name| folder.join(name)).collect()
}

#[test]
fn nothing_has_the_list_that_the_folder_above_hands_down() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("source");
    fill(&source);
    let archive = backed_up(&source).unwrap().archive;
    let shared = place.path().join("shared");
    fs::create_dir(&shared).unwrap();
    if !set_list(&shared, DEFAULT) {
        return;
    }
    // It is absent, it is there and inherited a list, something in it is there, and something that an interruption left.
    for (name, before) in
        [("absent", &[][..]), ("there", &[""]), ("partly", &["", "folder"]), ("left", &["", "folder"])]
    {
        for overwrite in [Overwrite::Never, Overwrite::Always] {
            let target = shared.join(format!("{name}-{overwrite:?}"));
            for folder in before {
                fs::create_dir(target.join(folder)).unwrap();
                if name == "left" {
                    set_mode(&target.join(folder), 0o1700);
                    leave_journal(&target, "made");
                }
                assert_eq!(lists(&target.join(folder)), [ACCESS, DEFAULT]);
            }
            let restored = bring_back(&archive, &target, &Selection::whole(), (overwrite, false)).unwrap();
            assert!(restored.is_whole(), "{restored:?}");
            let stays = |path: &Path| {
                // A folder that stood there and may not be changed.
                name == "partly" && overwrite == Overwrite::Never && (path == target || path == target.join("folder"))
            };
            for path in all_of(&target) {
                let expected = if stays(&path) { &[ACCESS, DEFAULT][..] } else { &[] };
                assert_eq!(lists(&path), expected, "{}", path.display());
            }
            if name != "partly" || overwrite == Overwrite::Always {
                assert_eq!(differences(&source, &target), Vec::<String>::new());
            }
        }
    }
}

/// What is replaced is made anew in a folder that hands a list down.
#[test]
fn what_replaces_a_file_has_no_list_either() {
    let place = tempfile::tempdir().unwrap();
    let [source, target] = ["source", "target"].map(|name| place.path().join(name));
    fill(&source);
    let archive = backed_up(&source).unwrap().archive;
    fs::create_dir(&target).unwrap();
    if !set_list(&target, DEFAULT) {
        return;
    }
    write(&target.join("file"), b"before");
    assert_eq!(lists(&target.join("file")), [ACCESS]);
    for overwrite in [Overwrite::IfChanged, Overwrite::Always] {
        let restored = bring_back(&archive, &target, &Selection::whole(), (overwrite, false)).unwrap();
        assert!(restored.is_whole());
        assert_eq!(lists(&target.join("file")), [""; 0]);
        // The same content, except a list.
        assert!(set_list(&target.join("file"), ACCESS));
    }
}

#[test]
fn a_list_of_the_version_comes_back() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("source");
    fill(&source);
    for (name, list) in [("folder", DEFAULT), ("folder", ACCESS), ("file", ACCESS)] {
        if !set_list(&source.join(name), list) {
            return;
        }
    }
    set_mode(&source.join("file"), 0o640);
    let archive = backed_up(&source).unwrap().archive;
    let target = place.path().join("target");
    for _ in 0..2 {
        assert!(bring_back(&archive, &target, &Selection::whole(), (Overwrite::Never, false)).unwrap().is_whole());
        assert_eq!(
            (lists(&target.join("file")), lists(&target.join("folder"))),
            (vec![ACCESS], vec![ACCESS, DEFAULT])
        );
        assert_eq!(lists(&target.join("folder/file")), [""; 0], "the folder gets its own in the end");
        assert_eq!(differences(&source, &target), Vec::<String>::new());
    }
}

/// Before the end nothing lets anyone else in, whatever is handed down.
#[test]
fn a_new_folder_has_no_list_while_it_is_filled() {
    let place = tempfile::tempdir().unwrap();
    let [source, shared] = ["source", "shared"].map(|name| place.path().join(name));
    fill(&source);
    write(&source.join("folder/inner/file"), &noise(1, 3_000_000));
    let store = backed_up(&source).unwrap().archive.into_store();
    fs::create_dir(&shared).unwrap();
    if !set_list(&shared, DEFAULT) {
        return;
    }
    let target = shared.join("target");
    let inner = target.join("folder/inner");
    let (seen, root) = (std::sync::Arc::new(std::sync::Mutex::new(Vec::new())), target.clone());
    let saw = seen.clone();
    bring_back_watched(&store, &target, Overwrite::Never, move || {
        if inner.exists() {
            saw.lock().unwrap().push([&root, &inner].map(|folder| (lists(folder), mode_of(folder))));
        }
    });
    let seen = seen.lock().unwrap();
    assert!(!seen.is_empty() && seen.iter().flatten().all(|found| *found == (vec![], 0o1700)), "{seen:?}");
}

/// A folder of another group hands its group down, and its set-group-id bit.
#[test]
fn a_folder_with_a_set_group_id_bit_changes_nothing_that_may_be_given() {
    let folder = odd();
    let archive = backed_up(folder.path()).unwrap().archive;
    let shared = tempfile::tempdir().unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(shared.path(), None, Some(12_345)).unwrap();
    }
    set_mode(shared.path(), 0o2777);
    let target = shared.path().join("target");
    for _ in 0..2 {
        let restored = bring_back(&archive, &target, &Selection::whole(), (Overwrite::Never, false)).unwrap();
        assert_eq!((restored.left.count, restored.missing()), (0, 0));
        if rustix::process::geteuid().is_root() {
            assert_eq!(differences(folder.path(), &target), Vec::<String>::new());
        }
        // As an interruption leaves it.
        set_mode(&target.join("deep/deep"), 0o3700);
        leave_journal(&target, "used");
    }
}

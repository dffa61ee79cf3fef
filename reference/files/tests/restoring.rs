//! Restores of parts, restores that go on, and restores that somebody tries to lead astray.

mod common;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use bailee_archive::tree::{Entry, EntryKind, Meta, Time};
use bailee_archive::{Archive, BackUp, Counters};
use bailee_files::{FilesError, Overwrite, Selection, copy_file, tree_path};
use common::{Seeded, Store, backed_up, bring_back, differences, noise, odd, write};
use filetime::FileTime;

const ONCE: (Overwrite, bool) = (Overwrite::Never, false);
const CHANGED: (Overwrite, bool) = (Overwrite::IfChanged, false);
const CHANGED_VERIFIED: (Overwrite, bool) = (Overwrite::IfChanged, true);

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Everything in a folder, by path, folders with a slash behind them.
fn all(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(inside) = open.pop() {
        for entry in fs::read_dir(inside).unwrap() {
            let entry = entry.unwrap();
            let is_folder = entry.file_type().unwrap().is_dir();
            let path = entry.path().strip_prefix(folder).unwrap().display().to_string();
            found.push(if is_folder { format!("{path}/") } else { path });
            open.extend(is_folder.then(|| entry.path()));
        }
    }
    found.sort();
    found
}

fn sample() -> (tempfile::TempDir, Archive<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["a", "a/in", "a-b", "b"] {
        fs::create_dir(at(name)).unwrap();
    }
    for name in ["a/in/x.txt", "a/in/y", "a/z.txt", "a-b/x.txt", "b/first"] {
        write(&at(name), name.as_bytes());
    }
    fs::hard_link(at("b/first"), at("b/second")).unwrap();
    fs::hard_link(at("b/first"), at("b/third")).unwrap();
    filetime::set_file_mtime(at("a"), FileTime::from_unix_time(1_000, 7)).unwrap();
    let done = backed_up(folder.path()).unwrap();
    (folder, done.archive)
}

#[test]
fn a_path_or_a_pattern_brings_what_is_below_it_and_the_folders_above_it() {
    let (folder, archive) = sample();
    let cases: [(&[&str], &[&str]); 8] = [
        (&["a/in"], &["a/", "a/in/", "a/in/x.txt", "a/in/y"]),
        (&["./a/in/y", "/a/in"], &["a/", "a/in/", "a/in/x.txt", "a/in/y"]),
        (&["a/in/y", "a/z.txt"], &["a/", "a/in/", "a/in/y", "a/z.txt"]),
        (&["a-b"], &["a-b/", "a-b/x.txt"]),
        (&["x.*"], &["a-b/", "a-b/x.txt", "a/", "a/in/", "a/in/x.txt"]),
        (&["a/*.txt", "b/first"], &["a/", "a/z.txt", "b/", "b/first"]),
        (&["a/**"], &["a/", "a/in/", "a/in/x.txt", "a/in/y", "a/z.txt"]),
        (&["i?/"], &["a/", "a/in/", "a/in/x.txt", "a/in/y"]),
    ];
    for (words, expected) in cases {
        let out = tempfile::tempdir().unwrap();
        let restored = bring_back(&archive, out.path(), &Selection::of(words).unwrap(), ONCE).unwrap();
        assert_eq!(all(out.path()), expected, "{words:?}");
        assert_eq!((restored.warnings, restored.damaged), (vec![], vec![]), "{words:?}");
        if expected.contains(&"a/") {
            let time = |place: &Path| fs::metadata(place.join("a")).unwrap().mtime_nsec();
            assert_eq!(time(out.path()), time(folder.path()), "{words:?}");
        }
    }
}

#[test]
fn the_whole_is_the_root_or_nothing_said() {
    let (folder, archive) = sample();
    for words in [&[][..], &["/"], &["."], &["a", "/"]] {
        let out = tempfile::tempdir().unwrap();
        bring_back(&archive, out.path(), &Selection::of(words).unwrap(), ONCE).unwrap();
        assert_eq!(differences(folder.path(), out.path()), Vec::<String>::new(), "{words:?}");
    }
}

#[test]
fn what_the_version_does_not_have_is_refused_before_anything_is_written() {
    let (_folder, archive) = sample();
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("target");
    let error = bring_back(&archive, &target, &Selection::of(&["a/nothing", "nowhere"]).unwrap(), ONCE).unwrap_err();
    assert_eq!(error.to_string(), "a/nothing is not in the version");
    assert!(!target.exists());
    assert!(matches!(Selection::of(&["a/../../etc"]), Err(FilesError::NotInVersion { .. })));
    let error = bring_back(&archive, &target, &Selection::of(&["*.none"]).unwrap(), ONCE).unwrap_err();
    assert!(matches!(error, FilesError::NothingChosen));
}

/// A slip in one of many names costs that one alone.
#[test]
fn what_nothing_matches_is_named_and_the_rest_is_restored() {
    let (_folder, archive) = sample();
    let cases: [(&[&str], &[&str]); 5] = [
        (&["a", "nowhere", "a/nothing"], &["nowhere", "a/nothing"]),
        (&["a", "*.none"], &["*.none"]),
        (&["a", "x.*", "in/*.none", "gone", "!*.none"], &["gone", "in/*.none"]),
        (&["/", "*.none", "a/i?"], &["*.none"]),
        (&["a/*", "a/in/*", "*.txt"], &[]),
    ];
    for (words, expected) in cases {
        let out = tempfile::tempdir().unwrap();
        let restored = bring_back(&archive, out.path(), &Selection::of(words).unwrap(), ONCE).unwrap();
        let unmatched: Vec<_> = restored.unmatched.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(unmatched, expected, "{words:?}");
        assert!(out.path().join("a/in/x.txt").exists(), "{words:?}");
        assert!(restored.warnings.is_empty() && restored.damaged.is_empty());
    }
}

/// Names with the signs of patterns, and beside each what it would match as a pattern.
#[test]
fn a_path_that_the_version_has_wins_over_a_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["[abc].txt", "*", "a*b", "!bang", "!b*", "q?", "back\\slash", "[", "some[dir]/[x]"];
    let others = ["a.txt", "acb", "bang", "bb", "qq", "backslash", "somed/x", "some[dir]/x", "in/[abc].txt"];
    for name in names.iter().chain(&others) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, name.as_bytes());
    }
    for name in ["some[dir]", "in"] {
        filetime::set_file_mtime(folder.path().join(name), FileTime::from_unix_time(1_000, 0)).unwrap();
    }
    let archive = backed_up(folder.path()).unwrap().archive;
    let files = |words: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let restored = bring_back(&archive, out.path(), &Selection::of(words).unwrap(), ONCE).unwrap();
        assert_eq!((restored.unmatched, restored.warnings), (vec![], vec![]), "{words:?}");
        for name in ["some[dir]", "in"].iter().filter(|name| out.path().join(name).exists()) {
            assert_eq!(fs::metadata(out.path().join(name)).unwrap().mtime(), 1_000, "{words:?}: both passes agree");
        }
        all(out.path()).into_iter().filter(|path| !path.ends_with('/')).collect::<Vec<_>>()
    };
    for name in names {
        for word in [name, &format!("/{name}"), &format!("./{name}"), &format!("{name}/")] {
            assert_eq!(files(&[word]), [name], "{word}");
        }
    }
    assert_eq!(files(&["some[dir]"]), ["some[dir]/[x]", "some[dir]/x"]);
    // Several at once: paths, patterns, and what takes back.
    assert_eq!(files(&["[abc].txt", "[pq]q", "a*b"]), ["[abc].txt", "a*b", "qq"]);
    assert_eq!(files(&["[ab].txt", "q?"]), ["a.txt", "q?"]);
    assert_eq!(files(&["?q", "b*", "!back*", "!bb"]), ["bang", "qq"]);
    assert_eq!(files(&["b[ab]*", "!b*"]), ["!b*", "back\\slash", "backslash", "bang", "bb"], "that is a name");
    assert_eq!(files(&["so??d"]), ["somed/x"]);
}

/// The deepest that is named or matched decides.
#[test]
fn what_is_taken_back_is_left_out_of_what_a_path_or_a_pattern_chose() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["d1/x", "d1/e/y", "d1/e/z", "d2/e/y", "top"] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, name.as_bytes());
    }
    fs::hard_link(folder.path().join("d1/e/y"), folder.path().join("d1/link of y")).unwrap();
    let archive = backed_up(folder.path()).unwrap().archive;
    let cases: [(&[&str], &[&str]); 7] = [
        (&["d1", "!d1/e/y"], &["d1/e/z", "d1/link of y", "d1/x"]),
        (&["!d1/e/y", "d1"], &["d1/e/z", "d1/link of y", "d1/x"]),
        (&["d1", "!d1/e/"], &["d1/link of y", "d1/x"]),
        (&["d1", "!d1/e", "d1/e/z"], &["d1/e/z", "d1/link of y", "d1/x"]),
        (&["d?", "!e"], &["d1/link of y", "d1/x"]),
        (&["/", "!d1", "!top"], &["d2/e/y"]),
        (&["d1", "d2/e", "!y"], &["d1/e/z", "d1/link of y", "d1/x"]),
    ];
    for (words, expected) in cases {
        let out = tempfile::tempdir().unwrap();
        let restored = bring_back(&archive, out.path(), &Selection::of(words).unwrap(), ONCE).unwrap();
        assert_eq!((restored.missing(), restored.is_whole()), (0, true), "{words:?}");
        let found: Vec<_> = all(out.path()).into_iter().filter(|path| !path.ends_with('/')).collect();
        assert_eq!(found, expected, "{words:?}");
    }
}

#[test]
fn words_that_only_take_back_choose_nothing_and_write_nothing() {
    let (_folder, archive) = sample();
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("target");
    let error = bring_back(&archive, &target, &Selection::of(&["!*.txt"]).unwrap(), ONCE).unwrap_err();
    assert!(matches!(error, FilesError::NothingChosen) && !target.exists());
}

#[test]
fn a_link_whose_first_name_is_not_chosen_is_the_file() {
    let (_folder, archive) = sample();
    let out = tempfile::tempdir().unwrap();
    let what = Selection::of(&["b/second", "b/third"]).unwrap();
    let restored = bring_back(&archive, out.path(), &what, ONCE).unwrap();
    assert_eq!(
        (all(out.path()), restored.warnings),
        (["b/", "b/second", "b/third"].map(String::from).to_vec(), vec![])
    );
    let inode = |name: &str| fs::metadata(out.path().join(name)).unwrap().ino();
    assert_eq!(inode("b/second"), inode("b/third"));
    assert_eq!(fs::read(out.path().join("b/third")).unwrap(), b"b/first");
}

#[test]
fn one_file_goes_to_a_stream() {
    let (_folder, archive) = sample();
    let version = archive.versions().last().unwrap();
    let text = |name: &str| {
        let mut bytes = Vec::new();
        let length = copy_file(&archive, version, &tree_path(name.as_ref()).unwrap(), &mut bytes)?;
        assert_eq!(length, bytes.len() as u64);
        Ok::<_, FilesError>(bytes)
    };
    assert_eq!(text("a/in/y").unwrap(), b"a/in/y");
    assert_eq!(text("/b/third").unwrap(), b"b/first");
    for name in ["a", "nowhere", "a/in/y/below"] {
        assert!(matches!(text(name), Err(FilesError::NotInVersion { .. })), "{name}");
    }
}

/// An archive may have been written by anyone who has its key: its links may lead to links and to folders.
#[test]
fn a_link_that_leads_to_no_file_is_named() {
    let meta = Meta { mode: 0o700, ..Meta::default() };
    let entry = |path: &str, kind| Entry { path: tree_path(path.as_ref()).unwrap(), meta: meta.clone(), kind };
    let to = |path: &str| EntryKind::HardLink { to: tree_path(path.as_ref()).unwrap() };
    let (device, random, counters) = (common::device(), Seeded::default(), Counters::default());
    let mut writer = common::fresh().begin(&BackUp::new(&device, Time::default(), &random, &counters)).unwrap();
    let content = writer.content(&mut &b"x"[..]).unwrap();
    let file = EntryKind::File { content, changed: false, sparse: false };
    for (path, kind) in [
        ("", EntryKind::Directory),
        ("a", file),
        ("b", to("a")),
        ("c", to("b")),
        ("d", EntryKind::Directory),
        ("e", to("d")),
    ] {
        writer.entry(&entry(path, kind)).unwrap();
    }
    let archive = writer.commit(Time::default(), b"").unwrap().0;
    for name in ["c", "e"] {
        let out = tempfile::tempdir().unwrap();
        let restored = bring_back(&archive, out.path(), &Selection::of(&[name]).unwrap(), ONCE).unwrap();
        let damaged: Vec<_> = restored.damaged.iter().map(ToString::to_string).collect();
        assert!(damaged.len() == 1 && damaged[0].contains(" is not the first name of a file"), "{damaged:?}");
    }
    let out = tempfile::tempdir().unwrap();
    write(&out.path().join("a"), b"in the way");
    let restored = bring_back(&archive, out.path(), &Selection::whole(), ONCE).unwrap();
    assert_eq!((restored.left.count, restored.damaged.len(), restored.missing()), (1, 2, 2));
    assert_eq!(fs::read(out.path().join("b")).unwrap(), b"x");
}

#[test]
fn an_interrupted_restore_goes_on_where_it_was() {
    let folder = odd();
    let done = backed_up(folder.path()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("target");
    let whole = Selection::whole();
    let first = bring_back(&done.archive, &target, &whole, ONCE).unwrap();
    let at = |name: &str| target.join(name);
    // As an interruption leaves it: one file is missing, one is half written, a link is another file, a folder has no metadata.
    fs::remove_file(at("-rf")).unwrap();
    fs::write(at("zeros"), [0; 1000]).unwrap();
    fs::remove_file(at("linked")).unwrap();
    fs::write(at("linked"), b"a stranger").unwrap();
    fs::remove_file(at("link")).unwrap();
    fs::remove_file(at("pipe")).unwrap();
    symlink("/etc", at("pipe")).unwrap();
    filetime::set_file_mtime(at("deep"), FileTime::zero()).unwrap();
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    write(&at("of somebody else"), b"x");

    let again = bring_back(&done.archive, &target, &whole, CHANGED_VERIFIED).unwrap();
    assert_eq!(fs::read(at("of somebody else")).unwrap(), b"x");
    fs::remove_file(at("of somebody else")).unwrap();
    if is_root() {
        assert_eq!((again.entries, again.bytes), (first.entries, first.bytes));
        assert_eq!((again.warnings, again.damaged), (vec![], vec![]));
        assert_eq!(differences(folder.path(), &target), [": another time of change"], "by the stranger's file");
        let files = 11;
        assert_eq!((first.kept, again.kept), (0, files - 2));
    }
    let last = bring_back(&done.archive, &target, &whole, CHANGED).unwrap();
    assert!(last.kept > again.kept);
}

#[test]
fn only_verifying_sees_a_change_that_left_length_and_time() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("file"), &noise(1, 300_000));
    let done = backed_up(folder.path()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let (whole, file) = (Selection::whole(), out.path().join("file"));
    bring_back(&done.archive, out.path(), &whole, (Overwrite::Never, true)).unwrap();
    let time = FileTime::from_last_modification_time(&fs::metadata(&file).unwrap());
    let mut bytes = fs::read(&file).unwrap();
    bytes[200_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    filetime::set_file_mtime(&file, time).unwrap();
    assert_eq!(bring_back(&done.archive, out.path(), &whole, CHANGED).unwrap().kept, 1);
    assert_eq!(differences(folder.path(), out.path()), ["file: other content"]);
    assert_eq!(bring_back(&done.archive, out.path(), &whole, CHANGED_VERIFIED).unwrap().kept, 0);
    assert_eq!(differences(folder.path(), out.path()), Vec::<String>::new());
}

#[test]
fn a_link_in_the_target_leads_nowhere() {
    let (_folder, archive) = sample();
    let outside = tempfile::tempdir().unwrap();
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("target");
    fs::create_dir(&target).unwrap();
    symlink(outside.path(), target.join("a")).unwrap();
    fs::create_dir(target.join("a-b")).unwrap();
    symlink(outside.path().join("planted"), target.join("a-b/x.txt")).unwrap();
    let restored = bring_back(&archive, &target, &Selection::whole(), CHANGED).unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let warnings: Vec<_> = restored.warnings.iter().map(ToString::to_string).collect();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.ends_with("a: not made: something that is not a folder has its name"), "{warning}");
    assert_eq!(fs::read(target.join("a-b/x.txt")).unwrap(), b"a-b/x.txt");
    assert!(target.join("a").is_symlink());
    let mode = fs::metadata(outside.path()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o755, "the folder behind the link keeps its permissions");
}

#[test]
fn a_folder_that_stands_in_the_way_of_a_file_is_left_alone() {
    let (_folder, archive) = sample();
    let out = tempfile::tempdir().unwrap();
    fs::create_dir_all(out.path().join("a/z.txt/precious")).unwrap();
    let restored = bring_back(&archive, out.path(), &Selection::whole(), CHANGED).unwrap();
    let warnings: Vec<_> = restored.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.len() == 1 && warnings[0].ends_with("a/z.txt: not made: a folder has its name"), "{warnings:?}");
    assert!(out.path().join("a/z.txt/precious").is_dir());
}

#[test]
fn names_are_bytes_in_a_selection_too() {
    let folder = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"not \xff text");
    write(&folder.path().join(name), b"x");
    write(&folder.path().join("other"), b"x");
    let done = backed_up(folder.path()).unwrap();
    let out = tempfile::tempdir().unwrap();
    bring_back(&done.archive, out.path(), &Selection::of(&[name]).unwrap(), ONCE).unwrap();
    assert!(out.path().join(name).exists() && !out.path().join("other").exists());
}

#[test]
fn what_the_archive_has_lost_is_named_the_rest_is_restored_and_a_whole_archive_completes_it() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> = (0..6).map(|number| format!("{number}")).collect();
    for (seed, name) in (0..).zip(&names) {
        write(&folder.path().join(name), &noise(seed, 3_000_000));
    }
    let whole = backed_up(folder.path()).unwrap().archive.into_store();
    let mut damaged = whole.clone();
    let segment = damaged.segments.get_mut(&1).unwrap();
    let middle = segment.len() / 2;
    segment[middle] ^= 1;
    let out = tempfile::tempdir().unwrap();
    let all = Selection::whole();
    let first = bring_back(&common::reopened(damaged), out.path(), &all, ONCE).unwrap();
    let lost: Vec<_> = first.damaged.iter().map(|lost| lost.path.clone()).collect();
    assert!((1..=2).contains(&lost.len()), "{:?}", first.damaged);
    assert_eq!(first.warnings, vec![]);
    for name in &names {
        let (before, after) = (folder.path().join(name), out.path().join(name));
        let is_lost = lost.contains(&after);
        assert_eq!(after.exists(), !is_lost, "{name}");
        assert!(is_lost || fs::read(before).unwrap() == fs::read(after).unwrap(), "{name}");
    }
    let second = bring_back(&common::reopened(whole), out.path(), &all, CHANGED).unwrap();
    assert_eq!((second.kept, second.damaged), ((names.len() - lost.len()) as u64, vec![]));
    assert_eq!(differences(folder.path(), out.path()), Vec::<String>::new());
}

/// What goes on looks at metadata too: a file whose attributes or permissions are not the right ones is not the file.
#[test]
fn a_resumed_restore_brings_back_metadata_that_was_altered() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    fs::create_dir(&source).unwrap();
    write(&source.join("file"), b"content");
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(source.join("file"), "user.note", b"right", flags).is_err() {
        eprintln!("skipped: no extended attributes here");
        return;
    }
    let archive = backed_up(&source).unwrap().archive;
    bring_back(&archive, &target, &Selection::whole(), ONCE).unwrap();
    let restored = target.join("file");
    let time = FileTime::from_last_modification_time(&fs::metadata(&restored).unwrap());
    let spoil: [&dyn Fn(); 3] = [
        &|| rustix::fs::setxattr(&restored, "user.note", b"wrong", flags).unwrap(),
        &|| rustix::fs::setxattr(&restored, "user.more", b"", flags).unwrap(),
        &|| fs::set_permissions(&restored, fs::Permissions::from_mode(0o600)).unwrap(),
    ];
    for act in spoil {
        act();
        filetime::set_file_mtime(&restored, time).unwrap();
        bring_back(&archive, &target, &Selection::whole(), CHANGED).unwrap();
        assert_eq!(differences(&source, &target), [""; 0]);
    }
}

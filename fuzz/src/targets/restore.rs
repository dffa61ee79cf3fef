//! Trees of any shape, restored into a folder beside one that must stay as it is.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use bailee_archive::testing::Seeded;
use bailee_archive::tree::{Entry, EntryKind, Meta, Time};
use bailee_archive::{Archive, BackUp, Counters, MemoryStore, TreePath};
use bailee_files::{Overwrite, RestoreOptions, RestoreProgress, Selection, restore};

use super::archive::{device, keys};

/// The most entries of a tree: more shapes come of more inputs, not of longer ones.
const ENTRIES: usize = 24;
const NAMES: [&str; 4] = ["a", "b", "c", "outside"];
/// Where links lead: up, out, to a file and a folder that must stay as they are.
const TARGETS: [&[u8]; 6] = [b"..", b"../outside", b"../outside/secret", b"/", b"a", b"b/c"];
const SECRET: &[u8] = b"stays as it is";

/// What may become of something that stands in the target, by two bits of the first byte.
const WHEN: [Overwrite; 4] = [Overwrite::Always, Overwrite::Never, Overwrite::IfNewer, Overwrite::IfChanged];

/// The first byte says what stands in the target already, and what may become of it; then three bytes an entry: kind, path, content.
pub fn into_a_folder(data: &[u8]) {
    let Some((&before, steps)) = data.split_first() else { return };
    let Some(archive) = archive_of(&entries(steps)) else { return };
    let place = tempfile::tempdir().unwrap_or_else(|error| panic!("a folder to work in: {error}"));
    let (outside, inside) = (place.path().join("outside"), place.path().join("inside"));
    let prepared = prepare(&outside, &inside, before);
    assert!(prepared.is_ok(), "{prepared:?}");

    let progress = RestoreProgress::default();
    let overwrite = WHEN[usize::from(before >> 5 & 3)];
    let how = RestoreOptions { threads: 1, overwrite, verify: before & 2 == 2, progress: &progress };
    if let Some(version) = archive.versions().first()
        && let Err(error) = restore(&archive, version, &inside, &Selection::whole(), &how)
    {
        assert!(!error.to_string().is_empty());
    }
    let names: Vec<_> =
        fs::read_dir(&outside).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    assert!(names == ["secret"], "a restore reached out of its target: {names:?}");
    assert!(
        fs::read(outside.join("secret")).is_ok_and(|content| content == SECRET),
        "a restore wrote out of its target"
    );
    let above = fs::read_dir(place.path()).into_iter().flatten().count();
    assert!(above == 2, "a restore made something beside its target");
}

/// A folder that must stay as it is; and in the target, with some bits of `before`, links that lead to it.
fn prepare(outside: &Path, inside: &Path, before: u8) -> std::io::Result<()> {
    fs::create_dir(outside)?;
    fs::write(outside.join("secret"), SECRET)?;
    if before & 1 == 1 {
        fs::create_dir(inside)?;
        for (bit, name) in [(4, "a"), (8, "b")] {
            if before & bit == bit {
                symlink("../outside", inside.join(name))?;
            }
        }
        if before & 16 == 16 {
            symlink("../outside/secret", inside.join("c"))?;
        }
    }
    Ok(())
}

fn entries(steps: &[u8]) -> BTreeMap<TreePath, (u8, u8)> {
    let mut entries = BTreeMap::new();
    for &[kind, path, content] in steps.as_chunks::<3>().0.iter().take(ENTRIES) {
        let names = (0..=path >> 6).map(|level| NAMES[usize::from(path >> (2 * level) & 3)]);
        if let Ok(path) = TreePath::new(names) {
            entries.entry(path).or_insert((kind, content));
        }
    }
    entries
}

/// An archive with one version of these entries; those that no tree can have are left out.
fn archive_of(entries: &BTreeMap<TreePath, (u8, u8)>) -> Option<Archive<MemoryStore>> {
    let (device, random, counters) = (device(), Seeded(1), Counters::default());
    let archive = Archive::create(MemoryStore::default(), keys(), &random).ok()?;
    let random = Seeded(2);
    let mut writer = archive.begin(&BackUp::new(&device, Time::default(), &random, &counters)).ok()?;
    let mode = |mode| Meta { mode, ..Meta::default() };
    writer.entry(&Entry { path: TreePath::root(), meta: mode(0o700), kind: EntryKind::Directory }).ok()?;
    for (path, &(kind, content)) in entries {
        let kind = match kind % 5 {
            0 => EntryKind::Directory,
            1 => EntryKind::Symlink { target: TARGETS[usize::from(content) % TARGETS.len()].to_vec() },
            2 => EntryKind::Fifo,
            3 => EntryKind::HardLink { to: entries.keys().nth(usize::from(content)).cloned().unwrap_or_default() },
            _ => {
                let bytes = vec![content; usize::from(content) * 40];
                let content = writer.content(&mut &bytes[..]).ok()?;
                EntryKind::File { content, changed: false, sparse: bytes.len() > 5000 }
            }
        };
        let _ = writer.entry(&Entry { path: path.clone(), meta: mode(0o700), kind });
    }
    Some(writer.commit(Time::default(), b"fuzz").ok()?.0)
}

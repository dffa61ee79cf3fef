//! A day later: one file in a hundred is another.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::tree::walk;
use crate::dice::Dice;

/// How many files met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Some bytes in the middle were replaced by others, of another length.
    pub edited: u64,
    /// Something was written at the end.
    pub appended: u64,
    /// A new file lies beside it.
    pub added: u64,
    /// It is gone.
    pub removed: u64,
    /// It has another name in another folder.
    pub moved: u64,
}

impl Changes {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.edited + self.appended + self.added + self.removed + self.moved
    }
}

/// Changes one file in a hundred, at least one, in place. Half are edited, the rest meets the other fates alike.
/// Files with several names are left alone. The first one chosen is always edited.
///
/// # Errors
/// The folder cannot be read or written.
pub fn change(folder: &Path, seed: u64) -> io::Result<Changes> {
    let mut files: Vec<PathBuf> = Vec::new();
    walk(folder, &mut |path, metadata| {
        if metadata.is_file() && metadata.nlink() == 1 {
            files.push(path.to_path_buf());
        }
        Ok(())
    })?;
    let mut dice = Dice::new(seed, u64::MAX / 2);
    let mut changes = Changes::default();
    let wanted = files.len().div_ceil(100);
    for number in 0..wanted {
        let file = files.swap_remove(dice.below(files.len()));
        let fate = if number == 0 { 0 } else { dice.below(8) };
        let count = match fate {
            0..4 => {
                edit(&file, &mut dice)?;
                &mut changes.edited
            }
            4 => {
                let (length, addition) = (fs::metadata(&file)?.len(), fresh(&mut dice));
                OpenOptions::new().append(true).open(&file)?.write_all(&addition)?;
                debug_assert!(fs::metadata(&file)?.len() > length);
                &mut changes.appended
            }
            5 => {
                fs::write(file.with_added_extension("new"), fresh(&mut dice).repeat(8))?;
                &mut changes.added
            }
            6 => {
                fs::remove_file(&file)?;
                &mut changes.removed
            }
            _ => {
                let other = folder.join("moved");
                fs::create_dir_all(&other)?;
                fs::rename(&file, other.join(format!("file-{number}")))?;
                &mut changes.moved
            }
        };
        *count += 1;
    }
    Ok(changes)
}

/// Replaces up to a hundred bytes somewhere by as many new ones as it likes.
fn edit(file: &Path, dice: &mut Dice) -> io::Result<()> {
    let mut content = fs::read(file)?;
    let start = dice.below(content.len() + 1);
    let end = (start + dice.below(100)).min(content.len());
    content.splice(start..end, fresh(dice));
    fs::write(file, content)
}

/// A few lines that nobody wrote before.
fn fresh(dice: &mut Dice) -> Vec<u8> {
    let lines = 1 + dice.below(4);
    (0..lines).flat_map(|_| format!("changed {:016x}\n", dice.below(usize::MAX)).into_bytes()).collect()
}

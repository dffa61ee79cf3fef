//! What no backup can be faster than by much: looking at every file, and copying the tree.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::{Missing, Place, Round, Tool, first_line};
use crate::measure::Step;

/// The first argument by which our program knows that it is to walk a tree and end.
const WALK: &str = "walk-and-stat";

/// One thread that lists every folder and stats every entry, and does nothing else.
pub struct Walk;

/// `cp -r` by the system's own `cp`.
pub struct Copy;

/// Both take part in one round; other steps of theirs would be a mistake of the caller, and do nothing.
fn nothing(place: &Place) -> Step {
    place.step("true")
}

impl Tool for Walk {
    fn name(&self) -> &'static str {
        "walk"
    }

    fn version(&self) -> Result<String, Missing> {
        Ok("by one thread, lstat of every entry".to_string())
    }

    fn rounds(&self) -> &'static [Round] {
        &[Round::Unchanged]
    }

    fn prepare(&self, _place: &Place) -> Vec<Step> {
        Vec::new()
    }

    fn back_up(&self, place: &Place, _label: &str) -> Step {
        let own = std::env::current_exe().unwrap_or_default();
        place.step(own).with([WALK]).with([&place.source])
    }

    fn restore(&self, place: &Place, _label: &str) -> Step {
        nothing(place)
    }

    fn restore_one(&self, place: &Place, _label: &str, _path: &Path) -> Step {
        nothing(place)
    }
}

impl Tool for Copy {
    fn name(&self) -> &'static str {
        "cp"
    }

    fn version(&self) -> Result<String, Missing> {
        first_line(self.name(), Path::new("cp"), &["--version"])
            .map(|line| line.trim_start_matches("cp ").to_string())
    }

    fn rounds(&self) -> &'static [Round] {
        &[Round::Restore]
    }

    fn prepare(&self, _place: &Place) -> Vec<Step> {
        Vec::new()
    }

    fn back_up(&self, place: &Place, _label: &str) -> Step {
        nothing(place)
    }

    fn restore(&self, place: &Place, _label: &str) -> Step {
        place.step("cp").with(["-r", ".", "--no-target-directory"]).with([place.restored()])
    }

    fn restore_one(&self, place: &Place, _label: &str, _path: &Path) -> Step {
        nothing(place)
    }
}

/// To be called early by every program that measures [`Walk`]: if it was started as that walker, it walks and must
/// then end with this code.
pub fn walk_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != OsStr::new(WALK) {
        return None;
    }
    Some(match walk(Path::new(&arguments.next()?)) {
        Ok((entries, bytes)) => {
            println!("{entries} entries, {bytes} bytes");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}

/// Entries below the folder and the bytes of its regular files.
fn walk(folder: &Path) -> io::Result<(u64, u64)> {
    let (mut entries, mut bytes) = (0, 0);
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            // Does not follow links, and stats relative to the open folder.
            let metadata = entry.metadata()?;
            entries += 1;
            if metadata.is_dir() {
                open.push(entry.path());
            } else if metadata.is_file() {
                bytes += metadata.len();
            }
        }
    }
    Ok((entries, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_sees_everything_and_follows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/c"), b"four").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        assert_eq!(walk(folder.path()).unwrap(), (4, 4));
    }
}

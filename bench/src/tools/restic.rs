//! restic, and rustic, which speaks the same format and much the same command line.

use std::path::Path;

use super::{Missing, Place, Tool, first_line, password_file, second_word};
use crate::measure::Step;

/// restic, repository version 2. Its `auto` compression is zstd at about level 3.
pub struct Restic;

impl Restic {
    fn step(place: &Place, command: &str) -> Step {
        let step = place.step("restic").variable("RESTIC_PASSWORD_FILE", password_file(place).1);
        step.with(["--quiet", "--compression", "auto", "--repo"]).with([place.repository()]).with([command])
    }
}

impl Tool for Restic {
    fn name(&self) -> &'static str {
        "restic"
    }

    fn version(&self) -> Result<String, Missing> {
        first_line(self.name(), Path::new("restic"), &["version"]).map(|line| second_word(&line))
    }

    fn prepare(&self, place: &Place) -> Vec<Step> {
        vec![password_file(place).0, Restic::step(place, "init").with(["--repository-version", "2"])]
    }

    fn back_up(&self, place: &Place, _label: &str) -> Step {
        Restic::step(place, "backup").with(["."])
    }

    fn restore(&self, place: &Place, _label: &str) -> Step {
        Restic::step(place, "restore").with(["latest", "--target"]).with([place.restored()])
    }

    fn restore_one(&self, place: &Place, _label: &str, path: &Path) -> Step {
        Restic::step(place, "dump")
            .with(["latest"])
            .with([Path::new("/").join(path)])
            .into_file(place.restored_file())
    }
}

/// rustic at zstd 3.
pub struct Rustic;

impl Rustic {
    fn step(place: &Place, command: &str) -> Step {
        let step = place.step("rustic").variable("RUSTIC_PASSWORD_FILE", password_file(place).1);
        step.with(["--no-progress", "--log-level", "warn", "--repository"]).with([place.repository()]).with([command])
    }
}

impl Tool for Rustic {
    fn name(&self) -> &'static str {
        "rustic"
    }

    fn version(&self) -> Result<String, Missing> {
        first_line(self.name(), Path::new("rustic"), &["--version"]).map(|line| second_word(&line))
    }

    fn prepare(&self, place: &Place) -> Vec<Step> {
        vec![password_file(place).0, Rustic::step(place, "init").with(["--set-compression", "3"])]
    }

    fn back_up(&self, place: &Place, _label: &str) -> Step {
        Rustic::step(place, "backup").with(["."])
    }

    fn restore(&self, place: &Place, _label: &str) -> Step {
        Rustic::step(place, "restore").with(["latest"]).with([place.restored()])
    }

    fn restore_one(&self, place: &Place, _label: &str, path: &Path) -> Step {
        let mut from = std::ffi::OsString::from("latest:");
        from.push(path);
        Rustic::step(place, "dump").with([from]).into_file(place.restored_file())
    }
}

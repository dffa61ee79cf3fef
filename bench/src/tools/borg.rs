//! borg, with authenticated encryption by BLAKE2b and a key in the repository.

use std::ffi::OsString;
use std::path::Path;

use super::{Missing, PASSWORD, Place, Tool, first_line, second_word};
use crate::measure::Step;

/// borg 1.
pub struct Borg;

impl Borg {
    fn step(place: &Place) -> Step {
        let step = place.step("borg").variable("BORG_PASSPHRASE", PASSWORD);
        step.variable("BORG_BASE_DIR", place.state.join("home"))
    }

    fn archive(place: &Place, label: &str) -> OsString {
        let mut archive = place.repository().into_os_string();
        archive.push("::");
        archive.push(label);
        archive
    }
}

impl Tool for Borg {
    fn name(&self) -> &'static str {
        "borg"
    }

    fn version(&self) -> Result<String, Missing> {
        first_line(self.name(), Path::new("borg"), &["--version"]).map(|line| second_word(&line))
    }

    fn prepare(&self, place: &Place) -> Vec<Step> {
        vec![Borg::step(place).with(["init", "-e", "repokey-blake2"]).with([place.repository()])]
    }

    fn back_up(&self, place: &Place, label: &str) -> Step {
        Borg::step(place).with(["create", "-C", "zstd,3"]).with([Borg::archive(place, label), ".".into()])
    }

    fn restore(&self, place: &Place, label: &str) -> Step {
        let mut step = Borg::step(place).with(["extract"]).with([Borg::archive(place, label)]);
        step.folder = place.restored();
        step
    }

    fn restore_one(&self, place: &Place, label: &str, path: &Path) -> Step {
        let step = Borg::step(place).with(["extract", "--stdout"]).with([Borg::archive(place, label)]);
        step.with([path]).into_file(place.restored_file())
    }
}

//! bupstash at zstd 3.

use std::path::Path;

use super::{Missing, Place, Tool, first_line};
use crate::measure::Step;

/// bupstash.
pub struct Bupstash;

impl Bupstash {
    fn step(place: &Place) -> Step {
        let step = place.step("bupstash").variable("BUPSTASH_REPOSITORY", place.repository());
        step.variable("BUPSTASH_KEY", place.state.join("key"))
            .variable("BUPSTASH_QUERY_CACHE", place.state.join("queries"))
    }
}

impl Tool for Bupstash {
    fn name(&self) -> &'static str {
        "bupstash"
    }

    fn version(&self) -> Result<String, Missing> {
        first_line(self.name(), Path::new("bupstash"), &["--version"]).map(|line| line.replace("bupstash-", ""))
    }

    fn prepare(&self, place: &Place) -> Vec<Step> {
        let key = Bupstash::step(place).with(["new-key", "-o"]).with([place.state.join("key")]);
        vec![key, Bupstash::step(place).with(["init"])]
    }

    fn back_up(&self, place: &Place, label: &str) -> Step {
        let put = Bupstash::step(place).with(["put", "--quiet", "--xattrs", "--compression", "zstd:3", "--send-log"]);
        put.with([place.state.join("sent")]).with([format!("name={label}"), ".".to_string()])
    }

    fn restore(&self, place: &Place, label: &str) -> Step {
        let step = Bupstash::step(place).with(["restore", "--quiet", "--ownership", "--xattrs", "--into"]);
        step.with([place.restored()]).with([format!("name={label}")])
    }

    fn restore_one(&self, place: &Place, label: &str, path: &Path) -> Step {
        let step = Bupstash::step(place).with(["get", "--quiet", "--pick"]);
        step.with([path]).with([format!("name={label}")]).into_file(place.restored_file())
    }
}

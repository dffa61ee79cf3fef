//! What is backed up: seeded trees of four kinds, made once and kept in a cache folder.
//!
//! The same kind, seed and scale give the same tree, byte for byte, on one platform; its digest is in every report.

mod copied;
mod second_day;
mod statistics;
mod text;
mod tree;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use copied::copy_text;
pub use second_day::{Changes, change};
pub use statistics::{Statistics, statistics};
pub(crate) use tree::walk;
pub use tree::{files_of, make, text_in_memory};

/// Raised whenever the generators change: older cached trees are then made anew.
const GENERATION: u32 = 1;

/// The kind of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// About 76,000 files of source and documentation, 1.07 GB.
    Text,
    /// 8 files of 128 MiB that nothing compresses.
    Random,
    /// 50,000 files up to 256 KiB, text and binary, 0.5 GB.
    Small,
    /// All of it in one tree, with links, empty files and folders, and a few large files.
    Mixed,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Text => "text",
            Kind::Random => "random",
            Kind::Small => "small",
            Kind::Mixed => "mixed",
        })
    }
}

/// A corpus to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Its kind.
    pub kind: Kind,
    /// Names every choice in it.
    pub seed: u64,
    /// 1 for the full size; the number of files (for `random` their size) goes with it.
    pub scale: f64,
    /// For `text`: copied from the text files in these folders instead.
    pub text_from: Vec<PathBuf>,
}

/// A corpus in the cache.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// Its root. To be copied, not changed.
    pub folder: PathBuf,
    /// What is in it.
    pub statistics: Statistics,
}

/// What lies beside a cached tree once it is whole.
#[derive(Serialize, Deserialize)]
struct Label {
    generation: u32,
    recipe: Recipe,
    statistics: Statistics,
}

impl Recipe {
    /// The corpus from this cache folder, made first if it is not there whole.
    ///
    /// # Errors
    /// The cache or a folder of `text_from` cannot be read or written.
    pub fn in_cache(&self, cache: &Path) -> io::Result<Corpus> {
        let copied = if self.text_from.is_empty() { "" } else { "-copied" };
        let folder = cache.join(format!("{}{copied}-{}-{}", self.kind, self.seed, self.scale));
        let label = folder.with_added_extension("json");
        if let Some(statistics) = self.cached(&label) {
            return Ok(Corpus { folder, statistics });
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        if self.kind == Kind::Text && !self.text_from.is_empty() {
            copy_text(&self.text_from, &folder, (tree::TEXT_BYTES * self.scale) as u64)?;
        } else {
            make(self.kind, self.seed, self.scale, &folder)?;
        }
        let statistics = statistics(&folder)?;
        let whole = Label { generation: GENERATION, recipe: self.clone(), statistics: statistics.clone() };
        fs::write(&label, serde_json::to_vec_pretty(&whole)?)?;
        Ok(Corpus { folder, statistics })
    }

    fn cached(&self, label: &Path) -> Option<Statistics> {
        let label: Label = serde_json::from_slice(&fs::read(label).ok()?).ok()?;
        (label.generation == GENERATION && label.recipe == *self).then_some(label.statistics)
    }
}

//! Two runs of criterion, compared: the estimates that it leaves in `target/criterion`, as ratios.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The part of criterion's `benchmark.json` that names a bench.
#[derive(Deserialize)]
struct Bench {
    full_id: String,
}

/// The part of criterion's `estimates.json` that is compared.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// What became of a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Its whole confidence interval lies below the former one.
    Faster,
    /// Above it.
    Slower,
    /// The intervals overlap.
    Same,
}

/// A bench in two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Its group and name.
    pub bench: String,
    /// Median nanoseconds of an iteration, in the run before.
    pub before: f64,
    /// In the run after it.
    pub after: f64,
    /// Before ÷ after: more than 1 is faster now.
    pub ratio: f64,
    /// Whether that is more than chance, by the confidence intervals of the medians.
    pub verdict: Verdict,
}

/// Every bench that both runs have, by name. One that was not run again is the same file in both, and not told.
///
/// # Errors
/// A folder or file cannot be read, or is not what criterion writes; `NotFound` if no bench was run twice.
pub fn compare(criterion: &Path, before: &str, after: &str) -> io::Result<Vec<Comparison>> {
    let mut found = Vec::new();
    let mut folders = vec![criterion.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(named(&folder))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        let (old, new) = (folder.join(before), folder.join(after));
        let estimates = [&old, &new].map(|run| run.join("estimates.json"));
        if estimates.iter().all(|file| file.is_file()) && fs::read(&estimates[0])? != fs::read(&estimates[1])? {
            found.push(comparison(&old, &new)?);
        }
    }
    if found.is_empty() {
        let what = format!("no bench in {} was run as {before:?} and again as {after:?}", criterion.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, what));
    }
    found.sort_by(|a, b| a.bench.cmp(&b.bench));
    Ok(found)
}

/// The geometric mean of the ratios.
pub fn mean_ratio(comparisons: &[Comparison]) -> f64 {
    (comparisons.iter().map(|one| one.ratio.ln()).sum::<f64>() / comparisons.len() as f64).exp()
}

fn comparison(old: &Path, new: &Path) -> io::Result<Comparison> {
    let Bench { full_id: bench } = read(&new.join("benchmark.json"))?;
    let Estimates { median: before } = read(&old.join("estimates.json"))?;
    let Estimates { median: after } = read(&new.join("estimates.json"))?;
    let verdict = if after.confidence_interval.upper_bound < before.confidence_interval.lower_bound {
        Verdict::Faster
    } else if after.confidence_interval.lower_bound > before.confidence_interval.upper_bound {
        Verdict::Slower
    } else {
        Verdict::Same
    };
    let (before, after) = (before.point_estimate, after.point_estimate);
    Ok(Comparison { bench, before, after, ratio: before / after, verdict })
}

fn read<T: for<'a> Deserialize<'a>>(path: &PathBuf) -> io::Result<T> {
    let bytes = fs::read(path).map_err(named(path))?;
    serde_json::from_slice(&bytes).map_err(io::Error::from).map_err(named(path))
}

fn named(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, bench: &str, run: &str, median: f64) {
        let folder = folder.join(bench).join(run);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("benchmark.json"), serde_json::json!({"full_id": bench}).to_string()).unwrap();
        let interval = serde_json::json!({"lower_bound": 0.9 * median, "upper_bound": 1.1 * median});
        let median = serde_json::json!({"point_estimate": median, "confidence_interval": interval});
        fs::write(folder.join("estimates.json"), serde_json::json!({"median": median}).to_string()).unwrap();
    }

    #[test]
    fn ratios_are_before_over_after() {
        let folder = tempfile::tempdir().unwrap();
        for (bench, before, after) in [("a/x", 200.0, 100.0), ("a/y", 100.0, 200.0), ("b", 100.0, 105.0)] {
            write(folder.path(), bench, "before", before);
            write(folder.path(), bench, "new", after);
        }
        write(folder.path(), "only-now", "new", 1.0);
        write(folder.path(), "not-again", "before", 1.0);
        write(folder.path(), "not-again", "new", 1.0);
        let found = compare(folder.path(), "before", "new").unwrap();
        let told: Vec<_> = found.iter().map(|one| (one.bench.as_str(), one.verdict)).collect();
        assert_eq!(told, [("a/x", Verdict::Faster), ("a/y", Verdict::Slower), ("b", Verdict::Same)]);
        assert_eq!((found[0].ratio, found[1].ratio), (2.0, 0.5));
        assert!((mean_ratio(&found[..2]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_to_compare_is_an_error_and_so_is_what_is_no_json() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a", "new", 1.0);
        assert_eq!(compare(folder.path(), "before", "new").unwrap_err().kind(), io::ErrorKind::NotFound);
        write(folder.path(), "a", "before", 1.0);
        fs::write(folder.path().join("a/before/estimates.json"), "{").unwrap();
        assert!(compare(folder.path(), "before", "new").unwrap_err().to_string().contains("estimates.json"));
    }
}

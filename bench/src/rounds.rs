//! One corpus, all tools: every tool does a round before any does the next, and within a round they alternate.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::corpus::{self, Changes, Kind};
use crate::measure::{Cost, measure};
use crate::tools::{Place, Round, Tool};

/// One measured run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Over which corpus.
    pub corpus: Kind,
    /// What was done.
    pub round: Round,
    /// By which tool.
    pub tool: String,
    /// For which time, from 0.
    pub repetition: usize,
    /// What it cost.
    #[serde(flatten)]
    pub cost: Cost,
    /// Bytes of the files of its repository after it; none for a floor.
    pub repository: Option<u64>,
}

/// A tool failed, or restored something else than was backed up. It does nothing more on this corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Over which corpus.
    pub corpus: Kind,
    /// In which round.
    pub round: Round,
    /// Which tool.
    pub tool: String,
    /// What happened.
    pub what: String,
}

/// Hears of what happens as it happens.
pub trait Observer {
    /// A run begins.
    fn begins(&mut self, corpus: Kind, round: Round, tool: &str, repetition: usize);
    /// A run was measured.
    fn run(&mut self, run: &Run);
    /// A tool failed.
    fn problem(&mut self, problem: &Problem);
    /// The second day came.
    fn changed(&mut self, corpus: Kind, changes: &Changes);
}

/// How the tools are compared.
pub struct Comparison<'a> {
    /// The tools, in the order in which they alternate.
    pub tools: &'a [Box<dyn Tool>],
    /// How often each does each round.
    pub repetitions: usize,
    /// Names the changes of the second day.
    pub seed: u64,
    /// Repositories and restored trees come here, and are removed when the corpus is done; not before, since ext4 without
    /// a journal takes much longer to make files for minutes after many were removed, and so would whoever comes next.
    pub work: &'a Path,
}

impl Comparison<'_> {
    /// Compares the tools over a corpus. Its folder is copied first, since the second day changes it.
    ///
    /// # Errors
    /// The work folder or the corpus cannot be read or written. What a tool does wrong is a [`Problem`] and no error.
    pub fn over(&self, kind: Kind, folder: &Path, observer: &mut dyn Observer) -> io::Result<()> {
        let work = self.work.join(kind.to_string());
        if work.exists() {
            fs::remove_dir_all(&work)?;
        }
        fs::create_dir_all(&work)?;
        let source = work.join("source");
        copy(folder, &source)?;
        let mut corpus = OverCorpus { how: self, kind, work: work.clone(), source, failed: HashSet::new(), observer };
        for round in Round::ALL {
            corpus.round(round)?;
        }
        fs::remove_dir_all(work)
    }
}

struct OverCorpus<'a> {
    how: &'a Comparison<'a>,
    kind: Kind,
    work: PathBuf,
    source: PathBuf,
    failed: HashSet<&'static str>,
    observer: &'a mut dyn Observer,
}

impl OverCorpus<'_> {
    fn round(&mut self, round: Round) -> io::Result<()> {
        if round == Round::Changed {
            let changes = corpus::change(&self.source, self.how.seed)?;
            self.observer.changed(self.kind, &changes);
        }
        for repetition in 0..self.how.repetitions {
            for tool in self.how.tools {
                if !tool.rounds().contains(&round) || self.failed.contains(tool.name()) {
                    continue;
                }
                self.observer.begins(self.kind, round, tool.name(), repetition);
                match self.run(tool.as_ref(), round, repetition)? {
                    Ok(run) => self.observer.run(&run),
                    Err(what) => {
                        self.failed.insert(tool.name());
                        let tool = tool.name().to_string();
                        self.observer.problem(&Problem { corpus: self.kind, round, tool, what });
                    }
                }
            }
        }
        Ok(())
    }

    /// One run of a tool, and whether what it restored is right. The inner error says what the tool did wrong.
    fn run(&self, tool: &dyn Tool, round: Round, repetition: usize) -> io::Result<Result<Run, String>> {
        let state = self.work.join(format!("{}-{repetition}", tool.name()));
        let place = Place { source: self.source.clone(), state };
        if !place.state.exists() {
            fs::create_dir_all(place.state.join("home"))?;
            for step in tool.prepare(&place) {
                if let Err(error) = measure(&step, &[]) {
                    return Ok(Err(error.to_string()));
                }
            }
        }
        let one = if round == Round::One { Some(one_file(&self.source)?) } else { None };
        let step = match (round, &one) {
            (Round::Restore, _) => {
                fs::create_dir(place.restored())?;
                tool.restore(&place, Round::Changed.name())
            }
            (_, Some(path)) => tool.restore_one(&place, Round::Changed.name(), path),
            _ => tool.back_up(&place, round.name()),
        };
        warm(&self.source)?;
        warm(&place.state)?;
        nix::unistd::sync();
        let measured = measure(&step, &[]);
        let wrong = match (round, &one) {
            (Round::Restore, _) if measured.is_ok() && repetition == 0 => {
                difference(&self.source, &place.restored())?
            }
            (_, Some(path)) if measured.is_ok() => other_file(&self.source.join(path), &place.restored_file())?,
            _ => None,
        };
        Ok(match (measured, wrong) {
            (Err(error), _) => Err(error.to_string()),
            (Ok(_), Some(wrong)) => Err(format!("a WRONG RESTORE: {wrong}")),
            (Ok(cost), None) => {
                let repository = place.repository().exists().then(|| size(&place.repository())).transpose()?;
                Ok(Run { corpus: self.kind, round, tool: tool.name().to_string(), repetition, cost, repository })
            }
        })
    }
}

/// A tree with its times, links and permissions.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let status = Command::new("cp").args(["-a", "--no-target-directory"]).args([from, to]).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("cp -a {}: {status}", from.display()))) }
}

/// Reads everything below a folder, so that it is in the page cache.
pub(crate) fn warm(folder: &Path) -> io::Result<()> {
    let mut part = vec![0; 1 << 20];
    corpus::walk(folder, &mut |path, metadata| {
        if metadata.is_file() {
            let mut file = File::open(path)?;
            while file.read(&mut part)? > 0 {}
        }
        Ok(())
    })
}

/// The bytes of all files below a folder.
pub(crate) fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    corpus::walk(folder, &mut |_, metadata| {
        bytes += if metadata.is_file() { metadata.len() } else { 0 };
        Ok(())
    })?;
    Ok(bytes)
}

/// The path below the folder of the file in the middle of all that have content.
fn one_file(folder: &Path) -> io::Result<PathBuf> {
    let mut files = Vec::new();
    corpus::walk(folder, &mut |path, metadata| {
        if metadata.is_file() && metadata.len() > 0 {
            files.push(path.strip_prefix(folder).unwrap_or(path).to_path_buf());
        }
        Ok(())
    })?;
    files.get(files.len() / 2).cloned().ok_or_else(|| io::Error::other("no file in the corpus"))
}

/// What `diff -r --no-dereference` says first, if two trees differ in names, kinds, links or content.
pub(crate) fn difference(left: &Path, right: &Path) -> io::Result<Option<String>> {
    let mut diff = Command::new("diff");
    diff.args(["-r", "-q", "--no-dereference"]).args([left, right]).stdin(Stdio::null());
    let output = diff.output().map_err(|error| io::Error::new(error.kind(), format!("cannot run diff: {error}")))?;
    let first = |text: &[u8]| String::from_utf8_lossy(text).lines().next().unwrap_or("").to_string();
    match output.status.code() {
        Some(0) => Ok(None),
        Some(1) => Ok(Some(first(&output.stdout))),
        _ => Err(io::Error::other(format!("diff: {}", first(&output.stderr)))),
    }
}

fn other_file(source: &Path, restored: &Path) -> io::Result<Option<String>> {
    let same = restored.exists() && fs::read(source)? == fs::read(restored)?;
    if restored.exists() {
        fs::remove_file(restored)?;
    }
    Ok((!same).then(|| format!("{} has other content", source.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_tree_and_a_wrong_file_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (left, right) = (folder.path().join("left"), folder.path().join("right"));
        fs::create_dir_all(left.join("a")).unwrap();
        fs::write(left.join("a/file"), b"content").unwrap();
        std::os::unix::fs::symlink("nowhere", left.join("link")).unwrap();
        copy(&left, &right).unwrap();
        assert_eq!(difference(&left, &right).unwrap(), None);
        fs::write(right.join("a/file"), b"contemt").unwrap();
        assert!(difference(&left, &right).unwrap().unwrap().contains("a/file"));
        assert!(other_file(&left.join("a/file"), &right.join("a/file")).unwrap().is_some());
        fs::write(right.join("a/file"), b"content").unwrap();
        assert_eq!(other_file(&left.join("a/file"), &right.join("a/file")).unwrap(), None);
        assert!(
            other_file(&left.join("a/file"), &right.join("a/file")).unwrap().is_some(),
            "it is not there any more"
        );
        fs::remove_file(right.join("link")).unwrap();
        assert!(difference(&left, &right).unwrap().is_some());
    }

    #[test]
    fn a_folder_has_the_size_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b"), [0; 1000]).unwrap();
        fs::write(folder.path().join("c"), [0; 24]).unwrap();
        warm(folder.path()).unwrap();
        assert_eq!(size(folder.path()).unwrap(), 1024);
        assert_eq!(one_file(folder.path()).unwrap(), Path::new("c"));
    }
}

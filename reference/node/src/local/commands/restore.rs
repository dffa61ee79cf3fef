//! `bailee restore`: a version, or part of it, into a folder, or a file of it to standard output.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bailee_archive::tree::{Content, EntryKind};
use bailee_archive::{ArchiveError, TreePath, Version};
use bailee_files::{Overwrite, Paths, RestoreProgress, Restored, is_pattern};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::exit::Exit;
use crate::local::common::Common;
use crate::local::engine::{self, Archive, Restore as Job, To};
use crate::local::entry::put_system_path;
use crate::local::failure::{Done, Failure, shown};
use crate::local::interrupt;
use crate::local::pattern;
use crate::local::progress::{Goal, Progress, Voice, span};
use crate::local::report::{SHOWN_WARNINGS, and_more, count, gone, size, unheard};
use crate::local::select::Which;
use crate::local::session::Session;

/// What happens to an existing file that is not as the version has it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Replacing {
    /// It is kept as it was, and named.
    Never,
    /// It is replaced if the version's was modified later.
    IfNewer,
    /// It is replaced if its length or its time of modification differs.
    IfChanged,
    /// It is replaced if anything differs: the content is compared.
    Always,
}

impl From<Replacing> for Overwrite {
    fn from(replacing: Replacing) -> Self {
        match replacing {
            Replacing::Never => Overwrite::Never,
            Replacing::IfNewer => Overwrite::IfNewer,
            Replacing::IfChanged => Overwrite::IfChanged,
            Replacing::Always => Overwrite::Always,
        }
    }
}

/// Restores a version, or what of it is named, into a folder. An existing file is never replaced unless `--overwrite` says so; other
/// files in the folder are left alone. The same command, run again, completes a restore that was interrupted: until a restore is
/// complete, the folder has a file `.bailee-restore-unfinished`, which says so.
#[derive(Args, Debug)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Which version: `latest`, a number, or 4 digits or more of its digest.
    #[arg(value_name = "VERSION")]
    version: String,
    /// Paths, or patterns in the syntax of .gitignore: only what they name, without what a pattern with `!` in front takes back. A
    /// word is a path if the version has exactly that. All of the version if there are none.
    #[arg(value_name = "PATH|GLOB")]
    what: Vec<OsString>,
    /// The folder to restore into.
    #[arg(long, value_name = "DIR", required_unless_present = "stdout", conflicts_with = "stdout")]
    target: Option<PathBuf>,
    /// Write the content of one file to standard output. It is named by its path: a pattern may mean several.
    #[arg(long, requires = "what", conflicts_with_all = ["json", "verify", "overwrite", "resume"])]
    stdout: bool,
    /// Read everything again after it was written, and compare.
    #[arg(long)]
    verify: bool,
    /// When to replace an existing file that is not as the version has it.
    #[arg(long, value_name = "WHEN", default_value = "never")]
    overwrite: Replacing,
    /// Changes nothing: every restore completes what an interrupted one left.
    #[arg(long, hide = true)]
    resume: bool,
    #[command(flatten)]
    which: Which,
}

impl Restore {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        for word in &self.what {
            pattern::refuse_empty(word)?;
        }
        let (archive, _) = session.open(To::Read)?;
        let version = self.which.version(archive.versions(), &self.version)?;
        match &self.target {
            Some(target) => self.to_folder(session, &archive, version, target),
            None => self.to_stdout(session, &archive, version),
        }
    }

    fn to_folder(
        &self,
        session: &mut Session<'_>,
        archive: &Archive,
        version: &Version,
        target: &Path,
    ) -> Done<Exit> {
        let started = Instant::now();
        interrupt::means(
            "what was restored so far is whole; run the same command again to go on (until then the target has a file \
             .bailee-restore-unfinished)",
        );
        let counters = Arc::<RestoreProgress>::default();
        let all = self.what.is_empty().then_some(&version.root);
        let goal = Goal { entries: all.map(|root| root.entries), bytes: all.map(|root| root.bytes) };
        let job = Job { target, what: &self.what, verify: self.verify, overwrite: self.overwrite.into() };
        let done = {
            let counting = counters.clone();
            let _progress = Progress::start(Voice::of(session.report), "restoring", goal, move || {
                engine::restore_state(&counting)
            });
            engine::restore(archive, session.place(), version, &job, &counters)?
        };
        say_paths(session, &done.replaced, "replaced", "replaced")?;
        say_paths(session, &done.left, "left", "left as it was")?;
        for warnings in [&done.warnings, &done.damaged] {
            session.report.warn_all(warnings.iter().map(|warning| (Some(&*warning.path), &*warning.what)));
        }
        let nothing = "nothing in the version is called so or matches it";
        session.report.warn_all(done.unmatched.iter().map(|word| (Some(&**word), nothing)));
        let seconds = started.elapsed().as_secs_f64();
        let mut object = json!({"version": version.seq, "digest": version.digest.to_string(), "entries": done.entries,
            "bytes": done.bytes, "kept": done.kept, "chosen": done.chosen, "missing": done.missing(),
            "replaced": done.replaced.count, "left": done.left.count, "damaged": done.damaged.len(),
            "unmatched": done.unmatched.len(), "warnings": session.report.warnings(), "seconds": seconds});
        put_system_path(&mut object, "target", target);
        unheard(session.report.summary(object, &summary(version, target, &done, seconds)))?;
        Ok(if done.is_whole() { Exit::Ok } else { Exit::Partial })
    }

    fn to_stdout(&self, session: &mut Session<'_>, archive: &Archive, version: &Version) -> Done<Exit> {
        let [named] = &self.what[..] else {
            return Err(Failure::usage("--stdout writes one file", "name one path"));
        };
        let content = file(session.place(), archive, version, named)?;
        match engine::copy_content(archive, &content, session.report.bytes()) {
            Err(ArchiveError::Sink { error }) => Err(gone(error)),
            Err(error) => Err(Failure::archive(session.place(), &error)),
            Ok(()) => session.report.flush().map(|()| Exit::Ok),
        }
    }
}

/// What happened to existing files, one line each: machines are told all that is kept of it, people as much as they read.
fn say_paths(session: &mut Session<'_>, paths: &Paths, kind: &str, words: &str) -> Done {
    let most = if session.report.json { paths.paths.len() } else { SHOWN_WARNINGS };
    let object = |path: &Path| {
        let mut object = json!({"message_type": kind, "path": null});
        put_system_path(&mut object, "path", path);
        object
    };
    for path in paths.paths.iter().take(most) {
        unheard(session.report.data(|| object(path), || format!("{words}: {}", shown(path))))?;
    }
    let all = usize::try_from(paths.count).unwrap_or(usize::MAX);
    if all > most { unheard(session.report.text(&and_more(all))) } else { Ok(()) }
}

fn summary(version: &Version, target: &Path, done: &Restored, seconds: f64) -> String {
    let mut text = format!(
        "Version {}: {}, {}, restored into {} in {}.",
        version.seq,
        count(done.entries, "entry", "entries"),
        size(done.bytes),
        shown(target),
        span(seconds)
    );
    if done.replaced.count > 0 {
        text += &format!(" {} replaced.", count(done.replaced.count, "existing file was", "existing files were"));
    }
    match done.left.count {
        0 => {}
        1 => text += " 1 existing file was left as it is (see --overwrite).",
        left => text += &format!(" {left} existing files were left as they are (see --overwrite)."),
    }
    if done.missing() > 0 {
        text += &format!(" {} of {} could not be restored.", done.missing(), done.chosen);
    }
    text
}

/// The content of the file at a path; a hard link leads to its first name.
fn file(place: &Path, archive: &Archive, version: &Version, named: &OsStr) -> Done<Content> {
    let mut path = pattern::path(named)?;
    loop {
        match at(place, archive, version, &path)? {
            Some(EntryKind::File { content, .. }) => return Ok(content),
            Some(EntryKind::HardLink { to }) if to < path => path = to,
            Some(_) => {
                let next = "name a file, or restore into a folder with --target";
                return Err(Failure::usage(format!("{path} is no file in version {}", version.seq), next));
            }
            None => {
                let next = match is_pattern(named) {
                    true => "--stdout takes the path of one file and no pattern: search for it with `bailee find`",
                    false => "see what it has with `bailee ls`, or search with `bailee find`",
                };
                return Err(Failure::new(Exit::Failure, format!("version {} has no {path}", version.seq), next));
            }
        }
    }
}

fn at(place: &Path, archive: &Archive, version: &Version, path: &TreePath) -> Done<Option<EntryKind>> {
    let failed = |error| Failure::archive(place, &error);
    match engine::tree_from(archive, version, path).map_err(failed)?.next() {
        Some(entry) => Ok(Some(entry.map_err(failed)?).filter(|entry| entry.path == *path).map(|entry| entry.kind)),
        None => Ok(None),
    }
}

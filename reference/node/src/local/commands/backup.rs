//! `bailee backup`: a folder as a new version.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bailee_archive::limits::{HOST_BYTES, LABEL_BYTES};
use bailee_archive::{Counters, Origin};
use bailee_files::{Amount, Inside};
use clap::Args;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::local::common::Common;
use crate::local::engine::{self, Archive, BackUp, BackedUp, Emptied, To};
use crate::local::failure::{Done, Failure, shown};
use crate::local::interrupt;
use crate::local::origin;
use crate::local::progress::{Goal, Progress, Voice, span};
use crate::local::record::Record;
use crate::local::report::{count, size, unheard};
use crate::local::select;
use crate::local::session::Session;
use crate::local::when;

/// Backs a folder up as a new version.
///
/// What did not change since the last one is not stored again. The archive and the key store are left out, should they lie in the
/// folder.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The folder to back up. It is only read.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Leave out what matches, in the syntax of .gitignore. May be given several times.
    ///
    /// A word with `*`, `?`, `[`, `{` or other signs of a pattern means itself alone if the folder has something of exactly that
    /// path. A plain name is left out at any depth.
    #[arg(long, value_name = "PATH|GLOB")]
    exclude: Vec<OsString>,
    /// Leave out what the lines of this file match, in the syntax of .gitignore. The file is UTF-8.
    #[arg(long, value_name = "FILE")]
    exclude_file: Option<PathBuf>,
    /// What the version is called; the path of the folder if it is left out. The rules of `bailee forget` hold for each label of
    /// each host.
    #[arg(long, value_name = "TEXT", value_parser = label)]
    label: Option<String>,
    /// The host that the version is of; this one if it is left out. The version then names no machine: for containers and the like,
    /// whose key store does not last, so that the rules of `bailee forget` take their versions together.
    #[arg(long, value_name = "NAME", value_parser = host)]
    host: Option<String>,
    /// The level of zstd.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=19))]
    level: Option<i32>,
    /// How many threads read, compress and seal; as many as there are processors if it is left out.
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=256))]
    threads: Option<usize>,
    /// Do not pad blocks: the archive is smaller, and their lengths say more about what is in them.
    #[arg(long)]
    no_padding: bool,
    /// Say what would be backed up, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Back the folder up even if it is empty and its last version is not.
    ///
    /// Without this flag, a folder with nothing in it except folders is refused if its last version had more: what belongs there
    /// may not be mounted. So is one of which everything is excluded or nothing can be read.
    #[arg(long)]
    allow_empty: bool,
    /// Stay, and back up again whenever something in the folder changed. Stop it with ^C.
    #[arg(long, conflicts_with = "dry_run")]
    watch: bool,
}

impl Backup {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        let (place, home) = (session.place(), session.home.folder().to_path_buf());
        self.refuse_own(place, &home)?;
        if !self.watch {
            return self.once(session);
        }
        let mut round = || match self.once(session) {
            // Another writer is a matter of time.
            Err(failure @ Failure::Because { exit: Exit::Locked, .. }) => warned(session, failure).map(|_| ()),
            done => done.map(|_| ()),
        };
        engine::watch(&self.folder, [place, &home], &mut round).map(|()| Exit::Ok)
    }

    fn once(&self, session: &mut Session<'_>) -> Done<Exit> {
        let started = Instant::now();
        let (archive, record) = session.open(To::write_unless(self.dry_run))?;
        interrupt::means("no version was made; what was stored so far is not stored again by the next backup");
        let counters = Arc::<Counters>::default();
        let home = session.home.folder().to_path_buf();
        let (origin, origin_notes) = self.origin(session);
        let job = self.job(origin, session.home.catalogue(archive.id(), &self.folder), [session.place(), &home])?;
        if let Some(refused) = self.refuse_empty(&archive, session.place(), &job)? {
            return if self.watch { warned(session, refused) } else { Err(refused) };
        }
        warn_of_clocks(session, &archive);
        if !self.dry_run {
            session.home.make_catalogues()?;
        }
        let goal = self.goal(session, &archive, &job)?;
        let mut done = {
            let counting = counters.clone();
            let _progress = Progress::start(Voice::of(session.report), "backing up", goal, move || {
                engine::backup_state(&counting)
            });
            engine::back_up(archive, session.place(), &job, &record.device(), &counters)?
        };
        interrupt::means("the version was made");
        done.notes.extend(origin_notes);
        session.report.warn_all(done.warnings.iter().map(|warning| (Some(&*warning.path), &*warning.what)));
        for note in &done.notes {
            session.report.note(note);
        }
        if let Some(archive) = done.archive.take() {
            let (archive, note) = self.repair(session, archive, &record)?;
            done.notes.extend(note);
            session.remember(&archive, &record);
        }
        self.summary(session, &done, started.elapsed().as_secs_f64())?;
        Ok(if done.warnings.is_empty() { Exit::Ok } else { Exit::Partial })
    }

    /// Puts a damaged archive right: what the folder still had is stored again by now.
    fn repair(
        &self,
        session: &mut Session<'_>,
        archive: Archive,
        record: &Record,
    ) -> Done<(Archive, Option<String>)> {
        if !archive.needs_repair() {
            return Ok((archive, None));
        }
        let (archive, repaired) = engine::repair(archive, session.place(), &record.device(), false, false)?;
        let gone = repaired.lost.iter().filter(|lost| lost.is_gone).count() as u64;
        let others = repaired.lost.len() as u64 - gone;
        if others == 0 && !repaired.done.may_come_back && repaired.done.left == 0 {
            for lost in &repaired.lost {
                session.report.warn(None, &format!("version {} is lost for good: {}", lost.version, lost.what));
            }
            let what = match gone {
                0 => "the archive was damaged and is whole again: what was lost is stored again",
                _ => "the archive was damaged; all that is left of it is whole again",
            };
            session.report.note(what);
            return Ok((archive, Some(what.into())));
        }
        let costs = match repaired.lost.len() as u64 {
            0 => "no version has lost anything".to_string(),
            lost => format!("older versions have {}", count(lost, "loss", "losses")),
        };
        let what = format!("this version is whole; the archive is still damaged, and {costs}");
        session.report.warn(None, &what);
        session.report.advise("see what is damaged, and what to do about it, with `bailee check`");
        Ok((archive, None))
    }

    fn job(&self, origin: Option<Origin>, catalogue: PathBuf, without: [&Path; 2]) -> Done<BackUp<'_>> {
        Ok(BackUp {
            folder: &self.folder,
            label: self.label(),
            origin,
            scope: engine::scope(&self.folder, &self.exclude, self.exclude_file.as_deref(), without)?,
            level: self.level,
            threads: self.threads,
            padding: !self.no_padding,
            dry_run: self.dry_run,
            catalogue,
        })
    }

    /// Why the folder is not backed up, if it yields nothing while its last version had something.
    fn refuse_empty(&self, archive: &Archive, place: &Path, job: &BackUp<'_>) -> Done<Option<Failure>> {
        if self.allow_empty {
            return Ok(None);
        }
        let Some(Emptied { last, inside }) = engine::emptied(archive, place, job)? else { return Ok(None) };
        let folder = shown(&self.folder);
        let before = format!("version {} had {}", last.seq, count(last.root.entries, "entry", "entries"));
        let (what, next) = match inside {
            Inside::Unreadable { path, error } => (
                format!("nothing in {folder} can be read, while {before}: {}: {error}", shown(&path)),
                "look at who may read it",
            ),
            Inside::Excluded => (
                format!("everything in {folder} is excluded, while {before}"),
                "look at --exclude and --exclude-file, and whether all of it is mounted",
            ),
            _ => (format!("{folder} is empty, while {before}: is it mounted?"), "mount it and run it again"),
        };
        let end = if what.ends_with('?') { "" } else { "." };
        let next = format!("{next}; or, if it is to be empty, make the empty version with --allow-empty");
        Ok(Some(Failure::new(Exit::Failure, format!("{what}{end} Nothing was written"), next)))
    }

    /// Refuses a folder of the program's own: an archive in itself grows with every backup, and keys do not belong behind their own
    /// lock.
    fn refuse_own(&self, place: &Path, home: &Path) -> Done {
        let id = |path: &Path| std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        // A folder that is not there is refused later.
        let Ok(folder) = std::fs::canonicalize(&self.folder) else { return Ok(()) };
        let above: Vec<_> = folder.ancestors().filter_map(id).collect();
        let is_in = |own: &Path| id(own).is_some_and(|own| above.contains(&own));
        let refused = |what: &str| {
            let what = format!("{} is {what}, or lies in it: it is no folder to back up", shown(&self.folder));
            Err(Failure::usage(what, "name the folder whose files are to be kept"))
        };
        match (is_in(place), is_in(home)) {
            (true, _) => refused("the archive itself"),
            (_, true) => refused("the key store"),
            _ => Ok(()),
        }
    }

    fn label(&self) -> Vec<u8> {
        match &self.label {
            Some(label) => label.as_bytes().to_vec(),
            None => engine::label(&self.folder),
        }
    }

    /// Where the version is made, and notes of what is not known of it. A dry run makes none, and no file in the key store.
    fn origin(&self, session: &Session<'_>) -> (Option<Origin>, Vec<String>) {
        if self.dry_run {
            return (None, Vec::new());
        }
        let (origin, notes) = origin::here(&session.home, self.host.as_deref());
        (Some(origin), notes)
    }

    /// The last version with this label is about as large as the next one. If there is none, the folder is walked
    /// beforehand, but only where somebody watches.
    fn goal(&self, session: &mut Session<'_>, archive: &Archive, job: &BackUp<'_>) -> Done<Goal> {
        if let Some(last) = engine::newest_of(archive.versions(), job) {
            return Ok(Goal { entries: Some(last.root.entries), bytes: Some(last.root.bytes) });
        }
        if self.dry_run || Voice::of(session.report) != Some(Voice::Bar) {
            return Ok(Goal::default());
        }
        session.report.note("Looking how much there is …");
        engine::size_up(archive, session.place(), job)
    }

    fn summary(&self, session: &mut Session<'_>, done: &BackedUp, seconds: f64) -> Done {
        let totals = done.totals;
        let (version, digest) = match &done.version {
            Some(version) => (Some(version.seq), Some(version.digest.to_string())),
            None => (None, None),
        };
        let object = json!({"version": version, "digest": digest, "entries": totals.entries, "bytes_total": totals.bytes,
            "bytes_read": totals.read, "bytes_new": totals.new, "bytes_stored": totals.stored, "warnings": session.report.warnings(),
            "files_new": amount(done.changes.new), "files_changed": amount(done.changes.changed),
            "files_unchanged": amount(done.changes.unchanged), "notes": done.notes, "dry_run": self.dry_run,
            "seconds": seconds});
        let what = match &done.version {
            Some(version) => format!("Version {} ({})", version.seq, select::short(version)),
            None => "Nothing was written (dry run)".to_string(),
        };
        let left_out = match done.warnings.len() {
            0 => String::new(),
            some => format!(" {} above.", count(some as u64, "warning", "warnings")),
        };
        let text = format!(
            "{what}: {} of {}; {} read, {} new, {} written, in {}.{left_out}",
            count(totals.entries, "entry", "entries"),
            size(totals.bytes),
            size(totals.read),
            size(totals.new),
            size(totals.stored),
            span(seconds)
        );
        unheard(session.report.summary(object, &text))
    }
}

/// Says why a round of `--watch` made no version: the next may.
fn warned(session: &mut Session<'_>, failure: Failure) -> Done<Exit> {
    let Failure::Because { what, exit, .. } = failure else { return Err(failure) };
    session.report.warn(None, &what);
    Ok(exit)
}

/// A label that a version can have.
fn label(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a label has at least one letter".into()),
        length if length > LABEL_BYTES => Err(format!("{length} bytes where at most {LABEL_BYTES} are allowed")),
        _ => Ok(text.into()),
    }
}

/// A name that a host can have.
fn host(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a host has a name of at least one letter".into()),
        length if length > HOST_BYTES => Err(format!("{length} bytes where at most {HOST_BYTES} are allowed")),
        _ => Ok(text.into()),
    }
}

/// Warns if the newest version is later than now: one of two clocks is wrong.
fn warn_of_clocks(session: &mut Session<'_>, archive: &Archive) {
    if let Some(newest) = archive.versions().last().filter(|newest| newest.root.time > when::now()) {
        session.report.warn(None, &when::is_ahead(newest.seq, newest.root.time));
    }
}

fn amount(amount: Amount) -> Value {
    json!({"files": amount.files, "bytes": amount.bytes})
}

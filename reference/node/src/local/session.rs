//! One command on one archive: which archive, with which key, and what is remembered of it.

use std::path::Path;

use bailee_archive::{ArchiveId, DeviceId};

use super::common::Common;
use super::engine::{self, Archive, To};
use super::failure::{Done, Failure};
use super::home::Home;
use super::record::Record;
use super::report::Report;

/// What becomes of a version that was seen and whose record is damaged now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// It is named, and the command goes on.
    Named,
    /// The command ends: what it would show is older than what was seen.
    Refused,
}

/// What a command works with.
pub(crate) struct Session<'a> {
    common: &'a Common,
    pub(crate) home: Home,
    pub(crate) report: &'a mut Report,
}

impl<'a> Session<'a> {
    pub(crate) fn new(common: &'a Common, report: &'a mut Report) -> Done<Self> {
        Ok(Session { common, home: Home::locate()?, report })
    }

    /// The folder of the archive.
    pub(crate) fn place(&self) -> &'a Path {
        &self.common.archive
    }

    /// The archive and its record. Refuses one that lacks what was seen in it before, remembers what is new in it, and warns of
    /// damage.
    pub(crate) fn open(&mut self, to: To) -> Done<(Archive, Record)> {
        let (archive, record) = self.open_as(to, if to == To::Write { Lost::Named } else { Lost::Refused })?;
        self.warn_of_damage(&archive);
        Ok((archive, record))
    }

    /// As [`Session::open`], but damage is left for the command to name, even if it costs a version.
    pub(crate) fn open_to_check(&mut self, to: To) -> Done<(Archive, Record)> {
        self.open_as(to, Lost::Named)
    }

    fn open_as(&mut self, to: To, lost: Lost) -> Done<(Archive, Record)> {
        let (mut archive, mut record) = self.find(to)?;
        self.refuse_rollback(&mut archive, &mut record, lost)?;
        self.remember(&archive, &record);
        self.warn_of_strangers(&archive);
        Ok((archive, record))
    }

    fn warn_of_damage(&mut self, archive: &Archive) {
        let Some(first) = archive.damage().first() else { return };
        let places = match archive.damage_count() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        self.report.warn(None, &format!("the archive is damaged: {first}{places}"));
        self.report
            .advise("see what that costs with `bailee check`, and put it right with `bailee repair` or a backup");
    }

    /// Files that only look like segments of the archive.
    fn warn_of_strangers(&mut self, archive: &Archive) {
        let strangers: Vec<u64> = archive.strangers().collect();
        if let Some(first) = strangers.first() {
            let others =
                if strangers.len() > 1 { format!(" and {} more", strangers.len() - 1) } else { String::new() };
            let what = format!(
                "{first:016x}.seg{others} in its folder is not of this archive: nothing of it is used, and it may be moved away"
            );
            self.report.warn(None, &what);
        }
    }

    /// The archive, with what the key store has of it. In a place where archives were seen before, one of these is meant. Else
    /// which one it is may be in doubt, where a head is damaged or a link was planted: the first that opens with its key is the
    /// one.
    fn find(&mut self, to: To) -> Done<(Archive, Record)> {
        let place = self.place();
        let seen = self.home.seen_at(place);
        let candidates = match engine::candidates(place) {
            Err(_) if !seen.is_empty() && engine::has_nothing(place) => return self.nothing_left(&seen, to),
            candidates => candidates?,
        };
        let known: Vec<ArchiveId> = seen.iter().filter(|id| candidates.contains(id)).copied().collect();
        if known.is_empty() && !seen.is_empty() && !self.common.accept_other {
            let has_key = |id: &&ArchiveId| self.home.load(**id).is_ok_and(|record| record.is_some());
            if let Some(other) = candidates.iter().find(has_key) {
                return Err(Failure::other_archive(place, seen[0], *other));
            }
        }
        let mut refused = None;
        for id in known.into_iter().chain(candidates.into_iter().filter(|id| !seen.contains(id))) {
            let Some(record) = self.home.load(id)? else { continue };
            match engine::open(place, &record, to) {
                Ok(archive) => {
                    self.remember_place(id);
                    return Ok((archive, record));
                }
                Err(failure) => refused = refused.or(Some(failure)),
            }
        }
        Err(refused.unwrap_or_else(|| Failure::no_key(place)))
    }

    /// Where an archive was and no segment of it is left: a backup may begin it anew, with the same key.
    fn nothing_left(&mut self, seen: &[ArchiveId], to: To) -> Done<(Archive, Record)> {
        let place = self.place();
        for id in seen {
            let Some(record) = self.home.load(*id)? else { continue };
            if to != To::Write || !self.common.accept_rollback {
                return Err(Failure::nothing_left(place, *id));
            }
            let archive = engine::create_again(place, &record)?;
            return Ok((archive, record));
        }
        Err(Failure::no_archive(place))
    }

    /// Remembers which archive is here. One that was there before counts no longer, unless it is found again.
    pub(crate) fn remember_place(&mut self, id: ArchiveId) {
        if let Err(Failure::Because { what, .. }) = self.home.remember_place(self.common.archive.as_path(), id) {
            self.report.note(&format!("which archive is here is not remembered: {what}"));
        }
    }

    /// Refuses an archive that lacks what was seen in it before. A version whose record was damaged is named; a command that writes
    /// goes on after it.
    fn refuse_rollback(&mut self, archive: &mut Archive, record: &mut Record, lost: Lost) -> Done {
        for (device, seen) in &record.remembered {
            let Err(error) = engine::remember(archive, *device, *seen) else { continue };
            if self.common.accept_rollback {
                self.report.warn(None, &format!("{error}: accepted, the archive counts as it is"));
                record.remembered.clear();
                let forgotten = self.home.update(archive.id(), |record| {
                    record.remembered.clear();
                    true
                });
                self.warn_unkept("that is not kept, so it is refused again the next time", forgotten);
                return Ok(());
            }
            let may_be_damaged = archive.may_be_damaged(*device, seen.seq);
            if may_be_damaged && lost == Lost::Named {
                let what =
                    format!("version {} is lost: its record is damaged. Those before it are as they were", seen.seq);
                self.report.warn(None, &what);
                archive.take_as_lost(*device, seen.seq, seen.digest);
                continue;
            }
            if let Some(torn) = engine::torn(archive) {
                self.report.warn(None, &torn);
            }
            return Err(match (may_be_damaged, archive.is_all_there()) {
                (true, _) => Failure::damaged_version(self.place(), seen.seq),
                (false, false) => Failure::segment_away(self.place(), seen.seq, archive.damage().first()),
                (false, true) => Failure::archive(self.place(), &error),
            });
        }
        Ok(())
    }

    /// Remembers the newest version of each device.
    pub(crate) fn remember(&mut self, archive: &Archive, record: &Record) {
        let newest = engine::newest(archive, DeviceId(record.device().public()));
        // A key store on media that cannot be written is not locked where nothing is new.
        if !newest.iter().any(|(device, seen)| record.would_remember(*device, *seen)) {
            return;
        }
        let done = self.home.update(archive.id(), |record| {
            newest.iter().fold(false, |changed, (device, seen)| record.remember(*device, *seen) || changed)
        });
        self.warn_unkept("what was seen is not remembered, so no rollback will be noticed", done);
    }

    /// Warns of a key store that cannot be written: an archive is no worse for it.
    fn warn_unkept(&mut self, means: &str, done: Done) {
        if let Err(Failure::Because { what, .. }) = done {
            self.report.warn(None, &format!("{means}: {what}"));
        }
    }
}

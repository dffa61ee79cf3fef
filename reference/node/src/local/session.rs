//! One command on one archive: which archive, with which key, and what is remembered of it.

use std::path::Path;

use bailee_archive::{ArchiveError, DeviceId};

use super::Common;
use super::engine::{self, Archive, To};
use super::failure::{Done, Failure};
use super::home::Home;
use super::record::Record;
use super::report::Report;

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
        let (archive, record) = self.open_to_check(to)?;
        let damage = engine::damage(&archive);
        if !damage.is_empty() {
            self.report.warn_all(damage.iter().map(|damage| (None, damage.as_str())));
            self.report.advise("see what that costs with `bailee check`");
        }
        Ok((archive, record))
    }

    /// As [`Session::open`], but that damage is left for the command to name.
    pub(crate) fn open_to_check(&mut self, to: To) -> Done<(Archive, Record)> {
        let (archive, mut record) = self.find(to)?;
        self.refuse_rollback(&archive, &mut record)?;
        self.remember(&archive, &record);
        Ok((archive, record))
    }

    /// The archive, with what the key store has of it. Which one it is may be in doubt, where a head is damaged or a link was
    /// planted: the first that opens with its key is the one.
    fn find(&self, to: To) -> Done<(Archive, Record)> {
        let place = self.place();
        let mut refused = None;
        for id in engine::candidates(place)? {
            let Some(record) = self.home.load(id)? else { continue };
            match engine::open(place, &record, to) {
                Ok(archive) => return Ok((archive, record)),
                Err(failure) => refused = refused.or(Some(failure)),
            }
        }
        Err(refused.unwrap_or_else(|| Failure::no_key(place)))
    }

    fn refuse_rollback(&mut self, archive: &Archive, record: &mut Record) -> Done {
        let lacks = |(device, seen): (&_, &_)| engine::remember(archive, *device, *seen).err();
        match record.remembered.iter().find_map(lacks) {
            None => Ok(()),
            Some(error @ ArchiveError::RolledBack { .. }) if self.common.accept_rollback => {
                self.report.warn(None, &format!("{error}: accepted, the archive counts as it is"));
                record.remembered.clear();
                let forgotten = self.home.update(archive.id(), |record| {
                    record.remembered.clear();
                    true
                });
                self.warn_unkept("that is not kept, so it is refused again the next time", forgotten);
                Ok(())
            }
            Some(error) => {
                if let Some(torn) = engine::torn(archive) {
                    self.report.warn(None, &torn);
                }
                Err(Failure::archive(self.place(), &error))
            }
        }
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

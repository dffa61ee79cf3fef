//! A flipped bit, the backups that heal it, and what is lost for good.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use rand_core::Rng;

use crate::common::{MANIFEST, RETENTION, SEGMENT_HEAD_BYTES, flip, kind_of_record, segments};
use crate::model::Listed;
use crate::source::{HOSTS, Lane};
use crate::worker::Worker;
use crate::{Done, Life};

impl Life {
    /// Flips a bit, backs all folders up, and gives up what was lost for good.
    pub(crate) fn damage(&self, worker: &mut Worker) -> Done {
        worker.doing = "damage";
        for host in HOSTS {
            self.succeed(worker, host, &["snapshots"])?;
        }
        let (segment, kind) = self.flip(worker);
        self.tally().flips += 1;
        // Nothing tells that it is of the archive.
        let is_stranger = kind.is_none() && segment.metadata().unwrap().len() == SEGMENT_HEAD_BYTES;
        if worker.one_of(2) {
            let host = worker.host();
            let checked = self.run(worker, host, &["check", "--read-data"], None)?;
            if !matches!(checked.status.code(), Some(0 | 1)) {
                return checked.unexpected("check of a damaged archive");
            }
        }
        let mut lanes: Vec<Lane> = Lane::all().collect();
        worker.shuffle(&mut lanes);
        for lane in lanes {
            let ended = self.run(worker, lane.host, &self.backup_of(lane).each_ref().map(String::as_str), None)?;
            if ended.status.code() != Some(0) {
                return ended.unexpected("backup that heals");
            }
            self.take_in(&ended, lane)?;
        }
        if is_stranger {
            let _ = fs::remove_file(segment);
        }
        self.compare_lists(worker, kind)?;
        self.give_up_losses(worker)?;
        self.verify(worker)
    }

    /// One bit anywhere, but every other time close to the end of a segment. The segment, and the kind of record that it is in.
    fn flip(&self, worker: &mut Worker) -> (PathBuf, Option<u8>) {
        let segments = segments(&self.place.at("archive"));
        let segment = worker.any(&segments).unwrap();
        let length = segment.metadata().unwrap().len();
        let within = if worker.one_of(2) { length } else { length.min(8192) };
        let offset = length - 1 - worker.rng.next_u64() % within;
        let kind = kind_of_record(segment, offset);
        let bit = worker.rng.next_u32();
        println!(
            "day {}: byte {offset} of {} of {length}, in a record of kind {kind:?}",
            self.day,
            segment.display()
        );
        flip(segment, offset, bit);
        (segment.clone(), kind)
    }

    /// A flipped manifest costs its version, and a flipped retention record may bring forgotten ones back; nothing else changes
    /// which versions there are.
    fn compare_lists(&self, worker: &mut Worker, kind: Option<u8>) -> Done {
        let host = worker.host();
        let snapshots = self.run(worker, host, &["snapshots"], None)?;
        let listed: BTreeSet<String> =
            snapshots.listed("snapshot")?.into_iter().map(|listed| listed.digest).collect();
        let mut model = self.model();
        let gone: Vec<String> = model.digests().difference(&listed).cloned().collect();
        let back: Vec<String> = listed.difference(&model.digests()).cloned().collect();
        if gone.len() > usize::from(kind == Some(MANIFEST)) || (!back.is_empty() && kind != Some(RETENTION)) {
            return Err(format!("a flip in a record of kind {kind:?}: {gone:?} are gone, {back:?} are there again"));
        }
        self.tally().lost += gone.len();
        for digest in gone {
            let version = model.kept.remove(&digest).unwrap();
            model.forgotten.insert(digest, version);
        }
        for digest in back {
            let Some(version) = model.forgotten.remove(&digest) else { return Err(format!("nobody made {digest}")) };
            model.kept.insert(digest, version);
        }
        Ok(())
    }

    /// What is lost is in no folder any more. It is forgotten, and then the archive is whole.
    fn give_up_losses(&self, worker: &mut Worker) -> Done {
        let host = worker.host();
        let checked = self.run(worker, host, &["check", "--read-data"], None)?;
        let lost: Vec<(u64, Option<&str>)> = checked
            .lines("lost")
            .map(|said| (said["version"].as_u64().unwrap_or(0), said["path"].as_str()))
            .collect();
        if checked.status.code() != Some(i32::from(!lost.is_empty())) {
            return checked.unexpected("check after backups that heal");
        }
        let mut given_up = BTreeSet::new();
        for (seq, path) in &lost {
            let model = self.model();
            let Some((digest, version)) = model.of_seq(*seq) else { return checked.unexpected("no such version") };
            if self.sources.still_has(version.lane, version.day, *path, self.day) {
                return checked.unexpected(&format!("{path:?} of {version:?} is in a folder, and not healed"));
            }
            given_up.insert((digest.clone(), version.seq, version.lane));
        }
        if given_up.is_empty() {
            return Ok(());
        }
        self.tally().lost += given_up.len();
        let digests: Vec<&str> = given_up.iter().map(|(digest, ..)| digest.as_str()).collect();
        for arguments in [&[&["forget", "--allow-last"], &digests[..]].concat()[..], &["repair"]] {
            let ended = self.run(worker, host, arguments, None)?;
            if ended.status.code() != Some(0) {
                return ended.unexpected(&format!("{arguments:?}"));
            }
        }
        for (digest, seq, lane) in given_up {
            self.model().forget(&Listed { digest, seq, lane }, self.day);
        }
        Ok(())
    }
}

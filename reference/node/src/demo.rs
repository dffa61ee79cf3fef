//! `bailee demo`: the whole protocol over a real folder, every role in one process.
//!
//! The roles are those of `bailee_core`, speaking in bytes; only the network between them is replaced. What is said about who
//! could see what is searched for in those bytes, not known beforehand.

mod error;
mod place;
mod system;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bailee_archive::{Archive, ArchiveKeys, BackUp, Counters, DeviceId, FolderStore, System};
use bailee_core::crypto::keys::Owner;
use bailee_files::{
    Overwrite, RestoreOptions, RestoreProgress, Scope, Selection, Warning, back_up, compare, restore,
};
use bailee_spec::action::{Action, Asking, Caller, Handing, Point, Purpose, Requester};
use bailee_spec::outcome::{Outcome, Refusal};
use serde_json::json;

use crate::local::engine;
use crate::local::progress::{Goal, Progress, Voice};
use crate::local::when;
use crate::narrator::Narrator;
use crate::random;
use error::{DemoError, Done};
use place::Place;
use system::System as Roles;

/// What is asked for.
pub(crate) struct Demo {
    pub(crate) folder: PathBuf,
    pub(crate) keep: Option<PathBuf>,
    pub(crate) seed: Option<u64>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every restored tree is the source.
    Whole,
    /// The same, except for what could not be read and was left out by name.
    Partial,
    /// A restored tree differs.
    Different,
}

/// The first device, and the one that replaces it.
const FIRST: u8 = 0;
const SECOND: u8 = 1;

/// Runs it.
pub(crate) fn run(demo: &Demo, narrator: &mut Narrator) -> Done<Ending> {
    let started = Instant::now();
    let place = Place::prepare(&demo.folder, demo.keep.as_deref())?;
    let mut run = Run {
        folder: &demo.folder,
        place: &place,
        system: Roles::new(demo.seed)?,
        narrator,
        warnings: Vec::new(),
        differences: Vec::new(),
        totals: (0, 0),
    };
    run.banner(demo.seed);
    run.enrol()?;
    run.first_backup()?;
    run.backup_while_sealed()?;
    run.unseal()?;
    run.replace()?;
    run.restore_on_device()?;
    run.restore_on_behalf()?;
    run.deauthorize()?;
    Ok(run.end(started))
}

struct Run<'a> {
    folder: &'a Path,
    place: &'a Place,
    system: Roles,
    narrator: &'a mut Narrator,
    warnings: Vec<Warning>,
    /// What a restored tree has otherwise than the source, but for what was left out by name.
    differences: Vec<String>,
    /// Entries and bytes of the source.
    totals: (u64, u64),
}

fn mib(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{bytes} bytes") } else { format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)) }
}

impl Run<'_> {
    fn banner(&mut self, seed: Option<u64>) {
        let mut lines = vec![
            "One process plays every role here, so this process could read everything. A deployment runs one process a role.".into(),
            "The profile is classic: root on an unsealed keystore host reads every key (cargo model explain C15).".into(),
            "Passwords are hashed at the test cost.".into(),
        ];
        if let Some(seed) = seed {
            lines.push(format!("Seed {seed}: every key of this run can be computed by anybody."));
        }
        if let Some(kept) = self.place.kept() {
            lines.push(format!("Kept in {}", kept.display()));
        }
        self.narrator.banner(&lines);
    }

    /// An action that the protocol accepts here.
    fn must(&mut self, action: Action) -> Done {
        match self.system.act(action) {
            Outcome::Accepted => Ok(()),
            Outcome::Refused(refusal) => Err(DemoError::Protocol(format!("{action:?} was refused: {refusal:?}"))),
        }
    }

    /// An action that the protocol refuses here, for this reason.
    fn must_not(&mut self, action: Action, reason: Refusal) -> Done {
        match self.system.act(action) {
            Outcome::Refused(refusal) if refusal == reason => Ok(()),
            outcome => Err(DemoError::Protocol(format!("{action:?}: {outcome:?} where {reason:?} was expected"))),
        }
    }

    fn fact(&mut self, who: &str, what: impl AsRef<str>) {
        self.narrator.fact(who, what.as_ref());
    }

    /// Says in whose bytes the archive key of the user is found.
    fn search_for_key(&mut self) -> Done {
        let key = self.system.archive_key(FIRST).ok_or_else(no_key)?;
        for (who, bytes, found) in self.system.search(&key) {
            let verdict = if found { "THE ARCHIVE KEY IS IN THEM" } else { "the archive key is not among them" };
            self.fact(who, format!("{bytes} bytes on its disk and through its hands; {verdict}"));
        }
        Ok(())
    }

    fn enrol(&mut self) -> Done {
        self.narrator.step("The first device enrols: it makes the archive key and escrows it before it keeps it");
        self.must(Action::SignIn { device: FIRST })?;
        let messages = self.system.deliver_all(FIRST)?;
        self.fact("device", format!("{} messages: {}", messages.len(), messages.join(", ")));
        if self.system.archive_key(FIRST).is_none() {
            return Err(no_key());
        }
        self.fact("device", "keeps the key, after the keystore's receipt for that very key");
        self.search_for_key()
    }

    fn keys(&self, key: &bailee_core::crypto::keys::ArchiveKey) -> ArchiveKeys {
        ArchiveKeys::new(key, &self.owner())
    }

    fn owner(&self) -> Owner {
        self.system.owner()
    }

    fn open_archive(&self, key: &bailee_core::crypto::keys::ArchiveKey) -> Done<Archive<FolderStore>> {
        let store = FolderStore::open(self.place.archive()).map_err(self.place.io("opening"))?;
        let device = self.system.manifest_key(FIRST).ok_or_else(no_key)?;
        Ok(Archive::open(store, self.keys(key), &[DeviceId(device.public())])?.sound()?)
    }

    fn first_backup(&mut self) -> Done {
        self.narrator.step("The device backs the folder up into a local archive");
        let key = self.system.archive_key(FIRST).ok_or_else(no_key)?;
        let store = FolderStore::create_in(self.place.archive()).map_err(self.place.io("making"))?;
        let archive = Archive::create(store, self.keys(&key), &System)?;
        self.back_up(archive)
    }

    /// A backup by the first device, and the same word to the storage role: its manifest's digest under a capability.
    fn back_up(&mut self, archive: Archive<FolderStore>) -> Done {
        self.must(Action::OpenBackup { device: FIRST })?;
        let device = self.system.manifest_key(FIRST).ok_or_else(no_key)?;
        random::works().map_err(DemoError::Random)?;
        // Never the seed: no choice on the command line makes two archives alike.
        let counters = Arc::<Counters>::default();
        let label = engine::label(self.folder);
        let how = BackUp { label: &label, ..BackUp::new(&device, when::now(), &System, &counters) };
        let done = {
            let counting = counters.clone();
            let state = move || engine::backup_state(&counting);
            let _progress = Progress::start(Some(Voice::for_people()), "backing up", Goal::default(), state);
            back_up(archive, self.folder, &Scope::default(), None, &how)?
        };
        let version = done.archive.versions().last().ok_or_else(no_key)?;
        let digest = version.digest;
        let stored = done.archive.stored();
        let (blocks, bytes) = (stored.blocks, stored.bytes);
        self.system
            .append(FIRST, &digest.0)
            .map_err(|refusal| DemoError::Protocol(format!("storage refused the backup: {refusal:?}")))?;
        self.fact(
            "device",
            format!(
                "{} entries, {} read; {} new, the list of files included; {} written",
                done.totals.entries,
                mib(done.totals.read),
                mib(done.totals.new),
                mib(done.totals.stored)
            ),
        );
        self.fact(
            "storage",
            format!(
                "admitted the device by its capability; sees {blocks} sealed blocks of {} and a signed manifest",
                mib(bytes)
            ),
        );
        for warning in &done.warnings {
            self.narrator.fact("device", &format!("warning: {warning}"));
        }
        self.totals = (done.totals.entries, done.totals.bytes);
        self.warnings = done.warnings;
        drop(done.archive);
        let seen = self.place.search_archive(self.folder)?;
        self.fact(
            "storage",
            format!(
                "{} file names of the folder looked for in {} of archive: {} found",
                seen.looked_for,
                mib(seen.bytes),
                seen.found
            ),
        );
        Ok(())
    }

    fn backup_while_sealed(&mut self) -> Done {
        self.narrator.step("The keystore restarts, sealed: backups go on, nobody gets a key");
        self.must(Action::Restart { node: 0 })?;
        self.fact(
            "keystore",
            if self.system.is_sealed() { "sealed: root and keyring are gone from memory" } else { "UNSEALED" },
        );
        let key = self.system.archive_key(FIRST).ok_or_else(no_key)?;
        let archive = self.open_archive(&key)?;
        self.back_up(archive)?;
        self.must(Action::SignIn { device: SECOND })?;
        let refused = self.system.deliver_until_refused(SECOND)?;
        self.fact("new device", format!("asks for the user's key and is refused: {refused:?}"));
        if refused != Refusal::Sealed || self.system.archive_key(SECOND).is_some() {
            return Err(DemoError::Protocol("a sealed keystore released a key".into()));
        }
        Ok(())
    }

    fn unseal(&mut self) -> Done {
        self.narrator.step("Three of five custodians unseal it; one hands in a wrong share on the way");
        self.must(Action::OpenCeremony { node: 0, purpose: Purpose::Unseal, by: Caller::Operator })?;
        self.must(Action::Announce { node: 0 })?;
        self.fact("operator", "opened a ceremony, signed by the node, and announced it to custody");
        let asks = |custodian| Action::RequestShare { custodian, node: 0, asking: Asking::Honestly };
        let hands = |custodian, handing| Action::SubmitShare { custodian, node: 0, handing };
        self.must(asks(0))?;
        self.must_not(hands(0, Handing::Wrong), Refusal::WrongShare)?;
        self.fact("keystore", "custodian 1's share is wrong: named, and not counted");
        for custodian in 0..3 {
            if custodian > 0 {
                self.must(asks(custodian))?;
            }
            let before = self.system.is_sealed();
            self.must(hands(custodian, Handing::Right))?;
            let state = if self.system.is_sealed() { "still sealed" } else { "unsealed" };
            self.fact(
                "custodian",
                format!("{} of 3 right shares, from custodian {}: {state}", custodian + 1, custodian + 1),
            );
            if before != (custodian < 3) || self.system.is_sealed() != (custodian < 2) {
                return Err(DemoError::Protocol("not exactly three shares unsealed the keystore".into()));
            }
        }
        let (reads, alerts) = self.system.custody_counts();
        self.fact("custody", format!("{reads} wrapped shares left it, {alerts} alerts were recorded before them"));
        self.search_for_key()?;
        let opens = if self.system.host_opens_key() {
            "opens this user's key, as classic must allow"
        } else {
            "does not open it"
        };
        self.fact("host", format!("root on the unsealed host, with its memory and disk alone: {opens}"));
        Ok(())
    }

    fn replace(&mut self) -> Done {
        self.narrator.step("A new device replaces the first: fresh sign-in, then the user's own key");
        self.must(Action::SignIn { device: SECOND })?;
        let messages = self.system.deliver_all(SECOND)?;
        self.fact("new device", format!("{} messages: {}", messages.len(), messages.join(", ")));
        let (first, second) = (self.system.archive_key(FIRST), self.system.archive_key(SECOND));
        let (Some(first), Some(second)) = (first, second) else { return Err(no_key()) };
        if first.expose() != second.expose() {
            return Err(DemoError::Protocol("the new device got another key".into()));
        }
        self.fact("new device", "holds the same key, with the keystore's receipt for it");
        Ok(())
    }

    /// Restores the last version with a key, and compares.
    fn restore_with(&mut self, who: &str, key: &bailee_core::crypto::keys::ArchiveKey, target: &Path) -> Done {
        let archive = self.open_archive(key)?;
        let version = archive.versions().last().ok_or_else(no_key)?;
        let progress = Arc::<RestoreProgress>::default();
        let restored = {
            let counting = progress.clone();
            let state = move || engine::restore_state(&counting);
            let _progress = Progress::start(Some(Voice::for_people()), "restoring", Goal::default(), state);
            let (threads, overwrite) = (engine::processors(), Overwrite::Never);
            let how = RestoreOptions { threads, overwrite, verify: false, progress: &progress };
            restore(&archive, version, target, &Selection::whole(), &how)?
        };
        self.fact(who, format!("restored {} entries, {}", restored.entries, mib(restored.bytes)));
        for warning in restored.warnings.into_iter().chain(restored.damaged) {
            self.fact(who, format!("warning: {warning}"));
        }
        self.compare_with(target)
    }

    fn compare_with(&mut self, target: &Path) -> Done {
        let left_out = |path: &Path| self.warnings.iter().any(|warning| warning.path == self.folder.join(path));
        let found: Vec<String> = compare(self.folder, target)?
            .into_iter()
            .filter(|difference| !left_out(&difference.path))
            .map(|difference| difference.to_string())
            .collect();
        let verdict = match found.len() {
            0 => "byte for byte the same, metadata too".to_string(),
            some => format!("{some} DIFFERENCES"),
        };
        self.fact("comparison", format!("source and restored folder: {verdict}"));
        for difference in found.iter().take(20) {
            self.fact("comparison", difference);
        }
        self.differences.extend(found);
        Ok(())
    }

    fn restore_on_device(&mut self) -> Done {
        self.narrator.step("The new device restores the folder");
        self.must(Action::Fetch { device: SECOND })?;
        let key = self.system.archive_key(SECOND).ok_or_else(no_key)?;
        let target = self.place.restored("by-the-device");
        self.restore_with("new device", &key, &target)
    }

    fn restore_on_behalf(&mut self) -> Done {
        self.narrator.step("An administrator of the same tenant restores on the user's behalf");
        self.must_not(Action::Request { by: Requester::ForeignAdmin, user: 0 }, Refusal::OtherTenant)?;
        self.fact("authority", "an administrator of another tenant asked and was refused: OtherTenant");
        self.must(Action::Request { by: Requester::Admin, user: 0 })?;
        self.fact("authority", format!("recorded the job; {} notice to the owner", self.system.notices()));
        self.system.deliver_job()?;
        let key = self.system.restorer_key().ok_or_else(no_key)?;
        self.fact("restorer", "holds the user's key in memory, for this job");
        let target = self.place.restored("on-behalf");
        self.restore_with("restorer", &key, &target)?;
        drop(key);
        self.must(Action::FinishJob)?;
        self.system.deliver_job()?;
        let purged = self.system.restorer_key().is_none();
        self.fact("restorer", if purged { "the job is over: the key is purged" } else { "STILL HOLDS THE KEY" });
        if purged { Ok(()) } else { Err(DemoError::Protocol("the restorer kept the key".into())) }
    }

    fn deauthorize(&mut self) -> Done {
        self.narrator.step("The owner deauthorizes the new device");
        self.must(Action::Deauthorize { device: SECOND, by: Requester::Owner })?;
        for point in Point::ALL {
            self.must(Action::PublishTogether { point })?;
        }
        self.fact("authority", "every admission point has confirmed the revocation");
        self.must_not(Action::OpenBackup { device: SECOND }, Refusal::DeviceRevoked)?;
        self.must_not(Action::Fetch { device: SECOND }, Refusal::DeviceRevoked)?;
        self.fact("new device", "backup and restore are refused: DeviceRevoked");
        self.must(Action::Contact { device: SECOND })?;
        let erased = self.system.archive_key(SECOND).is_none();
        self.fact(
            "new device",
            if erased { "obeyed the signed order: the key is gone from its disk" } else { "STILL HAS THE KEY" },
        );
        if erased { Ok(()) } else { Err(DemoError::Protocol("the device kept the key".into())) }
    }

    fn end(self, started: Instant) -> Ending {
        let identical = self.differences.is_empty();
        let ending = match (identical, self.warnings.is_empty()) {
            (false, _) => Ending::Different,
            (true, false) => Ending::Partial,
            (true, true) => Ending::Whole,
        };
        let (entries, bytes) = self.totals;
        let seconds = started.elapsed().as_secs_f64();
        let summary = json!({"message_type": "summary", "trees_identical": identical, "restores": 2, "entries": entries,
            "bytes": bytes, "left_out": self.warnings.len(), "differences": self.differences.len(), "seconds": seconds});
        let left_out = match self.warnings.len() {
            0 => String::new(),
            some => format!(" {some} warnings above: what they name is not in the backup, or not as it was."),
        };
        let verdict = if identical {
            "Both restored folders are identical to the source."
        } else {
            "A restored folder DIFFERS from the source."
        };
        let text = format!("{verdict}{left_out} {entries} entries, {}, {seconds:.1} s.", mib(bytes));
        self.narrator.summary(&summary, &text);
        ending
    }
}

fn no_key() -> DemoError {
    DemoError::Protocol("a key that should be there is not".into())
}

//! A long life of one archive in simulated days: two hosts with key stores of their own, two folders each, and three processes at
//! once that back up, forget, prune, check and restore, some of which are killed. A plain list says which versions there must be:
//! each of them restores byte for byte, and nobody ever speaks of damage where there is none. At the end of a day a bit may be
//! flipped: then the next backups heal the archive, except for what no folder has any more.
//!
//! 3 days, or as many as `BAILEE_SOAK_DAYS` says; `BAILEE_SOAK_SEED` chooses what happens.

#[path = "../common/mod.rs"]
mod common;
mod damage;
mod model;
mod source;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, RwLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::{Place, quick_folder, segments};
use model::{Listed, Model, Version, judge};
use rand_core::Rng;
use source::{Lane, PASSING, Sources};
use worker::{Ended, Worker};

const DAYS: u64 = 3;
/// A run of at least this many days is long: everything that can happen does happen in it.
const LONG_LIFE: u64 = 15;
const PROCESSES: u64 = 3;
/// Commands of each of them in a day.
const COMMANDS: usize = 24;
/// What each of those reads who read while another prunes.
const READS: usize = 12;
/// Versions that are kept of each folder.
const KEPT: usize = 2;
/// A command that takes longer hangs.
const HANGS: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(2);

/// Why the program or the archive is not as it should be.
type Done<T = ()> = Result<T, String>;

/// What came of it all.
#[derive(Debug, Default)]
struct Tally {
    commands: BTreeMap<&'static str, usize>,
    killed: BTreeMap<&'static str, usize>,
    locked: usize,
    /// Restores of versions that were forgotten meanwhile.
    outrun: usize,
    pruned_segments: u64,
    most_segments: usize,
    flips: usize,
    /// Versions that a flip cost.
    lost: usize,
}

/// An archive, its hosts, and what should be in it.
struct Life {
    place: Place,
    sources: Sources,
    day: u64,
    model: Mutex<Model>,
    /// The folders that were made to compare with.
    made: Mutex<BTreeSet<(Lane, u64)>>,
    /// Held by the process that forgets until the model knows: a process that holds it alone knows what is forgotten.
    forgetting: RwLock<()>,
    tally: Mutex<Tally>,
    stopped: AtomicBool,
}

impl Life {
    fn begin(seed: u64, days: u64) -> Life {
        let is_long = days >= LONG_LIFE;
        let folder = quick_folder(if is_long { 4 << 30 } else { 1 << 30 });
        let place = Place { home: folder.path().join("home-a"), folder };
        let code = place.succeed(&["init"]);
        let recovered = place.recover("home-b", &code);
        assert!(recovered.status.success(), "{}", common::err(&recovered));
        Life {
            place,
            sources: Sources { seed, long_bytes: if is_long { 24 << 20 } else { 6 << 20 } },
            day: 0,
            model: Mutex::default(),
            made: Mutex::default(),
            forgetting: RwLock::default(),
            tally: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap()
    }

    fn source(&self, lane: Lane) -> String {
        self.place.text(&format!("source-{}", lane.name()))
    }

    /// The folder that a version must restore as, which is made if it is not there.
    fn expected(&self, lane: Lane, day: u64) -> PathBuf {
        let mut made = self.made.lock().unwrap();
        let folder = self.place.at(&format!("expected-{}-{day}", lane.name()));
        if made.insert((lane, day)) {
            self.sources.write(&folder, lane, day);
        }
        folder
    }

    /// Removes the folders that no version restores as.
    fn tidy(&self) {
        let model = self.model();
        let needed: BTreeSet<(Lane, u64)> = model.kept.values().map(|version| (version.lane, version.day)).collect();
        self.made.lock().unwrap().retain(|(lane, day)| {
            let is_needed = needed.contains(&(*lane, *day));
            if !is_needed {
                fs::remove_dir_all(self.place.at(&format!("expected-{}-{day}", lane.name()))).unwrap();
            }
            is_needed
        });
    }

    fn next_day(&mut self) {
        self.day += 1;
        for lane in Lane::all().chain([PASSING]) {
            self.sources.write(&PathBuf::from(self.source(lane)), lane, self.day);
        }
        self.tidy();
    }

    /// Runs a command of a host, and kills it at a moment. Its output goes to files: nobody reads it meanwhile.
    fn run(&self, worker: &mut Worker, host: &str, arguments: &[&str], kill_after: Option<Duration>) -> Done<Ended> {
        let file = |name: &str| self.place.at(&format!("{name}-{}", worker.number));
        let (stdout, stderr) = (file("stdout"), file("stderr"));
        let mut child = self
            .place
            .command(&[arguments, &["--json"]].concat())
            .env("BAILEE_HOME", self.place.at(&format!("home-{host}")))
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let ends = kill_after.unwrap_or(HANGS);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() >= ends {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            thread::sleep(POLL);
        };
        *self.tally().commands.entry(worker.doing).or_default() += 1;
        let said = fs::read_to_string(stdout).unwrap();
        // The last line of one that was killed may be torn.
        let said = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let ended = Ended { status, said, complained: fs::read_to_string(stderr).unwrap() };
        if ended.is_killed() {
            if kill_after.is_none() {
                return ended.unexpected(&format!("{arguments:?} hangs"));
            }
            *self.tally().killed.entry(worker.doing).or_default() += 1;
        }
        Ok(ended)
    }

    /// A command that must succeed, and says nothing of damage.
    fn succeed(&self, worker: &mut Worker, host: &str, arguments: &[&str]) -> Done<Ended> {
        let ended = self.run(worker, host, arguments, None)?;
        match ended.status.code() {
            Some(0) if ended.is_calm() => Ok(ended),
            _ => ended.unexpected(&format!("{arguments:?} of host {host}")),
        }
    }

    /// A command of a writer, which may be killed, or find another at work: then there is nothing.
    fn write(&self, worker: &mut Worker, host: &str, arguments: &[&str]) -> Done<Option<Ended>> {
        let moment = worker.moment();
        let ended = self.run(worker, host, arguments, moment)?;
        match ended.status.code() {
            Some(0) if ended.is_calm() => Ok(Some(ended)),
            Some(11) => {
                self.tally().locked += 1;
                Ok(None)
            }
            None if ended.is_killed() => self.settle(worker).map(|()| None),
            _ => ended.unexpected(&format!("{arguments:?} of host {host}")),
        }
    }

    fn listed(&self, worker: &mut Worker) -> Done<Vec<Listed>> {
        let host = worker.host();
        self.succeed(worker, host, &["snapshots"])?.listed("snapshot")
    }

    /// Learns what a command that was killed has done.
    fn settle(&self, worker: &mut Worker) -> Done {
        let before = self.model().digests();
        let listed = self.listed(worker)?;
        self.model().settle(&before, &listed, self.day, KEPT)
    }

    fn back_up(&self, worker: &mut Worker, lane: Lane) -> Done {
        worker.doing = "backup";
        let ended = self.write(worker, lane.host, &self.backup_of(lane).each_ref().map(String::as_str))?;
        if let Some(ended) = ended {
            self.take_in(&ended, lane)?;
        }
        Ok(())
    }

    fn backup_of(&self, lane: Lane) -> [String; 6] {
        let text = |text: &str| text.to_string();
        [text("backup"), self.source(lane), text("--host"), text(lane.host), text("--label"), text(lane.label)]
    }

    fn take_in(&self, ended: &Ended, lane: Lane) -> Done {
        let Some(summary) = ended.lines("summary").next() else { return ended.unexpected("no summary") };
        let (Some(digest), Some(seq)) = (summary["digest"].as_str(), summary["version"].as_u64()) else {
            return ended.unexpected("no version");
        };
        self.model().commit(digest, Version { seq, lane, day: self.day });
        Ok(())
    }

    fn forget(&self, worker: &mut Worker) -> Done {
        worker.doing = "forget";
        let (host, kept) = (worker.host(), KEPT.to_string());
        // A host without versions is a slip.
        if !self.model().kept.values().any(|version| version.lane.host == host) {
            return Ok(());
        }
        let _forgetting = self.forgetting.read().unwrap();
        let ended = self.write(worker, host, &["forget", "--keep-last", &kept, "--host", host])?;
        let Some(ended) = ended else { return Ok(()) };
        let (kept, forgotten) = (ended.listed("keep")?, ended.listed("forget")?);
        forgotten.iter().for_each(|gone| self.model().forget(gone, self.day));
        judge(&kept, &forgotten, KEPT)
    }

    fn prune(&self, worker: &mut Worker) -> Done {
        worker.doing = "prune";
        let host = worker.host();
        if let Some(ended) = self.write(worker, host, &["prune"])? {
            let segments = ended.lines("summary").filter_map(|summary| summary["segments"].as_u64()).sum::<u64>();
            self.tally().pruned_segments += segments;
        }
        let segments = segments(&self.place.at("archive")).len();
        let mut tally = self.tally();
        tally.most_segments = tally.most_segments.max(segments);
        Ok(())
    }

    fn check(&self, worker: &mut Worker) -> Done {
        worker.doing = "check";
        let (host, reads) = (worker.host(), worker.one_of(2));
        let arguments = if reads { &["check", "--read-data"][..] } else { &["check"] };
        self.succeed(worker, host, arguments).map(|_| ())
    }

    /// Restores any version; some restores are killed, and go on.
    fn restore(&self, worker: &mut Worker) -> Done {
        worker.doing = "restore";
        let versions: Vec<(String, Version)> = self.model().kept.clone().into_iter().collect();
        let Some((digest, version)) = worker.any(&versions) else { return Ok(()) };
        let target = format!("restored-{}", worker.number);
        let _ = fs::remove_dir_all(self.place.at(&target));
        let path = self.place.text(&target);
        let (host, moment) = (worker.host(), worker.moment());
        let mut ended = self.run(worker, host, &["restore", digest, "--target", &path], moment)?;
        if ended.is_killed() {
            ended = self.run(worker, host, &["restore", digest, "--target", &path, "--resume"], None)?;
        }
        if ended.status.code() == Some(0) && ended.is_calm() {
            return self.compare(*version, &target);
        }
        drop(self.forgetting.write().unwrap());
        if self.model().kept.contains_key(digest) {
            return ended.unexpected(&format!("restore of version {version:?}, which is kept"));
        }
        self.tally().outrun += 1;
        Ok(())
    }

    fn compare(&self, version: Version, target: &str) -> Done {
        let (expected, restored) = (self.expected(version.lane, version.day), self.place.at(target));
        let differs = bailee_files::compare(&expected, &restored).map_err(|error| error.to_string())?;
        fs::remove_dir_all(restored).unwrap();
        if differs.is_empty() { Ok(()) } else { Err(format!("{version:?} differs: {differs:?}")) }
    }

    /// Three processes at once.
    fn busy_day(&self) -> Done {
        let work = |number| {
            let mut worker = Worker::new(self.sources.seed, self.day, number);
            for _ in 0..COMMANDS {
                if self.stopped.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let done = self.command(&mut worker);
                if done.is_err() {
                    self.stopped.store(true, Ordering::Relaxed);
                    return done;
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..PROCESSES).map(|number| scope.spawn(move || work(number))).collect();
            workers.into_iter().try_for_each(|worker| worker.join().unwrap())
        })
    }

    fn command(&self, worker: &mut Worker) -> Done {
        match worker.rng.next_u32() % 12 {
            0..4 => {
                let lanes: Vec<Lane> = Lane::all().collect();
                let lane = *worker.any(&lanes).unwrap();
                self.back_up(worker, lane)
            }
            4..7 => self.restore(worker),
            7 => self.forget(worker),
            8..10 => self.prune(worker),
            _ => self.check(worker),
        }
    }

    /// Backs up what is forgotten at once: something to prune.
    fn leave_something(&self, worker: &mut Worker) -> Done {
        worker.doing = "leave";
        let backup = self.backup_of(PASSING);
        let ended = self.succeed(worker, PASSING.host, &backup.each_ref().map(String::as_str))?;
        self.take_in(&ended, PASSING)?;
        let passing = self.model().kept.clone().into_iter().filter(|(_, version)| version.lane == PASSING);
        for (digest, Version { seq, lane, day }) in passing {
            self.succeed(worker, PASSING.host, &["forget", "--allow-last", &digest])?;
            self.model().forget(&Listed { digest, seq, lane }, day);
        }
        Ok(())
    }

    /// Two who read while a third prunes, and there is something to prune.
    fn prune_under_readers(&self) -> Done {
        let worker = |number| Worker::new(self.sources.seed, self.day, PROCESSES + 1 + number);
        let mut pruning = worker(0);
        self.leave_something(&mut pruning)?;
        let prune = || {
            pruning.wait();
            self.prune(&mut pruning)
        };
        let read = |number| {
            let mut reader = worker(number);
            for _ in 0..READS {
                match reader.rng.next_u32() % 4 {
                    0 => self.check(&mut reader)?,
                    1 => self.restore(&mut reader)?,
                    _ => _ = self.listed(&mut reader)?,
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let (prune, first, second) = (scope.spawn(prune), scope.spawn(|| read(1)), scope.spawn(|| read(2)));
            [prune, first, second].into_iter().try_for_each(|done| done.join().unwrap())
        })
    }

    /// Nobody works: what there is is exactly what there should be, whole, and nothing is noted as damaged.
    fn verify(&self, worker: &mut Worker) -> Done {
        worker.doing = "verify";
        let listed: BTreeSet<String> = self.listed(worker)?.into_iter().map(|listed| listed.digest).collect();
        if listed != self.model().digests() {
            return Err(format!("{listed:?} are there where {:?} should be", self.model().kept));
        }
        let versions = self.model().kept.clone();
        for (digest, version) in versions {
            let host = worker.host();
            self.succeed(worker, host, &["restore", &digest, "--target", &self.place.text("verified")])?;
            self.compare(version, "verified")?;
        }
        self.whole(worker)
    }

    fn whole(&self, worker: &mut Worker) -> Done {
        let host = worker.host();
        self.succeed(worker, host, &["check", "--read-data"])?;
        match self.place.at("archive/damaged").exists() {
            true => Err("damage is noted where there is none".into()),
            false => Ok(()),
        }
    }

    fn live(&mut self, days: u64) -> Done {
        while self.day < days {
            self.next_day();
            self.busy_day()?;
            self.prune_under_readers()?;
            let mut worker = Worker::new(self.sources.seed, self.day, PROCESSES);
            self.verify(&mut worker)?;
            self.damage(&mut worker)?;
        }
        Ok(())
    }
}

#[test]
fn no_kept_version_is_lost_and_no_damage_is_seen_where_there_is_none() {
    let number = |name: &str| std::env::var(name).ok().map(|number| number.parse().unwrap());
    let days = number("BAILEE_SOAK_DAYS").unwrap_or(DAYS);
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_micros() as u64);
    let seed = number("BAILEE_SOAK_SEED").unwrap_or_else(now);
    let begun = Instant::now();
    let mut life = Life::begin(seed, days);
    let done = life.live(days);
    let tally = life.tally.into_inner().unwrap();
    println!("{days} days in {:.1} s: {tally:#?}", begun.elapsed().as_secs_f64());
    if let Err(error) = done {
        panic!(
            "day {}: {error}\nagain: BAILEE_SOAK_SEED={seed} BAILEE_SOAK_DAYS={days} cargo test --release -p bailee --test soak",
            life.day
        );
    }
    assert!(tally.pruned_segments > 0 && tally.locked > 0);
    if days >= LONG_LIFE {
        assert!(tally.most_segments > 1);
        assert!(["backup", "forget", "prune", "restore"].iter().all(|act| tally.killed.contains_key(act)));
    }
}

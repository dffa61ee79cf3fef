//! What the stages of the block path cost one by one, and what the whole path makes of it.
//!
//! Each stage runs alone, on one thread, over the same folder in memory; its processor time is counted. Then everything is
//! backed up into a store that drops it, with one thread and with two. If hand-over and waiting cost nothing, the wall time
//! is the summed processor time of the stages ÷ threads. Finding equal chunks and putting things in order have no stage of
//! their own here: what they cost counts against the whole path.
//!
//! Two processors that share caches, memory and power are not twice as fast as one. So the stages alone, without any
//! hand-over, also run on two threads at a time, each over half of the folder: no path can be nearer to twice as fast.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use bailee_archive::block::{BLOCK_BYTES, BlockSealer, Gathered, Padding, ZSTD_LEVEL};
use bailee_archive::chunker::{Chunker, KeyedChunker};
use bailee_archive::{ArchiveError, ArchiveId, ArchiveKeys, ChunkId, Randomness, System};
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::memory::{Deaf, MemoryFolder, NullStore, back_up, fresh, keys};

/// Seconds of processor, by stage, of one run over a folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Copying content into memory that is used again.
    pub read: f64,
    /// Finding the cuts.
    pub cut: f64,
    /// The keyed BLAKE3 of every chunk.
    pub name: f64,
    /// Gathering chunks into blocks: a copy.
    pub gather: f64,
    /// Compressing, padding, encrypting and digesting the blocks.
    pub seal: f64,
}

impl Cost {
    /// All stages together, in seconds.
    pub fn sum(&self) -> f64 {
        self.read + self.cut + self.name + self.gather + self.seal
    }

    fn of(&mut self, stage: &str) -> &mut f64 {
        match stage {
            "read" => &mut self.read,
            "cut" => &mut self.cut,
            "name" => &mut self.name,
            "gather" => &mut self.gather,
            _ => &mut self.seal,
        }
    }
}

/// A run of the whole path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Whole {
    /// Seconds from start to end.
    pub wall: f64,
    /// Seconds of processor, all threads together.
    pub cpu: f64,
}

/// Stages and whole path over one folder, medians of all repetitions, each figure by itself.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// What kind of content.
    pub content: &'static str,
    /// How much, in bytes.
    pub bytes: u64,
    /// The stages.
    pub stages: Cost,
    /// The whole path by number of threads.
    pub whole: BTreeMap<usize, Whole>,
    /// How many times as fast two threads are as one that do the stages alone, each over half of the folder: what the
    /// machine gives.
    pub stages_two_vs_one: f64,
}

impl Figures {
    /// Summed stages ÷ threads ÷ wall time of the whole path: 1 if all threads do nothing but the stages.
    pub fn efficiency(&self, threads: usize) -> Option<f64> {
        Some(self.stages.sum() / threads as f64 / self.whole.get(&threads)?.wall)
    }

    /// Summed stages ÷ processor time of the whole path. It does not see waiting, and other programs disturb it less.
    pub fn cpu_efficiency(&self, threads: usize) -> Option<f64> {
        Some(self.stages.sum() / self.whole.get(&threads)?.cpu)
    }

    /// How many times as fast two threads are as one.
    pub fn two_threads_vs_one(&self) -> Option<f64> {
        Some(self.whole.get(&1)?.wall / self.whole.get(&2)?.wall)
    }
}

/// Measures a folder so many times, at least once; the stages and the whole path alternate.
///
/// # Errors
/// What the archive says.
pub fn measure(
    content: &'static str,
    folder: &MemoryFolder,
    threads: &[usize],
    repetitions: usize,
) -> Result<Figures, ArchiveError> {
    let mut costs = Vec::new();
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    let mut wholes: BTreeMap<usize, Vec<Whole>> = BTreeMap::new();
    for _ in 0..repetitions.max(1) {
        costs.push(stages(folder.contents())?);
        alone.push(wall_of_stages(folder, 1)?);
        together.push(wall_of_stages(folder, 2)?);
        for &threads in threads {
            wholes.entry(threads).or_default().push(whole(folder, threads)?);
        }
    }
    let of = |part: fn(&Cost) -> f64| median(costs.iter().map(part));
    let stages = Cost {
        read: of(|cost| cost.read),
        cut: of(|cost| cost.cut),
        name: of(|cost| cost.name),
        gather: of(|cost| cost.gather),
        seal: of(|cost| cost.seal),
    };
    let middle = |runs: Vec<Whole>| Whole {
        wall: median(runs.iter().map(|run| run.wall)),
        cpu: median(runs.iter().map(|run| run.cpu)),
    };
    let whole = wholes.into_iter().map(|(threads, runs)| (threads, middle(runs))).collect();
    let stages_two_vs_one = median(alone.into_iter()) / median(together.into_iter());
    Ok(Figures { content, bytes: folder.bytes(), stages, whole, stages_two_vs_one })
}

/// Seconds until so many threads have done the stages, each over its part of the folder, and none waiting for another.
fn wall_of_stages(folder: &MemoryFolder, threads: usize) -> Result<f64, ArchiveError> {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let part = |number| move || stages(folder.contents().skip(number).step_by(threads));
        let running: Vec<_> = (1..threads).map(|number| scope.spawn(part(number))).collect();
        part(0)()?;
        running.into_iter().try_for_each(|thread| thread.join().expect("no stage panics").map(drop))
    })?;
    Ok(started.elapsed().as_secs_f64())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    crate::report::median(&values.collect::<Vec<_>>())
}

fn whole(folder: &MemoryFolder, threads: usize) -> Result<Whole, ArchiveError> {
    let archive = fresh::<NullStore>()?;
    let (started, cpu) = (Instant::now(), seconds_of(ClockId::CLOCK_PROCESS_CPUTIME_ID));
    let backed_up = back_up(archive, folder, folder.plan(), &mut Deaf, threads)?;
    let whole =
        Whole { wall: started.elapsed().as_secs_f64(), cpu: seconds_of(ClockId::CLOCK_PROCESS_CPUTIME_ID) - cpu };
    drop(backed_up);
    Ok(whole)
}

/// Seconds that a clock of processor time shows.
fn seconds_of(clock: ClockId) -> f64 {
    clock_gettime(clock).map_or(0.0, |time| time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// Adds what this thread's processor did for `work` to a stage.
fn count<T>(cost: &mut Cost, stage: &str, work: impl FnOnce() -> T) -> T {
    let before = seconds_of(ClockId::CLOCK_THREAD_CPUTIME_ID);
    let result = black_box(work());
    *cost.of(stage) += seconds_of(ClockId::CLOCK_THREAD_CPUTIME_ID) - before;
    result
}

/// The chunks of a file, as the engine cuts it.
pub fn chunks<'a>(chunker: &KeyedChunker, content: &'a [u8]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(chunker.first_cut(rest));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

fn stages<'a>(contents: impl Iterator<Item = &'a [u8]> + Clone) -> Result<Cost, ArchiveError> {
    let (keys, mut cost) = (keys(), Cost::default());
    let longest = contents.clone().map(<[u8]>::len).max().unwrap_or(0);
    let mut buffer = vec![1; longest];
    count(&mut cost, "read", || {
        for content in contents.clone() {
            buffer[..content.len()].copy_from_slice(content);
            black_box(&buffer);
        }
    });
    let chunker = KeyedChunker::new(&keys);
    let chunks: Vec<&[u8]> =
        count(&mut cost, "cut", || contents.flat_map(|content| chunks(&chunker, content)).collect());
    // A key of BLAKE3 is as good as another.
    let ids: Vec<ChunkId> = count(&mut cost, "name", || {
        chunks.iter().map(|chunk| ChunkId(*blake3::keyed_hash(&[5; 32], chunk).as_bytes())).collect()
    });
    seal(&keys, &chunks, &ids, &mut cost)?;
    Ok(cost)
}

/// Gathers and seals, block after block, in memory that is used again.
fn seal(keys: &ArchiveKeys, chunks: &[&[u8]], ids: &[ChunkId], cost: &mut Cost) -> Result<(), ArchiveError> {
    let mut sealer = WarmSealer::new(ZSTD_LEVEL)?;
    let mut gathered = Gathered::default();
    let mut rest = chunks.iter().zip(ids).peekable();
    while rest.peek().is_some() {
        count(cost, "gather", || {
            while let Some((chunk, id)) = rest.next_if(|(chunk, _)| gathered.fits(chunk.len())) {
                gathered.push(*id, chunk)?;
            }
            Ok::<_, ArchiveError>(())
        })?;
        sealer.warm();
        count(cost, "seal", || sealer.seal(keys, &mut gathered));
    }
    Ok(())
}

/// A sealer that has memory before it is asked to seal, as it has in the engine once that is warm.
pub struct WarmSealer {
    sealer: BlockSealer,
}

impl WarmSealer {
    /// At this zstd level.
    ///
    /// # Errors
    /// As [`BlockSealer::new`].
    pub fn new(level: i32) -> Result<Self, ArchiveError> {
        Ok(WarmSealer { sealer: BlockSealer::new(level, Padding::Padme)? })
    }

    /// Gets memory ready for the next block. Not part of what is measured.
    pub fn warm(&mut self) {
        // More than a record holds beyond its block, and written to, so that the system has given it.
        self.sealer.reuse(vec![1; BLOCK_BYTES + 1024]);
    }

    /// Seals; the length of the block in bytes.
    pub fn seal(&mut self, keys: &ArchiveKeys, gathered: &mut Gathered) -> usize {
        self.sealer.seal(keys, ArchiveId([1; 16]), gathered, &mut *System.stream(0)).bytes().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_sum_of_the_stages() {
        let stages = Cost { read: 0.1, cut: 0.2, name: 0.3, gather: 0.4, seal: 1.0 };
        let whole = [(1, Whole { wall: 2.5, cpu: 2.5 }), (2, Whole { wall: 1.25, cpu: 2.5 })].into();
        let figures = Figures { content: "text", bytes: 1, stages, whole, stages_two_vs_one: 2.0 };
        let close = |value: Option<f64>, wanted: f64| (value.unwrap() - wanted).abs() < 1e-9;
        assert!(close(figures.efficiency(1), 0.8) && close(figures.efficiency(2), 0.8));
        assert!(close(figures.cpu_efficiency(2), 0.8) && close(figures.two_threads_vs_one(), 2.0));
        assert_eq!(figures.efficiency(3), None);
    }

    #[test]
    fn every_stage_costs_something() {
        let folder = MemoryFolder::text(1, 4_000_000).unwrap();
        let figures = measure("text", &folder, &[1], 1).unwrap();
        let Cost { read, cut, name, gather, seal } = figures.stages;
        assert!([read, cut, name, gather, seal].iter().all(|&seconds| seconds > 0.0), "{:?}", figures.stages);
        assert!(figures.whole[&1].cpu > seal, "sealing is a part of it");
        assert!(figures.stages_two_vs_one > 0.0);
    }
}

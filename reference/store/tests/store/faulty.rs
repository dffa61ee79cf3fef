//! A medium in memory that fails on request, and tells what a power cut would leave of it.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use redb::StorageBackend;

const PAGE: usize = 4_096;

/// What one operation does in place of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This operation and all after it fail: the power is gone.
    PowerCut,
    /// Nothing is done and an error is told.
    Error,
    /// A write stops in its middle with an error.
    HalfDone,
    /// All is done and an error is told.
    DoneButError,
}

/// How much room there is for pages that were never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// A file may not grow beyond this many bytes.
    OfLength(u64),
    /// A file may grow, and no more than this many of its pages may be written.
    OfPages(usize),
}

/// What reaches the disk of the writes since the last sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaches {
    Nothing,
    Everything,
    /// All but the last whole, and the first half of the last.
    HalfOfTheLast,
    /// Each run of this many bytes or not, at random.
    Pieces {
        bytes: usize,
        seed: u64,
    },
}

/// What was asked for since the last sync.
#[derive(Clone, Debug)]
enum Pending {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Default)]
struct Inside {
    /// What a read sees.
    live: Vec<u8>,
    /// What the last sync made durable.
    durable: Vec<u8>,
    pending: Vec<Pending>,
    written: BTreeSet<u64>,
    operations: u64,
    reads: u64,
    fault: Option<(u64, Fault)>,
    read_fault: Option<u64>,
    shortage: Option<Shortage>,
    dead: bool,
    ignores_sync: bool,
}

/// A copy is the same medium.
#[derive(Clone, Default)]
pub(crate) struct Faulty(Arc<Mutex<Inside>>);

impl std::fmt::Debug for Faulty {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Faulty")
    }
}

fn broken() -> io::Error {
    io::Error::other("planted")
}

fn write_at(bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + data.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[start..end].copy_from_slice(data);
}

impl Faulty {
    pub(crate) fn holding(image: Vec<u8>) -> Faulty {
        let written = (0..image.len().div_ceil(PAGE) as u64).collect();
        Faulty(Arc::new(Mutex::new(Inside { live: image.clone(), durable: image, written, ..Inside::default() })))
    }

    /// A medium that tells of syncs which it does not do.
    pub(crate) fn that_ignores_sync() -> Faulty {
        let medium = Faulty::default();
        medium.inside().ignores_sync = true;
        medium
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    /// How many writes, syncs and changes of length there were.
    pub(crate) fn operations(&self) -> u64 {
        self.inside().operations
    }

    /// How many reads there were.
    pub(crate) fn reads(&self) -> u64 {
        self.inside().reads
    }

    /// Lets the operation of this number fail.
    pub(crate) fn fail_at(&self, operation: u64, fault: Fault) {
        self.inside().fault = Some((operation, fault));
    }

    /// Lets the read of this number fail.
    pub(crate) fn fail_read(&self, read: u64) {
        self.inside().read_fault = Some(read);
    }

    pub(crate) fn short_of(&self, shortage: Option<Shortage>) {
        self.inside().shortage = shortage;
    }

    /// The bytes that a reader sees.
    pub(crate) fn live(&self) -> Vec<u8> {
        self.inside().live.clone()
    }

    /// How many pages were ever written.
    pub(crate) fn pages(&self) -> usize {
        self.inside().written.len()
    }

    /// What is on the disk after a power cut at this moment.
    pub(crate) fn after_power_cut(&self, reaches: Reaches) -> Vec<u8> {
        let inside = self.inside();
        let mut image = inside.durable.clone();
        let last = inside.pending.len().saturating_sub(1);
        let seed = if let Reaches::Pieces { seed, .. } = reaches { seed } else { 0 };
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        for (at, pending) in inside.pending.iter().enumerate() {
            match (pending, reaches) {
                (_, Reaches::Nothing) => {}
                (Pending::Length(_), Reaches::HalfOfTheLast) if at == last => {}
                (Pending::Length(_), Reaches::Pieces { .. }) if chance.next_u32() & 1 == 0 => {}
                (Pending::Length(length), _) => image.resize(*length as usize, 0),
                (Pending::Write(offset, data), Reaches::HalfOfTheLast) if at == last => {
                    write_at(&mut image, *offset, &data[..data.len() / 2]);
                }
                (Pending::Write(offset, data), Reaches::Pieces { bytes, .. }) => {
                    for (at, piece) in data.chunks(bytes).enumerate() {
                        if chance.next_u32() & 1 == 1 {
                            write_at(&mut image, *offset + (at * bytes) as u64, piece);
                        }
                    }
                }
                (Pending::Write(offset, data), _) => write_at(&mut image, *offset, data),
            }
        }
        image
    }
}

impl Inside {
    /// Counts an operation and says which fault meets it.
    fn begin(&mut self) -> io::Result<Option<Fault>> {
        let met = self.fault.filter(|(at, _)| *at == self.operations).map(|(_, fault)| fault);
        self.operations += 1;
        self.dead |= met == Some(Fault::PowerCut);
        if self.dead || met == Some(Fault::Error) {
            return Err(broken());
        }
        Ok(met)
    }

    fn room_to_write(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let pages = offset / PAGE as u64..(offset + length as u64).div_ceil(PAGE as u64);
        if let Some(Shortage::OfPages(limit)) = self.shortage {
            let new = pages.clone().filter(|page| !self.written.contains(page)).count();
            if new > 0 && self.written.len() + new > limit {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        self.written.extend(pages);
        Ok(())
    }
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        let inside = self.inside();
        if inside.dead { Err(broken()) } else { Ok(inside.live.len() as u64) }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut inside = self.inside();
        let met = inside.read_fault == Some(inside.reads);
        inside.reads += 1;
        if inside.dead || met {
            return Err(broken());
        }
        let bytes = inside.live.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut inside = self.inside();
        let met = inside.begin()?;
        if let Some(Shortage::OfLength(limit)) = inside.shortage
            && length > limit.max(inside.live.len() as u64)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        inside.live.resize(length as usize, 0);
        inside.written.retain(|page| *page < length.div_ceil(PAGE as u64));
        inside.pending.push(Pending::Length(length));
        met.map_or(Ok(()), |_| Err(broken()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inside = self.inside();
        let met = inside.begin()?;
        if met != Some(Fault::HalfDone) && !inside.ignores_sync {
            inside.durable = inside.live.clone();
            inside.pending.clear();
        }
        met.map_or(Ok(()), |_| Err(broken()))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inside = self.inside();
        let met = inside.begin()?;
        inside.room_to_write(offset, data.len())?;
        let reached = if met == Some(Fault::HalfDone) { &data[..data.len() / 2] } else { data };
        write_at(&mut inside.live, offset, reached);
        inside.pending.push(Pending::Write(offset, reached.to_vec()));
        met.map_or(Ok(()), |_| Err(broken()))
    }
}

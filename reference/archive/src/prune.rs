//! Giving up what is no longer wanted (BAK-14).
//!
//! [`Archive::forget`] says that versions are no longer offered; nothing moves. [`Archive::prune`] moves what is still needed out of
//! segments that hold much else, says in a retention record that those segments may be gone, and removes them. Each step is durable
//! before the next: a crash leaves every version that was not forgotten restorable, and at worst segments that the next writer
//! removes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailee_core::crypto::sign::Signing;

use crate::archive::{Archive, Contents};
use crate::engine::BackUp;
use crate::engine::append::{Appender, Tail};
use crate::engine::group::Pools;
use crate::engine::sequence::{Sequencer, Stream};
use crate::error::ArchiveError;
use crate::id::{BlockId, DeviceId, Digest};
use crate::limits::SEGMENT_BYTES;
use crate::manifest::open_index;
use crate::retention::{Forgotten, Retention};
use crate::segment::{Kind, scan_segment};
use crate::store::Store;
use crate::table::ChunkSet;
use crate::tree::{ChunkRef, EntryKind};
use crate::writer::BlockWriter;

/// When a segment is emptied.
#[derive(Clone, Copy, Debug)]
pub struct Prune {
    /// The share of its chunks that nothing needs, in percent, from which on. 0: every segment that holds anything unneeded.
    pub unneeded_percent: u64,
}

impl Default for Prune {
    fn default() -> Self {
        Prune { unneeded_percent: 20 }
    }
}

/// What a prune did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Segments that were removed, ascending.
    pub segments: Vec<u64>,
    /// Bytes of their blocks.
    pub removed: u64,
    /// Bytes that were written to keep what is needed of them; in a plan an estimate, by the share of chunks that are needed.
    pub written: u64,
    /// Chunks that nothing needed in them.
    pub chunks: u64,
}

/// What a retention record gives up besides the segments that are emptied for it: it is not there, or it is of no use.
#[derive(Default)]
pub(crate) struct GivenUp {
    pub(crate) segments: Vec<u64>,
    pub(crate) blocks: Vec<BlockId>,
    pub(crate) links: Vec<Forgotten>,
}

impl GivenUp {
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.blocks.is_empty() && self.links.is_empty()
    }
}

/// The chunks that some version needs.
pub(crate) struct Needed {
    content: ChunkSet,
    trees: ChunkSet,
}

impl Needed {
    /// For what each chunk of the table is needed, if it is.
    fn iter(&self) -> impl Iterator<Item = Option<Stream>> {
        self.content.iter().zip(self.trees.iter()).map(|needed| match needed {
            (_, true) => Some(Stream::Tree),
            (true, false) => Some(Stream::Content),
            (false, false) => None,
        })
    }
}

/// How full a segment is of what is needed.
#[derive(Default)]
struct Fill {
    chunks: u64,
    needed: u64,
    bytes: u64,
    /// Bytes of blocks that hold nothing needed that is not elsewhere too: a prune that was killed leaves such, with chunks that
    /// count where they came from.
    idle: u64,
}

impl<S: Store> Archive<S> {
    /// Says that versions are no longer offered.
    ///
    /// # Errors
    /// `UnknownVersion`, `TooLarge`, `Store`.
    pub fn forget(mut self, versions: &[Digest], device: &Signing) -> Result<Self, ArchiveError> {
        self.verify_doubtful()?;
        let forgotten: BTreeSet<Forgotten> = versions
            .iter()
            .map(|digest| {
                let version = self.contents.versions.iter().find(|version| version.digest == *digest);
                let version = version.ok_or(ArchiveError::UnknownVersion {})?;
                Ok(Forgotten { device: version.device, seq: version.seq, digest: version.digest })
            })
            .collect::<Result<_, _>>()?;
        let mut retention = Retention::at(self.contents.id, self.contents.next_link(DeviceId(device.public()))?);
        retention.forgotten = forgotten.into_iter().collect();
        let (contents, mut tail) = self.detach_tail(SEGMENT_BYTES)?;
        let digest = append_retention(&mut tail, &retention, device)?;
        let mut archive = contents.attach_tail(tail);
        let contents = &mut archive.contents;
        contents.linked(retention.device, retention.seq, digest);
        contents.versions.retain(|version| !versions.contains(&version.digest));
        contents.gone.versions.extend(retention.forgotten.iter().map(|gone| ((gone.device, gone.seq), gone.digest)));
        archive.settle();
        Ok(archive)
    }

    /// Empties and removes segments that hold much that nothing needs. The archive is read again afterwards.
    ///
    /// # Errors
    /// What reading trees and blocks says: an archive is not pruned while anything that is needed is damaged. `Store`.
    pub fn prune(mut self, prune: &Prune, how: &BackUp<'_>) -> Result<(Self, Pruned), ArchiveError> {
        self.verify_doubtful()?;
        let needed = self.needed_chunks()?;
        let chosen = self.choose(&needed, prune);
        if chosen.segments.is_empty() {
            return Ok((self, chosen));
        }
        Moving::all(self, chosen, &needed, GivenUp::default(), how)
    }

    /// What a prune would do.
    ///
    /// # Errors
    /// As [`Archive::prune`].
    pub fn plan_prune(&self, prune: &Prune) -> Result<Pruned, ArchiveError> {
        Ok(self.choose(&self.needed_chunks()?, prune))
    }

    pub(crate) fn needed_chunks(&self) -> Result<Needed, ArchiveError> {
        let chunks = &self.contents.chunks;
        let mut needed = Needed { content: ChunkSet::of(chunks), trees: ChunkSet::of(chunks) };
        let need = |set: &mut ChunkSet, needed: &[ChunkRef]| {
            let all = needed.iter().all(|chunk| set.insert(chunks, &chunk.id));
            if all { Ok(()) } else { Err(ArchiveError::MissingChunk {}) }
        };
        for version in &self.contents.versions {
            need(&mut needed.trees, &version.root.tree)?;
            for entry in self.tree(version) {
                if let EntryKind::File { content, .. } = &entry?.kind {
                    need(&mut needed.content, &content.chunks)?;
                }
            }
        }
        Ok(needed)
    }

    fn choose(&self, needed: &Needed, prune: &Prune) -> Pruned {
        let mut fills: BTreeMap<u64, Fill> = BTreeMap::new();
        let Contents { blocks, chunks, damage, .. } = &self.contents;
        let place_of = |block| blocks.get(block).and_then(|known| known.place);
        let mut in_use = vec![false; blocks.next_number() as usize];
        for ((_, at), needed) in chunks.iter().zip(needed.iter()) {
            if let Some(place) = place_of(at.block) {
                let fill = fills.entry(place.segment).or_default();
                fill.chunks += 1;
                if needed.is_some() {
                    fill.needed += 1;
                    in_use[at.block as usize] = true;
                }
            }
        }
        for (number, block) in blocks.iter() {
            if let Some(place) = block.place {
                let fill = fills.entry(place.segment).or_default();
                fill.bytes += u64::from(block.length);
                fill.idle += if in_use[number as usize] { 0 } else { u64::from(block.length) };
            }
        }
        let mut chosen = Pruned::default();
        // What another release or another device stored is for them to move.
        for (segment, fill) in fills.into_iter().filter(|(segment, _)| !damage.is_unreadable(*segment)) {
            let unneeded = fill.chunks - fill.needed;
            let is_much = |part: u64, whole: u64| part > 0 && part * 100 >= whole * prune.unneeded_percent;
            if fill.needed == 0 || is_much(unneeded, fill.chunks) || is_much(fill.idle, fill.bytes) {
                chosen.segments.push(segment);
                chosen.removed += fill.bytes;
                chosen.written += fill.bytes * fill.needed / fill.chunks.max(1);
                chosen.chunks += unneeded;
            }
        }
        chosen
    }
}

fn append_retention<S: Store>(
    tail: &mut Tail<S>,
    retention: &Retention,
    device: &Signing,
) -> Result<Digest, ArchiveError> {
    let record = retention.sign(device)?;
    tail.append_payload(Kind::Retention, &record)?;
    tail.sync()?;
    Ok(Digest::of(&record))
}

/// A chunk that is to be moved.
struct Move {
    block: u32,
    position: u32,
    stream: Stream,
}

/// A prune under way.
pub(crate) struct Moving<'a, S> {
    contents: Contents,
    sequencer: Sequencer,
    blocks: BlockWriter<'a, S>,
    device: &'a Signing,
    moves: Vec<Move>,
    /// The first number of the blocks that come to be.
    first_new: u32,
    pruned: Pruned,
    given_up: GivenUp,
}

impl<'a, S: Store> Moving<'a, S> {
    /// Empties the chosen segments and removes them. The archive is read again afterwards.
    pub(crate) fn all(
        archive: Archive<S>,
        chosen: Pruned,
        needed: &Needed,
        given_up: GivenUp,
        how: &BackUp<'a>,
    ) -> Result<(Archive<S>, Pruned), ArchiveError> {
        let Contents { id, keys, devices, .. } = &archive.contents;
        let (id, keys, mut devices) = (*id, Arc::clone(keys), devices.clone());
        devices.push(DeviceId(how.device.public()));
        let mut moving = Moving::begin(archive, chosen, needed, given_up, how)?;
        moving.move_chunks()?;
        moving.move_records()?;
        let (store, unsettled, pruned) = moving.give_up()?;
        let mut archive = Archive::open_as(store, id, keys, &devices)?;
        archive.contents.unsettled = unsettled;
        // What was noted is given up by now, or it is damage that is found when the archive is read.
        archive.contents.suspected = true;
        archive.settle();
        Ok((archive, pruned))
    }

    fn begin(
        archive: Archive<S>,
        pruned: Pruned,
        needed: &Needed,
        given_up: GivenUp,
        how: &BackUp<'a>,
    ) -> Result<Self, ArchiveError> {
        let (mut contents, mut tail) = archive.detach_tail(how.segment_bytes)?;
        if pruned.segments.contains(&tail.end.0) {
            tail.next_segment()?;
        }
        let leaves = |block| {
            let place = contents.blocks.get(block).and_then(|known| known.place);
            place.is_some_and(|place| pruned.segments.binary_search(&place.segment).is_ok())
        };
        let chunks = contents.chunks.iter().zip(needed.iter());
        let mut moves: Vec<Move> = chunks
            .filter(|((_, at), _)| leaves(at.block))
            .filter_map(|((_, at), stream)| Some(Move { block: at.block, position: at.position, stream: stream? }))
            .collect();
        moves.sort_by_key(|chunk| (chunk.block, chunk.position));
        let mut staying = std::mem::take(&mut contents.chunks);
        staying.forget_blocks(leaves);
        let (keys, pools) = (Arc::clone(&contents.keys), Arc::new(Pools::default()));
        let first_new = contents.blocks.next_number();
        let sequencer = Sequencer::new(Arc::clone(&keys), Arc::clone(&pools), staying, first_new);
        let appender = Appender::new(tail, Arc::clone(&keys), how.random);
        let blocks = BlockWriter::new(appender, keys, pools, how)?;
        Ok(Moving { contents, sequencer, blocks, device: how.device, moves, first_new, pruned, given_up })
    }

    /// Writes what is needed of the blocks that go into new ones.
    fn move_chunks(&mut self) -> Result<(), ArchiveError> {
        let mut groups = Vec::new();
        for moves in self.moves.chunk_by(|a, b| a.block == b.block) {
            let block = self.contents.blocks.get(moves[0].block).ok_or(ArchiveError::MissingChunk {})?;
            let open = block.open(&self.blocks.appender.tail.store, &self.contents.keys, self.contents.id)?;
            // Trees name the chunks as they are named in the epoch of their block: they go into another of the same.
            if open.epoch() != self.blocks.epoch() {
                self.sequencer.flush(&mut groups);
                self.blocks.write(&mut groups)?;
                self.blocks.go_on_in(open.epoch())?;
            }
            for chunk in moves {
                let (id, bytes) = open.chunk(chunk.position).ok_or(ArchiveError::MissingChunk {})?;
                self.sequencer.chunk(chunk.stream, id, bytes, &mut groups)?;
            }
            self.blocks.write(&mut groups)?;
        }
        self.sequencer.flush(&mut groups);
        self.blocks.write(&mut groups)?;
        self.blocks.appender.index()
    }

    /// Copies the links of chains that lie in segments that go, and what index records there say of blocks that stay.
    fn move_records(&mut self) -> Result<(), ArchiveError> {
        for &segment in &self.pruned.segments {
            let scan = scan_segment(&self.blocks.appender.tail.store, segment, self.contents.id)?;
            for frame in scan.frames {
                let payload = match frame.head.kind {
                    Kind::Block => continue,
                    _ => frame.read(&self.blocks.appender.tail.store)?,
                };
                if frame.head.kind == Kind::Index {
                    // Where it cannot be read, its blocks say the same.
                    let mut blocks = open_index(&self.contents.keys, self.contents.id, &payload).unwrap_or_default();
                    blocks.retain(|block| self.stays(&block.id));
                    self.blocks.appender.index_of(&blocks)?;
                } else if self.is_wanted(&Digest::of(&payload)) {
                    // A link vouches for all before it (BAK-12), also where it is a copy.
                    self.blocks.appender.tail.sync()?;
                    self.blocks.appender.tail.append_payload(frame.head.kind, &payload)?;
                }
            }
        }
        Ok(())
    }

    fn stays(&self, id: &BlockId) -> bool {
        let known = self.contents.blocks.number(id).and_then(|number| self.contents.blocks.get(number));
        let place = known.and_then(|block| block.place);
        place.is_some_and(|place| self.pruned.segments.binary_search(&place.segment).is_err())
    }

    /// Links of chains, but for manifests of versions that are forgotten.
    fn is_wanted(&self, digest: &Digest) -> bool {
        let forks = self.contents.forks.iter().map(|(_, _, link)| link);
        self.contents.links.values().chain(forks).any(|link| link == digest)
            && !self.contents.gone.versions.values().any(|gone| gone == digest)
    }

    /// Says what may be gone, and removes it. The store, and the segments that were written to.
    fn give_up(mut self) -> Result<(S, BTreeSet<u64>, Pruned), ArchiveError> {
        self.blocks.appender.tail.sync()?;
        self.pruned.written = self.blocks.appender.tail.written;
        let mut retention = self.retention()?;
        let archive = self.contents.attach(self.sequencer, self.blocks.appender);
        let new: Vec<u32> = (self.first_new..archive.contents.blocks.next_number()).collect();
        retention.blocks = archive.listings(&new)?;

        let (contents, mut tail) = archive.detach_tail(SEGMENT_BYTES)?;
        append_retention(&mut tail, &retention, self.device)?;
        self.pruned.written += tail.written;
        let removed = if retention.forgotten.is_empty() {
            tail.store.remove(&self.pruned.segments)
        } else {
            // A link is lost with them: somebody may want to look at what is left of it.
            tail.store.set_aside(&self.pruned.segments)
        };
        removed.map_err(ArchiveError::store("removing segments"))?;
        let mut unsettled = contents.unsettled;
        unsettled.extend(tail.touched);
        Ok((tail.store, unsettled, self.pruned))
    }

    /// What goes: the segments, the blocks that are in them, and what is given up besides.
    fn retention(&mut self) -> Result<Retention, ArchiveError> {
        let link = self.contents.next_link(DeviceId(self.device.public()))?;
        let mut retention = Retention::at(self.contents.id, link);
        let GivenUp { segments, blocks, links } = std::mem::take(&mut self.given_up);
        let known = self.contents.blocks.iter().map(|(_, block)| block);
        let going = known.filter(|block| block.place.is_some() && !self.stays(&block.id)).map(|block| block.id);
        let dropped: BTreeSet<BlockId> = going.chain(blocks).collect();
        let segments: BTreeSet<u64> = self.pruned.segments.iter().copied().chain(segments).collect();
        retention.dropped = dropped.into_iter().collect();
        retention.segments = segments.into_iter().collect();
        retention.forgotten = links;
        Ok(retention)
    }
}

//! The end of a backup: what makes blocks a version (BAK-9, BAK-13).

use std::collections::BTreeSet;
use std::sync::Arc;

use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;

use crate::archive::{Archive, Contents, Version};
use crate::block::{BLOCK_HEADER_BYTES, peek_id};
use crate::engine::Totals;
use crate::engine::append::{Appender, CLOSED, Tail};
use crate::engine::sequence::{Counted, Sequencer};
use crate::error::ArchiveError;
use crate::id::{BlockId, DeviceId, Digest};
use crate::limits::SEGMENT_GAP;
use crate::manifest::{Clear, Listing, MANIFEST_VERSION, Origin, Root, encode_manifest};
use crate::random::{COMMIT_STREAM, Randomness};
use crate::segment::{Frame, Kind, scan_segment};
use crate::store::{ReadStore, Store};
use crate::tree::Time;

/// Who commits, and as what.
pub(crate) struct Commit<'a> {
    pub(crate) device: &'a Signing,
    pub(crate) time: Time,
    pub(crate) label: &'a [u8],
    pub(crate) origin: Option<&'a Origin>,
    pub(crate) random: &'a dyn Randomness,
}

impl<S: Store> Archive<S> {
    /// Takes the store out, to write at the end of it, if the end is where it was when it was read. What a crash left there is
    /// cut off first, and segments that a retention record gave up are removed.
    pub(crate) fn detach_tail(self, segment_bytes: u64) -> Result<(Contents, Tail<S>), ArchiveError> {
        let Archive { mut contents, mut store, .. } = self;
        store.claim().map_err(ArchiveError::store("keeping other writers out"))?;
        let (last, length) = contents.seen;
        let numbers = store.list().map_err(ArchiveError::store("listing the archive"))?;
        // What is further away than any writer goes is no segment.
        let is_next = |number: &u64| number.checked_sub(last).is_some_and(|by| (1..=SEGMENT_GAP).contains(&by));
        // As it was measured when it was read: one that cannot be is as long as nothing.
        if numbers.iter().any(is_next) || !numbers.contains(&last) || store.length(last).unwrap_or(0) != length {
            return Err(ArchiveError::WrittenSince {});
        }
        let mut touched = BTreeSet::new();
        if let Some(torn) = contents.torn.take() {
            let doing = "cutting off what a crash left";
            store.cut(torn.place.segment, torn.place.offset).map_err(ArchiveError::store(doing))?;
            touched.insert(torn.place.segment);
            contents.was_torn = true;
        }
        let leftovers = std::mem::take(&mut contents.segments.leftovers);
        let (emptied, others): (Vec<u64>, Vec<u64>) =
            leftovers.into_iter().partition(|number| contents.was_emptied(&store, *number));
        let doing = "removing segments that were given up";
        store.remove(&emptied).and_then(|()| store.set_aside(&others)).map_err(ArchiveError::store(doing))?;
        if !store.is_writable(contents.end.0) {
            contents.end.1 = CLOSED;
        }
        let tail = Tail { store, archive: contents.id, end: contents.end, segment_bytes, written: 0, touched };
        Ok((contents, tail))
    }

    /// Notes how the segments are that this writer wrote to or looked through, and which blocks are not what they should be. Nothing
    /// relies on these notes, so that a store which does not take them is no worse.
    pub(crate) fn settle(&mut self) {
        let unsettled: Vec<u64> = std::mem::take(&mut self.contents.unsettled).into_iter().collect();
        let _ = self.store.note_states(&unsettled);
        if std::mem::take(&mut self.contents.suspected) || !self.contents.altered.is_empty() {
            let altered: Vec<BlockId> = self.contents.altered.iter().copied().collect();
            let _ = self.store.set_suspects(&altered);
        }
    }
}

impl Contents {
    /// Whether all in a segment was dropped, forgotten or copied. One that was given up because it was missing, and has come back, may
    /// have what nothing else has.
    fn was_emptied(&self, store: &dyn ReadStore, number: u64) -> bool {
        let is_dropped = |frame: &Frame| {
            let mut front = [0; BLOCK_HEADER_BYTES + 32];
            let read = store.read(frame.payload.segment, frame.payload.offset, &mut front);
            read.is_ok() && peek_id(&front).is_ok_and(|id| self.gone.blocks.contains(&id))
        };
        let is_elsewhere = |digest: &Digest| {
            self.kept_links.contains(digest) || self.gone.versions.values().any(|forgotten| forgotten == digest)
        };
        let Ok(scan) = scan_segment(store, number, self.id) else { return false };
        scan.frames.iter().all(|frame| match frame.head.kind {
            Kind::Block => is_dropped(frame),
            Kind::Index => true,
            Kind::Manifest | Kind::Retention => {
                frame.read(store).is_ok_and(|bytes| is_elsewhere(&Digest::of(&bytes)))
            }
        })
    }

    /// Puts the store back, and takes in the segments that came to be.
    pub(crate) fn attach_tail<S: Store>(mut self, tail: Tail<S>) -> Archive<S> {
        self.segments.there.extend(self.end.0.saturating_add(1)..=tail.end.0);
        self.end = tail.end;
        if tail.end.1 != CLOSED {
            self.seen = tail.end;
        }
        self.unsettled.extend(tail.touched);
        Archive::of(tail.store, self)
    }

    /// Puts the store back, and takes in what was appended.
    pub(crate) fn attach<S: Store>(mut self, sequencer: Sequencer, appender: Appender<'_, S>) -> Archive<S> {
        let mut blocks = appender.blocks;
        blocks.sort_by_key(|(number, _)| *number);
        for (_, block) in blocks {
            self.blocks.add(block);
        }
        self.chunks = sequencer.chunks;
        self.attach_tail(appender.tail)
    }
}

impl Commit<'_> {
    /// Commits the version: blocks and index are durable before the manifest is written, and the manifest before this returns.
    ///
    /// # Errors
    /// `TooLarge`, `Store`. Then there is no version, and nothing of an earlier one is touched.
    pub(crate) fn commit<S: Store>(
        &self,
        contents: Contents,
        mut sequencer: Sequencer,
        mut appender: Appender<'_, S>,
    ) -> Result<(Archive<S>, Totals), ArchiveError> {
        appender.index()?;
        appender.tail.sync()?;
        let (needed, tree) = (sequencer.needed(), std::mem::take(&mut sequencer.tree_chunks));
        let (counted, segment_bytes) = (sequencer.counted, appender.tail.segment_bytes);
        let written = appender.tail.written;
        let archive = contents.attach(sequencer, appender);

        let device = DeviceId(self.device.public());
        let link = archive.contents.next_link(device)?;
        let clear = Clear {
            version: MANIFEST_VERSION,
            archive: archive.contents.id,
            device,
            epoch: archive.contents.keys.current_epoch(),
            seq: link.seq,
            previous: link.previous,
            head: None,
            blocks: archive.listings(&needed)?,
        };
        let root = Root {
            time: self.time,
            label: self.label.to_vec().into(),
            entries: counted.entries,
            bytes: counted.bytes,
            tree,
            origin: self.origin.cloned(),
        };
        let mut rng = self.random.stream(COMMIT_STREAM);
        let keys = Arc::clone(&archive.contents.keys);
        let manifest =
            encode_manifest(&keys, &clear, &root, &mut rng, |body| self.device.sign(labels::SIGN_MANIFEST, body))?;
        let (contents, mut tail) = archive.detach_tail(segment_bytes)?;
        tail.append_payload(Kind::Manifest, &manifest)?;
        tail.sync()?;
        let stored = written + tail.written;
        let mut archive = contents.attach_tail(tail);
        let digest = Digest::of(&manifest);
        archive.contents.linked(device, link.seq, digest);
        archive.contents.versions.push(Version { device, seq: link.seq, root, digest, blocks: needed });
        archive.settle();
        let Counted { entries, bytes, read, new } = counted;
        let totals = Totals { entries, bytes, read, new, stored };
        Ok((archive, totals))
    }
}

impl<S: ReadStore> Archive<S> {
    /// Blocks as a manifest lists them, ascending by id.
    pub(crate) fn listings(&self, numbers: &[u32]) -> Result<Vec<Listing>, ArchiveError> {
        let mut listings: Vec<Listing> =
            numbers.iter().map(|&number| self.listing(number)).collect::<Result<_, _>>()?;
        listings.sort_by_key(|listing| listing.id);
        Ok(listings)
    }
}

//! What is in several blocks, listed in several ways, or named by several links: nothing is lost while one of them is right; and
//! links to no file, and files that are no segments of the archive.

use bailee_archive::block::{Form, open_block};
use bailee_archive::manifest::{Clear, Listing};
use bailee_archive::segment::Kind;
use bailee_archive::testing::Seeded;
use bailee_archive::tree::{Entry, EntryKind, Meta};
use bailee_archive::{Archive, BlockId, Digest, MemoryStore, Padding, TreePath};
use bailee_core::crypto::labels;
use minicbor::bytes::ByteVec;
use serde_json::json;

use super::archives::*;
use super::forge::*;
use super::sound::back_up;
use super::{device, hex, keys, path};

/// Adds a listing in its place.
fn list(clear: &mut Clear, listing: Listing) {
    clear.blocks.push(listing);
    clear.blocks.sort_by_key(|block| block.id);
}

/// A block as a manifest lists it.
fn listing_of(block: &[u8]) -> Listing {
    Listing { id: BlockId(salt(block)), length: block.len() as u32, digest: Digest::of_block(block) }
}

impl Archives {
    /// The chunks of a block in another.
    fn again(&self, block: usize) -> (Kind, Vec<u8>) {
        let open = open_block(&keys(), self.id, self.all[block].1.clone()).unwrap();
        let chunks: Vec<&[u8]> = (0..open.ids().len() as u32).map(|at| open.chunk(at).unwrap().1).collect();
        let content = plain(&chunks);
        let padded = padded(&content, content.len(), Padding::Padme);
        (Kind::Block, block_of(self.id, Form::Raw, Padding::Padme, &padded))
    }

    fn with_after(&self, records: &[(Kind, Vec<u8>)], more: (Kind, Vec<u8>)) -> Records {
        [records, &[more]].concat()
    }

    /// A chunk is lost if no block yields it (BAK-16).
    pub(super) fn several_blocks(&mut self) {
        let nothing_lost = ["MissingChunk", "ChunkMismatch"];
        for (name, block) in [("chunk", BLOCK), ("tree", TREE)] {
            let first = self.with_after(&self.flipped(block, 120), self.again(block));
            let name_of_first = format!("{name}-in-two-blocks-of-which-the-first-is-altered");
            self.add_records(&name_of_first, "BlockAltered", &[1, 2], &first);
            self.more("not", nothing_lost.to_vec());
            let mut second = self.again(block);
            second.1[120] ^= 1;
            let second = [&self.all[..SECOND], &[second], &self.all[SECOND..THIRD]].concat();
            let name_of_second = format!("{name}-in-two-blocks-of-which-the-second-is-altered");
            self.add_records(&name_of_second, "NotOpened", &[1, 2], &second);
        }
        let both = [&[self.again(BLOCK)], &self.flipped(BLOCK, 120)[..]].concat();
        self.add_records("chunk-in-two-blocks-of-which-the-later-is-altered", "BlockAltered", &[1, 2], &both);
    }

    /// What an index record says is believed until the block is opened.
    pub(super) fn lying_index_records(&mut self) {
        let two = self.two();
        let chunk_id = |content: &[u8]| bytes(blake3::keyed_hash(&branch(labels::KEY_ID), content).as_bytes());
        let says = |chunks: Vec<ByteVec>| index_record(self.id, vec![(bytes(salt(&two[BLOCK].1)), chunks)]);
        let of_the_second = self.replaced(INDEX, says(vec![chunk_id(&[2; 9])]));
        let one_too_many = self.replaced(INDEX, says(vec![bytes([0; 32]), chunk_id(&[1; 9])]));
        // The first version's chunk is in no block that is said to hold it.
        self.add_records("index-names-another-chunk", "ChunkMismatch", &[2], &of_the_second);
        self.add_records("index-names-a-chunk-too-many", "ChunkMismatch", &[1, 2], &one_too_many);
        self.more("not", vec!["MissingChunk"]);
    }

    /// A block that was dropped and is there is used; that it does not open is no damage.
    pub(super) fn dropped_and_altered(&mut self) {
        let block = [salt(&self.all[BLOCK].1)];
        let dropped = Removed { dropped: &block, ..Removed::default() };
        let second = self.digest(SECOND + MANIFEST);
        let forgets = self.retention_at(3, second, &[(1, self.digest(MANIFEST))], dropped);
        let newest = link(3, &forgets.1);
        let mut records = self.with_after(&self.flipped(BLOCK, 120), forgets);
        records.remove(INDEX);
        let segments = self.one_segment(&records);
        self.add_remembering("dropped-altered-and-not-indexed", "", &[2], segments, newest);
        let keeps = self.retention_at(3, second, &[], dropped);
        let newest = link(3, &keeps.1);
        let segments = self.one_segment(&self.with_after(&self.flipped(BLOCK, 120), keeps));
        self.add_remembering("dropped-altered-and-needed", "BlockAltered", &[2], segments, newest);
        // It is named where it is missed.
        self.more("times", 1);
    }

    /// A block that agrees with one signed listing is used; each other listing is named.
    pub(super) fn several_listings(&mut self) {
        let right = listing_of(&self.all[BLOCK].1);
        let wrong = [
            ("length", Listing { length: right.length + 1, ..right }),
            ("digest", Listing { digest: Digest([3; 32]), ..right }),
        ];
        for (what, wrong) in wrong {
            let second = remade(&self.all[SECOND + MANIFEST].1, |clear| list(clear, wrong));
            let newest = link(2, &second);
            let segments = self.one_segment(&self.replaced(SECOND + MANIFEST, second));
            self.add_remembering(
                &format!("block-listed-later-with-another-{what}"),
                "BlockAltered",
                &[1, 2],
                segments,
                newest,
            );
            self.more("times", 1);

            let first = remade(&self.all[MANIFEST].1, |clear| {
                clear.blocks.retain(|block| block.id != wrong.id);
                list(clear, wrong);
            });
            let second = remade(&self.all[SECOND + MANIFEST].1, |clear| {
                clear.previous = Some(Digest::of(&first));
                list(clear, right);
            });
            let newest = link(2, &second);
            let mut records = self.replaced(MANIFEST, first);
            records[SECOND + MANIFEST].1 = second;
            let segments = self.one_segment(&records);
            self.add_remembering(
                &format!("block-listed-before-with-another-{what}"),
                "BlockAltered",
                &[1, 2],
                segments,
                newest,
            );
            self.more("times", 1);
        }
        let (_, wrong) = wrong[1];
        let second = remade(&self.all[SECOND + MANIFEST].1, |clear| list(clear, wrong));
        let third = remade(&self.all[THIRD + MANIFEST].1, |clear| {
            clear.previous = Some(Digest::of(&second));
            list(clear, wrong);
        });
        let newest = link(3, &third);
        let mut records = self.all.clone();
        records[SECOND + MANIFEST].1 = second;
        records[THIRD + MANIFEST].1 = third;
        let segments = self.one_segment(&records);
        self.add_remembering("block-listed-wrongly-by-two-versions", "BlockAltered", &[1, 2, 3], segments, newest);
        self.more("times", 1);
    }

    /// Of two links of one number the later is named; either is remembered, and is one that another may follow.
    pub(super) fn forks(&mut self) {
        let (two, third) = (self.two(), self.all[THIRD..].to_vec());
        let first = link(2, &two[SECOND + MANIFEST].1);
        let other = remade(&two[SECOND + MANIFEST].1, |clear| clear.head = Some(Digest([3; 32])));
        let fork = [&two[..], &[(Kind::Manifest, other.clone())], &third[..]].concat();
        let segments = self.one_segment(&fork);
        self.add_remembering(
            "two-manifests-of-one-number-and-one-that-follows-the-first",
            "ChainBroken",
            &[1, 2, 2, 3],
            segments,
            first,
        );
        self.more("times", 1);
        self.more("not", vec!["RolledBack"]);
        let mut follows_other = fork;
        let last = follows_other.len() - 1;
        follows_other[last].1 = remade(&third[MANIFEST].1, |clear| clear.previous = Some(Digest::of(&other)));
        let segments = self.one_segment(&follows_other);
        self.add_remembering(
            "two-manifests-of-one-number-and-one-that-follows-the-second",
            "ChainBroken",
            &[1, 2, 2, 3],
            segments,
            link(2, &other),
        );
        self.more("times", 1);
        self.more("not", vec!["RolledBack"]);

        let second = remade(&two[SECOND + MANIFEST].1, |clear| clear.previous = Some(Digest([3; 32])));
        let forgets = self.retention_at(3, Digest::of(&second).0, &[(1, [3; 32])], Removed::default());
        let newest = link(3, &forgets.1);
        let segments = self.one_segment(&self.with_after(&self.replaced(SECOND + MANIFEST, second), forgets));
        self.add_remembering("forgotten-by-another-digest-and-followed", "ChainBroken", &[1, 2], segments, newest);
        self.more("times", 1);
    }

    /// What somebody put into the folder does not take time or memory, and is not used.
    pub(super) fn planted(&mut self) {
        let (id, two, third) = (self.id, self.two(), self.all[THIRD..].to_vec());
        for (name, number) in
            [("segment-beyond-the-longest-gap", 3 + SEGMENT_GAP), ("segment-of-the-greatest-number", u64::MAX)]
        {
            let segments = vec![(1, segment(id, 1, &two)), (number, segment(id, number, &third))];
            self.add(name, "", &[1, 2], segments);
        }
        let alien = segment(self.other_id, 2, &self.other[..3]);
        let segments = vec![(1, segment(id, 1, &two)), (2, alien), (3, segment(id, 3, &[]))];
        self.add("segment-and-its-records-of-another-archive", "WrongArchive", &[1, 2], segments);
        self.more("times", 1);
    }

    /// A hard link has to name a file.
    pub(super) fn dangling_links(&mut self) {
        let entry = |name: &str, kind| (Entry { path: path(name), meta: Meta::default(), kind }, Vec::new());
        let file = || EntryKind::File { content: Default::default(), changed: false, sparse: false };
        let to = |name: &str| EntryKind::HardLink { to: path(name) };
        let root =
            || (Entry { path: TreePath::root(), meta: Meta::default(), kind: EntryKind::Directory }, Vec::new());
        let trees = [
            ("hard-link-to-nothing", vec![root(), entry("a", file()), entry("c", to("b"))]),
            ("hard-link-to-a-directory", vec![root(), entry("b", EntryKind::Directory), entry("c", to("b"))]),
            ("hard-link-to-a-hard-link", vec![root(), entry("a", file()), entry("b", to("a")), entry("c", to("b"))]),
        ];
        for (name, entries) in trees {
            let archive = Archive::create(MemoryStore::default(), keys(), &Seeded(0)).unwrap();
            let archive = back_up(&device(), archive, 1, &entries, 1 << 20, Padding::Padme);
            let (_, digest) = archive.newest(super::trusted()[0]).unwrap();
            let newest = json!({ "seq": 1, "digest": hex(digest.0) });
            self.add_remembering(
                name,
                "DanglingLink",
                &[],
                archive.into_store().segments.into_iter().collect(),
                newest,
            );
            self.more("lost", json!({ "1": [[hex("c")]] }));
        }
    }
}

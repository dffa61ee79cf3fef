//! What comes after the last link of the last segment, and the same in other places, where it is damage.

use bailee_archive::segment::Kind;

use super::archives::*;
use super::device;
use super::forge::*;

impl Archives {
    /// What a crash leaves in the last segment after the last link is no damage (BAK-12).
    pub(super) fn torn_tails(&mut self) {
        let whole = self.one_segment(&self.two()).remove(0).1;
        let with_third = |count: usize| segment(self.id, 1, &self.all[..THIRD + count]);
        let zeros = |at: usize, count: usize| {
            let mut records = self.all[..THIRD + count].to_vec();
            records[THIRD + at].1.fill(0);
            records
        };
        let one_block = with_third(1);
        let block = self.all[THIRD + BLOCK].1.clone();
        let of_another_version =
            (Kind::Manifest, manifest(&manifest_clear(device().public(), 2, 0, 1, None, &[]), &[]));
        let unvouched = [zeros(BLOCK, 3), vec![of_another_version.clone()]].concat();
        let of_another_archive = self.other[MANIFEST].clone();
        let by_another_archive = [zeros(BLOCK, 3), vec![of_another_archive.clone()]].concat();
        let by_a_stranger = retention_of_a_stranger(self.other_id, Removed::default());
        let tails = [
            ("tail-ends-in-a-head", one_block[..whole.len() + 5].to_vec()),
            ("tail-ends-in-a-payload", one_block[..one_block.len() - 10].to_vec()),
            ("tail-of-a-block-of-zeros", segment(self.id, 1, &zeros(BLOCK, 1))),
            ("tail-of-garbage", [&whole[..], &garbage(100)].concat()),
            ("tail-after-whole-blocks", [&with_third(2)[..], &garbage(100)].concat()),
            ("tail-of-an-index-of-zeros", segment(self.id, 1, &zeros(INDEX, 3))),
            ("tail-of-a-manifest-of-zeros", segment(self.id, 1, &zeros(MANIFEST, 4))),
            // Its tree and its index record are whole, and not used: they come after what is not.
            ("tail-that-an-index-names", segment(self.id, 1, &zeros(BLOCK, 3))),
            ("tail-with-a-manifest-of-another-version", segment(self.id, 1, &unvouched)),
            // Its signature holds, and it vouches for nothing here.
            ("tail-with-a-manifest-of-another-archive", segment(self.id, 1, &by_another_archive)),
            (
                "tail-of-a-manifest-of-another-archive",
                segment(self.id, 1, &[self.two(), vec![of_another_archive]].concat()),
            ),
            (
                "tail-of-a-retention-of-another-archive",
                segment(self.id, 1, &[self.two(), vec![by_a_stranger]].concat()),
            ),
            ("unfinished-backup", with_third(3)),
        ];
        // A device that is not one of the owner's vouches all the same.
        let vouches = retention_of_a_stranger(self.id, Removed::default());
        let vouched = [zeros(INDEX, 3), vec![vouches]].concat();
        for (name, bytes) in tails {
            self.add(name, "", &[1, 2], vec![(1, bytes)]);
        }
        self.add_records("index-of-zeros-before-a-link-of-a-stranger", "Encoding", &[1, 2], &vouched);
        // What only another release, or another key, could read is no torn record.
        let refused = [
            ("block-of-another-version-after", "UnsupportedVersion", (Kind::Block, with(block.clone(), 4, 2))),
            ("block-of-an-unknown-epoch-after", "UnknownEpoch", (Kind::Block, with(block, 30, 1))),
            ("manifest-of-another-version-after", "UnsupportedVersion", of_another_version),
        ];
        for (name, error, record) in refused {
            self.add_records(name, error, &[1, 2], &[self.two(), vec![record]].concat());
        }
    }

    /// The same before a link whose signature holds, or before the last segment, is damage.
    pub(super) fn damage_before_the_end(&mut self) {
        let (id, all) = (self.id, self.all.clone());
        let third = link(3, &all[THIRD + MANIFEST].1);
        let mut gap = segment(id, 1, &all[..THIRD]);
        gap.extend(garbage(100));
        append(&mut gap, 1, &all[THIRD..]);
        self.add_remembering("garbage-before-a-manifest", "Damaged", &[1, 2, 3], vec![(1, gap)], third.clone());
        let mut zeros = all.clone();
        zeros[THIRD + BLOCK].1.fill(0);
        let zeros = self.one_segment(&zeros);
        self.add_remembering("block-of-zeros-before-a-manifest", "MissingBlock", &[1, 2], zeros, third);
        let parted = |first: Vec<u8>| vec![(1, first), (2, segment(id, 2, &all[SECOND..THIRD]))];
        let first = segment(id, 1, &all[..SECOND]);
        self.add("two-segments", "", &[1, 2], parted(first.clone()));
        self.add(
            "garbage-after-an-earlier-segment",
            "Damaged",
            &[1, 2],
            parted([&first[..], &garbage(100)].concat()),
        );
        self.add("earlier-segment-ends-in-a-payload", "Damaged", &[2], parted(first[..first.len() - 10].to_vec()));
        self.add("earlier-segment-ends-in-a-head", "Damaged", &[1, 2], parted([&first[..], &[1, 0, 0]].concat()));
        let mut zeros = all[..SECOND].to_vec();
        zeros[BLOCK].1.fill(0);
        self.add("block-of-zeros-in-an-earlier-segment", "MissingBlock", &[2], parted(segment(id, 1, &zeros)));
    }
}

//! Archives of which a retention record gives something up: versions, blocks, segments.

use bailee_archive::segment::Kind;

use super::archives::*;
use super::device;
use super::forge::*;

impl Archives {
    /// A retention record of our device that forgets these links, at a place in its chain.
    pub(super) fn retention_at(
        &self,
        seq: u64,
        previous: [u8; 32],
        forgotten: &[(u64, [u8; 32])],
        lists: Removed<'_>,
    ) -> (Kind, Vec<u8>) {
        let place = Chained { archive: self.id, seq, previous: Some(previous) };
        let clear = retention_clear("retention", 1, device().public(), place, forgotten, lists);
        (Kind::Retention, signed_retention(&clear))
    }

    /// The same that comes after the two versions, and forgets those of these numbers.
    fn retention(&self, forgotten: &[u64], lists: Removed<'_>) -> (Kind, Vec<u8>) {
        let of = |seq: u64| self.digest(SECOND * (seq as usize - 1) + MANIFEST);
        let forgotten: Vec<_> = forgotten.iter().map(|&seq| (seq, of(seq))).collect();
        self.retention_at(3, of(2), &forgotten, lists)
    }

    pub(super) fn removed(&mut self) {
        let two = self.two();
        let none = Removed::default();
        let by_a_stranger = retention_of_a_stranger(self.id, Removed { segments: &[1], ..none });
        let after = [&two[..], &[by_a_stranger]].concat();
        self.add_records("retention-of-a-stranger", "UnknownDevice", &[1, 2], &after);
        let place = Chained { archive: self.other_id, seq: 1, previous: None };
        let segments = Removed { segments: &[1], ..none };
        let alien = signed_retention(&retention_clear("retention", 1, device().public(), place, &[], segments));
        let before = [&two[..SECOND], &[(Kind::Retention, alien)], &two[SECOND..]].concat();
        self.add_records("retention-of-another-archive", "WrongArchive", &[1, 2], &before);
        self.more("times", 1);

        let forgets = self.retention(&[1], none);
        let newest = link(3, &forgets.1);
        let first = link(1, &two[MANIFEST].1);
        let there = self.one_segment(&[&two[..], std::slice::from_ref(&forgets)].concat());
        self.add_remembering("forgotten-and-there", "", &[2], there, newest.clone());
        let gone = self.one_segment(&[self.without(MANIFEST), vec![forgets]].concat());
        self.add_remembering("forgotten-and-gone", "", &[2], gone.clone(), newest);
        self.add_remembering("remembered-is-forgotten", "", &[2], gone, first);

        let block = [salt(&two[BLOCK].1)];
        let dropped = Removed { dropped: &block, ..none };
        let drops = self.retention(&[1], dropped);
        let newest = link(3, &drops.1);
        let there = self.one_segment(&[&two[..], std::slice::from_ref(&drops)].concat());
        self.add_remembering("dropped-and-there", "", &[2], there, newest.clone());
        let gone = self.one_segment(&[self.without(BLOCK), vec![drops]].concat());
        self.add_remembering("dropped-and-gone", "", &[2], gone, newest);
        let drops = self.retention(&[], dropped);
        let newest = link(3, &drops.1);
        let gone = self.one_segment(&[self.without(BLOCK), vec![drops]].concat());
        self.add_remembering("dropped-and-needed", "MissingChunk", &[2], gone, newest);

        let missing = listings(&[1]);
        let lists = self.retention(&[], Removed { blocks: &missing, ..none });
        let newest = link(3, &lists.1);
        let records = self.one_segment(&[&two[..], &[lists]].concat());
        self.add_remembering("retention-lists-a-missing-block", "MissingBlock", &[1, 2], records, newest);

        let mut blocks = [BLOCK, TREE].map(|at| salt(&two[at].1));
        blocks.sort();
        let altered = self.one_segment(
            &[self.flipped(BLOCK, 120), vec![self.retention(&[1], Removed { dropped: &blocks, ..none })]].concat(),
        );
        let newest_of_altered = link(3, &self.retention(&[1], Removed { dropped: &blocks, ..none }).1);
        self.add_remembering("dropped-and-there-and-altered", "", &[2], altered, newest_of_altered);
        let removes = self.retention(&[1], Removed { dropped: &blocks, segments: &[1], ..none });
        let newest = link(3, &removes.1);
        let second = segment(self.id, 2, &[&two[SECOND..], &two[MANIFEST..SECOND], &[removes]].concat());
        let removed = segment(self.id, 1, &two[..SECOND]);
        let both = vec![(1, removed), (2, second.clone())];
        self.add_remembering("removed-segment-is-there", "", &[2], both, newest.clone());
        self.add_remembering("removed-segment-is-gone", "", &[2], vec![(2, second)], newest);
    }

    pub(super) fn forgotten(&mut self) {
        let two = self.two();
        let other = self.retention_at(3, self.digest(SECOND + MANIFEST), &[(1, [3; 32])], Removed::default());
        let newest = link(3, &other.1);
        let records = self.one_segment(&[two, vec![other]].concat());
        self.add_remembering("forgotten-by-another-digest", "ChainBroken", &[1, 2], records, newest);
        self.more("times", 1);
    }

    /// After a repair (BAK-17) nothing is damaged, and anyone who remembers a lost link finds it named.
    pub(super) fn repaired(&mut self) {
        let (two, id) = (self.two(), self.id);
        let (first, second) = (self.digest(MANIFEST), self.digest(SECOND + MANIFEST));
        // The manifest of the first version is lost. All else of the segment is stored again.
        let mut damaged = two[..SECOND].to_vec();
        damaged[MANIFEST].1[60] ^= 1;
        let mut blocks = [BLOCK, TREE].map(|at| salt(&two[at].1));
        blocks.sort();
        let gives_up = self.retention_at(
            3,
            second,
            &[(1, first)],
            Removed { dropped: &blocks, segments: &[1], ..Removed::default() },
        );
        let newest = link(3, &gives_up.1);
        let rest = segment(id, 2, &[&two[SECOND..], &[gives_up]].concat());
        let there = vec![(1, segment(id, 1, &damaged)), (2, rest.clone())];
        self.add_remembering("damaged-segment-given-up-and-there", "", &[2], there, newest.clone());
        self.add_remembering("damaged-segment-given-up", "", &[2], vec![(2, rest.clone())], newest);
        self.add_remembering("lost-link-is-remembered", "", &[2], vec![(2, rest)], link(1, &two[MANIFEST].1));
        let missing = self.retention(&[], Removed { segments: &[2], ..Removed::default() });
        let newest = link(3, &missing.1);
        let named = vec![(1, segment(id, 1, &two)), (3, segment(id, 3, &[missing]))];
        self.add_remembering("missing-segment-given-up", "", &[1, 2], named, newest);
        // A crash or damage took the second link, which a reader remembers: the third goes on after it.
        let goes_on = self.retention_at(3, second, &[(2, second)], Removed::default());
        let records = [&self.without(SECOND + MANIFEST)[..], &[goes_on]].concat();
        let records = self.one_segment(&records);
        self.add_remembering(
            "chain-goes-on-after-a-lost-link",
            "",
            &[1],
            records,
            link(2, &two[SECOND + MANIFEST].1),
        );
    }
}

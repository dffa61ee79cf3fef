//! What is wrong with an archive, and where.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use crate::error::{ArchiveError, Part, Place};
use crate::limits::MOST_DAMAGE;

/// Something that is wrong with an archive. What does not need the damaged part still restores.
#[derive(Debug)]
pub struct Damage {
    /// Where, if it is in one place.
    pub place: Option<Place>,
    /// What.
    pub error: ArchiveError,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.place, &self.error) {
            // It begins with its place.
            (_, ArchiveError::Damaged { .. }) | (None, _) => self.error.fmt(f),
            (Some(place), error) => write!(f, "{place}: {error}"),
        }
    }
}

/// Damage, the first of it one by one: an archive that has more is not worth the memory for more.
#[derive(Debug, Default)]
pub(crate) struct DamageList {
    listed: Vec<Damage>,
    unlisted: u64,
    /// The segments that hold bytes which are of no use to anybody.
    spoilt: BTreeSet<u64>,
    /// The segments that hold what only another release, another key or another user can read.
    unreadable: BTreeSet<u64>,
}

impl DamageList {
    pub(crate) fn note(&mut self, place: Option<Place>, error: ArchiveError) {
        let harm = Harm::of(&error);
        self.note_as(place, error, harm);
    }

    pub(crate) fn note_as(&mut self, place: Option<Place>, error: ArchiveError, harm: Harm) {
        if let Some(place) = place {
            match harm {
                Harm::Spoilt => self.spoilt.insert(place.segment),
                Harm::Unreadable => self.unreadable.insert(place.segment),
                Harm::Elsewhere => false,
            };
        }
        self.list(Damage { place, error });
    }

    /// Takes in what is listed elsewhere: which segment it is in.
    pub(crate) fn spoil(&mut self, damage: &Damage) {
        if let (Some(place), Harm::Spoilt) = (damage.place, Harm::of(&damage.error)) {
            self.spoilt.insert(place.segment);
        }
    }

    /// Whether a segment holds what only somebody else can read.
    pub(crate) fn is_unreadable(&self, segment: u64) -> bool {
        self.unreadable.contains(&segment)
    }

    /// How many damaged records in such places may have been links: their heads cannot be read, or they are links of nobody.
    pub(crate) fn records(&self, is_there: impl Fn(Place) -> bool) -> u64 {
        let all = self.listed.iter().filter(|damage| damage.place.is_some_and(&is_there));
        all.filter(|damage| may_be_a_link(&damage.error)).count() as u64
    }

    /// Whether a whole segment could not be read.
    pub(crate) fn has_unreadable_segment(&self) -> bool {
        self.listed.iter().any(|damage| matches!(damage.error, ArchiveError::Store { .. }))
    }

    /// Notes what comes before all else that was noted.
    pub(crate) fn note_first(&mut self, place: Place, error: ArchiveError, harm: Harm) {
        self.note_as(Some(place), error, harm);
        self.listed.rotate_right(1);
    }

    fn list(&mut self, damage: Damage) {
        if self.listed.len() < MOST_DAMAGE {
            self.listed.push(damage);
        } else {
            self.unlisted += 1;
        }
    }

    pub(crate) fn extend(&mut self, other: DamageList) {
        self.unlisted += other.unlisted;
        self.spoilt.extend(other.spoilt);
        self.unreadable.extend(other.unreadable);
        other.listed.into_iter().for_each(|damage| self.list(damage));
    }

    pub(crate) fn listed(&self) -> &[Damage] {
        &self.listed
    }

    pub(crate) fn count(&self) -> u64 {
        self.listed.len() as u64 + self.unlisted
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The first that was noted, which is no longer listed then.
    pub(crate) fn take_first(&mut self) -> Option<Damage> {
        self.take(|_| true)
    }

    /// The first of a kind, which is no longer listed then.
    pub(crate) fn take(&mut self, is: impl Fn(&Damage) -> bool) -> Option<Damage> {
        self.listed.iter().position(is).map(|at| self.listed.remove(at))
    }

    /// Keeps what is said of such places, and what is in no one place. What is not listed comes after all that is.
    pub(crate) fn keep_at(&mut self, keeps: impl Fn(Place) -> bool) {
        if self.listed.last().and_then(|damage| damage.place).is_some_and(|place| !keeps(place)) {
            self.unlisted = 0;
        }
        self.listed.retain(|damage| damage.place.is_none_or(&keeps));
        if self.is_empty() {
            *self = DamageList::default();
        }
    }

    /// Takes back all that was said of some segments.
    pub(crate) fn forget_segments(&mut self, segments: &BTreeSet<u64>) {
        self.keep_at(|place| !segments.contains(&place.segment));
        self.spoilt.retain(|segment| !segments.contains(segment));
        self.unreadable.retain(|segment| !segments.contains(segment));
    }

    /// The segments that a repair may give up, ascending: what is damaged in them is of no use to anybody.
    pub(crate) fn spoilt(&self) -> impl Iterator<Item = u64> {
        self.spoilt.difference(&self.unreadable).copied()
    }
}

/// What an error says of the bytes in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Nobody can use them.
    Spoilt,
    /// Somebody else may: another release, another key, another user.
    Unreadable,
    /// Nothing: something else is missing, or contradicts them.
    Elsewhere,
}

impl Harm {
    pub(crate) fn of(error: &ArchiveError) -> Harm {
        use ArchiveError as E;
        match error {
            E::UnsupportedVersion { .. } | E::UnknownEpoch { .. } | E::UnknownDevice { .. } => Harm::Unreadable,
            // A sector that cannot be read is spoilt; a file that may not be read is not.
            E::Store { error, .. } if !is_io_error(error) => Harm::Unreadable,
            E::ChainBroken { .. } | E::MissingBlock { .. } | E::MissingSegment { .. } => Harm::Elsewhere,
            _ => Harm::Spoilt,
        }
    }
}

/// Whether an error is about the head of a record, or about a record that is a link.
fn may_be_a_link(error: &ArchiveError) -> bool {
    use ArchiveError as E;
    let is_such = |part: &Part| matches!(part, Part::Frame | Part::Manifest | Part::Retention);
    match error {
        E::Damaged { .. } | E::BadSignature { .. } | E::UnknownDevice { .. } => true,
        E::Truncated { part, .. }
        | E::TooLarge { part, .. }
        | E::Malformed { part, .. }
        | E::Encoding { part, .. }
        | E::UnsupportedVersion { part, .. }
        | E::WrongArchive { part, .. } => is_such(part),
        _ => false,
    }
}

fn is_io_error(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Whether an error says that a segment is not there any more: a prune may have removed it a moment ago.
pub(crate) fn is_vanished(error: &ArchiveError) -> bool {
    matches!(error, ArchiveError::Store { error, .. } if error.kind() == io::ErrorKind::NotFound)
}

/// Whether an error says that a segment is shorter than it was: a writer may have cut off what a crash left a moment ago.
pub(crate) fn is_cut(error: &ArchiveError) -> bool {
    matches!(error, ArchiveError::Store { error, .. } if error.kind() == io::ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(segment: u64) -> Option<Place> {
        Some(Place { segment, offset: 33 })
    }

    #[test]
    fn damage_is_listed_up_to_a_limit_and_counted_beyond() {
        let mut list = DamageList::default();
        for _ in 0..MOST_DAMAGE + 5 {
            list.note(at(1), ArchiveError::MissingChunk {});
        }
        assert_eq!((list.listed().len(), list.count()), (MOST_DAMAGE, MOST_DAMAGE as u64 + 5));
        let mut other = DamageList::default();
        other.note(at(2), ArchiveError::MissingChunk {});
        list.extend(other);
        assert_eq!((list.listed().len(), list.count()), (MOST_DAMAGE, MOST_DAMAGE as u64 + 6));
        assert!(list.spoilt().eq([1, 2]));
    }

    #[test]
    fn what_somebody_else_may_read_is_not_given_up() {
        let mut list = DamageList::default();
        list.note(at(1), ArchiveError::NotDecompressed {});
        list.note(at(1), ArchiveError::UnknownEpoch { epoch: 1 });
        list.note(at(2), ArchiveError::Store { doing: "", error: io::ErrorKind::PermissionDenied.into() });
        list.note(at(3), ArchiveError::Store { doing: "", error: io::Error::from_raw_os_error(5) });
        list.note(at(4), ArchiveError::MissingSegment { number: 4, last: 4 });
        assert!(list.spoilt().eq([3]));
    }
}

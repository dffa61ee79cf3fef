//! What an admission point remembers of revocations, and until when it may admit (REV-2, TIME-1).

use minicbor::{Decode, Encode};

use crate::machine::{Peer, Step};
use crate::quirks::Quirk;
use crate::wire::{Body, LogEntry};

/// An admission point's mark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Mark {
    /// The newest revocation epoch that it stored.
    #[n(0)]
    pub epoch: u64,
    /// How many entries of the decision log it followed.
    #[n(1)]
    pub index: u64,
    /// The last second of its leave to admit.
    #[n(2)]
    pub lease: u64,
}

/// The record of a point's mark.
pub const MARK: &str = "mark";

/// What a publication says beside its entries.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// How many entries of the log come before the first one.
    pub from: u64,
    /// The revocation epoch of the newest entry, if the newest is among them; else 0.
    pub epoch: u64,
    /// The end of the lease, for a point that has confirmed everything.
    pub lease: Option<u64>,
}

impl Mark {
    /// The mark of this point.
    pub fn of(step: &mut Step<'_>) -> Mark {
        step.get(MARK).unwrap_or_default()
    }

    /// Whether the lease runs, by the point's own clock.
    pub fn in_lease(&self, now: u64) -> bool {
        now < self.lease || (now == self.lease && !Quirk::LeaseEndsEarly.is_on())
    }

    /// REV-2: the entries that are new, with the mark written and confirmed. An older publication changes nothing: neither
    /// mark nor lease go back (REV-2d).
    pub fn hear<'e>(mut self, step: &mut Step<'_>, published: Published, entries: &'e [LogEntry]) -> &'e [LogEntry] {
        let end = published.from.saturating_add(entries.len() as u64);
        // A gap: entries between are missing, so nothing of it can be followed. The answer says where to go on.
        let reaches = published.from <= self.index || step.quirks.has(Quirk::GapIsFollowed);
        let known = self.index.saturating_sub(published.from).min(entries.len() as u64) as usize;
        let fresh = if reaches { &entries[known..] } else { &entries[..0] };
        let older = published.epoch < self.epoch;
        if reaches {
            self.index = self.index.max(end);
            self.epoch = self.epoch.max(published.epoch);
            if let Some(lease) = published.lease.filter(|_| !older) {
                self.lease = self.lease.max(lease);
            }
            if older && step.quirks.has(Quirk::OlderPublication) {
                self.epoch = published.epoch;
                self.lease = published.lease.unwrap_or(self.lease);
            }
            step.put(MARK, &self);
        }
        step.send(Peer::Authority, Body::Confirm { index: self.index, epoch: self.epoch });
        fresh
    }
}

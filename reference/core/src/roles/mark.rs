//! What an admission point remembers of revocations, and until when it may admit (REV-2, TIME-1).

use bailee_spec::outcome::Refusal;
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

/// Whether a point holds an end over that the authority named: by the point's own clock, `margin` seconds early, so that it is
/// over here before it is over for an authority whose clock is ahead by no more than that (GEN-13, TIME-2).
/// With the bug `early` switched on, it is over in its last second.
pub fn holds_over(step: &Step<'_>, end: u64, margin: u64, early: Quirk) -> bool {
    let margin = if step.quirks.has(Quirk::NoMargin) { 0 } else { margin };
    let now = step.now.saturating_add(margin);
    now > end || (now == end && step.quirks.has(early))
}

impl Mark {
    /// The mark of this point.
    pub fn of(step: &mut Step<'_>) -> Mark {
        step.get(MARK).unwrap_or_default()
    }

    /// Whether the lease runs, by the point's own clock and with its margin in seconds.
    pub fn in_lease(&self, step: &Step<'_>, margin: u64) -> bool {
        !holds_over(step, self.lease, margin, Quirk::LeaseEndsEarly)
    }

    /// REV-2: the entries that are new, with the mark written and confirmed.
    ///
    /// # Errors
    /// `Overtaken` for an older publication that says nothing new: it changes nothing, and the answer is what the point has
    /// stored (REV-2d).
    pub fn hear<'e>(
        mut self,
        step: &mut Step<'_>,
        published: Published,
        entries: &'e [LogEntry],
    ) -> Result<&'e [LogEntry], Refusal> {
        let end = published.from.saturating_add(entries.len() as u64);
        // A gap: entries between are missing, so nothing of it can be followed. The answer says where to go on.
        let reaches = published.from <= self.index || step.quirks.has(Quirk::GapIsFollowed);
        let known = self.index.saturating_sub(published.from).min(entries.len() as u64) as usize;
        let fresh = if reaches { &entries[known..] } else { &entries[..0] };
        let falls = step.quirks.has(Quirk::MarkFalls);
        let older = published.epoch < self.epoch && !falls;
        if older && end <= self.index {
            step.if_refused(Peer::Authority, Body::Confirm { index: self.index, epoch: self.epoch });
            return Err(Refusal::Overtaken);
        }
        if reaches {
            self.index = self.index.max(end);
            if !step.quirks.has(Quirk::MarkNotStored) {
                self.epoch = if falls { published.epoch } else { self.epoch.max(published.epoch) };
            }
            if let Some(lease) = published.lease.filter(|_| !older) {
                let from_arrival = step.quirks.has(Quirk::LeaseFromArrival);
                self.lease = self.lease.max(if from_arrival { step.deadline() } else { lease });
            }
            step.put(MARK, &self);
        }
        step.send(Peer::Authority, Body::Confirm { index: self.index, epoch: self.epoch });
        Ok(fresh)
    }
}

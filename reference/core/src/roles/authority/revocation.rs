//! What the admission points are told, what they confirm, and when a revocation is acknowledged (REV-2, REV-3).

use bailee_spec::action::Point;
use bailee_spec::limits;
use bailee_spec::outcome::Refusal;

use super::*;
use crate::quirks::Quirk;

/// Kept escrow messages that one step looks at.
const COVERED_AT_ONCE: usize = 32;

/// Who serves a point.
fn peer_of(point: Point) -> Peer {
    match point {
        // NET-6.
        Point::Keystore => Peer::Keystore(0),
        Point::Storage => Peer::Storage,
        Point::Restorer => Peer::Restorer,
    }
}

fn point_of(peer: &Peer) -> Option<Point> {
    match peer {
        Peer::Keystore(_) => Some(Point::Keystore),
        Peer::Storage => Some(Point::Storage),
        Peer::Restorer => Some(Point::Restorer),
        _ => None,
    }
}

/// The last second of a lease by the authority's own clock.
fn last_second(step: &Step<'_>, lease: u64) -> u64 {
    let early = limits::VALIDITY_SECONDS / u64::from(limits::VALIDITY_TICKS);
    if step.quirks.has(Quirk::AuthorityCountsShort) { lease.saturating_sub(early) } else { lease }
}

/// Whether the authority counts a lease as over.
fn counts_over(step: &Step<'_>, lease: u64) -> bool {
    step.now > last_second(step, lease) && !step.quirks.has(Quirk::LeaseNotCounted)
}

impl Authority {
    /// After a start every point is told what is new, and every restorer what is to end.
    pub(super) fn start(&self, step: &mut Step<'_>) {
        for point in self.served() {
            step.set_timer(step.now, Timer::Publish(point));
        }
        self.remember_orders(step);
    }

    pub(super) fn serves_point(&self, point: Point) -> bool {
        self.points[point as usize]
    }

    fn served(&self) -> impl Iterator<Item = Point> {
        Point::ALL.into_iter().filter(|point| self.serves_point(*point))
    }

    /// REV-2, and the next time.
    pub(super) fn publish(&self, step: &mut Step<'_>, at: Point) -> Done {
        if !self.serves_point(at) {
            return Err(Refusal::OutOfTurn);
        }
        self.acknowledge(step);
        let known = store(step);
        self.forget_covered(step, &known);
        let index = point(step, at).index;
        self.tell(step, at, peer_of(at), index);
        step.set_timer(step.now.saturating_add(limits::PUBLISH_SECONDS), Timer::Publish(at));
        Ok(())
    }

    /// Tells a point what the log says after its first `from` entries. A lease is named only to a point that has confirmed
    /// the newest revocation, and it is written before it is sent: the point never admits longer than the authority believes
    /// (REV-2e).
    fn tell(&self, step: &mut Step<'_>, at: Point, to: Peer, from: u64) {
        let (newest, head) = (epochs(step).newest, head(step));
        let entries = entries_after(step, from);
        let reaches = from.saturating_add(entries.len() as u64) >= head;
        let mut record = point(step, at);
        let current = record.epoch == newest || step.quirks.has(Quirk::BehindIsLeased);
        let lease = (reaches && current && self.serves_point(at)).then(|| step.deadline());
        if let Some(lease) = lease.filter(|_| !step.quirks.has(Quirk::LeaseRecordedLate)) {
            record.lease = record.lease.max(lease);
            step.put(point_name(at), &record);
        }
        let epoch = if reaches { newest } else { 0 };
        step.send(to, Body::Publish { from, entries, epoch, head, lease });
    }

    /// REV-2: a point has stored what it was told, up to this epoch and no further. What it confirms for the first time may
    /// earn it a lease, or the next entries.
    pub(super) fn confirmed(
        &self,
        step: &mut Step<'_>,
        from: &Peer,
        generation: Option<u64>,
        (index, epoch): (u64, u64),
    ) -> Done {
        let at = point_of(from).ok_or(Refusal::Malformed)?;
        // REV-2i: what a store followed that is restored since, or that the authority does not know yet, counts for nothing.
        if at == Point::Keystore {
            self.of_generation(step, generation)?;
        }
        // REV-2f: this store is older than what it once said.
        let is_future = epoch > epochs(step).newest || index > head(step);
        if is_future && !step.quirks.has(Quirk::ConfirmedFromFuture) {
            return Err(Refusal::StoreRolledBack);
        }
        let epoch = if step.quirks.has(Quirk::ConfirmsNewest) { epochs(step).newest } else { epoch };
        let mut record = point(step, at);
        if step.quirks.has(Quirk::LeaseRecordedLate) {
            record.lease = step.deadline();
            step.put(point_name(at), &record);
        }
        let is_new = epoch > record.epoch || index > record.index;
        if is_new {
            record.epoch = record.epoch.max(epoch);
            record.index = record.index.max(index);
            step.put(point_name(at), &record);
            self.acknowledge(step);
        }
        // A point whose store is older than what it once confirmed is told all the same what it lacks.
        if is_new || index < head(step) {
            self.tell(step, at, from.clone(), index);
        }
        Ok(())
    }

    /// REV-3: acknowledges what every point has confirmed, or can no longer contradict because its lease is over. As long as a
    /// lease runs that it waits for, it looks again at the end of it.
    pub(super) fn acknowledge(&self, step: &mut Step<'_>) {
        let mut epochs = epochs(step);
        if epochs.acknowledged >= epochs.newest {
            return;
        }
        let records: Vec<PointRecord> = self.served().map(|at| point(step, at)).collect();
        let unheard = records.iter().filter(|record| record.epoch < epochs.newest).map(|record| record.lease);
        match unheard.filter(|lease| !counts_over(step, *lease)).max() {
            Some(lease) => step.set_timer(last_second(step, lease).saturating_add(1), Timer::Acknowledge),
            None => {
                epochs.acknowledged = epochs.newest;
                step.put(EPOCHS, &epochs);
            }
        }
    }

    /// CER-6, DIS-3: a node is open and says how much of the log its store has followed. A store of a higher generation was
    /// restored: it has lost the keys that the log named after what its snapshot covers.
    pub(super) fn awake(
        &self,
        step: &mut Step<'_>,
        from: &Peer,
        generation: Option<u64>,
        index: u64,
        covers: u64,
    ) -> Done {
        let head = head(step);
        let generation = generation.ok_or(Refusal::Malformed)?;
        let mut known = store(step);
        // CER-6c: a store that has followed more than the log says, is older than one that was seen, or has followed less than it
        // once confirmed and was not restored.
        let same = generation == known.generation;
        let behind =
            same && index < point(step, Point::Keystore).index && !step.quirks.has(Quirk::StorePutBackServes);
        if index > head || generation < known.generation || behind {
            return Err(Refusal::StoreRolledBack);
        }
        // ENR-6a: from here on no reply of the former store counts.
        if generation > known.generation {
            known.generation = generation;
            if covers < head {
                known.lost.push((covers + 1, head));
            }
            step.put(STORE, &known);
        }
        // What a restored store followed may be less than what it once confirmed.
        let record = PointRecord { index, ..point(step, Point::Keystore) };
        step.put(point_name(Point::Keystore), &record);
        self.tell(step, Point::Keystore, from.clone(), index);
        Ok(())
    }

    /// DIS-1, DIS-1c: the snapshot may be restored from now on, and no older one. What it covers need not be kept.
    pub(super) fn witness(
        &self,
        step: &mut Step<'_>,
        from: &Peer,
        digest: &B32,
        share_epoch: u64,
        covers: u64,
    ) -> Done {
        if covers > head(step) {
            return Err(Refusal::StoreRolledBack);
        }
        let mut known = store(step);
        if known.snapshot.as_ref().is_some_and(|snapshot| share_epoch < snapshot.share_epoch) {
            return Err(Refusal::EpochRetired);
        }
        // Late word of an older snapshot: what the newer one covers is kept nowhere else (DIS-4).
        let is_older = |newer: &Witness| newer.share_epoch == share_epoch && newer.covers > covers;
        if known.snapshot.as_ref().is_some_and(is_older) && !step.quirks.has(Quirk::OlderWitness) {
            return Err(Refusal::SnapshotUnknown);
        }
        known.snapshot = Some(Witness { digest: *digest, share_epoch, covers });
        step.put(STORE, &known);
        self.forget_covered(step, &known);
        step.send_in(from.clone(), None, Body::Witnessed { digest: *digest });
        Ok(())
    }

    /// DIS-4: escrow messages that a witnessed snapshot covers are erased, a few in each step. A step goes on where the last one
    /// ended, so that messages which stay are in nobody's way.
    fn forget_covered(&self, step: &mut Step<'_>, known: &StoreRecord) {
        let from: u64 = step.get(KEPT_NEXT).unwrap_or(0);
        let found = step.scan(KEPT, &kept_name(from), COVERED_AT_ONCE);
        let indices: Vec<u64> =
            found.iter().filter_map(|(name, _)| name[KEPT.len()..].try_into().map(u64::from_be_bytes).ok()).collect();
        let last = indices.last().filter(|_| found.len() == COVERED_AT_ONCE);
        let next = last.map_or(0, |last| last.saturating_add(1));
        if next != from {
            step.put(KEPT_NEXT, &next);
        }
        for index in indices.into_iter().filter(|index| known.covers(*index)) {
            let name = kept_name(index);
            let of: Option<(String, String)> = step.get(&name);
            let Some((tenant, name_of)) = of else { continue };
            if let Some(mut record) = user(step, &tenant, &name_of)
                && record.kept.as_ref().is_some_and(|kept| kept.index == index)
            {
                record.kept = None;
                step.put(user_name(&tenant, &name_of), &record);
            }
            step.remove(&name);
        }
    }

    /// DIS-2: which snapshots may be restored, and what the restored store must not fall below.
    pub(super) fn tell_witness(&self, step: &mut Step<'_>, from: &Peer) -> Done {
        let known = store(step);
        let digests = known.snapshot.iter().map(|snapshot| snapshot.digest).collect();
        let body = Body::Witness { digests, generation: known.generation, index: head(step) };
        step.send(from.clone(), body);
        Ok(())
    }
}

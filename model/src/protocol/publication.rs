//! Revocation as messages between the authority and its admission points, with leases and clocks (PUB, TIME-2).

use bailee_spec::action::{Clock, Lane, Point};
use bailee_spec::limits::{MARGIN_TICKS, SKEW_TICKS, VALIDITY_TICKS};
use bailee_spec::observation::{Capability, Freshness, Message};
use bailee_spec::outcome::Refusal;

use super::mutation::Mutation;
use super::step::{Check, Reaction, Rules, Turn};
use super::world::{LaneState, NO_KEY, Slot, World};

/// No epoch, or one that nobody will read.
pub(super) const NO_EPOCH: u8 = 0;
/// The least name of an epoch.
pub(super) const FIRST_EPOCH: u8 = 1;
/// An end that is long over, and no end at all.
pub(super) const OVER: u8 = 0;
/// The end of a validity period from now: ends are stored as *end − authority's clock* + 1.
pub(super) const FRESH_END: u8 = VALIDITY_TICKS + 1;
/// The clocks show the same: the skew is stored as *points' clock − authority's clock* + [`SKEW_TICKS`].
pub(super) const IN_STEP: u8 = SKEW_TICKS;

impl<const U: usize, const N: usize> World<U, N> {
    /// What a point is to the rules that are older than its lease: by what it stores itself, not by what the authority believes.
    pub fn freshness(&self, rules: &Rules, point: Point) -> Freshness {
        let at = &self.points[point as usize];
        match () {
            () if !rules.publication => at.freshness,
            () if at.lease == OVER => Freshness::Fenced,
            () if at.mark < self.newest => Freshness::Behind,
            () => Freshness::Current,
        }
    }

    /// Whether the authority counts every lease of the point as over.
    pub fn named_is_over(&self, point: Point) -> bool {
        self.points[point as usize].named <= 1
    }

    /// The latest end that a point holds over by the points' clock, with this margin.
    pub fn over_up_to(&self, margin: u8) -> u8 {
        self.skew + 1 + margin - IN_STEP
    }
}

impl<const U: usize, const N: usize> Turn<'_, U, N> {
    /// PUB-2.
    pub(super) fn fenced(&self, point: Point) -> bool {
        self.w.freshness(self.rules, point) == Freshness::Fenced
    }

    /// The latest end that a point holds over (TIME-2).
    pub(super) fn over_up_to(&self) -> u8 {
        self.w.over_up_to(if self.rules.has(Mutation::NoMargin) { 0 } else { MARGIN_TICKS })
    }

    /// PUB-1.
    pub(super) fn publish(&mut self, point: Point) -> Check {
        if !self.rules.points[point as usize] {
            return Err(Refusal::OutOfTurn);
        }
        let told = self.tell(point);
        let at = &mut self.w.points[point as usize];
        if at.lane.message.is_some() && at.late.message.is_none() {
            at.late = at.lane;
        }
        at.lane = told;
        Ok(())
    }

    /// PUB-1: what the authority tells a point. A lease is written before it is named, and named only to a point that has
    /// confirmed the newest epoch.
    fn tell(&mut self, point: Point) -> LaneState {
        let epoch = self.w.newest;
        let at = &mut self.w.points[point as usize];
        let leased = at.confirmed || self.rules.has(Mutation::BehindIsLeased);
        if leased && !self.rules.has(Mutation::LeaseRecordedLate) {
            at.named = FRESH_END;
        }
        let end = if leased { FRESH_END } else { OVER };
        LaneState { message: Slot::of(Message::Publish), epoch, end, ..LaneState::fresh() }
    }

    /// PUB-3: the lane keeps the answer's mark as its epoch.
    pub(super) fn at_point(&mut self, point: Point, lane: Lane) -> Reaction {
        if point == Point::Keystore
            && let Err(refusal) = self.unsealed()
        {
            return Reaction { outcome: Err(refusal), next: None };
        }
        let message = *self.w.lane(lane);
        let overtaken = message.epoch < self.w.points[point as usize].mark;
        let heard = if overtaken && !self.rules.has(Mutation::MarkFalls) {
            Err(Refusal::Overtaken)
        } else {
            self.hear(point, message.epoch, message.end);
            Ok(())
        };
        let mark = self.w.points[point as usize].mark;
        let answer = self.w.lane_mut(lane);
        answer.epoch = mark;
        if !self.rules.has(Mutation::LeaseRecordedLate) {
            answer.end = OVER;
        }
        Reaction { outcome: heard, next: Some((Message::Confirm, NO_KEY)) }
    }

    fn renew(&mut self, point: Point, end: u8) {
        let skew = self.w.skew;
        let at = &mut self.w.points[point as usize];
        let from_arrival = self.rules.has(Mutation::LeaseFromArrival) && end != OVER;
        at.lease = at.lease.max(if from_arrival { VALIDITY_TICKS + skew } else { end });
    }

    /// PUB-3: what a point stores.
    fn hear(&mut self, point: Point, epoch: u8, end: u8) {
        self.renew(point, end);
        if !self.rules.has(Mutation::MarkNotStored) {
            self.w.points[point as usize].mark = epoch;
        }
        match point {
            Point::Keystore => {
                if !self.rules.has(Mutation::PendingSurvives) {
                    self.w.each_lane(|lane| lane.pending = false);
                }
                self.accounts_follow_log();
            }
            Point::Storage => self.remove_purged_archives(),
            Point::Restorer => {}
        }
    }

    /// PUB-4.
    pub(super) fn at_authority_from_point(&mut self, point: Point, lane: Lane) -> Reaction {
        let message = *self.w.lane(lane);
        let newest = message.epoch == self.w.newest || self.rules.has(Mutation::ConfirmsNewest);
        let at = &mut self.w.points[point as usize];
        let knew = at.confirmed;
        at.confirmed |= newest;
        if self.rules.has(Mutation::LeaseRecordedLate) {
            at.named = at.named.max(message.end);
        }
        self.acknowledge();
        if newest && knew {
            return Reaction { outcome: Ok(()), next: None };
        }
        *self.w.lane_mut(lane) = self.tell(point);
        Reaction { outcome: Ok(()), next: Some((Message::Publish, NO_KEY)) }
    }

    /// PUB-7.
    pub(super) fn sync_keystore(&mut self) {
        if self.rules.points[Point::Keystore as usize] {
            let at = &mut self.w.points[Point::Keystore as usize];
            at.named = FRESH_END;
            at.confirmed = true;
            self.hear(Point::Keystore, self.w.newest, FRESH_END);
        }
        self.accounts_follow_log();
    }

    /// PUB-5: whether a point may still let in what the newest epoch shuts out, as far as the authority knows.
    pub(super) fn waits_for(&self, point: Point) -> bool {
        let at = &self.w.points[point as usize];
        let over = match self.rules.has(Mutation::AuthorityCountsShort) {
            true => at.named <= 2,
            false => self.w.named_is_over(point) && !self.rules.has(Mutation::LeaseNotCounted),
        };
        self.rules.points[point as usize] && !at.confirmed && !over
    }

    /// NET-11.
    pub(super) fn duplicate(&mut self, lane: Lane) -> Check {
        let Lane::Point(point) = lane else { return Err(Refusal::OutOfTurn) };
        let at = &mut self.w.points[point as usize];
        at.lane.message.get().ok_or(Refusal::NothingInFlight)?;
        if at.late.message.is_some() {
            return Err(Refusal::LaneBusy);
        }
        at.late = at.lane;
        Ok(())
    }

    /// NET-12.
    pub(super) fn drop_message(&mut self, lane: Lane) -> Check {
        let (Lane::Point(point) | Lane::LatePoint(point)) = lane else { return Err(Refusal::OutOfTurn) };
        self.w.lane(lane).message.get().ok_or(Refusal::NothingInFlight)?;
        *self.w.lane_mut(lane) = LaneState::fresh();
        if self.rules.has(Mutation::LossConfirms) {
            self.w.points[point as usize].confirmed = true;
            self.acknowledge();
        }
        Ok(())
    }

    /// TIME-2.
    pub(super) fn tick(&mut self, clock: Clock) -> Check {
        match clock {
            Clock::Authority => {
                self.w.skew = self.w.skew.checked_sub(1).ok_or(Refusal::OutOfTurn)?;
                self.w.each_end(|end| *end = end.saturating_sub(1));
                self.w.each_lane(|lane| lane.live &= lane.end > 1);
                self.acknowledge();
            }
            Clock::Points => {
                if self.w.skew == IN_STEP + SKEW_TICKS {
                    return Err(Refusal::OutOfTurn);
                }
                self.w.skew += 1;
                let over = self.over_up_to();
                self.w.each_lane(|lane| lane.pending &= lane.end > over);
            }
        }
        Ok(())
    }

    /// Clears what no longer means anything: the ends that their readers hold over, the epochs that nobody will read.
    pub(super) fn tidy_publication(&mut self) {
        let over = self.over_up_to();
        let still = |end: u8| if end <= over { OVER } else { end };
        let newest = self.w.newest;
        for at in &mut self.w.points {
            at.lease = still(at.lease);
            if at.named <= 1 {
                at.named = OVER;
            }
            for lane in [&mut at.lane, &mut at.late] {
                lane.end = still(lane.end);
                if lane.message == Slot::of(Message::Confirm) && lane.epoch < newest {
                    lane.epoch = NO_EPOCH;
                }
                if lane.message.is_none() {
                    *lane = LaneState::fresh();
                }
            }
        }
        for device in &mut self.w.devices {
            device.capability_end = still(device.capability_end);
            if device.capability == Capability::None {
                (device.capability_epoch, device.capability_end) = (NO_EPOCH, OVER);
            }
        }
        self.w.each_lane(|lane| {
            lane.live &= !nobody_reads_live(lane.message);
            lane.pending &= lane.message != Slot::of(Message::GrantRefused);
            if !lane.live {
                lane.end = OVER;
            }
        });
    }
}

/// Whether nobody looks any more at the session or grant that a message of a device's lane belongs to (TIME-2).
fn nobody_reads_live(message: Slot) -> bool {
    use Message as M;
    matches!(
        message.get(),
        Some(
            M::Receipt
                | M::Authorised
                | M::GrantRefused
                | M::SealedKey
                | M::KeyDelivery
                | M::KeystoreRefusal
                | M::Refusal
        )
    )
}

/// Whether a message between authority and point is looked at for its epoch (OBS-3).
pub(super) fn is_news(lane: &LaneState, newest: u8) -> bool {
    lane.message == Slot::of(Message::Publish) || lane.message.is_some() && lane.epoch == newest
}

//! Revocation as messages, and clocks apart: what the network and the clocks do to publications, one at a time.

use std::sync::Arc;

use bailee_spec::action::{Clock, Lane, Point};
use bailee_spec::limits::{SKEW_TICKS, VALIDITY_SECONDS, VALIDITY_TICKS};
use bailee_spec::outcome::Refusal;
use rand_core::CryptoRng;

use super::network::Done;
use super::{At, Ensemble};
use crate::machine::{Input, Timer};
use crate::roles::mark::MARK;
use crate::store::{Batch, Store};

/// A tick of a clock: as many as a validity period has are a little more than the period, so that what ends then is over (TIME-2).
pub(super) const TICK_SECONDS: u64 = VALIDITY_SECONDS / VALIDITY_TICKS as u64 + 1;

impl Ensemble {
    /// From now on publications are carried one message at a time, and to these points alone: the others have no lease, and the
    /// authority does not wait for them. Clocks may differ by a tick, and the points count with a margin of one (TIME-2).
    pub fn publish_by_messages(&mut self, points: &[Point], rng: &mut dyn CryptoRng) {
        for &point in points {
            let _ = self.publish(point, rng);
        }
        for point in Point::ALL.into_iter().filter(|point| !points.contains(point)) {
            let mark = crate::roles::mark::Mark { lease: 0, ..self.mark(point) };
            let mut batch = Batch::default();
            batch.put(MARK, crate::cbor::encode(&mark));
            let store = match point {
                Point::Keystore => &mut self.stores.keystore,
                Point::Storage => &mut self.stores.storage,
                Point::Restorer => &mut self.stores.restorer,
            };
            let _ = store.apply(&batch);
        }
        super::own(&mut self.authority).serve_only(points);
        super::own(&mut self.storage).margin = TICK_SECONDS;
        super::own(&mut self.restorer).margin = TICK_SECONDS;
        for node in &mut self.keystore {
            super::own(node).margin = TICK_SECONDS;
        }
        self.publication = Some(points.into());
    }

    /// GEN-33: without them there are no such messages, and no clocks apart.
    fn by_messages(&self) -> Done {
        if self.publication.is_some() { Ok(()) } else { Err(Refusal::NotInThisProfile) }
    }

    /// PUB-1: what the authority sends is put in the point's lane, and overtakes what is there.
    pub(super) fn publish_by_message(&mut self, point: Point, rng: &mut dyn CryptoRng) -> Done {
        self.by_messages()?;
        let effects = self.input(At::Authority, Input::Timer(&Timer::Publish(point)), rng);
        effects.verdict?;
        let (lane, late) = (self.slot(Lane::Point(point)), self.slot(Lane::LatePoint(point)));
        for out in &effects.frames {
            let flight = self.flight(self.peer(At::Authority), out);
            let older = self.lanes[lane].replace(Arc::new(flight));
            if self.lanes[late].is_none() {
                self.lanes[late] = older;
            }
        }
        Ok(())
    }

    /// NET-11.
    pub(super) fn duplicate(&mut self, lane: Lane) -> Done {
        self.by_messages()?;
        let Lane::Point(point) = lane else { return Err(Refusal::OutOfTurn) };
        let flight = self.lanes[self.slot(lane)].clone().ok_or(Refusal::NothingInFlight)?;
        let late = self.slot(Lane::LatePoint(point));
        if self.lanes[late].is_some() {
            return Err(Refusal::LaneBusy);
        }
        self.lanes[late] = Some(flight);
        Ok(())
    }

    /// NET-12.
    pub(super) fn drop_message(&mut self, lane: Lane) -> Done {
        self.by_messages()?;
        let (Lane::Point(_) | Lane::LatePoint(_)) = lane else { return Err(Refusal::OutOfTurn) };
        let slot = self.slot(lane);
        self.lanes[slot].take().map(|_| ()).ok_or(Refusal::NothingInFlight)
    }

    /// TIME-2.
    pub(super) fn tick(&mut self, clock: Clock, rng: &mut dyn CryptoRng) -> Done {
        self.by_messages()?;
        let (going, other) = match clock {
            Clock::Authority => (&mut self.now, self.points_now),
            Clock::Points => (&mut self.points_now, self.now),
        };
        if *going >= other + u64::from(SKEW_TICKS) * TICK_SECONDS {
            return Err(Refusal::OutOfTurn);
        }
        *going += TICK_SECONDS;
        self.fire_due(rng);
        Ok(())
    }

    /// PUB-5: the authority looks at what it waits for as soon as it asked to.
    pub(super) fn acknowledge_in_time(&mut self, rng: &mut dyn CryptoRng) {
        let wanted = |(due, at, timer): &(u64, At, Timer)| {
            *at == At::Authority && *timer == Timer::Acknowledge && *due <= self.now
        };
        if self.timers.iter().any(wanted) {
            Arc::make_mut(&mut self.timers).retain(|(_, _, timer)| *timer != Timer::Acknowledge);
            let _ = self.input(At::Authority, Input::Timer(&Timer::Acknowledge), rng);
        }
    }
}

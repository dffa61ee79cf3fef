//! What an onlooker sees of publications, leases and clocks (OBS-3, OBS-4).

use std::collections::BTreeSet;

use bailee_spec::action::{Lane, Point};
use bailee_spec::observation::*;

use super::super::publication::TICK_SECONDS;
use super::super::{At, Ensemble};
use super::view::reads_live;
use crate::cbor;
use crate::quirks::Quirk;
use crate::roles::authority;
use crate::roles::mark::holds_over;
use crate::wire::{Body, CapabilityBody, Frame};

/// The epochs that an observation mentions, in order: each is named by its rank (OBS-3).
struct Ranks(BTreeSet<u64>);

impl Ranks {
    fn of(&self, epoch: u64) -> EpochName {
        EpochName(self.0.range(..epoch).count() as u8)
    }
}

/// The epoch that a message between authority and point is looked at for.
fn said(frame: &Frame, newest: u64) -> Option<u64> {
    match frame.body {
        Body::Publish { epoch, .. } => Some(epoch),
        Body::Confirm { epoch, .. } => Some(epoch).filter(|epoch| *epoch == newest),
        _ => None,
    }
}

impl Ensemble {
    /// Whether a point holds an end over, by its own clock.
    pub(super) fn point_holds_over(&self, point: Point, end: u64) -> bool {
        self.peek(Self::at_point(point), |step| holds_over(step, end, self.storage.margin, Quirk::LeaseEndsEarly))
    }

    /// An end, in ticks from the authority's clock; 0 if the one who reads it holds it over.
    fn ticks(&self, end: u64, over: bool) -> Ticks {
        Ticks(if over { 0 } else { end.saturating_sub(self.now).div_ceil(TICK_SECONDS) as u8 })
    }

    fn held_capability(&self, device: u8) -> Option<CapabilityBody> {
        let held = self.devices[device as usize].capability()?;
        cbor::decode(held, bailee_spec::limits::MESSAGE_BYTES).ok()
    }

    fn ranks(&self, points: &[Point]) -> Ranks {
        let newest = self.epoch();
        let lanes = points.iter().flat_map(|point| [Lane::Point(*point), Lane::LatePoint(*point)]);
        let said = lanes.filter_map(|lane| said(&self.in_flight(lane)?, newest));
        let marks = points.iter().map(|point| self.mark(*point).epoch);
        let devices = 0..self.devices.len() as u8;
        let held = devices.filter_map(|device| self.held_capability(device)).map(|body| body.epoch);
        Ranks(said.chain(marks).chain(held).chain([newest]).collect())
    }

    pub(super) fn view_publication(&self) -> Option<PublicationView> {
        let points = self.publication.as_deref()?;
        let ranks = self.ranks(points);
        let ahead = self.points_now as i64 - self.now as i64;
        Some(PublicationView {
            newest: ranks.of(self.epoch()),
            skew: (ahead / TICK_SECONDS as i64) as i8,
            points: points.iter().map(|point| self.view_point(*point, &ranks)).collect(),
            devices: (0..self.devices.len() as u8).map(|device| self.view_deadlines(device, &ranks)).collect(),
        })
    }

    fn view_point(&self, point: Point, ranks: &Ranks) -> PointView {
        let (mark, newest) = (self.mark(point), self.epoch());
        let known = self.peek(At::Authority, |step| authority::point(step, point));
        let lane = |lane| self.view_said(point, lane, ranks);
        PointView {
            mark: ranks.of(mark.epoch),
            lease: self.ticks(mark.lease, self.point_holds_over(point, mark.lease)),
            confirmed: known.epoch == newest,
            named: self.ticks(known.lease, self.now > known.lease),
            lane: lane(Lane::Point(point)),
            late: lane(Lane::LatePoint(point)),
        }
    }

    fn view_said(&self, point: Point, lane: Lane, ranks: &Ranks) -> Option<PointLaneView> {
        let frame = self.in_flight(lane)?;
        let named = if let Body::Publish { lease, .. } = frame.body { lease } else { None };
        Some(PointLaneView {
            message: frame.body.message()?,
            epoch: said(&frame, self.epoch()).map(|epoch| ranks.of(epoch)),
            end: named.map_or(Ticks(0), |end| self.ticks(end, self.point_holds_over(point, end))),
        })
    }

    fn view_deadlines(&self, device: u8, ranks: &Ranks) -> DeadlineView {
        let capability = self.held_capability(device).map(|body| {
            let over = self.point_holds_over(Point::Storage, body.expiry);
            (ranks.of(body.epoch), self.ticks(body.expiry, over))
        });
        let lane = |lane| {
            let frame = self.in_flight(lane)?;
            let exchange = frame.exchange.filter(|_| frame.body.message().is_some_and(reads_live));
            let end = exchange
                .and_then(|exchange| self.peek(At::Authority, |step| authority::exchange_end(step, &exchange)));
            Some(end.map_or(Ticks(0), |end| self.ticks(end, self.now > end)))
        };
        DeadlineView { capability, lane: lane(Lane::Device(device)), late: lane(Lane::Late(device)) }
    }
}

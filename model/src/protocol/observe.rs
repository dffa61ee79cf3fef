//! What an onlooker sees of a world.

use bailee_spec::action::Point;
use bailee_spec::observation::*;

use super::canon::{rename_epochs, rename_keys};
use super::publication::{FIRST_EPOCH, IN_STEP, OVER, is_news};
use super::step::Rules;
use super::world::{DeviceRecord, Key, LaneState, NO_KEY, SnapshotState, World};

fn name(key: Key) -> Option<KeyName> {
    (key != NO_KEY).then(|| KeyName(key - 1))
}

fn lane(state: &LaneState) -> Option<LaneView> {
    Some(LaneView {
        message: state.message.get()?,
        key: name(state.key),
        live: state.live,
        pending: state.pending,
        outdated: state.outdated,
    })
}

impl Rules {
    /// The observation of a world (OBS-1, OBS-2).
    pub fn observe<const U: usize, const N: usize>(&self, world: &World<U, N>) -> Observation {
        let mut w = *world;
        rename_keys(&mut w);
        if self.publication {
            rename_epochs(&self.points, &mut w);
        }
        let devices = usize::from(self.users * self.devices_per_user);
        let custodians = usize::from(self.custodians);
        let under_way = w.job.state != JobState::None;
        Observation {
            users: w.users[..usize::from(self.users)]
                .iter()
                .map(|u| UserView {
                    standing: u.standing,
                    enrolled: name(u.enrolled),
                    kept: name(u.kept),
                    account: u.account,
                    escrowed: name(u.escrowed),
                    archive: u.archive,
                    snapshot_account: u.snapshot_account,
                    snapshot_key: name(u.snapshot_key),
                    opened: u.opened_by_root || u.opened_by_shares,
                })
                .collect(),
            devices: w.devices[..devices]
                .iter()
                .map(|d| DeviceView {
                    disk: d.disk,
                    disk_key: name(d.disk_key),
                    program: d.program,
                    memory_key: name(d.memory_key),
                    capability: w.capability(self, d),
                    at_authority: d.at_authority,
                    attempt: d.attempt,
                    attempt_at_keystore: d.attempt_at_keystore,
                    lane: lane(&d.lane),
                    late: lane(&d.late),
                })
                .collect(),
            nodes: w.nodes[..usize::from(self.nodes)]
                .iter()
                .enumerate()
                .map(|(i, n)| NodeView {
                    sealed: n.sealed,
                    ceremony: n.ceremony,
                    counted: w.custodians[..custodians].iter().map(|c| c.counted[i]).collect(),
                    window: n.window,
                })
                .collect(),
            custodians: w.custodians[..custodians]
                .iter()
                .map(|c| CustodianView { share: c.share.held(), acked: c.acked, person: c.person })
                .collect(),
            job: JobView {
                state: w.job.state,
                kind: under_way.then_some(w.job.kind),
                subject: under_way.then_some(w.job.user),
                waiting: w.job.waiting,
                held: name(w.job.held),
                lane: lane(&w.job.lane),
            },
            points: Point::ALL.map(|point| w.freshness(self, point)),
            publication: self.publication.then(|| self.observe_publication(&w)),
            store: StoreView {
                snapshot: w.snapshot != SnapshotState::None,
                snapshot_current: w.snapshot == SnapshotState::Current,
                restoring: w.restoring,
                retired_shares: w.retired_shares,
            },
            alerts_up: w.alerts_up,
            admin_rights: w.admin_right[..usize::from(self.tenants)].to_vec(),
            records: RecordsView {
                // No rule leaves a trace of these: a step of its own takes them, and a property forbids the step.
                share_without_alert: false,
                release_without_record: false,
                job_without_notice: under_way && w.job.kind == JobKind::OnBehalf && !w.job.noticed,
            },
        }
    }
    fn observe_publication<const U: usize, const N: usize>(&self, w: &World<U, N>) -> PublicationView {
        let served = Point::ALL.into_iter().filter(|point| self.points[*point as usize]);
        let device = |d: &DeviceRecord| DeadlineView {
            capability: (d.capability != Capability::None)
                .then(|| (epoch(d.capability_epoch), ticks(d.capability_end))),
            lane: dated(&d.lane),
            late: dated(&d.late),
        };
        PublicationView {
            newest: epoch(w.newest),
            skew: w.skew as i8 - IN_STEP as i8,
            points: served
                .map(|point| {
                    let at = &w.points[point as usize];
                    PointView {
                        mark: epoch(at.mark),
                        lease: ticks(at.lease),
                        confirmed: at.confirmed,
                        named: ticks(at.named),
                        lane: said(&at.lane, w.newest),
                        late: said(&at.late, w.newest),
                    }
                })
                .collect(),
            devices: w.devices[..usize::from(self.users * self.devices_per_user)].iter().map(device).collect(),
        }
    }
}

/// OBS-3.
fn epoch(rank: u8) -> EpochName {
    EpochName(rank - FIRST_EPOCH)
}

/// OBS-4.
fn ticks(end: u8) -> Ticks {
    Ticks(end.saturating_sub(1))
}

fn said(lane: &LaneState, newest: u8) -> Option<PointLaneView> {
    let named = is_news(lane, newest).then(|| epoch(lane.epoch));
    Some(PointLaneView { message: lane.message.get()?, epoch: named, end: ticks(lane.end) })
}

fn dated(lane: &LaneState) -> Option<Ticks> {
    lane.message.get()?;
    Some(ticks(lane.end))
}

impl<const U: usize, const N: usize> World<U, N> {
    /// PUB-6.
    fn capability(&self, rules: &Rules, device: &DeviceRecord) -> Capability {
        let mark = self.points[Point::Storage as usize].mark;
        match device.capability {
            held if !rules.publication || held == Capability::None => held,
            _ if device.capability_end == OVER || device.capability_epoch < mark => Capability::Dead,
            _ if device.capability_epoch < self.newest => Capability::Overtaken,
            _ => Capability::Current,
        }
    }
}

//! What an onlooker sees of a world.

use bailee_spec::observation::*;

use super::canon::rename_keys;
use super::step::Rules;
use super::world::{Key, LaneState, NO_KEY, SnapshotState, World};

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
                    capability: d.capability,
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
                .map(|c| CustodianView { share: c.share.held(), acked: c.acked })
                .collect(),
            job: JobView {
                state: w.job.state,
                kind: under_way.then_some(w.job.kind),
                subject: under_way.then_some(w.job.user),
                waiting: w.job.waiting,
                held: name(w.job.held),
                lane: lane(&w.job.lane),
            },
            points: w.points,
            store: StoreView {
                snapshot: w.snapshot != SnapshotState::None,
                snapshot_current: w.snapshot == SnapshotState::Current,
                restoring: w.restoring,
                retired_shares: w.retired_shares,
            },
            alerts_up: w.alerts_up,
            admin_right: w.admin_right,
            records: RecordsView {
                // No rule leaves a trace of these: a step of its own takes them, and a property forbids the step.
                share_without_alert: false,
                release_without_record: false,
                job_without_notice: under_way && w.job.kind == JobKind::OnBehalf && !w.job.noticed,
            },
        }
    }
}

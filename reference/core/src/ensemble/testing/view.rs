//! What an onlooker sees: computed from memory, disk and bytes on their way, and from nothing else.

use bailee_spec::action::{Lane, Point};
use bailee_spec::observation::*;

use super::super::{ADMIN, At, Ensemble, tenant_name};
use crate::cbor;
use crate::crypto::keys::{ArchiveKey, Owner, commitment};
use crate::roles::authority::{self, AttemptState, DeviceState as Recorded};
use crate::roles::keystore::{self, Account, Snapshot};
use crate::roles::mark::Mark;
use crate::roles::{custody, storage};
use crate::store::Read;
use crate::wire::{B32, Body, CapabilityBody, EscrowBody, Frame, ReceiptBody};

/// Names for commitments, in order of first appearance.
#[derive(Default)]
struct Names {
    seen: Vec<[u8; 32]>,
}

impl Names {
    fn of(&mut self, commitment: &[u8; 32]) -> KeyName {
        let at = self.seen.iter().position(|known| known == commitment).unwrap_or_else(|| {
            self.seen.push(*commitment);
            self.seen.len() - 1
        });
        KeyName(at as u8)
    }

    fn key(&mut self, key: &ArchiveKey, owner: &Owner) -> KeyName {
        self.of(&commitment(key, owner))
    }
}

fn escrow_commitment(escrow: &[u8]) -> Option<[u8; 32]> {
    let body: EscrowBody = cbor::decode(escrow, bailee_spec::limits::MESSAGE_BYTES).ok()?;
    Some(*body.commitment)
}

/// The commitment to the key that a message carries or names.
fn message_key(body: &Body) -> Option<[u8; 32]> {
    match body {
        Body::SessionOpened { enrolled } => enrolled.map(|commitment| *commitment),
        Body::EscrowKey { escrow, .. }
        | Body::Escrow { escrow, .. }
        | Body::Receipt { escrow, .. }
        | Body::AlreadyEscrowed { escrow, .. } => escrow_commitment(escrow),
        Body::Authorised { receipt, .. } | Body::SealedKey { receipt, .. } | Body::KeyDelivery { receipt, .. } => {
            let said: ReceiptBody = cbor::decode(receipt, bailee_spec::limits::MESSAGE_BYTES).ok()?;
            Some(*said.commitment)
        }
        _ => None,
    }
}

/// Whether the receiver of a message still reads whether its session is within its time (TIME-2).
pub(super) fn reads_live(message: Message) -> bool {
    use Message as M;
    !matches!(
        message,
        M::Receipt
            | M::Authorised
            | M::GrantRefused
            | M::SealedKey
            | M::KeyDelivery
            | M::KeystoreRefusal
            | M::Refusal
    )
}

/// The grant that a frame is about.
fn grant_of(frame: &Frame) -> Option<B32> {
    match &frame.body {
        Body::ConsumeGrant { grant, .. } | Body::GrantConsumed { grant, .. } | Body::GrantRefused { grant } => {
            Some(*grant)
        }
        _ => None,
    }
}

impl Ensemble {
    /// The observation. `opened[u]` says whether the adversary's loot opens the key of user `u`.
    pub fn observe(&self, opened: &[bool]) -> Observation {
        let mut names = Names::default();
        let snapshot = self.snapshot.as_deref().and_then(Snapshot::decode);
        let users =
            (0..self.size.users).map(|user| self.view_user(user, snapshot.as_ref(), opened, &mut names)).collect();
        let devices = (0..self.devices.len() as u8).map(|device| self.view_device(device, &mut names)).collect();
        let job = self.view_job(&mut names);
        let points = Point::ALL.map(|point| self.freshness(point));
        let header = self.peek(At::Keystore(0), keystore::header);
        let share_epoch = header.map_or(0, |header| header.share_epoch);
        let staged = self.stores.keystore.get(keystore::STAGED.as_bytes());
        Observation {
            users,
            devices,
            nodes: (0..self.size.nodes).map(|node| self.view_node(node)).collect(),
            custodians: (0..self.size.custodians).map(|custodian| self.view_custodian(custodian)).collect(),
            job,
            points,
            publication: self.view_publication(),
            store: StoreView {
                snapshot: snapshot.is_some(),
                snapshot_current: snapshot.is_some_and(|snapshot| snapshot.header.share_epoch == share_epoch),
                restoring: staged.is_ok_and(|staged| staged.is_some()),
                retired_shares: share_epoch > 1,
            },
            alerts_up: self.alerts_up,
            admin_rights: (0..self.size.tenants).map(|tenant| self.view_right(&tenant_name(tenant))).collect(),
            records: self.view_records(),
        }
    }

    /// PUB-2: where publications are messages, a point without a lease admits nothing, whatever it knows.
    fn freshness(&self, point: Point) -> Freshness {
        if self.publication.as_ref().is_some_and(|served| !served.contains(&point)) {
            return Freshness::Fenced;
        }
        let mark = self.mark_shown(point);
        let knows = mark.epoch == self.epoch();
        match (knows, self.point_holds_over(point, mark.lease)) {
            (true, over) if !over || self.publication.is_none() => Freshness::Current,
            (false, false) => Freshness::Behind,
            _ => Freshness::Fenced,
        }
    }

    fn view_right(&self, tenant: &str) -> bool {
        self.peek(At::Authority, |step| authority::rights(step, tenant, ADMIN)).restore
    }

    /// What a point knows. A sealed keystore admits nothing and takes no lease: it is shown with the one that the authority counts.
    fn mark_shown(&self, point: Point) -> Mark {
        let mark = self.mark(point);
        if point != Point::Keystore || !self.is_sealed(0) || self.publication.is_some() {
            return mark;
        }
        let named = self.peek(At::Authority, |step| authority::point(step, point)).lease;
        Mark { lease: mark.lease.max(named), ..mark }
    }

    fn view_user(&self, user: u8, snapshot: Option<&Snapshot>, opened: &[bool], names: &mut Names) -> UserView {
        let (tenant, name) = (self.size.tenant_of(user), self.size.name_of(user));
        let record = self.peek(At::Authority, |step| authority::user(step, &tenant, &name));
        let store = self.peek(At::Authority, authority::store);
        let account = self.onlooker.account(&self.stores.keystore, &tenant, &name);
        let stored = snapshot.and_then(|snapshot| self.onlooker.account(&snapshot.store(), &tenant, &name));
        let key_of = |account: &Option<Account>, names: &mut Names| {
            account.as_ref().and_then(|account| account.commitment).map(|commitment| names.of(&commitment))
        };
        let state = |account: &Option<Account>| account.as_ref().map_or(AccountState::None, Account::state);
        let enrolled = record.as_ref().and_then(|record| record.enrolled);
        let kept = record.as_ref().and_then(|record| record.kept.as_ref()).filter(|kept| !store.covers(kept.index));
        let kept = kept.and_then(|kept| escrow_commitment(&kept.escrow));
        let (first, end) = self.peek(At::Storage, |step| storage::extent(step, &tenant, &name));
        UserView {
            standing: record.as_ref().map_or(Standing::Active, |record| record.standing()),
            enrolled: enrolled.map(|commitment| names.of(&commitment)),
            kept: kept.map(|commitment| names.of(&commitment)),
            account: state(&account),
            escrowed: key_of(&account, names),
            archive: first < end,
            snapshot_account: state(&stored),
            snapshot_key: key_of(&stored, names),
            opened: opened.get(user as usize).copied().unwrap_or(false),
        }
    }

    fn view_lane(&self, lane: Lane, names: &mut Names) -> Option<LaneView> {
        let frame: Frame = self.in_flight(lane)?;
        let generation = self.peek(At::Keystore(0), keystore::generation);
        let read = self.publication.is_none() || reads_live(frame.body.message()?);
        let reads_pending = self.publication.is_none() || !matches!(frame.body, Body::GrantRefused { .. });
        let live = |exchange| self.peek(At::Authority, |step| authority::exchange_is_live(step, &exchange));
        let pending = |grant| self.peek(At::Keystore(0), |step| self.keystore[0].is_pending(step, &grant));
        Some(LaneView {
            message: frame.body.message()?,
            key: message_key(&frame.body).map(|commitment| names.of(&commitment)),
            live: read && frame.exchange.is_some_and(live),
            pending: reads_pending && grant_of(&frame).is_some_and(pending),
            outdated: frame.generation.is_some_and(|sent| sent < generation),
        })
    }

    fn view_device(&self, device: u8, names: &mut Names) -> DeviceView {
        let d = &self.devices[device as usize];
        let disk = self.device_disk(device);
        let owner = d.owner();
        let record = disk.id().and_then(|id| self.peek(At::Authority, |step| authority::device(step, &id)));
        let acknowledged = self.peek(At::Authority, authority::epochs).acknowledged;
        let attempt = disk.attempt();
        let at_authority = match record.map(|record| (record.state, record.revoked_at)) {
            None => DeviceState::None,
            Some((Recorded::Pending, _)) => DeviceState::Pending,
            Some((Recorded::Active, _)) => DeviceState::Active,
            Some((Recorded::Revoked, at)) if at <= acknowledged => DeviceState::Revoked,
            Some((Recorded::Revoked, _)) => DeviceState::Revoking,
        };
        let known = attempt.and_then(|id| self.peek(At::Authority, |step| authority::attempt(step, &id)));
        let generation = self.peek(At::Keystore(0), keystore::generation);
        let is_open = |attempt: &keystore::Attempt| {
            attempt.open && self.now <= attempt.expiry && attempt.generation == generation
        };
        let at_keystore = attempt.and_then(|id| self.onlooker.attempt(&self.stores.keystore, &id));
        DeviceView {
            disk: disk.view(),
            disk_key: disk.key().map(|key| names.key(&key, owner)),
            program: d.program(),
            memory_key: d.memory_key().map(|key| names.key(key, owner)),
            capability: self.view_capability(device),
            at_authority,
            attempt: match known.map(|attempt| attempt.state) {
                None | Some(AttemptState::Closed) => Attempt::None,
                Some(AttemptState::Opened) => Attempt::Opened,
                Some(AttemptState::Admitted) => Attempt::Admitted,
            },
            attempt_at_keystore: match at_keystore.filter(is_open) {
                None => Attempt::None,
                Some(attempt) if attempt.admitted => Attempt::Admitted,
                Some(_) => Attempt::Opened,
            },
            lane: self.view_lane(Lane::Device(device), names),
            late: self.view_lane(Lane::Late(device), names),
        }
    }

    fn view_capability(&self, device: u8) -> Capability {
        let held = self.devices[device as usize].capability();
        let body =
            held.and_then(|body| cbor::decode::<CapabilityBody>(body, bailee_spec::limits::MESSAGE_BYTES).ok());
        match body {
            None => Capability::None,
            Some(body) if self.point_holds_over(Point::Storage, body.expiry) => Capability::Dead,
            Some(body) if body.epoch < self.mark(Point::Storage).epoch => Capability::Dead,
            Some(body) if body.epoch == self.epoch() => Capability::Current,
            Some(_) => Capability::Overtaken,
        }
    }

    fn view_node(&self, node: u8) -> NodeView {
        let keystore = &self.keystore[node as usize];
        let at = At::Keystore(node);
        let collecting = self.collecting(node).map(|ceremony| ceremony.id);
        let counted = |index: u8| collecting.is_some() && self.peek(at, |step| keystore.counted(step, index));
        NodeView {
            sealed: self.is_sealed(node),
            ceremony: self.ceremony_state(node),
            counted: (1..=self.size.custodians).map(counted).collect(),
            window: match self.peek(At::Custody, |step| custody::window(step, node)) {
                None => Window::None,
                Some(window) if Some(window.id) == collecting => Window::Live,
                Some(_) => Window::Dead,
            },
        }
    }

    fn view_custodian(&self, custodian: u8) -> CustodianView {
        let share = match self.custodians[custodian as usize].holds_for() {
            None => ShareHeld::None,
            Some(held) => (0..self.size.nodes)
                .find(|node| self.collecting(*node).is_some_and(|ceremony| ceremony.id == held.id))
                .map_or(ShareHeld::Old, ShareHeld::For),
        };
        let acked = (0..self.size.nodes).any(|node| {
            self.peek(At::Keystore(node), |step| self.keystore[node as usize].acked(step, custodian + 1))
        });
        CustodianView { share, acked, person: self.person(custodian) }
    }

    fn view_job(&self, names: &mut Names) -> JobView {
        let job = self.job();
        let subject = job.as_ref().map(|(user, ..)| *user);
        let job = job.map(|(_, _, job)| job);
        let held = self.restorer.held().next().map(|(key, owner)| names.key(key, owner));
        JobView {
            state: job.as_ref().map_or(JobState::None, |job| job.state_at(self.now)),
            kind: job.as_ref().and_then(|job| job.kind()),
            subject,
            waiting: self.restorer.waiting(),
            held,
            lane: self.view_lane(Lane::Job, names),
        }
    }

    fn view_records(&self) -> RecordsView {
        let (reads, alerts) = self.custody_counts();
        let logged: u64 = self.peek(At::Authority, |step| step.get(authority::RELEASED)).unwrap_or(0);
        let released: u64 = self.peek(At::Keystore(0), |step| step.get(keystore::RELEASED)).unwrap_or(0);
        let on_behalf: Option<authority::OnBehalf> = self.peek(At::Authority, |step| step.get(authority::ON_BEHALF));
        let on_behalf = on_behalf.unwrap_or_default();
        RecordsView {
            share_without_alert: reads > alerts,
            release_without_record: released > logged,
            job_without_notice: on_behalf.jobs > on_behalf.notices,
        }
    }
}

//! What an onlooker sees: computed from memory, disk and bytes on their way, and from nothing else.

use bailee_spec::action::{Lane, Point};
use bailee_spec::observation::*;

use super::{Ensemble, grant_of, name_of, tenant_of};
use crate::cbor;
use crate::crypto::keys::{ArchiveKey, Owner, commitment};
use crate::roles::authority::{AttemptState, DeviceState as Recorded};
use crate::roles::keystore::{Account, Snapshot};
use crate::wire::{Body, CapabilityBody, EscrowBody, Frame, ReceiptBody};

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

fn freshness(mark: u64, lease: u64, epoch: u64, now: u64) -> Freshness {
    if mark == epoch {
        Freshness::Current
    } else if now <= lease {
        Freshness::Behind
    } else {
        Freshness::Fenced
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
        let epoch = self.authority.totals().epoch;
        let points = Point::ALL.map(|point| {
            let (mark, lease) = match point {
                Point::Keystore => (self.keystore.mark(), self.keystore.lease()),
                Point::Storage => self.storage.mark(),
                Point::Restorer => self.restorer.mark(),
            };
            freshness(mark, lease, epoch, self.now)
        });
        let header = self.keystore.header();
        let share_epoch = header.map_or(0, |header| header.share_epoch);
        Observation {
            users,
            devices,
            nodes: (0..self.size.nodes).map(|node| self.view_node(node)).collect(),
            custodians: (0..self.size.custodians).map(|custodian| self.view_custodian(custodian)).collect(),
            job,
            points,
            publication: None,
            store: StoreView {
                snapshot: snapshot.is_some(),
                snapshot_current: snapshot.is_some_and(|snapshot| snapshot.header.share_epoch == share_epoch),
                restoring: self.keystore.restoring(),
                retired_shares: share_epoch > 1,
            },
            alerts_up: self.alerts_up,
            admin_right: self.authority.admin_right(),
            records: self.view_records(),
        }
    }

    fn view_user(&self, user: u8, snapshot: Option<&Snapshot>, opened: &[bool], names: &mut Names) -> UserView {
        let (tenant, name) = (tenant_of(user), name_of(user));
        let record = self.authority.user(&tenant, &name);
        let account = self.keystore.account(&self.onlooker, &tenant, &name);
        let stored = snapshot.and_then(|snapshot| self.onlooker.account(&snapshot.store(), &tenant, &name));
        let key_of = |account: &Option<Account>, names: &mut Names| {
            account.as_ref().and_then(|account| account.commitment).map(|commitment| names.of(&commitment))
        };
        let state = |account: &Option<Account>| account.as_ref().map_or(AccountState::None, Account::state);
        let enrolled = record.as_ref().and_then(|record| record.enrolled);
        let kept = record.as_ref().and_then(|record| escrow_commitment(record.kept.as_deref()?));
        UserView {
            standing: record.as_ref().map_or(Standing::Active, |record| Standing::ALL[record.standing as usize]),
            enrolled: enrolled.map(|commitment| names.of(&commitment)),
            kept: kept.map(|commitment| names.of(&commitment)),
            account: state(&account),
            escrowed: key_of(&account, names),
            archive: !self.storage.blocks(&tenant, &name).is_empty(),
            snapshot_account: state(&stored),
            snapshot_key: key_of(&stored, names),
            opened: opened.get(user as usize).copied().unwrap_or(false),
        }
    }

    fn view_lane(&self, lane: Lane, names: &mut Names) -> Option<LaneView> {
        let frame: Frame = self.in_flight(lane)?;
        let generation = self.keystore.generation();
        Some(LaneView {
            message: frame.body.kind(),
            key: message_key(&frame.body).map(|commitment| names.of(&commitment)),
            live: frame.exchange.is_some_and(|exchange| self.authority.exchange_is_live(self.now, &exchange)),
            pending: grant_of(&frame).is_some_and(|grant| self.keystore.is_pending(&grant)),
            outdated: frame.generation.is_some_and(|sent| sent < generation),
        })
    }

    fn view_device(&self, device: u8, names: &mut Names) -> DeviceView {
        let d = &self.devices[device as usize];
        let owner = d.owner();
        let record = d.id().and_then(|id| self.authority.device(self.now, &id));
        let attempt = d.attempt();
        let at_authority = match record.map(|record| record.state) {
            None => DeviceState::None,
            Some(Recorded::Pending) => DeviceState::Pending,
            Some(Recorded::Active) => DeviceState::Active,
            Some(Recorded::Revoking) => DeviceState::Revoking,
            Some(Recorded::Revoked) => DeviceState::Revoked,
        };
        let known = attempt.and_then(|id| self.authority.attempt(self.now, &id)).map(|attempt| attempt.state);
        DeviceView {
            disk: d.disk_view(),
            disk_key: d.kept_key().map(|key| names.key(&key, owner)),
            program: d.program(),
            memory_key: d.memory_key().map(|key| names.key(key, owner)),
            capability: self.view_capability(device),
            at_authority,
            attempt: match known {
                None | Some(AttemptState::Closed) => Attempt::None,
                Some(AttemptState::Opened) => Attempt::Opened,
                Some(AttemptState::Admitted) => Attempt::Admitted,
            },
            attempt_at_keystore: attempt
                .is_some_and(|id| self.keystore.attempt(&self.onlooker, self.now, &id).is_some()),
            lane: self.view_lane(Lane::Device(device), names),
            late: self.view_lane(Lane::Late(device), names),
        }
    }

    fn view_capability(&self, device: u8) -> Capability {
        let held = self.devices[device as usize].capability();
        let body =
            held.and_then(|(body, _)| cbor::decode::<CapabilityBody>(body, bailee_spec::limits::MESSAGE_BYTES).ok());
        match body {
            None => Capability::None,
            Some(body) if self.now > body.expiry || body.epoch < self.storage.mark().0 => Capability::Dead,
            Some(body) if body.epoch == self.authority.totals().epoch => Capability::Current,
            Some(_) => Capability::Overtaken,
        }
    }

    fn view_node(&self, node: u8) -> NodeView {
        let collecting = self.keystore.collecting(self.now, node);
        let counted = |index: u8| collecting.is_some() && self.keystore.counted(self.now, node, index);
        NodeView {
            sealed: self.keystore.opened(node).is_none(),
            ceremony: self.keystore.ceremony_state(self.now, node),
            counted: (1..=self.size.custodians).map(counted).collect(),
            window: match self.custody.window(self.now, node) {
                None => Window::None,
                Some(window) if Some(window.id) == collecting => Window::Live,
                Some(_) => Window::Dead,
            },
        }
    }

    fn view_custodian(&self, custodian: u8) -> CustodianView {
        let nodes = 0..self.size.nodes;
        let share = match self.custodians[custodian as usize].holds_for() {
            None => ShareHeld::None,
            Some(id) => nodes
                .clone()
                .find(|node| self.keystore.collecting(self.now, *node) == Some(*id))
                .map_or(ShareHeld::Old, ShareHeld::For),
        };
        let acked = nodes.clone().any(|node| self.keystore.acked(self.now, node, custodian + 1));
        CustodianView { share, acked }
    }

    fn view_job(&self, names: &mut Names) -> JobView {
        let job = self.authority.running_job(self.now).map(|(_, job)| job);
        let held = self.restorer.held().map(|(key, owner)| names.key(key, owner));
        let subject = job.as_ref().and_then(|job| {
            (0..self.size.users).find(|user| tenant_of(*user) == job.tenant && name_of(*user) == job.user)
        });
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
        let (reads, alerts) = self.custody.counts();
        let totals = self.authority.totals();
        RecordsView {
            share_without_alert: reads > alerts,
            release_without_record: self.keystore.released() > totals.released,
            job_without_notice: totals.on_behalf > totals.notices,
        }
    }
}

/// What an adversary can copy: bytes, for the locksmith.
#[cfg(feature = "fork")]
impl Ensemble {
    /// The root in an unsealed node's memory, and the node's disk (ADV-1).
    pub fn host(&self, node: u8) -> Option<([u8; 32], crate::disk::Disk)> {
        let opened = self.keystore.opened(node)?;
        Some((*opened.root.expose(), self.keystore.disk.clone()))
    }

    /// A custodian's present share, unwrapped with the custodian's own keys, and its header (ADV-2).
    pub fn share_of(&self, custodian: u8) -> Option<(crate::wire::Header, [u8; 32])> {
        let header = self.keystore.header()?;
        let wrapped = self.custody.wrapped(header.share_epoch, custodian + 1)?;
        let value = self.custodians[custodian as usize].unwrap(&header, &wrapped).ok()?;
        Some((header, *value))
    }

    /// The snapshot's bytes (ADV-3).
    pub fn snapshot_bytes(&self) -> Option<Vec<u8>> {
        self.snapshot.as_deref().map(<[u8]>::to_vec)
    }

    /// The restorer's memory: whose key it holds, and the key, while it holds one (JOB-3).
    pub fn restorer_memory(&self) -> Vec<u8> {
        let image =
            |(key, owner): (&ArchiveKey, &Owner)| [crate::cbor::encode(owner), key.expose().to_vec()].concat();
        self.restorer.held().map(image).unwrap_or_default()
    }
}

/// What tests look at: raw bytes of disks.
impl Ensemble {
    /// Every record of the keystore's barrier, as name and bytes.
    pub fn keystore_records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.keystore.disk.with_prefix(b"r/").map(|(name, bytes)| (name.to_vec(), bytes.to_vec())).collect()
    }

    /// Whether a user's account opens.
    pub fn account_opens(&self, tenant: &str, user: &str) -> bool {
        self.keystore.account(&self.onlooker, tenant, user).is_some()
    }

    /// Whether a user's account opens when its bytes are put in another user's place.
    pub fn account_opens_at(&self, tenant: &str, user: &str, place: &str) -> bool {
        let mut moved = self.keystore.disk.clone();
        self.onlooker.move_account(&mut moved, tenant, user, place);
        self.onlooker.account(&moved, tenant, place).is_some()
    }

    /// The names of a device's records.
    pub fn device_record_names(&self, device: u8) -> Vec<Vec<u8>> {
        self.devices[device as usize].disk.with_prefix(b"").map(|(name, _)| name.to_vec()).collect()
    }
}

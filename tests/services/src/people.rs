//! The people: what they order, in every flow of the demo, and again where a restart cut it short. What they go by is what they
//! were told and what is on disks, never what is in a role's memory.

use bailee_core::cbor;
use bailee_core::crypto::keys::ArchiveKey;
use bailee_core::machine::{Context, Peer, Person, Step};
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::{self, UserRecord};
use bailee_core::roles::keystore::{GENERATION, HEADER, STAGED, Snapshot, Staged};
use bailee_core::roles::storage;
use bailee_core::wire::{Blob, Body, CeremonyBody, Frame, Header, StandingChange};
use bailee_spec::limits::{MESSAGE_BYTES, PUBLISH_SECONDS, VALIDITY_SECONDS};
use bailee_spec::observation::Standing;
use bailee_spec::outcome::Refusal;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::disks::Disks;
use crate::setup::{ADMIN, CUSTODIANS, DEVICES, HEAD, password_of, tenant_of, user_of};
use crate::world::{At, Entry, World};

/// The person who has a program in their hands.
const HOLDER: Peer = Peer::Person(Person::Holder);
/// A registered operator.
const OPERATOR: Peer = Peer::Person(Person::Operator);
/// Nobody.
const SCHEDULE: Peer = Peer::Person(Person::Schedule);

/// How often people try again.
const TRIES: usize = 4;

/// A user at a console, stepped up.
fn at_console(user: u8) -> Peer {
    Peer::Person(Person::User { tenant: tenant_of(user), user: user_of(user), stepped_up: true })
}

/// An administrator of a user's tenant.
fn admin_of(user: u8, admin: &str) -> Peer {
    Peer::Person(Person::Admin { tenant: tenant_of(user), admin: admin.into() })
}

impl<D: Disks> World<D> {
    /// Puts the order of a person on its way.
    pub fn order(&mut self, by: Peer, at: At, body: Body) {
        self.send(by, at, at, &Frame { exchange: None, generation: None, body });
    }

    /// The order of a person, and all that follows. The first refusal is the outcome; an order that a restart lost is unavailable.
    ///
    /// # Errors
    /// The first refusal.
    pub fn act(&mut self, by: Peer, at: At, body: Body) -> Result<(), Refusal> {
        let (from, what) = (self.journal.len(), body.name());
        self.order(by, at, body);
        self.settle();
        let since = &self.journal[from..];
        since.iter().find(|entry| entry.at == at && entry.what == what).ok_or(Refusal::StoreUnavailable)?;
        since.iter().find_map(|entry| entry.verdict.err()).map_or(Ok(()), Err)
    }

    /// Tries until the goal is reached. What a restart sealed is unsealed first; what it lost is published again.
    fn until(&mut self, what: &str, goal: impl Fn(&Self) -> bool, mut attempt: impl FnMut(&mut Self)) {
        for _ in 0..TRIES {
            if goal(self) {
                return;
            }
            self.unseal_all();
            attempt(self);
            if !goal(self) {
                self.advance(PUBLISH_SECONDS);
            }
        }
        assert!(goal(self), "{what}: {:?}", &self.journal[self.journal.len().saturating_sub(12)..]);
    }

    pub(crate) fn peek<T>(&self, at: At, look: impl FnOnce(&mut Step<'_>) -> T) -> T {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let store = self.store(at);
        look(&mut Step::new(Context { now: self.now, rng: &mut rng, store, quirks: Quirks::none() }))
    }

    /// Whether an input of this kind was accepted there since.
    fn accepted_since(&self, from: usize, at: At, what: &str) -> bool {
        self.journal[from..].iter().any(|entry| entry.at == at && entry.what == what && entry.verdict.is_ok())
    }

    /// Tries until an input of this kind is accepted there.
    fn until_accepted(&mut self, at: At, what: &str, attempt: impl FnMut(&mut Self)) {
        let from = self.journal.len();
        self.until(what, |world| world.accepted_since(from, at, what), attempt);
    }

    // Devices.

    /// The key on a device's disk.
    pub fn key_of(&self, device: u8) -> Option<ArchiveKey> {
        self.device_disk(device).key()
    }

    /// The user of a device.
    pub fn user_of_device(device: u8) -> u8 {
        device / DEVICES
    }

    /// Signs in at a device until it has its user's key: by enrolment, or by replacement if the user has one.
    pub fn enrol(&mut self, device: u8) {
        let password = password_of(Self::user_of_device(device));
        let enter = |world: &mut Self| {
            let body = Body::EnterPassword { password: password.clone().into() };
            if world.act(HOLDER, At::Device(device), body) == Err(Refusal::OutOfTurn) {
                // The answer to an earlier try was lost: its user starts the program anew.
                world.restart(At::Device(device));
            }
        };
        self.until("enrolment", |world| world.key_of(device).is_some(), enter);
    }

    /// Backs up one block.
    pub fn back_up(&mut self, device: u8, content: &[u8]) {
        let at = At::Device(device);
        self.until_accepted(at, "Appended", |world| {
            let _ = world.act(HOLDER, at, Body::StartBackup);
            let _ = world.act(HOLDER, at, Body::BackUp { content: content.to_vec().into() });
        });
    }

    /// Reads everything back.
    pub fn read_back(&mut self, device: u8) {
        let at = At::Device(device);
        self.until_accepted(at, "Blocks", |world| {
            let _ = world.act(HOLDER, at, Body::ReadBack);
        });
    }

    /// How many blocks storage has of a user.
    pub fn blocks_of(&self, user: u8) -> u64 {
        let (first, end) = self.peek(At::Storage, |step| storage::extent(step, &tenant_of(user), &user_of(user)));
        end - first
    }

    /// Deauthorizes a device and waits for the acknowledgement; then the device reports, and erases itself.
    pub fn deauthorize(&mut self, device: u8) {
        let (user, id) = (Self::user_of_device(device), self.device_disk(device).id().expect("it was enrolled"));
        let (tenant, name) = (tenant_of(user), user_of(user));
        let revoked = |world: &Self| {
            world.peek(At::Authority, |step| authority::device(step, &id)).is_some_and(|device| device.is_revoked())
        };
        self.until("deauthorization", revoked, |world| {
            let body = Body::Deauthorize { tenant: tenant.clone(), user: name.clone(), device: id };
            let _ = world.act(at_console(user), At::Authority, body);
        });
        self.acknowledged();
        self.until(
            "erasure",
            |world| world.key_of(device).is_none(),
            |world| {
                let _ = world.act(HOLDER, At::Device(device), Body::CheckIn);
            },
        );
    }

    /// Waits until every point has confirmed every revocation.
    pub fn acknowledged(&mut self) {
        let done = |world: &Self| {
            let epochs = world.peek(At::Authority, authority::epochs);
            epochs.acknowledged == epochs.newest
        };
        self.until("acknowledgement", done, |world| world.advance(PUBLISH_SECONDS));
    }

    // Jobs.

    /// A restore by the owner, from the request to the job's end.
    pub fn restore_own(&mut self, user: u8) {
        self.restore(at_console(user), user);
    }

    /// A restore on the user's behalf, by an administrator.
    pub fn restore_on_behalf(&mut self, user: u8) {
        self.restore(admin_of(user, ADMIN), user);
    }

    /// A job of maintenance.
    pub fn maintain(&mut self, user: u8) {
        self.restore(SCHEDULE, user);
    }

    fn restore(&mut self, by: Peer, user: u8) {
        let from = self.journal.len();
        let read = |world: &Self| {
            let blocks = world.accepted_since(from, At::Restorer, "Blocks");
            blocks && world.accepted_since(from, At::Authority, "JobEnd") && !world.restorer_holds()
        };
        self.until("restore", read, |world| {
            let body = Body::RequestJob { tenant: tenant_of(user), user: user_of(user) };
            if world.act(by.clone(), At::Authority, body) == Err(Refusal::Busy) {
                // A job that a restart cut short ends by its deadline.
                world.wait_out();
            }
        });
    }

    /// A restore that its owner aborts while the restorer has the key.
    pub fn abort(&mut self, user: u8) {
        let (tenant, name) = (tenant_of(user), user_of(user));
        self.until_accepted(At::Authority, "AbortJob", |world| {
            let body = Body::RequestJob { tenant: tenant.clone(), user: name.clone() };
            world.order(at_console(user), At::Authority, body);
            while !world.restorer_holds() && world.deliver_next() {}
            // Storage is slow, so the job goes on.
            world.lose(|flight| flight.to == At::Storage);
            let body = Body::AbortJob { tenant: tenant.clone(), user: name.clone() };
            if world.act(at_console(user), At::Authority, body).is_err() {
                world.wait_out();
            }
        });
        self.until("the end of the job", |world| !world.restorer_holds(), |_| ());
    }

    /// Everything that is under way ends by its deadline; leases are renewed on the way.
    fn wait_out(&mut self) {
        for _ in 0..=VALIDITY_SECONDS / PUBLISH_SECONDS {
            self.advance(PUBLISH_SECONDS);
        }
    }

    // Administrators.

    fn user_record(&self, user: u8) -> UserRecord {
        self.peek(At::Authority, |step| authority::user(step, &tenant_of(user), &user_of(user))).expect("a user")
    }

    /// Changes a user's standing.
    pub fn set_standing(&mut self, user: u8, change: StandingChange, to: Standing) {
        let by = if change == StandingChange::Purge { SCHEDULE } else { admin_of(user, ADMIN) };
        self.until(
            "standing",
            |world| world.user_record(user).standing() == to,
            |world| {
                let body = Body::SetStanding { tenant: tenant_of(user), user: user_of(user), change };
                let _ = world.act(by.clone(), At::Authority, body);
            },
        );
        self.acknowledged();
    }

    /// Gives or withdraws the right to restore on behalf.
    pub fn set_right(&mut self, user: u8, restore: bool) {
        self.until_accepted(At::Authority, "SetRight", |world| {
            let body = Body::SetRight { tenant: tenant_of(user), admin: ADMIN.into(), restore };
            let _ = world.act(admin_of(user, HEAD), At::Authority, body);
        });
    }

    // Ceremonies.

    /// Unseals every node that is sealed, if there is a store to unseal.
    pub fn unseal_all(&mut self) {
        for _ in 0..TRIES {
            let sealed = (0..self.size.nodes).find(|node| self.is_sealed(*node));
            let Some(node) = sealed.filter(|_| self.header().is_some()) else { return };
            self.hold_ceremony(node, false);
        }
    }

    /// The header in force.
    pub fn header(&self) -> Option<Header> {
        self.record(At::Keystore(0), HEADER)
    }

    fn share_epoch(&self) -> u64 {
        self.header().map_or(0, |header| header.share_epoch)
    }

    /// The ceremony that a node last signed for the operator, if it still runs.
    fn announced(&self, node: u8) -> Option<(Blob, Blob)> {
        let of_node = self.told.iter().rev().find_map(|(_, body)| match body {
            Body::Ceremony { ceremony, signature } => {
                let body: CeremonyBody = cbor::decode(ceremony, MESSAGE_BYTES).ok()?;
                (body.node == node).then(|| (body.expiry, ceremony.clone(), signature.clone()))
            }
            _ => None,
        });
        of_node.filter(|(expiry, ..)| self.now <= *expiry).map(|(_, ceremony, signature)| (ceremony, signature))
    }

    /// A ceremony by honest custodians: until the node is unsealed, or its candidate dealt.
    fn hold_ceremony(&mut self, node: u8, rekey: bool) {
        let epoch = self.share_epoch();
        let _ = self.act(OPERATOR, At::Keystore(node), Body::OpenCeremony { rekey, roster: None });
        let Some((ceremony, signature)) = self.announced(node) else { return };
        let _ = self.act(OPERATOR, At::Custody, Body::Announce { ceremony, signature });
        for index in 1..=CUSTODIANS {
            let done = if rekey { self.rekeying() || self.share_epoch() > epoch } else { !self.is_sealed(node) };
            if done {
                break;
            }
            let code = &mut self.codes[usize::from(index) - 1];
            let shown = *code;
            *code += 1;
            let _ =
                self.act(HOLDER, At::Custodian(index), Body::FetchShare { node, code: Some(shown), roster: None });
            let _ = self.act(HOLDER, At::Custodian(index), Body::HandIn { node });
        }
        let _ = self.act(OPERATOR, At::Custody, Body::CloseWindow { node });
    }

    /// Whether the candidate of a rekey was dealt and is not in force yet.
    fn rekeying(&self) -> bool {
        use bailee_core::store::Read;
        let candidate = bailee_core::roles::keystore::CANDIDATE;
        self.store(At::Keystore(0)).get(candidate.as_bytes()).expect("the store can be read").is_some()
    }

    /// New shares under a new root, each acknowledged by its custodian.
    pub fn rekey(&mut self) {
        let before = self.share_epoch();
        let done = |world: &Self| world.share_epoch() > before;
        self.until("rekey", done, |world| {
            world.hold_ceremony(0, true);
            if !done(world) {
                // A ceremony whose acknowledgement was lost ends by its deadline.
                world.wait_out();
            }
        });
    }

    // Disasters.

    /// A snapshot, kept by the operator and witnessed by the authority.
    pub fn take_snapshot(&mut self) {
        let from = self.told.len();
        let witnessed = |world: &Self| {
            let known = world.peek(At::Authority, authority::store);
            let digest = world.snapshot.as_deref().map(Snapshot::digest);
            world.told.len() > from && known.snapshot.is_some_and(|witness| Some(witness.digest) == digest)
        };
        self.until("snapshot", witnessed, |world| {
            let from = world.told.len();
            let _ = world.act(OPERATOR, At::Keystore(0), Body::TakeSnapshot);
            let taken = world.told[from..].iter().find_map(|(_, body)| match body {
                Body::Snapshot { snapshot } => Some(snapshot.to_vec()),
                _ => None,
            });
            if let Some(taken) = taken {
                let digest = Snapshot::digest(&taken);
                world.snapshot = Some(taken);
                let _ = world.act(OPERATOR, At::Keystore(0), Body::SnapshotKept { digest });
            }
        });
    }

    /// The operator's newest snapshot.
    pub fn snapshot(&self) -> Option<&[u8]> {
        self.snapshot.as_deref()
    }

    /// The generation of the keystore's store.
    pub fn generation(&self) -> u64 {
        self.record(At::Keystore(0), GENERATION).unwrap_or(0)
    }

    /// Restores the newest snapshot onto an empty store, by the first node; then every node is unsealed.
    pub fn restore_keystore(&mut self) {
        let before = self.peek(At::Authority, authority::store).generation;
        self.lose_keystore();
        for _ in 0..TRIES {
            if self.record::<Staged>(At::Keystore(0), STAGED).is_none() && self.generation() <= before {
                let snapshot = self.snapshot.clone().expect("a snapshot was taken").into();
                let _ = self.act(OPERATOR, At::Keystore(0), Body::Stage { snapshot });
            }
            self.unseal_all();
        }
        assert!(self.generation() > before, "the snapshot was not restored");
        self.until(
            "publication",
            |world| world.peek(At::Authority, authority::store).generation > before,
            |world| {
                world.advance(PUBLISH_SECONDS);
            },
        );
    }

    /// A lost key comes back from what the authority kept.
    pub fn replay(&mut self, user: u8) {
        let body = Body::ReplayKey { tenant: tenant_of(user), user: user_of(user) };
        self.bring_back(OPERATOR, At::Authority, &body);
    }

    /// A lost key comes back from a device.
    pub fn escrow_again(&mut self, device: u8) {
        self.bring_back(HOLDER, At::Device(device), &Body::EscrowAgain);
    }

    /// Until the keystore has the key: it says so, or that it is not lost, where its first word was lost.
    fn bring_back(&mut self, by: Peer, at: At, order: &Body) {
        let from = self.journal.len();
        let back = |world: &Self| {
            let not_lost = |entry: &Entry| entry.what == "ReturnKey" && entry.verdict == Err(Refusal::NotLost);
            world.accepted_since(from, At::Authority, "KeyReturned") || world.journal[from..].iter().any(not_lost)
        };
        self.until("a key that comes back", back, |world| {
            let _ = world.act(by.clone(), at, order.clone());
        });
    }
}

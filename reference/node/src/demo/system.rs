//! The roles in one process, and everything that went through their hands.

use bailee_core::crypto::keys::{ArchiveKey, Owner, Secret};
use bailee_core::crypto::password::Cost;
use bailee_core::crypto::sign::Signing;
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::quirks::Quirks;
use bailee_core::wire::{Body, Place};
use bailee_spec::action::{Action, Lane};
use bailee_spec::outcome::{Outcome, Refusal};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::error::{DemoError, Done};
use super::place::contains;
use crate::random;

/// One user, two devices, one node, three of five custodians.
const SIZE: Size =
    Size { users: 1, tenants: 1, devices_per_user: 2, nodes: 1, custodians: 5, threshold: 3, late: false };

/// No exchange of the protocol has more messages.
const MESSAGES: usize = 32;

pub(crate) struct System {
    ensemble: Ensemble,
    rng: ChaCha20Rng,
    /// What each role received, in the order of [`Ensemble::disks`].
    received: Vec<(&'static str, Vec<u8>)>,
}

/// Which service receives a message in a lane, by its name in [`Ensemble::disks`]; none for a device.
fn receiver(body: &Body, lane: Lane) -> Option<&'static str> {
    let (_, _, _, places) = Body::TABLE[usize::from(body.number())];
    places.iter().find_map(|place| match place {
        Place::Authority => Some("authority"),
        Place::Keystore => Some("keystore"),
        Place::Restorer if lane == Lane::Job => Some("restorer"),
        _ => None,
    })
}

impl System {
    pub(crate) fn new(seed: Option<u64>) -> Done<Self> {
        let mut rng = match seed {
            Some(seed) => ChaCha20Rng::seed_from_u64(seed),
            None => random::generator().map_err(DemoError::Random)?,
        };
        let ensemble = Ensemble::new(SIZE, Cost::TEST, Quirks::none(), &mut rng)
            .map_err(|error| DemoError::Protocol(format!("setting up: {error:?}")))?;
        let received = ensemble.disks().iter().map(|(who, _)| (*who, Vec::new())).collect();
        Ok(System { ensemble, rng, received })
    }

    pub(crate) fn act(&mut self, action: Action) -> Outcome {
        self.ensemble.act(action, &mut self.rng)
    }

    /// Delivers what is on its way in a lane; the message and what became of it, or none if nothing is.
    fn deliver(&mut self, lane: Lane) -> Option<(&'static str, Outcome)> {
        let frame = self.ensemble.in_flight(lane)?;
        if let Some(who) = receiver(&frame.body, lane)
            && let Some((_, bytes)) = self.received.iter_mut().find(|(name, _)| *name == who)
        {
            bytes.extend(bailee_core::cbor::encode(&frame));
        }
        Some((frame.body.name(), self.act(Action::Deliver { lane })))
    }

    fn deliver_lane(&mut self, lane: Lane) -> Done<Vec<(&'static str, Outcome)>> {
        let mut delivered = Vec::new();
        while let Some(step) = self.deliver(lane) {
            delivered.push(step);
            if delivered.len() > MESSAGES {
                return Err(DemoError::Protocol("an exchange did not end".into()));
            }
        }
        Ok(delivered)
    }

    /// Delivers an exchange of a device to its end; every message of it is accepted.
    pub(crate) fn deliver_all(&mut self, device: u8) -> Done<Vec<String>> {
        let delivered = self.deliver_lane(Lane::Device(device))?;
        if let Some((kind, outcome)) = delivered.iter().find(|(_, outcome)| *outcome != Outcome::Accepted) {
            return Err(DemoError::Protocol(format!("{kind}: {outcome:?}")));
        }
        Ok(delivered.iter().map(|(kind, _)| kind.to_string()).collect())
    }

    /// Delivers an exchange of a device to its end, and says how it was refused.
    pub(crate) fn deliver_until_refused(&mut self, device: u8) -> Done<Refusal> {
        let delivered = self.deliver_lane(Lane::Device(device))?;
        let refusal = delivered.iter().find_map(|(_, outcome)| match outcome {
            Outcome::Refused(refusal) => Some(*refusal),
            Outcome::Accepted => None,
        });
        refusal.ok_or_else(|| DemoError::Protocol("it was not refused".into()))
    }

    /// Delivers the job's messages.
    pub(crate) fn deliver_job(&mut self) -> Done {
        self.deliver_lane(Lane::Job).map(|_| ())
    }

    pub(crate) fn append(&mut self, device: u8, content: &[u8]) -> Result<(), Refusal> {
        self.ensemble.append_content(device, content, &mut self.rng)
    }

    pub(crate) fn archive_key(&self, device: u8) -> Option<ArchiveKey> {
        self.ensemble.device_disk(device).key()
    }

    pub(crate) fn manifest_key(&self, device: u8) -> Option<Signing> {
        self.ensemble.device_disk(device).signing()
    }

    pub(crate) fn owner(&self) -> Owner {
        self.ensemble.device(0).owner().clone()
    }

    pub(crate) fn restorer_key(&self) -> Option<ArchiveKey> {
        let (key, _) = self.ensemble.restorer().held().next()?;
        let mut copy = *key.expose();
        Some(Secret::take(&mut copy))
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.ensemble.is_sealed(0)
    }

    /// Whether what root finds on the keystore's host opens the first user's key: tried, not assumed.
    pub(crate) fn host_opens_key(&self) -> bool {
        self.archive_key(0).is_some_and(|key| self.ensemble.host_opens(0, &self.owner(), &key))
    }

    /// Wrapped shares that left custody, and alerts that were recorded.
    pub(crate) fn custody_counts(&self) -> (u64, u64) {
        self.ensemble.custody_counts()
    }

    /// Notices to owners so far.
    pub(crate) fn notices(&self) -> u64 {
        self.ensemble.notices()
    }

    /// For each service: its name, how many bytes are on its disk and went through its hands, and whether the key is in them.
    pub(crate) fn search(&self, key: &ArchiveKey) -> Vec<(&'static str, usize, bool)> {
        let disks = self.ensemble.disks();
        let searched = disks.iter().zip(&self.received).map(|((who, disk), (_, received))| {
            let mut bytes = received.clone();
            for (name, record) in disk.iter() {
                bytes.extend_from_slice(name);
                bytes.extend_from_slice(record);
            }
            (*who, bytes.len(), contains(&bytes, key.expose()))
        });
        searched.collect()
    }
}

//! The barrier (GEN-27): root → keyring → one `seal_once` a record, under a name that hides what it names.

use bailee_secret::Secret;
use bailee_spec::observation::AccountState;
use hmac::{Hmac, KeyInit, Mac};
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::cbor;
use crate::crypto::hpke::Recipient;
use crate::crypto::{labels, seal};
use crate::machine::Step;
use crate::quirks::Quirk;
use crate::store::{RECORD_BYTES, Read};
use crate::wire::{B32, Blob, Header};

/// What a sealed keyring is bound to: the header's digest, as the root is. A keyring of a retired share epoch does not open
/// beside the header of another.
fn bound_to(header: &Header) -> Vec<u8> {
    header.digest().to_vec()
}

/// What a sealed record is bound to: the path at which it lies (GEN-27).
fn bound_path(path: &[u8]) -> &[u8] {
    if Quirk::RecordPathUnbound.is_on() { &[] } else { path }
}

/// What the root opens.
pub struct Keyring {
    data: Secret<32>,
    path: Secret<32>,
    intake_seed: Secret<32>,
    /// The key pair to which escrowed keys are sealed.
    pub intake: Recipient,
}

impl Keyring {
    /// A fresh keyring.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let intake_seed = Secret::random(rng);
        let intake = Recipient::from_seed(intake_seed.expose());
        Keyring { data: Secret::random(rng), path: Secret::random(rng), intake_seed, intake }
    }

    /// Sealed under a root, for the seal header that the root belongs to.
    pub fn seal(&self, root: &Secret<32>, header: &Header, rng: &mut dyn CryptoRng) -> Vec<u8> {
        let mut plain = Zeroizing::new(Vec::with_capacity(96));
        for secret in [&self.data, &self.path, &self.intake_seed] {
            plain.extend_from_slice(secret.expose());
        }
        seal::seal_once(root.expose(), labels::SEAL_KEYRING, &bound_to(header), &plain, rng)
    }

    /// Opened with a root; none if it is not the root, or was sealed for another header or share epoch.
    pub fn open(root: &Secret<32>, header: &Header, sealed: &[u8]) -> Option<Self> {
        let mut plain = seal::open(root.expose(), labels::SEAL_KEYRING, &bound_to(header), sealed).ok()?;
        if plain.len() != 96 {
            return None;
        }
        let (data, rest) = plain.split_at_mut(32);
        let (path, intake) = rest.split_at_mut(32);
        let (data, path) = (Secret::take_slice(data)?, Secret::take_slice(path)?);
        let intake_seed = Secret::<32>::take_slice(intake)?;
        let intake = Recipient::from_seed(intake_seed.expose());
        Some(Keyring { data, path, intake_seed, intake })
    }

    /// The name of a record (GEN-28): HMAC-SHA-256(path key, path).
    fn name(&self, path: &[u8]) -> Vec<u8> {
        if Quirk::NamesInClear.is_on() {
            return [b"r/".as_slice(), path].concat();
        }
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.path.expose()) else {
            unreachable!("HMAC takes a key of any length")
        };
        mac.update(labels::STORE_KEY.as_bytes());
        mac.update(path);
        [b"r/".as_slice(), &mac.finalize().into_bytes()].concat()
    }

    /// The record at a path, in any store of this keyring; none if there is none, or one that does not open there.
    pub fn read<T: for<'a> Decode<'a, ()> + Encode<()>>(&self, store: &dyn Read, path: &[u8]) -> Option<T> {
        let sealed = store.get(&self.name(path)).ok()??;
        self.open_record(path, &sealed)
    }

    fn open_record<T: for<'a> Decode<'a, ()> + Encode<()>>(&self, path: &[u8], sealed: &[u8]) -> Option<T> {
        if Quirk::RecordsInClear.is_on() {
            return cbor::decode(sealed, RECORD_BYTES).ok();
        }
        let plain = seal::open(self.data.expose(), labels::SEAL_RECORD, bound_path(path), sealed).ok()?;
        cbor::decode(&plain, RECORD_BYTES).ok()
    }

    /// The record at a path, in a step. One that does not open is damage, not absence: it fails the step (GEN-27a).
    pub(super) fn get<T: for<'a> Decode<'a, ()> + Encode<()>>(&self, step: &mut Step<'_>, path: &[u8]) -> Option<T> {
        let sealed = step.bytes(self.name(path))?;
        let record = self.open_record(path, &sealed);
        if record.is_none() && !step.quirks.has(Quirk::DamagedIsAbsent) {
            step.damaged();
        }
        record
    }

    /// Writes the record at a path.
    pub(super) fn put<T: Encode<()>>(&self, step: &mut Step<'_>, path: &[u8], record: &T) {
        let plain = Zeroizing::new(cbor::encode(record));
        let sealed = if step.quirks.has(Quirk::RecordsInClear) {
            plain.to_vec()
        } else {
            seal::seal_once(self.data.expose(), labels::SEAL_RECORD, bound_path(path), &plain, step.rng)
        };
        step.put_bytes(self.name(path), sealed);
    }

    /// Removes the record at a path.
    pub(super) fn remove(&self, step: &mut Step<'_>, path: &[u8]) {
        step.remove(self.name(path));
    }

    /// The name of a user's account in the store.
    pub fn account_name(&self, tenant: &str, user: &str) -> Vec<u8> {
        self.name(&account_path(tenant, user))
    }

    /// The account of a user, in any store of this keyring.
    pub fn account(&self, store: &dyn Read, tenant: &str, user: &str) -> Option<Account> {
        self.read(store, &account_path(tenant, user))
    }

    /// An attempt, open or not, in any store of this keyring.
    pub fn attempt(&self, store: &dyn Read, id: &B32) -> Option<Attempt> {
        self.read(store, &attempt_path(id))
    }
}

/// A state that exists: a record with another one is damaged (GEN-27a).
fn known_state<C>(decoder: &mut minicbor::Decoder<'_>, _: &mut C) -> Result<u8, minicbor::decode::Error> {
    let state = decoder.u8()?;
    let is_one = usize::from(state) < AccountState::ALL.len();
    if is_one { Ok(state) } else { Err(minicbor::decode::Error::message("no state of an account")) }
}

/// An account. It exists in the clear only while it is being read or written.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Account {
    #[n(0)]
    #[cbor(decode_with = "known_state")]
    state: u8,
    /// The commitment to the key.
    #[n(1)]
    pub commitment: Option<B32>,
    #[n(2)]
    key: Blob,
    /// The escrow message as the device sent it.
    #[n(3)]
    pub escrow: Blob,
}

impl Drop for Account {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut *self.key);
    }
}

impl Account {
    fn in_state(state: AccountState) -> Self {
        Account { state: state as u8, commitment: None, key: Vec::new().into(), escrow: Vec::new().into() }
    }

    pub(super) fn empty() -> Self {
        Account::in_state(AccountState::Empty)
    }

    pub(super) fn tombstone() -> Self {
        Account::in_state(AccountState::Purged)
    }

    pub(super) fn lost() -> Self {
        Account::in_state(AccountState::Lost)
    }

    pub(super) fn active(commitment: B32, key: &Secret<32>, escrow: &[u8]) -> Self {
        Account {
            state: AccountState::Active as u8,
            commitment: Some(commitment),
            key: key.expose().to_vec().into(),
            escrow: escrow.to_vec().into(),
        }
    }

    pub(super) fn with_state(mut self, state: AccountState) -> Self {
        self.state = state as u8;
        self
    }

    /// Its state.
    pub fn state(&self) -> AccountState {
        AccountState::ALL[usize::from(self.state).min(AccountState::ALL.len() - 1)]
    }

    /// Holds a key that can be released now or after a reactivation.
    pub fn holds_key(&self) -> bool {
        matches!(self.state(), AccountState::Active | AccountState::Dormant)
    }

    /// The key itself, 32 bytes; empty without one.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

/// An enrolment attempt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule ENR-5")]
pub struct Attempt {
    #[n(0)]
    pub tenant: String,
    #[n(1)]
    pub user: String,
    #[n(2)]
    pub device: B32,
    #[n(3)]
    pub nonce: B32,
    #[n(4)]
    pub expiry: u64,
    #[n(5)]
    pub generation: u64,
    #[n(6)]
    pub open: bool,
    /// The authority's admission came for this nonce (ENR-9b).
    #[n(7)]
    pub admitted: bool,
}

pub(super) fn account_path(tenant: &str, user: &str) -> Vec<u8> {
    cbor::encode(&("account", tenant, user))
}

pub(super) fn attempt_path(id: &B32) -> Vec<u8> {
    cbor::encode(&("attempt", *id))
}

pub(super) fn attempts_path(tenant: &str, user: &str) -> Vec<u8> {
    cbor::encode(&("attempts", tenant, user))
}

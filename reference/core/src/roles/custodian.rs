//! A custodian's client: one person, one share, keys of their own.

use bailee_spec::outcome::Refusal;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::Context;
use super::custody::{Asked, Factor, factor_body};
use super::keystore::{Announced, NewShare};
use crate::cbor;
use crate::crypto::hpke::{self, Recipient};
use crate::crypto::labels;
use crate::crypto::sharing::{self, ShareValue};
use crate::crypto::sign::{self, PublicKey, Signing};
use crate::roles::keystore::{commitments, share_context, wrap_context};
use crate::wire::{B32, Blob, CeremonyBody, CustodianKeys, Header, ShareBody};

/// A share in the client's memory, for one ceremony.
#[derive(Clone)]
struct Held {
    ceremony: CeremonyBody,
    value: ShareValue,
}

/// A custodian's client.
#[cfg_attr(feature = "fork", derive(Clone))]
pub struct Custodian {
    index: u8,
    key: Signing,
    recipient: Recipient,
    authenticator: Signing,
    keystore: PublicKey,
    header: Option<Header>,
    former: Option<Header>,
    held: Option<Held>,
}

/// A share as it is handed to a node.
pub struct Submission {
    /// The encoded [`ShareBody`].
    pub share: Blob,
    /// The custodian's signature.
    pub signature: Blob,
}

impl Custodian {
    /// A custodian with fresh keys.
    pub fn generate(index: u8, keystore: PublicKey, rng: &mut dyn CryptoRng) -> Self {
        Custodian {
            index,
            key: Signing::generate(rng),
            recipient: Recipient::generate(rng),
            authenticator: Signing::generate(rng),
            keystore,
            header: None,
            former: None,
            held: None,
        }
    }

    /// Pins the keystore's key.
    pub fn pin(&mut self, keystore: PublicKey) {
        self.keystore = keystore;
    }

    /// The public keys, for the header.
    pub fn keys(&self) -> CustodianKeys {
        CustodianKeys { sign: self.key.public().into(), recipient: self.recipient.public().into() }
    }

    /// The authenticator's public key, for custody.
    pub fn authenticator(&self) -> PublicKey {
        self.authenticator.public()
    }

    /// The ceremony for which it holds a share in memory.
    pub fn holds_for(&self) -> Option<&B32> {
        self.held.as_ref().map(|held| &held.ceremony.id)
    }

    /// TIME-1: wipes a share whose ceremony is out of time.
    pub fn expire(&mut self) {
        self.held = None;
    }

    /// KEY-2: checks a new share against the commitments that came with it, and keeps the header.
    ///
    /// # Errors
    /// `OwnShareDamaged`.
    pub fn take_new(&mut self, new: &NewShare) -> Result<Vec<u8>, Refusal> {
        self.unwrap(&new.header, &new.sealed)?;
        self.former = self.header.replace(new.header.clone());
        Ok(self.key.sign(labels::SIGN_ACK, &new.header.digest()[..]))
    }

    /// Checks a new share without keeping anything; the acknowledgement.
    ///
    /// # Errors
    /// `OwnShareDamaged`.
    pub fn acknowledge(&self, new: &NewShare) -> Result<Vec<u8>, Refusal> {
        self.unwrap(&new.header, &new.sealed)?;
        Ok(self.key.sign(labels::SIGN_ACK, &new.header.digest()[..]))
    }

    /// The value of a wrapped share, checked.
    ///
    /// # Errors
    /// `OwnShareDamaged`.
    pub fn unwrap(&self, header: &Header, wrapped: &[u8]) -> Result<ShareValue, Refusal> {
        let context = wrap_context(&header.digest(), self.index);
        let opened = self.recipient.open(labels::HPKE_WRAP, &context, wrapped).ok_or(Refusal::OwnShareDamaged)?;
        let value = <[u8; 32]>::try_from(&opened[..]).map(Zeroizing::new).map_err(|_| Refusal::OwnShareDamaged)?;
        sharing::verify(self.index, &value, &commitments(header), header.threshold)
            .map_err(|_| Refusal::OwnShareDamaged)?;
        Ok(value)
    }

    /// CER-4: asks for a share with a code.
    pub fn ask(&self, index: u8, node: u8, code: Option<u64>) -> Asked {
        let factor = code.map(|code| Factor {
            code,
            signature: self.authenticator.sign(labels::SIGN_MFA, &factor_body(node, self.index, code)),
        });
        Asked { login: self.index, index, node, factor }
    }

    /// CER-4: unwraps what custody gave out, for the ceremony it was given out for.
    ///
    /// # Errors
    /// `BadSignature` for a ceremony that the node did not sign, `OwnShareDamaged`.
    pub fn receive(&mut self, wrapped: &[u8], ceremony: &Announced) -> Result<(), Refusal> {
        let limit = bailee_spec::limits::MESSAGE_BYTES;
        let body: CeremonyBody = cbor::decode(&ceremony.body, limit).map_err(|_| Refusal::Malformed)?;
        if !sign::verify(&self.keystore, labels::SIGN_CEREMONY, &ceremony.body, &ceremony.signature) {
            return Err(Refusal::BadSignature);
        }
        let known = [&self.header, &self.former].into_iter().flatten().find(|header| header.digest() == body.header);
        let header = known.cloned().ok_or(Refusal::OwnShareDamaged)?;
        let value = self.unwrap(&header, wrapped)?;
        self.held = Some(Held { ceremony: body, value });
        Ok(())
    }

    /// CER-5: hands the held share over and wipes it.
    ///
    /// # Errors
    /// `OutOfTurn` when it holds none, or one for another node's open ceremony.
    pub fn submit(
        &mut self,
        cx: &mut Context<'_>,
        node: u8,
        open_elsewhere: impl Fn(&B32) -> bool,
    ) -> Result<Submission, Refusal> {
        let held = self.held.as_ref().ok_or(Refusal::OutOfTurn)?;
        if held.ceremony.node != node && open_elsewhere(&held.ceremony.id) {
            return Err(Refusal::OutOfTurn);
        }
        let Some(held) = self.held.take() else { return Err(Refusal::OutOfTurn) };
        self.package(cx, &held.ceremony, self.index, &held.value).ok_or(Refusal::Malformed)
    }

    /// A share sealed to a ceremony and signed by this custodian, right or not.
    pub fn package(
        &self,
        cx: &mut Context<'_>,
        ceremony: &CeremonyBody,
        index: u8,
        value: &[u8; 32],
    ) -> Option<Submission> {
        let context = share_context(&ceremony.id, index);
        let sealed = hpke::seal_to(&ceremony.recipient, labels::HPKE_SHARE, &context, value, cx.rng)?;
        let body = ShareBody {
            ceremony: ceremony.id,
            index,
            share_epoch: ceremony.share_epoch,
            header: ceremony.header,
            sealed: sealed.into(),
        };
        let share = cbor::encode(&body);
        let signature = self.key.sign(labels::SIGN_SHARE, &share);
        Some(Submission { share: share.into(), signature: signature.into() })
    }
}

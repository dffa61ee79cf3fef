//! Custody: wrapped shares, windows, second factors, and an alert before every share.

use bailee_spec::outcome::Refusal;
use minicbor::{Decode, Encode};

use super::keystore::Announced;
use super::{Context, deadline};
use crate::cbor;
use crate::crypto::labels;
use crate::crypto::sign::{self, PublicKey};
use crate::disk::{Batch, Disk};
use crate::quirks::Quirk;
use crate::wire::{B32, Blob, CeremonyBody, Header};

/// A custodian's login at custody.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule CER-4")]
pub struct Login {
    #[n(0)]
    pub authenticator: B32,
    #[n(1)]
    pub last_code: u64,
}

/// A window: the ceremony for which shares may leave.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule CER-3")]
pub struct WindowRecord {
    #[n(0)]
    pub ceremony: Blob,
    #[n(1)]
    pub signature: Blob,
    #[n(2)]
    pub id: B32,
    #[n(3)]
    pub expiry: u64,
}

/// A second factor: the authenticator's signature over a code that only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factor {
    /// The code.
    pub code: u64,
    /// The signature over window, index and code.
    pub signature: Vec<u8>,
}

/// What a custodian asks for.
pub struct Asked {
    /// Who is logged in: the index of the custodian.
    pub login: u8,
    /// Whose share is asked for.
    pub index: u8,
    /// For the ceremony of which node.
    pub node: u8,
    /// The second factor.
    pub factor: Option<Factor>,
}

/// Custody.
#[cfg_attr(feature = "fork", derive(Clone))]
pub struct Custody {
    /// Its disk.
    pub disk: Disk,
    keystore: PublicKey,
}

fn window_name(node: u8) -> [u8; 3] {
    [b'w', b'/', node]
}

fn login_name(index: u8) -> [u8; 3] {
    [b'l', b'/', index]
}

fn share_name(share_epoch: u64, index: u8) -> Vec<u8> {
    [b"s/".as_slice(), &share_epoch.to_be_bytes(), &[index]].concat()
}

/// What the authenticator signs.
pub(crate) fn factor_body(node: u8, index: u8, code: u64) -> Vec<u8> {
    cbor::encode(&(node, index, code))
}

impl Custody {
    /// Custody for these custodians' authenticators.
    pub fn new(keystore: PublicKey, authenticators: &[PublicKey]) -> Self {
        let mut batch = Batch::default();
        for (index, authenticator) in (1u8..).zip(authenticators) {
            batch.put(login_name(index), &Login { authenticator: B32::from(*authenticator), last_code: 0 });
        }
        let mut disk = Disk::default();
        disk.commit(batch);
        Custody { disk, keystore }
    }

    /// Stores a custodian's wrapped share with its header (KEY-2).
    pub fn store_share(&self, header: &Header, index: u8, wrapped: &[u8]) -> Batch {
        let mut batch = Batch::default();
        batch.put_bytes(share_name(header.share_epoch, index), wrapped.to_vec());
        batch.put("header", header);
        batch
    }

    /// The wrapped share of an epoch.
    pub fn wrapped(&self, share_epoch: u64, index: u8) -> Option<Vec<u8>> {
        self.disk.bytes(share_name(share_epoch, index)).map(|bytes| bytes.to_vec())
    }

    /// The window for a node.
    pub fn window(&self, now: u64, node: u8) -> Option<WindowRecord> {
        self.disk.get::<WindowRecord>(window_name(node)).filter(|window| now <= window.expiry)
    }

    /// CER-3.
    ///
    /// # Errors
    /// `Malformed`, `BadSignature`.
    pub fn announce(&self, cx: &Context<'_>, ceremony: &Announced) -> Result<Batch, Refusal> {
        let limit = bailee_spec::limits::MESSAGE_BYTES;
        let body: CeremonyBody = cbor::decode(&ceremony.body, limit).map_err(|_| Refusal::Malformed)?;
        if !sign::verify(&self.keystore, labels::SIGN_CEREMONY, &ceremony.body, &ceremony.signature) {
            return Err(Refusal::BadSignature);
        }
        let record = WindowRecord {
            ceremony: ceremony.body.clone().into(),
            signature: ceremony.signature.clone().into(),
            id: body.id,
            expiry: deadline(cx.now),
        };
        let mut batch = Batch::default();
        batch.put(window_name(body.node), &record);
        Ok(batch)
    }

    /// The operator's word that the ceremony is over: the window is closed.
    pub fn close(&self, node: u8) -> Batch {
        let mut batch = Batch::default();
        batch.remove(window_name(node));
        batch
    }

    /// The last code that a login used.
    pub fn last_code(&self, index: u8) -> u64 {
        self.disk.get::<Login>(login_name(index)).map_or(0, |login| login.last_code)
    }

    /// Shares that left, and alerts that were recorded before.
    pub fn counts(&self) -> (u64, u64) {
        (self.disk.get("reads").unwrap_or(0), self.disk.get("alerts").unwrap_or(0))
    }

    fn check_factor(&self, cx: &Context<'_>, asked: &Asked) -> Result<Login, Refusal> {
        let mut login = self.disk.get::<Login>(login_name(asked.login)).ok_or(Refusal::NotYourShare)?;
        let lenient = cx.quirks.has(Quirk::NoSecondFactor);
        let Some(factor) = &asked.factor else {
            return if lenient { Ok(login) } else { Err(Refusal::MfaRequired) };
        };
        let body = factor_body(asked.node, asked.login, factor.code);
        if !sign::verify(&login.authenticator, labels::SIGN_MFA, &body, &factor.signature) {
            return Err(Refusal::MfaRequired);
        }
        if factor.code <= login.last_code && !lenient {
            return Err(Refusal::CodeReplayed);
        }
        login.last_code = login.last_code.max(factor.code);
        Ok(login)
    }

    /// CER-4. `alert` records the alert outside custody and says whether it did.
    ///
    /// # Errors
    /// The first failed check.
    pub fn request(
        &self,
        cx: &Context<'_>,
        asked: &Asked,
        alert: impl FnOnce() -> bool,
    ) -> Result<(Batch, Vec<u8>, Announced), Refusal> {
        if asked.login != asked.index && !cx.quirks.has(Quirk::ShareToAnyone) {
            return Err(Refusal::NotYourShare);
        }
        let login = self.check_factor(cx, asked)?;
        let window = if cx.quirks.has(Quirk::ShareWithoutRestart) {
            self.disk.get::<WindowRecord>(window_name(asked.node))
        } else {
            self.window(cx.now, asked.node)
        };
        let window = window.ok_or(Refusal::NoRestartPending)?;
        let alerted = alert();
        if !alerted && !cx.quirks.has(Quirk::ShareWithoutAlert) {
            return Err(Refusal::AlertUnavailable);
        }
        let limit = bailee_spec::limits::MESSAGE_BYTES;
        let body: CeremonyBody = cbor::decode(&window.ceremony, limit).map_err(|_| Refusal::Malformed)?;
        let wrapped = self.wrapped(body.share_epoch, asked.index).ok_or(Refusal::NotYourShare)?;
        let (reads, alerts) = self.counts();
        let mut batch = Batch::default();
        batch.put(login_name(asked.login), &login);
        batch.put("reads", &(reads + 1));
        batch.put("alerts", &(alerts + u64::from(alerted)));
        let ceremony = Announced { body: window.ceremony.to_vec(), signature: window.signature.to_vec() };
        Ok((batch, wrapped, ceremony))
    }
}

//! What is signed, sealed and stored inside frames (`spec/formats.cddl`).

use bailee_spec::outcome::Refusal;
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

use crate::crypto::sign::{self, PublicKey};

/// 32 bytes: a key, a digest, an id (GEN-11).
pub type B32 = ByteArray<32>;
/// Bytes of any length up to the frame's limit.
pub type Blob = ByteVec;

/// The largest escrow message, wrapped share and password, in bytes: a frame that carries one on stays within its limit.
pub const CARRIED_BYTES: usize = 4_096;

/// The largest content of a block, in bytes: sealed, it fits into a frame beside its capability.
pub const CONTENT_BYTES: usize = super::frame::BLOCK_FRAME_BYTES - 1_024;

/// Who a device is, and for which attempt (ENR-7).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "spec/protocol.md describes each field")]
pub struct Certificate {
    #[n(0)]
    pub attempt: B32,
    #[n(1)]
    pub nonce: B32,
    #[n(2)]
    pub session: B32,
    #[n(3)]
    pub device: B32,
    #[n(4)]
    pub recipient: B32,
}

/// The authority's word that an attempt may create an account (ENR-8).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "spec/protocol.md describes each field")]
pub struct AdmissionBody {
    #[n(0)]
    pub tenant: String,
    #[n(1)]
    pub user: String,
    #[n(2)]
    pub attempt: B32,
    #[n(3)]
    pub nonce: B32,
}

/// A key on its way into the keystore (ENR-11).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "spec/protocol.md describes each field")]
pub struct EscrowBody {
    #[n(0)]
    pub attempt: B32,
    #[n(1)]
    pub commitment: B32,
    #[n(2)]
    pub sealed: Blob,
}

/// The keystore's word that it holds a key (ENR-13).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "spec/protocol.md describes each field")]
pub struct ReceiptBody {
    #[n(0)]
    pub tenant: String,
    #[n(1)]
    pub user: String,
    #[n(2)]
    pub commitment: B32,
    #[n(3)]
    pub generation: u64,
}

/// A single-use permission to release (REP-1).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "spec/protocol.md describes each field")]
pub struct GrantBody {
    #[n(0)]
    pub id: B32,
    #[n(1)]
    pub tenant: String,
    #[n(2)]
    pub user: String,
    #[n(3)]
    pub recipient: B32,
    #[n(4)]
    pub epoch: u64,
    #[n(5)]
    pub expiry: u64,
}

/// Leave to append (BAK-1).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "spec/protocol.md describes each field")]
pub struct CapabilityBody {
    #[n(0)]
    pub tenant: String,
    #[n(1)]
    pub user: String,
    #[n(2)]
    pub device: B32,
    #[n(3)]
    pub epoch: u64,
    #[n(4)]
    pub expiry: u64,
    /// Leave to read, in place of leave to append.
    #[n(5)]
    pub read: bool,
}

/// A ceremony, signed by its node (CER-2).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "spec/protocol.md describes each field")]
pub struct CeremonyBody {
    #[n(0)]
    pub id: B32,
    #[n(1)]
    pub node: u8,
    #[n(2)]
    pub rekey: bool,
    #[n(3)]
    pub recipient: B32,
    #[n(4)]
    pub header: B32,
    #[n(5)]
    pub share_epoch: u64,
    #[n(6)]
    pub expiry: u64,
    /// How many ceremonies the node has opened: a later one has a higher number (CER-3b).
    #[n(7)]
    pub number: u64,
    /// Who holds the new shares after a rekey; none: those who hold them now.
    #[n(8)]
    pub roster: Option<Roster>,
}

/// Who holds the shares of a share epoch (KEY-5).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule KEY-5")]
pub struct Roster {
    #[n(0)]
    pub threshold: u8,
    #[n(1)]
    pub custodians: Vec<CustodianKeys>,
}

impl Roster {
    /// What a person agrees to: SHA-256 of its canonical CBOR (KEY-5a).
    pub fn digest(&self) -> B32 {
        B32::from(<[u8; 32]>::from(Sha256::digest(crate::cbor::encode(self))))
    }
}

/// A share, sealed to a ceremony and signed by its custodian (CER-5).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "spec/protocol.md describes each field")]
pub struct ShareBody {
    #[n(0)]
    pub ceremony: B32,
    #[n(1)]
    pub index: u8,
    #[n(2)]
    pub share_epoch: u64,
    #[n(3)]
    pub header: B32,
    #[n(4)]
    pub sealed: Blob,
}

/// The seal header: what the shares are checked against (GEN-25, GEN-26).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "spec/protocol.md describes each field")]
pub struct Header {
    #[n(0)]
    pub id: B32,
    #[n(1)]
    pub share_epoch: u64,
    #[n(2)]
    pub threshold: u8,
    #[n(3)]
    pub commitments: Vec<B32>,
    #[n(4)]
    pub custodians: Vec<CustodianKeys>,
    #[n(5)]
    pub root: Blob,
}

impl Header {
    /// What ceremonies, shares and acknowledgements name the header by: SHA-256 of all of it but the sealed root, in canonical
    /// CBOR. A custodian compares it with the copy kept beside the share, so that nobody who can write the header can put
    /// other commitments under an honest share (GEN-26a).
    pub fn digest(&self) -> B32 {
        let Header { id, share_epoch, threshold, commitments, custodians, root: _ } = self;
        let stated = crate::cbor::encode(&(id, share_epoch, threshold, commitments, custodians));
        B32::from(<[u8; 32]>::from(Sha256::digest(stated)))
    }
}

/// A custodian's public keys.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "spec/protocol.md describes each field")]
pub struct CustodianKeys {
    #[n(0)]
    pub sign: B32,
    #[n(1)]
    pub recipient: B32,
}

/// A second factor: the authenticator's signature over a code that only grows, for one ceremony (CER-4a).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule CER-4a")]
pub struct Factor {
    #[n(0)]
    pub code: u64,
    #[n(1)]
    pub signature: Blob,
}

/// What the authority decided, as its log says it (REV-5).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Decision {
    /// The user's key is the one with this commitment.
    #[n(0)]
    Enrolled(#[n(0)] B32),
    /// The user's standing, as its place in `Standing::ALL`.
    #[n(1)]
    Standing(#[n(0)] u8),
    /// The device was deauthorized.
    #[n(2)]
    Revoked(#[n(0)] B32),
}

/// An entry of the decision log (REV-5).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule REV-5")]
pub struct LogEntry {
    #[n(0)]
    pub tenant: String,
    #[n(1)]
    pub user: String,
    #[n(2)]
    pub decision: Decision,
}

/// A body and its signature as they travel: decoded, verified and checked for its signer in one call.
#[derive(Clone, Copy)]
pub struct Signed<'a> {
    /// The encoded body.
    pub body: &'a [u8],
    /// The signature over it.
    pub signature: &'a [u8],
}

impl Signed<'_> {
    /// The body, if it is canonical and this key signed it for this purpose.
    ///
    /// # Errors
    /// `malformed` when it does not decode, `forged` when the signature does not verify; in that order.
    pub fn open<T: for<'b> Decode<'b, ()> + Encode<()>>(
        self,
        signer: &PublicKey,
        label: &str,
        malformed: Refusal,
        forged: Refusal,
    ) -> Result<T, Refusal> {
        let body = crate::cbor::decode(self.body, bailee_spec::limits::MESSAGE_BYTES).map_err(|_| malformed)?;
        if sign::verify(signer, label, self.body, self.signature) { Ok(body) } else { Err(forged) }
    }
}

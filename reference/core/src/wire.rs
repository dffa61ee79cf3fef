//! The messages, as canonical CBOR (`spec/formats.cddl`). Every frame is decoded with [`crate::cbor::decode`] (NET-7).

use bailee_spec::observation::Message as Kind;
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

/// 32 bytes: a key, a digest, an id (GEN-11).
pub type B32 = ByteArray<32>;
/// Bytes of any length up to the frame's limit.
pub type Blob = ByteVec;

/// A frame: the exchange it belongs to (a session or a job), and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Frame {
    /// The session or job; none before there is one.
    #[n(0)]
    pub exchange: Option<B32>,
    /// The store generation, in what the keystore sends.
    #[n(1)]
    pub generation: Option<u64>,
    /// What it says.
    #[n(2)]
    pub body: Body,
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $n:literal $name:ident $({ $($(#[$fdoc:meta])* $fn:literal $field:ident: $ty:ty,)* })?)*) => {
        /// What a frame says; the variants are the kinds of `bailee_spec::observation::Message`.
        #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
        #[allow(missing_docs, reason = "spec/protocol.md describes each field")]
        pub enum Body {
            $($(#[$doc])* #[n($n)] $name $({ $($(#[$fdoc])* #[n($fn)] $field: $ty,)* })?,)*
        }

        impl Body {
            /// The kind of the message.
            pub fn kind(&self) -> Kind {
                match self { $(Body::$name { .. } => Kind::$name,)* }
            }
        }
    };
}

bodies! {
    0 SignIn { 0 tenant: String, 1 user: String, 2 password: Blob, }
    1 SessionOpened { 0 enrolled: Option<B32>, }
    2 BeginEnrolment { 0 attempt: B32, 1 device: B32, 2 recipient: B32, 3 proof: Blob, }
    3 OpenEnrolment { 0 tenant: String, 1 user: String, 2 attempt: B32, 3 device: B32, }
    4 EnrolmentOpened { 0 attempt: B32, 1 nonce: B32, 2 intake: B32, }
    5 Nonce { 0 nonce: B32, 1 intake: B32, }
    6 PresentCertificate { 0 certificate: Blob, 1 signature: Blob, }
    7 CreateAccount { 0 admission: Blob, 1 signature: Blob, }
    8 AccountCreated { 0 attempt: B32, }
    9 Admission
    10 EscrowKey { 0 escrow: Blob, 1 signature: Blob, }
    11 Escrow { 0 tenant: String, 1 user: String, 2 device: B32, 3 escrow: Blob, 4 signature: Blob, }
    12 Receipt { 0 receipt: Blob, 1 signature: Blob, 2 escrow: Blob, 3 attempt: B32, }
    13 Authorised { 0 receipt: Blob, 1 signature: Blob, }
    14 AddDevice { 0 device: B32, 1 recipient: B32, 2 proof: Blob, }
    15 ReleaseKey { 0 grant: Blob, 1 signature: Blob, }
    16 ConsumeGrant { 0 grant: B32, }
    17 GrantConsumed { 0 grant: B32, 1 epoch: u64, 2 signature: Blob, }
    18 GrantRefused { 0 grant: B32, }
    19 SealedKey { 0 grant: B32, 1 sealed: Blob, 2 receipt: Blob, 3 signature: Blob, }
    20 KeyDelivery { 0 grant: B32, 1 sealed: Blob, 2 receipt: Blob, 3 signature: Blob, }
    21 AlreadyEscrowed { 0 receipt: Blob, 1 signature: Blob, 2 escrow: Blob, 3 attempt: B32, }
    22 GoReplace
    23 KeystoreRefusal { 0 reason: u8, }
    24 Refusal { 0 reason: u8, }
    25 AssignJob { 0 job: B32, 1 tenant: String, 2 user: String, }
    26 JobKey { 0 recipient: B32, 1 signature: Blob, }
    27 JobEnd { 0 completed: bool, }
}

/// Who a device is, and for which attempt (rule ENR-7, D3).
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

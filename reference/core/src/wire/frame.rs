//! Frames: the exchange that a message belongs to, and what it says. Every frame is decoded with [`Frame::decode`] (NET-7).

use std::fmt;

use bailee_spec::limits::{FETCH_BLOCKS, MESSAGE_BYTES};
use bailee_spec::observation::Message;
use minicbor::{Decode, Encode};

use super::field::{Field, Shown};
use super::{B32, Blob, Factor, Header, LogEntry, Roster};
use crate::cbor::{self, CborError};
use crate::machine::{Peer, Person};

/// A frame: the exchange it belongs to (a session or a job), and what it says.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Frame {
    /// The session or job; none outside of them.
    #[n(0)]
    pub exchange: Option<B32>,
    /// The store generation, in what the keystore sends.
    #[n(1)]
    pub generation: Option<u64>,
    /// What it says.
    #[n(2)]
    pub body: Body,
}

/// Of the exchange only its beginning: whoever has all of it is in the session.
impl fmt::Debug for Frame {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Frame")
            .field("exchange", &Shown(&self.exchange))
            .field("generation", &self.generation)
            .field("body", &self.body)
            .finish()
    }
}

/// A kind of sender (GEN-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the roles of protocol.md, section 2")]
pub enum Sender {
    Client,
    Device,
    Authority,
    Keystore,
    Storage,
    Restorer,
    Custody,
    Custodian,
    Alerts,
    Holder,
    User,
    Admin,
    Schedule,
    Operator,
    Stranger,
}

impl Sender {
    /// The kind of a peer.
    pub fn of(peer: &Peer) -> Self {
        match peer {
            Peer::Client => Sender::Client,
            Peer::Device(_) => Sender::Device,
            Peer::Authority => Sender::Authority,
            Peer::Keystore(_) => Sender::Keystore,
            Peer::Storage => Sender::Storage,
            Peer::Restorer => Sender::Restorer,
            Peer::Custody => Sender::Custody,
            Peer::Custodian(_) => Sender::Custodian,
            Peer::Alerts => Sender::Alerts,
            Peer::Person(Person::Holder) => Sender::Holder,
            Peer::Person(Person::User { .. }) => Sender::User,
            Peer::Person(Person::Admin { .. }) => Sender::Admin,
            Peer::Person(Person::Schedule) => Sender::Schedule,
            Peer::Person(Person::Operator) => Sender::Operator,
            Peer::Person(Person::Stranger) => Sender::Stranger,
        }
    }
}

/// A kind of receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the roles of protocol.md, section 2")]
pub enum Place {
    Device,
    Authority,
    Keystore,
    Storage,
    Restorer,
    Custody,
    Custodian,
    Alerts,
    Person,
}

macro_rules! bodies {
    ($($n:literal $name:ident: $($sender:ident)|+ => $($place:ident)|+
        $({ $($fn:literal $field:ident: $ty:ty,)* })?;)*) => {
        /// What a frame says.
        #[derive(Clone, PartialEq, Eq, Encode, Decode)]
        #[allow(missing_docs, reason = "spec/protocol.md describes each field")]
        pub enum Body {
            $(#[n($n)] $name $({ $(#[n($fn)] $field: $ty,)* })?,)*
        }

        impl Body {
            /// The name of every kind, with its number, who may send it and who may receive it.
            pub const TABLE: &'static [(u8, &'static str, &'static [Sender], &'static [Place])] = &[
                $(($n, stringify!($name), &[$(Sender::$sender,)+], &[$(Place::$place,)+]),)*
            ];

            /// The number of its kind.
            pub fn number(&self) -> u8 {
                match self { $(Body::$name { .. } => $n,)* }
            }

            /// Whether every name in it is one (GEN-12).
            pub fn names_fit(&self) -> bool {
                match self { $(Body::$name { $($($field,)*)? } => true $($(&& $field.fits())*)?,)* }
            }
        }

        /// The kind, names and numbers; of bytes how many there are, since they may be secret (GEN-32).
        impl fmt::Debug for Body {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Body::$name { $($($field,)*)? } => out
                        .debug_struct(stringify!($name))
                        $($(.field(stringify!($field), &Shown($field)))*)?
                        .finish(),)*
                }
            }
        }
    };
}

bodies! {
    // Enrolment, replacement and jobs: one exchange each, request and reply.
    0 SignIn: Client | Device => Authority { 0 tenant: String, 1 user: String, 2 password: Blob, };
    1 SessionOpened: Authority => Device { 0 enrolled: Option<B32>, };
    2 BeginEnrolment: Client | Device => Authority { 0 attempt: B32, 1 device: B32, 2 recipient: B32, 3 proof: Blob, };
    3 OpenEnrolment: Authority => Keystore { 0 tenant: String, 1 user: String, 2 attempt: B32, 3 device: B32, };
    4 EnrolmentOpened: Keystore => Authority { 0 attempt: B32, 1 nonce: B32, 2 intake: B32, 3 signature: Blob, };
    5 Nonce: Authority => Device { 0 nonce: B32, 1 intake: B32, 2 signature: Blob, };
    6 PresentCertificate: Client | Device => Authority { 0 certificate: Blob, 1 signature: Blob, };
    7 CreateAccount: Authority => Keystore { 0 admission: Blob, 1 signature: Blob, };
    8 AccountCreated: Keystore => Authority { 0 attempt: B32, };
    9 Admission: Authority => Device;
    10 EscrowKey: Client | Device => Authority { 0 escrow: Blob, 1 signature: Blob, };
    11 Escrow: Authority => Keystore { 0 tenant: String, 1 user: String, 2 device: B32, 3 escrow: Blob, 4 signature: Blob, };
    12 Receipt: Keystore => Authority { 0 receipt: Blob, 1 signature: Blob, 2 escrow: Blob, 3 attempt: B32, };
    13 Authorised: Authority => Device { 0 receipt: Blob, 1 signature: Blob, };
    14 AddDevice: Client | Device => Authority { 0 device: B32, 1 recipient: B32, 2 proof: Blob, };
    15 ReleaseKey: Authority => Keystore { 0 grant: Blob, 1 signature: Blob, };
    16 ConsumeGrant: Keystore => Authority { 0 grant: B32, 1 challenge: B32, };
    17 GrantConsumed: Authority => Keystore { 0 grant: B32, 1 challenge: B32, 2 epoch: u64, 3 signature: Blob, };
    18 GrantRefused: Authority => Keystore { 0 grant: B32, };
    19 SealedKey: Keystore => Authority { 0 grant: B32, 1 sealed: Blob, 2 receipt: Blob, 3 signature: Blob, };
    20 KeyDelivery: Authority => Device | Restorer { 0 grant: B32, 1 sealed: Blob, 2 receipt: Blob, 3 signature: Blob, };
    21 AlreadyEscrowed: Keystore => Authority { 0 receipt: Blob, 1 signature: Blob, 2 escrow: Blob, 3 attempt: B32, };
    22 GoReplace: Authority => Device;
    23 KeystoreRefusal: Keystore => Authority { 0 reason: u8, };
    24 Refusal: Authority | Keystore | Storage | Custody | Custodian | Device | Restorer
        => Device | Restorer | Custodian | Person { 0 reason: u8, };
    25 AssignJob: Authority => Restorer { 0 job: B32, 1 tenant: String, 2 user: String, 3 deadline: u64, 4 capability: Blob, 5 signature: Blob, };
    26 JobKey: Restorer => Authority { 0 recipient: B32, 1 signature: Blob, };
    27 JobEnd: Restorer => Authority { 0 completed: bool, };

    // Backup.
    28 GetCapability: Device => Authority { 0 read: bool, };
    29 Capability: Authority => Device { 0 capability: Blob, 1 signature: Blob, };
    30 Append: Device => Storage { 0 capability: Blob, 1 signature: Blob, 2 block: Blob, };
    31 Appended: Storage => Device { 0 number: u64, };
    32 Fetch: Device | Restorer => Storage { 0 capability: Blob, 1 signature: Blob, 2 from: u64, };
    33 Blocks: Storage => Device | Restorer { 0 blocks: Vec<Blob>, 1 next: Option<u64>, };

    // Revocation.
    34 Publish: Authority => Keystore | Storage | Restorer { 0 from: u64, 1 entries: Vec<LogEntry>, 2 epoch: u64, 3 head: u64, 4 lease: Option<u64>, };
    35 Confirm: Keystore | Storage | Restorer => Authority { 0 index: u64, 1 epoch: u64, };
    36 Report: Device => Authority;
    37 Erase: Authority => Device { 0 signature: Blob, };
    38 Served: Authority => Device;

    // Keys that come back.
    39 GetIntake: Device => Authority { 0 nonce: B32, };
    40 OfferIntake: Authority => Keystore { 0 nonce: B32, };
    41 Intake: Keystore => Authority { 0 nonce: B32, 1 intake: B32, 2 signature: Blob, };
    42 IntakeOffered: Authority => Device { 0 intake: B32, 1 signature: Blob, };
    43 ReEscrow: Device => Authority { 0 escrow: Blob, };
    44 ReturnKey: Authority => Keystore { 0 tenant: String, 1 user: String, 2 dormant: bool, 3 logged: B32, 4 escrow: Blob, 5 epoch: u64, };
    45 KeyReturned: Keystore => Authority { 0 tenant: String, 1 user: String, 2 commitment: B32, };

    // Ceremonies.
    46 OpenCeremony: Operator | Stranger => Keystore { 0 rekey: bool, 1 roster: Option<Roster>, };
    47 Ceremony: Keystore => Person { 0 ceremony: Blob, 1 signature: Blob, };
    48 Announce: Operator => Custody { 0 ceremony: Blob, 1 signature: Blob, };
    49 CloseWindow: Operator => Custody { 0 node: u8, };
    50 GetWindow: Custodian => Custody { 0 node: u8, };
    51 Window: Custody | Custodian => Custodian | Person { 0 ceremony: Blob, 1 signature: Blob, };
    52 RequestShare: Custodian => Custody { 0 index: u8, 1 node: u8, 2 factor: Option<Factor>, };
    53 Alert: Custody => Alerts { 0 id: B32, 1 login: u8, 2 node: u8, 3 ceremony: B32, };
    54 AlertRecorded: Alerts => Custody { 0 id: B32, };
    55 AlertFailed: Alerts => Custody { 0 id: B32, };
    56 ReleasedShare: Custody => Custodian { 0 wrapped: Blob, 1 ceremony: Blob, 2 signature: Blob, };
    57 SubmitShare: Custodian => Keystore { 0 share: Blob, 1 signature: Blob, };
    58 ShareCounted: Keystore => Custodian { 0 index: u8, };
    59 NewShare: Keystore => Custodian { 0 index: u8, 1 wrapped: Blob, 2 header: Header, 3 ceremony: Blob, 4 signature: Blob, };
    60 StoreShare: Custodian => Custody { 0 header: Header, 1 wrapped: Blob, };
    61 ShareStored: Custody => Custodian { 0 header: B32, };
    62 AckShare: Custodian => Keystore { 0 index: u8, 1 signature: Blob, };
    63 Rekeyed: Keystore => Custodian { 0 header: B32, };
    64 NewRoot: Keystore => Keystore { 0 header: B32, 1 sealed: Blob, };
    65 SealNode: Operator => Keystore;
    66 SetLogin: Operator => Custody { 0 index: u8, 1 authenticator: B32, };
    67 Awake: Keystore => Authority { 0 index: u64, 1 covers: u64, };

    // Snapshots.
    68 TakeSnapshot: Operator | Schedule => Keystore;
    69 SnapshotTaken: Keystore => Authority { 0 digest: B32, 1 share_epoch: u64, 2 covers: u64, };
    70 Witnessed: Authority => Keystore { 0 digest: B32, };
    71 Stage: Operator => Keystore { 0 snapshot: Blob, };
    72 GetWitness: Keystore => Authority;
    73 Witness: Authority => Keystore { 0 digests: Vec<B32>, 1 generation: u64, 2 index: u64, };

    // Orders of people to the authority.
    74 RequestJob: User | Admin | Schedule => Authority { 0 tenant: String, 1 user: String, };
    75 AbortJob: User | Admin => Authority { 0 tenant: String, 1 user: String, };
    76 EndJob: Authority => Restorer { 0 job: B32, 1 tenant: String, 2 user: String, 3 deadline: u64, };
    77 Deauthorize: User | Admin => Authority { 0 tenant: String, 1 user: String, 2 device: B32, };
    78 SetStanding: Admin | Schedule => Authority { 0 tenant: String, 1 user: String, 2 change: StandingChange, };
    79 SetRight: Admin => Authority { 0 tenant: String, 1 admin: String, 2 restore: bool, };
    80 ReplayKey: Operator | Admin | Schedule => Authority { 0 tenant: String, 1 user: String, };

    // Orders of people to their own programs.
    81 EnterPassword: Holder => Device { 0 password: Blob, };
    82 StartBackup: Holder | Schedule => Device;
    83 BackUp: Holder | Schedule => Device { 0 content: Blob, };
    84 ReadBack: Holder => Device;
    85 CheckIn: Holder | Schedule => Device;
    86 EscrowAgain: Holder | Schedule => Device;
    87 FetchShare: Holder => Custodian { 0 node: u8, 1 code: Option<u64>, 2 roster: Option<B32>, };
    88 HandIn: Holder => Custodian { 0 node: u8, };
    89 Done: Authority | Keystore | Storage | Custody => Device | Custodian | Person;
    90 Snapshot: Keystore => Person { 0 snapshot: Blob, };
    91 SnapshotKept: Operator | Schedule => Keystore { 0 digest: B32, };
}

/// What becomes of a user (SUS, DEA).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
#[allow(missing_docs, reason = "the verbs of protocol.md, sections 11.4 and 11.5")]
pub enum StandingChange {
    #[n(0)]
    Suspend,
    #[n(1)]
    Resume,
    #[n(2)]
    Deactivate,
    #[n(3)]
    Reactivate,
    #[n(4)]
    Purge,
}

impl Field for StandingChange {
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

/// How many kinds are of enrolment, replacement and jobs: the first ones, in the order of the alphabet.
const IN_EXCHANGES: usize = 28;

impl Frame {
    /// A frame from its bytes (GEN-5), in which each field is of its type (GEN-5a). Other bytes yield nothing that a role could be
    /// handed (NET-10).
    ///
    /// # Errors
    /// What is wrong, and where; `TooLarge` for more bytes than its kind may have.
    pub fn decode(bytes: &[u8]) -> Result<Frame, CborError> {
        let frame: Frame = cbor::decode(bytes, BULK_BYTES)?;
        let (length, limit) = (bytes.len(), frame.body.limit());
        if length > limit { Err(CborError::TooLarge { length, limit }) } else { Ok(frame) }
    }
}

/// The most bytes of a frame with a block.
pub(super) const BLOCK_FRAME_BYTES: usize = (2 << 20) + MESSAGE_BYTES;
/// The most bytes of any frame: blocks of an archive, or a snapshot.
const BULK_BYTES: usize = FETCH_BLOCKS * (2 << 20) + MESSAGE_BYTES;

impl Body {
    /// The most bytes of a frame of its kind (section 17).
    pub fn limit(&self) -> usize {
        match self {
            Body::Append { .. } | Body::BackUp { .. } => BLOCK_FRAME_BYTES,
            Body::Blocks { .. } | Body::Snapshot { .. } | Body::Stage { .. } => BULK_BYTES,
            _ => MESSAGE_BYTES,
        }
    }

    /// The name of its kind.
    pub fn name(&self) -> &'static str {
        Body::TABLE[usize::from(self.number())].1
    }

    /// Whether this kind may come from this peer to this place (GEN-6): the one check of who may send what.
    pub fn may_come(&self, from: &Peer, place: Place) -> bool {
        let (_, _, senders, places) = Body::TABLE[usize::from(self.number())];
        senders.contains(&Sender::of(from)) && places.contains(&place)
    }

    /// The kind of the message in the alphabet; none for what is in no lane.
    pub fn message(&self) -> Option<Message> {
        match self {
            Body::Publish { .. } => Some(Message::Publish),
            Body::Confirm { .. } => Some(Message::Confirm),
            _ if usize::from(self.number()) < IN_EXCHANGES => Message::ALL.get(usize::from(self.number())).copied(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_table() {
        for (at, (number, ..)) in Body::TABLE.iter().enumerate() {
            assert_eq!(at, usize::from(*number));
        }
    }

    #[test]
    fn the_kinds_of_the_alphabet_are_the_first_ones() {
        for (kind, (_, name, ..)) in Message::ALL.iter().zip(Body::TABLE).take(IN_EXCHANGES) {
            assert_eq!(format!("{kind:?}"), *name);
        }
    }
}

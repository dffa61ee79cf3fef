//! Which bits of a world a scope can use, derived from the scope's declaration and checked at every pack.

use bailee_spec::scope::{Part, Scope, Start};
use zerocopy::TryFromBytes;

use super::SmallWorld;
use super::world::{CUSTODIANS, NODES};

/// Users and devices of a packed world.
const USERS: usize = 2;
const DEVICES: usize = 2;

/// What a field is: decides how many bits a scope needs for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `Standing`.
    Standing,
    /// The key in the log, in the account, on a disk.
    StoredKey,
    /// A kept escrow message.
    KeptKey,
    /// An account.
    Account,
    /// An archive.
    Archive,
    /// Anything of a snapshot's accounts.
    SnapshotAccount,
    /// The key in such an account.
    SnapshotKey,
    /// The adversary's.
    Loot,
    /// A disk.
    Disk,
    /// A program.
    Program,
    /// A key in a device's memory.
    MemoryKey,
    /// A capability.
    Capability,
    /// A device at the authority.
    AtAuthority,
    /// An attempt.
    Attempt,
    /// An attempt at the keystore.
    AttemptAtKeystore,
    /// A message in a device's lane.
    LaneMessage,
    /// Its key.
    LaneKey,
    /// Its marks.
    LaneMark,
    /// A message in a late lane.
    LateMessage,
    /// Its key.
    LateKey,
    /// Its marks.
    LateMark,
    /// The outdated mark of any device lane.
    Outdated,
    /// Sealed.
    Sealed,
    /// A ceremony.
    Ceremony,
    /// A window.
    Window,
    /// A share in memory.
    Share,
    /// A counted share.
    Counted,
    /// An acknowledgement.
    Acked,
    /// A job's state.
    JobState,
    /// A job's kind.
    JobKind,
    /// A job's notice.
    JobNotice,
    /// A job's user.
    JobUser,
    /// A job key.
    Waiting,
    /// A job's message.
    JobMessage,
    /// A key of a job.
    JobKey,
    /// A mark of a job's lane.
    JobMark,
    /// The outdated mark of the job's lane.
    JobOutdated,
    /// A point.
    Point,
    /// The snapshot.
    Snapshot,
    /// A staged restore.
    Restoring,
    /// Retired shares.
    RetiredShares,
    /// The alert sink.
    AlertsUp,
    /// The admin's right.
    AdminRight,
}

impl Kind {
    fn names_a_key(self) -> bool {
        use Kind as K;
        matches!(
            self,
            K::StoredKey | K::KeptKey | K::SnapshotKey | K::MemoryKey | K::LaneKey | K::LateKey | K::JobKey
        )
    }

    fn is_of_a_custodian(self) -> bool {
        // `Loot` is a user's as well: one look too many does no harm.
        matches!(self, Kind::Share | Kind::Counted | Kind::Acked | Kind::Loot)
    }
}

/// Whose field it is: only the owners that a scope declares have bits.
#[derive(Clone, Copy)]
enum Owner {
    User(usize),
    Device(usize),
    Node(usize),
    Custodian(usize),
    All,
}

impl Owner {
    fn declared(self, s: &Scope) -> bool {
        match self {
            Owner::User(i) => i < s.users as usize,
            Owner::Device(i) => i < (s.users * s.devices_per_user) as usize,
            Owner::Node(i) => i < s.nodes as usize,
            Owner::Custodian(i) => i < s.custodians as usize,
            Owner::All => true,
        }
    }
}

/// The fields of a world in order, a byte each: what each is, and whose.
fn fields() -> Vec<(Kind, Owner)> {
    let mut all = Vec::new();
    for i in 0..USERS {
        all.extend(USER.map(|kind| (kind, Owner::User(i))));
    }
    for i in 0..DEVICES {
        all.extend(DEVICE.map(|kind| (kind, Owner::Device(i))));
    }
    for i in 0..NODES {
        all.extend([Kind::Sealed, Kind::Ceremony, Kind::Window].map(|kind| (kind, Owner::Node(i))));
    }
    for i in 0..CUSTODIANS {
        let of = Owner::Custodian(i);
        all.push((Kind::Share, of));
        all.extend((0..NODES).map(|node| (Kind::Counted, Owner::Node(node))));
        all.extend([(Kind::Acked, of), (Kind::Loot, of)]);
    }
    all.extend(REST.map(|kind| (kind, Owner::All)));
    all
}

/// The fields of [`UserState`](super::world::UserState).
const USER: [Kind; 11] = [
    Kind::Standing,
    Kind::StoredKey,
    Kind::KeptKey,
    Kind::Account,
    Kind::StoredKey,
    Kind::Archive,
    Kind::SnapshotAccount,
    Kind::SnapshotKey,
    Kind::Loot,
    Kind::Loot,
    Kind::Loot,
];

/// The fields of [`DeviceRecord`](super::world::DeviceRecord).
const DEVICE: [Kind; 18] = [
    Kind::Disk,
    Kind::StoredKey,
    Kind::Program,
    Kind::MemoryKey,
    Kind::Capability,
    Kind::AtAuthority,
    Kind::Attempt,
    Kind::AttemptAtKeystore,
    Kind::LaneMessage,
    Kind::LaneKey,
    Kind::LaneMark,
    Kind::LaneMark,
    Kind::Outdated,
    Kind::LateMessage,
    Kind::LateKey,
    Kind::LateMark,
    Kind::LateMark,
    Kind::Outdated,
];

/// The fields of [`JobRecord`](super::world::JobRecord) and the rest of a world.
const REST: [Kind; 19] = [
    Kind::JobState,
    Kind::JobKind,
    Kind::JobNotice,
    Kind::JobUser,
    Kind::Waiting,
    Kind::JobKey,
    Kind::JobMessage,
    Kind::JobKey,
    Kind::JobMark,
    Kind::JobMark,
    Kind::JobOutdated,
    Kind::Point,
    Kind::Point,
    Kind::Point,
    Kind::Snapshot,
    Kind::Restoring,
    Kind::RetiredShares,
    Kind::AlertsUp,
    Kind::AdminRight,
];

/// Words of a world.
const WORDS: usize = size_of::<SmallWorld>() / 8;

/// A world as its words: what is compared and packed at once. Its fields are bytes, in the order of [`fields`].
type Words = [[u8; 8]; WORDS];

#[inline(always)]
fn words(world: &SmallWorld) -> &Words {
    zerocopy::transmute_ref!(world)
}

/// Whether two worlds are the same, byte for byte.
#[inline(always)]
pub(super) fn same(a: &SmallWorld, b: &SmallWorld) -> bool {
    words(a) == words(b)
}

/// A word with only so many of its lowest bits set, at most 64.
fn low(bits: u32) -> u64 {
    u64::MAX.checked_shr(64 - bits).unwrap_or(0)
}

/// How the bits of a word that a scope uses are brought together: the `compress` of Warren, *Hacker's Delight*, section 7-4.
/// In six steps each bit moves down by the number of unused bits below it, a power of two at a time.
#[derive(Clone, Copy, Debug, Default)]
struct Compress {
    /// The bits that are used.
    mask: u64,
    /// The bits that step *i* moves by 2^*i*, where they are before it.
    moves: [u64; 6],
}

impl Compress {
    fn new(mask: u64) -> Self {
        let mut compress = Compress { mask, moves: [0; 6] };
        let mut bits = mask;
        for (step, moves) in compress.moves.iter_mut().enumerate() {
            for bit in (0..64).filter(|bit| bits >> bit & 1 == 1) {
                let settled = (bits & ((1 << bit) - 1)).count_ones();
                if (bit - settled) >> step & 1 == 1 {
                    *moves |= 1 << bit;
                }
            }
            bits = bits & !*moves | (bits & *moves) >> (1 << step);
        }
        compress
    }

    #[inline(always)]
    fn together(&self, word: u64) -> u64 {
        let mut bits = word & self.mask;
        for (step, moves) in self.moves.iter().enumerate() {
            let moved = bits & moves;
            bits = bits ^ moved | moved >> (1 << step);
        }
        bits
    }

    /// The inverse, of the lowest bits.
    #[inline(always)]
    fn apart(&self, bits: u64) -> u64 {
        let mut bits = bits & low(self.mask.count_ones());
        for (step, moves) in self.moves.iter().enumerate().rev() {
            let moved = bits << (1 << step) & moves;
            bits = bits & !(*moves >> (1 << step)) | moved;
        }
        bits
    }
}

/// Where the bits of a word are in a key.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The word.
    word: u8,
    /// In the upper half of the key; no word is in both.
    upper: bool,
    /// The lowest of its bits in that half.
    shift: u8,
    /// How they come together.
    compress: Compress,
    /// The bits of the word that name keys.
    keys: u64,
    /// The bits of the word that are custodians'.
    custodians: u64,
}

/// How a scope's worlds are packed: a key holds the bits in which a world differs from the one that the scope starts in.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The world that the scope starts in.
    base: SmallWorld,
    /// The bits of each word that may differ from it.
    masks: [u64; WORDS],
    /// The words of which the scope uses any bits.
    places: Vec<Place>,
    /// Bits in all.
    bits: u32,
}

/// In what two worlds differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Difference {
    /// The bits in which their keys differ; 0: the worlds are the same.
    pub(super) bits: u128,
    /// Whether a position holds another key.
    pub(super) keys: bool,
    /// Whether a custodian is another.
    pub(super) custodians: bool,
}

impl Layout {
    /// The layout of a scope that starts in `base`.
    pub fn new(scope: &Scope, base: SmallWorld) -> Self {
        let [mut masks, mut keys, mut custodians] = [[[0; 8]; WORDS]; 3];
        for (at, (kind, of)) in fields().into_iter().enumerate() {
            let width = if of.declared(scope) { width(scope, kind) } else { 0 };
            let all = |on| if on { u8::MAX } else { 0 };
            masks[at / 8][at % 8] = ((1u16 << width) - 1) as u8;
            keys[at / 8][at % 8] = all(kind.names_a_key());
            custodians[at / 8][at % 8] = all(kind.is_of_a_custodian());
        }
        let [masks, keys, custodians] = [masks, keys, custodians].map(|words| words.map(u64::from_le_bytes));
        let mut layout = Layout { base, masks, places: Vec::new(), bits: 0 };
        for (word, mask) in (0..).zip(masks).filter(|(_, mask)| *mask != 0) {
            let width = mask.count_ones();
            if layout.bits < 64 && layout.bits + width > 64 {
                layout.bits = 64;
            }
            let (upper, shift) = (layout.bits >= 64, (layout.bits % 64) as u8);
            let (keys, custodians) = (keys[word as usize], custodians[word as usize]);
            layout.places.push(Place { word, upper, shift, compress: Compress::new(mask), keys, custodians });
            layout.bits += width;
        }
        layout
    }

    /// Bits a state.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The difference of two worlds. Few words of a world differ from those of the world before it, so it costs less to pack
    /// what differs than to pack the world.
    ///
    /// # Panics
    /// As [`Layout::pack`].
    #[inline]
    pub(super) fn difference(&self, one: &SmallWorld, other: &SmallWorld) -> Difference {
        let (one, other) = (words(one), words(other));
        let differs = |word: usize| u64::from_le_bytes(one[word]) ^ u64::from_le_bytes(other[word]);
        let stray = (0..WORDS).fold(0, |stray, word| stray | differs(word) & !self.masks[word]);
        assert!(stray == 0, "the scope's layout has no room for {one:x?}, which differs from {other:x?}");
        let (mut lower, mut upper) = (0, 0);
        let (mut keys, mut custodians) = (0, 0);
        for place in &self.places {
            let differs = differs(place.word as usize);
            if differs != 0 {
                let bits = place.compress.together(differs) << (place.shift % 64);
                if place.upper {
                    upper |= bits
                } else {
                    lower |= bits
                }
                keys |= differs & place.keys;
                custodians |= differs & place.custodians;
            }
        }
        let bits = u128::from(upper) << 64 | u128::from(lower);
        Difference { bits, keys: keys != 0, custodians: custodians != 0 }
    }

    /// Packs a world.
    ///
    /// # Panics
    /// When the world differs from the scope's initial one in a bit that the scope's declaration does not give it: the layout
    /// is wrong, and any count made with it would be.
    pub fn pack(&self, world: &SmallWorld) -> u128 {
        self.difference(world, &self.base).bits
    }

    /// The world of a packed state.
    ///
    /// # Panics
    /// When the key is none that [`Layout::pack`] made.
    pub fn unpack(&self, key: u128) -> SmallWorld {
        let (lower, upper) = (key as u64, (key >> 64) as u64);
        let mut words = words(&self.base).map(u64::from_le_bytes);
        for place in &self.places {
            let half = if place.upper { upper } else { lower };
            words[place.word as usize] ^= place.compress.apart(half >> (place.shift % 64));
        }
        let bytes = words.map(u64::to_le_bytes);
        let Ok(world) = SmallWorld::try_read_from_bytes(bytes.as_flattened()) else {
            panic!("{key:#x} is no packed world of this scope")
        };
        world
    }
}

/// The bits that a scope needs for a field.
fn width(scope: &Scope, kind: Kind) -> u32 {
    let has = |part| scope.parts.contains(&part);
    let any = |parts: &[Part]| parts.iter().any(|part| has(*part));
    let when = |on: bool, bits: u32| if on { bits } else { 0 };
    let signs_in = has(Part::SignIn);
    let enrols = signs_in && scope.start != Start::Enrolled;
    let late = has(Part::Late) && signs_in;
    let retires = any(&[Part::Revocation, Part::Deactivation]);
    let jobs = any(&[Part::OwnRestore, Part::OnBehalf, Part::Maintenance]);
    let ceremonies = any(&[Part::Ceremony, Part::Rekey]);
    let disaster = has(Part::Disaster);
    let key = if enrols { if scope.users * scope.devices_per_user > 2 { 4 } else { 3 } } else { 2 };
    match kind {
        Kind::Standing => {
            if any(&[Part::Deactivation, Part::Purge]) {
                2
            } else {
                when(has(Part::Suspension), 1)
            }
        }
        Kind::StoredKey => when(signs_in || disaster || retires || has(Part::Purge), key),
        Kind::KeptKey | Kind::SnapshotKey => when(enrols || disaster || has(Part::Purge), key),
        Kind::Account => when(enrols || disaster || any(&[Part::Deactivation, Part::Purge]), 3),
        Kind::Archive => when(any(&[Part::Backup, Part::Purge]), 1),
        Kind::SnapshotAccount => when(disaster, 3),
        Kind::Loot => when(has(Part::Adversary), 1),
        Kind::Disk => when(signs_in || retires, 2),
        Kind::Program => when(signs_in, 2),
        Kind::MemoryKey => when(enrols, key),
        Kind::Capability => when(has(Part::Backup), 2),
        Kind::AtAuthority => when(signs_in || retires, 3),
        Kind::Attempt => when(enrols, 2),
        Kind::AttemptAtKeystore => when(enrols, 1),
        Kind::LaneMessage => when(signs_in, 5),
        Kind::LaneKey => when(signs_in, key),
        Kind::LaneMark => when(signs_in, 1),
        Kind::LateMessage => when(late, 5),
        Kind::LateKey => when(late, key),
        Kind::LateMark => when(late, 1),
        Kind::Outdated => when(disaster && signs_in, 1),
        Kind::Sealed => {
            when(any(&[Part::KeystoreRestart, Part::Ceremony, Part::UnsealTogether, Part::CrashAfterWrite]), 1)
        }
        Kind::Ceremony | Kind::Window | Kind::Share => when(ceremonies, 2),
        Kind::Counted => when(ceremonies, 1),
        Kind::Acked => when(has(Part::Rekey), 1),
        Kind::JobState | Kind::JobKind => when(jobs, 2),
        Kind::JobNotice => when(has(Part::OnBehalf), 1),
        Kind::JobUser => when(jobs && scope.users > 1, 1),
        Kind::Waiting | Kind::JobMark => when(jobs, 1),
        Kind::JobMessage => when(jobs, 5),
        Kind::JobKey => when(jobs, key),
        Kind::JobOutdated => when(jobs && disaster, 1),
        Kind::Point => when(retires || has(Part::Purge), 2),
        Kind::Snapshot => when(disaster, 2),
        Kind::Restoring => when(disaster, 1),
        Kind::RetiredShares => when(any(&[Part::Rekey, Part::RekeyTogether]), 1),
        Kind::AlertsUp => when(has(Part::AlertOutage), 1),
        Kind::AdminRight => when(has(Part::AdminRight), 1),
    }
}

#[cfg(test)]
mod tests {
    use bailee_spec::observation::JobState;

    use crate::protocol::{Protocol, scopes};

    fn enrolment() -> Protocol {
        let scope = scopes::committed().into_iter().find(|scope| scope.name == "enrolment").unwrap();
        Protocol::new(&scope, None).unwrap()
    }

    #[test]
    #[should_panic(expected = "no room")]
    fn a_field_that_the_scope_does_not_declare_is_noticed() {
        let model = enrolment();
        let mut world = model.start();
        world.admin_right = false;
        model.pack(&world);
    }

    #[test]
    #[should_panic(expected = "no room")]
    fn a_field_without_bits_is_still_compared() {
        let model = enrolment();
        let mut world = model.start();
        world.job.state = JobState::Assigned;
        model.pack(&world);
    }

    #[test]
    fn what_was_brought_together_comes_apart() {
        let mut mask = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..64 {
            mask = mask.rotate_left(7).wrapping_mul(0xd6e8_feb8_6659_fd93 | round) >> (round % 3);
            let compress = super::Compress::new(mask);
            let bits = mask.count_ones();
            assert_eq!(compress.together(u64::MAX), u64::MAX >> (64 - bits), "{mask:#x}");
            for word in [mask, !mask, mask / 3, mask.rotate_left(31)] {
                let together = compress.together(word);
                assert!(together >> (bits - 1) <= 1);
                assert_eq!(compress.apart(together), word & mask, "{mask:#x}");
                assert_eq!(compress.apart(together | u64::MAX << bits), word & mask, "{mask:#x}");
            }
        }
        assert_eq!(super::Compress::new(u64::MAX).apart(u64::MAX), u64::MAX);
    }

    #[test]
    fn unpacking_gives_the_world_back() {
        let model = enrolment();
        let mut world = model.start();
        world.devices[1].memory_key = 5;
        world.nodes[0].sealed = true;
        assert_eq!(model.unpack(model.pack(&world)), world);
    }
}

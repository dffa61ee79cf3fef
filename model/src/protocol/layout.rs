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
    /// A violation flag.
    Broken,
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
const REST: [Kind; 21] = [
    Kind::JobState,
    Kind::JobKind,
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
    Kind::Broken,
    Kind::Broken,
    Kind::Broken,
];

/// Bytes of a world: a field each.
const ROOM: usize = size_of::<SmallWorld>();

/// A world as its bytes.
type Flat = [u8; ROOM];

#[inline(always)]
fn flat(world: &SmallWorld) -> &Flat {
    zerocopy::transmute_ref!(world)
}

/// Whether two worlds are the same, byte for byte.
#[inline(always)]
pub(super) fn same(a: &SmallWorld, b: &SmallWorld) -> bool {
    flat(a) == flat(b)
}

/// A field that has bits in a scope.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Its place in the flat form.
    at: u8,
    /// The lowest of its bits in its half of the key.
    shift: u8,
    /// Its bits, from 0.
    mask: u8,
}

/// How a scope's worlds are packed.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The flat form of the world that the scope starts in: a key holds the difference from it.
    base: Flat,
    /// The bits that each field may differ in.
    masks: Flat,
    /// The fields in the lower and in the upper half of a key; no field is in both.
    halves: [Vec<Place>; 2],
    /// The bits of that world.
    base_key: u128,
    /// Bits in all.
    bits: u32,
}

/// The places' bytes, moved to their bits. Sums without carry, so that the difference of two is that of their worlds.
#[inline(always)]
fn gather(flat: &Flat, places: &[Place]) -> u64 {
    places.iter().fold(0, |out, place| out ^ u64::from(flat[place.at as usize]) << (place.shift % 64))
}

impl Layout {
    /// The layout of a scope that starts in `base`.
    pub fn new(scope: &Scope, base: SmallWorld) -> Self {
        let mut layout =
            Layout { base: *flat(&base), masks: [0; ROOM], halves: Default::default(), base_key: 0, bits: 0 };
        for (at, (kind, of)) in fields().into_iter().enumerate() {
            let width = if of.declared(scope) { width(scope, kind) } else { 0 };
            if width == 0 {
                continue;
            }
            let half = (layout.bits + width > 64) as usize;
            if half == 1 {
                layout.bits = layout.bits.max(64);
            }
            let mask = ((1u16 << width) - 1) as u8;
            layout.masks[at] = mask;
            layout.halves[half].push(Place { at: at as u8, shift: (layout.bits % 64) as u8, mask });
            layout.bits += width;
        }
        layout.base_key = layout.gather(&layout.base);
        layout
    }

    /// Bits a state.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Packs a world.
    ///
    /// # Panics
    /// When the world uses a bit that the scope's declaration does not give it: the layout is wrong, and any count
    /// made with it would be.
    pub fn pack(&self, world: &SmallWorld) -> u128 {
        let flat = flat(world);
        let mut stray = 0;
        for ((byte, base), mask) in flat.iter().zip(&self.base).zip(&self.masks) {
            stray |= (byte ^ base) & !mask;
        }
        assert!(stray == 0, "the scope's layout has no room for {world:?}");
        self.gather(flat) ^ self.base_key
    }

    #[inline(always)]
    fn gather(&self, flat: &Flat) -> u128 {
        let low = gather(flat, &self.halves[0]);
        let high = if self.bits > 64 { gather(flat, &self.halves[1]) } else { 0 };
        u128::from(high) << 64 | u128::from(low)
    }

    /// The world of a packed state.
    ///
    /// # Panics
    /// When the key is none that [`Layout::pack`] made.
    pub fn unpack(&self, key: u128) -> SmallWorld {
        let mut flat = self.base;
        for (half, word) in self.halves.iter().zip([key as u64, (key >> 64) as u64]) {
            for place in half {
                flat[place.at as usize] ^= (word >> (place.shift % 64)) as u8 & place.mask;
            }
        }
        let Ok(world) = SmallWorld::try_read_from_bytes(&flat) else {
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
        Kind::Broken => 1,
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
    fn unpacking_gives_the_world_back() {
        let model = enrolment();
        let mut world = model.start();
        world.devices[1].memory_key = 5;
        world.nodes[0].sealed = true;
        assert_eq!(model.unpack(model.pack(&world)), world);
    }
}

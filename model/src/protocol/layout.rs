//! Which bits of a world a scope can use, derived from the scope's declaration and checked at every pack.

use bailee_spec::observation::{
    AccountState, Attempt, Capability, CeremonyState, DeviceState, Disk, Freshness, JobKind, JobState, Message,
    Program, ShareHeld, Standing, Window,
};
use bailee_spec::scope::{Part, Scope, Start};

use super::SmallWorld;
use super::world::SnapshotState;

/// A part of a world that is stored as a few bits.
pub trait Field: Copy {
    /// As a small number; 0 is not special.
    fn to_bits(self) -> u8;
    /// From that number.
    fn from_bits(bits: u8) -> Self;
}

impl Field for u8 {
    fn to_bits(self) -> u8 {
        self
    }
    fn from_bits(bits: u8) -> Self {
        bits
    }
}

impl Field for bool {
    fn to_bits(self) -> u8 {
        self as u8
    }
    fn from_bits(bits: u8) -> Self {
        bits != 0
    }
}

impl Field for Option<Message> {
    fn to_bits(self) -> u8 {
        self.map_or(0, |message| message as u8 + 1)
    }
    fn from_bits(bits: u8) -> Self {
        bits.checked_sub(1).map(|i| Message::ALL[i as usize])
    }
}

impl Field for ShareHeld {
    fn to_bits(self) -> u8 {
        match self {
            ShareHeld::None => 0,
            ShareHeld::Old => 1,
            ShareHeld::For(node) => 2 + node,
        }
    }
    fn from_bits(bits: u8) -> Self {
        match bits {
            0 => ShareHeld::None,
            1 => ShareHeld::Old,
            node => ShareHeld::For(node - 2),
        }
    }
}

impl Field for SnapshotState {
    fn to_bits(self) -> u8 {
        self as u8
    }
    fn from_bits(bits: u8) -> Self {
        [SnapshotState::None, SnapshotState::Current, SnapshotState::Retired][bits as usize]
    }
}

macro_rules! closed_set_fields {
    ($($name:ident),*) => {$(
        impl Field for $name {
            fn to_bits(self) -> u8 {
                self as u8
            }
            fn from_bits(bits: u8) -> Self {
                $name::ALL[bits as usize]
            }
        }
    )*};
}

closed_set_fields!(
    Standing,
    AccountState,
    Disk,
    Program,
    Capability,
    DeviceState,
    Attempt,
    CeremonyState,
    Window,
    JobState,
    JobKind,
    Freshness
);

/// What a field is: decides how many bits a scope needs for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Standing`].
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

/// Goes over the fields of a world, always in one order.
trait Visitor {
    fn field<T: Field>(&mut self, kind: Kind, of: Owner, slot: &mut T);
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

#[inline(always)]
fn visit(w: &mut SmallWorld, v: &mut impl Visitor) {
    for (i, u) in w.users.iter_mut().enumerate() {
        let of = Owner::User(i);
        v.field(Kind::Standing, of, &mut u.standing);
        v.field(Kind::StoredKey, of, &mut u.enrolled);
        v.field(Kind::KeptKey, of, &mut u.kept);
        v.field(Kind::Account, of, &mut u.account);
        v.field(Kind::StoredKey, of, &mut u.escrowed);
        v.field(Kind::Archive, of, &mut u.archive);
        v.field(Kind::SnapshotAccount, of, &mut u.snapshot_account);
        v.field(Kind::SnapshotKey, of, &mut u.snapshot_key);
        v.field(Kind::Loot, of, &mut u.opened_by_root);
        v.field(Kind::Loot, of, &mut u.stolen);
        v.field(Kind::Loot, of, &mut u.opened_by_shares);
    }
    for (i, d) in w.devices.iter_mut().enumerate() {
        let of = Owner::Device(i);
        v.field(Kind::Disk, of, &mut d.disk);
        v.field(Kind::StoredKey, of, &mut d.disk_key);
        v.field(Kind::Program, of, &mut d.program);
        v.field(Kind::MemoryKey, of, &mut d.memory_key);
        v.field(Kind::Capability, of, &mut d.capability);
        v.field(Kind::AtAuthority, of, &mut d.at_authority);
        v.field(Kind::Attempt, of, &mut d.attempt);
        v.field(Kind::AttemptAtKeystore, of, &mut d.attempt_at_keystore);
        v.field(Kind::LaneMessage, of, &mut d.lane.message);
        v.field(Kind::LaneKey, of, &mut d.lane.key);
        v.field(Kind::LaneMark, of, &mut d.lane.live);
        v.field(Kind::LaneMark, of, &mut d.lane.pending);
        v.field(Kind::Outdated, of, &mut d.lane.outdated);
        v.field(Kind::LateMessage, of, &mut d.late.message);
        v.field(Kind::LateKey, of, &mut d.late.key);
        v.field(Kind::LateMark, of, &mut d.late.live);
        v.field(Kind::LateMark, of, &mut d.late.pending);
        v.field(Kind::Outdated, of, &mut d.late.outdated);
    }
    for (i, n) in w.nodes.iter_mut().enumerate() {
        let of = Owner::Node(i);
        v.field(Kind::Sealed, of, &mut n.sealed);
        v.field(Kind::Ceremony, of, &mut n.ceremony);
        v.field(Kind::Window, of, &mut n.window);
    }
    for (i, c) in w.custodians.iter_mut().enumerate() {
        let of = Owner::Custodian(i);
        v.field(Kind::Share, of, &mut c.share);
        for (node, counted) in c.counted.iter_mut().enumerate() {
            v.field(Kind::Counted, Owner::Node(node), counted);
        }
        v.field(Kind::Acked, of, &mut c.acked);
        v.field(Kind::Loot, of, &mut c.corrupt);
    }
    let of = Owner::All;
    v.field(Kind::JobState, of, &mut w.job.state);
    v.field(Kind::JobKind, of, &mut w.job.kind);
    v.field(Kind::JobUser, of, &mut w.job.user);
    v.field(Kind::Waiting, of, &mut w.job.waiting);
    v.field(Kind::JobKey, of, &mut w.job.held);
    v.field(Kind::JobMessage, of, &mut w.job.lane.message);
    v.field(Kind::JobKey, of, &mut w.job.lane.key);
    v.field(Kind::JobMark, of, &mut w.job.lane.live);
    v.field(Kind::JobMark, of, &mut w.job.lane.pending);
    v.field(Kind::JobOutdated, of, &mut w.job.lane.outdated);
    for point in &mut w.points {
        v.field(Kind::Point, of, point);
    }
    v.field(Kind::Snapshot, of, &mut w.snapshot);
    v.field(Kind::Restoring, of, &mut w.restoring);
    v.field(Kind::RetiredShares, of, &mut w.retired_shares);
    v.field(Kind::AlertsUp, of, &mut w.alerts_up);
    v.field(Kind::AdminRight, of, &mut w.admin_right);
    v.field(Kind::Broken, of, &mut w.broken.share_without_alert);
    v.field(Kind::Broken, of, &mut w.broken.release_without_record);
    v.field(Kind::Broken, of, &mut w.broken.job_without_notice);
}

/// Room for the fields of a world, a byte each.
const ROOM: usize = 128;

/// The fields of a world in order, a byte each; the rest is 0.
type Flat = [u8; ROOM];

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
    /// Bits in all.
    bits: u32,
}

impl Layout {
    /// The layout of a scope that starts in `base`.
    pub fn new(scope: &Scope, mut base: SmallWorld) -> Self {
        let mut plan = Plan { scope, widths: Vec::new() };
        visit(&mut base, &mut plan);
        assert!(plan.widths.len() <= ROOM, "a world has more fields than a flat form has room for");
        let mut layout =
            Layout { base: flatten(&base), masks: [0; ROOM], halves: [Vec::new(), Vec::new()], bits: 0 };
        for (at, width) in plan.widths.into_iter().enumerate().filter(|(_, width)| *width > 0) {
            let half = (layout.bits + width > 64) as usize;
            if half == 1 {
                layout.bits = layout.bits.max(64);
            }
            let mask = ((1u16 << width) - 1) as u8;
            layout.masks[at] = mask;
            let place = Place { at: at as u8, shift: (layout.bits % 64) as u8, mask };
            layout.halves[half].push(place);
            layout.bits += width;
        }
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
        let mut flat = flatten(world);
        let mut stray = 0;
        for ((byte, base), mask) in flat.iter_mut().zip(&self.base).zip(&self.masks) {
            *byte ^= base;
            stray |= *byte & !mask;
        }
        assert!(stray == 0, "the scope's layout has no room for {world:?}");
        let gather = |half: &[Place]| -> u64 {
            half.iter().fold(0, |out, place| out | u64::from(flat[place.at as usize % ROOM]) << (place.shift % 64))
        };
        let low = gather(&self.halves[0]);
        if self.bits <= 64 {
            return u128::from(low);
        }
        u128::from(gather(&self.halves[1])) << 64 | u128::from(low)
    }

    /// The world of a packed state.
    pub fn unpack(&self, key: u128) -> SmallWorld {
        let mut flat = self.base;
        for (half, word) in self.halves.iter().zip([key as u64, (key >> 64) as u64]) {
            for place in half {
                flat[place.at as usize % ROOM] ^= (word >> (place.shift % 64)) as u8 & place.mask;
            }
        }
        let mut world = SmallWorld::fresh();
        visit(&mut world, &mut Restore { flat: &flat, at: 0 });
        world
    }
}

/// The flat form of a world.
fn flatten(world: &SmallWorld) -> Flat {
    let mut flatten = Flatten { flat: [0; ROOM], at: 0 };
    visit(&mut { *world }, &mut flatten);
    flatten.flat
}

struct Flatten {
    flat: Flat,
    at: usize,
}

impl Visitor for Flatten {
    #[inline(always)]
    fn field<T: Field>(&mut self, _: Kind, _: Owner, slot: &mut T) {
        self.flat[self.at % ROOM] = slot.to_bits();
        self.at += 1;
    }
}

struct Restore<'a> {
    flat: &'a Flat,
    at: usize,
}

impl Visitor for Restore<'_> {
    #[inline(always)]
    fn field<T: Field>(&mut self, _: Kind, _: Owner, slot: &mut T) {
        *slot = T::from_bits(self.flat[self.at % ROOM]);
        self.at += 1;
    }
}

/// Plans the bits of each field.
struct Plan<'a> {
    scope: &'a Scope,
    widths: Vec<u32>,
}

impl Visitor for Plan<'_> {
    fn field<T: Field>(&mut self, kind: Kind, of: Owner, _: &mut T) {
        let s = self.scope;
        let declared = match of {
            Owner::User(i) => i < s.users as usize,
            Owner::Device(i) => i < (s.users * s.devices_per_user) as usize,
            Owner::Node(i) => i < s.nodes as usize,
            Owner::Custodian(i) => i < s.custodians as usize,
            Owner::All => true,
        };
        self.widths.push(if declared { width(s, kind) } else { 0 });
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

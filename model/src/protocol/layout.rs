//! Which bits of a world a scope can use, derived from the scope's declaration and checked at every pack.

use bailee_spec::observation::{
    AccountState, Attempt, Capability, CeremonyState, DeviceState, Disk, Freshness, JobKind, JobState, Message,
    Program, ShareHeld, Standing, Window,
};
use bailee_spec::scope::{Part, Scope, Start};

use super::world::{CUSTODIANS, NODES, SnapshotState, World};

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

    /// Whether the group that begins here is passed over as a whole: no field of it has bits. `unchanged` says whether it is
    /// as in the base, and is asked only then.
    fn pass_over(&mut self, group: usize, unchanged: impl FnOnce() -> bool) -> bool;
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

fn visit<const U: usize, const N: usize>(w: &mut World<U, N>, base: &World<U, N>, v: &mut impl Visitor) {
    for (i, u) in w.users.iter_mut().enumerate() {
        if v.pass_over(i, || *u == base.users[i]) {
            continue;
        }
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
        let was = &base.devices[i];
        if v.pass_over(U + 2 * i, || d == was) {
            continue;
        }
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
        if !v.pass_over(U + 2 * i + 1, || d.late == was.late) {
            v.field(Kind::LateMessage, of, &mut d.late.message);
            v.field(Kind::LateKey, of, &mut d.late.key);
            v.field(Kind::LateMark, of, &mut d.late.live);
            v.field(Kind::LateMark, of, &mut d.late.pending);
            v.field(Kind::Outdated, of, &mut d.late.outdated);
        }
    }
    for (i, n) in w.nodes.iter_mut().enumerate() {
        if v.pass_over(U + 2 * N + i, || *n == base.nodes[i]) {
            continue;
        }
        let of = Owner::Node(i);
        v.field(Kind::Sealed, of, &mut n.sealed);
        v.field(Kind::Ceremony, of, &mut n.ceremony);
        v.field(Kind::Window, of, &mut n.window);
    }
    for (i, c) in w.custodians.iter_mut().enumerate() {
        if v.pass_over(U + 2 * N + NODES + i, || *c == base.custodians[i]) {
            continue;
        }
        let of = Owner::Custodian(i);
        v.field(Kind::Share, of, &mut c.share);
        for (node, counted) in c.counted.iter_mut().enumerate() {
            v.field(Kind::Counted, Owner::Node(node), counted);
        }
        v.field(Kind::Acked, of, &mut c.acked);
        v.field(Kind::Loot, of, &mut c.corrupt);
    }
    let of = Owner::All;
    if !v.pass_over(U + 2 * N + NODES + CUSTODIANS, || w.job == base.job) {
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
    }
    if v.pass_over(U + 2 * N + NODES + CUSTODIANS + 1, || true) {
        return;
    }
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

/// How a scope's worlds are packed.
#[derive(Clone, Debug)]
pub struct Layout<const U: usize, const N: usize> {
    /// The world that a fixed field keeps the value of.
    base: World<U, N>,
    /// Bits and base value of each field that is visited, in order.
    fields: Vec<(u8, u8)>,
    /// Whether each group of fields is passed over.
    passed: Vec<bool>,
    /// Bits in all.
    bits: u32,
}

impl<const U: usize, const N: usize> Layout<U, N> {
    /// The layout of a scope that starts in `base`.
    pub fn new(scope: &Scope, base: World<U, N>) -> Self {
        let mut world = base;
        // First the bits of each group, then, without the groups that have none, the fields.
        let all = U + 2 * N + NODES + CUSTODIANS + 2;
        let mut groups = Groups { plan: Plan { scope, fields: Vec::new() }, bits: vec![0; all], group: 0 };
        visit(&mut world, &base, &mut groups);
        let passed: Vec<bool> = groups.bits.iter().map(|bits| *bits == 0).collect();
        let mut kept = Kept { plan: Plan { scope, fields: Vec::new() }, passed: &passed };
        visit(&mut world, &base, &mut kept);
        let fields = kept.plan.fields;
        let bits = fields.iter().map(|(width, _)| *width as u32).sum();
        Layout { base, fields, passed, bits }
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
    pub fn pack(&self, world: &World<U, N>) -> u128 {
        let (fields, passed) = (&self.fields, &self.passed);
        let mut packer = Packer { fields, passed, at: 0, shift: 0, out: 0, overflow: false };
        let mut copy = *world;
        visit(&mut copy, &self.base, &mut packer);
        assert!(!packer.overflow, "the scope's layout has no room for {world:?}");
        packer.out
    }

    /// The world of a packed state.
    pub fn unpack(&self, bits: u128) -> World<U, N> {
        let mut world = self.base;
        let (fields, passed) = (&self.fields, &self.passed);
        visit(&mut world, &self.base, &mut Unpacker { fields, passed, at: 0, rest: bits });
        world
    }
}

struct Packer<'a> {
    fields: &'a [(u8, u8)],
    passed: &'a [bool],
    at: usize,
    shift: u32,
    out: u128,
    overflow: bool,
}

impl Visitor for Packer<'_> {
    #[inline(always)]
    fn field<T: Field>(&mut self, _: Kind, _: Owner, slot: &mut T) {
        let (width, base) = self.fields[self.at];
        self.at += 1;
        let bits = slot.to_bits() ^ base;
        self.overflow |= (bits as u32) >> width != 0;
        self.out |= (bits as u128) << self.shift;
        self.shift += width as u32;
    }

    #[inline(always)]
    fn pass_over(&mut self, group: usize, unchanged: impl FnOnce() -> bool) -> bool {
        let passed = self.passed[group];
        self.overflow |= passed && !unchanged();
        passed
    }
}

struct Unpacker<'a> {
    fields: &'a [(u8, u8)],
    passed: &'a [bool],
    at: usize,
    rest: u128,
}

impl Visitor for Unpacker<'_> {
    #[inline(always)]
    fn field<T: Field>(&mut self, _: Kind, _: Owner, slot: &mut T) {
        let (width, base) = self.fields[self.at];
        self.at += 1;
        if width > 0 {
            *slot = T::from_bits((self.rest & ((1 << width) - 1)) as u8 ^ base);
            self.rest >>= width;
        }
    }

    #[inline(always)]
    fn pass_over(&mut self, group: usize, _: impl FnOnce() -> bool) -> bool {
        self.passed[group]
    }
}

struct Plan<'a> {
    scope: &'a Scope,
    fields: Vec<(u8, u8)>,
}

/// Sums the bits of each group; a group goes on until the next begins.
struct Groups<'a> {
    plan: Plan<'a>,
    bits: Vec<u32>,
    group: usize,
}

impl Visitor for Groups<'_> {
    fn field<T: Field>(&mut self, kind: Kind, of: Owner, slot: &mut T) {
        self.plan.add(kind, of, slot);
        let width = self.plan.fields.last().map_or(0, |(width, _)| *width as u32);
        self.bits[self.group] += width;
    }

    fn pass_over(&mut self, group: usize, _: impl FnOnce() -> bool) -> bool {
        self.group = group;
        false
    }
}

/// Plans the fields of the groups that are kept.
struct Kept<'a> {
    plan: Plan<'a>,
    passed: &'a [bool],
}

impl Visitor for Kept<'_> {
    fn field<T: Field>(&mut self, kind: Kind, of: Owner, slot: &mut T) {
        self.plan.add(kind, of, slot);
    }

    fn pass_over(&mut self, group: usize, _: impl FnOnce() -> bool) -> bool {
        self.passed[group]
    }
}

impl Plan<'_> {
    fn add<T: Field>(&mut self, kind: Kind, of: Owner, slot: &mut T) {
        let s = self.scope;
        let declared = match of {
            Owner::User(i) => i < s.users as usize,
            Owner::Device(i) => i < (s.users * s.devices_per_user) as usize,
            Owner::Node(i) => i < s.nodes as usize,
            Owner::Custodian(i) => i < s.custodians as usize,
            Owner::All => true,
        };
        let width = if declared { width(s, kind) } else { 0 };
        self.fields.push((width, slot.to_bits()));
    }
}

/// The bits that a scope needs for a field.
fn width(scope: &Scope, kind: Kind) -> u8 {
    let has = |part| scope.parts.contains(&part);
    let any = |parts: &[Part]| parts.iter().any(|part| has(*part));
    let when = |on: bool, bits: u8| if on { bits } else { 0 };
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
    fn a_group_that_is_passed_over_is_still_compared() {
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

//! Which bits of a world a scope can use, derived from the scope's declaration and checked at every pack.

use bailee_spec::action::Point;
use bailee_spec::scope::{Part, Scope, Start};
use zerocopy::TryFromBytes;

use super::SmallWorld;
use super::world::{CUSTODIANS, CustodianState, LaneState, PointRecord};

/// What a scope can do, as far as fields depend on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) users: usize,
    pub(super) tenants: usize,
    pub(super) devices: usize,
    pub(super) nodes: usize,
    custodians: usize,
    /// Bits of a standing.
    pub(super) standing: u32,
    /// Bits of the name of a key.
    key: u32,
    pub(super) signs_in: bool,
    /// A key can be made.
    pub(super) enrols: bool,
    pub(super) late: bool,
    /// A revocation epoch can rise.
    pub(super) epochs_rise: bool,
    /// Revocation is messages.
    pub(super) publication: bool,
    pub(super) clocks: bool,
    /// Bits of an epoch.
    pub(super) epoch: u32,
    points: [bool; 3],
    /// The authority serves the point that is being laid.
    serves: bool,
    pub(super) keys_move: bool,
    pub(super) keys_are_kept: bool,
    pub(super) accounts_move: bool,
    pub(super) archives_move: bool,
    pub(super) disks_move: bool,
    pub(super) backs_up: bool,
    pub(super) jobs: bool,
    pub(super) on_behalf: bool,
    pub(super) disaster: bool,
    pub(super) adversary: bool,
    pub(super) nodes_seal: bool,
    pub(super) ceremonies: bool,
    pub(super) rekeys: bool,
    pub(super) custodians_go: bool,
    pub(super) shares_retire: bool,
    pub(super) alerts_fail: bool,
    pub(super) rights_move: bool,
}

impl Room {
    /// The point that is being laid has a lease.
    pub(super) fn serves(&self) -> bool {
        self.publication && self.serves
    }

    fn of(scope: &Scope) -> Self {
        let has = |part| scope.parts.contains(&part);
        let any = |parts: &[Part]| parts.iter().any(|part| has(*part));
        let signs_in = has(Part::SignIn);
        let enrols = signs_in && scope.start != Start::Enrolled;
        let retires = any(&[Part::Revocation, Part::Deactivation]);
        let (disaster, purges) = (has(Part::Disaster), has(Part::Purge));
        let devices = usize::from(scope.users * scope.devices_per_user);
        let deactivates = any(&[Part::Deactivation, Part::Purge]);
        Room {
            users: usize::from(scope.users),
            tenants: usize::from(scope.tenants),
            devices,
            nodes: usize::from(scope.nodes),
            custodians: usize::from(scope.custodians),
            standing: if deactivates { 2 } else { u32::from(has(Part::Suspension)) },
            key: if !enrols { 2 } else { 3 + u32::from(devices > 2) },
            signs_in,
            enrols,
            late: has(Part::Late) && signs_in,
            epochs_rise: retires || purges,
            publication: has(Part::Publication),
            clocks: has(Part::Clocks),
            epoch: if scope.points.len() < 2 && devices < 2 { 3 } else { 4 },
            points: Point::ALL.map(|point| scope.points.contains(&point)),
            serves: true,
            keys_move: signs_in || disaster || retires || purges,
            keys_are_kept: enrols || disaster || purges,
            accounts_move: enrols || disaster || deactivates,
            archives_move: any(&[Part::Backup, Part::Purge]),
            disks_move: signs_in || retires,
            backs_up: has(Part::Backup),
            jobs: any(&[Part::OwnRestore, Part::OnBehalf, Part::Maintenance]),
            on_behalf: has(Part::OnBehalf),
            disaster,
            adversary: has(Part::Adversary),
            nodes_seal: any(&[Part::KeystoreRestart, Part::Ceremony, Part::UnsealTogether, Part::CrashAfterWrite]),
            ceremonies: any(&[Part::Ceremony, Part::Rekey]),
            rekeys: any(&[Part::Rekey, Part::CustodianLoss]),
            custodians_go: has(Part::CustodianLoss),
            shares_retire: any(&[Part::Rekey, Part::RekeyTogether, Part::CustodianLoss]),
            alerts_fail: has(Part::AlertOutage),
            rights_move: has(Part::AdminRight),
        }
    }
}

/// What a scope can do with one kind of lane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LaneRoom {
    /// Messages can be in it.
    pub(super) used: bool,
    /// They belong to a session or a job, and can carry a key.
    pub(super) speaks: bool,
}

/// What a byte of a world is.
#[derive(Clone, Copy, Debug)]
struct Byte {
    /// Its lowest bits that a scope uses.
    width: u32,
    names_a_key: bool,
    of_a_custodian: bool,
}

/// The bytes of a world in order, as the declarations of its fields give them.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) room: Room,
    /// Of the lane that is being laid.
    pub(super) lane: LaneRoom,
    /// The scope has the user, device, node or custodian that is being laid.
    declared: bool,
    of_a_custodian: bool,
    bytes: Vec<Byte>,
}

impl Plan {
    fn of(scope: &Scope) -> Self {
        let room = Room::of(scope);
        let mut plan =
            Plan { room, lane: LaneRoom::default(), declared: true, of_a_custodian: false, bytes: Vec::new() };
        SmallWorld::lay(&mut plan);
        plan
    }

    fn byte(&mut self, width: u32, names_a_key: bool) {
        let width = if self.declared { width } else { 0 };
        self.bytes.push(Byte { width, names_a_key, of_a_custodian: self.of_a_custodian });
    }

    /// The next byte has this many bits.
    pub(super) fn bits(&mut self, width: u32) {
        self.byte(width, false);
    }

    /// The next byte has this many bits if the scope can use it at all.
    pub(super) fn when(&mut self, used: bool, width: u32) {
        self.byte(if used { width } else { 0 }, false);
    }

    /// The next byte names a key, if the scope can use it at all.
    pub(super) fn key(&mut self, used: bool) {
        self.byte(if used { self.room.key } else { 0 }, true);
    }

    /// The next bytes are a lane.
    pub(super) fn lane(&mut self, lane: LaneRoom) {
        self.lane = lane;
        LaneState::lay(self);
    }

    /// The next bytes are an array of `all`, of which the scope has the first `declared`.
    pub(super) fn each(&mut self, all: usize, declared: usize, lay: fn(&mut Plan)) {
        for i in 0..all {
            self.declared = i < declared;
            lay(self);
        }
        self.declared = true;
    }

    /// The next bytes are an admission point.
    pub(super) fn point(&mut self, point: Point) {
        self.room.serves = self.room.points[point as usize];
        PointRecord::lay(self);
    }

    /// The next bytes are the custodians.
    pub(super) fn custodians(&mut self) {
        self.of_a_custodian = true;
        self.each(CUSTODIANS, self.room.custodians, CustodianState::lay);
        self.of_a_custodian = false;
    }
}

/// Words of a world.
const WORDS: usize = size_of::<SmallWorld>() / 8;

/// A world as its words: what is compared and packed at once. Its fields are bytes, in the order of [`Plan`].
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
        let bytes = Plan::of(scope).bytes;
        assert_eq!(bytes.len(), size_of::<SmallWorld>(), "every byte of a world has its place in the plan");
        for (at, byte) in bytes.into_iter().enumerate() {
            let all = |on| if on { u8::MAX } else { 0 };
            masks[at / 8][at % 8] = ((1u16 << byte.width) - 1) as u8;
            keys[at / 8][at % 8] = all(byte.names_a_key);
            custodians[at / 8][at % 8] = all(byte.of_a_custodian);
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
        world.admin_right = [false; 2];
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

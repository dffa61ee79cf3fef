//! The set of seen states: exact keys in the order of discovery, found by an open-addressed table of their ids.

/// A packed state: as many low bits as the model says, the rest 0.
pub type Key = u128;

/// The id of a state: its place in the order of discovery.
pub type Id = u32;

const FREE: Id = Id::MAX;

/// Odd constants of the multiply-fold hash.
const MIX: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// A well-mixed hash of a key. Its upper bits choose a shard, its lower bits a slot.
#[inline]
pub(super) fn mix(key: Key) -> u64 {
    let low = fold(key as u64 ^ MIX[0], MIX[1]);
    let high = (key >> 64) as u64;
    if high == 0 { low } else { fold(low ^ high, MIX[0]) }
}

/// Appends, growing by a quarter: a vector that doubles would leave up to half of it unused.
#[inline]
pub(super) fn push_frugally<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 4).max(1 << 10));
    }
    list.push(item);
}

/// The set of seen states. A slot is an id, free or not; three quarters of the slots are taken at most. Keys of up to
/// 64 bits take eight bytes.
#[derive(Debug)]
pub(super) struct Table {
    low: Vec<u64>,
    /// The upper halves, if keys have any.
    high: Option<Vec<u64>>,
    slots: Vec<Id>,
    mask: usize,
    /// The bits that no key has.
    unused: Key,
}

/// The first look at a key: where it would be, and who is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glance {
    key: Key,
    /// Its id; free: not there, or not in its first slot.
    id: Id,
}

impl Table {
    /// An empty set of keys of `bits` bits, at most 128.
    pub(super) fn new(bits: u32) -> Self {
        let slots = 1 << 12;
        Table {
            low: Vec::new(),
            high: (bits > u64::BITS).then(Vec::new),
            slots: vec![FREE; slots],
            mask: slots - 1,
            unused: Key::MAX.checked_shl(bits).unwrap_or(0),
        }
    }

    /// The number of states.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.low.len()
    }

    /// The state of an id.
    #[inline]
    pub(super) fn key(&self, id: Id) -> Key {
        let high = self.high.as_ref().map_or(0, |high| high[id as usize]);
        Key::from(high) << 64 | Key::from(self.low[id as usize])
    }

    /// Looks at the first slot of each key. The looks do not wait for each other, so the misses of a batch overlap; a search
    /// for one key after another would wait for each: measured, half the time of a large scope.
    #[inline]
    pub(super) fn glance(&self, keys: &[Key], seen: &mut Vec<Glance>) {
        seen.clear();
        seen.extend(keys.iter().map(|&key| Glance { key, id: self.slots[mix(key) as usize & self.mask] }));
        for glance in seen {
            if glance.id != FREE && self.key(glance.id) != glance.key {
                glance.id = FREE;
            }
        }
    }

    /// The id of a state.
    pub(super) fn find(&self, key: Key) -> Option<Id> {
        self.probe(key, mix(key) as usize & self.mask).ok()
    }

    /// The id, or the slot where it belongs.
    #[inline]
    fn probe(&self, key: Key, mut at: usize) -> Result<Id, usize> {
        loop {
            let id = self.slots[at];
            if id == FREE {
                return Err(at);
            }
            if self.key(id) == key {
                return Ok(id);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// The id of a state, and whether it is new.
    ///
    /// # Errors
    /// When an id cannot count one more, or the key has too many bits.
    #[inline]
    pub(super) fn insert(&mut self, key: Key) -> Result<(Id, bool), Unkept> {
        match self.probe(key, mix(key) as usize & self.mask) {
            Ok(id) => Ok((id, false)),
            Err(at) => self.append(key, at).map(|id| (id, true)),
        }
    }

    /// [`Table::insert`] after a glance: a state that was seen then is still where it was.
    ///
    /// # Errors
    /// When an id cannot count one more, or the key has too many bits.
    #[inline]
    pub(super) fn insert_glanced(&mut self, glance: Glance) -> Result<(Id, bool), Unkept> {
        if glance.id != FREE {
            return Ok((glance.id, false));
        }
        self.insert(glance.key)
    }

    #[inline]
    fn append(&mut self, key: Key, slot: usize) -> Result<Id, Unkept> {
        let id = self.low.len() as Id;
        if id == FREE {
            return Err(Unkept::TooMany);
        }
        if key & self.unused != 0 {
            return Err(Unkept::Wide);
        }
        push_frugally(&mut self.low, key as u64);
        if let Some(high) = &mut self.high {
            push_frugally(high, (key >> 64) as u64);
        }
        self.slots[slot] = id;
        if self.low.len() * 4 > self.slots.len() * 3 {
            self.grow();
        }
        Ok(id)
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        self.mask = size - 1;
        // The old slots go first: both at once would be the peak of a run.
        self.slots = Vec::new();
        self.slots = vec![FREE; size];
        for id in 0..self.low.len() as Id {
            let mut at = mix(self.key(id)) as usize & self.mask;
            while self.slots[at] != FREE {
                at = (at + 1) & self.mask;
            }
            self.slots[at] = id;
        }
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        let keys = self.low.capacity() + self.high.as_ref().map_or(0, Vec::capacity);
        keys * size_of::<u64>() + self.slots.capacity() * size_of::<Id>()
    }
}

/// Why a state cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unkept {
    /// More states than an id can count.
    TooMany,
    /// The key has more bits than were agreed.
    Wide,
}

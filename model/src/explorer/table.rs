//! The set of seen states: exact keys in the order of discovery, found by an open-addressed table of ids and tags.

use std::fmt::Debug;
use std::hash::Hash;

/// A packed state.
pub trait PackedKey: Copy + Eq + Hash + Debug + Send + Sync + 'static {
    /// A well-mixed 64-bit hash.
    fn mix(self) -> u64;
}

/// Odd constants of the multiply-fold hash.
const MIX: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

impl PackedKey for u64 {
    fn mix(self) -> u64 {
        fold(self ^ MIX[0], MIX[1])
    }
}

impl PackedKey for u128 {
    fn mix(self) -> u64 {
        fold(fold(self as u64 ^ MIX[0], MIX[1]) ^ (self >> 64) as u64, MIX[0])
    }
}

/// The id of a state: its place in the order of discovery.
pub type Id = u32;

const FREE: u32 = u32::MAX;

/// The set of seen states. One slot is an id and the upper half of the hash, so that a probe rarely looks at a wrong key
/// (measured in `cargo model bench`).
#[derive(Debug)]
pub struct Table<K> {
    keys: Vec<K>,
    slots: Vec<(u32, u32)>,
    mask: usize,
}

impl<K: PackedKey> Table<K> {
    /// An empty set.
    pub fn new() -> Self {
        let slots = 1 << 12;
        Table { keys: Vec::new(), slots: vec![(FREE, 0); slots], mask: slots - 1 }
    }

    /// The number of states.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The state of an id.
    pub fn key(&self, id: Id) -> K {
        self.keys[id as usize]
    }

    /// The id of a state.
    pub fn find(&self, key: K) -> Option<Id> {
        self.probe(key, key.mix()).ok()
    }

    /// The id, or the slot where it belongs.
    fn probe(&self, key: K, hash: u64) -> Result<Id, usize> {
        let tag = (hash >> 32) as u32;
        let mut at = hash as usize & self.mask;
        loop {
            let (id, seen) = self.slots[at];
            if id == FREE {
                return Err(at);
            }
            if seen == tag && self.keys[id as usize] == key {
                return Ok(id);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// The id of a state, and whether it is new.
    ///
    /// # Errors
    /// When more states would be needed than an id can count.
    pub fn insert(&mut self, key: K, hash: u64) -> Result<(Id, bool), TooManyStates> {
        match self.probe(key, hash) {
            Ok(id) => Ok((id, false)),
            Err(at) => {
                let id = self.keys.len() as u32;
                if id == FREE {
                    return Err(TooManyStates);
                }
                self.keys.push(key);
                self.slots[at] = (id, (hash >> 32) as u32);
                if self.keys.len() * 4 > self.slots.len() * 3 {
                    self.grow();
                }
                Ok((id, true))
            }
        }
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        self.mask = size - 1;
        self.slots = vec![(FREE, 0); size];
        for (id, key) in self.keys.iter().enumerate() {
            let hash = key.mix();
            let mut at = hash as usize & self.mask;
            while self.slots[at].0 != FREE {
                at = (at + 1) & self.mask;
            }
            self.slots[at] = (id as u32, (hash >> 32) as u32);
        }
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> usize {
        self.keys.capacity() * size_of::<K>() + self.slots.capacity() * size_of::<(u32, u32)>()
    }
}

impl<K: PackedKey> Default for Table<K> {
    fn default() -> Self {
        Table::new()
    }
}

/// More states than an id can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyStates;

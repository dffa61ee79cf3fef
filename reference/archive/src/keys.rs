//! The keys of an archive: the branches of the key tree that seal, name and cut (GEN-21, BAK-15, D27).

use std::collections::BTreeMap;
use std::sync::Arc;

use bailee_core::crypto::keys::{ArchiveKey, Owner, subkey};
use bailee_core::crypto::labels;
use bailee_secret::Secret;
use zeroize::Zeroizing;

use crate::error::ArchiveError;
use crate::id::ChunkId;

/// The keys of one key epoch.
pub(crate) struct EpochKeys {
    id: Secret<32>,
    pub(crate) chunk: Secret<32>,
    pub(crate) seal: Secret<32>,
    pub(crate) manifest: Secret<32>,
}

impl EpochKeys {
    fn derive(key: &ArchiveKey, owner: &Owner) -> Arc<Self> {
        let branch = |label| {
            let mut bytes: Zeroizing<[u8; 32]> = subkey(key, label, owner);
            Secret::take(&mut bytes)
        };
        Arc::new(EpochKeys {
            id: branch(labels::KEY_ID),
            chunk: branch(labels::KEY_CHUNK),
            seal: branch(labels::KEY_SEAL),
            manifest: branch(labels::KEY_MANIFEST),
        })
    }

    pub(crate) fn chunk_id(&self, content: &[u8]) -> ChunkId {
        ChunkId(*blake3::keyed_hash(self.id.expose(), content).as_bytes())
    }
}

/// The keys of an archive: those of the current key epoch, which write, and those of former ones, which only read.
pub struct ArchiveKeys {
    current: u64,
    epochs: BTreeMap<u64, Arc<EpochKeys>>,
}

impl ArchiveKeys {
    /// The keys of an owner's current epoch.
    pub fn new(key: &ArchiveKey, owner: &Owner) -> Self {
        ArchiveKeys { current: owner.epoch, epochs: BTreeMap::from([(owner.epoch, EpochKeys::derive(key, owner))]) }
    }

    /// Adds the keys of a former epoch, so that what was sealed then opens. The current epoch is left as it is.
    #[must_use]
    pub fn with_former(mut self, key: &ArchiveKey, owner: &Owner) -> Self {
        self.epochs.entry(owner.epoch).or_insert_with(|| EpochKeys::derive(key, owner));
        self
    }

    /// The same keys, of which those of this epoch write.
    pub(crate) fn writing_in(&self, epoch: u64) -> Result<Self, ArchiveError> {
        self.of(epoch)?;
        Ok(ArchiveKeys { current: epoch, epochs: self.epochs.clone() })
    }

    /// The epoch whose keys write.
    pub fn current_epoch(&self) -> u64 {
        self.current
    }

    pub(crate) fn current(&self) -> &EpochKeys {
        self.epochs.get(&self.current).unwrap_or_else(|| unreachable!("inserted by the constructor"))
    }

    pub(crate) fn of(&self, epoch: u64) -> Result<&EpochKeys, ArchiveError> {
        self.epochs.get(&epoch).map(Arc::as_ref).ok_or(ArchiveError::UnknownEpoch { epoch })
    }
}

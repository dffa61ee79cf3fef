//! What the key store keeps of an archive: its key, whose it is, and the newest version that was seen of each device.
//!
//! ```text
//! record = ["bailee/key-record", version 1, archive, [tenant, user, epoch], device, key, [* [device, seq, digest]]]
//! ```
//!
//! in canonical CBOR; devices ascend. The device's signing key is a branch of the archive key (`spec/protocol.md` 16.8); its
//! public half is kept as well, so that a damaged key is noticed before it is used.

use std::collections::BTreeMap;
use std::fmt;

use bailee_archive::{ArchiveId, ArchiveKeys, DeviceId, Digest};
use bailee_core::crypto::keys::{ArchiveKey, Owner, subkey};
use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_secret::Secret;
use minicbor::bytes::ByteArray;
use minicbor::{Decoder, Encoder};
use zeroize::{Zeroize, Zeroizing};

const MAGIC: &str = "bailee/key-record";
const VERSION: u64 = 1;
/// The longest record, in bytes.
pub(crate) const RECORD_BYTES: usize = 64 * 1024;
/// A remembered version takes at most so many bytes: array head, two byte strings of 32, a number.
const REMEMBERED_BYTES: usize = 1 + 2 * 34 + 9;
/// The most devices that are remembered.
const DEVICES: usize = 512;

/// The newest version of a device that was ever seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) seq: u64,
    pub(crate) digest: Digest,
}

/// The record of one archive.
pub(crate) struct Record {
    pub(crate) archive: ArchiveId,
    pub(crate) owner: Owner,
    pub(crate) key: ArchiveKey,
    pub(crate) remembered: BTreeMap<DeviceId, Remembered>,
}

/// Why bytes are no record. Nothing of the bytes is repeated: a key is among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordError {
    /// Not the canonical encoding of a record.
    Encoding,
    /// Another format.
    Version,
    /// Of another archive than its name says.
    OtherArchive,
    /// The key is not the one that was stored: the file was damaged.
    Key,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordError::Encoding => "this is no record of a key",
            RecordError::Version => "its format is not supported by this version of bailee",
            RecordError::OtherArchive => "it is the record of another archive than its name says",
            RecordError::Key => "the key in it was damaged",
        })
    }
}

/// The owner of an archive that stands alone.
pub(crate) fn standalone() -> Owner {
    Owner { tenant: "standalone".into(), user: "standalone".into(), epoch: 0 }
}

impl Record {
    /// The record of an archive that stands alone.
    pub(crate) fn new(archive: ArchiveId, key: ArchiveKey) -> Self {
        Record { archive, owner: standalone(), key, remembered: BTreeMap::new() }
    }

    /// The keys that the archive is written and read with.
    pub(crate) fn keys(&self) -> ArchiveKeys {
        ArchiveKeys::new(&self.key, &self.owner)
    }

    /// The identity that signs versions.
    pub(crate) fn device(&self) -> Signing {
        Signing::from_seed(&subkey(&self.key, labels::KEY_STANDALONE_DEVICE, &self.owner))
    }

    /// Remembers a version, unless a newer one of that device is remembered. Whether anything changed.
    pub(crate) fn remember(&mut self, device: DeviceId, seen: Remembered) -> bool {
        let changes = self.would_remember(device, seen);
        if changes {
            self.remembered.insert(device, seen);
        }
        changes
    }

    /// Whether [`Record::remember`] would change anything.
    pub(crate) fn would_remember(&self, device: DeviceId, seen: Remembered) -> bool {
        match self.remembered.get(&device) {
            Some(known) => known.seq < seen.seq,
            None => self.remembered.len() < DEVICES,
        }
    }

    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let capacity =
            512 + self.owner.tenant.len() + self.owner.user.len() + self.remembered.len() * REMEMBERED_BYTES;
        // Never grown: a vector that moves leaves a copy of the key behind.
        let mut out = Zeroizing::new(Vec::with_capacity(capacity));
        match self.write(&mut Encoder::new(&mut *out)) {
            Ok(()) => {}
            Err(_) => unreachable!("writing to memory does not fail"),
        }
        assert!(out.len() <= capacity, "the capacity of a record is too small");
        out
    }

    fn write(&self, to: &mut Encoder<&mut Vec<u8>>) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        to.array(7)?.str(MAGIC)?.u64(VERSION)?.bytes(&self.archive.0)?;
        to.encode(&self.owner)?.bytes(&self.device().public())?.bytes(self.key.expose())?;
        to.array(self.remembered.len() as u64)?;
        for (device, seen) in &self.remembered {
            to.array(3)?.bytes(&device.0)?.u64(seen.seq)?.bytes(&seen.digest.0)?;
        }
        Ok(())
    }

    /// Reads a record of this archive.
    ///
    /// # Errors
    /// [`RecordError`].
    pub(crate) fn decode(archive: ArchiveId, bytes: &[u8]) -> Result<Self, RecordError> {
        let mut from = Decoder::new(bytes);
        if from.array().ok().flatten() != Some(7) || from.str().ok() != Some(MAGIC) {
            return Err(RecordError::Encoding);
        }
        if from.u64().map_err(|_| RecordError::Encoding)? != VERSION {
            return Err(RecordError::Version);
        }
        let (record, device) = Record::read(&mut from).map_err(|_| RecordError::Encoding)?;
        if record.archive != archive {
            return Err(RecordError::OtherArchive);
        }
        if record.device().public() != device {
            return Err(RecordError::Key);
        }
        if *record.encode() == bytes { Ok(record) } else { Err(RecordError::Encoding) }
    }

    fn read(from: &mut Decoder<'_>) -> Result<(Self, [u8; 32]), minicbor::decode::Error> {
        let archive = from.decode()?;
        let owner = from.decode()?;
        let device = ByteArray::<32>::into(from.decode()?);
        let mut key: ByteArray<32> = from.decode()?;
        let secret = Secret::take(&mut key);
        key.zeroize();
        let mut record = Record { archive, owner, key: secret, remembered: BTreeMap::new() };
        let count = from.array()?.unwrap_or(u64::MAX);
        if count > DEVICES as u64 {
            return Err(minicbor::decode::Error::message("too many devices"));
        }
        for _ in 0..count {
            if from.array()? != Some(3) {
                return Err(minicbor::decode::Error::message("not a remembered version"));
            }
            let device = from.decode()?;
            let seen = Remembered { seq: from.u64()?, digest: from.decode()? };
            record.remembered.insert(device, seen);
        }
        Ok((record, device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCHIVE: ArchiveId = ArchiveId([3; 16]);

    fn record() -> Record {
        let mut record = Record::new(ARCHIVE, Secret::take(&mut [9; 32]));
        for (device, seq) in [(2, 40), (1, u64::MAX)] {
            let device = DeviceId([device; 32]);
            assert!(record.remember(device, Remembered { seq, digest: Digest([5; 32]) }));
        }
        record
    }

    #[test]
    fn a_record_is_read_back() {
        let bytes = record().encode();
        let back = Record::decode(ARCHIVE, &bytes).unwrap();
        assert!(back.key == record().key);
        assert_eq!((back.archive, &back.owner, &back.remembered), (ARCHIVE, &standalone(), &record().remembered));
        assert_eq!(back.device().public(), record().device().public());
    }

    /// The bytes as `spec/formats.cddl` has them, written out by hand but for the public key.
    #[test]
    fn a_record_is_laid_out_as_the_grammar_says() {
        let text = |text: &[u8]| [&[0x60 + text.len() as u8], text].concat();
        let bytes = |head: &[u8], byte: u8, length: usize| [head, &vec![byte; length]].concat();
        let seen = |device, seq: &[u8]| {
            [&[0x83], &bytes(&[0x58, 32], device, 32)[..], seq, &bytes(&[0x58, 32], 5, 32)].concat()
        };
        let expected = [
            vec![0x87],
            text(b"bailee/key-record"),
            vec![1],
            bytes(&[0x50], 3, 16),
            vec![0x83],
            text(b"standalone"),
            text(b"standalone"),
            vec![0],
            vec![0x58, 32],
            record().device().public().to_vec(),
            bytes(&[0x58, 32], 9, 32),
            vec![0x82],
            seen(1, &[0x1b, 255, 255, 255, 255, 255, 255, 255, 255]),
            seen(2, &[0x18, 40]),
        ];
        assert_eq!(*record().encode(), expected.concat());
    }

    #[test]
    fn only_a_newer_version_is_remembered() {
        let mut record = record();
        let (device, digest) = (DeviceId([2; 32]), Digest([6; 32]));
        assert!(!record.remember(device, Remembered { seq: 40, digest }));
        assert!(!record.remember(device, Remembered { seq: 39, digest }));
        assert!(record.remember(device, Remembered { seq: 41, digest }));
        assert_eq!(record.remembered[&device].seq, 41);
    }

    /// Every byte altered, every length cut: no damaged record is taken for one, but for what is remembered in it.
    #[test]
    fn a_damaged_record_is_refused() {
        let bytes = record().encode();
        let memory = bytes.len() - 2 * REMEMBERED_BYTES;
        for at in 0..bytes.len() {
            assert!(Record::decode(ARCHIVE, &bytes[..at]).is_err(), "cut at {at}");
            let mut altered = bytes.to_vec();
            altered[at] ^= 1;
            if at < memory {
                assert!(Record::decode(ARCHIVE, &altered).is_err(), "byte {at}");
            }
        }
        assert!(Record::decode(ArchiveId([4; 16]), &bytes).is_err());
        assert_eq!(Record::decode(ARCHIVE, &[&bytes[..], &[0]].concat()).err(), Some(RecordError::Encoding));
    }

    /// The branch of the key tree, computed anew: HKDF-Expand over label and owner.
    #[test]
    fn the_identity_is_a_branch_of_the_key() {
        let other = Record::new(ARCHIVE, Secret::take(&mut [8; 32]));
        assert_ne!(record().device().public(), other.device().public());
        let of_another_archive = Record::new(ArchiveId([1; 16]), Secret::take(&mut [9; 32]));
        assert_eq!(record().device().public(), of_another_archive.device().public(), "the key alone decides");
    }
}

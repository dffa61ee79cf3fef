//! What a reader of archives takes from a store.

use bailee_archive::block::{self, Form};
use bailee_archive::manifest::{self, Root};
use bailee_archive::segment::{self, SegmentHead};
use bailee_archive::{
    Archive, ArchiveError, ArchiveKeys, DeviceId, MemoryStore, Padding, Place, limits, retention, tree,
};
use bailee_core::cbor;
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::sign::Signing;

use super::front;

/// How many decoders there are.
pub const DECODERS: u8 = 12;

/// The keys of the archive that the seeds are made from.
pub fn keys() -> ArchiveKeys {
    let owner = Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 };
    ArchiveKeys::new(&Secret::take(&mut [7; 32]), &owner)
}

/// The device that signs its manifests.
pub fn device() -> Signing {
    Signing::from_seed(&[3; 32])
}

/// The place at which a record's head is read.
pub const PLACE: Place = Place { segment: 1, offset: segment::SEGMENT_HEAD_BYTES as u64 };

fn named<T>(result: Result<T, ArchiveError>) -> Option<T> {
    result.inspect_err(|error| assert!(!error.name().is_empty() && !error.to_string().is_empty())).ok()
}

/// The first byte chooses a decoder, the rest is its input: refused by a name, or the encoding of what was read.
pub fn archive(data: &[u8]) {
    let mut data = data;
    let [decoder] = front(&mut data);
    match decoder % DECODERS {
        0 => {
            if let Some((header, sealed)) = named(block::decode_block(data)) {
                assert!([&header.encode()[..], sealed].concat() == data);
            }
        }
        1 => drop(named(block::decode_padded(Form::Raw, Padding::Padme, data))),
        2 => drop(named(block::decode_padded(Form::Zstd, Padding::Exact, data))),
        3 => drop(named(manifest::decode_manifest(data))),
        4 => {
            let root: Option<Root> = named(manifest::decode_root(data));
            assert!(root.is_none_or(|root| cbor::encode(&root) == data));
        }
        5 => {
            let index = named(manifest::decode_index(data));
            assert!(index.is_none_or(|index| cbor::encode(&index) == data));
        }
        6 => {
            let head: Option<SegmentHead> = named(segment::decode_segment_head(data));
            assert!(head.is_none_or(|head| data.starts_with(&head.encode())));
        }
        7 => {
            let head = named(segment::decode_frame_head(PLACE, data));
            assert!(head.is_none_or(|head| data.starts_with(&head.encode(PLACE))));
        }
        8 => {
            if let Some((item, length)) = named(tree::decode_item(data)) {
                let mut again = Vec::new();
                assert!(tree::encode_item(&item, &mut again).is_ok() && again == data[..length]);
            }
        }
        9 => {
            let entries = named(tree::decode_tree(data)).unwrap_or_default();
            assert!(entries.iter().all(|entry| entry.path.depth() <= limits::PATH_COMPONENTS));
        }
        10 => drop(named(retention::decode_retention(data))),
        _ => whole(data),
    }
}

/// A store whose only segment is this: whatever opens also reads, or says by name why not.
fn whole(data: &[u8]) {
    let mut store = MemoryStore::default();
    store.segments.insert(1, data.to_vec());
    if let Some(mut archive) = named(Archive::open(store, keys(), &[DeviceId(device().public())])) {
        let report = archive.check(true, &mut |_, _| {});
        let errors = archive.damage().iter().chain(&report.damage).map(|damage| &damage.error);
        assert!(errors.chain(report.lost.iter().map(|lost| &lost.error)).all(|error| !error.name().is_empty()));
    }
}

//! An archive that stands alone, and its recovery code.

use bailee_archive::testing::Seeded;
use bailee_archive::{Archive, ArchiveKeys, DeviceId, MemoryStore, Padding};
use bailee_core::crypto::keys::{Owner, Secret, subkey};
use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bech32::{Bech32, Bech32m, Hrp};
use serde_json::{Value, json};

use super::sound::{back_up, entries, newest, told};
use super::{hex, hex_segments};

const KEY: [u8; 32] = *b"a key that only this archive has";

/// An archive that stands alone: all that its owner has is the recovery code.
pub(crate) fn standalone() -> Value {
    let owner = Owner { tenant: "standalone".into(), user: "standalone".into(), epoch: 0 };
    let key = Secret::take(&mut { KEY });
    let device = Signing::from_seed(&subkey(&key, labels::KEY_STANDALONE_DEVICE, &owner));
    let keys = || ArchiveKeys::new(&Secret::take(&mut { KEY }), &owner);
    let archive = Archive::create(MemoryStore::default(), keys(), &Seeded(0)).unwrap();
    let entries = entries(1);
    let archive = back_up(&device, archive, 1, &entries, 1 << 26, Padding::Padme);
    let code = bech32::encode::<Bech32m>(Hrp::parse("bailee-key-").unwrap(), &KEY).unwrap();
    let (prefix, letters) = code.split_at("bailee-key-1".len());
    let groups: Vec<&str> = (0..letters.len()).step_by(4).map(|at| &letters[at..letters.len().min(at + 4)]).collect();
    let last = if code.ends_with('q') { "p" } else { "q" };
    json!({
        "tenant": "standalone", "user": "standalone", "epoch": 0, "key": hex(KEY),
        "code": code,
        "same_codes": [
            code.to_uppercase(),
            format!("{prefix} {}", groups.join(" ")),
            format!("BaileeKey1{}", groups.join("-")),
        ],
        "no_codes": [
            format!("{}{last}", &code[..code.len() - 1]),
            code[..code.len() - 1].to_owned(),
            code.replacen("bailee-key-1", "bailee-1", 1),
            bech32::encode::<Bech32>(Hrp::parse("bailee-key-").unwrap(), &KEY).unwrap(),
        ],
        "device": hex(device.public()), "archive": hex(archive.id().0),
        "versions": [told(&archive.versions()[0], &entries)],
        "newest": newest(&archive, DeviceId(device.public())),
        "segments": hex_segments(&archive.into_store()),
    })
}

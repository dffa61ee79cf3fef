//! The seeds of the corpora: real messages, and each way of spoiling one. Deterministic, so that a test can say that the
//! committed files are these.

mod archive;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bailee_core::cbor;
use bailee_core::crypto::hpke::{Recipient, seal_to};
use bailee_core::crypto::keys::Owner;
use bailee_core::crypto::sign::Signing;
use bailee_core::crypto::{labels, password, seal, sharing};
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::quirks::Quirks;
use bailee_core::roles::keystore::{Account, Snapshot};
use bailee_core::wire::{B32, Body, Frame};
use bailee_model::protocol::{Protocol, scopes};
use bailee_spec::Scope;
use bailee_spec::action::{Action, Lane};
use bailee_spec::observation::Message;
use minicbor::Encode;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::stage::{Handed, ROOT, Role, STAGE};
use crate::targets::stored::COST;
use crate::targets::{join, lockstep};

/// A file of a corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// The target.
    pub target: &'static str,
    /// The file's name: what it is, and then how it was spoilt, if it was.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Every seed of every target.
pub fn all() -> Vec<Seed> {
    let mut seeds = Seeds::default();
    seeds.frames();
    seeds.bodies();
    seeds.stored();
    seeds.crypto();
    seeds.roles();
    seeds.handed(&STAGE.handed);
    seeds.archive();
    seeds.restore();
    seeds.text();
    seeds.walks();
    seeds.0
}

#[derive(Default)]
struct Seeds(Vec<Seed>);

impl Seeds {
    fn add(&mut self, target: &'static str, name: impl Into<String>, bytes: Vec<u8>) {
        self.0.push(Seed { target, name: name.into(), bytes });
    }

    /// A value in canonical CBOR behind a prefix, and spoilt in each way.
    fn add_spoilt(&mut self, target: &'static str, name: &str, prefix: &[u8], body: &[u8]) {
        self.add(target, name, [prefix, body].concat());
        for (how, bytes) in spoilt(body) {
            self.add(target, format!("{name}-{how}"), [prefix, &bytes].concat());
        }
    }

    fn add_value<T: Encode<()>>(&mut self, target: &'static str, name: &str, value: &T) {
        self.add_spoilt(target, name, &[], &cbor::encode(value));
    }

    /// One frame of every kind.
    fn frames(&mut self) {
        for (kind, frame) in FRAMES.iter() {
            self.add("frame", kind.clone(), frame.clone());
        }
        if let Some(frame) = FRAMES.get("sign-in") {
            spoilt(frame).into_iter().for_each(|(how, bytes)| self.add("frame", format!("sign-in-{how}"), bytes));
        }
    }

    /// Every body that somebody signs.
    fn bodies(&mut self) {
        for frame in FRAMES.values() {
            match cbor::decode::<Frame>(frame, usize::MAX).map(|frame| frame.body) {
                Ok(Body::PresentCertificate { certificate, .. }) => {
                    self.add_spoilt("certificate", "real", &[], &certificate);
                }
                Ok(Body::CreateAccount { admission, .. }) => self.add_spoilt("admission", "real", &[], &admission),
                Ok(Body::EscrowKey { escrow, .. }) => self.add_spoilt("escrow", "real", &[], &escrow),
                Ok(Body::Receipt { receipt, .. }) => self.add_spoilt("receipt", "real", &[], &receipt),
                Ok(Body::ReleaseKey { grant, .. }) => self.add_spoilt("grant", "real", &[], &grant),
                _ => {}
            }
        }
        let handed = &STAGE.handed;
        self.add_spoilt("capability", "real", &[], &handed.capability.0);
        self.add_spoilt("ceremony", "real", &[], &handed.unsealing.ceremony.body);
        self.add_spoilt("share", "real", &[], &handed.unsealing.submitted[0].1);
        self.add_value("header", "real", &STAGE.header);
        let mut header = STAGE.header.clone();
        header.threshold = 0;
        self.add("header", "no-threshold", cbor::encode(&header));
        header.threshold = 3;
        header.commitments[2] = B32::from([0; 32]);
        self.add("header", "last-commitment-is-the-identity", cbor::encode(&header));
        header.commitments[0] = B32::from([0xff; 32]);
        self.add("header", "a-commitment-is-no-point", cbor::encode(&header));
    }

    /// Records as the roles wrote them, in the order of [`crate::targets::stored::KINDS`].
    fn stored(&mut self) {
        let Some(last) = STAGE.moments.last() else { return };
        let authority = |prefix: &str| first_record(&last.authority.disk, prefix.as_bytes());
        let custody = |prefix: &str| first_record(&last.custody.disk, prefix.as_bytes());
        let account: Option<Account> = STAGE.keyring.account(&last.keystore.disk, "tenant-0", "user-0");
        let owner = Owner { tenant: "tenant-0".into(), user: "user-0".into(), epoch: 0 };
        let records = [
            ("user", authority("u/")),
            ("device", authority("d/")),
            ("attempt", authority("a/")),
            ("session", authority("s/")),
            ("grant", authority("g/")),
            ("job", authority("j/")),
            ("point", authority("p/")),
            ("totals", authority("totals")),
            ("login", custody("l/")),
            ("window", custody("w/")),
            ("account", account.map(|account| cbor::encode(&account))),
            ("open-attempt", first_record(&last.keystore.disk, b"r/").map(|_| open_attempt())),
            ("attempts", Some(cbor::encode(&vec![B32::from([1; 32]), B32::from([2; 32])]))),
            ("archive", first_record(&last.storage.disk, b"archive/")),
            ("mark", first_record(&last.storage.disk, b"mark")),
            ("owner", Some(cbor::encode(&owner))),
        ];
        for ((name, record), kind) in records.into_iter().zip(0u8..) {
            let Some(record) = record else { continue };
            self.add("record", name, [&[kind], &record[..]].concat());
            let spoilt = spoilt(&record);
            let (how, bytes) = &spoilt[usize::from(kind) % spoilt.len()];
            self.add("record", format!("{name}-{how}"), [&[kind], &bytes[..]].concat());
        }
        let strange = bailee_core::roles::authority::JobRecord {
            tenant: "tenant-0".into(),
            user: "user-0".into(),
            kind: 200,
            state: 200,
            deadline: u64::MAX,
        };
        self.add("record", "job-of-unknown-kind-and-state", [&[5], &cbor::encode(&strange)[..]].concat());
        self.add_spoilt("snapshot", "real", &[], &STAGE.handed.snapshot);
        if let Some(mut snapshot) = Snapshot::decode(&STAGE.handed.snapshot) {
            let again = snapshot.records[0].clone();
            snapshot.records.push(again);
            self.add("snapshot", "a-record-twice", snapshot.encode());
        }
        self.device_disks();
        self.add("keyring", "real", STAGE.sealed_keyring.clone());
        for (how, bytes) in spoilt(&STAGE.sealed_keyring) {
            self.add("keyring", format!("real-{how}"), bytes);
        }
    }

    fn device_disks(&mut self) {
        let Some(last) = STAGE.moments.last() else { return };
        let read = |name: &str| last.devices[0].disk.bytes(name).map(|bytes| bytes.to_vec()).unwrap_or_default();
        let (identity, key) = (read("identity"), read("key"));
        self.add("device_disk", "blank", join(&[]));
        self.add("device_disk", "identity", join(&[&identity]));
        self.add("device_disk", "key", join(&[&identity, &key]));
        self.add("device_disk", "key-without-identity", join(&[&[], &key]));
        self.add("device_disk", "key-and-block", [join(&[&identity, &key]), STAGE.handed.block.clone()].concat());
        for (how, bytes) in spoilt(&identity) {
            self.add("device_disk", format!("identity-{how}"), join(&[&bytes, &key]));
        }
        for (how, bytes) in spoilt(&key) {
            self.add("device_disk", format!("key-{how}"), join(&[&identity, &bytes]));
        }
    }

    fn crypto(&mut self) {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let sealed = seal::seal_once(&ROOT, labels::SEAL_BLOCK, b"header", b"message", &mut rng);
        let framed = |header: &[u8], body: &[u8]| [&[0, 9], &join(&[header])[..], body].concat();
        self.add("seal", "real", framed(b"header", &sealed));
        self.add("seal", "another-header", framed(b"Header", &sealed));
        self.add("seal", "overhead-alone", framed(b"header", &sealed[..seal::OVERHEAD_BYTES]));
        self.add("seal", "one-byte-less", framed(b"header", &sealed[..seal::OVERHEAD_BYTES - 1]));
        self.add("seal", "empty", Vec::new());

        let recipient = Recipient::from_seed(&ROOT).public();
        let sealed = seal_to(&recipient, labels::HPKE_RELEASE, b"context", b"message", &mut rng).unwrap_or_default();
        self.add("hpke", "real", framed(b"context", &sealed));
        self.add("hpke", "another-context", framed(b"Context", &sealed));
        self.add("hpke", "key-alone", framed(b"context", &sealed[..32]));
        self.add("hpke", "half-a-key", framed(b"context", &sealed[..16]));
        self.add("hpke", "the-zero-point", framed(b"context", &[0; 48]));
        self.add("hpke", "empty", Vec::new());

        let key = Signing::from_seed(&ROOT);
        let signature = key.sign(labels::SIGN_RECEIPT, b"body");
        let signed = |public: &[u8], signature: &[u8]| [&[0, 9], public, &join(&[signature]), b"body"].concat();
        self.add("signature", "real", signed(&key.public(), &signature));
        self.add("signature", "cut", signed(&key.public(), &signature[..63]));
        self.add("signature", "of-another-key", signed(&Signing::from_seed(&[8; 32]).public(), &signature));
        let identity: [u8; 32] = std::array::from_fn(|place| u8::from(place == 0));
        self.add("signature", "small-order-key", signed(&identity, &[identity, [0; 32]].concat()));
        self.add("signature", "key-is-no-point", signed(&[0xff; 32], &signature));

        if let Ok(shared) = sharing::split(3, 5, &mut rng) {
            let share = |threshold: u8, index: u8, value: &[u8; 32]| {
                [&[threshold, index], &value[..], shared.commitments.as_flattened()].concat()
            };
            self.add("sharing", "real", share(3, 1, &shared.shares[0]));
            self.add("sharing", "of-another-index", share(3, 2, &shared.shares[0]));
            self.add("sharing", "the-secret-as-share-zero", share(3, 0, &shared.secret));
            self.add("sharing", "another-threshold", share(2, 1, &shared.shares[0]));
            self.add("sharing", "not-canonical", share(3, 1, &[0xff; 32]));
            self.add("sharing", "no-commitments", share(0, 1, &shared.shares[0])[..34].to_vec());
        }

        let record = password::record(COST, [1; 16], b"correct horse");
        let with = |record: &[u8], word: &[u8]| [&join(&[record])[..], word].concat();
        self.add("password", "real", with(&record, b"correct horse"));
        self.add("password", "another-word", with(&record, b"correct house"));
        self.add("password", "cut", with(&record[..55], b"correct horse"));
        let mut greedy = record.clone();
        greedy[..4].copy_from_slice(&[0xff; 4]);
        self.add("password", "four-terabytes", with(&greedy, b"correct horse"));
        let mut free = record;
        free[..8].copy_from_slice(&[0; 8]);
        self.add("password", "no-cost", with(&free, b"correct horse"));
    }

    /// Every frame as it was delivered on the stage, and some at the wrong address or time.
    fn roles(&mut self) {
        let number = |role: Role| Role::ALL.iter().position(|other| *other == role).map_or(0, |at| at as u8);
        for (delivery, place) in STAGE.deliveries.iter().zip(0u8..) {
            let [at, to] = [delivery.moment as u8, number(delivery.to)];
            let kind = kind_of(&delivery.frame);
            self.add("roles", format!("{place:02}-{kind}"), [&[at, to], &delivery.frame[..]].concat());
            match place % 4 {
                0 => self.add("roles", format!("{place:02}-{kind}-early"), [&[0, to], &delivery.frame[..]].concat()),
                2 => self.add(
                    "roles",
                    format!("{place:02}-{kind}-astray"),
                    [&[at, to + 1], &delivery.frame[..]].concat(),
                ),
                _ => {}
            }
        }
    }

    fn handed(&mut self, handed: &Handed) {
        let Some(last) = STAGE.moments.len().checked_sub(1) else { return };
        let (last, opened) = (last as u8, handed.unsealing.opened as u8);
        let header = cbor::encode(&STAGE.header);
        let (capability, signature) = &handed.capability;
        let (body, signed) = (&handed.unsealing.ceremony.body[..], &handed.unsealing.ceremony.signature[..]);
        let escrow =
            STAGE.deliveries.iter().find_map(|delivery| match cbor::decode::<Frame>(&delivery.frame, usize::MAX) {
                Ok(Frame { body: Body::EscrowKey { escrow, .. }, .. }) => Some(escrow.to_vec()),
                _ => None,
            });
        let mut add = |name: &str, at: u8, way: u8, pieces: &[&[u8]]| {
            self.add("handoffs", name, [&[at, way], &join(pieces)[..]].concat());
        };
        add("announce", opened, 0, &[&[], body, signed]);
        add("announce-unsigned", opened, 0, &[&[], body, &[0; 64]]);
        add("receive", opened + 1, 1, &[&handed.unsealing.wrapped[0], body, signed]);
        add("receive-of-another", opened + 1, 1, &[&handed.unsealing.wrapped[1], body, signed]);
        for ((at, share, signature), number) in handed.unsealing.submitted.iter().zip(1..) {
            add(&format!("submit-{number}"), *at as u8, 2, &[share, signature]);
        }
        add("submit-late", last, 2, &[&handed.unsealing.submitted[0].1, &handed.unsealing.submitted[0].2]);
        add("append", last, 3, &[capability, signature, &handed.block]);
        add("append-unsigned", last, 3, &[capability, &[], &handed.block]);
        add("obey-a-forged-order", last, 4, &[&[1; 64]]);
        add("stage", opened, 5, &[&handed.snapshot]);
        add("stage-while-unsealed", last, 5, &[&handed.snapshot]);
        add("stage-cut", opened, 5, &[&handed.snapshot[..handed.snapshot.len() - 1]]);
        add("acknowledge", 0, 6, &[&handed.new_shares[0].sealed, &header]);
        add("acknowledge-of-another", 0, 6, &[&handed.new_shares[1].sealed, &header]);
        add("take-back-what-is-not-lost", last, 7, &[&escrow.unwrap_or_default(), &[0; 32]]);
    }

    /// Trees with links that lead out, behind what stands in the target before.
    fn restore(&mut self) {
        let (folder, link, pipe, hard, file) = (0u8, 1u8, 2u8, 3u8, 4u8);
        let (a, b, c) = (0u8, 1u8, 2u8);
        let in_a = |name: u8| 0x40 | name << 2;
        let trees: [(&str, &[u8]); 5] = [
            ("files", &[folder, a, 0, file, in_a(b), 9, file, b, 200, hard, c, 2]),
            ("links-out", &[link, a, 1, link, b, 2, file, c, 3]),
            ("below-a-link", &[link, a, 1, file, in_a(b), 5]),
            ("pipes-and-folders", &[pipe, a, 0, folder, b, 0, pipe, c, 0]),
            ("a-link-to-a-link", &[link, a, 4, hard, b, 0, hard, c, 1]),
        ];
        for (name, tree) in trees {
            let links = 1 | 4 | 8 | 16;
            for (how, before) in [
                ("anew", 0u8),
                ("into-a-folder", 1),
                ("over-links", links),
                ("beside-links", links | 1 << 5),
                ("verified", 3 | 4),
            ] {
                self.add("restore", format!("{name}-{how}"), [&[before], tree].concat());
            }
        }
    }

    fn text(&mut self) {
        #[derive(serde::Serialize)]
        struct File {
            scope: Vec<Scope>,
        }
        for scope in scopes::committed() {
            let name = scope.name.clone();
            let file = toml::to_string(&File { scope: vec![scope] }).unwrap_or_default();
            self.add("scope_file", name, file.into_bytes());
        }
        let real =
            toml::to_string(&File { scope: scopes::committed().into_iter().take(1).collect() }).unwrap_or_default();
        for (name, from, to) in [
            ("unknown-field", "nodes = 1", "knots = 1"),
            ("unknown-start", "\"fresh\"", "\"frosh\""),
            ("no-users", "users = 1", "users = 0"),
            ("too-many-devices", "devices-per-user = 2", "devices-per-user = 255"),
            ("number-too-large", "nodes = 1", "nodes = 256"),
            ("threshold-of-none", "threshold = 2", "threshold = 0"),
            ("missing-field", "sorted = true\n", ""),
            ("not-toml", "[[scope]]", "[[scope]"),
        ] {
            self.add("scope_file", format!("broken-{name}"), real.replacen(from, to, 1).into_bytes());
        }
        for scope in scopes::committed().iter().filter(|scope| scope.lockstep) {
            let Ok(protocol) = Protocol::new(scope, None) else { continue };
            self.add("actions", scope.name.clone(), serde_json::to_vec(&protocol.actions).unwrap_or_default());
        }
        self.add("actions", "broken-unknown-action", br#"[{"action":"open_all"}]"#.to_vec());
        self.add("actions", "broken-number", br#"[{"action":"sign_in","device":256}]"#.to_vec());
        self.add("actions", "broken-cut", br#"[{"action":"sign_in","device":"#.to_vec());
        self.add("actions", "broken-deep", vec![b'['; 300]);
    }

    /// Two walks a scope.
    fn walks(&mut self) {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for scope in 0..lockstep::scopes() as u8 {
            for walk in 1..=2 {
                self.add(
                    "lockstep",
                    format!("{}-{walk}", lockstep::scope_name(scope.into())),
                    choices(scope, 96, &mut rng),
                );
            }
        }
    }
}

/// Arbitrary choices of actions in a scope: nine in ten change the state if any action does.
fn choices(scope: u8, actions: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut choice = || {
        let number = rng.next_u32();
        ((number as u16) & !1 | u16::from(number >> 16 & 15 == 0)).to_be_bytes()
    };
    std::iter::once(scope).chain((0..actions).flat_map(|_| choice())).collect()
}

/// Each way in which canonical CBOR whose outermost item is an array can be spoilt, by name.
fn spoilt(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut flipped = body.to_vec();
    flipped[body.len() / 2] ^= 1;
    let count = body[0] & 0x1f;
    vec![
        ("cut", body[..body.len() - 1].to_vec()),
        ("long", [body, &[0]].concat()),
        ("flipped", flipped),
        ("wide-head", [&[0x98, count], &body[1..]].concat()),
        ("indefinite", [&[0x9f], &body[1..], &[0xff]].concat()),
        ("one-item-more", [&[body[0].wrapping_add(1)], &body[1..], &[0xf6]].concat()),
        ("a-billion-items", [&[0x9a, 0x3b, 0x9a, 0xca, 0x00], &body[1..]].concat()),
    ]
}

fn first_record(disk: &bailee_core::disk::Disk, prefix: &[u8]) -> Option<Vec<u8>> {
    disk.with_prefix(prefix).next().map(|(_, bytes)| bytes.to_vec())
}

fn open_attempt() -> Vec<u8> {
    cbor::encode(&bailee_core::roles::keystore::Attempt {
        tenant: "tenant-0".into(),
        user: "user-0".into(),
        device: B32::from([1; 32]),
        nonce: B32::from([2; 32]),
        expiry: 600,
        generation: 0,
        open: true,
    })
}

/// The kind of an encoded frame, in words with hyphens.
fn kind_of(frame: &[u8]) -> String {
    let kind =
        cbor::decode::<Frame>(frame, usize::MAX).map(|frame| format!("{:?}", frame.body.kind())).unwrap_or_default();
    let mut words = String::new();
    for letter in kind.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// A frame of every kind, by its name.
static FRAMES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let mut found = BTreeMap::new();
    for delivery in &STAGE.deliveries {
        found.entry(kind_of(&delivery.frame)).or_insert_with(|| delivery.frame.clone());
    }
    for frame in race() {
        found.entry(kind_of(&frame)).or_insert(frame);
    }
    found
});

/// What passes when two devices race to enrol, and the user is suspended while the loser replaces.
fn race() -> Vec<Vec<u8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let size = Size { users: 1, devices_per_user: 2, nodes: 1, custodians: 3, threshold: 2, late: false };
    let Ok(mut ensemble) = Ensemble::new(size, COST, Quirks::none(), &mut rng) else { return Vec::new() };
    let mut passed = Vec::new();
    let mut run = |ensemble: &mut Ensemble, device: u8, until: Message| {
        let lane = Lane::Device(device);
        while let Some(frame) = ensemble.in_flight(lane) {
            passed.push(cbor::encode(&frame));
            if frame.body.kind() == until {
                return;
            }
            ensemble.act(Action::Deliver { lane }, &mut rng);
        }
    };
    let mut other = ChaCha8Rng::seed_from_u64(7);
    ensemble.act(Action::SignIn { device: 0 }, &mut other);
    ensemble.act(Action::SignIn { device: 1 }, &mut other);
    run(&mut ensemble, 0, Message::EscrowKey);
    run(&mut ensemble, 1, Message::EscrowKey);
    run(&mut ensemble, 0, Message::SignIn);
    run(&mut ensemble, 1, Message::ConsumeGrant);
    ensemble.act(Action::Suspend { user: 0 }, &mut other);
    run(&mut ensemble, 1, Message::SignIn);
    passed
}

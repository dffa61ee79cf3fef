//! The seeds of the corpora: real messages, and each way of spoiling one. Deterministic, so that a test can say that the
//! committed files are these.

mod archive;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bailee_core::cbor;
use bailee_core::crypto::hpke::{Recipient, seal_to};
use bailee_core::crypto::keys::Owner;
use bailee_core::crypto::sign::Signing;
use bailee_core::crypto::{labels, password, seal, sharing};
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::machine::{Peer, Person};
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::Guesses;
use bailee_core::roles::keystore::Snapshot;
use bailee_core::store::{MemoryStore, Read};
use bailee_core::wire::{B32, Blob, Body, EscrowBody, Frame};
use bailee_model::protocol::{Protocol, scopes};
use bailee_services::{At, tenant_of, user_of};
use bailee_spec::Scope;
use bailee_spec::action::{Action, Lane};
use bailee_spec::limits::MESSAGE_BYTES;
use bailee_spec::observation::Message;
use minicbor::Encode;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::stage::{ROOT, STAGE};
use crate::targets::roles::peers;
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
    seeds.network();
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
                Ok(Body::Append { capability, .. }) => self.add_spoilt("capability", "real", &[], &capability),
                Ok(Body::Announce { ceremony, .. }) => self.add_spoilt("ceremony", "real", &[], &ceremony),
                Ok(Body::SubmitShare { share, .. }) => self.add_spoilt("share", "real", &[], &share),
                _ => {}
            }
        }
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
        let found = |at: At, name: &str| {
            STAGE.history.iter().rev().find_map(|(moment, _)| first_record(moment.store(at), name.as_bytes()))
        };
        let authority = |prefix: &str| found(At::Authority, prefix);
        let account = STAGE
            .history
            .iter()
            .find_map(|(moment, _)| STAGE.keyring.account(moment.store(At::Keystore(0)), &tenant_of(0), &user_of(0)));
        let owner = Owner { tenant: tenant_of(0), user: user_of(0), epoch: 0 };
        let records = [
            ("user", authority("u/")),
            ("device", authority("d/")),
            ("attempt", authority("a/")),
            ("session", authority("s/")),
            ("grant", authority("g/")),
            ("job", authority("j/")),
            ("point", authority("p/")),
            ("epochs", authority("epochs")),
            ("login", found(At::Custody, "l/")),
            ("window", found(At::Custody, "w/")),
            ("account", account.map(|account| cbor::encode(&account))),
            ("open-attempt", Some(open_attempt())),
            ("attempts", Some(cbor::encode(&vec![B32::from([1; 32]), B32::from([2; 32])]))),
            ("store", authority("store")),
            ("mark", found(At::Storage, "mark")),
            ("owner", Some(cbor::encode(&owner))),
            ("guesses", Some(cbor::encode(&Guesses { wrong: 3, last: 60 }))),
            ("on-behalf", authority("on-behalf")),
            ("admin", authority("ad/")),
            ("staged", found(At::Keystore(0), "staged")),
            ("headers", found(At::Custodian(1), "headers")),
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
            admin: None,
        };
        self.add("record", "job-of-unknown-kind-and-state", [&[5], &cbor::encode(&strange)[..]].concat());
        self.add_spoilt("snapshot", "real", &[], &STAGE.snapshot);
        if let Some(mut snapshot) = Snapshot::decode(&STAGE.snapshot) {
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
        let read = |name: &str| {
            let moments = STAGE.history.iter();
            moments
                .rev()
                .find_map(|(moment, _)| first_record(moment.store(At::Device(0)), name.as_bytes()))
                .unwrap_or_default()
        };
        let (identity, key) = (read("identity"), read("key"));
        let block = STAGE.frames().find_map(|frame| match frame.body {
            Body::Append { block, .. } => Some(block.to_vec()),
            _ => None,
        });
        let block = block.unwrap_or_default();
        self.add("device_disk", "blank", join(&[]));
        self.add("device_disk", "identity", join(&[&identity]));
        self.add("device_disk", "key", join(&[&identity, &key]));
        self.add("device_disk", "key-without-identity", join(&[&[], &key]));
        self.add("device_disk", "key-and-block", [join(&[&identity, &key]), block].concat());
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

    /// A frame of every kind as it was delivered on the stage, and some at the wrong address, time or hands; and timers.
    fn roles(&mut self) {
        let mut seen = BTreeSet::new();
        for ((moment, flight), at) in STAGE.history.iter().zip(0u16..) {
            let kind = kind_of(&flight.bytes);
            if !seen.insert((kind.clone(), flight.to)) {
                continue;
            }
            let places = moment.places();
            let to = places.iter().position(|place| *place == flight.to).unwrap_or_default() as u8;
            let by = peers(moment).iter().position(|peer| *peer == flight.from).unwrap_or_default() as u8;
            let [first, second] = at.to_be_bytes();
            let mut add = |how: &str, head: [u8; 5]| {
                self.add("roles", format!("{at:03}-{kind}{how}"), [&head, &flight.bytes[..]].concat());
            };
            add("", [first, second, 0, to, by]);
            match at % 4 {
                0 => add("-early", [0, 0, 0, to, by]),
                1 => add("-late", [first, second, 8, to, by]),
                2 => add("-astray", [first, second, 0, (to + 1) % places.len() as u8, by]),
                _ => add("-of-another", [first, second, 0, to, by.wrapping_add(1)]),
            }
        }
        for timer in 0..10 {
            for to in 0..6 {
                let moment = (u16::from(timer) * 37 + u16::from(to) * 11).to_be_bytes();
                let seed = [moment[0], moment[1], timer, 0x80 | to, timer, 1, 2, 3];
                self.add("roles", format!("timer-{timer}-{to}"), seed.to_vec());
            }
        }
        self.large_frames();
    }

    /// What an outsider sends as large as a frame may be.
    fn large_frames(&mut self) {
        let Some((place, _)) = STAGE
            .history
            .iter()
            .zip(0u16..)
            .find_map(|((_, flight), at)| (kind_of(&flight.bytes) == "append").then_some((at, flight)))
        else {
            return;
        };
        let [first, second] = place.to_be_bytes();
        let world = &STAGE.history[usize::from(place)].0;
        let at = |to: At| world.places().iter().position(|known| *known == to).unwrap_or_default() as u8;
        let by = |peer: &Peer| peers(world).iter().position(|known| known == peer).unwrap_or_default() as u8;
        let device = world.peer(At::Device(0));
        let holder = Peer::Person(Person::Holder);
        let large = |bytes: usize| Blob::from(vec![7; MESSAGE_BYTES - bytes]);
        let escrow =
            |bytes| EscrowBody { attempt: B32::from([1; 32]), commitment: B32::from([2; 32]), sealed: large(bytes) };
        let header = STAGE.header.clone();
        for (name, to, from, body) in [
            ("content", At::Device(0), &holder, Body::BackUp { content: large(64) }),
            ("password", At::Device(1), &holder, Body::EnterPassword { password: large(20) }),
            ("escrow", At::Authority, &device, Body::ReEscrow { escrow: cbor::encode(&escrow(100)).into() }),
            ("share", At::Custody, &Peer::Custodian(1), Body::StoreShare { header, wrapped: large(2_048) }),
        ] {
            let frame = cbor::encode(&Frame { exchange: None, generation: None, body });
            let head = [first, second, 0, at(to), by(from)];
            self.add("roles", format!("large-{name}"), [&head, &frame[..]].concat());
        }
    }

    /// Hostile networks: whatever a generator says, from moments all over the history.
    fn network(&mut self) {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let moments = STAGE.history.len() as u32;
        for number in 0..48u32 {
            let moment = (number * moments / 48) as u16;
            let mut bytes = moment.to_be_bytes().to_vec();
            for _ in 0..32 {
                bytes.extend_from_slice(&rng.next_u32().to_be_bytes());
            }
            self.add("network", format!("{number:02}"), bytes);
        }
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

/// Arbitrary choices of actions in a scope: three in four change the state if any action does.
pub fn choices(scope: u8, actions: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut choice = || {
        let number = rng.next_u32();
        ((number as u16) & !1 | u16::from(number >> 16 & 3 == 0)).to_be_bytes()
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

fn first_record(store: &MemoryStore, prefix: &[u8]) -> Option<Vec<u8>> {
    let found = store.scan(prefix, prefix, 1).ok()?;
    found.first().map(|(_, bytes)| bytes.to_vec())
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
        admitted: false,
    })
}

/// The kind of an encoded frame, in words with hyphens.
fn kind_of(frame: &[u8]) -> String {
    let kind = cbor::decode::<Frame>(frame, usize::MAX).map(|frame| frame.body.name().to_owned()).unwrap_or_default();
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
    for (_, flight) in &STAGE.history {
        found.entry(kind_of(&flight.bytes)).or_insert_with(|| flight.bytes.clone());
    }
    let alone = |body: &Body| cbor::encode(&Frame { exchange: None, generation: None, body: body.clone() });
    let (id, of_alerts) = (B32::from([1; 32]), B32::from([2; 32]));
    let rest = [
        Body::Alert { id, login: 1, node: 0, ceremony: of_alerts },
        Body::AlertFailed { id },
        Body::SetLogin { index: 1, authenticator: id },
        Body::NewRoot { header: id, sealed: vec![7; 80].into() },
        Body::SealNode,
        Body::Served,
        Body::KeystoreRefusal { reason: 1 },
        Body::Refusal { reason: 1 },
        Body::GrantRefused { grant: id },
    ];
    for frame in STAGE.told.iter().map(alone).chain(race()).chain(rest.iter().map(alone)) {
        found.entry(kind_of(&frame)).or_insert(frame);
    }
    found
});

/// What passes when two devices race to enrol, and the user is suspended while the loser replaces.
fn race() -> Vec<Vec<u8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let size = Size { users: 1, tenants: 1, devices_per_user: 2, nodes: 1, custodians: 3, threshold: 2, late: false };
    let Ok(mut ensemble) = Ensemble::new(size, COST, Quirks::none(), &mut rng) else { return Vec::new() };
    let mut passed = Vec::new();
    let mut run = |ensemble: &mut Ensemble, device: u8, until: Message| {
        let lane = Lane::Device(device);
        while let Some(frame) = ensemble.in_flight(lane) {
            passed.push(cbor::encode(&frame));
            if frame.body.message() == Some(until) {
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
    ensemble.act(Action::Suspend { user: 0, by: bailee_spec::action::Requester::Admin }, &mut other);
    run(&mut ensemble, 1, Message::SignIn);
    passed
}

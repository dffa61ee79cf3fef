//! Bytes that are built here from the tables of `spec/protocol.md` (§3, §4), and not from what the code says of itself: a fault that is
//! made on both sides alike, in a label, a context or what a code covers, agrees with itself and not with the text.
//!
//! Signatures, HKDF and HMAC are checked by their libraries; CBOR is written by hand. HPKE and the sealed form are opened by the
//! functions of the crate, which `crypto_*.rs` holds to their formulas, under labels and contexts that are made here.

mod common;

use std::collections::BTreeMap;

use bailee_core::cbor;
use bailee_core::crypto::hpke::Recipient;
use bailee_core::crypto::{labels, seal, sharing};
use bailee_core::machine::Peer;
use bailee_core::roles::keystore::{HEADER, KEYRING, Keystore, Snapshot, header};
use bailee_core::store::{Batch, RECORD_BYTES, Read};
use bailee_core::wire::{Body, CeremonyBody, CustodianKeys, EscrowBody, Frame, Header, ReceiptBody, ShareBody};
use bailee_spec::action::Point;
use common::{Flight, HOLDER, House, OPERATOR, admin, b32};
use ed25519_dalek::{Signature, VerifyingKey};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The table of labels: each with what follows it, in the words of the text.
fn table() -> BTreeMap<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/protocol.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split("\n## 4. Labels").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let row = |row: &str| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        (cells[0].trim_end_matches('`').to_string(), cells[2].to_string())
    };
    rows.map(row).collect()
}

/// What the text says follows a label.
struct Text {
    table: BTreeMap<String, String>,
    used: std::cell::RefCell<Vec<String>>,
}

impl Text {
    fn read() -> Self {
        let table = table();
        assert_eq!(table.len(), labels::ALL.len(), "the table of labels was not read");
        Text { table, used: Default::default() }
    }

    /// The whole label, of which the table leaves the beginning out, if this follows it.
    fn label(&self, label: &str, followed_by: &str) -> String {
        assert_eq!(self.table.get(label).map(String::as_str), Some(followed_by), "{label}");
        self.used.borrow_mut().push(label.into());
        format!("bailee/v1/{label}")
    }

    /// GEN-24: Ed25519 over label ‖ H(body).
    fn signed(&self, label: &str, followed_by: &str, key: &[u8; 32], body: &[u8], signature: &[u8]) {
        let message = [self.label(label, followed_by).as_bytes(), &Sha256::digest(body)].concat();
        let signature = Signature::from_slice(signature).unwrap();
        let key = VerifyingKey::from_bytes(key).unwrap();
        assert!(key.verify_strict(&message, &signature).is_ok(), "{label}: not what the text says is signed");
    }
}

// CBOR by hand (RFC 8949): the shortest heads.

fn head(major: u8, number: u64) -> Vec<u8> {
    match number {
        0..24 => vec![major << 5 | number as u8],
        24..256 => vec![major << 5 | 24, number as u8],
        256..65_536 => [&[major << 5 | 25][..], &(number as u16).to_be_bytes()].concat(),
        _ => panic!("no number of this test is so large"),
    }
}

fn number(number: u64) -> Vec<u8> {
    head(0, number)
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    [head(2, bytes.len() as u64), bytes.to_vec()].concat()
}

fn word(text: &str) -> Vec<u8> {
    [head(3, text.len() as u64), text.as_bytes().to_vec()].concat()
}

fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

fn hmac(key: &[u8], label: &str, input: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap();
    mac.update(label.as_bytes());
    mac.update(input);
    mac.finalize().into_bytes().into()
}

/// Every frame of a kind that was ever on the wire.
fn carried(house: &House, kind: &str) -> Vec<Frame> {
    let frames = house.carried.iter().map(|bytes| cbor::decode::<Frame>(bytes, RECORD_BYTES).unwrap());
    frames.filter(|frame| frame.body.name() == kind).collect()
}

/// The bodies of the frames of a kind, each with its exchange, for a check of each.
macro_rules! each {
    ($house:expr, $kind:ident { $($field:ident),+ }, $exchange:ident => $check:expr) => {
        let frames = carried(&$house, stringify!($kind));
        assert!(!frames.is_empty(), "no {} was carried", stringify!($kind));
        for frame in frames {
            let $exchange = frame.exchange;
            let _ = &$exchange;
            let Body::$kind { $($field,)+ .. } = &frame.body else { unreachable!() };
            $check
        }
    };
}

/// A house in which every flow was run, and its keys.
fn lived() -> House {
    let mut house = House::new(2, &[("t", "ann"), ("t", "ann"), ("t", "bob")]);
    (0..3).for_each(|device| house.enrol(device));
    house.order(&HOLDER, Peer::Client, 0, Body::StartBackup).unwrap();
    house.run();
    house.order(&HOLDER, Peer::Client, 0, Body::BackUp { content: b"text".to_vec().into() }).unwrap();
    house.run();
    house.must(
        &common::user("t", "ann"),
        Peer::Authority,
        Body::RequestJob { tenant: "t".into(), user: "ann".into() },
    );
    house.order(&HOLDER, Peer::Client, 0, Body::EscrowAgain).unwrap();
    house.run();
    let device = house.id_of(2);
    let order = Body::Deauthorize { tenant: "t".into(), user: "bob".into(), device };
    house.must(&admin("t", "boss"), Peer::Authority, order);
    Point::ALL.into_iter().for_each(|point| house.publish(point));
    house.order(&HOLDER, Peer::Client, 2, Body::CheckIn).unwrap();
    house.run();
    house.ceremony(0, Body::OpenCeremony { rekey: true, roster: None });
    house.quorum(0);
    house
}

#[test]
fn signatures_are_over_what_the_text_says() {
    let (text, house) = (Text::read(), lived());
    let (au, ks, rs) = (house.authority_key.public(), house.keystore_key.public(), house.restorer_key.public());
    let mut device_of = BTreeMap::new();
    each!(house, BeginEnrolment { attempt, device, recipient, proof }, session => {
        let body = array(&[bytes(&session.unwrap()[..]), bytes(&attempt[..]), bytes(&recipient[..])]);
        text.signed("sign/attempt", "session, attempt, recipient key", device, &body, proof);
        device_of.insert(session, *device);
    });
    each!(house, AddDevice { device, recipient, proof }, session => {
        let body = array(&[bytes(&session.unwrap()[..]), bytes(&recipient[..])]);
        text.signed("sign/add-device", "session, recipient key", device, &body, proof);
    });
    each!(house, PresentCertificate { certificate, signature }, session => {
        text.signed("sign/enrolment-certificate", "certificate", &device_of[&session], certificate, signature);
    });
    each!(house, EscrowKey { escrow, signature }, session => {
        text.signed("sign/escrow", "escrow body", &device_of[&session], escrow, signature);
    });
    each!(house, CreateAccount { admission, signature }, _exchange => {
        text.signed("sign/admission", "admission body", &au, admission, signature);
    });
    each!(house, Receipt { receipt, signature }, _exchange => {
        text.signed("sign/receipt", "receipt body", &ks, receipt, signature);
    });
    each!(house, EnrolmentOpened { nonce, intake, signature }, _exchange => {
        let body = array(&[bytes(&nonce[..]), bytes(&intake[..])]);
        text.signed("sign/intake", "nonce, intake key", &ks, &body, signature);
    });
    each!(house, ReleaseKey { grant, signature }, _exchange => {
        text.signed("sign/grant", "grant body", &au, grant, signature);
    });
    each!(house, GrantConsumed { grant, challenge, epoch, signature }, _exchange => {
        let body = array(&[bytes(&grant[..]), bytes(&challenge[..]), number(*epoch)]);
        text.signed("sign/consumed", "grant id, challenge, revocation epoch", &au, &body, signature);
    });
    each!(house, Capability { capability, signature }, _exchange => {
        text.signed("sign/capability", "capability body", &au, capability, signature);
    });
    let orders = carried(&house, "Erase");
    assert_eq!(orders.len(), 1);
    let Body::Erase { signature } = &orders[0].body else { unreachable!() };
    each!(house, Escrow { user, device }, _exchange => {
        if user == "bob" {
            text.signed("sign/wipe", "device", &au, &device[..], signature);
        }
    });
    each!(house, JobKey { recipient, signature }, job => {
        text.signed("sign/job-key", "job, recipient key", &rs, &[&job.unwrap()[..], &recipient[..]].concat(), signature);
    });
    each!(house, Ceremony { ceremony, signature }, _exchange => {
        text.signed("sign/ceremony", "ceremony body", &ks, ceremony, signature);
    });
    of_custodians(&text, &house);
    let used = text.used.borrow();
    for label in text.table.keys().filter(|label| label.starts_with("sign/")) {
        // Links of an archive: `spec/vectors/read_archive.py` verifies them without this code.
        let of_archive = ["sign/manifest", "sign/retention"].contains(&label.as_str());
        assert!(of_archive || used.contains(label), "{label} was not looked at");
    }
}

fn of_custodians(text: &Text, house: &House) {
    let keys = |index: u8| house.custodians[usize::from(index) - 1].role.keys();
    let mut ceremonies = Vec::new();
    each!(house, Ceremony { ceremony }, _exchange => {
        ceremonies.push(cbor::decode::<CeremonyBody>(ceremony, 4096).unwrap().id);
    });
    each!(house, RequestShare { index, factor }, _exchange => {
        let factor = factor.as_ref().unwrap();
        let body = array(&[bytes(&ceremonies[0][..]), number((*index).into()), number(factor.code)]);
        let authenticator = house.custodians[usize::from(*index) - 1].role.authenticator();
        text.signed("sign/mfa", "ceremony, index, code", &authenticator, &body, &factor.signature);
    });
    each!(house, SubmitShare { share, signature }, _exchange => {
        let said: ShareBody = cbor::decode(share, 4096).unwrap();
        text.signed("sign/share", "share body", &keys(said.index).sign, share, signature);
    });
    let now: Header = house.nodes[0].peek(header).unwrap();
    each!(house, AckShare { index, signature }, _exchange => {
        text.signed("sign/ack", "header digest", &keys(*index).sign, &digest_of(&now), signature);
    });
}

/// GEN-26a: H of the header without its sealed root.
fn digest_of(header: &Header) -> Vec<u8> {
    let custodian = |keys: &CustodianKeys| array(&[bytes(&keys.sign[..]), bytes(&keys.recipient[..])]);
    let commitments: Vec<Vec<u8>> = header.commitments.iter().map(|point| bytes(&point[..])).collect();
    let stated = array(&[
        bytes(&header.id[..]),
        number(header.share_epoch),
        number(header.threshold.into()),
        array(&commitments),
        array(&header.custodians.iter().map(custodian).collect::<Vec<_>>()),
    ]);
    Sha256::digest(stated).to_vec()
}

#[test]
fn keys_are_derived_and_sealed_as_the_text_says() {
    let (text, house) = (Text::read(), lived());
    let owner = |user: &str| array(&[word("t"), word(user), number(0)]);
    let branch = |label: &str, user: &str, key: &[u8; 32]| {
        let mut out = [0; 32];
        let info = [label.as_bytes(), &owner(user)].concat();
        Hkdf::<Sha256>::from_prk(key).unwrap().expand(&info, &mut out).unwrap();
        out
    };
    let commit = text.label("key/commit", "owner");
    let ann = house.key_of(0).unwrap();
    let commitment = branch(&commit, "ann", &ann);
    let intake = text.label("hpke/intake", "owner without epoch, commitment");
    let mut seen = 0;
    each!(house, Receipt { receipt, escrow }, _exchange => {
        let said: ReceiptBody = cbor::decode(receipt, 4096).unwrap();
        if said.user == "ann" {
            assert_eq!(*said.commitment, commitment, "GEN-22");
            let sealed = cbor::decode::<EscrowBody>(escrow, 4096).unwrap().sealed;
            let context = array(&[word("t"), word("ann"), bytes(&commitment)]);
            let opened = house.keyring.intake.open(&intake, &context, &sealed).expect("GEN-31");
            assert_eq!(opened[..], ann);
            seen += 1;
        }
    });
    assert_eq!(seen, 1);
    // What lies in storage, under the key that the device keeps.
    let key = branch(&text.label("key/seal", "owner"), "ann", &ann);
    each!(house, Append { block }, _exchange => {
        let label = format!("bailee/v1/{}", "seal/block");
        assert_eq!(seal::open(&key, &label, &owner("ann"), block).unwrap()[..], *b"text");
    });
}

/// The barrier, from shares to records, by the formulas of GEN-26 to GEN-30.
#[test]
fn the_barrier_is_built_as_the_text_says() {
    let text = Text::read();
    let mut house = House::new(1, &[("t", "ann")]);
    house.enrol(0);
    let now: Header = house.nodes[0].peek(header).unwrap();
    let digest = digest_of(&now);
    let root = *house.nodes[0].role.opened().unwrap().root.expose();
    let sealed = house.nodes[0].saved().get(KEYRING.as_bytes()).unwrap().unwrap();
    let label = text.label("seal/keyring", "header digest");
    let keyring = seal::open(&root, &label, &digest, &sealed).expect("GEN-27");
    let (data, path_key) = (keyring[..32].try_into().unwrap(), &keyring[32..64]);
    let path = array(&[word("account"), word("t"), word("ann")]);
    let name = [b"r/".as_slice(), &hmac(path_key, &text.label("store-key", "path"), &path)].concat();
    let record = house.nodes[0].saved().get(&name).unwrap().expect("GEN-28");
    let record = seal::open(data, &text.label("seal/record", "path"), &path, &record).expect("GEN-27");
    let key = house.key_of(0).unwrap();
    assert!(record.windows(32).any(|window| window == key), "the account holds the key");
    // GEN-30: 32 zero bytes in the place of the code, which comes last.
    let snapshot = house.snapshot();
    let code = Snapshot::decode(&snapshot).unwrap().mac;
    let at = snapshot.len() - 32;
    assert_eq!(snapshot[at..], code[..]);
    let uncoded = [&snapshot[..at], &[0; 32]].concat();
    let expected = hmac(&root, &text.label("snapshot-mac", "snapshot without its code"), &uncoded);
    assert_eq!(*code, expected);
    assert!(house.nodes[0].saved().get(HEADER.as_bytes()).unwrap().is_some());
}

/// GEN-26, GEN-31: shares to custodians whose keys are known here, and the root that they open.
#[test]
fn shares_and_root_are_sealed_as_the_text_says() {
    let (text, mut rng) = (Text::read(), House::new(1, &[("t", "ann")]).custody.rng);
    let people: Vec<Recipient> = (1..=3).map(|seed| Recipient::from_seed(&[seed; 32])).collect();
    let keys: Vec<CustodianKeys> =
        people.iter().map(|own| CustodianKeys { sign: b32(1), recipient: own.public().into() }).collect();
    let setup = Keystore::initialise(&keys, 2, 600, &mut rng).unwrap();
    let wrap = text.label("hpke/wrap", "header digest, index");
    let mut verified = Vec::new();
    for share in &setup.shares {
        let context = [digest_of(&share.header), vec![share.index]].concat();
        let own = &people[usize::from(share.index) - 1];
        let value = own.open(&wrap, &context, &share.sealed).expect("GEN-31");
        let commitments: Vec<[u8; 32]> = share.header.commitments.iter().map(|point| **point).collect();
        verified.push(sharing::verify(share.index, value[..].try_into().unwrap(), &commitments, 2).unwrap());
    }
    let header = &setup.shares[0].header;
    let commitments: Vec<[u8; 32]> = header.commitments.iter().map(|point| **point).collect();
    let scalar = sharing::combine(&verified[..2], &commitments).unwrap();
    let unseal = text.label("unseal", "header id, share epoch");
    let info = [unseal.as_bytes(), &header.id[..], &header.share_epoch.to_be_bytes()].concat();
    let mut kek = [0; 32];
    Hkdf::<Sha256>::new(None, &scalar[..]).expand(&info, &mut kek).unwrap();
    let root = seal::open(&kek, &text.label("seal/root", "header digest"), &digest_of(header), &header.root);
    assert_eq!(root.expect("GEN-26")[..], setup.opened.root.expose()[..]);
}

/// GEN-31: a released key and a new root, to recipients whose keys are known here.
#[test]
fn a_released_key_and_a_new_root_are_sealed_as_the_text_says() {
    let (text, own) = (Text::read(), Recipient::from_seed(&[5; 32]));
    let mut house = House::new(2, &[("t", "ann"), ("t", "ann")]);
    house.enrol(0);
    house.sign_in(1);
    let mut released = house.run_to("ReleaseKey");
    let Body::ReleaseKey { grant, signature } = &mut released.frame.body else { unreachable!() };
    let mut said: bailee_core::wire::GrantBody = cbor::decode(grant, 4096).unwrap();
    said.recipient = own.public().into();
    (*grant, *signature) = common::signed(&house.authority_key, labels::SIGN_GRANT, &said);
    house.deliver(released).unwrap();
    let Flight { frame, .. } = house.run_to("SealedKey");
    let Body::SealedKey { grant, sealed, receipt, .. } = frame.body else { unreachable!() };
    let commitment = cbor::decode::<ReceiptBody>(&receipt, 4096).unwrap().commitment;
    let label = text.label("hpke/release", "grant, commitment");
    let key = own.open(&label, &[&grant[..], &commitment[..]].concat(), &sealed).expect("GEN-31");
    assert_eq!(Some(key[..].try_into().unwrap()), house.key_of(0));
    // The other node's channel is ours.
    let mut batch = Batch::default();
    batch.put([b'n', b'/', 1], bytes(&own.public()));
    house.nodes[0].write(&batch);
    house.ceremony(0, Body::OpenCeremony { rekey: true, roster: None });
    house.fetch(0, 0);
    house.hand_in(0, 0);
    house.fetch(1, 0);
    house.order(&HOLDER, Peer::Custodian(2), 0, Body::HandIn { node: 0 }).unwrap();
    let Flight { frame, .. } = house.run_to("NewRoot");
    let Body::NewRoot { sealed, .. } = frame.body else { unreachable!() };
    let now: Header = house.nodes[0].peek(header).unwrap();
    let label = text.label("hpke/root", "header digest, node");
    let root = own.open(&label, &[digest_of(&now), vec![1]].concat(), &sealed).expect("GEN-31");
    assert_eq!(root[..], house.nodes[0].role.opened().unwrap().root.expose()[..]);
    let _ = OPERATOR;
}

/// ENR-2c: where wrong passwords for a name that nobody has are counted.
#[test]
fn the_place_of_a_name_that_nobody_has_is_as_the_text_says() {
    let table = Text::read();
    let mut house = House::new(1, &[("t", "ann")]);
    let guess = Body::SignIn { tenant: "t".into(), user: "nobody".into(), password: b"wrong".to_vec().into() };
    assert!(house.authority.verdict(&Peer::Client, guess).is_err());
    let store = house.authority.saved();
    let secret = &store.get(b"nobody").unwrap().expect("a secret is drawn for the first such name")[..];
    // The record is the CBOR of 32 bytes.
    let key = secret.strip_prefix(&head(2, 32)[..]).unwrap();
    let label = table.label("guess-place", "tenant, user");
    let place = hmac(key, &label, &array(&[word("t"), word("nobody")]));
    let name = [b"gn/".as_slice(), &place[..2]].concat();
    assert!(store.get(&name).unwrap().is_some(), "{name:?}");
}

/// Every label of the table is checked here, or by the reader of archives, or is of a later version.
#[test]
fn every_label_is_looked_at() {
    let here = include_str!("bytes_of_the_text.rs");
    let elsewhere = [
        // `keystore.rs`, in which a custodian's package is opened.
        "hpke/share",
        // The keys and headers of archives, by `spec/vectors/read_archive.py`, which shares no code with this.
        "key/id",
        "key/chunk",
        "key/manifest",
        "key/standalone-device",
        "seal/manifest",
        "sign/manifest",
        "sign/retention",
        // Later versions.
        "key/prev",
        "key/slot-seed",
    ];
    for label in table().keys() {
        let checked = here.matches(&format!("\"{label}\"")).count();
        let is_elsewhere = elsewhere.contains(&label.as_str());
        assert!(checked > usize::from(is_elsewhere) || is_elsewhere, "{label} is looked at nowhere");
    }
}

//! Signatures of which verifiers of Ed25519 say different things: GEN-24 says which of them hold.
//!
//! A key is A = a·B + T and R is r·B + U, where T and U are of small order and mostly nothing. With k = H(R ‖ A ‖ message) and
//! S = r + k·a the equation S·B = R + k·A holds but for a point of small order, and often in full.

use bailee_core::cbor;
use bailee_core::crypto::labels;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar};
use minicbor::bytes::ByteVec;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};

use super::forge::*;
use super::{DEVICE_SEED, hex};

/// A key by which nothing is signed as it should be.
struct Key {
    encoded: [u8; 32],
    /// a
    scalar: Scalar,
    /// T
    rest: EdwardsPoint,
}

/// How R is made.
#[derive(Clone, Copy)]
enum Nonce {
    /// Of the first r with which the equation holds, or without the cofactor does not.
    First { exact: bool },
    /// Of such a point alone: r is 0.
    Point([u8; 32]),
    /// Of an r, and such a point.
    Mixed(EdwardsPoint),
}

fn encoded(point: EdwardsPoint) -> [u8; 32] {
    point.compress().to_bytes()
}

/// k
pub(crate) fn challenge(r: [u8; 32], key: [u8; 32], message: &[u8]) -> Scalar {
    let hashed = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hashed.into())
}

impl Key {
    /// The device's own.
    fn sound() -> Self {
        Key::with(EdwardsPoint::default())
    }

    /// The device's own, and a point of small order.
    fn with(rest: EdwardsPoint) -> Self {
        let mut half: [u8; 32] = Sha512::digest(DEVICE_SEED)[..32].try_into().unwrap();
        half[0] &= 248;
        half[31] = half[31] & 127 | 64;
        let scalar = Scalar::from_bytes_mod_order(half);
        Key { encoded: encoded(EdwardsPoint::mul_base(&scalar) + rest), scalar, rest }
    }

    /// A point of small order, and nothing else.
    fn small(encoded: [u8; 32]) -> Self {
        let rest = CompressedEdwardsY(encoded).decompress().unwrap();
        Key { encoded, scalar: Scalar::ZERO, rest }
    }

    fn sign(&self, message: &[u8], nonce: Nonce) -> Vec<u8> {
        let with = |r: Scalar, point: [u8; 32]| {
            let k = challenge(point, self.encoded, message);
            (k, [point, (r + k * self.scalar).to_bytes()].concat())
        };
        match nonce {
            Nonce::Point(point) => with(Scalar::ZERO, point).1,
            Nonce::Mixed(rest) => with(Scalar::ONE, encoded(EdwardsPoint::mul_base(&Scalar::ONE) + rest)).1,
            Nonce::First { exact } => {
                let mut tried = (1u64..).map(Scalar::from).map(|r| with(r, encoded(EdwardsPoint::mul_base(&r))));
                let holds = |k: &Scalar| self.rest * k == EdwardsPoint::default();
                tried.find(|(k, _)| holds(k) == exact).unwrap().1
            }
        }
    }
}

/// Points of small order, and what each is called: all 8, and what else decodes to the two whose encoding is not the only one.
fn small_points() -> Vec<(String, [u8; 32])> {
    let order = |point: usize| 8 >> point.trailing_zeros().min(3);
    let name = |point: usize| format!("of-order-{}-the-{point}-fold", order(point));
    let mut points: Vec<_> = (0..8).map(|point| (name(point), encoded(EIGHT_TORSION[point]))).collect();
    let with = |low: u8, rest: u8, high: u8| {
        let mut bytes = [rest; 32];
        (bytes[0], bytes[31]) = (low, high);
        bytes
    };
    // y and the sign of x: 1 and -1, where x is 0 and has no sign; 0 and 1 as numbers above the field's.
    let others = [
        ("of-order-1-signed", with(1, 0, 0x80)),
        ("of-order-2-signed", with(0xec, 0xff, 0xff)),
        ("of-order-4-above-the-field", with(0xed, 0xff, 0x7f)),
        ("of-order-4-above-the-field-signed", with(0xed, 0xff, 0xff)),
        ("of-order-1-above-the-field", with(0xee, 0xff, 0x7f)),
        ("of-order-1-above-the-field-signed", with(0xee, 0xff, 0xff)),
    ];
    points.extend(others.map(|(name, point)| (name.to_owned(), point)));
    points
}

#[derive(Default)]
pub(crate) struct Signatures(Vec<Value>);

impl Signatures {
    pub(crate) fn all() -> Vec<Value> {
        let mut signatures = Signatures::default();
        let exact = Nonce::First { exact: true };
        signatures.add("sound", &[], &Key::sound(), exact);
        for (name, point) in small_points() {
            signatures.add(&format!("key-{name}"), &["key"], &Key::small(point), exact);
        }
        let (one, eighth) = (encoded(EdwardsPoint::default()), EIGHT_TORSION[1]);
        signatures.add("key-and-r-of-order-1", &["key", "r"], &Key::small(one), Nonce::Point(one));
        signatures.add("r-of-order-1", &["r"], &Key::sound(), Nonce::Point(one));
        for (name, point) in small_points().into_iter().skip(1) {
            signatures.add(&format!("r-{name}"), &["r", "equation"], &Key::sound(), Nonce::Point(point));
        }
        signatures.add("r-with-a-part-of-small-order", &["equation"], &Key::sound(), Nonce::Mixed(eighth));
        let mixed = Key::with(eighth);
        signatures.add("key-with-a-part-of-small-order", &["equation"], &mixed, Nonce::First { exact: false });
        // Nobody else can make that signature: it is refused no more than any other.
        signatures.add("key-with-a-part-of-small-order-that-does-not-show", &[], &mixed, exact);
        signatures.add_changed("scalar-not-reduced", &["scalar"], &Key::sound(), exact, with_another_scalar);
        signatures.0
    }

    fn add(&mut self, name: &str, breaks: &[&str], key: &Key, nonce: Nonce) {
        self.add_changed(name, breaks, key, nonce, |signature| signature);
    }

    /// Adds a manifest and a retention record with this signature. What it breaks of GEN-24 is told.
    fn add_changed(
        &mut self,
        name: &str,
        breaks: &[&str],
        key: &Key,
        nonce: Nonce,
        change: impl Fn(Vec<u8>) -> Vec<u8>,
    ) {
        let signed = |label: &str, body: &[u8]| {
            let message = [label.as_bytes(), &Sha256::digest(body)].concat();
            pair(body, &change(key.sign(&message, nonce)))
        };
        let clear = manifest_clear(key.encoded, 1, 0, 1, None, &[]);
        let root = cbor::encode(&((0i64, 0u32), bytes(b"l"), 1u64, 0u64, Vec::<(ByteVec, u32)>::new()));
        let body = pair(&clear, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, &clear, &root));
        let place = Chained { archive: ARCHIVE, seq: 1, previous: None };
        let retention = retention_clear("retention", 1, key.encoded, place, &[], Removed::default());
        let links = [
            ("manifest", signed(labels::SIGN_MANIFEST, &body)),
            ("retention", signed(labels::SIGN_RETENTION, &retention)),
        ];
        let error = if breaks.is_empty() { "" } else { "BadSignature" };
        for (part, link) in links {
            self.0.push(json!({
                "part": part, "name": name, "device": hex(key.encoded), "breaks": breaks, "error": error, "bytes": hex(link),
            }));
        }
    }
}

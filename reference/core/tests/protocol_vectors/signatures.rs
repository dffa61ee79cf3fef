//! Signatures under every label, and those of which verifiers of Ed25519 say different things (GEN-24).

use bailee_core::crypto::labels;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};

use super::world::*;
use super::{Subject, hex};

const BODY: &[u8] = b"body";

fn message(label: &str, body: &[u8]) -> Vec<u8> {
    [label.as_bytes(), &Sha256::digest(body)].concat()
}

pub(crate) fn signatures() -> Subject {
    let mut subject = Subject::new("signatures");
    for label in labels::ALL.iter().filter(|label| label.contains("/sign/")) {
        of_label(&mut subject, label);
    }
    strictness(&mut subject);
    subject
}

fn verifying(label: &str, public: [u8; 32], signature: &[u8]) -> Value {
    json!({ "public": hex(public), "label": label, "body": hex(BODY), "signature": hex(signature) })
}

fn of_label(subject: &mut Subject, label: &str) {
    let name = label.trim_start_matches("bailee/v1/sign/");
    let (key, signature) = (key(DEVICE_SEED), signed(DEVICE_SEED, label, BODY));
    let inputs = json!({ "seed": hex(DEVICE_SEED), "label": label, "body": hex(BODY) });
    let value = json!({ "public": hex(key.public()), "signature": hex(&signature[..]) });
    subject.sound(&format!("sign-{name}"), "GEN-24 GEN-31", "sign", inputs, value);
    let of = format!("verify-{name}");
    subject.sound(&of, "GEN-24 GEN-31", "verify", verifying(label, key.public(), &signature), json!({}));
    for other in labels::ALL.iter().filter(|other| other.contains("/sign/") && *other != &label) {
        let fault = format!("as-{}", other.trim_start_matches("bailee/v1/sign/"));
        subject.fault(&of, &fault, "GEN-24 GEN-31", json!({ "label": other }), "NotVerified");
    }
    let by = |message: &[u8]| {
        use ed25519_dalek::{Signer, SigningKey};
        json!({ "signature": hex(SigningKey::from_bytes(&DEVICE_SEED).sign(message).to_bytes()) })
    };
    for (fault, changed) in [
        ("another-key", json!({ "public": hex(*public(STRANGER_SEED)) })),
        ("another-body", json!({ "body": hex(b"bodz") })),
        ("empty-body", json!({ "body": "" })),
        ("label-without-its-beginning", by(&message(&label["bailee/v1/".len()..], BODY))),
        ("body-not-hashed", by(&[label.as_bytes(), BODY].concat())),
        ("no-label", by(&Sha256::digest(BODY))),
        ("label-hashed-with-the-body", by(&Sha256::digest([label.as_bytes(), BODY].concat()))),
        ("cut-by-a-byte", json!({ "signature": hex(&signature[..63]) })),
        ("a-byte-behind", json!({ "signature": hex([&signature[..], &[0]].concat()) })),
        ("halves-exchanged", json!({ "signature": hex([&signature[32..], &signature[..32]].concat()) })),
    ] {
        subject.fault(&of, fault, "GEN-24", changed, "NotVerified");
    }
}

fn encoded(point: EdwardsPoint) -> [u8; 32] {
    point.compress().to_bytes()
}

fn challenge(r: [u8; 32], key: [u8; 32], label: &str) -> Scalar {
    let hashed = Sha512::new().chain_update(r).chain_update(key).chain_update(message(label, BODY)).finalize();
    Scalar::from_bytes_mod_order_wide(&hashed.into())
}

/// Points of small order, and what else decodes to those whose encoding is not the only one.
fn small_points() -> Vec<(String, [u8; 32])> {
    let order = |point: usize| 8 >> point.trailing_zeros().min(3);
    let name = |point: usize| format!("of-order-{}-the-{point}-fold", order(point));
    let mut points: Vec<_> = (0..8).map(|point| (name(point), encoded(EIGHT_TORSION[point]))).collect();
    let with = |low: u8, rest: u8, high: u8| {
        let mut bytes = [rest; 32];
        (bytes[0], bytes[31]) = (low, high);
        bytes
    };
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

/// A = a·B + T and R = r·B + U, with T and U of small order. With S = r + k·a, the two sides of the equation differ by a point of
/// small order at most.
struct Made {
    scalar: Scalar,
    rest: EdwardsPoint,
    key: [u8; 32],
}

impl Made {
    fn new(scalar: Scalar, rest: EdwardsPoint, key: [u8; 32]) -> Self {
        Made { scalar, rest, key }
    }

    fn with(&self, label: &str, nonce: Scalar, r: [u8; 32]) -> Vec<u8> {
        [r, (nonce + challenge(r, self.key, label) * self.scalar).to_bytes()].concat()
    }

    /// With the first r for which the equation holds to the byte, or without the cofactor does not.
    fn first(&self, label: &str, exact: bool) -> Vec<u8> {
        let r = |nonce: Scalar| encoded(EdwardsPoint::mul_base(&nonce));
        let holds = |nonce: &Scalar| {
            let k = challenge(r(*nonce), self.key, label);
            (self.rest * k == EdwardsPoint::default()) == exact
        };
        let nonce = (1u64..).map(Scalar::from).find(holds).expect("one in eight holds");
        self.with(label, nonce, r(nonce))
    }
}

/// S + the group order, which is as right as S for a verifier that does not look.
fn not_reduced(signature: &[u8]) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (mut out, mut carry) = (signature.to_vec(), 0u16);
    for (byte, of_order) in out[32..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(of_order);
        *byte = carry as u8;
        carry >>= 8;
    }
    out
}

/// GEN-24: one rule that a strict verifier has and another has not, each.
fn strictness(subject: &mut Subject) {
    let label = labels::SIGN_GRANT;
    let of = "verify-grant";
    let mut half: [u8; 32] = Sha512::digest(DEVICE_SEED)[..32].try_into().expect("32 bytes");
    half[0] &= 248;
    half[31] = half[31] & 127 | 64;
    let scalar = Scalar::from_bytes_mod_order(half);
    let device = *public(DEVICE_SEED);
    let sound = Made::new(scalar, EdwardsPoint::default(), device);
    let eighth = EIGHT_TORSION[1];
    let mixed_key = encoded(EdwardsPoint::mul_base(&scalar) + eighth);
    let mixed = Made::new(scalar, eighth, mixed_key);
    subject.sound(
        "key-with-a-part-of-small-order-that-does-not-show",
        "GEN-24",
        "verify",
        verifying(label, mixed_key, &mixed.first(label, true)),
        json!({}),
    );
    let signature = |bytes: Vec<u8>| json!({ "signature": hex(bytes) });
    let with_key = |key: [u8; 32], bytes: Vec<u8>| json!({ "public": hex(key), "signature": hex(bytes) });
    let mut no = |fault: &str, changed: Value| subject.fault(of, fault, "GEN-24", changed, "NotVerified");
    no("scalar-not-reduced", signature(not_reduced(&sound.first(label, true))));
    no("key-with-a-part-of-small-order", with_key(mixed_key, mixed.first(label, false)));
    let r = encoded(EdwardsPoint::mul_base(&Scalar::ONE) + eighth);
    no("r-with-a-part-of-small-order", signature(sound.with(label, Scalar::ONE, r)));
    for (name, point) in small_points() {
        no(&format!("r-{name}"), signature(sound.with(label, Scalar::ZERO, point)));
        let rest = CompressedEdwardsY(point).decompress().expect("a point");
        let made = Made::new(Scalar::ZERO, rest, point);
        no(&format!("key-{name}"), with_key(point, made.first(label, true)));
    }
}

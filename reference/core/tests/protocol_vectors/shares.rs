//! Feldman's sharing (GEN-25) and the unseal key (GEN-26).

use bailee_core::crypto::sharing::{Sharing, unseal_key};
use curve25519_dalek::Scalar;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use serde_json::{Value, json};

use super::world::*;
use super::{Subject, hex};

fn commitments(sharing: &Sharing) -> Value {
    sharing.commitments.iter().map(hex).map(Value::from).collect()
}

fn share(sharing: &Sharing, index: u8) -> Value {
    json!({ "index": index, "value": hex(*sharing.shares[usize::from(index) - 1]) })
}

fn some(sharing: &Sharing, indices: &[u8]) -> Value {
    indices.iter().map(|index| share(sharing, *index)).collect()
}

pub(crate) fn shares() -> Subject {
    let mut shares = Subject::new("shares");
    let sizes = [(2, 2, 0x01), (3, 5, 0xa0), (16, 16, 0x40)];
    for (threshold, count, first) in sizes {
        sharing(&mut shares, threshold, count, first);
    }
    parameters(&mut shares);
    verified(&mut shares);
    combined(&mut shares);
    let secret = *sharing_of(3, 5, 0xa0).secret;
    let inputs = json!({ "secret": hex(secret), "header_id": hex(HEADER_ID), "share_epoch": SHARE_EPOCH });
    let value = json!({ "unseal_key": hex(*unseal_key(&secret, &HEADER_ID, SHARE_EPOCH)) });
    shares.sound("unseal-key", "GEN-26 GEN-31", "unseal-key", inputs, value);
    shares
}

fn sharing(shares: &mut Subject, threshold: u8, count: u8, first: u8) {
    let made = sharing_of(threshold, count, first);
    let name = format!("{threshold}-of-{count}");
    let inputs = json!({ "threshold": threshold, "count": count, "random": hex(random_of(threshold, first)) });
    let values: Value = made.shares.iter().map(|value| Value::from(hex(**value))).collect();
    let value = json!({ "secret": hex(*made.secret), "shares": values, "commitments": commitments(&made) });
    shares.sound(&format!("share-{name}"), "GEN-25", "share", inputs, value);
    for index in [1, count] {
        let inputs = verifying(&made, threshold, index);
        shares.sound(&format!("verify-{name}-share-{index}"), "GEN-25", "verify-share", inputs, json!({}));
    }
    let first: Vec<u8> = (1..=threshold).collect();
    let last: Vec<u8> = (count - threshold + 1..=count).rev().collect();
    for (which, indices) in [("first", first), ("last", last)] {
        let shared = some(&made, &indices);
        let inputs = json!({ "threshold": threshold, "commitments": commitments(&made), "shares": shared });
        let value = json!({ "secret": hex(*made.secret) });
        shares.sound(&format!("combine-{name}-{which}"), "GEN-25", "combine", inputs, value);
    }
}

fn verifying(sharing: &Sharing, threshold: u8, index: u8) -> Value {
    json!({
        "threshold": threshold, "commitments": commitments(sharing), "index": index,
        "value": hex(*sharing.shares[usize::from(index) - 1]),
    })
}

fn parameters(shares: &mut Subject) {
    let mut no = |fault: &str, changed: Value| {
        shares.fault("share-3-of-5", fault, "GEN-25", changed, "NotShared");
    };
    no("threshold-0", json!({ "threshold": 0 }));
    no("threshold-1", json!({ "threshold": 1 }));
    no("threshold-above-the-count", json!({ "threshold": 6 }));
    no("count-0", json!({ "count": 0 }));
    no("count-17", json!({ "count": 17 }));
}

/// The group order, and what is above it: no canonical scalars.
fn order() -> [u8; 32] {
    let mut order = (-Scalar::ONE).to_bytes();
    order[0] += 1;
    order
}

fn verified(shares: &mut Subject) {
    let (made, other) = (sharing_of(3, 5, 0xa0), sharing_of(3, 5, 0xb0));
    let of = "verify-3-of-5-share-1";
    let mut no = |fault: &str, changed: Value| shares.fault(of, fault, "GEN-25", changed, "NotVerified");
    // At 0 the polynomial is the secret itself.
    no("index-0", json!({ "index": 0, "value": hex(*made.secret) }));
    no("another-index", json!({ "index": 2 }));
    no("value-of-another-share", json!({ "value": hex(*made.shares[1]) }));
    no("value-of-zero", json!({ "value": hex([0; 32]) }));
    no("value-of-31-bytes", json!({ "value": hex(&made.shares[0][..31]) }));
    let mut above = order();
    let mut carry = 0u16;
    for (byte, of_share) in above.iter_mut().zip(*made.shares[0]) {
        carry += u16::from(*byte) + u16::from(of_share);
        *byte = carry as u8;
        carry >>= 8;
    }
    no("value-not-reduced", json!({ "value": hex(above) }));
    no("value-of-another-sharing", json!({ "value": hex(*other.shares[0]) }));
    no("commitments-of-another-sharing", json!({ "commitments": commitments(&other) }));
    let with = |change: &dyn Fn(&mut Vec<[u8; 32]>)| {
        let mut points = made.commitments.clone();
        change(&mut points);
        json!({ "commitments": points.iter().map(hex).collect::<Vec<_>>() })
    };
    no("a-commitment-too-few", with(&|points| points.truncate(2)));
    // The identity more: the polynomial is the same, and of the degree that the threshold does not say.
    no("a-commitment-too-many", with(&|points| points.push([0; 32])));
    no("no-commitment", with(&|points| points.clear()));
    no("commitment-no-point", with(&|points| points[1] = [0xff; 32]));
    no("commitment-negative", with(&|points| points[1] = negated_encoding(points[1])));
    no("commitment-above-the-field", with(&|points| points[1] = above_the_field()));
    no("threshold-2", json!({ "threshold": 2 }));
    no("threshold-4", json!({ "threshold": 4 }));
    let (value, points) = flat();
    no("last-commitment-the-identity", json!({ "value": hex(value), "commitments": points }));
    // Share 1 is the sum of all coefficients, whatever their order; share 5 is not.
    let exchanged = with(&|points| points.swap(0, 1));
    shares.fault("verify-3-of-5-share-5", "first-commitments-exchanged", "GEN-25", exchanged, "NotVerified");
}

/// An encoding of the same point that is not the one of RFC 9496: its number negated.
fn negated_encoding(point: [u8; 32]) -> [u8; 32] {
    const FIELD: [u8; 32] = {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xed;
        bytes[31] = 0x7f;
        bytes
    };
    let (mut out, mut borrow) = ([0; 32], 0i16);
    for ((out, field), byte) in out.iter_mut().zip(FIELD).zip(point) {
        let difference = i16::from(field) - i16::from(byte) - borrow;
        borrow = i16::from(difference < 0);
        *out = difference.rem_euclid(256) as u8;
    }
    out
}

/// Zero, written as the number of the field.
fn above_the_field() -> [u8; 32] {
    negated_encoding([0; 32])
}

/// A sharing of lower degree than its threshold says: value and commitments agree, and the last one is the identity.
fn flat() -> ([u8; 32], Vec<String>) {
    let coefficients = [Scalar::from(5u64), Scalar::from(7u64), Scalar::ZERO];
    let points = coefficients.map(|scalar| hex((RISTRETTO_BASEPOINT_POINT * scalar).compress().to_bytes()));
    (coefficients.iter().sum::<Scalar>().to_bytes(), points.to_vec())
}

fn combined(shares: &mut Subject) {
    let (made, other) = (sharing_of(3, 5, 0xa0), sharing_of(3, 5, 0xb0));
    let of = "combine-3-of-5-first";
    let mut no = |fault: &str, given: Value| {
        shares.fault(of, fault, "GEN-25", json!({ "shares": given }), "NotCombined");
    };
    no("no-share", json!([]));
    no("a-share-too-few", some(&made, &[1, 2]));
    no("a-share-too-many", some(&made, &[1, 2, 3, 4]));
    no("one-share-twice", some(&made, &[1, 2, 2]));
    no("one-share-three-times", some(&made, &[1, 1, 1]));
    no("one-share-twice-beside-enough", some(&made, &[1, 2, 3, 3]));
    no("a-share-of-another-sharing", json!([share(&made, 1), share(&made, 2), share(&other, 3)]));
    no("all-shares-of-another-sharing", some(&other, &[1, 2, 3]));
    let under_another = json!({ "index": 4, "value": hex(*made.shares[2]) });
    no("a-share-under-another-index", json!([share(&made, 1), share(&made, 2), under_another]));
    let secret = json!({ "index": 0, "value": hex(*made.secret) });
    no("the-secret-as-share-0", json!([share(&made, 1), share(&made, 2), secret]));
    for (of, made, most) in [
        ("combine-2-of-2-first", sharing_of(2, 2, 0x01), 2),
        ("combine-16-of-16-first", sharing_of(16, 16, 0x40), 16),
    ] {
        let fewer: Vec<u8> = (1..most).collect();
        let changed = json!({ "shares": some(&made, &fewer) });
        shares.fault(of, "a-share-too-few", "GEN-25", changed, "NotCombined");
        let twice: Vec<u8> = (1..most).chain([1]).collect();
        let changed = json!({ "shares": some(&made, &twice) });
        shares.fault(of, "one-share-twice", "GEN-25", changed, "NotCombined");
    }
}

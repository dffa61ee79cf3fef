//! Password records and the limits of what they may cost (GEN-29).

use argon2::{Algorithm, Argon2, Params, Version};
use bailee_core::crypto::password::{Cost, record};
use serde_json::json;

use super::{Subject, hex};

const PASSWORD: &[u8] = b"correct horse";
const SALT: [u8; 16] = [0x63; 16];

/// A record in which everything is right, except what it costs.
fn costly(memory: u32, passes: u32, lanes: u32) -> Vec<u8> {
    let mut hash = [0; 32];
    let params = Params::new(memory, passes, lanes, Some(32)).expect("a cost that Argon2 knows");
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(PASSWORD, &SALT, &mut hash).expect("there is memory");
    [&memory.to_be_bytes()[..], &passes.to_be_bytes(), &SALT, &hash].concat()
}

pub(crate) fn passwords() -> Subject {
    let mut passwords = Subject::new("passwords");
    let costs = [("least-cost", Cost::TEST), ("cost-of-a-service", Cost::PRODUCTION)];
    let most = Cost { memory: 8, passes: 16 };
    for (name, cost) in costs.into_iter().chain([("16-passes", most)]) {
        let inputs = json!({ "record": hex(record(cost, SALT, PASSWORD)), "password": hex(PASSWORD) });
        passwords.sound(name, "GEN-29", "match-password", inputs, json!({}));
    }
    let whole = record(Cost::TEST, SALT, PASSWORD);
    let flip = |place: usize| {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        hex(bytes)
    };
    let with_cost =
        |memory: u32, passes: u32| hex([&memory.to_be_bytes()[..], &passes.to_be_bytes(), &whole[8..]].concat());
    let little_endian = hex([&8u32.to_le_bytes()[..], &1u32.to_le_bytes(), &whole[8..]].concat());
    for (fault, field, value) in [
        ("another-password", "password", hex(b"Correct horse")),
        ("password-and-a-zero", "password", hex(b"correct horse\0")),
        ("empty-password", "password", String::new()),
        ("salt-altered", "record", flip(8)),
        ("hash-altered", "record", flip(55)),
        ("cut-by-a-byte", "record", hex(&whole[..55])),
        ("a-byte-behind", "record", hex([&whole[..], &[0]].concat())),
        ("empty", "record", String::new()),
        ("7-kib", "record", with_cost(7, 1)),
        ("no-memory", "record", with_cost(0, 1)),
        ("no-pass", "record", with_cost(8, 0)),
        ("another-memory", "record", with_cost(9, 1)),
        ("two-passes", "record", with_cost(8, 2)),
        // Only the limit refuses it: a reader without a limit finds that the password matches.
        ("17-passes", "record", hex(costly(8, 17, 1))),
        ("a-kib-over-a-gib", "record", hex(costly(1_048_577, 1, 1))),
        ("four-tib", "record", with_cost(u32::MAX, 1)),
        ("passes-without-end", "record", with_cost(8, u32::MAX)),
        ("cost-in-little-endian", "record", little_endian),
        ("two-lanes", "record", hex(costly(16, 1, 2))),
    ] {
        passwords.fault("least-cost", fault, "GEN-29", json!({ field: value }), "NotMatched");
    }
    passwords
}

//! Frames: one of every kind, and one spoilt in each way (GEN-4, GEN-5, GEN-5a, GEN-10 to GEN-12a, NET-7, NET-10).

use bailee_core::cbor;
use bailee_core::wire::{B32, Blob, Body, Factor, Frame, StandingChange};
use bailee_spec::outcome::Refusal;
use serde_json::{Value, json};

use super::world::*;
use super::{Subject, hex, kinds, number, tree};

/// What a reader says of a frame.
pub(crate) fn said(frame: &Frame) -> Value {
    let whole = tree(&cbor::encode(frame));
    json!({
        "exchange": whole[0], "generation": frame.generation.map(number), "number": frame.body.number(),
        "kind": frame.body.name(), "fields": whole[2][1],
    })
}

fn frame(body: Body) -> Frame {
    Frame { exchange: None, generation: None, body }
}

/// The name of a kind in words with hyphens.
fn hyphened(kind: &str) -> String {
    let mut words = String::new();
    for letter in kind.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

impl Subject {
    fn frame(&mut self, name: &str, rules: &str, frame: &Frame) {
        let bytes = json!({ "bytes": hex(cbor::encode(frame)) });
        self.sound(name, rules, "read-frame", bytes, said(frame));
    }

    fn spoilt(&mut self, of: &str, fault: &str, rules: &str, bytes: &[u8]) {
        self.fault(of, fault, rules, json!({ "bytes": hex(bytes) }), "Malformed");
    }
}

fn sign_in(tenant: &str, user: &str) -> Frame {
    frame(Body::SignIn { tenant: tenant.into(), user: user.into(), password: b"correct horse".to_vec().into() })
}

pub(crate) fn frames() -> Subject {
    let mut frames = Subject::new("frames");
    for body in kinds::bodies() {
        let exchange = (body.number() < 28).then_some(b(SESSION));
        let generation = matches!(body, Body::EnrolmentOpened { .. } | Body::Receipt { .. }).then_some(2);
        let name = hyphened(body.name());
        let more = match &body {
            Body::ConsumeGrant { .. } => " GEN-11 NET-10",
            Body::Publish { .. } => " REV-5",
            _ => "",
        };
        frames.frame(&name, &format!("GEN-4 NET-7{more}"), &Frame { exchange, generation, body });
    }
    numbers(&mut frames);
    names(&mut frames);
    encodings(&mut frames);
    shapes(&mut frames);
    types(&mut frames);
    left_to_the_flow(&mut frames);
    limits(&mut frames);
    refusals(&mut frames);
    frames
}

/// Numbers at each width of a head, and in a longer one than they need.
fn numbers(frames: &mut Subject) {
    let widths: [(u64, &[&[u8]]); 9] = [
        (0, &[&[0x18, 0], &[0x19, 0, 0], &[0x1a, 0, 0, 0, 0], &[0x1b, 0, 0, 0, 0, 0, 0, 0, 0]]),
        (23, &[&[0x18, 23]]),
        (24, &[&[0x19, 0, 24]]),
        (255, &[&[0x19, 0, 255]]),
        (256, &[&[0x1a, 0, 0, 1, 0]]),
        (65_535, &[&[0x1a, 0, 0, 255, 255]]),
        (65_536, &[&[0x1b, 0, 0, 0, 0, 0, 1, 0, 0]]),
        (u32::MAX.into(), &[&[0x1b, 0, 0, 0, 0, 255, 255, 255, 255]]),
        (u64::MAX, &[]),
    ];
    for (value, longer) in widths {
        let (name, whole) = (format!("number-{value}"), frame(Body::Appended { number: value }));
        frames.frame(&name, "GEN-4", &whole);
        let bytes = cbor::encode(&whole);
        let start = &bytes[..bytes.len() - cbor::encode(&value).len()];
        for long in longer {
            let fault = format!("number-in-{}-bytes", long.len());
            frames.spoilt(&name, &fault, "GEN-4 GEN-5", &[start, long].concat());
        }
    }
    let start = cbor::encode(&frame(Body::Appended { number: 0 }));
    let start = &start[..start.len() - 1];
    for (fault, item) in [
        ("negative-number", &[0x20][..]),
        ("tagged-number", &[0xc1, 0]),
        ("bignum", &[0xc2, 0x41, 1]),
        ("half-float", &[0xf9, 0, 0]),
        ("float", &[0xfa, 0, 0, 0, 0]),
        ("double", &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("undefined", &[0xf7]),
        ("null-for-a-number", &[0xf6]),
        ("simple-value-0", &[0xe0]),
        ("boolean-for-a-number", &[0xf4]),
        ("text-for-a-number", &[0x61, b'0']),
        ("bytes-for-a-number", &[0x41, 0]),
        ("map-for-a-number", &[0xa0]),
        ("array-for-a-number", &[0x80]),
        ("reserved-head", &[0x1c]),
        ("break-for-a-number", &[0xff]),
    ] {
        frames.spoilt("number-0", fault, "GEN-4 GEN-5 NET-10", &[start, item].concat());
    }
}

fn names(frames: &mut Subject) {
    let long = "n".repeat(255);
    frames.frame("names-of-1-byte", "GEN-12 GEN-12a", &sign_in("t", "u"));
    frames.frame("names-of-255-bytes", "GEN-12 GEN-12a", &sign_in(&long, &long));
    frames.frame("names-of-255-bytes-in-fewer-letters", "GEN-12 GEN-12a", &sign_in(&"é".repeat(127), USER));
    frames.frame("names-with-a-zero", "GEN-12", &sign_in("a\0b", "a/../b"));
    frames.frame("names-not-normalised", "GEN-12", &sign_in("e\u{301}", "é"));
    let longer = "n".repeat(256);
    for (fault, tenant, user) in [
        ("empty-tenant", "", USER),
        ("empty-user", TENANT, ""),
        ("tenant-of-256-bytes", &*longer, USER),
        ("user-of-256-bytes", TENANT, &*longer),
        ("user-of-256-bytes-in-128-letters", TENANT, &*"é".repeat(128)),
    ] {
        frames.spoilt("sign-in", fault, "GEN-12 GEN-12a NET-10", &cbor::encode(&sign_in(tenant, user)));
    }
    let with_admin = |admin: &str| {
        cbor::encode(&frame(Body::SetRight { tenant: TENANT.into(), admin: admin.into(), restore: true }))
    };
    frames.spoilt("set-right", "empty-administrator", "GEN-12a", &with_admin(""));
    let entry = |user: &str| cbor::encode(&kinds::publication(user));
    frames.spoilt("publish", "empty-user-in-an-entry", "GEN-12a REV-5", &entry(""));
    frames.spoilt("publish", "user-of-256-bytes-in-an-entry", "GEN-12a", &entry(&longer));
    let bytes = cbor::encode(&sign_in("e\u{301}", "é"));
    let at = bytes.windows(2).position(|two| two == "é".as_bytes()).expect("it is there");
    let broken = [&bytes[..at], &[0xc3, 0x28], &bytes[at + 2..]].concat();
    frames.spoilt("names-not-normalised", "user-not-utf-8", "GEN-4 GEN-12", &broken);
    let surrogate = cbor::encode(&sign_in("e\u{301}", "abc"));
    let at = surrogate.windows(3).position(|three| three == b"abc").expect("it is there");
    let broken = [&surrogate[..at], &[0xed, 0xa0, 0x80], &surrogate[at + 3..]].concat();
    frames.spoilt("names-not-normalised", "user-with-a-surrogate", "GEN-4 GEN-12", &broken);
}

/// Other encodings of one value.
fn encodings(frames: &mut Subject) {
    let bytes = cbor::encode(&sign_in(TENANT, USER));
    frames.frame("plain", "GEN-4 GEN-5 NET-7", &sign_in(TENANT, USER));
    // [null, null, [0, [tenant, user, password]]]: the heads are at 0, 3, 5 and 6.
    assert_eq!(bytes[..11], [0x83, 0xf6, 0xf6, 0x82, 0, 0x83, 0x64, b'a', b'c', b'm', b'e']);
    let at = |place: usize, instead: &[u8]| [&bytes[..place], instead, &bytes[place + 1..]].concat();
    let ended = |place: usize, instead: u8| [&at(place, &[instead])[..], &[0xff]].concat();
    let indefinite_text = [&bytes[..6], &[0x7f, 0x64], b"acme", &[0xff], &bytes[11..]].concat();
    let chunked = [&bytes[..6], &[0x7f, 0x62, b'a', b'c', 0x62, b'm', b'e', 0xff], &bytes[11..]].concat();
    let password = bytes.len() - 14;
    let indefinite_bytes = [&bytes[..password], &[0x5f], &bytes[password..], &[0xff]].concat();
    for (fault, bytes) in [
        ("outer-array-with-a-wide-head", at(0, &[0x98, 3])),
        ("body-with-a-wide-head", at(3, &[0x98, 2])),
        ("fields-with-a-wide-head", at(5, &[0x98, 3])),
        ("kind-with-a-wide-head", at(4, &[0x18, 0])),
        ("text-with-a-wide-head", at(6, &[0x78, 4])),
        ("bytes-with-a-wide-head", at(password, &[0x58, 13])),
        ("outer-array-of-no-length", ended(0, 0x9f)),
        ("body-of-no-length", ended(3, 0x9f)),
        ("fields-of-no-length", ended(5, 0x9f)),
        ("text-of-no-length", indefinite_text),
        ("text-in-chunks", chunked),
        ("bytes-of-no-length", indefinite_bytes),
        ("tagged-frame", [&[0xd9, 0xd9, 0xf7][..], &bytes].concat()),
        ("tagged-name", [&bytes[..6], &[0xc0], &bytes[6..]].concat()),
        ("null-as-undefined", at(1, &[0xf7])),
    ] {
        frames.spoilt("plain", fault, "GEN-4 GEN-5 NET-10", &bytes);
    }
    // Fields at the end that are absent are left out, and `null` stands for one in the middle.
    let fetch = |code, roster| frame(Body::FetchShare { node: 1, code, roster });
    frames.frame("absent-at-the-end", "GEN-4", &fetch(None, None));
    frames.frame("absent-in-the-middle", "GEN-4", &fetch(None, Some(b(NONCE))));
    let short = cbor::encode(&fetch(None, None));
    let with = |fields: u8, more: &[u8]| {
        let mut bytes = [&short[..], more].concat();
        bytes[short.len() - 2] = 0x80 | fields;
        bytes
    };
    frames.spoilt("absent-at-the-end", "absent-field-as-null", "GEN-4 GEN-5", &with(2, &[0xf6]));
    frames.spoilt("absent-at-the-end", "absent-fields-as-nulls", "GEN-4 GEN-5", &with(3, &[0xf6, 0xf6]));
}

/// Another form than the frame's.
fn shapes(frames: &mut Subject) {
    let bytes = cbor::encode(&sign_in(TENANT, USER));
    let in_array = |head: u8, items: &[&[u8]]| [&[head][..], &items.concat()].concat();
    let body = &bytes[3..];
    let reversed = [&bytes[..3], &[0x82], &body[2..], &[0]].concat();
    let mut flat = in_array(0x85, &[&[0xf6, 0xf6, 0], &body[3..]]);
    flat[0] = 0x86;
    for (fault, bytes) in [
        ("empty", Vec::new()),
        ("cut-by-a-byte", bytes[..bytes.len() - 1].to_vec()),
        ("cut-in-half", bytes[..bytes.len() / 2].to_vec()),
        ("a-byte-behind", [&bytes[..], &[0]].concat()),
        ("a-frame-behind", bytes.repeat(2)),
        ("without-generation", in_array(0x82, &[&[0xf6], body])),
        ("without-exchange-and-generation", body.to_vec()),
        ("a-fourth-item", in_array(0x84, &[&bytes[1..], &[0xf6]])),
        ("a-map", in_array(0xa1, &[&[0], body])),
        ("exchange-of-31-bytes", in_array(0x83, &[&[0x58, 31], &[9; 31], &[0xf6], body])),
        ("exchange-of-33-bytes", in_array(0x83, &[&[0x58, 33], &[9; 33], &[0xf6], body])),
        ("exchange-as-text", in_array(0x83, &[&[0x78, 32], &[b'a'; 32], &[0xf6], body])),
        ("exchange-as-a-number", in_array(0x83, &[&[0], &[0xf6], body])),
        ("generation-as-bytes", in_array(0x83, &[&[0xf6], &[0x41, 0], body])),
        ("kind-alone", in_array(0x83, &[&[0xf6, 0xf6, 0]])),
        ("kind-behind-its-fields", reversed),
        ("body-not-nested", flat),
        ("kind-92", in_array(0x83, &[&[0xf6, 0xf6, 0x82, 0x18, 92, 0x80]])),
        ("kind-as-text", in_array(0x83, &[&[0xf6, 0xf6, 0x82, 0x66], b"SignIn", &body[2..]])),
        ("body-of-three-items", in_array(0x83, &[&[0xf6, 0xf6, 0x83], &body[1..], &[0xf6]])),
        ("a-field-too-few", [&bytes[..5], &[0x82], &bytes[6..bytes.len() - 14]].concat()),
        ("a-field-too-many", [&bytes[..5], &[0x84], &bytes[6..], &[0xf6]].concat()),
        ("a-billion-fields", [&bytes[..5], &[0x9a, 0x3b, 0x9a, 0xca, 0], &bytes[6..]].concat()),
        ("a-name-of-an-exabyte", [&bytes[..6], &[0x7b, 0x10, 0, 0, 0, 0, 0, 0, 0], &bytes[7..]].concat()),
        ("arrays-in-arrays", [&vec![0x81; 60_000][..], &[0x80]].concat()),
    ] {
        frames.spoilt("plain", fault, "GEN-4 GEN-5 NET-7 NET-10", &bytes);
    }
    let go = cbor::encode(&frame(Body::Done));
    let with_a_field = [&go[..go.len() - 1], &[0x81, 0]].concat();
    frames.spoilt("done", "a-field-of-a-kind-without", "GEN-4 GEN-5", &with_a_field);
    let bare = [&go[..3], &[0x18, 89]].concat();
    frames.spoilt("done", "choice-without-its-array", "GEN-4 GEN-5", &bare);
}

/// GEN-5a: what makes a field one of its type. An id is 32 bytes (GEN-11).
fn types(frames: &mut Subject) {
    let consume = cbor::encode(&frame(Body::ConsumeGrant { grant: b(GRANT), challenge: b(CHALLENGE) }));
    let end = consume.len() - 34;
    for (fault, head) in [("id-of-31-bytes", 31usize), ("id-of-33-bytes", 33), ("empty-id", 0)] {
        let bytes = [cbor_bytes(head)].concat();
        frames.spoilt("consume-grant", fault, "GEN-5a GEN-11", &[&consume[..end], &bytes].concat());
    }
    let text = [&consume[..end], &[0x78, 32], &[b'a'; 32]].concat();
    frames.spoilt("consume-grant", "id-as-text", "GEN-5a GEN-11", &text);
    let window = cbor::encode(&frame(Body::GetWindow { node: 1 }));
    let over = [&window[..window.len() - 1], &[0x19, 1, 0]].concat();
    frames.spoilt("get-window", "node-of-256", "GEN-5a", &over);
    let purge = Body::SetStanding { tenant: TENANT.into(), user: USER.into(), change: StandingChange::Purge };
    let standing = cbor::encode(&frame(purge));
    let change = |item: &[u8]| [&standing[..standing.len() - 1], item].concat();
    frames.spoilt("set-standing", "change-5", "GEN-5a", &change(&[5]));
    frames.spoilt("set-standing", "change-in-an-array", "GEN-4 GEN-5", &change(&[0x82, 4, 0x80]));
    let ended = cbor::encode(&frame(Body::JobEnd { completed: true }));
    frames.spoilt("job-end", "boolean-as-a-number", "GEN-5a", &[&ended[..ended.len() - 1], &[1]].concat());
    let entry = cbor::encode(&kinds::publication(USER));
    let place = entry.windows(4).position(|four| four == [0x82, 2, 0x81, 0x58]).expect("a decision: revoked");
    let mut other = entry.clone();
    other[place + 1] = 3;
    frames.spoilt("publish", "decision-3", "GEN-5a REV-5", &other);
}

fn cbor_bytes(length: usize) -> Vec<u8> {
    cbor::encode(&minicbor::bytes::ByteVec::from(vec![0x32; length]))
}

/// GEN-5a: what the decoder of a frame leaves to the check of a flow.
fn left_to_the_flow(frames: &mut Subject) {
    let short = |length: usize| vec![0x5a; length];
    let share = |index, factor| frame(Body::RequestShare { index, node: 0, factor });
    for (name, whole) in [
        ("signature-of-63-bytes", frame(Body::Erase { signature: short(63).into() })),
        ("empty-signature", frame(Body::Erase { signature: short(0).into() })),
        ("sealed-key-of-79-bytes", frame(Body::NewRoot { header: b(NONCE), sealed: short(79).into() })),
        (
            "grant-that-does-not-decode",
            frame(Body::ReleaseKey { grant: short(3).into(), signature: short(64).into() }),
        ),
        ("index-0", share(0, None)),
        ("index-17", share(17, Some(Factor { code: 1, signature: short(64).into() }))),
        ("refusal-200", frame(Body::Refusal { reason: 200 })),
        ("no-digest", frame(Body::Witness { digests: Vec::<B32>::new(), generation: 0, index: 0 })),
    ] {
        frames.frame(&format!("left-to-the-flow-{name}"), "GEN-5a", &whole);
    }
}

/// GEN-5, §17: the greatest length of a kind, and a byte more.
fn limits(frames: &mut Subject) {
    const MESSAGE: usize = 65_536;
    const BLOCK: usize = 2 << 20;
    const BULK: usize = 16 << 20;
    type Made = fn(Blob) -> Body;
    let password: Made = |password| Body::EnterPassword { password };
    let block: Made = |content| Body::BackUp { content };
    let blocks: Made = |block| Body::Blocks { blocks: vec![block], next: None };
    let snapshot: Made = |snapshot| Body::Stage { snapshot };
    for (name, made, limit) in [
        ("message-of-65536-bytes", password, MESSAGE),
        ("block-of-2-mib-and-a-message", block, BLOCK + MESSAGE),
        ("blocks-of-16-mib-and-a-message", blocks, BULK + MESSAGE),
        ("snapshot-of-16-mib-and-a-message", snapshot, BULK + MESSAGE),
    ] {
        let body = |length: usize| made(vec![0x41; length].into());
        let around = cbor::encode(&frame(body(limit - 64))).len() - (limit - 64);
        let whole = frame(body(limit - around));
        assert_eq!(cbor::encode(&whole).len(), limit);
        frames.frame(name, "GEN-5 NET-7", &whole);
        frames.spoilt(name, "a-byte-over-the-limit", "GEN-5 NET-7", &cbor::encode(&frame(body(limit - around + 1))));
    }
}

/// GEN-10: the number of each refusal, which is its position in section 18.
fn refusals(frames: &mut Subject) {
    for (refusal, reason) in Refusal::ALL.iter().zip(0u8..) {
        let name = hyphened(&format!("{refusal:?}"));
        let bytes = json!({ "bytes": hex(cbor::encode(&frame(Body::Refusal { reason }))) });
        let value = json!({ "refusal": format!("{refusal:?}") });
        frames.sound(&format!("refusal-{name}"), "GEN-10", "read-refusal", bytes, value);
    }
    let unknown = json!({ "bytes": hex(cbor::encode(&frame(Body::Refusal { reason: 200 }))) });
    frames.sound("refusal-that-nobody-knows", "GEN-10", "read-refusal", unknown, json!({ "refusal": null }));
    let whole = cbor::encode(&frame(Body::Refusal { reason: 9 }));
    let end = whole.len() - 1;
    for (fault, item) in [
        ("number-of-two-bytes", &[0x19, 1, 0][..]),
        ("name-for-a-number", &[0x66, b'S', b'e', b'a', b'l', b'e', b'd']),
        ("no-number", &[0xf6]),
    ] {
        frames.spoilt("refusal-sealed", fault, "GEN-10 GEN-5a", &[&whole[..end], item].concat());
    }
    let with_a_text = [&whole[..end - 1], &[0x82, 9, 0x62, b'n', b'o']].concat();
    frames.spoilt("refusal-sealed", "number-and-text", "GEN-10", &with_a_text);
}

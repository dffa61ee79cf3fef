//! The notation of the vectors: bytes as hex in pieces, and what CBOR says as a tree.

use serde_json::{Value, json};

/// Bytes as hex in pieces; a long run of one byte is a piece that says how long it is.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    const LONG: usize = 256;
    let plain = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut pieces = vec![String::new()];
    for run in bytes.as_ref().chunk_by(|a, b| a == b) {
        if run.len() >= LONG {
            pieces.extend([format!("{}*{}", plain(&run[..1]), run.len()), String::new()]);
        } else if let Some(piece) = pieces.last_mut() {
            piece.push_str(&plain(run));
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces.join(" ")
}

/// Bytes from what [`hex`] wrote.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a hexadecimal digit") as u8;
    let plain = |hex: &str| -> Vec<u8> {
        hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    };
    let piece = |piece: &str| -> Vec<u8> {
        match piece.split_once('*') {
            Some((hex, times)) => plain(hex).repeat(times.parse().expect("how often")),
            None => plain(piece),
        }
    };
    text.split_whitespace().flat_map(piece).collect()
}

/// A number, also where JSON readers lose its last digits.
pub(crate) fn number(number: u64) -> Value {
    if number < 1 << 53 { json!(number) } else { json!({ "number": number.to_string() }) }
}

/// What CBOR says, in JSON: bytes are hex, and text is told apart from them.
pub(crate) fn tree(bytes: &[u8]) -> Value {
    branch(&ciborium::from_reader(bytes).expect("CBOR"))
}

fn branch(value: &ciborium::Value) -> Value {
    match value {
        ciborium::Value::Integer(integer) => number(u64::try_from(*integer).expect("nothing is negative")),
        ciborium::Value::Bytes(bytes) => json!(hex(bytes)),
        ciborium::Value::Text(text) => json!({ "text": text }),
        ciborium::Value::Bool(bool) => json!(bool),
        ciborium::Value::Null => Value::Null,
        ciborium::Value::Array(items) => items.iter().map(branch).collect(),
        other => unreachable!("not of GEN-4: {other:?}"),
    }
}

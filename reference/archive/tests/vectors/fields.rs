//! What the fields of the vectors mean: each file says it of its own.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Objects whose names are not fields: numbers of segments, and names of files.
const MAPS: [&str; 3] = ["fields", "files", "segments"];

const MEANINGS: &[(&str, &str)] = &[
    ("archive", "the id of the archive, in hex"),
    ("block", "whether the device is a block device"),
    (
        "breaks",
        "the rules of GEN-24 that the signature breaks: the order of the key (key) or of R (r), the range of S (scalar), the equation without the cofactor (equation)",
    ),
    ("bytes", "the sum of the sizes of all files, as the root of the version says it"),
    ("changed", "whether the file changed while it was read"),
    ("chunks", "for each chunk, in order: its length in bytes, and its id in hex"),
    ("code", "the recovery code"),
    ("context", "what a reader of these vectors knows before it reads"),
    ("device", "the public signing key of the device, in hex"),
    ("device_seed", "the seed of the device's Ed25519 key, in hex"),
    ("devices", "the devices of the owner; in knowing_less: those that the reader knows, in hex"),
    ("digest", "SHA-256 of the link, in hex"),
    ("entries", "the number of entries, as the root of the version says it"),
    ("epoch", "the key epoch"),
    ("epochs", "the key epochs and their keys; in knowing_less: those that the reader has a key of"),
    ("error", "the error of 16.9 that is found; empty: none"),
    (
        "fields",
        "what the fields mean; inside of segments and files the names are numbers of segments and names of files",
    ),
    ("files", "the files of the archive's folder: contents in hex, by name"),
    ("gid", "the group's number"),
    ("key", "the archive key of the epoch, in hex"),
    ("kind", "the kind of the entry: file, directory, symlink, hard link, fifo, socket, device"),
    (
        "knowing_less",
        "readers that lack a device or a key, what they name, and what they restore: device and number of each version",
    ),
    ("knows", "whether the reader knows which archive it is (the id in context); else it finds out"),
    ("label", "the label of the version, in hex"),
    ("large", "how many links with a large attribute follow"),
    ("length", "the length of the stream, in bytes"),
    ("links", "how many links come first"),
    (
        "lost",
        "the entries that are not restored, for each version of which some are not: paths as lists of components in hex, by the number of the version",
    ),
    ("major", "the major number of the device"),
    ("minor", "the minor number of the device"),
    ("mode", "the permission bits, as a decimal number"),
    ("mtime", "when the content was changed last: seconds since 1970, and nanoseconds"),
    ("name", "the name of the vector"),
    ("names", "names of files, and which segment each is"),
    ("newest", "the newest link of the device: number and digest"),
    ("no_codes", "texts that are no recovery codes"),
    ("not", "errors that are not named"),
    ("number", "the number of the segment that a file of this name is; null: the file is no segment"),
    ("offset", "the offset at which heads of records are read, in bytes"),
    (
        "part",
        "what the bytes are: segment (the head of one), record (the head of one), block, index, manifest, retention, tree",
    ),
    ("path", "the components of the path, each in hex"),
    ("remembered", "a link that the reader remembers: number and digest"),
    ("restored", "the versions that are restored in full, by number, in the order in which they are listed"),
    ("same_codes", "other ways to write the recovery code"),
    ("segment", "the number of the segment in which heads of records are read"),
    ("segments", "the segments in hex, by number"),
    ("seq", "the number of the link in the chain of its device"),
    ("sha256", "SHA-256 of the content, in hex"),
    ("size", "the length of the file, in bytes"),
    ("sparse", "whether zeros in the file are to be holes"),
    ("target", "the target of the symbolic link, in hex"),
    ("tenant", "the tenant of the owner"),
    ("time", "when the version was begun: seconds since 1970, and nanoseconds"),
    ("times", "how many times the error is named"),
    ("to", "the path of the file that the hard link names, each component in hex"),
    ("tree", "the entries of the version, in their order"),
    ("uid", "the owner's number"),
    ("user", "the user"),
    ("vectors", "the vectors, each of one fault at most"),
    ("versions", "the versions that are offered, in the order in which they are listed"),
    ("xattrs", "the extended attributes: name and value of each, in hex"),
];

/// Fields that only one file has, or that mean something else in it.
const OTHERS: &[(&str, &str, &str)] = &[
    ("cuts.json", "stream", "how the stream is made"),
    ("folder.json", "name", "the name of a file"),
    ("malformed_parts.json", "bytes", "the part, in hex in pieces; 61*1024 is 61 that many times"),
    ("signatures.json", "bytes", "the link, in hex"),
    ("signatures.json", "device", "whose link it is: taken for a device of the owner, in hex"),
    ("tree_cuts.json", "tree", "how the entries of the tree are made"),
];

/// The names of all fields in a value.
pub(crate) fn names(value: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(values) => rest.extend(values),
            Value::Object(fields) => {
                let is_field = |name: &str| name.bytes().any(|byte| !byte.is_ascii_digit());
                names.extend(fields.keys().filter(|name| is_field(name)).cloned());
                rest.extend(fields.iter().filter(|(name, _)| !MAPS.contains(&name.as_str())).map(|(_, value)| value));
            }
            _ => {}
        }
    }
    names
}

/// What the fields of a file mean.
pub(crate) fn of(file: &str, value: &Value) -> Value {
    let meaning = |name: &str| {
        let own = OTHERS.iter().find(|(of, field, _)| (*of, *field) == (file, name)).map(|(_, _, meaning)| *meaning);
        let common = || MEANINGS.iter().find(|(field, _)| *field == name).map(|(_, meaning)| *meaning);
        own.or_else(common).unwrap_or_else(|| panic!("{file}: the field {name} is not described"))
    };
    let mut names = names(value);
    names.insert("fields".to_owned());
    let described: Map<String, Value> =
        names.into_iter().map(|name| (name.clone(), Value::from(meaning(&name)))).collect();
    described.into()
}

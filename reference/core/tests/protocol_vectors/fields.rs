//! What each operation does, and what each field of a vector means.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Operation, and what it asks of an implementation.
pub(crate) const OPERATIONS: &[(&str, &str)] = &[
    (
        "read-frame",
        "decode the frame in `bytes` within its limit (GEN-5, NET-7); a sound one encodes to `bytes` again",
    ),
    (
        "read-refusal",
        "the name of the refusal that the frame `Refusal` in `bytes` carries (GEN-10); null: a number that nobody knows",
    ),
    ("seal", "`seal_once` with the given salt (GEN-20)"),
    ("open-seal", "open a sealed form (GEN-20)"),
    ("branch", "a branch of the key tree (GEN-21)"),
    ("check-commitment", "whether `commitment` is that of `key` for this owner (GEN-22)"),
    ("derive-recipient", "the HPKE key pair of `seed` (GEN-23, `DeriveKeyPair` of RFC 9180)"),
    ("hpke-context", "join `parts` to the context of `label` (GEN-31)"),
    (
        "hpke-seal",
        "seal `message` with the ephemeral key pair that `DeriveKeyPair` makes of `ephemeral_seed` (GEN-23)",
    ),
    ("hpke-open", "open a sealed form with the key pair of `recipient_seed` (GEN-23)"),
    ("sign", "sign `body` under `label` with the key of `seed` (GEN-24)"),
    ("verify", "verify a signature strictly (GEN-24)"),
    (
        "read-signed",
        "decode `body` and verify `signature` over it, as the check of `rule` does; a sound one yields what the body says",
    ),
    (
        "share",
        "share the scalar that the first 64 bytes of `random` make (GEN-25); the next 64 bytes make the coefficient of degree 1, and so on",
    ),
    ("verify-share", "verify one share (GEN-25)"),
    ("combine", "verify each share and combine them (GEN-25)"),
    ("unseal-key", "the unseal key (GEN-26)"),
    ("header-digest", "decode a seal header and compute its digest (GEN-26a)"),
    ("open-root", "open the root that lies in the header (GEN-26)"),
    ("open-keyring", "open the keyring (GEN-27)"),
    ("record-name", "the name under which the record at `path` is stored (GEN-28)"),
    ("find-record", "find the record at `path` among those of a store, and open it (GEN-27, GEN-27a, GEN-28)"),
    ("guess-place", "where wrong passwords for a name that nobody has are counted (ENR-2c)"),
    ("match-password", "whether `password` is the one of `record` (GEN-29)"),
    ("open-escrow", "check an escrow message and its signature in the order of 6.12, from ENR-13a on"),
    ("open-delivery", "check a delivered key with its receipt, as REP-7a does"),
    ("check-receipt", "whether the receipt says that the key in memory is escrowed (ENR-15a)"),
    ("unwrap-share", "open a wrapped share and verify it against the client's own header (CER-4d)"),
    ("agree-to-roster", "compare the roster of a signed ceremony with the one to which the person agreed (KEY-5a)"),
    ("take-root", "take a new root at another node (KEY-3d)"),
    (
        "submit-shares",
        "at node 0, sealed, at second 0 of its clock, whose first ceremony has the key pair of `ceremony_seed` and the id `ceremony_id`: \
         hand in the submissions in their order (CER-5a, CER-6a, 14.3); expected is the answer to the last one",
    ),
    ("read-snapshot", "decode a snapshot and verify its code under `root` (GEN-30, DIS-2a, DIS-3a)"),
];

/// Field, and its meaning. All bytes are hex in pieces.
pub(crate) const FIELDS: &[(&str, &str)] = &[
    ("id", "the vector's name, unique in the suite: subject / sound vector / fault"),
    ("rules", "the rules that the vector shows"),
    ("fault", "what is wrong with it, and nothing else is; `none`: it is sound"),
    ("twin", "of a malformed vector: the sound one from which it differs by its fault"),
    ("operation", "what is to be done with the inputs"),
    ("inputs", "what the operation is given"),
    ("expected", "what has to come out: a value, or a refusal by its name"),
    (
        "value",
        "of `expected`: the value, an object, empty where the operation says yes and no more; of a share: its scalar, 32 bytes",
    ),
    ("refusal", "of `expected`: the name of the refusal; of `read-refusal`: the refusal that is carried"),
    ("above", "the generation that the authority named when the snapshot was staged"),
    ("agreed", "the digest of the roster to which the person agreed; null: to none"),
    ("attempt", "the id of the attempt"),
    (
        "body",
        "the bytes that are signed; as a value: what they say, in the notation of trees, and of a form that is no CBOR the bytes",
    ),
    ("branch", "the key of the branch"),
    ("bytes", "a frame"),
    ("ceremony", "a ceremony body; as a value: what it says, in the notation of trees"),
    ("ceremony_id", "the id of the ceremony"),
    ("ceremony_seed", "the seed of the ceremony's HPKE key pair"),
    ("channel_seed", "the seed of the node's channel key pair"),
    ("code", "a code: of a snapshot, or of a name that nobody has"),
    ("commitment", "the commitment to an archive key"),
    ("commitments", "the commitments of a sharing, constant term first"),
    ("context", "the HPKE context"),
    ("count", "n, how many shares there are"),
    ("counted", "the index that was counted"),
    ("data_key", "the data key of the keyring"),
    ("device", "the public signing key of the device"),
    ("digest", "the digest"),
    ("ephemeral_private", "the private half of the ephemeral key pair, for those whose library takes it"),
    ("ephemeral_seed", "32 random bytes, of which `DeriveKeyPair` makes the ephemeral key pair"),
    ("epoch", "the key epoch"),
    ("escrow", "an escrow body"),
    ("exchange", "the frame's exchange, or null"),
    ("fields", "the fields of the frame's body, in the notation of trees"),
    ("form", "the rule of formats.cddl that the body fits"),
    ("generation", "the store generation: of the frame, or null; of the store, before and after"),
    ("grant", "the id of the grant"),
    ("header", "of a seal: the header; else: an encoded seal header"),
    ("header_digest", "the digest of the seal header"),
    ("header_id", "the id of the seal header"),
    ("index", "the index of a share, from 1"),
    ("intake", "the public half of the intake key"),
    ("intake_seed", "the intake seed of the keyring"),
    ("key", "the archive key"),
    ("keyring", "the sealed keyring"),
    ("keystore", "the public signing key of the keystore"),
    ("kind", "the name of the frame's kind"),
    ("label", "the whole label"),
    ("message", "the message"),
    ("name", "the name of a record in the store"),
    ("node", "the number of the node"),
    ("number", "the number of the frame's kind; in a tree: an integer of 2^53 or more"),
    (
        "parts",
        "the parts of a context, in the order of GEN-31: names as text, indices and nodes as numbers, the rest as hex",
    ),
    ("password", "a password"),
    ("path", "the path of a record, in the notation of trees"),
    ("path_key", "the path key of the keyring"),
    ("place", "the place, 2 bytes"),
    ("private", "a private key"),
    ("public", "a public key"),
    ("random", "the random bytes, 64 for each coefficient"),
    ("receipt", "a receipt body; as a value: what it says, in the notation of trees"),
    ("recipient", "the recipient's public HPKE key"),
    ("recipient_seed", "the seed of the recipient's HPKE key pair"),
    ("record", "a record: of a password; as it is stored; or, as a value, what it says in the notation of trees"),
    ("records", "the records of a store; as a value: the names of those that are there after a restore"),
    ("root", "a root; with the digest of a header: the sealed root in it, which the digest leaves out"),
    ("rule", "the rule whose check is asked for"),
    ("salt", "the salt that `seal_once` draws"),
    ("sealed", "a sealed form"),
    ("secret", "the shared scalar; of a place: the secret of AU"),
    ("seed", "32 bytes of which a key is made"),
    ("share", "a share body"),
    ("share_epoch", "the share epoch"),
    ("shares", "the shares: of a sharing, the values from 1 to n; else index and value of each"),
    ("signature", "a signature"),
    ("snapshot", "an encoded snapshot"),
    ("staged", "the snapshot that is staged at the node, or null"),
    ("submissions", "the submitted shares, each with its signature"),
    ("tenant", "the tenant"),
    ("threshold", "t, how many shares are needed"),
    ("unseal_key", "the unseal key"),
    ("user", "the user"),
    ("wrapped", "a wrapped share"),
    ("text", "in a tree: a text string"),
];

/// The names of the fields of a value.
pub(crate) fn names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            names.insert(name.clone());
            self::names(value, names);
        }),
        Value::Array(items) => items.iter().for_each(|item| self::names(item, names)),
        _ => {}
    }
}

/// The meaning of every field that these vectors have.
pub(crate) fn used(vectors: &[Value]) -> Map<String, Value> {
    let mut found = BTreeSet::new();
    vectors.iter().for_each(|vector| names(vector, &mut found));
    let meaning = |name: &String| FIELDS.iter().find(|(field, _)| field == name).map(|(_, says)| json!(says));
    found
        .into_iter()
        .map(|name| (name.clone(), meaning(&name).unwrap_or_else(|| panic!("{name} has no meaning"))))
        .collect()
}

//! Carries out a vector with the reference: its crypto, its decoders, and for the submission of shares a keystore's node.

use bailee_core::cbor;
use bailee_core::crypto::hpke::{Recipient, seal_to};
use bailee_core::crypto::keys::{Owner, Secret, commitment, subkey};
use bailee_core::crypto::sign::{self, Signing};
use bailee_core::crypto::{labels, password, seal, sharing};
use bailee_core::machine::{Effects, Input, Peer, Person, run};
use bailee_core::quirks::Quirks;
use bailee_core::roles::custodian::Custodian;
use bailee_core::roles::keystore::{self, Account, Attempt, Keyring, Keystore, Snapshot, Staged};
use bailee_core::roles::signed;
use bailee_core::store::{Batch, MemoryStore, Read, Store};
use bailee_core::wire::{
    AdmissionBody, B32, Body, CapabilityBody, CeremonyBody, Certificate, EscrowBody, Frame, GrantBody, Header,
    ReceiptBody, ShareBody, Signed,
};
use bailee_spec::limits::MESSAGE_BYTES;
use bailee_spec::outcome::Refusal;
use minicbor::{Decode, Encode};
use serde_json::{Value, json};

use crate::generate::{Given, hex, number, tree, unhex};

/// What came out: a value, or the name of a refusal.
pub(crate) type Outcome = Result<Value, String>;

/// The inputs of a vector.
struct Inputs<'a>(&'a Value);

impl Inputs<'_> {
    fn bytes(&self, field: &str) -> Vec<u8> {
        unhex(self.text(field))
    }

    fn b32(&self, field: &str) -> [u8; 32] {
        self.bytes(field).try_into().unwrap_or_else(|_| panic!("{field} is not of 32 bytes"))
    }

    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_else(|| panic!("no {field}"))
    }

    fn number(&self, field: &str) -> u64 {
        self.0[field].as_u64().unwrap_or_else(|| panic!("no {field}"))
    }

    fn small(&self, field: &str) -> u8 {
        self.number(field).try_into().expect("a small number")
    }

    fn list(&self, field: &str) -> impl Iterator<Item = Inputs<'_>> {
        self.0[field].as_array().unwrap_or_else(|| panic!("no {field}")).iter().map(Inputs)
    }

    fn own_bytes(&self) -> Vec<u8> {
        unhex(self.0.as_str().expect("hex"))
    }

    fn owner(&self, epoch: u64) -> Owner {
        Owner { tenant: self.text("tenant").into(), user: self.text("user").into(), epoch }
    }

    fn commitments(&self) -> Vec<[u8; 32]> {
        self.list("commitments").map(|point| point.own_bytes().try_into().expect("32 bytes")).collect()
    }

    fn header(&self) -> Result<Header, String> {
        cbor::decode(&self.bytes("header"), MESSAGE_BYTES).map_err(|_| "Malformed".into())
    }
}

fn no<T>(refusal: &str) -> Result<T, String> {
    Err(refusal.into())
}

fn named(refusal: Refusal) -> String {
    format!("{refusal:?}")
}

/// A key behind a lock.
fn secret(bytes: [u8; 32]) -> Secret<32> {
    Secret::take(&mut { bytes })
}

/// Carries it out.
pub(crate) fn read(operation: &str, inputs: &Value) -> Outcome {
    let inputs = Inputs(inputs);
    match operation {
        "read-frame" => read_frame(&inputs),
        "read-refusal" => read_refusal(&inputs),
        "seal" | "open-seal" => sealed(operation, &inputs),
        "branch" | "check-commitment" => of_key(operation, &inputs),
        "derive-recipient" | "hpke-context" | "hpke-seal" | "hpke-open" => of_hpke(operation, &inputs),
        "sign" | "verify" => signature(operation, &inputs),
        "read-signed" => read_signed(&inputs),
        "share" | "verify-share" | "combine" | "unseal-key" => of_sharing(operation, &inputs),
        "header-digest" | "open-root" => of_header(operation, &inputs),
        "open-keyring" => open_keyring(&inputs),
        "record-name" | "find-record" => of_record(operation, &inputs),
        "guess-place" => guess_place(&inputs),
        "match-password" => match_password(&inputs),
        "open-escrow" => open_escrow(&inputs),
        "open-delivery" => open_delivery(&inputs),
        "check-receipt" => check_receipt(&inputs),
        "unwrap-share" => unwrap_share(&inputs),
        "agree-to-roster" => agree(&inputs),
        "take-root" => take_root(&inputs),
        "submit-shares" => submit_shares(&inputs),
        "read-snapshot" => read_snapshot(&inputs),
        _ => panic!("there is no operation {operation}"),
    }
}

fn read_frame(inputs: &Inputs<'_>) -> Outcome {
    let bytes = inputs.bytes("bytes");
    let frame = Frame::decode(&bytes).ok().filter(|frame| frame.body.names_fit()).ok_or("Malformed")?;
    assert_eq!(cbor::encode(&frame), bytes, "GEN-5");
    let whole = tree(&bytes);
    Ok(json!({
        "exchange": whole[0], "generation": frame.generation.map(number), "number": frame.body.number(),
        "kind": frame.body.name(), "fields": whole[2][1],
    }))
}

fn read_refusal(inputs: &Inputs<'_>) -> Outcome {
    let frame = Frame::decode(&inputs.bytes("bytes")).map_err(|_| "Malformed")?;
    let Body::Refusal { reason } = frame.body else { return no("Malformed") };
    let refusal = Refusal::ALL.get(usize::from(reason)).map(|refusal| named(*refusal));
    Ok(json!({ "refusal": refusal }))
}

fn sealed(operation: &str, inputs: &Inputs<'_>) -> Outcome {
    let (root, label, header) = (inputs.b32("root"), inputs.text("label"), inputs.bytes("header"));
    if operation == "open-seal" {
        let message = seal::open(&root, label, &header, &inputs.bytes("sealed")).map_err(|_| "NotOpened")?;
        return Ok(json!({ "message": hex(&message[..]) }));
    }
    let mut rng = Given::new(inputs.bytes("salt"));
    let sealed = seal::seal_once(&root, label, &header, &inputs.bytes("message"), &mut rng);
    assert!(rng.is_spent());
    Ok(json!({ "sealed": hex(sealed) }))
}

fn of_key(operation: &str, inputs: &Inputs<'_>) -> Outcome {
    let (key, owner) = (secret(inputs.b32("key")), inputs.owner(inputs.number("epoch")));
    if operation == "branch" {
        return Ok(json!({ "branch": hex(*subkey(&key, inputs.text("label"), &owner)) }));
    }
    if commitment(&key, &owner) == inputs.b32("commitment") { Ok(json!({})) } else { no("CommitmentMismatch") }
}

fn of_hpke(operation: &str, inputs: &Inputs<'_>) -> Outcome {
    match operation {
        "derive-recipient" => {
            use hpke::{Kem, Serializable, kem::X25519HkdfSha256};
            let own = Recipient::from_seed(&inputs.b32("seed"));
            let private = X25519HkdfSha256::derive_keypair(&inputs.b32("seed")).0.to_bytes();
            Ok(json!({ "private": hex(private), "public": hex(own.public()) }))
        }
        "hpke-context" => Ok(json!({ "context": hex(context(inputs)) })),
        "hpke-seal" => {
            let mut rng = Given::new(inputs.b32("ephemeral_seed"));
            let (to, context) = (inputs.b32("recipient"), inputs.bytes("context"));
            let sealed = seal_to(&to, inputs.text("label"), &context, &inputs.bytes("message"), &mut rng);
            Ok(json!({ "sealed": hex(sealed.ok_or("NotSealed")?) }))
        }
        _ => {
            let own = Recipient::from_seed(&inputs.b32("recipient_seed"));
            let message = own.open(inputs.text("label"), &inputs.bytes("context"), &inputs.bytes("sealed"));
            Ok(json!({ "message": hex(&message.ok_or("NotOpened")?[..]) }))
        }
    }
}

fn context(inputs: &Inputs<'_>) -> Vec<u8> {
    let parts = &inputs.0["parts"];
    let id = |at: usize| B32::from(<[u8; 32]>::try_from(Inputs(&parts[at]).own_bytes()).expect("32 bytes"));
    let text = |at: usize| parts[at].as_str().expect("a text");
    let last = || parts[1].as_u64().expect("a number") as u8;
    match inputs.text("label") {
        labels::HPKE_INTAKE => signed::escrow_context(text(0), text(1), &id(2)),
        labels::HPKE_RELEASE => signed::release_context(&id(0), &id(1)),
        labels::HPKE_SHARE => signed::share_context(&id(0), last()),
        labels::HPKE_WRAP => signed::wrap_context(&id(0), last()),
        // The role has its own function for it, of the same form.
        labels::HPKE_ROOT => [&id(0)[..], &[last()]].concat(),
        other => panic!("{other} has no context"),
    }
}

fn signature(operation: &str, inputs: &Inputs<'_>) -> Outcome {
    let (label, body) = (inputs.text("label"), inputs.bytes("body"));
    if operation == "sign" {
        let key = Signing::from_seed(&inputs.b32("seed"));
        return Ok(json!({ "public": hex(key.public()), "signature": hex(key.sign(label, &body)) }));
    }
    let holds = sign::verify(&inputs.b32("public"), label, &body, &inputs.bytes("signature"));
    if holds { Ok(json!({})) } else { no("NotVerified") }
}

/// How the check of a rule refuses what does not decode, and what is forged.
fn refusals(rule: &str) -> (Refusal, Refusal) {
    match rule {
        "ENR-4a" | "REP-1a" | "ENR-8a" => (Refusal::BadCertificate, Refusal::BadCertificate),
        "ENR-9a" => (Refusal::Malformed, Refusal::AdmissionInvalid),
        "ENR-12a" => (Refusal::Malformed, Refusal::Unauthenticated),
        "ENR-14a" => (Refusal::ReceiptInvalid, Refusal::ReceiptInvalid),
        "ENR-7a" => (Refusal::Malformed, Refusal::Malformed),
        "REP-2a" | "REP-4a" => (Refusal::Malformed, Refusal::GrantInvalid),
        "BAK-2a" => (Refusal::Malformed, Refusal::CapabilityInvalid),
        "JOB-2a" => (Refusal::Malformed, Refusal::JobOver),
        "CER-4a" => (Refusal::Malformed, Refusal::MfaRequired),
        "DIS-6b" | "REV-4a" | "CER-3a" | "CER-5a" | "KEY-2a" => (Refusal::Malformed, Refusal::BadSignature),
        other => panic!("{other} is no check of a signed body"),
    }
}

fn read_signed(inputs: &Inputs<'_>) -> Outcome {
    let (body, signature) = (inputs.bytes("body"), inputs.bytes("signature"));
    let signed = Signed { body: &body, signature: &signature };
    let (public, label) = (inputs.b32("public"), inputs.text("label"));
    fn open<T: for<'b> Decode<'b, ()> + Encode<()>>(
        (signed, public, label): (Signed<'_>, [u8; 32], &str),
        (malformed, forged): (Refusal, Refusal),
    ) -> Result<(), String> {
        signed.open::<T>(&public, label, malformed, forged).map(drop).map_err(named)
    }
    let (of, refusals) = ((signed, public, label), refusals(inputs.text("rule")));
    match inputs.text("form") {
        "attempt-proof" => open::<(B32, B32, B32)>(of, refusals),
        "add-proof" | "intake-body" => open::<(B32, B32)>(of, refusals),
        "enrolment-certificate" => open::<Certificate>(of, refusals),
        "admission-body" => open::<AdmissionBody>(of, refusals),
        "escrow-body" => open::<EscrowBody>(of, refusals),
        "receipt-body" => open::<ReceiptBody>(of, refusals),
        "grant-body" => open::<GrantBody>(of, refusals),
        "consumed-body" => open::<(B32, B32, u64)>(of, refusals),
        "capability-body" => open::<CapabilityBody>(of, refusals),
        "factor-body" => open::<(B32, u8, u64)>(of, refusals),
        "ceremony-body" => open::<CeremonyBody>(of, refusals),
        "share-body" => open::<ShareBody>(of, refusals),
        _ if sign::verify(&public, label, &body, &signature) => return Ok(json!({ "body": hex(&body) })),
        _ => return Err(named(refusals.1)),
    }?;
    Ok(json!({ "body": tree(&body) }))
}

fn of_sharing(operation: &str, inputs: &Inputs<'_>) -> Outcome {
    match operation {
        "share" => {
            let mut rng = Given::new(inputs.bytes("random"));
            let made = sharing::split(inputs.small("threshold"), inputs.small("count"), &mut rng);
            let made = made.map_err(|_| "NotShared")?;
            assert!(rng.is_spent());
            let shares: Vec<String> = made.shares.iter().map(|share| hex(**share)).collect();
            let commitments: Vec<String> = made.commitments.iter().map(hex).collect();
            Ok(json!({ "secret": hex(*made.secret), "shares": shares, "commitments": commitments }))
        }
        "verify-share" => verified(inputs, &inputs.commitments(), inputs.small("threshold")).map(|_| json!({})),
        "combine" => {
            let (commitments, threshold) = (inputs.commitments(), inputs.small("threshold"));
            let shares = inputs.list("shares").map(|share| verified(&share, &commitments, threshold));
            let shares: Vec<_> = shares.collect::<Result<_, _>>().map_err(|_| "NotCombined")?;
            let secret = sharing::combine(&shares, &commitments).map_err(|_| "NotCombined")?;
            Ok(json!({ "secret": hex(*secret) }))
        }
        _ => {
            let (secret, id) = (inputs.b32("secret"), inputs.b32("header_id"));
            Ok(json!({ "unseal_key": hex(*sharing::unseal_key(&secret, &id, inputs.number("share_epoch"))) }))
        }
    }
}

fn verified(
    share: &Inputs<'_>,
    commitments: &Vec<[u8; 32]>,
    threshold: u8,
) -> Result<sharing::VerifiedShare, String> {
    let value = share.bytes("value").try_into().map_err(|_| "NotVerified")?;
    sharing::verify(share.small("index"), &value, commitments, threshold).map_err(|_| "NotVerified".into())
}

fn of_header(operation: &str, inputs: &Inputs<'_>) -> Outcome {
    let header = inputs.header()?;
    if operation == "header-digest" {
        return Ok(json!({ "digest": hex(*header.digest()), "root": hex(&header.root[..]) }));
    }
    let kek = sharing::unseal_key(&inputs.b32("secret"), &header.id, header.share_epoch);
    let root = seal::open(&kek, labels::SEAL_ROOT, &header.digest()[..], &header.root).map_err(|_| "NotOpened")?;
    Ok(json!({ "root": hex(&root[..]) }))
}

/// Any header: a keyring is opened beside it.
fn some_header() -> Header {
    let (commitments, custodians) = (Vec::new(), Vec::new());
    Header { id: [0; 32].into(), share_epoch: 1, threshold: 2, commitments, custodians, root: Vec::new().into() }
}

/// The keyring of these keys.
fn keyring(data: [u8; 32], path: [u8; 32]) -> Keyring {
    let (header, root) = (some_header(), [1; 32]);
    let plain = [data, path, [0; 32]].concat();
    let sealed = seal::seal_once(&root, labels::SEAL_KEYRING, &header.digest()[..], &plain, &mut Given::new([0; 32]));
    Keyring::open(&secret(root), &header, &sealed).expect("it is a keyring")
}

fn open_keyring(inputs: &Inputs<'_>) -> Outcome {
    let (root, digest) = (inputs.b32("root"), inputs.b32("header_digest"));
    let plain = seal::open(&root, labels::SEAL_KEYRING, &digest, &inputs.bytes("sealed")).map_err(|_| "NotOpened")?;
    let keys: [u8; 96] = plain[..].try_into().map_err(|_| "NotOpened")?;
    let intake = Recipient::from_seed(keys[64..].try_into().expect("32 bytes")).public();
    Ok(json!({
        "data_key": hex(&keys[..32]), "path_key": hex(&keys[32..64]), "intake_seed": hex(&keys[64..]), "intake": hex(intake),
    }))
}

/// A path, encoded.
fn path(inputs: &Inputs<'_>) -> Vec<u8> {
    let parts = &inputs.0["path"];
    let text = |at: usize| parts[at]["text"].as_str().expect("a text");
    if text(0) == "attempt" {
        let id: [u8; 32] = Inputs(&parts[1]).own_bytes().try_into().expect("32 bytes");
        return cbor::encode(&("attempt", B32::from(id)));
    }
    cbor::encode(&(text(0), text(1), text(2)))
}

fn of_record(operation: &str, inputs: &Inputs<'_>) -> Outcome {
    let path = path(inputs);
    let data = if operation == "record-name" { [0; 32] } else { inputs.b32("data_key") };
    let keyring = keyring(data, inputs.b32("path_key"));
    let name = crate::generate::name_of(&inputs.b32("path_key"), &path);
    let text = |at: usize| inputs.0["path"][at]["text"].as_str().unwrap_or_default();
    if text(0) == "account" {
        assert_eq!(keyring.account_name(text(1), text(2)), name, "GEN-28");
    }
    if operation == "record-name" {
        return Ok(json!({ "name": hex(name) }));
    }
    let mut batch = Batch::default();
    for record in inputs.list("records") {
        batch.put(record.bytes("name"), record.bytes("record"));
    }
    let mut store = MemoryStore::default();
    store.apply(&batch).expect("it fits");
    if store.get(&name).expect("a store in memory").is_none() {
        return no("Absent");
    }
    let record = match inputs.0["path"][0]["text"].as_str() {
        Some("account") => keyring.read::<Account>(&store, &path).map(|account| cbor::encode(&account)),
        Some("attempt") => keyring.read::<Attempt>(&store, &path).map(|attempt| cbor::encode(&attempt)),
        _ => keyring.read::<Vec<B32>>(&store, &path).map(|attempts| cbor::encode(&attempts)),
    };
    Ok(json!({ "record": tree(&record.ok_or("StoreDamaged")?) }))
}

fn guess_place(inputs: &Inputs<'_>) -> Outcome {
    let of = cbor::encode(&(inputs.text("tenant"), inputs.text("user")));
    let code = crate::generate::hmac(&inputs.b32("secret"), labels::GUESS_PLACE, &of);
    Ok(json!({ "code": hex(code), "place": hex(&code[..2]) }))
}

fn match_password(inputs: &Inputs<'_>) -> Outcome {
    let matches = password::matches(&inputs.bytes("record"), &inputs.bytes("password"));
    if matches { Ok(json!({})) } else { no("NotMatched") }
}

fn open_escrow(inputs: &Inputs<'_>) -> Outcome {
    let (body, signature) = (inputs.bytes("escrow"), inputs.bytes("signature"));
    let signed = Signed { body: &body, signature: &signature };
    let refusals = (Refusal::Malformed, Refusal::Unauthenticated);
    let said: EscrowBody =
        signed.open(&inputs.b32("device"), labels::SIGN_ESCROW, refusals.0, refusals.1).map_err(named)?;
    let owner = inputs.owner(0);
    let context = signed::escrow_context(&owner.tenant, &owner.user, &said.commitment);
    let intake = Recipient::from_seed(&inputs.b32("intake_seed"));
    let key = intake.open(labels::HPKE_INTAKE, &context, &said.sealed).ok_or("CommitmentMismatch")?;
    let key: [u8; 32] = key[..].try_into().map_err(|_| "CommitmentMismatch")?;
    if commitment(&secret(key), &owner) != *said.commitment {
        return no("CommitmentMismatch");
    }
    Ok(json!({ "attempt": hex(*said.attempt), "commitment": hex(*said.commitment), "key": hex(key) }))
}

fn open_delivery(inputs: &Inputs<'_>) -> Outcome {
    let (receipt, signature) = (inputs.bytes("receipt"), inputs.bytes("signature"));
    let release = signed::Release {
        grant: &inputs.b32("grant").into(),
        sealed: &inputs.bytes("sealed").into(),
        receipt: Signed { body: &receipt, signature: &signature },
    };
    let recipient = Recipient::from_seed(&inputs.b32("recipient_seed"));
    let key = release.open(&inputs.b32("keystore"), &inputs.owner(0), &recipient).ok_or("Malformed")?;
    Ok(json!({ "key": hex(key.expose()) }))
}

fn check_receipt(inputs: &Inputs<'_>) -> Outcome {
    let (receipt, signature) = (inputs.bytes("receipt"), inputs.bytes("signature"));
    let (signed, refusal) = (Signed { body: &receipt, signature: &signature }, Refusal::Malformed);
    let said: ReceiptBody =
        signed.open(&inputs.b32("keystore"), labels::SIGN_RECEIPT, refusal, refusal).map_err(named)?;
    let owner = inputs.owner(0);
    let own = commitment(&secret(inputs.b32("key")), &owner);
    let is_own = said.tenant == owner.tenant && said.user == owner.user && *said.commitment == own;
    if is_own { Ok(json!({ "receipt": tree(&receipt) })) } else { no("Malformed") }
}

fn unwrap_share(inputs: &Inputs<'_>) -> Outcome {
    // A custodian draws a signing key, a recipient key and an authenticator, in this order.
    let seeds = [[0; 32], inputs.b32("recipient_seed"), [0; 32]].concat();
    let custodian = Custodian::generate(inputs.small("index"), [0; 32], &mut Given::new(seeds));
    let value = custodian.unwrap(&inputs.header()?, &inputs.bytes("wrapped")).map_err(named)?;
    Ok(json!({ "value": hex(*value) }))
}

fn agree(inputs: &Inputs<'_>) -> Outcome {
    let body = inputs.bytes("ceremony");
    let ceremony: CeremonyBody = cbor::decode(&body, MESSAGE_BYTES).map_err(|_| "Malformed")?;
    let agreed = inputs.0["agreed"].as_str().map(unhex);
    let named = ceremony.roster.map(|roster| roster.digest().to_vec());
    if named == agreed { Ok(json!({ "ceremony": tree(&body) })) } else { no("OutOfTurn") }
}

fn take_root(inputs: &Inputs<'_>) -> Outcome {
    let (header, digest) = (inputs.header()?, inputs.b32("header_digest"));
    if *header.digest() != digest {
        return no("WrongEpoch");
    }
    let context = [&digest[..], &[inputs.small("node")]].concat();
    let channel = Recipient::from_seed(&inputs.b32("channel_seed"));
    let root = channel.open(labels::HPKE_ROOT, &context, &inputs.bytes("sealed")).ok_or("BadSignature")?;
    let root: [u8; 32] = root[..].try_into().map_err(|_| "Malformed")?;
    Keyring::open(&secret(root), &header, &inputs.bytes("keyring")).ok_or("Malformed")?;
    Ok(json!({ "root": hex(root) }))
}

fn give(node: &mut Keystore, store: &mut MemoryStore, rng: &mut Given, from: &Peer, body: Body) -> Effects {
    let frame = Frame { exchange: None, generation: None, body };
    run(node, store, 0, rng, Quirks::none(), Input::Frame { from, frame: &frame }).expect("a store in memory")
}

/// A node as the vector describes it.
fn sealed_node(inputs: &Inputs<'_>) -> Result<(Keystore, MemoryStore), String> {
    let header = inputs.header()?;
    let mut batch = Batch::default();
    batch.put(keystore::HEADER, cbor::encode(&header));
    batch.put(keystore::HEADER_DIGEST, cbor::encode(&header.digest()));
    batch.put(keystore::KEYRING, inputs.bytes("keyring"));
    batch.put(keystore::GENERATION, cbor::encode(&inputs.number("generation")));
    if !inputs.0["staged"].is_null() {
        let staged = Inputs(&inputs.0["staged"]);
        let staged = Staged { snapshot: staged.bytes("snapshot").into(), above: staged.number("above") };
        batch.put(keystore::STAGED, cbor::encode(&staged));
    }
    let mut store = MemoryStore::default();
    store.apply(&batch).expect("it fits");
    Ok((Keystore::new(0, 1, Signing::from_seed(&[1; 32]), [2; 32]), store))
}

fn submit_shares(inputs: &Inputs<'_>) -> Outcome {
    let (mut node, mut store) = sealed_node(inputs)?;
    // A node draws the ceremony's key pair and its id; once it is open, a channel key and an exchange.
    let random = [inputs.b32("ceremony_seed"), inputs.b32("ceremony_id"), [3; 32], [4; 32]].concat();
    let mut rng = Given::new(random);
    let order = Body::OpenCeremony { rekey: false, roster: None };
    give(&mut node, &mut store, &mut rng, &Peer::Person(Person::Operator), order).verdict.map_err(named)?;
    let mut last = None;
    for submission in inputs.list("submissions") {
        let (share, signature) = (submission.bytes("share").into(), submission.bytes("signature").into());
        let body = Body::SubmitShare { share, signature };
        let before = store.clone();
        let effects = give(&mut node, &mut store, &mut rng, &Peer::Custodian(1), body);
        assert!(
            effects.verdict.is_ok() || store.same(&before) || inputs.0["staged"].is_object(),
            "a refusal that writes"
        );
        last = Some(effects);
    }
    let effects = last.expect("a submission");
    effects.verdict.map_err(named)?;
    if let Some(opened) = node.opened() {
        return Ok(of_opened(inputs, opened, &store));
    }
    let counted = effects.frames.iter().find_map(|out| match out.frame.body {
        Body::ShareCounted { index } => Some(index),
        _ => None,
    });
    Ok(json!({ "counted": counted.expect("an accepted share is counted") }))
}

fn of_opened(inputs: &Inputs<'_>, opened: &keystore::Opened, store: &MemoryStore) -> Value {
    let generation = store.get(keystore::GENERATION.as_bytes()).expect("in memory").expect("it is there");
    let generation: u64 = cbor::decode(&generation, 16).expect("a number");
    let intake = hex(opened.keyring.intake.public());
    let mut value = json!({ "root": hex(opened.root.expose()), "intake": intake, "generation": generation });
    if inputs.0["staged"].is_object() {
        let records = store.scan(keystore::RECORDS, keystore::RECORDS, 100).expect("in memory");
        value["records"] = records.iter().map(|(name, _)| Value::from(hex(&name[..]))).collect();
    }
    value
}

/// A snapshot by itself; the rows of 14.3 have a node that restores it.
fn read_snapshot(inputs: &Inputs<'_>) -> Outcome {
    let bytes = inputs.bytes("snapshot");
    let snapshot = Snapshot::decode(&bytes).ok_or("SnapshotDamaged")?;
    let uncoded = Snapshot { mac: [0; 32].into(), ..snapshot.clone() }.encode();
    let code = crate::generate::hmac(&inputs.b32("root"), labels::SNAPSHOT_MAC, &uncoded);
    if code != *snapshot.mac {
        return no("SnapshotDamaged");
    }
    Ok(json!({ "digest": hex(*Snapshot::digest(&bytes)), "code": hex(code) }))
}

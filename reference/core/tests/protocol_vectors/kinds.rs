//! One frame of every kind, with bodies that decode and verify.

use bailee_core::crypto::labels;
use bailee_core::wire::{Blob, Body, Decision, Factor, Frame, LogEntry, StandingChange};

use super::snapshots::snapshot;
use super::world::*;

/// Signed bodies as they travel, each with its signature.
struct Signed {
    certificate: (Blob, Blob),
    admission: (Blob, Blob),
    escrow: (Blob, Blob),
    receipt: (Blob, Blob),
    grant: (Blob, Blob),
    capability: (Blob, Blob),
    ceremony: (Blob, Blob),
}

impl Signed {
    fn all() -> Self {
        let pair = |seed, label, body: Vec<u8>| {
            let signature = signed(seed, label, &body);
            (Blob::from(body), signature)
        };
        Signed {
            certificate: pair(DEVICE_SEED, labels::SIGN_CERTIFICATE, certificate()),
            admission: pair(AUTHORITY_SEED, labels::SIGN_ADMISSION, admission()),
            escrow: pair(DEVICE_SEED, labels::SIGN_ESCROW, escrow()),
            receipt: pair(KEYSTORE_SEED, labels::SIGN_RECEIPT, receipt()),
            grant: pair(AUTHORITY_SEED, labels::SIGN_GRANT, grant()),
            capability: pair(AUTHORITY_SEED, labels::SIGN_CAPABILITY, capability()),
            ceremony: pair(KEYSTORE_SEED, labels::SIGN_CEREMONY, ceremony()),
        }
    }
}

fn t() -> String {
    TENANT.into()
}

fn u() -> String {
    USER.into()
}

/// A publication with one entry of each decision; the last names this user.
pub(crate) fn publication(user: &str) -> Frame {
    let entry = |user: &str, decision| LogEntry { tenant: t(), user: user.into(), decision };
    let entries = vec![
        entry(USER, Decision::Enrolled(b(commitment_of(KEY, &owner())))),
        entry(USER, Decision::Standing(1)),
        entry(user, Decision::Revoked(public(DEVICE_SEED))),
    ];
    let body = Body::Publish { from: 4, entries, epoch: 3, head: 7, lease: Some(1_700_000_600) };
    Frame { exchange: None, generation: None, body }
}

/// A body of every kind, in the order of their numbers.
pub(crate) fn bodies() -> Vec<Body> {
    let mut bodies = in_exchanges();
    bodies.extend(of_backup_and_revocation());
    bodies.extend(of_ceremonies());
    bodies.extend(of_snapshots_and_orders());
    bodies
}

fn in_exchanges() -> Vec<Body> {
    let signed_by = Signed::all();
    let (attempt, device, grant) = (b(ATTEMPT), public(DEVICE_SEED), b(GRANT));
    let own = recipient(RECIPIENT_SEED).public().into();
    let sealed: Blob = super::escrows::delivery(&KEY, &GRANT, commitment_of(KEY, &owner())).into();
    let signature: Blob = key(KEYSTORE_SEED).sign(labels::SIGN_INTAKE, &super::bodies::intake()).into();
    let (receipt, by_keystore) = signed_by.receipt;
    let (admission, admitted) = signed_by.admission;
    let (certificate, certified) = signed_by.certificate;
    let (escrow, escrowed) = signed_by.escrow;
    let (capability, capable) = signed_by.capability;
    let (granted, by_authority) = signed_by.grant;
    vec![
        Body::SignIn { tenant: t(), user: u(), password: b"correct horse".to_vec().into() },
        Body::SessionOpened { enrolled: Some(b(commitment_of(KEY, &owner()))) },
        Body::BeginEnrolment {
            attempt,
            device,
            recipient: own,
            proof: signed(DEVICE_SEED, labels::SIGN_ATTEMPT, &super::bodies::attempt_proof()),
        },
        Body::OpenEnrolment { tenant: t(), user: u(), attempt, device },
        Body::EnrolmentOpened { attempt, nonce: b(NONCE), intake: intake(), signature: signature.clone() },
        Body::Nonce { nonce: b(NONCE), intake: intake(), signature },
        Body::PresentCertificate { certificate, signature: certified },
        Body::CreateAccount { admission, signature: admitted },
        Body::AccountCreated { attempt },
        Body::Admission,
        Body::EscrowKey { escrow: escrow.clone(), signature: escrowed.clone() },
        Body::Escrow { tenant: t(), user: u(), device, escrow: escrow.clone(), signature: escrowed },
        Body::Receipt { receipt: receipt.clone(), signature: by_keystore.clone(), escrow: escrow.clone(), attempt },
        Body::Authorised { receipt: receipt.clone(), signature: by_keystore.clone() },
        Body::AddDevice {
            device,
            recipient: own,
            proof: signed(DEVICE_SEED, labels::SIGN_ADD_DEVICE, &super::bodies::add_proof()),
        },
        Body::ReleaseKey { grant: granted, signature: by_authority },
        Body::ConsumeGrant { grant, challenge: b(CHALLENGE) },
        Body::GrantConsumed {
            grant,
            challenge: b(CHALLENGE),
            epoch: 3,
            signature: signed(AUTHORITY_SEED, labels::SIGN_CONSUMED, &super::bodies::consumed()),
        },
        Body::GrantRefused { grant },
        Body::SealedKey { grant, sealed: sealed.clone(), receipt: receipt.clone(), signature: by_keystore.clone() },
        Body::KeyDelivery { grant, sealed, receipt: receipt.clone(), signature: by_keystore.clone() },
        Body::AlreadyEscrowed { receipt, signature: by_keystore, escrow: Vec::new().into(), attempt },
        Body::GoReplace,
        Body::KeystoreRefusal { reason: 14 },
        Body::Refusal { reason: 9 },
        Body::AssignJob {
            job: b(JOB),
            tenant: t(),
            user: u(),
            deadline: 1_700_000_600,
            capability,
            signature: capable,
        },
        Body::JobKey {
            recipient: own,
            signature: signed(RESTORER_SEED, labels::SIGN_JOB_KEY, &super::bodies::job_key()),
        },
        Body::JobEnd { completed: true },
    ]
}

fn of_backup_and_revocation() -> Vec<Body> {
    let (capability, signature) = Signed::all().capability;
    let block = Blob::from(b"a sealed block".to_vec());
    let escrow: Blob = escrow().into();
    let of_intake = signed(KEYSTORE_SEED, labels::SIGN_INTAKE, &super::bodies::intake());
    vec![
        Body::GetCapability { read: false },
        Body::Capability { capability: capability.clone(), signature: signature.clone() },
        Body::Append { capability: capability.clone(), signature: signature.clone(), block: block.clone() },
        Body::Appended { number: 70_000 },
        Body::Fetch { capability, signature, from: 8 },
        Body::Blocks { blocks: vec![block.clone(), block], next: Some(16) },
        publication(USER).body,
        Body::Confirm { index: 7, epoch: 3 },
        Body::Report,
        Body::Erase { signature: signed(AUTHORITY_SEED, labels::SIGN_WIPE, &public(DEVICE_SEED)[..]) },
        Body::Served,
        Body::GetIntake { nonce: b(NONCE) },
        Body::OfferIntake { nonce: b(NONCE) },
        Body::Intake { nonce: b(NONCE), intake: intake(), signature: of_intake.clone() },
        Body::IntakeOffered { intake: intake(), signature: of_intake },
        Body::ReEscrow { escrow: escrow.clone() },
        Body::ReturnKey {
            tenant: t(),
            user: u(),
            dormant: true,
            logged: b(commitment_of(KEY, &owner())),
            escrow,
            epoch: 3,
        },
        Body::KeyReturned { tenant: t(), user: u(), commitment: b(commitment_of(KEY, &owner())) },
    ]
}

fn of_ceremonies() -> Vec<Body> {
    let (ceremony, signature) = Signed::all().ceremony;
    let (digest, wrapped): (_, Blob) = (header().digest(), wrapped(2).into());
    let factor =
        Factor { code: 41, signature: signed(AUTHENTICATOR_SEED, labels::SIGN_MFA, &super::bodies::factor()) };
    let acknowledged = signed(custodian_seeds(2).0, labels::SIGN_ACK, &digest[..]);
    let share: Blob = share(2).into();
    let by_custodian = signed(custodian_seeds(2).0, labels::SIGN_SHARE, &share);
    let root = hpke(*channel(), labels::HPKE_ROOT, &[&digest[..], &[1]].concat(), &ROOT);
    vec![
        Body::OpenCeremony { rekey: true, roster: Some(roster()) },
        Body::Ceremony { ceremony: ceremony.clone(), signature: signature.clone() },
        Body::Announce { ceremony: ceremony.clone(), signature: signature.clone() },
        Body::CloseWindow { node: 0 },
        Body::GetWindow { node: 1 },
        Body::Window { ceremony: ceremony.clone(), signature: signature.clone() },
        Body::RequestShare { index: 2, node: 0, factor: Some(factor) },
        Body::Alert { id: b(NONCE), login: 2, node: 0, ceremony: b(CEREMONY) },
        Body::AlertRecorded { id: b(NONCE) },
        Body::AlertFailed { id: b(NONCE) },
        Body::ReleasedShare { wrapped: wrapped.clone(), ceremony: ceremony.clone(), signature: signature.clone() },
        Body::SubmitShare { share, signature: by_custodian },
        Body::ShareCounted { index: 2 },
        Body::NewShare { index: 2, wrapped: wrapped.clone(), header: header(), ceremony, signature },
        Body::StoreShare { header: header(), wrapped },
        Body::ShareStored { header: digest },
        Body::AckShare { index: 2, signature: acknowledged },
        Body::Rekeyed { header: digest },
        Body::NewRoot { header: digest, sealed: root.into() },
        Body::SealNode,
        Body::SetLogin { index: 2, authenticator: public(AUTHENTICATOR_SEED) },
        Body::Awake { index: 7, covers: 4 },
    ]
}

/// The public half of another node's channel key.
fn channel() -> bailee_core::wire::B32 {
    recipient(CHANNEL_SEED).public().into()
}

fn of_snapshots_and_orders() -> Vec<Body> {
    let bytes = snapshot().encode();
    let digest = bailee_core::roles::keystore::Snapshot::digest(&bytes);
    vec![
        Body::TakeSnapshot,
        Body::SnapshotTaken { digest, share_epoch: SHARE_EPOCH, covers: 4 },
        Body::Witnessed { digest },
        Body::Stage { snapshot: bytes.clone().into() },
        Body::GetWitness,
        Body::Witness { digests: vec![digest], generation: 2, index: 7 },
        Body::RequestJob { tenant: t(), user: u() },
        Body::AbortJob { tenant: t(), user: u() },
        Body::EndJob { job: b(JOB), tenant: t(), user: u(), deadline: 1_700_000_600 },
        Body::Deauthorize { tenant: t(), user: u(), device: public(DEVICE_SEED) },
        Body::SetStanding { tenant: t(), user: u(), change: StandingChange::Purge },
        Body::SetRight { tenant: t(), admin: "boss".into(), restore: true },
        Body::ReplayKey { tenant: t(), user: u() },
        Body::EnterPassword { password: b"correct horse".to_vec().into() },
        Body::StartBackup,
        Body::BackUp { content: b"text".to_vec().into() },
        Body::ReadBack,
        Body::CheckIn,
        Body::EscrowAgain,
        Body::FetchShare { node: 0, code: Some(41), roster: Some(roster().digest()) },
        Body::HandIn { node: 0 },
        Body::Done,
        Body::Snapshot { snapshot: bytes.into() },
        Body::SnapshotKept { digest },
    ]
}

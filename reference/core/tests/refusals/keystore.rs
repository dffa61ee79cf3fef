//! What the keystore refuses of the authority's requests.

use bailee_core::crypto::hpke::seal_to;
use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::Peer;
use bailee_core::roles::signed::{consumed_body, escrow_context};
use bailee_core::wire::{AdmissionBody, Body, EscrowBody, GrantBody, StandingChange};
use bailee_spec::action::Point;
use bailee_spec::limits::MARGIN_SECONDS;
use bailee_spec::outcome::Refusal;

use crate::common::{HOLDER, House, OPERATOR, b32};
use crate::{
    again, at, edit, enrolled, enrolling, flip, from, garble, key_of, replacing, restoring, standing, table,
};

fn sealed(house: &mut House, _: &mut crate::common::Flight) {
    house.restart(0);
}

fn authority(house: &House) -> Signing {
    Signing::from_seed(&house.authority_key.seed())
}

#[test]
fn open_enrolment() {
    table(
        "OpenEnrolment",
        &enrolling,
        None,
        &[
            ("ENR-5", "a sealed node", Refusal::Sealed, &sealed),
            ("GEN-6", "from a device", Refusal::Unauthenticated, &from(Peer::Client)),
            ("ENR-5", "a user who has a key", Refusal::AlreadyEscrowed, &|house, _| house.enrol(1)),
            ("ENR-5c", "another device's attempt", Refusal::NotYourAttempt, &|house, flight| {
                house.deliver(flight.clone()).unwrap();
                let Body::OpenEnrolment { device, .. } = &mut flight.frame.body else { unreachable!() };
                *device = b32(1);
            }),
            ("ENR-5c", "another user's attempt", Refusal::NotYourAttempt, &|house, flight| {
                house.deliver(flight.clone()).unwrap();
                let Body::OpenEnrolment { user, .. } = &mut flight.frame.body else { unreachable!() };
                *user = "bob".into();
            }),
            ("ENR-5c", "another tenant's attempt", Refusal::NotYourAttempt, &|house, flight| {
                house.deliver(flight.clone()).unwrap();
                let Body::OpenEnrolment { tenant, .. } = &mut flight.frame.body else { unreachable!() };
                *tenant = "s".into();
            }),
        ],
    );
}

/// ENR-9, ENR-9a, GEN-16.
#[test]
fn create_account() {
    table(
        "CreateAccount",
        &enrolling,
        Some(600 - MARGIN_SECONDS),
        &[
            ("ENR-9", "a sealed node", Refusal::Sealed, &sealed),
            ("ENR-9", "after the lease", Refusal::RevocationStale, &at(601 - MARGIN_SECONDS)),
            ("ENR-9a", "not canonical", Refusal::Malformed, edit!(CreateAccount { admission } => garble(admission))),
            (
                "ENR-9a",
                "a forged signature",
                Refusal::AdmissionInvalid,
                edit!(CreateAccount { signature } => flip(signature)),
            ),
            (
                "ENR-9a",
                "the keystore's own signature",
                Refusal::AdmissionInvalid,
                edit!(house, CreateAccount { admission, signature } => {
                    *signature = house.keystore_key.sign(labels::SIGN_ADMISSION, admission).into();
                }),
            ),
            (
                "ENR-9a",
                "signed for another purpose",
                Refusal::AdmissionInvalid,
                edit!(house, CreateAccount { admission, signature } => {
                    *signature = house.authority_key.sign(labels::SIGN_GRANT, admission).into();
                }),
            ),
            (
                "ENR-9",
                "another nonce",
                Refusal::AdmissionInvalid,
                edit!(house, CreateAccount { admission, signature } => {
                    let change = |said: &mut AdmissionBody| said.nonce = b32(1);
                    again(&authority(house), labels::SIGN_ADMISSION, admission, signature, change);
                }),
            ),
            (
                "ENR-9",
                "another user",
                Refusal::AdmissionInvalid,
                edit!(house, CreateAccount { admission, signature } => {
                    let change = |said: &mut AdmissionBody| said.user = "bob".into();
                    again(&authority(house), labels::SIGN_ADMISSION, admission, signature, change);
                }),
            ),
            (
                "ENR-9",
                "another tenant",
                Refusal::AdmissionInvalid,
                edit!(house, CreateAccount { admission, signature } => {
                    let change = |said: &mut AdmissionBody| said.tenant = "s".into();
                    again(&authority(house), labels::SIGN_ADMISSION, admission, signature, change);
                }),
            ),
            (
                "ENR-9",
                "an attempt that was never opened",
                Refusal::AdmissionInvalid,
                edit!(house, CreateAccount { admission, signature } => {
                    let change = |said: &mut AdmissionBody| said.attempt = b32(1);
                    again(&authority(house), labels::SIGN_ADMISSION, admission, signature, change);
                }),
            ),
            ("ENR-9", "a user who has a key", Refusal::AlreadyEscrowed, &|house, _| house.enrol(1)),
        ],
    );
}

/// ENR-13, ENR-13a, ENR-13b.
#[test]
fn escrow() {
    table(
        "Escrow",
        &enrolling,
        Some(600 - MARGIN_SECONDS),
        &[
            ("ENR-13", "a sealed node", Refusal::Sealed, &sealed),
            ("ENR-13", "after the lease", Refusal::RevocationStale, &at(601 - MARGIN_SECONDS)),
            ("ENR-13", "a user who has a key", Refusal::AlreadyEscrowed, &|house, _| house.enrol(1)),
            ("ENR-13", "carried twice", Refusal::AlreadyEscrowed, &|house, flight| {
                house.deliver(flight.clone()).unwrap()
            }),
            ("ENR-13a", "not canonical", Refusal::Malformed, edit!(Escrow { escrow } => garble(escrow))),
            ("ENR-13", "another user", Refusal::NotAdmitted, edit!(Escrow { user } => *user = "bob".into())),
            ("ENR-13", "another tenant", Refusal::NotAdmitted, edit!(Escrow { tenant } => *tenant = "s".into())),
            ("ENR-13", "another device", Refusal::NotAdmitted, edit!(Escrow { device } => *device = b32(1))),
            (
                "ENR-13b",
                "a forged signature",
                Refusal::Unauthenticated,
                edit!(Escrow { signature } => flip(signature)),
            ),
            (
                "ENR-13b",
                "signed for another purpose",
                Refusal::Unauthenticated,
                edit!(house, Escrow { escrow, signature } => {
                    *signature = key_of(house, 0).sign(labels::SIGN_CERTIFICATE, escrow).into();
                }),
            ),
            (
                "ENR-13",
                "another commitment",
                Refusal::CommitmentMismatch,
                edit!(house, Escrow { escrow, signature } => {
                    let change = |said: &mut EscrowBody| said.commitment = b32(1);
                    again(&key_of(house, 0), labels::SIGN_ESCROW, escrow, signature, change);
                }),
            ),
            ("ENR-13", "a namesake who is enrolling in another tenant", Refusal::NotAdmitted, &|house, flight| {
                house.sign_in(3);
                house.run_to("AccountCreated");
                let Body::Escrow { tenant, .. } = &mut flight.frame.body else { unreachable!() };
                *tenant = "s".into();
            }),
            (
                "ENR-13",
                "a key that is sealed under another's commitment",
                Refusal::CommitmentMismatch,
                edit!(house, Escrow { escrow, signature } => {
                    let intake = house.keyring.intake.public();
                    let context = escrow_context("t", "ann", &b32(1));
                    let sealed = seal_to(&intake, labels::HPKE_INTAKE, &context, &[9; 32], &mut house.custody.rng).unwrap();
                    let change = |said: &mut EscrowBody| (said.commitment, said.sealed) = (b32(1), sealed.into());
                    again(&key_of(house, 0), labels::SIGN_ESCROW, escrow, signature, change);
                }),
            ),
            (
                "ENR-13",
                "a sealed key that does not open",
                Refusal::CommitmentMismatch,
                edit!(house, Escrow { escrow, signature } => {
                    let change = |said: &mut EscrowBody| flip(&mut said.sealed);
                    again(&key_of(house, 0), labels::SIGN_ESCROW, escrow, signature, change);
                }),
            ),
            (
                "ENR-13",
                "an attempt that was never opened",
                Refusal::NotAdmitted,
                edit!(house, Escrow { escrow, signature } => {
                    let change = |said: &mut EscrowBody| said.attempt = b32(1);
                    again(&key_of(house, 0), labels::SIGN_ESCROW, escrow, signature, change);
                }),
            ),
        ],
    );
}

fn purged(house: &mut House, flight: &mut crate::common::Flight) {
    standing(StandingChange::Deactivate)(house, flight);
    standing(StandingChange::Purge)(house, flight);
    house.publish(Point::Keystore);
}

/// REP-2, REP-2a.
#[test]
fn release_key() {
    table(
        "ReleaseKey",
        &replacing,
        Some(600 - MARGIN_SECONDS),
        &[
            ("REP-2", "a sealed node", Refusal::Sealed, &sealed),
            ("REP-2", "after lease and grant", Refusal::RevocationStale, &at(601 - MARGIN_SECONDS)),
            ("REP-2a", "not canonical", Refusal::Malformed, edit!(ReleaseKey { grant } => garble(grant))),
            (
                "REP-2a",
                "a forged signature",
                Refusal::GrantInvalid,
                edit!(ReleaseKey { signature } => flip(signature)),
            ),
            (
                "REP-2a",
                "signed for another purpose",
                Refusal::GrantInvalid,
                edit!(house, ReleaseKey { grant, signature } => {
                    *signature = house.authority_key.sign(labels::SIGN_ADMISSION, grant).into();
                }),
            ),
            (
                "REP-2a",
                "out of time",
                Refusal::GrantInvalid,
                edit!(house, ReleaseKey { grant, signature } => {
                    house.set_clocks(11);
                    again(&authority(house), labels::SIGN_GRANT, grant, signature, |said: &mut GrantBody| said.expiry = 10);
                }),
            ),
            (
                "REP-2",
                "a user without an account",
                Refusal::NoAccount,
                edit!(house, ReleaseKey { grant, signature } => {
                    let change = |said: &mut GrantBody| said.user = "nobody".into();
                    again(&authority(house), labels::SIGN_GRANT, grant, signature, change);
                }),
            ),
            ("REP-2", "a dormant account", Refusal::AccountDormant, &|house, flight| {
                standing(StandingChange::Deactivate)(house, flight);
                house.publish(Point::Keystore);
            }),
            ("REP-2", "a purged account", Refusal::AccountPurged, &purged),
        ],
    );
}

/// REP-4, REP-4a, REP-4b, REV-2a.
#[test]
fn grant_consumed() {
    table(
        "GrantConsumed",
        &replacing,
        Some(600 - MARGIN_SECONDS),
        &[
            ("REP-4", "a sealed node", Refusal::Sealed, &sealed),
            ("REP-4", "after the grant", Refusal::GrantVoid, &at(601 - MARGIN_SECONDS)),
            ("REP-4b", "an unknown grant", Refusal::GrantVoid, edit!(GrantConsumed { grant } => *grant = b32(1))),
            (
                "REP-4b",
                "another challenge",
                Refusal::GrantVoid,
                edit!(GrantConsumed { challenge } => *challenge = b32(1)),
            ),
            ("REP-4b", "carried twice", Refusal::GrantVoid, &|house, flight| house.deliver(flight.clone()).unwrap()),
            (
                "REP-4a",
                "a forged signature",
                Refusal::GrantInvalid,
                edit!(GrantConsumed { signature } => flip(signature)),
            ),
            (
                "REP-4a",
                "another epoch than was signed",
                Refusal::GrantInvalid,
                edit!(GrantConsumed { epoch } => *epoch += 1),
            ),
            (
                "REP-4a",
                "signed by the keystore",
                Refusal::GrantInvalid,
                edit!(house, GrantConsumed { grant, challenge, epoch, signature } => {
                    let body = consumed_body(grant, challenge, *epoch);
                    *signature = house.keystore_key.sign(labels::SIGN_CONSUMED, &body).into();
                }),
            ),
            ("REV-2a", "a revocation heard in between", Refusal::GrantVoid, &|house, _| {
                house.publish(Point::Keystore)
            }),
        ],
    );
    table(
        "GrantConsumed",
        &restoring,
        Some(600 - MARGIN_SECONDS),
        &[
            ("REP-4", "a job's, after the grant", Refusal::GrantVoid, &at(601 - MARGIN_SECONDS)),
            (
                "REP-4a",
                "a job's, forged",
                Refusal::GrantInvalid,
                edit!(GrantConsumed { signature } => flip(signature)),
            ),
        ],
    );
}

/// DIS-5, DIS-5b, DIS-6, DIS-6a: a key comes back by its commitment, whoever brings it.
#[test]
fn keys_that_come_back() {
    let again_ = || {
        let mut house = enrolled();
        house.order(&HOLDER, Peer::Client, 0, Body::EscrowAgain).unwrap();
        house
    };
    table("OfferIntake", &again_, None, &[("DIS-6", "a sealed node", Refusal::Sealed, &sealed)]);
    // Nothing is lost, so the honest frame itself is refused: the twin is in `attacks/disaster.rs`.
    let mut house = again_();
    let flight = house.run_to("ReturnKey");
    house.nodes[0].refuses(
        &Peer::Authority,
        flight.frame.clone(),
        Refusal::NotLost,
        "DIS-6: an account that is not lost",
    );
    let lost = || {
        let mut house = enrolled();
        let empty = House::new(1, crate::PEOPLE).snapshot();
        drop(empty);
        let mut early = crate::fresh();
        let snapshot = early.snapshot();
        [0, 2, 3].into_iter().for_each(|device| early.enrol(device));
        std::mem::swap(&mut house, &mut early);
        *house.nodes[0].store.borrow_mut() = bailee_core::store::MemoryStore::default();
        house.restart(0);
        house.must(&OPERATOR, Peer::Keystore(0), Body::Stage { snapshot: snapshot.into() });
        house.unseal(0);
        let body = Body::ReplayKey { tenant: "t".into(), user: "ann".into() };
        house.order(&OPERATOR, Peer::Authority, 0, body).unwrap();
        house
    };
    table(
        "ReturnKey",
        &lost,
        None,
        &[
            ("DIS-5", "a sealed node", Refusal::Sealed, &sealed),
            (
                "DIS-5",
                "another's key",
                Refusal::CommitmentMismatch,
                edit!(ReturnKey { user } => *user = "bob".into()),
            ),
            (
                "DIS-5",
                "another commitment",
                Refusal::CommitmentMismatch,
                edit!(ReturnKey { logged } => *logged = b32(1)),
            ),
            (
                "DIS-5",
                "bytes that are no escrow",
                Refusal::CommitmentMismatch,
                edit!(ReturnKey { escrow } => garble(escrow)),
            ),
            ("DIS-5", "twice", Refusal::NotLost, &|house, flight| house.deliver(flight.clone()).unwrap()),
        ],
    );
    table(
        "KeyReturned",
        &lost,
        None,
        &[
            ("DIS-3", "of another generation", Refusal::ReceiptInvalid, &crate::of_another_store),
            (
                "DIS-5b",
                "of a user who does not exist",
                Refusal::ReceiptInvalid,
                edit!(KeyReturned { user } => *user = "nobody".into()),
            ),
        ],
    );
}

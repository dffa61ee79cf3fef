//! What a device refuses.

use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::Peer;
use bailee_core::wire::{Body, ReceiptBody};
use bailee_spec::outcome::Refusal;

use crate::common::{HOLDER, b32};
use crate::{again, edit, enrolled, enrolling, flip, from, garble, replacing, table};

#[test]
fn nonce() {
    table(
        "Nonce",
        &enrolling,
        None,
        &[
            ("NET-11", "of another session", Refusal::OutOfTurn, &|_, flight| flight.frame.exchange = Some(b32(1))),
            ("NET-11", "of none", Refusal::OutOfTurn, &|_, flight| flight.frame.exchange = None),
            ("ENR-7a", "a forged signature", Refusal::Malformed, edit!(Nonce { signature } => flip(signature))),
            ("ENR-7a", "another nonce", Refusal::Malformed, edit!(Nonce { nonce } => *nonce = b32(1))),
            ("ENR-7a", "another intake key", Refusal::Malformed, edit!(Nonce { intake } => *intake = b32(1))),
            ("GEN-6", "from storage", Refusal::Unauthenticated, &from(Peer::Storage)),
        ],
    );
}

#[test]
fn authorised() {
    table(
        "Authorised",
        &enrolling,
        None,
        &[
            ("NET-11", "of another session", Refusal::OutOfTurn, &|_, flight| flight.frame.exchange = Some(b32(1))),
            ("ENR-15a", "not canonical", Refusal::Malformed, edit!(Authorised { receipt } => garble(receipt))),
            ("ENR-15", "a forged signature", Refusal::Malformed, edit!(Authorised { signature } => flip(signature))),
            (
                "ENR-15",
                "the authority's signature",
                Refusal::Malformed,
                edit!(house, Authorised { receipt, signature } => {
                    *signature = house.authority_key.sign(labels::SIGN_RECEIPT, receipt).into();
                }),
            ),
            (
                "ENR-15",
                "another user's",
                Refusal::Malformed,
                edit!(house, Authorised { receipt, signature } => {
                    let key = Signing::from_seed(&house.keystore_key.seed());
                    again(&key, labels::SIGN_RECEIPT, receipt, signature, |said: &mut ReceiptBody| said.user = "bob".into());
                }),
            ),
            (
                "ENR-15",
                "another tenant's",
                Refusal::Malformed,
                edit!(house, Authorised { receipt, signature } => {
                    let key = Signing::from_seed(&house.keystore_key.seed());
                    again(&key, labels::SIGN_RECEIPT, receipt, signature, |said: &mut ReceiptBody| said.tenant = "s".into());
                }),
            ),
            (
                "ENR-15",
                "another key's",
                Refusal::Malformed,
                edit!(house, Authorised { receipt, signature } => {
                    let key = Signing::from_seed(&house.keystore_key.seed());
                    again(&key, labels::SIGN_RECEIPT, receipt, signature, |said: &mut ReceiptBody| said.commitment = b32(1));
                }),
            ),
            ("NET-11", "twice", Refusal::OutOfTurn, &|house, flight| house.deliver(flight.clone()).unwrap()),
        ],
    );
}

#[test]
fn key_delivery() {
    table(
        "KeyDelivery",
        &replacing,
        None,
        &[
            ("NET-11", "of another session", Refusal::OutOfTurn, &|_, flight| flight.frame.exchange = Some(b32(1))),
            // The device is at rest after the first one, so a second is no longer its business.
            ("NET-11", "twice", Refusal::OutOfTurn, &|house, flight| house.deliver(flight.clone()).unwrap()),
            ("REP-7a", "not canonical", Refusal::Malformed, edit!(KeyDelivery { receipt } => garble(receipt))),
            ("REP-7a", "a forged receipt", Refusal::Malformed, edit!(KeyDelivery { signature } => flip(signature))),
            ("REP-7", "another grant", Refusal::Malformed, edit!(KeyDelivery { grant } => *grant = b32(1))),
            (
                "REP-7",
                "a sealed key that does not open",
                Refusal::Malformed,
                edit!(KeyDelivery { sealed } => flip(sealed)),
            ),
            (
                "REP-7a",
                "the namesake's",
                Refusal::Malformed,
                edit!(house, KeyDelivery { receipt, signature } => {
                    let key = Signing::from_seed(&house.keystore_key.seed());
                    again(&key, labels::SIGN_RECEIPT, receipt, signature, |said: &mut ReceiptBody| said.tenant = "s".into());
                }),
            ),
        ],
    );
}

#[test]
fn what_comes_unasked() {
    let mut house = enrolled();
    let device = &mut house.devices[0];
    let session = b32(1);
    for (from, body, why, note) in [
        (Peer::Authority, Body::Admission, Refusal::OutOfTurn, "NET-11: an admission"),
        (Peer::Authority, Body::GoReplace, Refusal::OutOfTurn, "NET-11: go and replace"),
        (Peer::Authority, Body::SessionOpened { enrolled: None }, Refusal::OutOfTurn, "NET-11: a session"),
        (
            Peer::Authority,
            Body::Capability { capability: vec![].into(), signature: vec![].into() },
            Refusal::OutOfTurn,
            "BAK-1b: leave",
        ),
        (Peer::Storage, Body::Blocks { blocks: vec![], next: None }, Refusal::OutOfTurn, "BAK-3: blocks"),
        (
            Peer::Authority,
            Body::IntakeOffered { intake: b32(1), signature: vec![].into() },
            Refusal::OutOfTurn,
            "DIS-6b: an intake key",
        ),
        (
            Peer::Authority,
            Body::Erase { signature: vec![].into() },
            Refusal::BadSignature,
            "REV-4a: an order to erase",
        ),
        (
            HOLDER,
            Body::EnterPassword { password: vec![].into() },
            Refusal::OutOfTurn,
            "ENR-1: a device that has its key",
        ),
        (HOLDER, Body::BackUp { content: vec![].into() }, Refusal::OutOfTurn, "BAK-2: without leave"),
    ] {
        device.refuses(&from, (session, body), why, note);
    }
    let blank = &mut house.devices[1];
    for (body, note) in [
        (Body::StartBackup, "BAK-1: without a key"),
        (Body::ReadBack, "BAK-3: without a key"),
        (Body::CheckIn, "REV-4: without an identity"),
        (Body::EscrowAgain, "DIS-6: without a key"),
    ] {
        blank.refuses(&HOLDER, body, Refusal::OutOfTurn, note);
    }
}

/// BAK-3a: a block of another key is none of the device's archive.
#[test]
fn blocks_that_do_not_open() {
    let reading = || {
        let mut house = enrolled();
        house.order(&HOLDER, Peer::Client, 0, Body::StartBackup).unwrap();
        house.run();
        house.order(&HOLDER, Peer::Client, 0, Body::BackUp { content: b"text".to_vec().into() }).unwrap();
        house.run();
        house.order(&HOLDER, Peer::Client, 0, Body::ReadBack).unwrap();
        house
    };
    table(
        "Blocks",
        &reading,
        None,
        &[
            (
                "BAK-3a",
                "a flipped bit",
                Refusal::CommitmentMismatch,
                edit!(Blocks { blocks } => flip(&mut blocks[0])),
            ),
            ("BAK-3b", "twice", Refusal::OutOfTurn, &|house, flight| house.deliver(flight.clone()).unwrap()),
        ],
    );
}

//! What storage and the restorer refuse.

use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::Peer;
use bailee_core::wire::{Body, CapabilityBody};
use bailee_spec::action::Point;
use bailee_spec::limits::MARGIN_SECONDS;
use bailee_spec::outcome::Refusal;

use crate::common::{Flight, HOLDER, House, admin, b32};
use crate::{again, at, edit, enrolled, flip, from, garble, restoring, table};

fn authority(house: &House) -> Signing {
    Signing::from_seed(&house.authority_key.seed())
}

fn backing_up() -> House {
    let mut house = enrolled();
    house.order(&HOLDER, Peer::Client, 0, Body::StartBackup).unwrap();
    house.run();
    house.order(&HOLDER, Peer::Client, 0, Body::BackUp { content: b"text".to_vec().into() }).unwrap();
    house
}

fn reading() -> House {
    let mut house = backing_up();
    house.run();
    house.order(&HOLDER, Peer::Client, 0, Body::ReadBack).unwrap();
    house
}

/// Another device of another user is deauthorized, and storage has heard of it.
fn overtaken(house: &mut House, _: &mut Flight) {
    let body = Body::Deauthorize { tenant: "t".into(), user: "bob".into(), device: house.id_of(2) };
    house.must(&admin("t", "boss"), Peer::Authority, body);
    house.publish(Point::Storage);
}

/// BAK-2, BAK-2a, BAK-2b, GEN-16.
#[test]
fn append() {
    table(
        "Append",
        &backing_up,
        Some(600 - MARGIN_SECONDS),
        &[
            ("BAK-2", "after lease and capability", Refusal::LeaseExpired, &at(601 - MARGIN_SECONDS)),
            ("BAK-2a", "not canonical", Refusal::Malformed, edit!(Append { capability } => garble(capability))),
            (
                "BAK-2a",
                "a forged signature",
                Refusal::CapabilityInvalid,
                edit!(Append { signature } => flip(signature)),
            ),
            (
                "BAK-2a",
                "signed for another purpose",
                Refusal::CapabilityInvalid,
                edit!(house, Append { capability, signature } => {
                    *signature = house.authority_key.sign(labels::SIGN_GRANT, capability).into();
                }),
            ),
            (
                "BAK-2a",
                "signed by the keystore",
                Refusal::CapabilityInvalid,
                edit!(house, Append { capability, signature } => {
                    *signature = house.keystore_key.sign(labels::SIGN_CAPABILITY, capability).into();
                }),
            ),
            ("BAK-2b", "another device", Refusal::CapabilityInvalid, &from(Peer::Device(b32(1)))),
            ("BAK-2a", "a revocation overtook it", Refusal::CapabilityInvalid, &overtaken),
            (
                "BAK-2a",
                "leave to read",
                Refusal::CapabilityInvalid,
                edit!(house, Append { capability, signature } => {
                    let change = |said: &mut CapabilityBody| said.read = true;
                    again(&authority(house), labels::SIGN_CAPABILITY, capability, signature, change);
                }),
            ),
            (
                "BAK-2a",
                "out of time",
                Refusal::CapabilityInvalid,
                edit!(house, Append { capability, signature } => {
                    house.set_clocks(11);
                    let change = |said: &mut CapabilityBody| said.expiry = 10;
                    again(&authority(house), labels::SIGN_CAPABILITY, capability, signature, change);
                }),
            ),
            ("GEN-6", "from the restorer", Refusal::Unauthenticated, &from(Peer::Restorer)),
        ],
    );
}

/// BAK-3, with BAK-2a and BAK-2b.
#[test]
fn fetch() {
    table(
        "Fetch",
        &reading,
        Some(600 - MARGIN_SECONDS),
        &[
            ("BAK-3", "after lease and capability", Refusal::LeaseExpired, &at(601 - MARGIN_SECONDS)),
            ("BAK-2a", "not canonical", Refusal::Malformed, edit!(Fetch { capability } => garble(capability))),
            (
                "BAK-2a",
                "a forged signature",
                Refusal::CapabilityInvalid,
                edit!(Fetch { signature } => flip(signature)),
            ),
            ("BAK-2b", "another device", Refusal::CapabilityInvalid, &from(Peer::Device(b32(1)))),
            ("BAK-2b", "the restorer with a device's", Refusal::CapabilityInvalid, &from(Peer::Restorer)),
            ("BAK-2a", "a revocation overtook it", Refusal::CapabilityInvalid, &overtaken),
            (
                "BAK-3",
                "leave to append",
                Refusal::CapabilityInvalid,
                edit!(house, Fetch { capability, signature } => {
                    let change = |said: &mut CapabilityBody| said.read = false;
                    again(&authority(house), labels::SIGN_CAPABILITY, capability, signature, change);
                }),
            ),
            (
                "BAK-3",
                "an archive that holds nothing",
                Refusal::NothingStored,
                edit!(house, Fetch { capability, signature } => {
                    let change = |said: &mut CapabilityBody| said.user = "bob".into();
                    again(&authority(house), labels::SIGN_CAPABILITY, capability, signature, change);
                }),
            ),
            (
                "BAK-3",
                "the namesake of another tenant",
                Refusal::NothingStored,
                edit!(house, Fetch { capability, signature } => {
                    let change = |said: &mut CapabilityBody| said.tenant = "s".into();
                    again(&authority(house), labels::SIGN_CAPABILITY, capability, signature, change);
                }),
            ),
        ],
    );
}

/// Ann has an archive, and asked for a job.
fn with_archive() -> House {
    let mut house = backing_up();
    house.run();
    let request = Body::RequestJob { tenant: "t".into(), user: "ann".into() };
    house.order(&crate::common::user("t", "ann"), Peer::Authority, 0, request).unwrap();
    house
}

#[test]
fn the_restorers_capability_is_the_restorers() {
    table(
        "Fetch",
        &with_archive,
        Some(600 - MARGIN_SECONDS),
        &[
            ("BAK-2b", "a device with it", Refusal::CapabilityInvalid, &|house, flight| {
                flight.from = house.peer_of(0)
            }),
            ("BAK-2", "after lease and capability", Refusal::LeaseExpired, &at(601 - MARGIN_SECONDS)),
            (
                "BAK-2a",
                "a forged signature",
                Refusal::CapabilityInvalid,
                edit!(Fetch { signature } => flip(signature)),
            ),
        ],
    );
}

/// JOB-2, JOB-3, JOB-9a, REP-7a, GEN-16.
#[test]
fn restorer() {
    let last = 600 - MARGIN_SECONDS;
    table(
        "AssignJob",
        &restoring,
        Some(last),
        &[
            ("JOB-9a", "within the margin", Refusal::JobOver, &at(last + 1)),
            ("JOB-2", "in another exchange", Refusal::JobOver, &|_, flight| flight.frame.exchange = Some(b32(1))),
            ("JOB-2", "in none", Refusal::JobOver, &|_, flight| flight.frame.exchange = None),
            ("GEN-6", "from the keystore", Refusal::Unauthenticated, &from(Peer::Keystore(0))),
        ],
    );
    table(
        "KeyDelivery",
        &restoring,
        Some(last),
        &[
            ("JOB-9a", "within the margin", Refusal::JobOver, &at(last + 1)),
            ("JOB-3", "for another job", Refusal::JobOver, &|_, flight| flight.frame.exchange = Some(b32(1))),
            ("JOB-3", "twice", Refusal::JobOver, &|house, flight| house.deliver(flight.clone()).unwrap()),
            ("REP-7a", "a forged receipt", Refusal::JobOver, edit!(KeyDelivery { signature } => flip(signature))),
            (
                "REP-7a",
                "the authority's receipt",
                Refusal::JobOver,
                edit!(house, KeyDelivery { receipt, signature } => {
                    *signature = house.authority_key.sign(labels::SIGN_RECEIPT, receipt).into();
                }),
            ),
            ("REP-7a", "another grant", Refusal::JobOver, edit!(KeyDelivery { grant } => *grant = b32(1))),
            (
                "REP-7a",
                "a sealed key that does not open",
                Refusal::JobOver,
                edit!(KeyDelivery { sealed } => flip(sealed)),
            ),
        ],
    );
}

/// JOB-4, JOB-4a.
#[test]
fn what_a_job_reads() {
    let last = 600 - MARGIN_SECONDS;
    table(
        "Blocks",
        &with_archive,
        Some(last),
        &[
            ("JOB-4", "within the margin", Refusal::LeaseExpired, &at(last + 1)),
            ("JOB-4", "for another job", Refusal::OutOfTurn, &|_, flight| flight.frame.exchange = Some(b32(1))),
            (
                "JOB-4",
                "an archive that holds nothing",
                Refusal::NothingStored,
                edit!(Blocks { blocks } => blocks.clear()),
            ),
            (
                "JOB-4a",
                "a flipped bit",
                Refusal::CommitmentMismatch,
                edit!(Blocks { blocks } => flip(&mut blocks[0])),
            ),
            ("JOB-4", "twice", Refusal::OutOfTurn, &|house, flight| house.deliver(flight.clone()).unwrap()),
            ("GEN-6", "from the authority", Refusal::Unauthenticated, &from(Peer::Authority)),
        ],
    );
}

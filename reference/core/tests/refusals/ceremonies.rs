//! What custody, custodians' clients and nodes refuse in a ceremony.

use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::{Peer, Person};
use bailee_core::wire::{Body, CeremonyBody, ShareBody};
use bailee_spec::outcome::Refusal;

use crate::common::{Flight, HOLDER, House, OPERATOR, b32};
use crate::{again, at, edit, flip, fresh, from, garble, stranger, table};

const UNSEAL: Body = Body::OpenCeremony { rekey: false, roster: None };

fn keystore(house: &House) -> Signing {
    Signing::from_seed(&house.keystore_key.seed())
}

/// The node is sealed, its ceremony is announced.
fn announced() -> House {
    let mut house = fresh();
    house.restart(0);
    house.ceremony(0, UNSEAL);
    house
}

fn asking() -> House {
    let mut house = announced();
    house.order(&HOLDER, Peer::Custodian(1), 0, Body::FetchShare { node: 0, code: Some(5), roster: None }).unwrap();
    house
}

fn handing_in() -> House {
    let mut house = announced();
    house.fetch(0, 0);
    house.order(&HOLDER, Peer::Custodian(1), 0, Body::HandIn { node: 0 }).unwrap();
    house
}

fn rekeying() -> House {
    let mut house = fresh();
    house.ceremony(0, Body::OpenCeremony { rekey: true, roster: None });
    house.fetch(0, 0);
    house.hand_in(0, 0);
    house.fetch(1, 0);
    house.order(&HOLDER, Peer::Custodian(2), 0, Body::HandIn { node: 0 }).unwrap();
    house
}

#[test]
fn window() {
    table(
        "GetWindow",
        &asking,
        Some(600),
        &[
            ("CER-4", "after the window", Refusal::NoRestartPending, &at(601)),
            ("CER-4", "another node", Refusal::NoRestartPending, edit!(GetWindow { node } => *node = 1)),
            ("CER-4", "a window that was closed", Refusal::NoRestartPending, &|house, _| {
                house.must(&OPERATOR, Peer::Custody, Body::CloseWindow { node: 0 });
            }),
            ("GEN-6", "the operator", Refusal::Unauthenticated, &from(OPERATOR)),
        ],
    );
    table(
        "Window",
        &asking,
        Some(600),
        &[
            ("CER-4d", "after the ceremony", Refusal::CeremonyExpired, &at(601)),
            ("CER-4d", "not canonical", Refusal::Malformed, edit!(Window { ceremony } => garble(ceremony))),
            ("CER-4d", "a forged signature", Refusal::BadSignature, edit!(Window { signature } => flip(signature))),
            (
                "CER-4d",
                "signed by the authority",
                Refusal::BadSignature,
                edit!(house, Window { ceremony, signature } => {
                    *signature = house.authority_key.sign(labels::SIGN_CEREMONY, ceremony).into();
                }),
            ),
            (
                "CER-4d",
                "of another node",
                Refusal::BadSignature,
                edit!(house, Window { ceremony, signature } => {
                    let change = |said: &mut CeremonyBody| said.node = 1;
                    again(&keystore(house), labels::SIGN_CEREMONY, ceremony, signature, change);
                }),
            ),
            ("CER-4", "unasked", Refusal::OutOfTurn, &|house, flight| house.deliver(flight.clone()).unwrap()),
        ],
    );
}

#[test]
fn request_share() {
    table(
        "RequestShare",
        &asking,
        Some(600),
        &[
            ("CER-4", "another's index", Refusal::NotYourShare, edit!(RequestShare { index } => *index = 2)),
            ("CER-4", "another login", Refusal::NotYourShare, &from(Peer::Custodian(2))),
            ("CER-4a", "a login that does not exist", Refusal::NotYourShare, &|_, flight| {
                flight.from = Peer::Custodian(9);
                let Body::RequestShare { index, .. } = &mut flight.frame.body else { unreachable!() };
                *index = 9;
            }),
            ("CER-4", "without a factor", Refusal::MfaRequired, edit!(RequestShare { factor } => *factor = None)),
            (
                "CER-4a",
                "a forged factor",
                Refusal::MfaRequired,
                edit!(RequestShare { factor } => flip(&mut factor.as_mut().unwrap().signature)),
            ),
            (
                "CER-4a",
                "a factor for another code",
                Refusal::MfaRequired,
                edit!(RequestShare { factor } => factor.as_mut().unwrap().code = 6),
            ),
            ("CER-4", "a code that was used", Refusal::CodeReplayed, &|house, flight| {
                house.deliver(flight.clone()).unwrap()
            }),
            ("CER-4a", "a factor for a ceremony that is over", Refusal::MfaRequired, &at(601)),
            ("GEN-6", "the operator", Refusal::Unauthenticated, &from(OPERATOR)),
        ],
    );
}

#[test]
fn released_share() {
    table(
        "ReleasedShare",
        &asking,
        Some(600),
        &[
            ("CER-4d", "after the ceremony", Refusal::CeremonyExpired, &at(601)),
            ("CER-4d", "not canonical", Refusal::Malformed, edit!(ReleasedShare { ceremony } => garble(ceremony))),
            (
                "CER-4d",
                "a forged ceremony",
                Refusal::BadSignature,
                edit!(ReleasedShare { signature } => flip(signature)),
            ),
            (
                "CER-4d",
                "a damaged share",
                Refusal::OwnShareDamaged,
                edit!(ReleasedShare { wrapped } => flip(wrapped)),
            ),
            (
                "CER-4d",
                "a header that the client does not know",
                Refusal::OwnShareDamaged,
                edit!(house, ReleasedShare { ceremony, signature } => {
                    let change = |said: &mut CeremonyBody| said.header = b32(1);
                    again(&keystore(house), labels::SIGN_CEREMONY, ceremony, signature, change);
                }),
            ),
            ("GEN-6", "from the node", Refusal::Unauthenticated, &from(Peer::Keystore(0))),
        ],
    );
}

/// A share that is nobody's, packed by the first custodian for a ceremony that differs from the announced one.
fn pack(house: &mut House, with: impl Fn(&mut CeremonyBody)) -> Body {
    let node = &mut house.nodes[0];
    let mut ceremony = node.peek(|step| node.role.collecting(step).cloned()).unwrap();
    with(&mut ceremony);
    let desk = &mut house.custodians[0];
    desk.role.package(&ceremony, 1, &[0; 32], &mut desk.rng).unwrap()
}

#[test]
fn submit_share() {
    let packed = |with: fn(&mut CeremonyBody)| {
        move |house: &mut House, flight: &mut Flight| {
            flight.frame.body = pack(house, with);
        }
    };
    table(
        "SubmitShare",
        &handing_in,
        Some(600),
        &[
            ("CER-5", "after the ceremony", Refusal::CeremonyExpired, &at(601)),
            ("CER-5", "after a restart of the node", Refusal::CeremonyExpired, &|house, _| house.restart(0)),
            ("CER-5a", "not canonical", Refusal::Malformed, edit!(SubmitShare { share } => garble(share))),
            (
                "CER-5",
                "a forged signature",
                Refusal::BadSignature,
                edit!(SubmitShare { signature } => flip(signature)),
            ),
            (
                "CER-5",
                "another custodian's index",
                Refusal::BadSignature,
                edit!(SubmitShare { share } => {
                    let mut said: ShareBody = bailee_core::cbor::decode(share, 1 << 16).unwrap();
                    said.index = 2;
                    *share = bailee_core::cbor::encode(&said).into();
                }),
            ),
            (
                "CER-5a",
                "an index that nobody has",
                Refusal::BadSignature,
                edit!(SubmitShare { share } => {
                    let mut said: ShareBody = bailee_core::cbor::decode(share, 1 << 16).unwrap();
                    said.index = 0;
                    *share = bailee_core::cbor::encode(&said).into();
                }),
            ),
            ("CER-5", "for another ceremony", Refusal::CeremonyExpired, &packed(|ceremony| ceremony.id = b32(1))),
            ("CER-5", "of another epoch", Refusal::WrongEpoch, &packed(|ceremony| ceremony.share_epoch = 2)),
            ("CER-5", "of another header", Refusal::WrongEpoch, &packed(|ceremony| ceremony.header = b32(1))),
            ("CER-5", "a wrong share", Refusal::WrongShare, &packed(|_| ())),
            (
                "CER-5",
                "a share for another node's key",
                Refusal::WrongShare,
                &packed(|ceremony| {
                    ceremony.recipient = bailee_core::crypto::hpke::Recipient::from_seed(&[1; 32]).public().into();
                }),
            ),
            ("CER-5", "twice", Refusal::DuplicateShare, &|house, flight| house.deliver(flight.clone()).unwrap()),
        ],
    );
}

#[test]
fn rekey() {
    table(
        "NewShare",
        &rekeying,
        Some(600),
        &[
            ("KEY-2", "after the ceremony", Refusal::CeremonyExpired, &at(601)),
            ("KEY-2", "a damaged share", Refusal::OwnShareDamaged, edit!(NewShare { wrapped } => flip(wrapped))),
            ("KEY-2", "a forged ceremony", Refusal::BadSignature, edit!(NewShare { signature } => flip(signature))),
            (
                "KEY-2",
                "of an unsealing",
                Refusal::OwnShareDamaged,
                edit!(house, NewShare { ceremony, signature } => {
                    let change = |said: &mut CeremonyBody| said.rekey = false;
                    again(&keystore(house), labels::SIGN_CEREMONY, ceremony, signature, change);
                }),
            ),
            ("GEN-6", "from custody", Refusal::Unauthenticated, &from(Peer::Custody)),
        ],
    );
    table(
        "ShareStored",
        &rekeying,
        None,
        &[
            ("KEY-2", "of another header", Refusal::OutOfTurn, edit!(ShareStored { header } => *header = b32(1))),
            ("KEY-2", "twice", Refusal::OutOfTurn, &|house, flight| house.deliver(flight.clone()).unwrap()),
        ],
    );
    table(
        "AckShare",
        &rekeying,
        Some(600),
        &[
            ("KEY-2a", "after the ceremony", Refusal::CeremonyExpired, &at(601)),
            ("KEY-2a", "a sealed node", Refusal::Sealed, &|house, _| house.restart(0)),
            ("KEY-2a", "a forged signature", Refusal::BadSignature, edit!(AckShare { signature } => flip(signature))),
            ("KEY-2a", "another's index", Refusal::BadSignature, edit!(AckShare { index } => *index = 2)),
            ("KEY-2a", "an index that nobody has", Refusal::BadSignature, edit!(AckShare { index } => *index = 0)),
        ],
    );
    table(
        "StoreShare",
        &rekeying,
        None,
        &[("KEY-2", "a login that does not exist", Refusal::NotYourShare, &from(Peer::Custodian(9)))],
    );
}

#[test]
fn orders() {
    let mut house = announced();
    let node = &house.nodes[0];
    let (ceremony, signature) = node.peek(|step| node.role.announced(step)).unwrap();
    let announce = Body::Announce { ceremony, signature };
    let strangers = [stranger(), HOLDER, Peer::Custodian(1), Peer::Person(Person::Schedule)];
    for from in &strangers {
        house.custody.refuses(from, announce.clone(), Refusal::Unauthenticated, "CER-3");
        house.custody.refuses(from, Body::CloseWindow { node: 0 }, Refusal::Unauthenticated, "CER-3");
        let login = Body::SetLogin { index: 1, authenticator: b32(1) };
        house.custody.refuses(from, login, Refusal::Unauthenticated, "KEY-5");
        house.nodes[0].refuses(from, Body::SealNode, Refusal::Unauthenticated, "CER-2");
    }
    for index in [0, 17, 255] {
        let login = Body::SetLogin { index, authenticator: b32(1) };
        house.custody.refuses(&OPERATOR, login, Refusal::Malformed, "KEY-5: an index that nobody can have");
    }
    house.nodes[0].refuses(&OPERATOR, Body::TakeSnapshot, Refusal::Sealed, "DIS-1");
    house.custodians[0].refuses(&HOLDER, Body::HandIn { node: 0 }, Refusal::OutOfTurn, "CER-5: nothing in hand");
    house.fetch(0, 0);
    house.custodians[0].refuses(&HOLDER, Body::HandIn { node: 1 }, Refusal::OutOfTurn, "CER-5: for another node");
    house.custodians[0].accepts(&HOLDER, Body::HandIn { node: 0 }, "its own");
}

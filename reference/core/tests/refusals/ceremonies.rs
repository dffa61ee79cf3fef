//! What custody, custodians' clients and nodes refuse in a ceremony.

use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::{Peer, Person};
use bailee_core::roles::keystore::KEYRING;
use bailee_core::store::Batch;
use bailee_core::wire::{Body, CeremonyBody, ShareBody};
use bailee_spec::outcome::Refusal;

use crate::common::{Flight, HOLDER, House, OPERATOR, Says, b32};
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

/// CER-4, CER-4d, GEN-16.
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

/// CER-4, CER-4a.
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

/// CER-5, CER-5a.
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
            ("CER-5a", "after the ceremony", Refusal::CeremonyExpired, &at(601)),
            ("CER-5a", "after a restart of the node", Refusal::CeremonyExpired, &|house, _| house.restart(0)),
            ("CER-5a", "not canonical", Refusal::Malformed, edit!(SubmitShare { share } => garble(share))),
            (
                "CER-5a",
                "a forged signature",
                Refusal::BadSignature,
                edit!(SubmitShare { signature } => flip(signature)),
            ),
            (
                "CER-5a",
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
            ("CER-5a", "for another ceremony", Refusal::CeremonyExpired, &packed(|ceremony| ceremony.id = b32(1))),
            ("CER-5a", "of another epoch", Refusal::WrongEpoch, &packed(|ceremony| ceremony.share_epoch = 2)),
            ("CER-5a", "of another header", Refusal::WrongEpoch, &packed(|ceremony| ceremony.header = b32(1))),
            ("CER-5a", "a wrong share", Refusal::WrongShare, &packed(|_| ())),
            (
                "CER-5a",
                "a share for another node's key",
                Refusal::WrongShare,
                &packed(|ceremony| {
                    ceremony.recipient = bailee_core::crypto::hpke::Recipient::from_seed(&[1; 32]).public().into();
                }),
            ),
            ("CER-5a", "twice", Refusal::DuplicateShare, &|house, flight| house.deliver(flight.clone()).unwrap()),
        ],
    );
}

/// KEY-2, KEY-2a, KEY-2c.
#[test]
fn rekey() {
    table(
        "NewShare",
        &rekeying,
        Some(600),
        &[
            ("KEY-2c", "after the ceremony", Refusal::CeremonyExpired, &at(601)),
            ("KEY-2c", "not canonical", Refusal::Malformed, edit!(NewShare { ceremony } => garble(ceremony))),
            ("KEY-2c", "a damaged share", Refusal::OwnShareDamaged, edit!(NewShare { wrapped } => flip(wrapped))),
            ("KEY-2c", "a forged ceremony", Refusal::BadSignature, edit!(NewShare { signature } => flip(signature))),
            (
                "KEY-2c",
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
        &[("KEY-2b", "a login that does not exist", Refusal::NotYourShare, &from(Peer::Custodian(9)))],
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

/// CER-3, CER-3a, GEN-16.
#[test]
fn announce() {
    let announcing = || {
        let mut house = fresh();
        house.restart(0);
        house.must(&OPERATOR, Peer::Keystore(0), UNSEAL);
        let Some((_, Body::Ceremony { ceremony, signature })) = house.told.last().cloned() else {
            panic!("no ceremony")
        };
        let frame = Body::Announce { ceremony, signature }.frame();
        house.wire.push_back(Flight { from: OPERATOR, to: Peer::Custody, client: 0, frame });
        house
    };
    table(
        "Announce",
        &announcing,
        Some(600),
        &[
            ("CER-3a", "after the ceremony", Refusal::CeremonyExpired, &at(601)),
            ("CER-3a", "not canonical", Refusal::Malformed, edit!(Announce { ceremony } => garble(ceremony))),
            ("CER-3a", "a forged signature", Refusal::BadSignature, edit!(Announce { signature } => flip(signature))),
            (
                "CER-3a",
                "signed by the authority",
                Refusal::BadSignature,
                edit!(house, Announce { ceremony, signature } => {
                    *signature = house.authority_key.sign(labels::SIGN_CEREMONY, ceremony).into();
                }),
            ),
            ("GEN-6", "a stranger", Refusal::Unauthenticated, &from(stranger())),
        ],
    );
}

/// KEY-3d: a new root for another node is bound to the header in force and to that node, and opens the keyring that is in the store.
#[test]
fn new_root() {
    let rekeyed = || {
        let mut house = House::new(2, crate::PEOPLE);
        house.ceremony(0, Body::OpenCeremony { rekey: true, roster: None });
        house.fetch(0, 0);
        house.hand_in(0, 0);
        house.fetch(1, 0);
        house.order(&HOLDER, Peer::Custodian(2), 0, Body::HandIn { node: 0 }).unwrap();
        house
    };
    table(
        "NewRoot",
        &rekeyed,
        None,
        &[
            ("KEY-3d", "of another header", Refusal::WrongEpoch, edit!(NewRoot { header } => *header = b32(1))),
            ("KEY-3d", "that does not open", Refusal::BadSignature, edit!(NewRoot { sealed } => flip(sealed))),
            ("KEY-3d", "beside a keyring that it does not open", Refusal::Malformed, &|house, _| {
                let mut batch = Batch::default();
                batch.put(KEYRING, vec![1; 200]);
                house.nodes[1].write(&batch);
            }),
            ("GEN-6", "from the authority", Refusal::Unauthenticated, &from(Peer::Authority)),
        ],
    );
    // A node that did not hear of it finds out, and seals itself.
    let mut house = rekeyed();
    house.run_to("NewRoot");
    house.run();
    let open = Body::OpenEnrolment { tenant: "t".into(), user: "ann".into(), attempt: b32(1), device: b32(2) };
    house.nodes[0].accepts(&Peer::Authority, (b32(3), open.clone()), "the node that rekeyed");
    house.nodes[1].refuses(&Peer::Authority, (b32(3), open), Refusal::Sealed, "KEY-3d: a root that opens nothing");
    assert!(house.is_sealed(1));
}

/// CER-6a: shares that open no root, or a root that opens no keyring, end the ceremony and leave the node sealed.
#[test]
fn a_keyring_that_does_not_open() {
    let mut house = handing_in();
    house.run();
    house.fetch(1, 0);
    let mut batch = Batch::default();
    batch.put(KEYRING, vec![1; 200]);
    house.nodes[0].write(&batch);
    house.hand_in(1, 0);
    assert_eq!(house.last_refusal(), Some(Refusal::Malformed));
    assert!(house.is_sealed(0) && house.nodes[0].peek(|step| house.nodes[0].role.collecting(step).is_none()));
    // The twin: with the keyring as it was.
    let mut house = handing_in();
    house.run();
    house.fetch(1, 0);
    house.hand_in(1, 0);
    assert!(!house.is_sealed(0));
}

/// KEY-1a, KEY-5: no share is dealt to a custodian whose key is none, for no such ceremony begins.
#[test]
fn a_roster_with_a_key_that_is_none() {
    for (sound, answer) in [(true, Ok(())), (false, Err(Refusal::Malformed))] {
        let mut house = fresh();
        let bailee_core::wire::Header { threshold, mut custodians, .. } =
            house.nodes[0].peek(bailee_core::roles::keystore::header).unwrap();
        if !sound {
            custodians[2].recipient = b32(0);
        }
        let roster = Some(bailee_core::wire::Roster { threshold, custodians });
        let open = Body::OpenCeremony { rekey: true, roster };
        assert_eq!(house.nodes[0].verdict(&OPERATOR, open), answer, "sound: {sound}");
    }
}

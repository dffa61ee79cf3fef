//! Releases that are asked for twice, too late, or over a revocation (REP-2, REP-3, REP-4).

use bailee_core::crypto::hpke::Recipient;
use bailee_core::crypto::labels;
use bailee_core::machine::Peer;
use bailee_core::roles::keystore::RELEASED;
use bailee_core::roles::signed::consumed_body;
use bailee_core::wire::{B32, Body, GrantBody};
use bailee_spec::action::Point;
use bailee_spec::limits::VALIDITY_SECONDS;
use bailee_spec::outcome::Refusal;

use crate::common::{House, admin, b32, sent, signed};

const ANNS: &[(&str, &str)] = &[("t", "ann"), ("t", "ann")];

fn releases(house: &House) -> u64 {
    house.nodes[0].peek(|step| step.get::<u64>(RELEASED)).unwrap_or(0)
}

/// (d): a grant releases once, however often its frames are carried, before a revocation and after it.
#[test]
fn a_release_is_not_had_twice_by_carrying_its_frames_twice() {
    let mut house = House::new(1, ANNS);
    house.enrol(0);
    house.sign_in(1);
    let release = house.run_to("ReleaseKey");
    house.deliver(release.clone()).unwrap();
    let consumed = house.run_to("GrantConsumed");
    house.deliver(consumed.clone()).unwrap();
    house.run();
    assert_eq!((releases(&house), house.key_of(0)), (1, house.key_of(1)));
    for revoked in [false, true] {
        if revoked {
            let device = house.id_of(1);
            let body = Body::Deauthorize { tenant: "t".into(), user: "ann".into(), device };
            house.must(&admin("t", "boss"), Peer::Authority, body);
            house.publish_all();
        }
        assert_eq!(house.deliver(consumed.clone()), Err(Refusal::GrantVoid));
        house.run();
        house.deliver(release.clone()).unwrap();
        house.run();
        assert_eq!(house.deliver(consumed.clone()), Err(Refusal::GrantVoid), "its challenge was another");
        house.run();
        assert_eq!(releases(&house), 1);
    }
}

/// A keystore that holds a key, and what the authority says to it.
struct Vault(House);

impl Vault {
    fn new() -> Self {
        let mut house = House::new(1, ANNS);
        house.enrol(0);
        Vault(house)
    }

    fn release_key(&self, epoch: u64, expiry: u64) -> (B32, Body) {
        let recipient = Recipient::from_seed(&[5; 32]).public().into();
        let body = GrantBody { id: b32(8), tenant: "t".into(), user: "ann".into(), recipient, epoch, expiry };
        let (grant, signature) = signed(&self.0.authority_key, labels::SIGN_GRANT, &body);
        (b32(9), Body::ReleaseKey { grant, signature })
    }

    fn consumed(&self, challenge: B32, epoch: u64) -> (B32, Body) {
        let signature = self.0.authority_key.sign(labels::SIGN_CONSUMED, &consumed_body(&b32(8), &challenge, epoch));
        (b32(9), Body::GrantConsumed { grant: b32(8), challenge, epoch, signature: signature.into() })
    }

    /// The challenge of a release that waits.
    fn asks(&mut self, expiry: u64) -> B32 {
        let body = self.release_key(0, expiry);
        let effects = self.0.nodes[0].gives(&Peer::Authority, body, "a grant");
        let Body::ConsumeGrant { challenge, .. } = sent(&effects, &Peer::Authority).body else {
            panic!("{effects:?}")
        };
        challenge
    }

    fn refuses(&mut self, said: (B32, Body), why: Refusal, note: &str) {
        self.0.nodes[0].refuses(&Peer::Authority, said, why, note);
    }

    fn releases(&mut self, said: (B32, Body), note: &str) {
        let effects = self.0.nodes[0].gives(&Peer::Authority, said, note);
        assert!(matches!(sent(&effects, &Peer::Authority).body, Body::SealedKey { .. }), "{note}");
    }
}

/// (d): the epoch of the consumption is compared with the mark at the moment at which the key leaves.
#[test]
fn a_consumption_from_before_a_revocation_releases_nothing() {
    let mut vault = Vault::new();
    let publish = Body::Publish { from: 0, entries: Vec::new(), epoch: 2, head: 0, lease: Some(900) };
    vault.0.nodes[0].accepts(&Peer::Authority, publish, "a revocation");
    let challenge = vault.asks(100);
    let old = vault.consumed(challenge, 1);
    vault.refuses(old, Refusal::GrantVoid, "consumed in an older epoch");
    let challenge = vault.asks(100);
    let now = vault.consumed(challenge, 2);
    vault.releases(now, "consumed in the epoch of the mark");
}

/// (d), REV-2a: what waits when a revocation is heard is forgotten.
#[test]
fn a_pending_release_does_not_survive_a_revocation() {
    let mut vault = Vault::new();
    let challenge = vault.asks(100);
    vault.0.publish(Point::Keystore);
    let late = vault.consumed(challenge, 0);
    vault.refuses(late, Refusal::GrantVoid, "heard in between");
}

/// (d), REP-4c: lease and expiry are asked again when the key leaves; both hold in their last second.
#[test]
fn a_release_ends_with_its_lease_and_with_its_grant() {
    for (expiry, last, why) in
        [(100, 100, Refusal::GrantInvalid), (9_000, VALIDITY_SECONDS, Refusal::RevocationStale)]
    {
        let mut vault = Vault::new();
        let challenge = vault.asks(expiry);
        vault.0.set_clocks(last + 1);
        let late = vault.consumed(challenge, 0);
        // A grant that is over is not pending any more.
        let void = if why == Refusal::GrantInvalid { Refusal::GrantVoid } else { why };
        vault.refuses(late, void, "one second late, at the release");
        let late = vault.release_key(0, expiry);
        vault.refuses(late, why, "one second late, at the request");
        let mut vault = Vault::new();
        vault.0.set_clocks(last);
        let challenge = vault.asks(expiry);
        let in_time = vault.consumed(challenge, 0);
        vault.releases(in_time, "in the last second");
    }
}

/// REP-3: the authority's signature on the consumption, and its challenge.
#[test]
fn a_forged_consumption_releases_nothing() {
    let mut vault = Vault::new();
    let challenge = vault.asks(100);
    let other = vault.consumed(b32(1), 0);
    vault.refuses(other, Refusal::GrantVoid, "another challenge");
    let forged = {
        let signature = vault.0.keystore_key.sign(labels::SIGN_CONSUMED, &consumed_body(&b32(8), &challenge, 0));
        Body::GrantConsumed { grant: b32(8), challenge, epoch: 0, signature: signature.into() }
    };
    vault.refuses((b32(9), forged), Refusal::GrantInvalid, "another's signature");
    let challenge = vault.asks(100);
    let honest = vault.consumed(challenge, 0);
    vault.releases(honest, "as the authority says it");
}

/// (k), REP-2b: releases that wait are counted, and those whose time is over make room.
#[test]
fn only_so_many_releases_wait() {
    let mut vault = Vault::new();
    let recipient = Recipient::from_seed(&[5; 32]).public().into();
    let ask = |vault: &Vault, at: usize, expiry: u64| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(at as u64).to_be_bytes());
        let (tenant, user) = ("t".into(), "ann".into());
        let body = GrantBody { id: id.into(), tenant, user, recipient, epoch: 0, expiry };
        let (grant, signature) = signed(&vault.0.authority_key, labels::SIGN_GRANT, &body);
        (b32(9), Body::ReleaseKey { grant, signature })
    };
    for at in 0..bailee_spec::limits::PENDING_RELEASES {
        let body = ask(&vault, at, 10);
        vault.0.nodes[0].accepts(&Peer::Authority, body, "there is room");
    }
    let more = ask(&vault, 9_999, 100);
    vault.0.set_clocks(10);
    vault.refuses(more.clone(), Refusal::Busy, "one too many");
    vault.0.set_clocks(11);
    vault.0.nodes[0].accepts(&Peer::Authority, more, "the others are out of time");
}

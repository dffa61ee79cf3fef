//! What is on the disks of the services, by name, and what is on none (GEN-16a, GEN-17, GEN-18).

use bailee_core::crypto::sign::Signing;
use bailee_core::machine::Peer;
use bailee_core::roles::device::OnDisk;
use bailee_core::store::MemoryStore;
use bailee_core::wire::{Body, StandingChange};
use bailee_spec::outcome::Refusal;

use crate::common::{House, OPERATOR, admin, user};
use crate::every_flow;

fn names(store: &MemoryStore) -> Vec<Vec<u8>> {
    store.iter().map(|(name, _)| name.to_vec()).collect()
}

/// Letters ‖ `/` ‖ decimal length of the tenant ‖ `/` ‖ tenant ‖ `/` ‖ the other part.
fn pair(kind: &str, tenant: &str, other: &str) -> Vec<u8> {
    [kind.as_bytes(), b"/", tenant.len().to_string().as_bytes(), b"/", tenant.as_bytes(), b"/", other.as_bytes()]
        .concat()
}

fn holds(store: &MemoryStore, bytes: &[u8]) -> bool {
    store.iter().any(|(name, record)| {
        [name, &record[..]].iter().any(|place| place.windows(bytes.len()).any(|at| at == bytes))
    })
}

/// A house after every flow, a wrong password, and a name that nobody has.
fn lived_in() -> House {
    let mut house = every_flow(&mut |_, _| ());
    for name in ["bob", "nobody"] {
        let guess = Body::SignIn { tenant: "t".into(), user: name.into(), password: b"wrong".to_vec().into() };
        assert_eq!(house.authority.verdict(&Peer::Client, guess), Err(Refusal::BadCredential));
    }
    let suspend = Body::SetStanding { tenant: "t".into(), user: "bob".into(), change: StandingChange::Suspend };
    house.must(&admin("t", "boss"), Peer::Authority, suspend);
    house
}

/// GEN-17: the names of the authority's records are made as the text says, and every record is one of them.
#[test]
fn the_authoritys_records_are_named_as_the_text_says() {
    let house = lived_in();
    let found = names(&house.authority.saved());
    let mut expected: Vec<Vec<u8>> = vec![
        pair("u", "t", "ann"),
        pair("u", "t", "bob"),
        pair("u", "s", "ann"),
        pair("ad", "t", "boss"),
        pair("ad", "t", "head"),
        pair("ad", "s", "boss"),
        pair("ad", "s", "head"),
        pair("gs", "t", "bob"),
    ];
    expected.extend(["ud", "us", "ua", "ug", "uj"].map(|newest| pair(newest, "t", "ann")));
    expected.extend(
        ["epochs", "head", "released", "on-behalf", "running", "nobody"].map(|name| name.as_bytes().to_vec()),
    );
    expected.extend((1..=4u64).map(|entry| [&b"l/"[..], &entry.to_be_bytes()].concat()));
    expected.extend((0..3u8).map(|point| vec![b'p', b'/', point]));
    expected.push([&b"d/"[..], &house.id_of(0)[..]].concat());
    for name in &expected {
        assert!(found.contains(name), "{} is not there: {found:?}", String::from_utf8_lossy(name));
    }
    let by_id = |name: &[u8]| name.len() == 34 && b"dasgj".contains(&name[0]) && name[1] == b'/';
    let other = |name: &[u8]| {
        by_id(name)
            || [&b"ud/"[..], b"us/", b"ua/", b"ug/", b"uj/"].iter().any(|list| name.starts_with(list))
            || name == b"kept-next"
            || name == b"store"
            || (name.len() == 10 && (name.starts_with(b"l/") || name.starts_with(b"k/")))
            || (name.len() == 5 && name.starts_with(b"gn/"))
    };
    let unknown: Vec<_> = found.iter().filter(|name| !expected.contains(name) && !other(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for kind in [b'd', b'a', b's', b'g', b'j'] {
        assert!(found.iter().any(|name| by_id(name) && name[0] == kind), "no record of kind {}", char::from(kind));
    }
}

/// GEN-17: a record that has run out of time is treated as absent while it is still there.
#[test]
fn a_record_that_is_out_of_time_is_none() {
    let mut house = House::new(1, &[("t", "ann")]);
    house.sign_in(0);
    let begun = house.run_to("BeginEnrolment");
    house.deliver(begun.clone()).unwrap();
    let device = house.id_of(0);
    let seen =
        |house: &House| house.authority.peek(|step| bailee_core::roles::authority::device(step, &device)).is_some();
    let stored = names(&house.authority.saved()).len();
    house.set_clocks(600);
    assert!(seen(&house), "in its last second");
    house.set_clocks(601);
    assert!(!seen(&house));
    let order = Body::Deauthorize { tenant: "t".into(), user: "ann".into(), device };
    house.authority.refuses(&user("t", "ann"), order, Refusal::NotYourDevice, "a device whose time is over");
    assert_eq!(names(&house.authority.saved()).len(), stored, "it is there all the same");
}

/// GEN-18: what is in the clear at the keystore, by name; all else is under a hidden one.
#[test]
fn the_keystores_records_are_named_as_the_text_says() {
    let mut house = lived_in();
    house.must(&OPERATOR, Peer::Keystore(0), Body::OpenCeremony { rekey: true, roster: None });
    let clear =
        ["header", "header-digest", "rekey", "keyring", "mark", "released"].map(|name| name.as_bytes().to_vec());
    let found = names(&house.nodes[0].saved());
    for name in clear.iter().chain(&[vec![b'n', b'/', 0], vec![b'c', b'/', 0]]) {
        assert!(found.contains(name), "{} is not there", String::from_utf8_lossy(name));
    }
    let known = |name: &[u8]| {
        let clear_or_rare = [
            "header",
            "header-digest",
            "candidate",
            "rekey",
            "keyring",
            "generation",
            "mark",
            "covers",
            "released",
            "staged",
        ];
        clear_or_rare.iter().any(|known| known.as_bytes() == name)
            || (name.len() == 3 && (name.starts_with(b"n/") || name.starts_with(b"c/")))
            || (name.len() == 34 && name.starts_with(b"r/"))
    };
    let unknown: Vec<_> = found.iter().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// GEN-16a: the signing key of no service is in a store or in a snapshot. That of a device is, so the search finds what is there.
#[test]
fn no_services_key_is_in_a_store() {
    let mut house = lived_in();
    let device = OnDisk(&house.devices[0].saved()).signing().unwrap().seed();
    assert!(holds(&house.devices[0].saved(), &device[..]), "the search finds nothing");
    let snapshot = house.snapshot();
    let mut stores = vec![
        house.authority.saved(),
        house.nodes[0].saved(),
        house.storage.saved(),
        house.restorer.saved(),
        house.custody.saved(),
    ];
    stores.extend(house.custodians.iter().map(|desk| desk.saved()));
    for key in [&house.authority_key, &house.keystore_key, &house.restorer_key] {
        let seed = Signing::seed(key);
        assert!(stores.iter().all(|store| !holds(store, &seed[..])));
        assert!(!snapshot.windows(32).any(|at| at == &seed[..]));
    }
}

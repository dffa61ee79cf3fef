//! How a job begins and how it ends: in one write with its notice, and with the key gone (JOB-1a, JOB-4b, JOB-12, JOB-14).

use bailee_core::machine::{Peer, Timer, refusal_code};
use bailee_core::roles::authority::{Authority, ON_BEHALF, OnBehalf, job_of};
use bailee_core::wire::Body;
use bailee_spec::limits::{MARGIN_SECONDS, VALIDITY_SECONDS};
use bailee_spec::outcome::Refusal;

use crate::common::{Desk, Flight, HOLDER, House, SCHEDULE, admin, user};

const PEOPLE: &[(&str, &str)] = &[("t", "ann"), ("t", "bob")];

fn request(user: &str) -> Body {
    Body::RequestJob { tenant: "t".into(), user: user.into() }
}

/// A house whose restorer holds the key of ann, who has an archive; storage's blocks are on their way to it.
fn holding() -> (House, Flight) {
    let mut house = House::new(1, PEOPLE);
    (0..2).for_each(|device| house.enrol(device));
    house.must(&HOLDER, Peer::Client, Body::StartBackup);
    house.must(&HOLDER, Peer::Client, Body::BackUp { content: b"text".to_vec().into() });
    house.order(&user("t", "ann"), Peer::Authority, 0, request("ann")).unwrap();
    let blocks = house.run_to("Blocks");
    assert_eq!(house.restorer.role.held().count(), 1);
    house.wire.clear();
    (house, blocks)
}

/// What makes an end of the job out of storage's answer.
type Change = fn(&mut House, &mut Flight);

/// JOB-4b, JOB-14: whichever way the work ends, the key is gone when the end of the job leaves.
#[test]
fn the_key_is_gone_before_the_end_is_said() {
    let late: Change = |house, _| house.set_clocks(VALIDITY_SECONDS - MARGIN_SECONDS + 1);
    let ends: [(&str, bool, Change); 6] = [
        ("done", true, |_, _| ()),
        ("out of time", false, late),
        ("a block that does not open", false, |_, flight| {
            let Body::Blocks { blocks, .. } = &mut flight.frame.body else { unreachable!() };
            *blocks[0].last_mut().unwrap() ^= 1;
        }),
        ("an archive that holds nothing", false, |_, flight| {
            flight.frame.body = Body::Blocks { blocks: Vec::new(), next: None };
        }),
        ("storage refuses", false, |_, flight| {
            flight.frame.body = Body::Refusal { reason: refusal_code(Refusal::LeaseExpired) };
        }),
        ("the authority's order", false, |_, flight| {
            let job = flight.frame.exchange.unwrap();
            flight.from = Peer::Authority;
            let deadline = VALIDITY_SECONDS;
            flight.frame.body = Body::EndJob { job, tenant: "t".into(), user: "ann".into(), deadline };
        }),
    ];
    for (note, completed, change) in ends {
        let (mut house, mut flight) = holding();
        change(&mut house, &mut flight);
        let effects = house.restorer.say(&flight.from, flight.frame);
        assert_eq!(house.restorer.role.held().count(), 0, "{note}");
        let ends: Vec<_> = effects.frames.iter().map(|out| out.frame.body.clone()).collect();
        assert_eq!(ends, [Body::JobEnd { completed }], "{note}");
        let place = house.restorer.saved().len();
        assert_eq!(place, 1, "{note}: nothing except the mark is on its disk");
    }
}

/// JOB-14: the ends that say nothing take the key too.
#[test]
fn the_key_is_gone_at_the_silent_ends() {
    let (mut house, flight) = holding();
    let job = flight.frame.exchange.unwrap();
    house.set_clocks(VALIDITY_SECONDS - MARGIN_SECONDS + 1);
    let _ = house.restorer.fire(&Timer::Job(job));
    assert_eq!(house.restorer.role.held().count(), 0, "its own deadline");
    let (mut house, flight) = holding();
    let (job, reason) = (flight.frame.exchange.unwrap(), refusal_code(Refusal::Sealed));
    house.restorer.accepts(&Peer::Authority, (job, Body::Refusal { reason }), "the authority gives it up");
    assert_eq!(house.restorer.role.held().count(), 0);
}

/// JOB-12: a job on a user's behalf is in the store together with its count and its notice, or not at all; the user's own has no notice.
#[test]
fn a_job_on_behalf_is_written_with_its_notice() {
    for (from, noticed) in [(admin("t", "boss"), 1), (user("t", "ann"), 0), (SCHEDULE, 0)] {
        let mut house = House::new(1, PEOPLE);
        house.enrol(0);
        let desk = &mut house.authority;
        let counted = |desk: &Desk<Authority>| desk.peek(|step| step.get::<OnBehalf>(ON_BEHALF)).unwrap_or_default();
        let asked = desk.step(&from, request("ann"));
        assert_eq!(asked.verdict, Ok(()));
        assert_eq!(counted(desk), OnBehalf::default());
        assert!(desk.peek(|step| job_of(step, "t", "ann")).is_none());
        desk.apply(&asked).unwrap();
        assert_eq!(counted(desk), OnBehalf { jobs: noticed, notices: noticed });
        let (_, job) = desk.peek(|step| job_of(step, "t", "ann")).unwrap();
        assert_eq!(job.admin, (noticed == 1).then(|| "boss".to_string()), "whose order it is");
    }
}

/// JOB-1a: a user who does not exist has no archive, whoever asks.
#[test]
fn no_job_is_for_a_user_who_does_not_exist() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    for from in [admin("t", "boss"), SCHEDULE, user("t", "nobody")] {
        house.authority.refuses(&from, request("nobody"), Refusal::NotYourArchive, "nobody of that name");
    }
    house.authority.refuses(&admin("t", "boss"), request("bob"), Refusal::NotEnrolled, "one who has no key");
    house.authority.accepts(&admin("t", "boss"), request("ann"), "one who has");
}

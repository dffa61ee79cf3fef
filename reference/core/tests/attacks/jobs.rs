//! Jobs and the orders of people: rights per tenant and caller, several jobs at once, and a restorer that ends by itself
//! (JOB-1, JOB-3, JOB-6, JOB-7, JOB-8, JOB-9a, SUS, DEA, REV-1).

use bailee_core::machine::{Peer, Person, Timer};
use bailee_core::roles::authority;
use bailee_core::wire::{B32, Body, StandingChange};
use bailee_spec::action::Point;
use bailee_spec::limits::{JOBS, MARGIN_SECONDS, VALIDITY_SECONDS};
use bailee_spec::observation::JobState;
use bailee_spec::outcome::Refusal;

use crate::common::{House, OPERATOR, SCHEDULE, admin, b32, said, sent, user};

const PEOPLE: &[(&str, &str)] = &[("t", "ann"), ("t", "bob"), ("s", "ann")];

fn house() -> House {
    let mut house = House::new(1, PEOPLE);
    (0..PEOPLE.len()).for_each(|device| house.enrol(device));
    house
}

fn request(tenant: &str, user: &str) -> Body {
    Body::RequestJob { tenant: tenant.into(), user: user.into() }
}

fn abort(tenant: &str, user: &str) -> Body {
    Body::AbortJob { tenant: tenant.into(), user: user.into() }
}

fn set(tenant: &str, user: &str, change: StandingChange) -> Body {
    Body::SetStanding { tenant: tenant.into(), user: user.into(), change }
}

fn state(house: &House, tenant: &str, user: &str) -> JobState {
    let job = house.authority.peek(|step| authority::job_of(step, tenant, user));
    job.map_or(JobState::None, |(_, job)| job.state_at(house.authority.now))
}

/// (h), SUS-1a: standing is changed by an administrator of the user's own tenant who may, and by nobody else.
#[test]
fn standing_is_changed_by_those_who_may() {
    let mut house = house();
    let desk = &mut house.authority;
    let suspend = set("t", "ann", StandingChange::Suspend);
    for (from, why, note) in [
        (admin("s", "boss"), Refusal::OtherTenant, "another tenant's"),
        (admin("t", "head"), Refusal::NoAdminRight, "without the right"),
        (admin("t", "nobody"), Refusal::NoAdminRight, "who does not exist"),
        (SCHEDULE, Refusal::NoAdminRight, "the schedule"),
        (user("t", "ann"), Refusal::Unauthenticated, "the user"),
        (OPERATOR, Refusal::Unauthenticated, "the operator"),
        (Peer::Device(b32(1)), Refusal::Unauthenticated, "a device"),
    ] {
        desk.refuses(&from, suspend.clone(), why, note);
    }
    let nobody = set("t", "nobody", StandingChange::Suspend);
    desk.refuses(&admin("t", "boss"), nobody, Refusal::BadCredential, "a user who does not exist");
    desk.accepts(&admin("t", "boss"), suspend, "who may");
    let purge = set("t", "ann", StandingChange::Purge);
    desk.refuses(&SCHEDULE, purge.clone(), Refusal::NotDeactivated, "before a deactivation");
    desk.accepts(&admin("t", "boss"), set("t", "ann", StandingChange::Deactivate), "who may");
    desk.refuses(&admin("s", "boss"), purge.clone(), Refusal::OtherTenant, "another tenant's");
    desk.accepts(&SCHEDULE, purge, "the schedule purges");
    desk.accepts(&admin("s", "boss"), set("s", "ann", StandingChange::Suspend), "the namesake of the other tenant");
}

/// (h), REV-1b: a device is deauthorized by its user, or by an administrator of the tenant who may.
#[test]
fn a_device_is_deauthorized_by_those_who_may() {
    let mut house = house();
    let device = house.id_of(0);
    let order = |tenant: &str, user: &str| Body::Deauthorize { tenant: tenant.into(), user: user.into(), device };
    let desk = &mut house.authority;
    for (from, body, why, note) in [
        (user("t", "bob"), order("t", "ann"), Refusal::NotYourDevice, "a neighbour"),
        (user("t", "bob"), order("t", "bob"), Refusal::NotYourDevice, "a neighbour who names it as an own one"),
        (user("s", "ann"), order("t", "ann"), Refusal::NotYourDevice, "the namesake of another tenant"),
        (admin("s", "boss"), order("t", "ann"), Refusal::OtherTenant, "another tenant's administrator"),
        (admin("s", "boss"), order("s", "ann"), Refusal::NotYourDevice, "who names it as an own tenant's"),
        (admin("t", "head"), order("t", "ann"), Refusal::NoAdminRight, "without the right"),
        (SCHEDULE, order("t", "ann"), Refusal::Unauthenticated, "the schedule"),
    ] {
        desk.refuses(&from, body, why, note);
    }
    desk.accepts(&user("t", "ann"), order("t", "ann"), "its own user");
    desk.refuses(&admin("t", "boss"), order("t", "ann"), Refusal::AlreadyRevoked, "once more");
}

/// (h), JOB-6a, JOB-8a, JOB-8b, JOB-1a: a job is asked for and aborted by those who may, and a right is given within its tenant.
#[test]
fn jobs_and_rights_are_those_of_the_own_tenant() {
    let mut house = house();
    let desk = &mut house.authority;
    let lazy = Peer::Person(Person::User { tenant: "t".into(), user: "ann".into(), stepped_up: false });
    for (from, why, note) in [
        (lazy, Refusal::StepUpRequired, "without a step-up"),
        (user("t", "bob"), Refusal::NotYourArchive, "a neighbour"),
        (user("s", "ann"), Refusal::NotYourArchive, "the namesake"),
        (admin("s", "boss"), Refusal::OtherTenant, "another tenant's"),
        (admin("t", "head"), Refusal::NoRestoreRight, "without the right"),
        (OPERATOR, Refusal::Unauthenticated, "the operator"),
    ] {
        desk.refuses(&from, request("t", "ann"), why, note);
    }
    desk.refuses(&admin("t", "boss"), request("t", "nobody"), Refusal::NotYourArchive, "a user who does not exist");
    desk.accepts(&user("t", "ann"), request("t", "ann"), "the owner");
    for (from, why, note) in [
        (user("t", "bob"), Refusal::NotYourArchive, "a neighbour"),
        (user("s", "ann"), Refusal::NotYourArchive, "the namesake"),
        (admin("s", "boss"), Refusal::OtherTenant, "another tenant's"),
        (admin("t", "head"), Refusal::NoRestoreRight, "without the right"),
        (SCHEDULE, Refusal::Unauthenticated, "the schedule"),
    ] {
        desk.refuses(&from, abort("t", "ann"), why, note);
    }
    let right = |restore| Body::SetRight { tenant: "t".into(), admin: "boss".into(), restore };
    desk.refuses(&admin("t", "boss"), right(true), Refusal::NoAdminRight, "nobody gives a right to themselves");
    desk.refuses(&admin("s", "head"), right(false), Refusal::OtherTenant, "another tenant's");
    desk.accepts(&admin("t", "head"), right(false), "who may");
    desk.refuses(&admin("t", "head"), right(false), Refusal::NoRestoreRight, "a right that is not held");
    desk.refuses(&admin("t", "boss"), request("t", "bob"), Refusal::NoRestoreRight, "a right that was withdrawn");
    desk.accepts(&admin("s", "boss"), request("s", "ann"), "the other tenant's right is another");
}

/// (h), JOB-8: a right that is withdrawn ends the jobs under it, those of that administrator and of that tenant alone.
#[test]
fn a_withdrawn_right_ends_the_jobs_under_it() {
    let mut house = house();
    house.must(&admin("t", "boss"), Peer::Authority, request("t", "ann"));
    house.wire.clear();
    let mut house = self::house();
    for (from, body) in [
        (admin("t", "boss"), request("t", "ann")),
        (user("t", "bob"), request("t", "bob")),
        (admin("s", "boss"), request("s", "ann")),
    ] {
        house.authority.accepts(&from, body, "a job");
    }
    let withdraw = Body::SetRight { tenant: "t".into(), admin: "boss".into(), restore: false };
    house.authority.accepts(&admin("t", "head"), withdraw, "withdrawn");
    let states = [("t", "ann"), ("t", "bob"), ("s", "ann")].map(|(tenant, user)| state(&house, tenant, user));
    assert_eq!(states, [JobState::Ending, JobState::Assigned, JobState::Assigned]);
}

/// (h), JOB-1d: one job for each user, several users at once, up to the stated number.
#[test]
fn a_user_has_one_job_and_a_restorer_so_many() {
    let names: Vec<String> = (0..=JOBS).map(|at| format!("user {at}")).collect();
    let users: Vec<(&str, &str)> = names.iter().map(|name| ("t", name.as_str())).collect();
    let mut house = House::new(1, &users);
    (0..users.len()).for_each(|device| house.enrol(device));
    let desk = &mut house.authority;
    for (_, name) in &users[..JOBS] {
        desk.accepts(&user("t", name), request("t", name), "there is room");
        desk.refuses(&user("t", name), request("t", name), Refusal::Busy, "one at a time");
    }
    let (_, last) = users[JOBS];
    desk.now = VALIDITY_SECONDS;
    desk.refuses(
        &user("t", last),
        request("t", last),
        Refusal::Busy,
        "one too many, in the last second of the others",
    );
    desk.now = VALIDITY_SECONDS + 1;
    // The restorer has confirmed the newest epoch, so it may serve without a lease.
    desk.accepts(&user("t", last), request("t", last), "the others are out of time");
}

/// Every job of a house that is under way holds the key of its own user.
#[test]
fn two_jobs_at_once_do_not_mix_their_keys() {
    let mut house = house();
    house.order(&user("t", "ann"), Peer::Authority, 0, request("t", "ann")).unwrap();
    house.order(&user("t", "bob"), Peer::Authority, 1, request("t", "bob")).unwrap();
    let mut fetches = Vec::new();
    while let Some(flight) = house.wire.pop_front() {
        if flight.frame.body.name() == "Fetch" {
            fetches.push(flight);
        } else {
            let _ = house.deliver(flight);
        }
    }
    let held: Vec<_> = house.restorer.role.held().map(|(key, owner)| (owner.user.clone(), *key.expose())).collect();
    assert_eq!(held.len(), 2);
    for (name, key) in held {
        assert_eq!(Some(key), house.key_of(usize::from(name == "bob")));
    }
    for fetch in fetches {
        let _ = house.deliver(fetch);
    }
    house.run();
    assert!(house.restorer.role.held().next().is_none());
    assert_eq!(state(&house, "t", "ann"), JobState::None);
}

/// A house whose restorer holds ann's key: the fetch that follows is off the wire.
fn holding() -> (House, B32) {
    let mut house = house();
    house.order(&user("t", "ann"), Peer::Authority, 0, request("t", "ann")).unwrap();
    let fetch = house.run_to("Fetch");
    house.wire.clear();
    assert_eq!(house.restorer.role.held().count(), 1);
    (house, fetch.frame.exchange.unwrap())
}

/// (j): the restorer ends by its own deadline, whatever deadline it was told; early it ends nothing.
#[test]
fn a_restorer_ends_by_its_own_clock() {
    let house = self::house();
    let last = VALIDITY_SECONDS - MARGIN_SECONDS;
    for told in [u64::MAX, VALIDITY_SECONDS * 100, VALIDITY_SECONDS] {
        let mut restorer = House::new(1, PEOPLE).restorer;
        let (capability, signature) = (Vec::new().into(), Vec::new().into());
        let (tenant, user) = ("t".into(), "ann".into());
        let body = Body::AssignJob { job: b32(7), tenant, user, deadline: told, capability, signature };
        let assigned = restorer.gives(&Peer::Authority, (b32(7), body), "a job");
        assert_eq!(assigned.timers, [(last + 1, Timer::Job(b32(7)))]);
        for (now, waits) in [(0, true), (last, true), (last + 1, false), (last + 1, false)] {
            restorer.now = now;
            assert_eq!(restorer.fire(&Timer::Job(b32(7))).verdict, Ok(()));
            assert_eq!(restorer.role.waiting(), waits, "told {told}, at {now}");
        }
    }
    drop(house);
    let (mut house, job) = holding();
    house.set_clocks(last);
    let _ = house.restorer.fire(&Timer::Job(job));
    assert_eq!(house.restorer.role.held().count(), 1, "in the last second");
    house.set_clocks(last + 1);
    let _ = house.restorer.fire(&Timer::Job(job));
    assert_eq!(house.restorer.role.held().count(), 0, "after it");
}

/// (j): blocks that come after the deadline are not opened, though no timer fired.
#[test]
fn a_restorer_opens_nothing_after_its_deadline() {
    let (mut house, job) = holding();
    house.set_clocks(VALIDITY_SECONDS / 2);
    house.publish(Point::Restorer); // A lease that outlasts the job.
    house.set_clocks(VALIDITY_SECONDS - MARGIN_SECONDS + 1);
    let blocks = Body::Blocks { blocks: Vec::new(), next: None };
    assert_eq!(house.restorer.verdict(&Peer::Storage, (job, blocks)), Err(Refusal::LeaseExpired));
    assert_eq!(house.restorer.role.held().count(), 0);
}

/// A job that is assigned with a deadline that is over, or assigned twice, brings nothing.
#[test]
fn a_late_assignment_is_refused() {
    let mut restorer = House::new(1, PEOPLE).restorer;
    let (capability, signature) = (Vec::new().into(), Vec::new().into());
    let (tenant, user) = ("t".into(), "ann".into());
    let deadline = 100 + MARGIN_SECONDS;
    let body = (b32(7), Body::AssignJob { job: b32(7), tenant, user, deadline, capability, signature });
    restorer.now = 101;
    restorer.refuses(&Peer::Authority, body.clone(), Refusal::JobOver, "one second late");
    restorer.now = 100;
    restorer.accepts(&Peer::Authority, body.clone(), "in the last second");
    let other = (b32(8), body.1);
    restorer.refuses(&Peer::Authority, other, Refusal::JobOver, "in another exchange than it names");
}

/// JOB-2: an assignment that is carried twice neither ends its job nor begins another.
#[test]
fn an_assignment_carried_twice_is_one_job() {
    let mut house = house();
    house.order(&user("t", "ann"), Peer::Authority, 0, request("t", "ann")).unwrap();
    let assign = house.run_to("AssignJob");
    house.deliver(assign.clone()).unwrap();
    assert_eq!(house.deliver(assign.clone()), Err(Refusal::JobOver), "the job key stays what it was");
    let fetch = house.run_to("Fetch");
    assert_eq!(house.deliver(assign), Err(Refusal::JobOver));
    assert_eq!(house.restorer.role.held().count(), 1);
    let _ = house.deliver(fetch);
    house.run();
    assert_eq!(house.restorer.role.held().count(), 0);
}

/// JOB-3: a release that is refused because its frames were carried twice does not end a job that has its key: the authority
/// would take a job for over whose key is still in memory, and end it no more.
#[test]
fn a_doubled_release_does_not_make_the_authority_forget_a_job_with_a_key() {
    let mut house = house();
    house.order(&user("t", "ann"), Peer::Authority, 0, request("t", "ann")).unwrap();
    let release = house.run_to("ReleaseKey");
    house.deliver(release.clone()).unwrap();
    let _ = house.run_to("Fetch");
    assert_eq!(state(&house, "t", "ann"), JobState::KeyHeld);
    let _ = house.deliver(release);
    while let Some(flight) = house.wire.pop_front() {
        // What is told to the restorer is lost.
        if flight.to != Peer::Restorer {
            let _ = house.deliver(flight);
        }
    }
    assert_eq!(house.restorer.role.held().count(), 1);
    assert_eq!(state(&house, "t", "ann"), JobState::KeyHeld, "the key is still held");
    house.must(&admin("t", "boss"), Peer::Authority, set("t", "ann", StandingChange::Deactivate));
    let timers: Vec<_> = house.authority.timers.drain(..).map(|(_, timer)| timer).collect();
    for timer in timers.iter().filter(|timer| matches!(timer, Timer::Job(_))) {
        let ordered = house.authority.fire(timer);
        let _ = house.put(&Peer::Authority, 0, ordered);
    }
    house.run();
    assert_eq!(house.restorer.role.held().count(), 0, "a deactivation ends the job");
}

/// JOB-7a: an order to end that is lost is repeated, and ends the job whenever it comes.
#[test]
fn an_order_to_end_is_repeated_until_it_is_obeyed() {
    let (mut house, job) = holding();
    house.must(&user("t", "ann"), Peer::Authority, abort("t", "ann"));
    for now in [0, 10, 20] {
        house.set_clocks(now);
        let ordered = house.authority.fire(&Timer::Job(job));
        let (tenant, user) = ("t".into(), "ann".into());
        assert_eq!(said(&ordered), Body::EndJob { job, tenant, user, deadline: VALIDITY_SECONDS });
        assert_eq!(ordered.timers, [(now + 10, Timer::Job(job))]);
    }
    let ordered = house.authority.fire(&Timer::Job(job));
    let frame = sent(&ordered, &Peer::Restorer);
    let end = house.restorer.say(&Peer::Authority, frame);
    assert_eq!(house.restorer.role.held().count(), 0);
    let frame = sent(&end, &Peer::Authority);
    house.authority.accepts(&Peer::Restorer, frame.clone(), "the end");
    house.authority.refuses(&Peer::Restorer, frame, Refusal::JobOver, "the end, carried twice");
    assert_eq!(house.authority.fire(&Timer::Job(job)).verdict, Err(Refusal::JobOver), "a late timer is harmless");
}

/// JOB-6, DEA-1: a key that is on its way to a job that was told to end does not arrive.
#[test]
fn a_key_does_not_reach_a_job_that_is_to_end() {
    let mut house = house();
    house.order(&user("t", "ann"), Peer::Authority, 0, request("t", "ann")).unwrap();
    let key = house.run_to("SealedKey");
    house.must(&admin("t", "boss"), Peer::Authority, set("t", "ann", StandingChange::Deactivate));
    assert_eq!(house.deliver(key), Err(Refusal::JobOver));
    house.run();
    assert_eq!(house.restorer.role.held().count(), 0);
}

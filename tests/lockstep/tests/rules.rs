//! The rules of the alphabet, one short story each: what is done, how each step ends, and what is then to be seen. Both readings have
//! to agree after every step, and a refused step changes nothing unless a rule says that it consumes something (GEN-1).
//!
//! Lockstep compares the readings in every state. These stories say what both of them must do, in the words of the text.

use bailee_core::quirks::Quirks;
use bailee_lockstep::pair::{Pair, Seen};
use bailee_lockstep::replay::differences;
use bailee_model::protocol::Protocol;
use bailee_spec::action::{Asking, Caller, Clock, Condition, Handing, Point, Purpose, Requester};
use bailee_spec::observation::{
    AccountState, Attempt, Capability, CeremonyState, DeviceState, Disk, Freshness, JobState, Message, Person,
    PointView, Program, ShareHeld, Standing, Ticks, Window,
};
use bailee_spec::scope::{Part, Profile, Scope, Start};
use bailee_spec::{Action, Lane, Observation, Outcome, Refusal};

/// Both readings of one story.
struct Story {
    protocol: Protocol,
    pair: Pair,
}

/// One user with two devices, one node, two custodians who are both needed.
fn story(start: Start) -> Story {
    of_users(1, start)
}

/// One user with two devices, or two users with one each.
fn of_users(users: u8, start: Start) -> Story {
    of_tenants(1, users, start)
}

/// The same in so many tenants.
fn of_tenants(tenants: u8, users: u8, start: Start) -> Story {
    begin(Scope { tenants, ..scope(users, start, &[Part::SignIn, Part::Late], &Point::ALL) })
}

/// One user with two devices, whose revocations are told to one point message by message, while two clocks go on.
fn by_messages(point: Point) -> Story {
    let parts = [Part::SignIn, Part::Backup, Part::Revocation, Part::Publication, Part::Clocks];
    with_parts(1, Start::Enrolled, &parts, &[point])
}

fn with_parts(users: u8, start: Start, parts: &[Part], points: &[Point]) -> Story {
    begin(scope(users, start, parts, points))
}

fn scope(users: u8, start: Start, parts: &[Part], points: &[Point]) -> Scope {
    Scope {
        name: "story".into(),
        about: "the rules, one by one".into(),
        profile: Profile::Classic,
        users,
        tenants: 1,
        devices_per_user: 2 / users,
        nodes: 1,
        custodians: 2,
        threshold: 2,
        start,
        points: points.to_vec(),
        parts: parts.to_vec(),
        sorted: false,
        lockstep: true,
        focused: false,
        properties: Vec::new(),
        expected: None,
    }
}

fn begin(scope: Scope) -> Story {
    let protocol = Protocol::new(&scope, None).unwrap();
    let pair = Pair::start(&protocol, Quirks::none(), 1).unwrap();
    Story { protocol, pair }
}

impl Story {
    /// What both readings show.
    fn see(&self) -> Observation {
        self.pair.observe(&self.protocol).1
    }

    fn step(&mut self, action: Action, expected: Outcome) {
        let before = self.see();
        let (model, world) = self.protocol.step(&self.pair.world, action);
        let reference = self.pair.act(action);
        self.pair.world = world;
        let (modelled, found) = self.pair.observe(&self.protocol);
        let model = Seen { outcome: model, observation: modelled };
        let reference = Seen { outcome: reference, observation: found };
        assert_eq!(differences(&model, &reference), Vec::<String>::new(), "{action:?}");
        assert_eq!(reference.outcome, expected, "{action:?}");
        let consumes = matches!(action, Action::Deliver { .. } | Action::SubmitShare { .. } | Action::FinishJob);
        if expected != Outcome::Accepted && !consumes {
            assert_eq!(before, reference.observation, "{action:?} was refused and changed something");
        }
    }

    fn does(&mut self, action: Action) {
        self.step(action, Outcome::Accepted);
    }

    fn refuses(&mut self, action: Action, refusal: Refusal) {
        self.step(action, Outcome::Refused(refusal));
    }

    /// Delivers the messages of a lane, which have to be of these kinds.
    fn delivers(&mut self, lane: Lane, kinds: &[Message]) {
        for kind in kinds {
            assert_eq!(self.message(lane), Some(*kind));
            self.does(Action::Deliver { lane });
        }
    }

    /// Delivers a message of this kind, which its receiver refuses.
    fn refuses_message(&mut self, lane: Lane, kind: Message, refusal: Refusal) {
        assert_eq!(self.message(lane), Some(kind));
        self.refuses(Action::Deliver { lane }, refusal);
    }

    fn message(&self, lane: Lane) -> Option<Message> {
        let seen = self.see();
        let view = match lane {
            Lane::Device(device) => seen.devices[device as usize].lane.clone(),
            Lane::Late(device) => seen.devices[device as usize].late.clone(),
            Lane::Job => seen.job.lane,
            Lane::Point(_) => return self.point().lane.map(|view| view.message),
            Lane::LatePoint(_) => return self.point().late.map(|view| view.message),
        };
        view.map(|view| view.message)
    }

    /// The one point that is told message by message.
    fn point(&self) -> PointView {
        self.see().publication.unwrap().points.remove(0)
    }

    /// Both clocks go on together.
    fn ticks(&mut self, ticks: u8) {
        for _ in 0..ticks {
            self.does(Action::Tick { clock: Clock::Points });
            self.does(Action::Tick { clock: Clock::Authority });
        }
    }

    fn ceremony(&mut self, purpose: Purpose) {
        self.does(Action::OpenCeremony { node: 0, purpose, by: Caller::Operator });
        self.does(Action::Announce { node: 0 });
    }

    fn shares(&mut self) {
        for custodian in 0..2 {
            self.does(Action::RequestShare { custodian, node: 0, asking: Asking::Honestly });
            self.does(Action::SubmitShare { custodian, node: 0, handing: Handing::Right });
        }
    }

    /// A job of the user that holds its key.
    fn job_with_key(&mut self, by: Requester) {
        self.does(Action::Request { by, user: 0 });
        self.delivers(Lane::Job, &JOB);
        assert!(self.see().job.held.is_some());
    }
}

/// The device that has a key where a story starts enrolled, and another one of its user.
const FIRST: Lane = Lane::Device(0);
const SECOND: Lane = Lane::Device(1);

/// The messages of an enrolment up to the escrow, and from there on.
const TO_ESCROW: [Message; 11] = [
    Message::SignIn,
    Message::SessionOpened,
    Message::BeginEnrolment,
    Message::OpenEnrolment,
    Message::EnrolmentOpened,
    Message::Nonce,
    Message::PresentCertificate,
    Message::CreateAccount,
    Message::AccountCreated,
    Message::Admission,
    Message::EscrowKey,
];
const FROM_ESCROW: [Message; 3] = [Message::Escrow, Message::Receipt, Message::Authorised];

/// The messages of a replacement once the device is signed in.
const REPLACEMENT: [Message; 6] = [
    Message::AddDevice,
    Message::ReleaseKey,
    Message::ConsumeGrant,
    Message::GrantConsumed,
    Message::SealedKey,
    Message::KeyDelivery,
];

/// The messages of a job until its restorer holds the key.
const JOB: [Message; 7] = [
    Message::AssignJob,
    Message::JobKey,
    Message::ReleaseKey,
    Message::ConsumeGrant,
    Message::GrantConsumed,
    Message::SealedKey,
    Message::KeyDelivery,
];

/// ENR-1 to ENR-15, ENR-3a, OBS-1: the messages come in their order; the key is in memory until the receipt, and then on the disk.
#[test]
fn the_first_device_enrols() {
    let mut story = story(Start::Fresh);
    story.does(Action::SignIn { device: 0 }); // ENR-1
    story.refuses(Action::SignIn { device: 0 }, Refusal::OutOfTurn);
    story.delivers(FIRST, &TO_ESCROW[..2]); // ENR-2, ENR-3
    let device = &story.see().devices[0];
    assert_eq!((device.disk, device.program), (Disk::Identity, Program::Enrolling));
    assert!(device.memory_key.is_some() && device.disk_key.is_none());
    story.delivers(FIRST, &TO_ESCROW[2..6]); // ENR-4, ENR-5, ENR-6, ENR-7
    let device = &story.see().devices[0];
    assert!(device.attempt_at_keystore == Attempt::Opened && device.attempt == Attempt::Opened);
    assert_eq!(device.at_authority, DeviceState::Pending);
    story.delivers(FIRST, &TO_ESCROW[6..9]); // ENR-8, ENR-9, ENR-10
    assert_eq!(story.see().devices[0].attempt, Attempt::Admitted);
    assert_eq!(story.see().users[0].account, AccountState::Empty);
    story.delivers(FIRST, &TO_ESCROW[9..]); // ENR-11, ENR-12
    story.delivers(FIRST, &FROM_ESCROW[..1]); // ENR-13
    assert_eq!(story.see().users[0].account, AccountState::Active);
    assert_eq!(story.see().users[0].enrolled, None);
    story.delivers(FIRST, &FROM_ESCROW[1..2]); // ENR-14
    assert_eq!(story.see().devices[0].at_authority, DeviceState::Active);
    story.delivers(FIRST, &FROM_ESCROW[2..]); // ENR-15
    let seen = story.see();
    assert_eq!((seen.devices[0].disk, seen.devices[0].program), (Disk::Key, Program::Idle));
    assert!(seen.devices[0].disk_key.is_some() && seen.devices[0].disk_key == seen.users[0].escrowed);
    assert_eq!(seen.users[0].enrolled, seen.users[0].escrowed);
    story.refuses(Action::SignIn { device: 0 }, Refusal::OutOfTurn);
}

/// ENR-13, ENR-13c, ENR-16, ENR-17, ENR-19, REP-1 to REP-4, REP-6, REP-7: the loser of a race gets the winner's key as a replacement.
#[test]
fn the_loser_of_a_race_becomes_a_replacement() {
    let mut story = story(Start::Fresh);
    for (device, lane) in [(0, FIRST), (1, SECOND)] {
        story.does(Action::SignIn { device });
        story.delivers(lane, &TO_ESCROW);
    }
    story.delivers(FIRST, &FROM_ESCROW);
    story.refuses_message(SECOND, Message::Escrow, Refusal::AlreadyEscrowed); // ENR-13, ENR-19
    story.delivers(SECOND, &[Message::AlreadyEscrowed]); // ENR-16
    assert!(story.see().devices[1].memory_key.is_some());
    story.delivers(SECOND, &[Message::GoReplace]); // ENR-17
    assert_eq!(story.see().devices[1].memory_key, None);
    assert_eq!(story.see().devices[1].program, Program::Replacing);
    story.delivers(SECOND, &REPLACEMENT[..1]); // REP-1
    assert_eq!(story.see().devices[1].at_authority, DeviceState::Active);
    story.delivers(SECOND, &REPLACEMENT[1..2]); // REP-2
    assert!(story.see().devices[1].lane.as_ref().is_some_and(|lane| lane.pending));
    story.delivers(SECOND, &REPLACEMENT[2..]); // REP-3, REP-4, REP-6, REP-7
    let seen = story.see();
    assert_eq!(seen.devices[1].disk, Disk::Key);
    assert_eq!(seen.devices[1].disk_key, seen.devices[0].disk_key);
}

/// ENR-18, ENR-19: a refusal of the keystore reaches the device, which drops its key and rests.
#[test]
fn a_refusal_finds_its_way_to_the_device() {
    let mut story = story(Start::Sealed);
    story.does(Action::SignIn { device: 0 });
    story.delivers(FIRST, &TO_ESCROW[..3]);
    story.refuses_message(FIRST, Message::OpenEnrolment, Refusal::Sealed);
    story.delivers(FIRST, &[Message::KeystoreRefusal, Message::Refusal]);
    let device = &story.see().devices[0];
    assert_eq!((device.program, device.memory_key, &device.lane), (Program::Idle, None, &None));
    assert_eq!(device.disk, Disk::Identity);
}

/// ENR-2, REP-1, REP-3, REP-5: who was suspended, deauthorized or slow is refused, and a refused grant releases nothing.
#[test]
fn rights_are_asked_for_at_each_verb() {
    let mut story = story(Start::Enrolled);
    story.does(Action::SignIn { device: 1 });
    story.does(Action::Suspend { user: 0, by: Requester::Admin });
    story.refuses_message(SECOND, Message::SignIn, Refusal::UserSuspended); // ENR-2
    story.does(Action::CrashDevice { device: 1 });
    story.does(Action::Resume { user: 0, by: Requester::Admin });
    story.does(Action::SignIn { device: 1 });
    story.delivers(SECOND, &TO_ESCROW[..2]);
    story.does(Action::Advance);
    story.refuses_message(SECOND, Message::AddDevice, Refusal::SessionStale); // REP-1
    story.delivers(SECOND, &[Message::Refusal]);
    story.does(Action::SignIn { device: 1 });
    story.delivers(SECOND, &TO_ESCROW[..2]);
    story.delivers(SECOND, &REPLACEMENT[..2]);
    story.does(Action::Deauthorize { device: 1, by: Requester::Owner });
    story.refuses_message(SECOND, Message::ConsumeGrant, Refusal::GrantVoid); // REP-3
    story.delivers(SECOND, &[Message::GrantRefused]); // REP-5
    assert_eq!(story.message(SECOND), Some(Message::KeystoreRefusal));
    assert!(story.see().devices[1].lane.as_ref().is_some_and(|lane| !lane.pending));
    story.delivers(SECOND, &[Message::KeystoreRefusal, Message::Refusal]);
    assert_eq!(story.see().devices[1].disk, Disk::Identity);
}

/// TIME-1: with one validity period everything that was outstanding is over.
#[test]
fn time_ends_what_is_outstanding() {
    let mut story = story(Start::Enrolled);
    story.does(Action::OpenBackup { device: 0 });
    story.does(Action::Restart { node: 0 });
    story.ceremony(Purpose::Unseal);
    story.does(Action::RequestShare { custodian: 0, node: 0, asking: Asking::Honestly });
    story.does(Action::Deauthorize { device: 0, by: Requester::Owner });
    story.does(Action::Advance);
    let seen = story.see();
    assert_eq!(seen.devices[0].capability, Capability::Dead);
    assert_eq!((seen.nodes[0].ceremony, seen.nodes[0].window), (CeremonyState::None, Window::None));
    assert_eq!(seen.custodians[0].share, ShareHeld::None);
    assert_eq!(seen.points, [Freshness::Fenced; 3]);
    assert_eq!(seen.devices[0].at_authority, DeviceState::Revoked);
    story.refuses(Action::Append { device: 0 }, Refusal::LeaseExpired);
    story.does(Action::PublishTogether { point: Point::Storage }); // REV-2b: a point serves again when it has heard.
    story.refuses(Action::Append { device: 0 }, Refusal::CapabilityInvalid);
}

/// NET-1 to NET-6: what a network and the machines on it do to messages.
#[test]
fn messages_are_lost_late_and_survive_their_sender() {
    let mut story = story(Start::Fresh);
    story.refuses(Action::Deliver { lane: FIRST }, Refusal::NothingInFlight); // NET-2
    story.does(Action::SignIn { device: 0 });
    story.does(Action::CrashDevice { device: 0 }); // NET-5
    assert_eq!((story.message(FIRST), story.message(Lane::Late(0))), (None, Some(Message::SignIn)));
    story.does(Action::Deliver { lane: Lane::Late(0) }); // NET-1, NET-2: its answer reaches nobody.
    assert_eq!(story.message(Lane::Late(0)), None);
    story.does(Action::SignIn { device: 0 });
    story.does(Action::CrashDevice { device: 0 });
    story.does(Action::DropLate { device: 0 }); // NET-4
    story.refuses(Action::DropLate { device: 0 }, Refusal::NothingInFlight);
    story.does(Action::SignIn { device: 0 });
    story.delivers(FIRST, &TO_ESCROW[..4]);
    story.does(Action::Restart { node: 0 }); // NET-6: what the node sent goes on without it.
    story.delivers(FIRST, &TO_ESCROW[4..7]);
    story.does(Action::UnsealTogether { node: 0 });
    assert_eq!(story.message(FIRST), Some(Message::CreateAccount));
    story.does(Action::DeliverThenCrash { lane: FIRST }); // NET-3
    let seen = story.see();
    assert!(seen.nodes[0].sealed && seen.devices[0].lane.is_none());
    assert_eq!(seen.users[0].account, AccountState::Empty);
    assert_eq!(seen.devices[0].program, Program::Idle);
}

/// OBS-2: names of keys are numbered as they are first mentioned, and equal names are equal keys.
#[test]
fn keys_have_names_by_first_mention() {
    let seen = of_users(2, Start::Enrolled).see();
    let names = |user: usize| [seen.users[user].enrolled, seen.users[user].escrowed].map(|name| name.unwrap().0);
    assert_eq!((names(0), names(1)), ([0, 0], [1, 1]));
    assert_eq!([0, 1].map(|device: usize| seen.devices[device].disk_key.unwrap().0), [0, 1]);
}

/// BAK-1, BAK-2, BAK-3, SUS-1, SUS-2: a suspended user's devices back up and read nothing.
#[test]
fn a_suspended_user_backs_up() {
    let mut story = story(Start::Enrolled);
    story.refuses(Action::OpenBackup { device: 1 }, Refusal::OutOfTurn);
    story.refuses(Action::Append { device: 0 }, Refusal::OutOfTurn);
    story.does(Action::Fetch { device: 0 });
    story.does(Action::Suspend { user: 0, by: Requester::Admin });
    story.refuses(Action::Suspend { user: 0, by: Requester::Admin }, Refusal::AlreadySuspended);
    story.does(Action::OpenBackup { device: 0 });
    story.does(Action::Append { device: 0 });
    story.refuses(Action::Fetch { device: 0 }, Refusal::RestoreSuspended);
    story.does(Action::Resume { user: 0, by: Requester::Admin });
    story.refuses(Action::Resume { user: 0, by: Requester::Admin }, Refusal::NotSuspended);
    story.does(Action::Deactivate { user: 0, by: Requester::Admin });
    story.refuses(Action::OpenBackup { device: 0 }, Refusal::UserDeactivated);
    story.refuses(Action::Fetch { device: 0 }, Refusal::UserDeactivated);
}

/// GEN-2, REV-1 to REV-4, REV-1a: a deauthorization is acknowledged when every point has heard of it, and the device erases its key.
#[test]
fn a_device_is_deauthorized() {
    let mut story = story(Start::Enrolled);
    story.does(Action::OpenBackup { device: 0 });
    let before = story.see();
    story.does(Action::Contact { device: 0 }); // GEN-2, REV-4: nothing is to be obeyed.
    assert_eq!(story.see(), before);
    let by = |by| Action::Deauthorize { device: 0, by };
    story.refuses(by(Requester::ForeignAdmin), Refusal::OtherTenant);
    story.refuses(by(Requester::Neighbour), Refusal::NotYourDevice);
    story.refuses(Action::Deauthorize { device: 1, by: Requester::Owner }, Refusal::NotYourDevice);
    story.does(by(Requester::Owner));
    story.refuses(by(Requester::Owner), Refusal::AlreadyRevoked);
    assert_eq!(
        (story.see().points, story.see().devices[0].capability),
        ([Freshness::Behind; 3], Capability::Overtaken)
    );
    story.does(Action::PublishTogether { point: Point::Storage }); // REV-2
    story.refuses(Action::Append { device: 0 }, Refusal::CapabilityInvalid);
    story.does(Action::Restart { node: 0 });
    story.refuses(Action::PublishTogether { point: Point::Keystore }, Refusal::Sealed);
    story.does(Action::UnsealTogether { node: 0 });
    assert_eq!(story.see().devices[0].at_authority, DeviceState::Revoking);
    story.does(Action::PublishTogether { point: Point::Restorer });
    assert_eq!(story.see().devices[0].at_authority, DeviceState::Revoked); // REV-3
    story.refuses(Action::OpenBackup { device: 0 }, Refusal::DeviceRevoked);
    story.does(Action::Contact { device: 0 }); // REV-4
    assert_eq!(story.see().devices[0].disk, Disk::Blank);
    story.does(Action::SignIn { device: 0 }); // REV-4c: it may come back under a new identity.
    story.delivers(FIRST, &TO_ESCROW[..2]);
    story.delivers(FIRST, &REPLACEMENT);
    assert_eq!(story.see().devices[0].disk, Disk::Key);
}

/// REV-2a: a release that was allowed before a revocation and did not happen yet does not happen.
#[test]
fn a_published_revocation_forgets_pending_releases() {
    let mut story = story(Start::Enrolled);
    story.does(Action::SignIn { device: 1 });
    story.delivers(SECOND, &TO_ESCROW[..2]);
    story.delivers(SECOND, &REPLACEMENT[..3]);
    story.does(Action::Deauthorize { device: 0, by: Requester::Owner });
    story.does(Action::PublishTogether { point: Point::Keystore });
    story.refuses_message(SECOND, Message::GrantConsumed, Refusal::GrantVoid);
}

/// NET-11 to NET-13, PUB-1, PUB-3, PUB-4, PUB-6, REV-2d, REV-2e: publications are copied, overtaken and lost, and what comes late
/// changes nothing.
#[test]
fn publications_are_overtaken_and_lost() {
    let mut story = by_messages(Point::Storage);
    let (lane, late) = (Lane::Point(Point::Storage), Lane::LatePoint(Point::Storage));
    let publish = Action::Publish { point: Point::Storage };
    story.refuses(Action::Publish { point: Point::Keystore }, Refusal::OutOfTurn); // PUB-1
    story.refuses(Action::Duplicate { lane }, Refusal::NothingInFlight); // NET-11
    story.refuses(Action::Drop { lane: late }, Refusal::NothingInFlight); // NET-12
    story.does(Action::OpenBackup { device: 0 });
    story.does(publish);
    assert_eq!(story.point().lane.unwrap().end, Ticks(3)); // PUB-1: it has confirmed the newest epoch.
    story.does(Action::Duplicate { lane });
    story.refuses(Action::Duplicate { lane }, Refusal::LaneBusy);
    story.refuses(Action::Duplicate { lane: late }, Refusal::OutOfTurn);
    story.refuses(Action::Drop { lane: FIRST }, Refusal::OutOfTurn);
    story.does(Action::Deauthorize { device: 0, by: Requester::Owner });
    story.does(publish);
    assert_eq!(story.point().lane.unwrap().end, Ticks(0), "a point that is behind gets no lease"); // REV-2e
    story.does(Action::Append { device: 0 });
    story.delivers(lane, &[Message::Publish]); // PUB-3
    story.refuses(Action::Append { device: 0 }, Refusal::CapabilityInvalid); // PUB-6
    let before = story.point();
    story.refuses_message(late, Message::Publish, Refusal::Overtaken); // REV-2d
    let after = story.point();
    assert_eq!((before.mark, before.lease), (after.mark, after.lease));
    assert_eq!(story.see().devices[0].at_authority, DeviceState::Revoking);
    story.delivers(lane, &[Message::Confirm]); // PUB-4: new, so the point is told at once, with a lease.
    assert_eq!(story.see().devices[0].at_authority, DeviceState::Revoked);
    assert_eq!(story.point().lane.unwrap().end, Ticks(3));
    story.delivers(late, &[Message::Confirm]); // PUB-4: it says nothing new.
    assert_eq!(story.message(late), None);
    story.does(Action::Drop { lane }); // NET-12
    assert_eq!(story.message(lane), None);
}

/// TIME-2, OBS-3, OBS-4, PUB-2, PUB-5, PUB-8: a lease is over at its point before it is over at the authority, and then a
/// deauthorization is acknowledged though nobody heard of it.
#[test]
fn a_lease_ends_at_its_point_first() {
    let mut story = by_messages(Point::Storage);
    let (lane, publish) = (Lane::Point(Point::Storage), Action::Publish { point: Point::Storage });
    story.does(Action::OpenBackup { device: 0 });
    story.does(Action::Tick { clock: Clock::Authority });
    story.refuses(Action::Tick { clock: Clock::Authority }, Refusal::OutOfTurn); // TIME-2: the most that clocks differ.
    story.does(Action::Deauthorize { device: 0, by: Requester::Owner });
    story.does(Action::Tick { clock: Clock::Points });
    story.does(Action::Append { device: 0 });
    story.does(Action::Tick { clock: Clock::Points });
    story.refuses(Action::Append { device: 0 }, Refusal::LeaseExpired); // PUB-2
    assert_eq!((story.point().lease, story.point().named), (Ticks(0), Ticks(2))); // OBS-4
    story.does(Action::Tick { clock: Clock::Authority });
    assert_eq!(story.see().devices[0].at_authority, DeviceState::Revoking);
    story.does(Action::Tick { clock: Clock::Authority });
    assert_eq!(story.see().devices[0].at_authority, DeviceState::Revoked); // PUB-5
    story.does(publish);
    assert_eq!((story.point().lane.unwrap().end, story.point().named), (Ticks(0), Ticks(0)));
    let newest = story.see().publication.unwrap().newest;
    story.does(Action::DeliverThenCrash { lane });
    assert_eq!((story.point().mark, story.see().publication.unwrap().skew), (newest, -1)); // PUB-8, OBS-3
    story.does(publish);
    story.delivers(lane, &[Message::Publish, Message::Confirm, Message::Publish]);
    assert_eq!((story.point().lease, story.point().named), (Ticks(3), Ticks(3)));
    story.ticks(2);
    assert_eq!(story.point().lease, Ticks(1));
}

/// PUB-3, PUB-7, REV-2a: a sealed node stores nothing; one that is unsealed has heard everything; and what is pending is forgotten
/// with every publication that is stored.
#[test]
fn the_keystore_hears_by_messages() {
    let parts = [
        Part::SignIn,
        Part::Revocation,
        Part::Publication,
        Part::KeystoreRestart,
        Part::UnsealTogether,
        Part::Backup,
    ];
    let mut story = with_parts(1, Start::Enrolled, &parts, &[Point::Keystore]);
    let (lane, publish) = (Lane::Point(Point::Keystore), Action::Publish { point: Point::Keystore });
    story.does(Action::SignIn { device: 1 });
    story.delivers(SECOND, &TO_ESCROW[..2]);
    story.delivers(SECOND, &REPLACEMENT[..2]);
    assert!(story.see().devices[1].lane.as_ref().is_some_and(|lane| lane.pending));
    story.does(publish);
    story.delivers(lane, &[Message::Publish]);
    assert!(!story.see().devices[1].lane.as_ref().is_some_and(|lane| lane.pending)); // REV-2a
    story.delivers(SECOND, &REPLACEMENT[2..3]);
    story.refuses_message(SECOND, Message::GrantConsumed, Refusal::GrantVoid);
    story.does(Action::Deauthorize { device: 0, by: Requester::Owner });
    story.does(publish);
    story.does(Action::Restart { node: 0 });
    story.refuses_message(lane, Message::Publish, Refusal::Sealed); // PUB-3
    assert!(!story.point().confirmed);
    story.does(Action::UnsealTogether { node: 0 }); // PUB-7
    assert!(story.point().confirmed);
    assert_eq!(story.see().devices[0].at_authority, DeviceState::Revoked);
}

/// DEA-1 to DEA-4: a deactivated account is held and comes back; a purged one does not.
#[test]
fn an_account_is_held_and_then_purged() {
    let mut story = of_users(2, Start::Enrolled);
    let hear = |story: &mut Story, point| story.does(Action::PublishTogether { point });
    story.refuses(Action::Reactivate { user: 0, by: Requester::Admin }, Refusal::NotDeactivated);
    story.refuses(Action::Purge { user: 0 }, Refusal::NotDeactivated);
    story.does(Action::Deactivate { user: 0, by: Requester::Admin }); // DEA-1
    story.refuses(Action::Deactivate { user: 0, by: Requester::Admin }, Refusal::UserDeactivated);
    story.refuses(Action::Suspend { user: 0, by: Requester::Admin }, Refusal::UserDeactivated);
    assert_eq!(story.see().devices[0].at_authority, DeviceState::Revoking);
    hear(&mut story, Point::Keystore); // DEA-4
    assert_eq!(story.see().users[0].account, AccountState::Dormant);
    story.does(Action::Reactivate { user: 0, by: Requester::Admin }); // DEA-2
    hear(&mut story, Point::Keystore);
    assert_eq!(story.see().users[0].account, AccountState::Active);
    story.does(Action::Deactivate { user: 0, by: Requester::Admin });
    story.does(Action::Purge { user: 0 }); // DEA-3
    let user = &story.see().users[0];
    assert_eq!((user.standing, user.enrolled, user.kept), (Standing::Purged, None, None));
    hear(&mut story, Point::Keystore);
    hear(&mut story, Point::Storage);
    let user = &story.see().users[0];
    assert_eq!((user.account, user.archive), (AccountState::Purged, false));
    assert!(story.see().users[1].archive);
}

/// JOB-1, JOB-2, JOB-4, JOB-10: who may ask, how the key gets to the restorer, and how the job ends.
#[test]
fn a_job_is_asked_for_and_done() {
    let mut story = story(Start::Enrolled);
    let by = |by| Action::Request { by, user: 0 };
    story.refuses(by(Requester::OwnerWithoutStepUp), Refusal::StepUpRequired);
    story.refuses(by(Requester::Neighbour), Refusal::NotYourArchive);
    story.refuses(by(Requester::ForeignAdmin), Refusal::OtherTenant);
    story.refuses(Action::FinishJob, Refusal::OutOfTurn); // JOB-4
    story.job_with_key(Requester::Owner); // JOB-1, JOB-2
    assert_eq!(story.see().job.state, JobState::KeyHeld);
    story.refuses(by(Requester::Owner), Refusal::Busy);
    story.does(Action::FinishJob); // JOB-4
    assert_eq!(story.see().job.held, None);
    story.refuses(by(Requester::Owner), Refusal::LaneBusy);
    story.delivers(Lane::Job, &[Message::JobEnd]); // JOB-10
    assert_eq!(story.see().job.state, JobState::None);
    story.job_with_key(Requester::Schedule);
    story.does(Action::Advance);
    story.refuses(Action::FinishJob, Refusal::OutOfTurn);
}

/// KEY-5, KEY-6, KEY-7: a custodian who is gone is replaced by a rekey whose roster names somebody else, who serves after it.
#[test]
fn a_custodian_who_is_gone_is_replaced() {
    let mut story = story(Start::Fresh);
    story.refuses(Action::LoseCustodian { custodian: 1 }, Refusal::OutOfTurn); // KEY-6: both are needed.
    let mut story = begin(Scope { custodians: 3, ..story.protocol.scope.clone() });
    let person = |story: &Story| story.see().custodians[2].person;
    let ack = |custodian, condition| Action::AckShare { custodian, condition };
    story.refuses(Action::OpenReplacement { node: 0 }, Refusal::OutOfTurn); // KEY-7
    story.does(Action::LoseCustodian { custodian: 2 });
    story.refuses(Action::LoseCustodian { custodian: 2 }, Refusal::OutOfTurn);
    story.refuses(Action::LoseCustodian { custodian: 1 }, Refusal::OutOfTurn);
    assert_eq!(person(&story), Person::Gone);
    story.does(Action::OpenReplacement { node: 0 });
    assert_eq!(person(&story), Person::New);
    story.refuses(Action::OpenReplacement { node: 0 }, Refusal::CeremonyOpen);
    story.does(Action::Announce { node: 0 });
    let asks = |custodian| Action::RequestShare { custodian, node: 0, asking: Asking::Honestly };
    story.refuses(asks(2), Refusal::OutOfTurn);
    story.shares();
    story.does(ack(0, Condition::Intact));
    story.does(ack(1, Condition::Intact));
    story.refuses(ack(2, Condition::Damaged), Refusal::OwnShareDamaged);
    assert!(!story.see().store.retired_shares);
    story.does(ack(2, Condition::Intact));
    assert_eq!((person(&story), story.see().store.retired_shares), (Person::Serving, true));
    story.refuses(asks(2), Refusal::OwnShareDamaged); // The window of before has what was the other's.
    story.does(Action::Restart { node: 0 });
    story.ceremony(Purpose::Unseal);
    for custodian in [2, 0] {
        story.does(asks(custodian));
        story.does(Action::SubmitShare { custodian, node: 0, handing: Handing::Right });
    }
    assert!(!story.see().nodes[0].sealed);
}

/// REV-1, SUS-1, SUS-2, DEA-1, DEA-2, JOB-1, JOB-6, JOB-8: an administrator has rights in the own tenant and in no other, and a
/// user nothing of a namesake's.
#[test]
fn two_tenants_have_nothing_to_do_with_each_other() {
    let mut story = of_tenants(2, 2, Start::Enrolled);
    let (admin, foreign) = (Requester::Admin, Requester::ForeignAdmin);
    for user in [0, 1] {
        story.refuses(Action::Suspend { user, by: foreign }, Refusal::OtherTenant);
        story.refuses(Action::Resume { user, by: foreign }, Refusal::OtherTenant);
        story.refuses(Action::Deactivate { user, by: foreign }, Refusal::OtherTenant);
        story.refuses(Action::Reactivate { user, by: foreign }, Refusal::OtherTenant);
        story.refuses(Action::Deauthorize { device: user, by: foreign }, Refusal::OtherTenant);
        story.refuses(Action::Deauthorize { device: user, by: Requester::Namesake }, Refusal::NotYourDevice);
        story.refuses(Action::Request { user, by: foreign }, Refusal::OtherTenant);
        story.refuses(Action::Request { user, by: Requester::Namesake }, Refusal::NotYourArchive);
    }
    story.does(Action::WithdrawRight { tenant: 1 });
    assert_eq!(story.see().admin_rights, [true, false]);
    story.refuses(Action::Request { user: 1, by: admin }, Refusal::NoRestoreRight);
    story.job_with_key(admin);
    story.does(Action::GrantRight { tenant: 1 });
    story.does(Action::WithdrawRight { tenant: 1 });
    assert_eq!(story.see().job.state, JobState::KeyHeld);
    for by in [Requester::Neighbour, Requester::Namesake] {
        story.refuses(Action::Abort { by }, Refusal::NotYourArchive);
    }
    story.refuses(Action::Abort { by: foreign }, Refusal::OtherTenant);
    story.does(Action::WithdrawRight { tenant: 0 });
    assert_eq!((story.see().job.state, story.see().job.subject), (JobState::Ending, Some(0)));
    story.does(Action::DeliverAbort);
    story.does(Action::Suspend { user: 1, by: admin });
    story.does(Action::Deactivate { user: 1, by: admin });
    assert_eq!([0, 1].map(|user: usize| story.see().users[user].standing), [Standing::Active, Standing::Deactivated]);
}

/// JOB-3, JOB-5 to JOB-10, JOB-13, JOB-14: each other end of a job takes the key out of the restorer's memory.
#[test]
fn every_end_of_a_job_takes_the_key() {
    let mut story = story(Start::Enrolled);
    story.job_with_key(Requester::Owner);
    story.does(Action::FailJob); // JOB-5
    assert_eq!(story.see().job.held, None);
    story.delivers(Lane::Job, &[Message::JobEnd]);
    story.refuses(Action::Abort { by: Requester::Owner }, Refusal::JobOver); // JOB-6
    story.refuses(Action::DeliverAbort, Refusal::NothingInFlight); // JOB-7
    story.job_with_key(Requester::Owner);
    story.does(Action::Abort { by: Requester::Owner });
    assert_eq!((story.see().job.state, story.see().job.held.is_some()), (JobState::Ending, true));
    story.does(Action::DeliverAbort);
    assert_eq!((story.see().job.state, story.see().job.held), (JobState::None, None));
    story.job_with_key(Requester::Admin);
    story.does(Action::WithdrawRight { tenant: 0 }); // JOB-8
    assert_eq!(story.see().job.state, JobState::Ending);
    story.refuses(Action::WithdrawRight { tenant: 0 }, Refusal::NoRestoreRight);
    story.refuses(Action::Request { by: Requester::Admin, user: 0 }, Refusal::NoRestoreRight);
    story.does(Action::DeliverAbort);
    story.job_with_key(Requester::Owner);
    story.does(Action::CrashRestorer); // JOB-9
    assert_eq!(story.see().job.held, None);
    story.does(Action::Abort { by: Requester::Owner });
    story.does(Action::DeliverAbort);
    story.does(Action::Request { by: Requester::Owner, user: 0 });
    story.delivers(Lane::Job, &JOB[..2]);
    story.does(Action::Restart { node: 0 });
    story.refuses_message(Lane::Job, Message::ReleaseKey, Refusal::Sealed); // JOB-3
    story.delivers(Lane::Job, &[Message::KeystoreRefusal, Message::Refusal]);
    assert_eq!((story.see().job.state, story.see().job.waiting), (JobState::None, false));
}

/// GEN-14, CER-1 to CER-7, CER-2c, CER-5b: a node is opened by enough custodians in one ceremony, and by nothing less.
#[test]
fn custodians_open_a_node() {
    let mut story = story(Start::Sealed);
    let open = |by| Action::OpenCeremony { node: 0, purpose: Purpose::Unseal, by };
    let ask = |asking| Action::RequestShare { custodian: 0, node: 0, asking };
    let hand = |handing| Action::SubmitShare { custodian: 0, node: 0, handing };
    story.refuses(Action::Announce { node: 0 }, Refusal::OutOfTurn); // CER-3
    story.refuses(open(Caller::Stranger), Refusal::Unauthenticated); // CER-2
    story.does(open(Caller::Operator));
    story.refuses(open(Caller::Operator), Refusal::CeremonyOpen);
    story.refuses(ask(Asking::Honestly), Refusal::NoRestartPending); // CER-4
    story.does(Action::Announce { node: 0 });
    assert_eq!(story.see().nodes[0].window, Window::Live);
    story.refuses(ask(Asking::ForAnother), Refusal::NotYourShare);
    story.refuses(ask(Asking::WithoutCode), Refusal::MfaRequired);
    story.refuses(ask(Asking::WithUsedCode), Refusal::CodeReplayed);
    story.does(Action::AlertSink { up: false });
    story.refuses(ask(Asking::Honestly), Refusal::AlertUnavailable);
    story.does(Action::AlertSink { up: true });
    story.does(ask(Asking::Honestly));
    story.does(Action::Restart { node: 0 }); // CER-1
    assert_eq!(story.see().custodians[0].share, ShareHeld::Old);
    story.refuses(hand(Handing::Right), Refusal::CeremonyExpired); // CER-5
    story.ceremony(Purpose::Unseal);
    story.refuses(hand(Handing::Wrong), Refusal::WrongShare);
    story.refuses(hand(Handing::AsAnother), Refusal::BadSignature);
    story.refuses(hand(Handing::Right), Refusal::OutOfTurn);
    assert_eq!(story.see().nodes[0].counted, [false, false]);
    story.shares();
    assert!(!story.see().nodes[0].sealed); // CER-6
    assert_eq!(story.see().nodes[0].ceremony, CeremonyState::None);
    story.refuses(open(Caller::Operator), Refusal::AlreadyUnsealed);
    story.does(Action::Seal { node: 0 }); // CER-7
    assert!(story.see().nodes[0].sealed);
}

/// KEY-1 to KEY-3, KEY-3a, KEY-3c: a rekey takes effect when every custodian has acknowledged, and not before.
#[test]
fn a_rekey_needs_every_custodian() {
    let mut story = story(Start::Enrolled);
    let ack = |custodian, condition| Action::AckShare { custodian, condition };
    story.does(Action::Snapshot);
    story.refuses(ack(0, Condition::Intact), Refusal::OutOfTurn); // KEY-2
    story.ceremony(Purpose::Rekey);
    story.shares();
    assert_eq!(story.see().nodes[0].ceremony, CeremonyState::RekeyAcks); // KEY-1
    story.refuses(ack(0, Condition::Damaged), Refusal::OwnShareDamaged);
    story.does(ack(0, Condition::Intact));
    assert!(story.see().custodians[0].acked && !story.see().store.retired_shares);
    story.does(ack(1, Condition::Intact)); // KEY-3
    let seen = story.see();
    assert!(seen.store.retired_shares && !seen.store.snapshot_current && !seen.nodes[0].sealed);
    story.does(Action::Restart { node: 0 });
    story.refuses(Action::StageRestore { condition: Condition::Intact }, Refusal::EpochRetired);
    story.ceremony(Purpose::Unseal);
    let retired = Action::SubmitShare { custodian: 0, node: 0, handing: Handing::Retired };
    story.refuses(retired, Refusal::WrongEpoch);
    story.shares();
    assert!(!story.see().nodes[0].sealed);
}

/// DIS-1 to DIS-6: what a snapshot covers is not kept; what it lacks is lost and comes back, the same key and no other.
#[test]
fn keys_come_back_after_a_disaster() {
    let mut story = story(Start::Fresh);
    story.does(Action::Snapshot);
    story.does(Action::SignIn { device: 0 });
    story.delivers(FIRST, &TO_ESCROW);
    story.delivers(FIRST, &FROM_ESCROW);
    assert!(story.see().users[0].kept.is_some()); // DIS-4
    story.refuses(Action::StageRestore { condition: Condition::Intact }, Refusal::NotSealed); // DIS-2
    let restore = |story: &mut Story| {
        story.does(Action::Restart { node: 0 });
        story.refuses(Action::Snapshot, Refusal::Sealed); // DIS-1
        story.refuses(Action::StageRestore { condition: Condition::Damaged }, Refusal::SnapshotDamaged);
        story.does(Action::StageRestore { condition: Condition::Intact });
        assert!(story.see().store.restoring);
        story.does(Action::UnsealTogether { node: 0 }); // DIS-3
        assert_eq!(story.see().users[0].account, AccountState::Lost);
    };
    restore(&mut story);
    story.does(Action::Replay { user: 0 }); // DIS-5
    story.refuses(Action::Replay { user: 0 }, Refusal::NotLost);
    assert_eq!(story.see().users[0].escrowed, story.see().devices[0].disk_key);
    restore(&mut story);
    story.refuses(Action::ReEscrow { device: 1 }, Refusal::OutOfTurn); // DIS-6
    story.does(Action::ReEscrow { device: 0 });
    story.refuses(Action::ReEscrow { device: 0 }, Refusal::NotLost);
    assert_eq!(story.see().users[0].escrowed, story.see().devices[0].disk_key);
    story.does(Action::Snapshot); // DIS-1
    assert_eq!(story.see().users[0].kept, None);
    story.refuses(Action::Replay { user: 0 }, Refusal::NothingKept);
}

/// DEA-4a, DIS-3d: an older snapshot brings no purged account back, and no device that was deauthorized after it.
#[test]
fn a_restore_brings_no_right_back() {
    let mut story = of_users(2, Start::Enrolled);
    story.does(Action::Snapshot);
    story.does(Action::Deactivate { user: 0, by: Requester::Admin });
    story.does(Action::Purge { user: 0 });
    story.does(Action::Deauthorize { device: 1, by: Requester::Owner });
    story.does(Action::Restart { node: 0 });
    story.does(Action::StageRestore { condition: Condition::Intact });
    story.does(Action::UnsealTogether { node: 0 });
    let seen = story.see();
    assert_eq!((seen.users[0].account, seen.users[1].account), (AccountState::Purged, AccountState::Active));
    assert_eq!(seen.devices[1].at_authority, DeviceState::Revoking);
    story.refuses(Action::OpenBackup { device: 1 }, Refusal::DeviceRevoked);
}

/// ADV-1 to ADV-4: a host opens every key; custodians open none without a snapshot, and all of them with one.
#[test]
fn the_least_adversary_opens_what_it_can() {
    let opened = |story: &Story| story.see().users.iter().map(|user| user.opened).collect::<Vec<_>>();
    let mut host = of_users(2, Start::Enrolled);
    host.does(Action::ReadHost { node: 0 }); // ADV-1, ADV-4
    assert_eq!(opened(&host), [true, true]);
    let mut people = of_users(2, Start::Enrolled);
    people.refuses(Action::StealSnapshot, Refusal::SnapshotUnknown); // ADV-3
    people.does(Action::Snapshot);
    people.does(Action::CorruptCustodian { custodian: 0 }); // ADV-2
    people.does(Action::StealSnapshot);
    assert_eq!(opened(&people), [false, false]);
    people.does(Action::Restart { node: 0 });
    people.refuses(Action::ReadHost { node: 0 }, Refusal::Sealed);
    people.does(Action::CorruptCustodian { custodian: 1 });
    assert_eq!(opened(&people), [true, true]); // ADV-4
}

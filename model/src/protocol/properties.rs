//! The properties: what the claims of `spec/claims.toml` mean in the model. None reads a mutation.

use bailee_spec::action::{
    Action, Asking, Caller, Condition, Handing, Lane, Point, Purpose, Requester, Tenant, User,
};
use bailee_spec::limits::MARGIN_TICKS;
use bailee_spec::observation::{
    AccountState, Attempt, Capability, CeremonyState, DeviceState, Disk, Freshness, JobKind, JobState, Message,
    Person, Program, Standing, Window,
};
use bailee_spec::outcome::Outcome;

use super::SmallWorld;
use super::publication::OVER;
use super::step::{Receiver, Rules, receiver};
use super::world::{
    CustodianState, DeviceRecord, LaneState, NO_KEY, NodeState, Share, Slot, SnapshotState, UserState,
};

/// One action and what came of it.
pub struct Step<'a> {
    /// The rules.
    pub rules: &'a Rules,
    /// The world before.
    pub before: &'a SmallWorld,
    /// What happened.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
    /// The world after, not sorted.
    pub after: &'a SmallWorld,
}

impl Step<'_> {
    fn accepted(&self) -> bool {
        self.outcome == Outcome::Accepted
    }

    /// The message that was delivered, and its lane.
    fn delivered(&self) -> Option<(Lane, Message, LaneState)> {
        match self.action {
            Action::Deliver { lane } | Action::DeliverThenCrash { lane } => {
                let state = *self.before.lane(lane);
                Some((lane, state.message.get()?, state))
            }
            _ => None,
        }
    }

    fn device_state(&self, lane: Lane) -> Option<DeviceState> {
        match lane {
            Lane::Device(d) | Lane::Late(d) => Some(self.before.devices[d as usize].at_authority),
            Lane::Job | Lane::Point(_) | Lane::LatePoint(_) => None,
        }
    }
}

/// What a property says.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Holds in every state.
    Always(fn(&Rules, &SmallWorld) -> bool),
    /// Holds for every action tried in every state.
    AlwaysStep(fn(&Step<'_>) -> bool),
    /// Holds in some state: a witness against vacuity.
    Sometimes(fn(&Rules, &SmallWorld) -> bool),
    /// From every state a state can be reached in which it holds.
    CanAlwaysStill(fn(&Rules, &SmallWorld) -> bool),
    /// After the first, the second, in every run that is weakly fair to the roles' own steps.
    LeadsTo(fn(&Rules, &SmallWorld) -> bool, fn(&Rules, &SmallWorld) -> bool),
}

impl Kind {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Always(_) => "always",
            Kind::AlwaysStep(_) => "always (step)",
            Kind::Sometimes(_) => "sometimes",
            Kind::CanAlwaysStill(_) => "can always still",
            Kind::LeadsTo(..) => "leads to",
        }
    }
}

/// A property.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Its id.
    pub id: &'static str,
    /// What it says, in one sentence: the documentation in the table below.
    pub about: &'static str,
    /// The same as a predicate.
    pub kind: Kind,
    /// Whether it holds; false: its violation is the expected result (`classic` cannot keep the promise).
    pub holds: bool,
}

const fn always(id: &'static str, holds: fn(&Rules, &SmallWorld) -> bool) -> Property {
    Property { id, about: "", kind: Kind::Always(holds), holds: true }
}

const fn broken(id: &'static str, holds: fn(&Rules, &SmallWorld) -> bool) -> Property {
    Property { id, about: "", kind: Kind::Always(holds), holds: false }
}

const fn step(id: &'static str, holds: fn(&Step<'_>) -> bool) -> Property {
    Property { id, about: "", kind: Kind::AlwaysStep(holds), holds: true }
}

const fn sometimes(id: &'static str, shows: fn(&Rules, &SmallWorld) -> bool) -> Property {
    Property { id, about: "", kind: Kind::Sometimes(shows), holds: true }
}

fn holds_key(user: &UserState) -> bool {
    matches!(user.account, AccountState::Active | AccountState::Dormant)
}

fn escrowed_as_logged(user: &UserState) -> bool {
    holds_key(user) && user.escrowed == user.enrolled
}

fn revoked(state: DeviceState) -> bool {
    matches!(state, DeviceState::Revoking | DeviceState::Revoked)
}

/// The tenant of the administrator who acts, if one does; `Some(None)`: one of a tenant that the scope does not have.
fn acting_tenant(s: &Step<'_>) -> Option<Option<Tenant>> {
    let of = |by: Requester, user: User| {
        let own = s.rules.tenant_of(user);
        match by {
            Requester::Admin => Some(Some(own)),
            Requester::ForeignAdmin => Some((s.rules.tenants > 1).then(|| (own + 1) % s.rules.tenants)),
            _ => None,
        }
    };
    match s.action {
        Action::Suspend { user, by }
        | Action::Resume { user, by }
        | Action::Deactivate { user, by }
        | Action::Reactivate { user, by }
        | Action::Request { by, user } => of(by, user),
        Action::Deauthorize { device, by } => of(by, s.rules.user_of(device)),
        Action::Abort { by } => of(by, s.before.job.user),
        Action::WithdrawRight { tenant } | Action::GrantRight { tenant } => Some(Some(tenant)),
        _ => None,
    }
}

/// Whether a device and its records are the same; the epoch of its capability is everybody's.
fn same_device(before: &DeviceRecord, after: &DeviceRecord) -> bool {
    let without = |d: &DeviceRecord| DeviceRecord { capability: Capability::None, ..*d };
    without(before) == without(after)
}

macro_rules! properties {
    ($($(#[doc = $about:literal])+ $property:expr,)*) => {
        /// Every property of the `classic` profile.
        pub const ALL: &[Property] =
            &[$(Property { about: concat!($($about),+).trim_ascii_start(), ..$property },)*];
    };
}

properties![
    // Enrolment.
    /// An authority that accepts an enrolment or replacement request has a live session for it.
    step("fresh-session", |s| match s.delivered() {
        Some((_, Message::BeginEnrolment | Message::PresentCertificate | Message::AddDevice, lane)) => {
            !s.accepted() || lane.live
        }
        _ => true,
    }),
    /// A message makes an account only if it is `CreateAccount`, in the session of a device of the user whose attempt is open.
    step("account-after-admission", |s| {
        let Some((lane, message, state)) = s.delivered() else { return true };
        let admitted = |user: u8| {
            let (Lane::Device(d) | Lane::Late(d)) = lane else { return false };
            let attempt = s.before.devices[d as usize].attempt_at_keystore;
            let own = s.rules.user_of(d) == user && attempt != Attempt::None;
            message == Message::CreateAccount && own && state.live
        };
        let users = s.before.users.iter().zip(&s.after.users).take(s.rules.users.into());
        users.zip(0..).all(|((before, after), user)| {
            before.account != AccountState::None || after.account == AccountState::None || admitted(user)
        })
    }),
    /// The key in an account is the key that the authority's log names.
    always("one-key", |_, w| {
        w.users.iter().all(|u| !holds_key(u) || u.enrolled == NO_KEY || u.escrowed == u.enrolled)
    }),
    /// The key on a device's disk is the escrowed one, or the account is known to be lost, or the account is purged.
    always("kept-key-is-escrowed", |r, w| {
        (0..r.users * r.devices_per_user).all(|d| {
            let key = w.devices[d as usize].disk_key;
            let user = &w.users[r.user_of(d) as usize];
            let logged = user.enrolled == key || user.standing == Standing::Purged;
            let lost = user.account == AccountState::Lost && logged;
            key == NO_KEY || user.escrowed == key || lost || user.account == AccountState::Purged
        })
    }),
    /// A device is active only when the log names a key of its user, and the keystore holds that key or knows that it is lost.
    always("authorised-is-escrowed", |r, w| {
        (0..r.users * r.devices_per_user).all(|d| {
            let user = &w.users[r.user_of(d) as usize];
            let held = escrowed_as_logged(user) || user.account == AccountState::Lost;
            w.devices[d as usize].at_authority != DeviceState::Active || user.enrolled != NO_KEY && held
        })
    }),
    /// A key that was nowhere before is in the memory of a device that has just heard that its user has none.
    step("made-on-first-device", |s| {
        let mut known = [false; 256];
        s.before.keys(|key| known[key as usize] = true);
        let new = |key: u8| key != NO_KEY && !known[key as usize];
        let makes = |d: usize| match s.delivered() {
            Some((Lane::Device(device), Message::SessionOpened, lane)) => {
                device as usize == d && lane.key == NO_KEY && s.before.devices[d].disk_key == NO_KEY
            }
            _ => false,
        };
        let mut news = 0;
        s.after.keys(|key| news += u32::from(new(key)));
        let made = (0..s.after.devices.len()).filter(|&d| new(s.after.devices[d].memory_key) && makes(d)).count();
        news as usize == made
    }),
    /// The keystore holds every key that the log names, or the account is known to be lost.
    always("logged-key-is-held", |_, w| {
        w.users.iter().all(|u| u.enrolled == NO_KEY || escrowed_as_logged(u) || u.account == AccountState::Lost)
    }),
    /// No key of one user, wherever it is, is also a key of another user.
    always("keys-differ", |r, w| {
        let keys = |user: u8| {
            let of_device = |d: usize| {
                let d = &w.devices[d];
                [d.disk_key, d.memory_key, d.lane.key, d.late.key]
            };
            let u = &w.users[user as usize];
            let of_user = [u.escrowed, u.enrolled, u.kept, u.snapshot_key];
            r.devices_of(user).flat_map(of_device).chain(of_user).filter(|key| *key != NO_KEY)
        };
        r.users < 2 || keys(0).all(|a| keys(1).all(|b| a != b))
    }),
    /// A user is enrolled, and a device has the key on its disk.
    sometimes("enrolled", |_, w| w.users[0].enrolled != NO_KEY && w.devices.iter().any(|d| d.disk == Disk::Key)),
    /// A device loses the race to enrol and is told so.
    sometimes("race-lost", |_, w| w.devices.iter().any(|d| d.lane.message == Slot::of(Message::GoReplace))),
    // The keystore and releases.
    /// A sealed keystore accepts no request, writes no snapshot and takes no key back.
    step("sealed-serves-nothing", |s| {
        let asked = match (s.action, s.delivered()) {
            (Action::Snapshot | Action::Replay { .. } | Action::ReEscrow { .. }, _) => true,
            (Action::PublishTogether { point }, _) => point == Point::Keystore,
            (_, Some((lane, message, _))) => {
                receiver(message, lane) == Receiver::Keystore && message != Message::GrantRefused
            }
            _ => false,
        };
        !s.accepted() || !s.before.nodes[0].sealed || !asked
    }),
    /// A sealed key leaves the keystore only when it has asked for the grant, and the authority has recorded the release.
    step("release-is-recorded", |s| {
        let leaves = |lane: Lane| {
            let sealed = Slot::of(Message::SealedKey);
            s.after.lane(lane).message == sealed && s.before.lane(lane).message != sealed
        };
        let recorded = |lane: Lane| match s.delivered() {
            Some((of, Message::GrantConsumed, state)) => of == lane && state.pending,
            _ => false,
        };
        // Where a program dies, what it had sent is in its late lane.
        let moved = matches!(s.action, Action::CrashDevice { .. });
        let devices = 0..s.rules.users * s.rules.devices_per_user;
        let lanes = devices.flat_map(|d| [Lane::Device(d), Lane::Late(d)]).chain([Lane::Job]);
        moved || lanes.filter(|lane| leaves(*lane)).all(recorded)
    }),
    /// No key of a suspended user is asked for or delivered, and nothing is read back.
    step("suspended-gets-no-key", |s| {
        let suspended = |user: u8| s.before.users[user as usize].standing == Standing::Suspended;
        let for_suspended = match s.action {
            Action::Request { user, .. } => suspended(user),
            Action::Fetch { device } => suspended(s.rules.user_of(device)),
            _ => s.delivered().is_some_and(|(lane, message, _)| {
                let device_key = message == Message::SealedKey && lane != Lane::Job;
                let gives = device_key || matches!(message, Message::ConsumeGrant | Message::AddDevice);
                gives && suspended(s.before.user_of_lane(s.rules, lane))
            }),
        };
        !for_suspended || !s.accepted()
    }),
    /// An active device of a suspended user, at rest and with its key, gets leave to append.
    step("suspended-backs-up", |s| match s.action {
        Action::OpenBackup { device } => {
            let d = &s.before.devices[device as usize];
            let at_rest = d.program == Program::Idle && d.lane.message.is_none() && d.disk_key != NO_KEY;
            let suspended = s.before.users[s.rules.user_of(device) as usize].standing == Standing::Suspended;
            s.accepted() || !suspended || !at_rest || d.at_authority != DeviceState::Active
        }
        _ => true,
    }),
    /// What is released for a user, to a job or a device, and what a job holds, is that user's own key.
    always("own-key-only", |r, w| {
        // After a disaster the account may lack the key that is under way; the log still says whose it is. Of a purged user
        // nobody says it any more.
        let owned = |user: u8, key: u8| {
            let user = &w.users[user as usize];
            key == NO_KEY || key == user.escrowed || key == user.enrolled || user.standing == Standing::Purged
        };
        let own = |user: u8, lane: &LaneState| {
            let released = matches!(lane.message.get(), Some(Message::SealedKey | Message::KeyDelivery));
            !released || lane.outdated || owned(user, lane.key)
        };
        let devices = (0..r.users * r.devices_per_user).all(|d| {
            let (user, d) = (r.user_of(d), &w.devices[d as usize]);
            own(user, &d.lane) && own(user, &d.late)
        });
        devices && own(w.job.user, &w.job.lane) && owned(w.job.user, w.job.held)
    }),
    /// A key is released only from an active account.
    step("dormant-is-not-released", |s| match s.delivered() {
        Some((lane, Message::ReleaseKey | Message::GrantConsumed, _)) => {
            let user = s.before.user_of_lane(s.rules, lane);
            !s.accepted() || s.before.users[user as usize].account == AccountState::Active
        }
        _ => true,
    }),
    /// Two devices of a user have the key on their disks.
    sometimes("replaced", |_, w| w.devices.iter().filter(|d| d.disk == Disk::Key).count() > 1),
    // Jobs.
    /// Only the owner, the schedule and an administrator with the right have a request accepted.
    step("only-entitled-ask", |s| match s.action {
        Action::Request { by, user } if s.accepted() => match by {
            Requester::Owner | Requester::Schedule => true,
            Requester::Admin => s.before.admin_right[s.rules.tenant_of(user) as usize],
            _ => false,
        },
        _ => true,
    }),
    /// What an administrator does changes no user, device, job or right of another tenant.
    step("tenants-apart", |s| match acting_tenant(s) {
        None => true,
        Some(acting) => (0..s.rules.users).all(|user| {
            let (tenant, u) = (s.rules.tenant_of(user), user as usize);
            let devices = s.rules.devices_of(user).all(|d| same_device(&s.before.devices[d], &s.after.devices[d]));
            // A job that begins was about nobody before.
            let job = s.before.job == s.after.job || s.after.job.user != user;
            let right = s.before.admin_right[tenant as usize] == s.after.admin_right[tenant as usize];
            acting == Some(tenant) || s.before.users[u] == s.after.users[u] && devices && job && right
        }),
    }),
    /// A job on behalf runs only as long as the administrator has the right.
    always("right-outlasts-job", |r, w| {
        let runs = matches!(w.job.state, JobState::Assigned | JobState::KeyHeld);
        w.admin_right[r.tenant_of(w.job.user) as usize] || !runs || w.job.kind != JobKind::OnBehalf
    }),
    /// A job that an administrator asked for has a notice to the owner.
    always("on-behalf-is-announced", |_, w| {
        w.job.state == JobState::None || w.job.kind != JobKind::OnBehalf || w.job.noticed
    }),
    /// The restorer holds a key only while its job is under way.
    always("job-over-key-gone", |_, w| {
        w.job.held == NO_KEY || matches!(w.job.state, JobState::KeyHeld | JobState::Ending)
    }),
    /// After a crash the restorer holds no key.
    step("restorer-crash-purges", |s| s.action != Action::CrashRestorer || s.after.job.held == NO_KEY),
    /// The restorer holds an archive key for a job.
    sometimes("restorer-holds-key", |_, w| w.job.held != NO_KEY),
    /// A job is aborted while the restorer holds the key.
    sometimes("aborted-with-key", |_, w| w.job.state == JobState::Ending && w.job.held != NO_KEY),
    /// A key that the restorer holds is purged in the end, if the restorer goes on.
    Property {
        about: "",
        id: "held-leads-to-purged",
        kind: Kind::LeadsTo(|_, w| w.job.held != NO_KEY, |_, w| w.job.held == NO_KEY),
        holds: true,
    },
    /// Maintenance never has a key in the restorer's memory: nobody is signed in.
    broken("key-only-in-session", |_, w| w.job.held == NO_KEY || w.job.kind != JobKind::Maintenance),
    /// The vendor's restorer never has a key in its memory.
    broken("vendor-holds-no-key", |_, w| w.job.held == NO_KEY),
    /// A restore on behalf never has a key in the vendor's memory.
    broken("on-behalf-unseen", |_, w| w.job.held == NO_KEY || w.job.kind != JobKind::OnBehalf),
    // Revocation.
    /// No grant is consumed for a deauthorized device, and no key is passed on to it.
    step("revoked-gets-no-key", |s| match s.delivered() {
        Some((lane, Message::ConsumeGrant | Message::SealedKey, _)) => {
            !s.accepted() || s.device_state(lane).is_none_or(|state| !revoked(state))
        }
        _ => true,
    }),
    /// The keystore releases nothing to a device whose deauthorization is acknowledged.
    step("no-release-after-ack", |s| match s.delivered() {
        Some((lane, Message::GrantConsumed, _)) => {
            !s.accepted() || s.device_state(lane) != Some(DeviceState::Revoked)
        }
        _ => true,
    }),
    /// A key that arrives after its device's deauthorization was acknowledged is not taken.
    step("no-escrow-after-ack", |s| match s.delivered() {
        Some((lane, Message::Escrow, _)) => !s.accepted() || s.device_state(lane) != Some(DeviceState::Revoked),
        _ => true,
    }),
    /// A deauthorization is acknowledged only when no admission point can still let the device in.
    step("ack-after-points", |s| {
        let acknowledged = s.before.devices.iter().zip(&s.after.devices).any(|(before, after)| {
            before.at_authority != DeviceState::Revoked && after.at_authority == DeviceState::Revoked
        });
        let behind = |point: &Point| s.after.freshness(s.rules, *point) == Freshness::Behind;
        !acknowledged || !Point::ALL.iter().any(behind)
    }),
    /// Storage takes nothing from a device whose deauthorization is acknowledged.
    step("no-append-after-ack", |s| match s.action {
        Action::Append { device } if s.accepted() => {
            s.before.devices[device as usize].at_authority != DeviceState::Revoked
        }
        _ => true,
    }),
    /// A point whose lease is over admits nothing.
    step("fenced-admits-nothing", |s| {
        let admits = match s.action {
            Action::Append { .. } | Action::Fetch { .. } => Point::Storage,
            _ => match s.delivered() {
                Some((
                    _,
                    Message::OpenEnrolment
                    | Message::CreateAccount
                    | Message::Escrow
                    | Message::ReleaseKey
                    | Message::GrantConsumed,
                    _,
                )) => Point::Keystore,
                _ => return true,
            },
        };
        !s.accepted() || s.before.freshness(s.rules, admits) != Freshness::Fenced
    }),
    /// Storage takes nothing under a capability that has expired.
    step("append-in-time", |s| match s.action {
        Action::Append { device } if s.accepted() => {
            s.before.devices[device as usize].capability_end > s.before.over_up_to(MARGIN_TICKS)
        }
        _ => true,
    }),
    /// No point forgets an epoch that it has heard.
    step("marks-never-fall", |s| {
        s.before.points.iter().zip(&s.after.points).all(|(before, after)| after.mark >= before.mark)
    }),
    /// A publication that a newer one overtook changes neither mark nor lease.
    step("overtaken-changes-nothing", |s| match (s.action, s.delivered()) {
        (
            Action::Deliver { lane: Lane::Point(point) | Lane::LatePoint(point) }
            | Action::DeliverThenCrash { lane: Lane::Point(point) | Lane::LatePoint(point) },
            Some((_, Message::Publish, message)),
        ) => {
            let (before, after) = (&s.before.points[point as usize], &s.after.points[point as usize]);
            message.epoch >= before.mark || (before.mark, before.lease) == (after.mark, after.lease)
        }
        _ => true,
    }),
    /// The authority counts a point as confirmed only if it has heard the newest epoch.
    always("confirmed-is-known", |r, w| {
        let known = |point: &Point| w.points[*point as usize].mark == w.newest;
        let served = Point::ALL.iter().filter(|point| r.points[**point as usize]);
        served.filter(|point| w.points[**point as usize].confirmed).all(known)
    }),
    /// No point holds a longer lease than the authority has on record.
    always("lease-within-record", |_, w| w.points.iter().all(|at| at.lease <= at.named)),
    /// The authority names no lease to a point that has not confirmed the newest epoch.
    step("behind-gets-no-lease", |s| {
        s.before.points.iter().zip(&s.after.points).all(|(before, after)| after.confirmed || after.named <= before.named)
    }),
    /// A lease that is over for the authority is over for its point.
    always("over-at-authority-is-over", |_, w| w.points.iter().all(|at| at.named > 1 || at.lease == OVER)),
    /// A deauthorization is acknowledged because a lease ended, although the point has not heard.
    sometimes("acknowledged-by-lease", |r, w| {
        let unheard = |point: &Point| r.points[*point as usize] && w.points[*point as usize].mark < w.newest;
        w.devices.iter().any(|d| d.at_authority == DeviceState::Revoked) && Point::ALL.iter().any(unheard)
    }),
    /// A newer publication overtakes an older one.
    sometimes("publish-overtaken", |_, w| {
        let overtaken = |lane: &LaneState, mark: u8| lane.message == Slot::of(Message::Publish) && lane.epoch < mark;
        w.points.iter().any(|at| overtaken(&at.lane, at.mark) || overtaken(&at.late, at.mark))
    }),
    /// From every state every point can confirm the newest epoch.
    Property {
        about: "",
        id: "can-confirm",
        kind: Kind::CanAlwaysStill(|_, w| w.points.iter().all(|at| at.confirmed)),
        holds: true,
    },
    /// A deauthorized device that reports to the authority has a blank disk afterwards.
    step("contact-wipes", |s| match s.action {
        Action::Contact { device } if s.accepted() => {
            let device = device as usize;
            !revoked(s.before.devices[device].at_authority) || s.after.devices[device].disk == Disk::Blank
        }
        _ => true,
    }),
    /// A device is deauthorized while a release to it is under way.
    sometimes("revoked-in-flight", |_, w| {
        w.devices.iter().any(|d| revoked(d.at_authority) && d.lane.message == Slot::of(Message::GrantConsumed))
    }),
    /// A deauthorization is acknowledged.
    sometimes("acknowledged", |_, w| w.devices.iter().any(|d| d.at_authority == DeviceState::Revoked)),
    // Ceremonies.
    /// A keystore node that starts is sealed.
    step("start-is-sealed", |s| match s.action {
        Action::Restart { node } => s.after.nodes[node as usize].sealed,
        _ => true,
    }),
    /// A node is unsealed only by as many different custodians as the threshold asks for.
    step("unsealed-by-threshold", |s| match s.action {
        Action::SubmitShare { custodian, node, .. } => {
            let n = node as usize;
            let opened = s.before.nodes[n].sealed && !s.after.nodes[n].sealed;
            let others = (0..s.rules.custodians)
                .filter(|&c| c != custodian && s.before.custodians[c as usize].counted[n])
                .count();
            !opened || others as u8 + 1 >= s.rules.threshold
        }
        _ => true,
    }),
    /// A share counts only if it is right and custody released it for this node's ceremony.
    step("count-is-released", |s| match s.action {
        Action::SubmitShare { custodian, node, handing } => {
            let (c, n) = (custodian as usize, node as usize);
            let counts = !s.before.custodians[c].counted[n] && s.after.custodians[c].counted[n];
            let moves = counts || s.before.nodes[n] != s.after.nodes[n];
            let released = s.before.custodians[c].share == Share::released_for(node);
            !moves || (handing == Handing::Right && released)
        }
        _ => true,
    }),
    /// A custodian's client comes to hold a share only by asking custody for the own one, with a fresh second factor.
    step("share-to-owner", |s| {
        let comes = |c: usize| {
            let (before, after) = (s.before.custodians[c].share, s.after.custodians[c].share);
            // A share for a ceremony that ends is an old one from then on.
            before != after && after != Share::NONE && !(before != Share::NONE && after == Share::OLD)
        };
        match s.action {
            Action::RequestShare { asking, custodian, .. } => {
                let mut others = (0..s.after.custodians.len()).filter(|&c| c != custodian as usize);
                (!s.accepted() || asking == Asking::Honestly) && !others.any(comes)
            }
            _ => !(0..s.after.custodians.len()).any(comes),
        }
    }),
    /// Custody releases a share only while it has a window for an announced ceremony, and for that ceremony alone.
    step("share-only-in-window", |s| match s.action {
        Action::RequestShare { node, custodian, .. } if s.accepted() => {
            let released = s.after.custodians[custodian as usize].share;
            match s.before.nodes[node as usize].window {
                Window::None => false,
                Window::Live => released == Share::released_for(node),
                Window::Dead => released == Share::OLD,
            }
        }
        _ => true,
    }),
    /// Custody releases a share only if the alert is recorded.
    step("alert-before-share", |s| match s.action {
        Action::RequestShare { .. } => !s.accepted() || s.before.alerts_up,
        _ => true,
    }),
    /// One who opens a ceremony, asks for a share or hands one in without being entitled to it changes nothing.
    step("strangers-change-nothing", |s| match s.action {
        Action::OpenCeremony { by: Caller::Stranger, .. }
        | Action::RequestShare { asking: Asking::WithoutCode | Asking::WithUsedCode | Asking::ForAnother, .. }
        | Action::SubmitShare { handing: Handing::Wrong | Handing::AsAnother | Handing::Retired, .. } => {
            s.before == s.after
        }
        _ => true,
    }),
    /// Nobody opens a ceremony at a node that has one, or a rekey beside another.
    step("opening-ends-none", |s| match s.action {
        Action::OpenCeremony { node, purpose, .. } if s.accepted() => {
            let rekeys = |n: &NodeState| matches!(n.ceremony, CeremonyState::Rekey | CeremonyState::RekeyAcks);
            let idle = s.before.nodes[node as usize].ceremony == CeremonyState::None;
            idle && (purpose != Purpose::Rekey || !s.before.nodes.iter().any(rekeys))
        }
        _ => true,
    }),
    /// Shares are renewed only by the last of all acknowledgements.
    step("rekey-by-all", |s| {
        let acks = |n: usize| s.before.nodes[n].ceremony == CeremonyState::RekeyAcks;
        let over = (0..s.rules.nodes as usize).any(|n| acks(n) && s.after.nodes[n].ceremony == CeremonyState::None);
        let renewed = !s.before.retired_shares && s.after.retired_shares;
        match s.action {
            Action::AckShare { custodian, .. } => {
                let mut others = (0..s.rules.custodians).filter(|&c| c != custodian);
                !(over || renewed) || others.all(|c| s.before.custodians[c as usize].acked)
            }
            Action::RekeyTogether => true,
            _ => !renewed,
        }
    }),
    /// Who is new serves only from the write that ends a rekey.
    step("new-person-waits", |s| {
        let renewed = s.after.custodians.iter().all(|c| !c.acked) && matches!(s.action, Action::AckShare { .. });
        let serves = |(before, after): (&CustodianState, &CustodianState)| {
            before.person != Person::Serving && after.person == Person::Serving
        };
        renewed || !s.before.custodians.iter().zip(&s.after.custodians).any(serves)
    }),
    /// From every state all nodes can be unsealed with nobody missing in the circle.
    Property {
        about: "",
        id: "circle-can-be-whole",
        kind: Kind::CanAlwaysStill(|r, w| {
            let serving = w.custodians.iter().all(|c| c.person == Person::Serving);
            serving && w.nodes[..r.nodes as usize].iter().all(|n| !n.sealed)
        }),
        holds: true,
    },
    /// Somebody new acknowledges a share.
    sometimes("new-person-acks", |_, w| w.custodians.iter().any(|c| c.person == Person::New && c.acked)),
    /// A custodian has acknowledged a share only while there is a candidate that it is of.
    always("acks-are-of-the-candidate", |_, w| {
        w.nodes.iter().any(|n| n.ceremony == CeremonyState::RekeyAcks) || w.custodians.iter().all(|c| !c.acked)
    }),
    /// A new share that is damaged is refused by its custodian, and changes nothing.
    step("damaged-share-changes-nothing", |s| match s.action {
        Action::AckShare { condition: Condition::Damaged, .. } => !s.accepted() && s.before == s.after,
        _ => true,
    }),
    /// When the time is over, no ceremony and no window is open, and no custodian's client holds a share.
    step("time-ends-all", |s| {
        let over = s.after.nodes.iter().all(|n| n.ceremony == CeremonyState::None && n.window == Window::None)
            && s.after.custodians.iter().all(|c| c.share == Share::NONE);
        s.action != Action::Advance || over
    }),
    /// A node is unsealed.
    sometimes("unsealed", |r, w| w.nodes[..r.nodes as usize].iter().any(|n| !n.sealed)),
    /// A rekey ends, and the former shares are retired.
    sometimes("rekeyed", |_, w| w.retired_shares),
    /// A custodian's client holds a share for a ceremony that is over.
    sometimes("share-for-a-dead-ceremony", |_, w| w.custodians.iter().any(|c| c.share == Share::OLD)),
    /// From every state all nodes can be unsealed.
    Property {
        about: "",
        id: "can-unseal",
        kind: Kind::CanAlwaysStill(|r, w| w.nodes[..r.nodes as usize].iter().all(|n| !n.sealed)),
        holds: true,
    },
    // Disaster.
    /// From every state each user who was not purged can again be enrolled with the key that the keystore holds.
    Property {
        about: "",
        id: "key-can-come-back",
        kind: Kind::CanAlwaysStill(|r, w| {
            w.users[..r.users as usize]
                .iter()
                .all(|u| u.standing == Standing::Purged || (u.enrolled != NO_KEY && escrowed_as_logged(u)))
                && !w.nodes[0].sealed
        }),
        holds: true,
    },
    /// A snapshot of a retired share epoch is not staged.
    step("retired-snapshot-stays-out", |s| match s.action {
        Action::StageRestore { .. } => !s.accepted() || s.before.snapshot == SnapshotState::Current,
        _ => true,
    }),
    /// A damaged snapshot is refused, and changes nothing.
    step("damaged-changes-nothing", |s| match s.action {
        Action::StageRestore { condition: Condition::Damaged } => !s.accepted() && s.before == s.after,
        _ => true,
    }),
    /// A purged user's account is purged, and its key gone, wherever the keystore is unsealed and has heard of it.
    always("purged-stays-purged", |r, w| {
        let told = !w.nodes[0].sealed && w.freshness(r, Point::Keystore) == Freshness::Current;
        let purged = |u: &UserState| u.account == AccountState::Purged && u.escrowed == NO_KEY;
        !told || w.users.iter().all(|u| u.standing != Standing::Purged || purged(u))
    }),
    /// A disaster loses an account's key.
    sometimes("key-lost", |_, w| w.users.iter().any(|u| u.account == AccountState::Lost)),
    /// A snapshot holds an account whose user was purged since.
    sometimes("purged-in-snapshot", |_, w| {
        w.users.iter().any(|u| u.standing == Standing::Purged && u.snapshot_account == AccountState::Active)
    }),
    /// A receipt from before a restore is on its way.
    sometimes("outdated-receipt", |_, w| {
        w.devices.iter().any(|d| d.lane.message == Slot::of(Message::Receipt) && d.lane.outdated)
    }),
    // The least adversary.
    /// No root of one host opens the keys of two users.
    broken("no-master-key", |_, w| w.users.iter().filter(|u| u.opened_by_root).count() < 2),
    /// Shares and a stolen snapshot open no key.
    broken("shares-are-not-data", |_, w| w.users.iter().all(|u| !u.opened_by_shares)),
    /// Fewer corrupt custodians than the threshold open no key.
    always("below-threshold-nothing", |r, w| {
        let corrupt = w.custodians.iter().filter(|c| c.corrupt).count() as u8;
        corrupt >= r.threshold || w.users.iter().all(|u| !u.opened_by_shares)
    }),
    /// A stolen snapshot opens no key without a corrupt custodian.
    always("snapshot-alone-nothing", |_, w| {
        w.custodians.iter().any(|c| c.corrupt) || w.users.iter().all(|u| !u.opened_by_shares)
    }),
];

/// The property of an id.
pub fn find(id: &str) -> Option<&'static Property> {
    ALL.iter().find(|property| property.id == id)
}

//! The properties: what the claims of `spec/claims.toml` mean in the model. None reads a mutation.

use bailee_spec::action::{Action, Asking, Caller, Condition, Handing, Lane, Point, Requester};
use bailee_spec::limits::MARGIN_TICKS;
use bailee_spec::observation::{
    AccountState, Attempt, CeremonyState, DeviceState, Disk, Freshness, JobKind, JobState, Message, Standing, Window,
};
use bailee_spec::outcome::Outcome;

use super::SmallWorld;
use super::publication::OVER;
use super::step::{Receiver, Rules, receiver};
use super::world::{LaneState, NO_KEY, Share, Slot, SnapshotState, UserState};

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
#[derive(Clone, Copy)]
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
#[derive(Clone, Copy)]
pub struct Property {
    /// Its id.
    pub id: &'static str,
    /// What it says.
    pub kind: Kind,
    /// Whether it holds; false: its violation is the expected result (`classic` cannot keep the promise).
    pub holds: bool,
}

const fn always(id: &'static str, holds: fn(&Rules, &SmallWorld) -> bool) -> Property {
    Property { id, kind: Kind::Always(holds), holds: true }
}

const fn broken(id: &'static str, holds: fn(&Rules, &SmallWorld) -> bool) -> Property {
    Property { id, kind: Kind::Always(holds), holds: false }
}

const fn step(id: &'static str, holds: fn(&Step<'_>) -> bool) -> Property {
    Property { id, kind: Kind::AlwaysStep(holds), holds: true }
}

const fn sometimes(id: &'static str, shows: fn(&Rules, &SmallWorld) -> bool) -> Property {
    Property { id, kind: Kind::Sometimes(shows), holds: true }
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

/// Every property of the `classic` profile.
pub const ALL: &[Property] = &[
    // Enrolment.
    step("fresh-session", |s| match s.delivered() {
        Some((_, Message::BeginEnrolment | Message::PresentCertificate | Message::AddDevice, lane)) => {
            !s.accepted() || lane.live
        }
        _ => true,
    }),
    step("account-after-admission", |s| {
        let users = s.before.users.iter().zip(&s.after.users).take(s.rules.users.into());
        users.enumerate().all(|(user, (before, after))| {
            let created = before.account == AccountState::None && after.account == AccountState::Empty;
            let restored = !matches!(s.action, Action::Deliver { .. } | Action::DeliverThenCrash { .. });
            let admitted =
                s.rules.devices_of(user as u8).any(|d| s.before.devices[d].attempt_at_keystore != Attempt::None);
            !created || restored || admitted
        })
    }),
    always("one-key", |_, w| {
        w.users.iter().all(|u| !holds_key(u) || u.enrolled == NO_KEY || u.escrowed == u.enrolled)
    }),
    always("kept-key-is-escrowed", |r, w| {
        (0..r.users * r.devices_per_user).all(|d| {
            let key = w.devices[d as usize].disk_key;
            let user = &w.users[r.user_of(d) as usize];
            let escrowed = holds_key(user) && user.escrowed == key;
            let lost = user.account == AccountState::Lost && user.enrolled == key;
            key == NO_KEY || escrowed || lost || user.standing == Standing::Purged
        })
    }),
    always("authorised-is-escrowed", |r, w| {
        (0..r.users * r.devices_per_user).all(|d| {
            let user = &w.users[r.user_of(d) as usize];
            w.devices[d as usize].at_authority != DeviceState::Active || user.enrolled != NO_KEY
        })
    }),
    always("logged-key-is-held", |_, w| {
        w.users.iter().all(|u| u.enrolled == NO_KEY || escrowed_as_logged(u) || u.account == AccountState::Lost)
    }),
    always("keys-differ", |r, w| {
        let keys = |user: u8| {
            let own = r.devices_of(user).flat_map(|d| [w.devices[d].disk_key, w.devices[d].memory_key]);
            own.chain([w.users[user as usize].escrowed]).filter(|key| *key != NO_KEY)
        };
        r.users < 2 || keys(0).all(|a| keys(1).all(|b| a != b))
    }),
    sometimes("enrolled", |_, w| w.users[0].enrolled != NO_KEY && w.devices.iter().any(|d| d.disk == Disk::Key)),
    sometimes("race-lost", |_, w| w.devices.iter().any(|d| d.lane.message == Slot::of(Message::GoReplace))),
    // The keystore and releases.
    step("sealed-serves-nothing", |s| match s.delivered() {
        Some((lane, message, _)) if receiver(message, lane) == Receiver::Keystore => {
            !s.accepted() || !s.before.nodes[0].sealed || message == Message::GrantRefused
        }
        _ => true,
    }),
    step("release-is-recorded", |s| match s.action {
        Action::Deliver { lane } if s.after.lane(lane).message == Slot::of(Message::SealedKey) => {
            s.before.lane(lane).message == Slot::of(Message::GrantConsumed)
        }
        _ => true,
    }),
    step("suspended-gets-no-key", |s| {
        let suspended = |user: u8| s.before.users[user as usize].standing == Standing::Suspended;
        let for_suspended = match s.action {
            Action::Request { user, .. } => suspended(user),
            _ => s.delivered().is_some_and(|(lane, message, _)| {
                let device_key = message == Message::SealedKey && lane != Lane::Job;
                let gives = device_key || matches!(message, Message::ConsumeGrant | Message::AddDevice);
                gives && suspended(s.before.user_of_lane(s.rules, lane))
            }),
        };
        !for_suspended || !s.accepted()
    }),
    always("own-key-only", |r, w| {
        // After a disaster the account may lack the key that is under way; the log still says whose it is.
        let owned = |user: u8, key: u8| {
            let user = &w.users[user as usize];
            key == NO_KEY || key == user.escrowed || key == user.enrolled
        };
        let released = |lane: &LaneState| {
            matches!(lane.message.get(), Some(Message::SealedKey | Message::KeyDelivery)) && !lane.outdated
        };
        let job = !released(&w.job.lane) || owned(w.job.user, w.job.lane.key);
        job && (w.job.held == NO_KEY || r.users < 2 || owned(w.job.user, w.job.held))
    }),
    step("dormant-is-not-released", |s| match s.delivered() {
        Some((lane, Message::ReleaseKey | Message::GrantConsumed, _)) => {
            let user = s.before.user_of_lane(s.rules, lane);
            !s.accepted() || s.before.users[user as usize].account == AccountState::Active
        }
        _ => true,
    }),
    sometimes("replaced", |_, w| w.devices.iter().filter(|d| d.disk == Disk::Key).count() > 1),
    // Jobs.
    step("only-entitled-ask", |s| match s.action {
        Action::Request { by, .. } if s.accepted() => match by {
            Requester::Owner | Requester::Schedule => true,
            Requester::Admin => s.before.admin_right,
            _ => false,
        },
        _ => true,
    }),
    always("on-behalf-is-announced", |_, w| {
        w.job.state == JobState::None || w.job.kind != JobKind::OnBehalf || w.job.noticed
    }),
    always("job-over-key-gone", |_, w| {
        w.job.held == NO_KEY || matches!(w.job.state, JobState::KeyHeld | JobState::Ending)
    }),
    step("restorer-crash-purges", |s| s.action != Action::CrashRestorer || s.after.job.held == NO_KEY),
    sometimes("restorer-holds-key", |_, w| w.job.held != NO_KEY),
    sometimes("aborted-with-key", |_, w| w.job.state == JobState::Ending && w.job.held != NO_KEY),
    Property {
        id: "held-leads-to-purged",
        kind: Kind::LeadsTo(|_, w| w.job.held != NO_KEY, |_, w| w.job.held == NO_KEY),
        holds: true,
    },
    broken("key-only-in-session", |_, w| w.job.held == NO_KEY || w.job.kind != JobKind::Maintenance),
    broken("vendor-holds-no-key", |_, w| w.job.held == NO_KEY),
    broken("on-behalf-unseen", |_, w| w.job.held == NO_KEY || w.job.kind != JobKind::OnBehalf),
    // Revocation.
    step("revoked-gets-no-key", |s| match s.delivered() {
        Some((lane, Message::ConsumeGrant | Message::SealedKey, _)) => {
            !s.accepted() || s.device_state(lane).is_none_or(|state| !revoked(state))
        }
        _ => true,
    }),
    step("no-release-after-ack", |s| match s.delivered() {
        Some((lane, Message::GrantConsumed, _)) => {
            !s.accepted() || s.device_state(lane) != Some(DeviceState::Revoked)
        }
        _ => true,
    }),
    step("no-escrow-after-ack", |s| match s.delivered() {
        Some((lane, Message::Escrow, _)) => !s.accepted() || s.device_state(lane) != Some(DeviceState::Revoked),
        _ => true,
    }),
    step("ack-after-points", |s| {
        let acknowledged = s.before.devices.iter().zip(&s.after.devices).any(|(before, after)| {
            before.at_authority != DeviceState::Revoked && after.at_authority == DeviceState::Revoked
        });
        let behind = |point: &Point| s.after.freshness(s.rules, *point) == Freshness::Behind;
        !acknowledged || !Point::ALL.iter().any(behind)
    }),
    step("no-append-after-ack", |s| match s.action {
        Action::Append { device } if s.accepted() => {
            s.before.devices[device as usize].at_authority != DeviceState::Revoked
        }
        _ => true,
    }),
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
    step("append-in-time", |s| match s.action {
        Action::Append { device } if s.accepted() => {
            s.before.devices[device as usize].capability_end > s.before.over_up_to(MARGIN_TICKS)
        }
        _ => true,
    }),
    step("marks-never-fall", |s| {
        s.before.points.iter().zip(&s.after.points).all(|(before, after)| after.mark >= before.mark)
    }),
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
    always("confirmed-is-known", |r, w| {
        let known = |point: &Point| w.points[*point as usize].mark == w.newest;
        let served = Point::ALL.iter().filter(|point| r.points[**point as usize]);
        served.filter(|point| w.points[**point as usize].confirmed).all(known)
    }),
    always("lease-within-record", |_, w| w.points.iter().all(|at| at.lease <= at.named)),
    always("over-at-authority-is-over", |_, w| w.points.iter().all(|at| at.named > 1 || at.lease == OVER)),
    sometimes("acknowledged-by-lease", |r, w| {
        let unheard = |point: &Point| r.points[*point as usize] && w.points[*point as usize].mark < w.newest;
        w.devices.iter().any(|d| d.at_authority == DeviceState::Revoked) && Point::ALL.iter().any(unheard)
    }),
    sometimes("publish-overtaken", |_, w| {
        let overtaken = |lane: &LaneState, mark: u8| lane.message == Slot::of(Message::Publish) && lane.epoch < mark;
        w.points.iter().any(|at| overtaken(&at.lane, at.mark) || overtaken(&at.late, at.mark))
    }),
    Property {
        id: "can-confirm",
        kind: Kind::CanAlwaysStill(|_, w| w.points.iter().all(|at| at.confirmed)),
        holds: true,
    },
    step("contact-wipes", |s| match s.action {
        Action::Contact { device } if s.accepted() => {
            let device = device as usize;
            !revoked(s.before.devices[device].at_authority) || s.after.devices[device].disk == Disk::Blank
        }
        _ => true,
    }),
    sometimes("revoked-in-flight", |_, w| {
        w.devices.iter().any(|d| revoked(d.at_authority) && d.lane.message == Slot::of(Message::GrantConsumed))
    }),
    sometimes("acknowledged", |_, w| w.devices.iter().any(|d| d.at_authority == DeviceState::Revoked)),
    // Ceremonies.
    step("start-is-sealed", |s| match s.action {
        Action::Restart { node } => s.after.nodes[node as usize].sealed,
        _ => true,
    }),
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
    step("share-to-owner", |s| match s.action {
        Action::RequestShare { asking, .. } => !s.accepted() || asking == Asking::Honestly,
        _ => true,
    }),
    step("share-only-in-window", |s| match s.action {
        Action::RequestShare { node, .. } => !s.accepted() || s.before.nodes[node as usize].window != Window::None,
        _ => true,
    }),
    step("alert-before-share", |s| match s.action {
        Action::RequestShare { .. } => !s.accepted() || s.before.alerts_up,
        _ => true,
    }),
    step("strangers-change-nothing", |s| match s.action {
        Action::OpenCeremony { by: Caller::Stranger, .. } => s.before == s.after,
        _ => true,
    }),
    step("rekey-by-all", |s| match s.action {
        Action::AckShare { custodian, .. } => {
            let acks = |n: usize| s.before.nodes[n].ceremony == CeremonyState::RekeyAcks;
            let over =
                (0..s.rules.nodes as usize).any(|n| acks(n) && s.after.nodes[n].ceremony == CeremonyState::None);
            let others =
                (0..s.rules.custodians).filter(|&c| c != custodian).all(|c| s.before.custodians[c as usize].acked);
            !over || others
        }
        _ => true,
    }),
    step("time-ends-all", |s| {
        let over = s.after.nodes.iter().all(|n| n.ceremony == CeremonyState::None)
            && s.after.custodians.iter().all(|c| c.share == Share::NONE);
        s.action != Action::Advance || over
    }),
    sometimes("unsealed", |r, w| w.nodes[..r.nodes as usize].iter().any(|n| !n.sealed)),
    sometimes("rekeyed", |_, w| w.retired_shares),
    sometimes("share-for-a-dead-ceremony", |_, w| w.custodians.iter().any(|c| c.share == Share::OLD)),
    Property {
        id: "can-unseal",
        kind: Kind::CanAlwaysStill(|r, w| w.nodes[..r.nodes as usize].iter().all(|n| !n.sealed)),
        holds: true,
    },
    // Disaster.
    Property {
        id: "key-can-come-back",
        kind: Kind::CanAlwaysStill(|r, w| {
            w.users[..r.users as usize]
                .iter()
                .all(|u| u.standing == Standing::Purged || (u.enrolled != NO_KEY && escrowed_as_logged(u)))
                && !w.nodes[0].sealed
        }),
        holds: true,
    },
    step("retired-snapshot-stays-out", |s| match s.action {
        Action::StageRestore { .. } => !s.accepted() || s.before.snapshot == SnapshotState::Current,
        _ => true,
    }),
    step("damaged-changes-nothing", |s| match s.action {
        Action::StageRestore { condition: Condition::Damaged } => !s.accepted() && s.before == s.after,
        _ => true,
    }),
    always("purged-stays-purged", |r, w| {
        let told = !w.nodes[0].sealed && w.freshness(r, Point::Keystore) == Freshness::Current;
        !told || w.users.iter().all(|u| u.standing != Standing::Purged || u.account == AccountState::Purged)
    }),
    sometimes("key-lost", |_, w| w.users.iter().any(|u| u.account == AccountState::Lost)),
    sometimes("purged-in-snapshot", |_, w| {
        w.users.iter().any(|u| u.standing == Standing::Purged && u.snapshot_account == AccountState::Active)
    }),
    sometimes("outdated-receipt", |_, w| {
        w.devices.iter().any(|d| d.lane.message == Slot::of(Message::Receipt) && d.lane.outdated)
    }),
    // The least adversary.
    broken("no-master-key", |_, w| w.users.iter().filter(|u| u.opened_by_root).count() < 2),
    broken("shares-are-not-data", |_, w| w.users.iter().all(|u| !u.opened_by_shares)),
    always("below-threshold-nothing", |r, w| {
        let corrupt = w.custodians.iter().filter(|c| c.corrupt).count() as u8;
        corrupt >= r.threshold || w.users.iter().all(|u| !u.opened_by_shares)
    }),
    always("snapshot-alone-nothing", |_, w| {
        w.custodians.iter().any(|c| c.corrupt) || w.users.iter().all(|u| !u.opened_by_shares)
    }),
];

/// The property of an id.
pub fn find(id: &str) -> Option<&'static Property> {
    ALL.iter().find(|property| property.id == id)
}

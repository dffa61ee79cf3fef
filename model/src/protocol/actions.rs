//! Every action that a scope tries.

use std::ops::Range;

use bailee_spec::action::{Action, Asking, Caller, Clock, Condition, Handing, Lane, Point, Purpose, Requester};
use bailee_spec::scope::{Part, Scope};

/// The administrators who try the same.
const ADMINS: [Requester; 2] = [Requester::Admin, Requester::ForeignAdmin];

/// Every action that a scope tries in every state, part by part in the order of the scope.
pub fn actions_of(scope: &Scope) -> Vec<Action> {
    let mut tried = Tried { scope, actions: Vec::new() };
    for &part in &scope.parts {
        tried.of_part(part);
    }
    tried.of_any_job();
    if tried.has(Part::CrashAfterWrite) {
        tried.deliveries_with_a_crash();
    }
    tried.actions
}

struct Tried<'s> {
    scope: &'s Scope,
    actions: Vec<Action>,
}

impl Tried<'_> {
    fn has(&self, part: Part) -> bool {
        self.scope.parts.contains(&part)
    }

    fn users(&self) -> Range<u8> {
        0..self.scope.users
    }

    fn devices(&self) -> Range<u8> {
        0..self.scope.users * self.scope.devices_per_user
    }

    fn nodes(&self) -> Range<u8> {
        0..self.scope.nodes
    }

    fn custodians(&self) -> Range<u8> {
        0..self.scope.custodians
    }

    fn of_part(&mut self, part: Part) {
        match part {
            Part::SignIn | Part::Backup => self.of_devices(part),
            Part::Revocation | Part::Publication => self.of_revocation(part),
            Part::Suspension | Part::Deactivation | Part::Purge => self.of_standing(part),
            Part::OwnRestore | Part::OnBehalf | Part::Maintenance | Part::Abort | Part::AdminRight => {
                self.of_jobs(part)
            }
            Part::Ceremony | Part::Rekey | Part::CustodianLoss | Part::UnsealTogether | Part::RekeyTogether => {
                self.of_ceremonies(part)
            }
            Part::Disaster | Part::KeyReturn | Part::Adversary => self.of_disasters(part),
            Part::DeviceCrash
            | Part::Late
            | Part::KeystoreRestart
            | Part::RestorerCrash
            | Part::AlertOutage
            | Part::Time
            | Part::Clocks => self.of_the_world(part),
            Part::CrashAfterWrite => {}
        }
    }

    /// What devices and their users begin.
    fn of_devices(&mut self, part: Part) {
        match part {
            Part::SignIn => {
                self.actions.extend(self.devices().map(|device| Action::SignIn { device }));
                self.actions.extend(self.devices().map(|d| Action::Deliver { lane: Lane::Device(d) }));
            }
            Part::Backup => self.actions.extend(self.devices().flat_map(|device| {
                [Action::OpenBackup { device }, Action::Append { device }, Action::Fetch { device }]
            })),
            _ => {}
        }
    }

    /// Deauthorizations, and how the points hear of them.
    fn of_revocation(&mut self, part: Part) {
        match part {
            Part::Revocation => {
                for device in self.devices() {
                    for by in [Requester::Owner, Requester::Neighbour, Requester::ForeignAdmin] {
                        self.actions.push(Action::Deauthorize { device, by });
                    }
                    self.actions.push(Action::Contact { device });
                }
                if !self.has(Part::Publication) {
                    self.actions.extend(Point::ALL.map(|point| Action::PublishTogether { point }));
                }
            }
            Part::Publication => {
                for &point in &self.scope.points {
                    let (lane, late) = (Lane::Point(point), Lane::LatePoint(point));
                    self.actions.extend([Action::Publish { point }, Action::Duplicate { lane }]);
                    self.actions.extend([lane, late].map(|lane| Action::Deliver { lane }));
                    self.actions.extend([lane, late].map(|lane| Action::Drop { lane }));
                }
            }
            _ => {}
        }
    }

    /// What administrators and the schedule do to users.
    fn of_standing(&mut self, part: Part) {
        match part {
            Part::Suspension => {
                let both = |user, by| [Action::Suspend { user, by }, Action::Resume { user, by }];
                self.actions
                    .extend(self.users().flat_map(|user| ADMINS.into_iter().flat_map(move |by| both(user, by))));
            }
            Part::Deactivation => {
                let both = |user, by| [Action::Deactivate { user, by }, Action::Reactivate { user, by }];
                self.actions
                    .extend(self.users().flat_map(|user| ADMINS.into_iter().flat_map(move |by| both(user, by))));
                if !self.has(Part::Revocation) {
                    self.actions.extend(self.devices().map(|device| Action::Contact { device }));
                    self.actions.extend(Point::ALL.map(|point| Action::PublishTogether { point }));
                }
            }
            Part::Purge => self.actions.extend(self.users().map(|user| Action::Purge { user })),
            _ => {}
        }
    }

    /// Restores by the service, and who may order them.
    fn of_jobs(&mut self, part: Part) {
        match part {
            Part::OwnRestore => {
                let by = [Requester::Owner, Requester::OwnerWithoutStepUp, Requester::Neighbour];
                self.actions.extend(self.users().flat_map(|user| by.map(|by| Action::Request { by, user })));
                if self.scope.tenants > 1 {
                    let by = Requester::Namesake;
                    self.actions.extend(self.users().map(|user| Action::Request { by, user }));
                }
            }
            Part::OnBehalf => {
                self.actions.extend(self.users().flat_map(|user| ADMINS.map(|by| Action::Request { by, user })));
            }
            Part::Maintenance => {
                self.actions.extend(self.users().map(|user| Action::Request { by: Requester::Schedule, user }));
            }
            Part::Abort => {
                let by = [Requester::Owner, Requester::Neighbour, Requester::ForeignAdmin];
                self.actions.extend(by.map(|by| Action::Abort { by }));
                self.actions.push(Action::DeliverAbort);
            }
            Part::AdminRight => {
                let both = |tenant| [Action::WithdrawRight { tenant }, Action::GrantRight { tenant }];
                self.actions.extend((0..self.scope.tenants).flat_map(both));
            }
            _ => {}
        }
    }

    /// Ceremonies and custodians.
    fn of_ceremonies(&mut self, part: Part) {
        match part {
            Part::Ceremony => self.of_unsealing(),
            Part::Rekey => {
                for node in self.nodes() {
                    let (purpose, by) = (Purpose::Rekey, Caller::Operator);
                    self.actions.push(Action::OpenCeremony { node, purpose, by });
                }
                for custodian in self.custodians() {
                    for condition in [Condition::Intact, Condition::Damaged] {
                        self.actions.push(Action::AckShare { custodian, condition });
                    }
                    for node in self.nodes() {
                        self.actions.push(Action::SubmitShare { custodian, node, handing: Handing::Retired });
                    }
                }
            }
            Part::CustodianLoss => {
                for custodian in self.custodians() {
                    self.actions.push(Action::LoseCustodian { custodian });
                    let conditions = [Condition::Intact, Condition::Damaged];
                    self.actions.extend(conditions.map(|condition| Action::AckShare { custodian, condition }));
                }
                self.actions.extend(self.nodes().map(|node| Action::OpenReplacement { node }));
            }
            Part::UnsealTogether => self.actions.extend(self.nodes().map(|node| Action::UnsealTogether { node })),
            Part::RekeyTogether => self.actions.push(Action::RekeyTogether),
            _ => {}
        }
    }

    /// Snapshots, what comes back, and what an adversary takes.
    fn of_disasters(&mut self, part: Part) {
        match part {
            Part::Disaster => {
                self.actions.push(Action::Snapshot);
                self.actions
                    .extend([Condition::Intact, Condition::Damaged].map(|c| Action::StageRestore { condition: c }));
            }
            Part::KeyReturn => {
                self.actions.extend(self.users().map(|user| Action::Replay { user }));
                self.actions.extend(self.devices().map(|device| Action::ReEscrow { device }));
            }
            Part::Adversary => {
                self.actions.extend(self.nodes().map(|node| Action::ReadHost { node }));
                self.actions.extend(self.custodians().map(|custodian| Action::CorruptCustodian { custodian }));
                self.actions.push(Action::StealSnapshot);
            }
            _ => {}
        }
    }

    /// What a machine, a network and a clock do.
    fn of_the_world(&mut self, part: Part) {
        match part {
            Part::DeviceCrash => self.actions.extend(self.devices().map(|device| Action::CrashDevice { device })),
            Part::Late => {
                for d in self.devices() {
                    self.actions.push(Action::Deliver { lane: Lane::Late(d) });
                    self.actions.push(Action::DropLate { device: d });
                }
            }
            Part::KeystoreRestart => self.actions.extend(self.nodes().map(|node| Action::Restart { node })),
            Part::RestorerCrash => self.actions.push(Action::CrashRestorer),
            Part::AlertOutage => self.actions.extend([false, true].map(|up| Action::AlertSink { up })),
            Part::Time => self.actions.push(Action::Advance),
            Part::Clocks => {
                self.actions.extend([Clock::Authority, Clock::Points].map(|clock| Action::Tick { clock }))
            }
            _ => {}
        }
    }

    fn of_unsealing(&mut self) {
        for node in self.nodes() {
            for by in [Caller::Operator, Caller::Stranger] {
                self.actions.push(Action::OpenCeremony { node, purpose: Purpose::Unseal, by });
            }
            self.actions.push(Action::Announce { node });
            self.actions.push(Action::Seal { node });
            for custodian in self.custodians() {
                for asking in [Asking::Honestly, Asking::WithoutCode, Asking::WithUsedCode, Asking::ForAnother] {
                    self.actions.push(Action::RequestShare { custodian, node, asking });
                }
                for handing in [Handing::Right, Handing::Wrong, Handing::AsAnother] {
                    self.actions.push(Action::SubmitShare { custodian, node, handing });
                }
            }
        }
    }

    /// A part that knows jobs has what any job meets.
    fn of_any_job(&mut self) {
        let jobs = [Part::OwnRestore, Part::OnBehalf, Part::Maintenance];
        if jobs.iter().any(|part| self.has(*part)) {
            self.actions.extend([Action::Deliver { lane: Lane::Job }, Action::FinishJob, Action::FailJob]);
        }
    }

    fn deliveries_with_a_crash(&mut self) {
        let crashing = |action: &Action| match action {
            Action::Deliver { lane } => Some(Action::DeliverThenCrash { lane: *lane }),
            _ => None,
        };
        let more: Vec<Action> = self.actions.iter().filter_map(crashing).collect();
        self.actions.extend(more);
    }
}

//! Restore, restore on a user's behalf and maintenance through the restorer (JOB).

use bailee_spec::action::{Point, Requester, Tenant, User};
use bailee_spec::observation::{JobKind, JobState, Message};
use bailee_spec::outcome::Refusal;

use super::mutation::Mutation;
use super::step::{Check, Rules, Turn};
use super::world::{LaneState, NO_KEY, Slot};

impl<const U: usize, const N: usize> Turn<'_, U, N> {
    /// JOB-1.
    pub(super) fn request(&mut self, by: Requester, user: User) -> Check {
        if self.w.job.lane.message.is_some() {
            return Err(Refusal::LaneBusy);
        }
        self.may_request(by, user)?;
        self.may_use_key(user)?;
        if self.w.users[user as usize].enrolled == NO_KEY {
            return Err(Refusal::NotEnrolled);
        }
        if self.w.job.state != JobState::None {
            return Err(Refusal::Busy);
        }
        let no_restorer = match self.rules.publication {
            true => {
                let unheard = !self.w.points[2].confirmed && self.w.named_is_over(Point::Restorer);
                !self.rules.points[2] || unheard
            }
            false => self.fenced(Point::Restorer),
        };
        if no_restorer {
            return Err(Refusal::NoRestorer);
        }
        self.w.job.state = JobState::Assigned;
        self.w.job.kind = match by {
            Requester::Admin | Requester::ForeignAdmin => JobKind::OnBehalf,
            Requester::Schedule => JobKind::Maintenance,
            _ => JobKind::Own,
        };
        self.w.job.noticed = self.w.job.kind == JobKind::OnBehalf && !self.rules.has(Mutation::NoNotice);
        self.w.job.user = user;
        self.w.job.lane = LaneState { message: Slot::of(Message::AssignJob), live: true, ..LaneState::fresh() };
        Ok(())
    }

    fn may_request(&self, by: Requester, user: User) -> Check {
        self.rules.may_ever_request(by)?;
        let (own, rights) = (self.rules.tenant_of(user) as usize, &self.w.admin_right);
        let somewhere = self.rules.has(Mutation::RightOfAnyTenant) && rights.contains(&true);
        let has = rights[own] || somewhere;
        if by == Requester::Admin && !has && !self.rules.has(Mutation::RightNotChecked) {
            return Err(Refusal::NoRestoreRight);
        }
        Ok(())
    }

    /// JOB-4.
    pub(super) fn finish_job(&mut self) -> Check {
        self.restorer_may_end()?;
        let outcome = if self.fenced(Point::Storage) || self.fenced(Point::Restorer) {
            Err(Refusal::LeaseExpired)
        } else if !self.w.users[self.w.job.user as usize].archive {
            Err(Refusal::NothingStored)
        } else {
            Ok(())
        };
        let kept = match outcome {
            Ok(()) => Mutation::KeyLeftOnSuccess,
            Err(_) => Mutation::KeyLeftOnFailure,
        };
        self.restorer_ends(kept);
        outcome
    }

    /// JOB-5.
    pub(super) fn fail_job(&mut self) -> Check {
        self.restorer_may_end()?;
        self.restorer_ends(Mutation::KeyLeftOnFailure);
        Ok(())
    }

    fn restorer_may_end(&self) -> Check {
        if self.w.job.held == NO_KEY {
            return Err(Refusal::OutOfTurn);
        }
        if self.w.job.lane.message.is_some() {
            return Err(Refusal::LaneBusy);
        }
        Ok(())
    }

    fn restorer_ends(&mut self, kept_by: Mutation) {
        if !self.rules.has(kept_by) && !self.rules.has(Mutation::KeyWaitsForClock) {
            self.w.job.held = NO_KEY;
        }
        self.w.job.lane = LaneState { message: Slot::of(Message::JobEnd), live: true, ..LaneState::fresh() };
    }

    /// JOB-6.
    pub(super) fn abort(&mut self, by: Requester) -> Check {
        self.rules.may_abort(by)?;
        let too_late = self.w.job.state == JobState::KeyHeld && self.rules.has(Mutation::AbortTooLate);
        if too_late || !matches!(self.w.job.state, JobState::Assigned | JobState::KeyHeld) {
            return Err(Refusal::JobOver);
        }
        self.w.job.state = JobState::Ending;
        Ok(())
    }

    /// JOB-7.
    pub(super) fn deliver_abort(&mut self) -> Check {
        if self.w.job.state != JobState::Ending {
            return Err(Refusal::NothingInFlight);
        }
        if !self.rules.has(Mutation::KeyLeftOnAbort) && !self.rules.has(Mutation::KeyWaitsForClock) {
            self.w.job.held = NO_KEY;
        }
        self.w.job.waiting = false;
        self.w.job.state = JobState::None;
        Ok(())
    }

    /// JOB-8.
    pub(super) fn withdraw_right(&mut self, tenant: Tenant) -> Check {
        if !self.w.admin_right[tenant as usize] {
            return Err(Refusal::NoRestoreRight);
        }
        self.w.admin_right[tenant as usize] = false;
        let theirs =
            self.rules.tenant_of(self.w.job.user) == tenant || self.rules.has(Mutation::WithdrawalEverywhere);
        let running = theirs && matches!(self.w.job.state, JobState::Assigned | JobState::KeyHeld);
        let spared = self.rules.has(Mutation::WithdrawalSparesJobs);
        if running && self.w.job.kind == JobKind::OnBehalf && !spared {
            self.w.job.state = JobState::Ending;
        }
        Ok(())
    }

    /// JOB-9.
    pub(super) fn crash_restorer(&mut self) {
        if !self.rules.has(Mutation::KeyOnRestorerDisk) {
            self.w.job.held = NO_KEY;
        }
        self.w.job.waiting = false;
    }
}

/// What is refused whatever the world is like.
impl Rules {
    /// JOB-6, first checks: whatever the world is like.
    pub(super) fn may_abort(&self, by: Requester) -> Check {
        match by {
            Requester::ForeignAdmin if !self.has(Mutation::ForeignAdminAborts) => Err(Refusal::OtherTenant),
            Requester::Neighbour | Requester::Namesake => Err(Refusal::NotYourArchive),
            _ => Ok(()),
        }
    }

    /// Those who are refused a request whatever the world is like.
    pub(super) fn may_ever_request(&self, by: Requester) -> Check {
        match by {
            Requester::OwnerWithoutStepUp if !self.has(Mutation::NoStepUp) => Err(Refusal::StepUpRequired),
            Requester::Neighbour if !self.has(Mutation::NeighbourRestores) => Err(Refusal::NotYourArchive),
            Requester::Namesake if !self.has(Mutation::NamesakeRestores) => Err(Refusal::NotYourArchive),
            Requester::ForeignAdmin if !self.has(Mutation::ForeignAdminRestores) => Err(Refusal::OtherTenant),
            Requester::Admin if self.has(Mutation::NoOnBehalf) => Err(Refusal::NoRestoreRight),
            Requester::Schedule if self.has(Mutation::NoMaintenance) => Err(Refusal::NoRestoreRight),
            _ => Ok(()),
        }
    }
}

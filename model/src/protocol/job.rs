//! Restore, restore on a user's behalf and maintenance through the restorer (JOB).

use bailee_spec::action::{Requester, User};
use bailee_spec::observation::{Freshness, JobKind, JobState, Message};
use bailee_spec::outcome::Refusal;

use super::mutation::Mutation;
use super::step::{Check, Rules};
use super::world::{LaneState, NO_KEY, Slot, World};

impl Rules {
    /// JOB-1.
    pub(super) fn request<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        by: Requester,
        user: User,
    ) -> Check {
        if w.job.lane.message.is_some() {
            return Err(Refusal::LaneBusy);
        }
        self.may_request(w, by)?;
        self.may_use_key(w, user)?;
        if w.users[user as usize].enrolled == NO_KEY {
            return Err(Refusal::NotEnrolled);
        }
        if w.job.state != JobState::None {
            return Err(Refusal::Busy);
        }
        if w.points[2] == Freshness::Fenced {
            return Err(Refusal::NoRestorer);
        }
        w.job.state = JobState::Assigned;
        w.job.kind = match by {
            Requester::Admin | Requester::ForeignAdmin => JobKind::OnBehalf,
            Requester::Schedule => JobKind::Maintenance,
            _ => JobKind::Own,
        };
        w.job.noticed = w.job.kind == JobKind::OnBehalf && !self.has(Mutation::NoNotice);
        w.job.user = user;
        w.job.lane = LaneState { message: Slot::of(Message::AssignJob), live: true, ..LaneState::EMPTY };
        Ok(())
    }

    fn may_request<const U: usize, const N: usize>(&self, w: &World<U, N>, by: Requester) -> Check {
        self.may_ever_request(by)?;
        if by == Requester::Admin && !w.admin_right && !self.has(Mutation::RightNotChecked) {
            return Err(Refusal::NoRestoreRight);
        }
        Ok(())
    }

    /// Whoever is refused a request whatever the world is like.
    pub(super) fn may_ever_request(&self, by: Requester) -> Check {
        match by {
            Requester::OwnerWithoutStepUp if !self.has(Mutation::NoStepUp) => Err(Refusal::StepUpRequired),
            Requester::Neighbour if !self.has(Mutation::NeighbourRestores) => Err(Refusal::NotYourArchive),
            Requester::ForeignAdmin if !self.has(Mutation::ForeignAdminRestores) => Err(Refusal::OtherTenant),
            Requester::Admin if self.has(Mutation::NoOnBehalf) => Err(Refusal::NoRestoreRight),
            Requester::Schedule if self.has(Mutation::NoMaintenance) => Err(Refusal::NoRestoreRight),
            _ => Ok(()),
        }
    }

    /// JOB-4.
    pub(super) fn finish_job<const U: usize, const N: usize>(&self, w: &mut World<U, N>) -> Check {
        self.restorer_may_end(w)?;
        let outcome = if w.points[1] == Freshness::Fenced || w.points[2] == Freshness::Fenced {
            Err(Refusal::LeaseExpired)
        } else if !w.users[w.job.user as usize].archive {
            Err(Refusal::NothingStored)
        } else {
            Ok(())
        };
        let kept = match outcome {
            Ok(()) => Mutation::KeyLeftOnSuccess,
            Err(_) => Mutation::KeyLeftOnFailure,
        };
        self.restorer_ends(w, kept);
        outcome
    }

    /// JOB-5.
    pub(super) fn fail_job<const U: usize, const N: usize>(&self, w: &mut World<U, N>) -> Check {
        self.restorer_may_end(w)?;
        self.restorer_ends(w, Mutation::KeyLeftOnFailure);
        Ok(())
    }

    fn restorer_may_end<const U: usize, const N: usize>(&self, w: &World<U, N>) -> Check {
        if w.job.held == NO_KEY {
            return Err(Refusal::OutOfTurn);
        }
        if w.job.lane.message.is_some() {
            return Err(Refusal::LaneBusy);
        }
        Ok(())
    }

    fn restorer_ends<const U: usize, const N: usize>(&self, w: &mut World<U, N>, kept_by: Mutation) {
        if !self.has(kept_by) && !self.has(Mutation::KeyWaitsForClock) {
            w.job.held = NO_KEY;
        }
        w.job.lane = LaneState { message: Slot::of(Message::JobEnd), live: true, ..LaneState::EMPTY };
    }

    /// JOB-6.
    pub(super) fn abort<const U: usize, const N: usize>(&self, w: &mut World<U, N>) -> Check {
        let too_late = w.job.state == JobState::KeyHeld && self.has(Mutation::AbortTooLate);
        if too_late || !matches!(w.job.state, JobState::Assigned | JobState::KeyHeld) {
            return Err(Refusal::JobOver);
        }
        w.job.state = JobState::Ending;
        Ok(())
    }

    /// JOB-7.
    pub(super) fn deliver_abort<const U: usize, const N: usize>(&self, w: &mut World<U, N>) -> Check {
        if w.job.state != JobState::Ending {
            return Err(Refusal::NothingInFlight);
        }
        if !self.has(Mutation::KeyLeftOnAbort) && !self.has(Mutation::KeyWaitsForClock) {
            w.job.held = NO_KEY;
        }
        w.job.waiting = false;
        w.job.state = JobState::None;
        Ok(())
    }

    /// JOB-8.
    pub(super) fn withdraw_right<const U: usize, const N: usize>(&self, w: &mut World<U, N>) -> Check {
        if !w.admin_right {
            return Err(Refusal::NoRestoreRight);
        }
        w.admin_right = false;
        let running = matches!(w.job.state, JobState::Assigned | JobState::KeyHeld);
        if running && w.job.kind == JobKind::OnBehalf {
            w.job.state = JobState::Ending;
        }
        Ok(())
    }

    /// JOB-9.
    pub(super) fn crash_restorer<const U: usize, const N: usize>(&self, w: &mut World<U, N>) {
        if !self.has(Mutation::KeyOnRestorerDisk) {
            w.job.held = NO_KEY;
        }
        w.job.waiting = false;
    }
}

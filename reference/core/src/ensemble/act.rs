//! One action of the alphabet, carried out by the roles themselves.

use bailee_spec::action::{Action, Lane, Point, Requester};
use bailee_spec::limits::{MARGIN_SECONDS, VALIDITY_SECONDS};
use bailee_spec::outcome::{Outcome, Refusal};
use rand_core::CryptoRng;

use super::network::Done;
use super::{At, Ensemble};
use crate::machine::Timer;
use crate::roles::authority;
use crate::roles::mark::Mark;
use crate::wire::{Body, StandingChange};

impl Ensemble {
    /// Carries the action out.
    pub fn act(&mut self, action: Action, rng: &mut dyn CryptoRng) -> Outcome {
        let done = self.carry_out(action, rng);
        self.acknowledge_in_time(rng);
        match done {
            Ok(()) => Outcome::Accepted,
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    fn carry_out(&mut self, action: Action, rng: &mut dyn CryptoRng) -> Done {
        match action {
            Action::Publish { point } => self.publish_by_message(point, rng),
            Action::Duplicate { lane } => self.duplicate(lane),
            Action::Drop { lane } => self.drop_message(lane),
            Action::Tick { clock } => self.tick(clock, rng),
            Action::Deliver { lane } => self.deliver(lane, false, rng),
            Action::DeliverThenCrash { lane } => self.deliver(lane, true, rng),
            Action::DropLate { device } => {
                let slot = self.slot(Lane::Late(device));
                self.lanes[slot].take().map(|_| ()).ok_or(Refusal::NothingInFlight)
            }
            Action::CrashDevice { device } => {
                self.crash_device(device, rng);
                Ok(())
            }
            Action::CrashRestorer => {
                self.restart(At::Restorer, rng);
                Ok(())
            }
            Action::Restart { node } | Action::Seal { node } => {
                self.restart(At::Keystore(node), rng);
                Ok(())
            }
            Action::Advance => {
                self.advance(rng);
                Ok(())
            }
            Action::SignIn { device } => self.sign_in(device, rng),
            Action::OpenBackup { device } => self.tell_device(device, Body::StartBackup, rng),
            Action::Append { device } => self.append_content(device, b"a backup set", rng),
            Action::Fetch { device } => self.tell_device(device, Body::ReadBack, rng),
            Action::Contact { device } => self.contact(device, rng),
            Action::ReEscrow { device } => self.tell_device(device, Body::EscrowAgain, rng),
            Action::Deauthorize { device, by } => self.deauthorize(device, by, rng),
            Action::PublishTogether { point } => self.publish(point, rng),
            Action::Suspend { user, by } => self.set_standing(user, by, StandingChange::Suspend, rng),
            Action::Resume { user, by } => self.set_standing(user, by, StandingChange::Resume, rng),
            Action::Deactivate { user, by } => self.set_standing(user, by, StandingChange::Deactivate, rng),
            Action::Reactivate { user, by } => self.set_standing(user, by, StandingChange::Reactivate, rng),
            Action::Purge { user } => self.set_standing(user, Requester::Schedule, StandingChange::Purge, rng),
            Action::WithdrawRight { tenant } => self.set_right(tenant, false, rng),
            Action::GrantRight { tenant } => self.set_right(tenant, true, rng),
            Action::Request { by, user } => self.request(by, user, rng),
            Action::Abort { by } => self.abort(by, rng),
            Action::DeliverAbort => self.deliver_abort(rng),
            Action::FinishJob => self.finish_job(rng),
            Action::FailJob => self.fail_job(rng),
            Action::OpenCeremony { node, purpose, by } => self.open_ceremony(node, purpose, by, rng),
            Action::Announce { node } => self.announce(node, rng),
            Action::RequestShare { custodian, node, asking } => self.request_share(custodian, node, asking, rng),
            Action::SubmitShare { custodian, node, handing } => self.submit_share(custodian, node, handing, rng),
            Action::AckShare { custodian, condition } => self.ack_share(custodian, condition, rng),
            Action::LoseCustodian { custodian } => self.lose_custodian(custodian, rng),
            Action::OpenReplacement { node } => self.open_replacement(node, rng),
            Action::AlertSink { up } => {
                self.alerts_up = up;
                Ok(())
            }
            Action::UnsealTogether { node } => self.unseal_together(node, rng),
            Action::RekeyTogether => self.rekey_together(rng),
            Action::Snapshot => self.take_snapshot(rng),
            Action::StageRestore { condition } => self.stage_restore(condition, rng),
            Action::Replay { user } => self.replay(user, rng),
            // What an adversary copies is not the system's business; the one who watches it keeps the loot.
            Action::ReadHost { node } if self.is_sealed(node) => Err(Refusal::Sealed),
            Action::StealSnapshot if self.snapshot.is_none() => Err(Refusal::SnapshotUnknown),
            Action::ReadHost { .. } | Action::StealSnapshot | Action::CorruptCustodian { .. } => Ok(()),
        }
    }

    /// TIME-1: the restorer's deadlines pass first, then all others. Points that know every revocation get a new lease; what is
    /// sent to the others is lost.
    fn advance(&mut self, rng: &mut dyn CryptoRng) {
        for seconds in [VALIDITY_SECONDS - MARGIN_SECONDS + 1, MARGIN_SECONDS] {
            self.now += seconds;
            self.points_now += seconds;
            self.fire_due(rng);
        }
        self.fetching = None;
        for point in Point::ALL {
            let current = self.mark(point).epoch == self.epoch();
            let _ = self.fire_authority(Timer::Publish(point), current, rng);
        }
    }

    /// What a point knows.
    pub(super) fn mark(&self, point: Point) -> Mark {
        self.peek(Self::at_point(point), Mark::of)
    }

    /// Where a point runs.
    pub(super) fn at_point(point: Point) -> At {
        match point {
            Point::Keystore => At::Keystore(0),
            Point::Storage => At::Storage,
            Point::Restorer => At::Restorer,
        }
    }

    /// The newest revocation epoch.
    pub(super) fn epoch(&self) -> u64 {
        self.peek(At::Authority, authority::epochs).newest
    }
}

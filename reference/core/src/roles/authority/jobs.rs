//! Jobs at the authority (JOB).

use bailee_spec::action::Point;
use bailee_spec::limits;
use bailee_spec::observation::{JobKind, JobState, Standing};
use bailee_spec::outcome::Refusal;

use super::release::delivery;
use super::*;
use crate::crypto::{labels, sign};
use crate::machine::Person;
use crate::quirks::Quirk;
use crate::roles::signed::job_key_body;
use crate::wire::Blob;

/// Whose capability is meant: the restorer's, which is no device.
pub const RESTORER_ID: [u8; 32] = [0; 32];

/// How soon an order to end a job is repeated, in seconds.
const AGAIN_SECONDS: u64 = 10;

impl Authority {
    fn may_use_key(&self, step: &Step<'_>, user: &UserRecord) -> Done {
        match user.standing() {
            Standing::Active => Ok(()),
            Standing::Suspended if step.quirks.has(Quirk::SuspendedRestores) => Ok(()),
            Standing::Suspended => Err(Refusal::RestoreSuspended),
            Standing::Deactivated | Standing::Purged => Err(Refusal::UserDeactivated),
        }
    }

    fn may_request(&self, step: &mut Step<'_>, from: &Peer, tenant: &str, name: &str) -> Result<JobKind, Refusal> {
        let unless = |step: &Step<'_>, quirk, refusal| if step.quirks.has(quirk) { Ok(()) } else { Err(refusal) };
        match from {
            Peer::Person(Person::User { tenant: own, user, stepped_up }) => {
                if own != tenant || user != name {
                    unless(step, Quirk::NeighbourRestores, Refusal::NotYourArchive)?;
                }
                if !stepped_up {
                    unless(step, Quirk::NoStepUp, Refusal::StepUpRequired)?;
                }
                Ok(JobKind::Own)
            }
            Peer::Person(Person::Admin { tenant: own, admin }) => {
                if own != tenant {
                    unless(step, Quirk::ForeignAdminRestores, Refusal::OtherTenant)?;
                } else if !rights(step, tenant, admin).restore {
                    unless(step, Quirk::RightNotChecked, Refusal::NoRestoreRight)?;
                }
                Ok(JobKind::OnBehalf)
            }
            // JOB-1c: nobody is signed in.
            Peer::Person(Person::Schedule) => Ok(JobKind::Maintenance),
            _ => Err(Refusal::Unauthenticated),
        }
    }

    /// The jobs under way whose time is not over.
    pub(super) fn running(&self, step: &mut Step<'_>) -> Vec<(B32, u64)> {
        let mut running: Vec<(B32, u64)> = step.get(RUNNING).unwrap_or_default();
        running.retain(|(_, deadline)| step.now <= *deadline);
        running
    }

    /// JOB-1, for a user who exists (JOB-1a), as long as the user has no other job and there is room for one more (JOB-1d).
    pub(super) fn request(&self, step: &mut Step<'_>, from: &Peer, tenant: &str, name: &str) -> Done {
        let kind = self.may_request(step, from, tenant, name)?;
        let record = user(step, tenant, name).ok_or(Refusal::NotYourArchive)?;
        self.may_use_key(step, &record)?;
        if record.enrolled.is_none() {
            return Err(Refusal::NotEnrolled);
        }
        let mut running = self.running(step);
        if job_of(step, tenant, name).is_some() || running.len() >= self.jobs {
            return Err(Refusal::Busy);
        }
        let restorer = point(step, Point::Restorer);
        let unheard = restorer.epoch < epochs(step).newest && step.now > restorer.lease;
        if unheard || !self.serves_point(Point::Restorer) {
            return Err(Refusal::NoRestorer);
        }
        let (id, deadline) = (step.fresh_id(), step.deadline());
        let admin = match from {
            Peer::Person(Person::Admin { admin, .. }) => Some(admin.clone()),
            _ => None,
        };
        let state = JobState::Assigned as u8;
        let job = JobRecord { tenant: tenant.into(), user: name.into(), kind: kind as u8, state, deadline, admin };
        step.put(job_name(&id), &job);
        Newest::Jobs.add(step, (tenant, name), &id);
        running.push((id, deadline));
        step.put(RUNNING, &running);
        if kind == JobKind::OnBehalf {
            self.notice(step);
        }
        let restorer = B32::from(RESTORER_ID);
        let (capability, signature) = self.capability(step, (tenant, name), &restorer, deadline, true);
        let (tenant, user) = (tenant.into(), name.into());
        let body = Body::AssignJob { job: id, tenant, user, deadline, capability, signature };
        step.send_in(Peer::Restorer, Some(id), body);
        Ok(())
    }

    /// JOB-12.
    fn notice(&self, step: &mut Step<'_>) {
        let mut counts: OnBehalf = step.get(ON_BEHALF).unwrap_or_default();
        counts.jobs += 1;
        counts.notices += u64::from(!step.quirks.has(Quirk::NoNotice));
        step.put(ON_BEHALF, &counts);
    }

    /// Writes a job's new state. One that is over makes room; one that is to end is told to the restorer until it is.
    pub(super) fn set_job(&self, step: &mut Step<'_>, id: &B32, mut job: JobRecord, state: JobState) {
        job.state = state as u8;
        step.put(job_name(id), &job);
        match state {
            JobState::None => {
                let mut running = self.running(step);
                running.retain(|(running, _)| running != id);
                step.put(RUNNING, &running);
            }
            JobState::Ending => step.set_timer(step.now, Timer::Job(*id)),
            JobState::Assigned | JobState::KeyHeld => {}
        }
    }

    /// JOB-7a after a start: timers are gone with the process, the jobs that are to end are not.
    pub(super) fn remember_orders(&self, step: &mut Step<'_>) {
        for (id, _) in self.running(step).iter().take(limits::JOBS) {
            if job(step, id).is_some_and(|job| job.state_at(step.now) == JobState::Ending) {
                step.set_timer(step.now, Timer::Job(*id));
            }
        }
    }

    /// JOB-7a: the order to end, and its repetition.
    pub(super) fn order_end(&self, step: &mut Step<'_>, id: &B32) -> Done {
        let ending = job(step, id).filter(|job| job.state_at(step.now) == JobState::Ending);
        let JobRecord { tenant, user, deadline, .. } = ending.ok_or(Refusal::JobOver)?;
        step.send_in(Peer::Restorer, Some(*id), Body::EndJob { job: *id, tenant, user, deadline });
        step.set_timer(step.now.saturating_add(AGAIN_SECONDS), Timer::Job(*id));
        Ok(())
    }

    /// JOB-2, JOB-3, JOB-10.
    pub(super) fn in_job(&self, step: &mut Step<'_>, id: &B32, asked: &Asked<'_>) -> Done {
        let job = job(step, id).ok_or(Refusal::JobOver)?;
        let state = job.state_at(step.now);
        match asked.body {
            Body::JobKey { recipient, signature } if state == JobState::Assigned => {
                self.take_job_key(step, id, &job, recipient, signature)
            }
            Body::ConsumeGrant { grant, challenge } => self.consume_for_job(step, id, &job, grant, challenge),
            Body::SealedKey { .. } if state == JobState::Assigned => self.pass_to_job(step, id, job, asked),
            // JOB-3: a job that has its key ends by its own end, whatever became of a second release.
            Body::KeystoreRefusal { reason } if state != JobState::KeyHeld => {
                self.set_job(step, id, job, JobState::None);
                step.send(Peer::Restorer, Body::Refusal { reason: *reason });
                Ok(())
            }
            Body::JobEnd { .. } if state != JobState::None => {
                self.set_job(step, id, job, JobState::None);
                Ok(())
            }
            // NET-9.
            _ => Err(Refusal::JobOver),
        }
    }

    /// JOB-2: the job has the key, durably, before the key leaves.
    fn pass_to_job(&self, step: &mut Step<'_>, id: &B32, job: JobRecord, asked: &Asked<'_>) -> Done {
        if let Err(refusal) = self.of_generation(step, asked.generation) {
            self.set_job(step, id, job, JobState::None);
            step.keep();
            step.if_refused(Peer::Restorer, Body::Refusal { reason: refusal_code(refusal) });
            return Err(refusal);
        }
        self.set_job(step, id, job, JobState::KeyHeld);
        step.send(Peer::Restorer, delivery(asked.body));
        Ok(())
    }

    fn take_job_key(
        &self,
        step: &mut Step<'_>,
        id: &B32,
        job: &JobRecord,
        recipient: &B32,
        signature: &Blob,
    ) -> Done {
        let user = user(step, &job.tenant, &job.user).ok_or(Refusal::JobOver)?;
        if !sign::verify(&self.restorer, labels::SIGN_JOB_KEY, &job_key_body(id, recipient), signature) {
            return Err(Refusal::JobOver);
        }
        self.grant(step, &user, *recipient, GrantHolder::Job(*id), (*id, job.deadline));
        Ok(())
    }

    /// JOB-2b: an unused grant of this very job, which still waits for its key.
    fn consume_for_job(&self, step: &mut Step<'_>, job_id: &B32, job: &JobRecord, id: &B32, challenge: &B32) -> Done {
        let record = step.get::<GrantRecord>(grant_name(id)).filter(|grant| !grant.used);
        let grant = record.filter(|grant| grant.holder == GrantHolder::Job(*job_id)).ok_or(Refusal::GrantVoid)?;
        if job.state_at(step.now) != JobState::Assigned {
            return Err(Refusal::GrantVoid);
        }
        let user = user(step, &job.tenant, &job.user).ok_or(Refusal::GrantVoid)?;
        self.may_use_key(step, &user)?;
        self.consumed(step, id, challenge, grant);
        Ok(())
    }

    /// JOB-6, JOB-6a: by the owner, or by an administrator of the tenant who may restore or manage users. The owner's is the veto (JOB-13).
    pub(super) fn abort(&self, step: &mut Step<'_>, from: &Peer, tenant: &str, name: &str) -> Done {
        let rights = rights_over(step, from, tenant)?;
        if let Peer::Person(Person::User { tenant: own, user, .. }) = from
            && ((own != tenant && !step.quirks.has(Quirk::NamesakeAborts)) || user != name)
        {
            return Err(Refusal::NotYourArchive);
        }
        if rights.is_some_and(|rights| !rights.restore && !rights.users) {
            return Err(Refusal::NoRestoreRight);
        }
        let (id, job) = job_of(step, tenant, name).ok_or(Refusal::JobOver)?;
        if job.state_at(step.now) == JobState::Ending {
            return Err(Refusal::JobOver);
        }
        self.set_job(step, &id, job, JobState::Ending);
        step.send(from.clone(), Body::Done);
        Ok(())
    }

    /// JOB-8: given and withdrawn by an administrator of the same tenant who may (JOB-8a); a withdrawal ends the jobs under the right, and
    /// nobody else's (JOB-13).
    pub(super) fn set_right(
        &self,
        step: &mut Step<'_>,
        from: &Peer,
        tenant: &str,
        admin: &str,
        restore: bool,
    ) -> Done {
        let may = rights_over(step, from, tenant)?.is_some_and(|rights| rights.rights);
        if !may && !step.quirks.has(Quirk::AnyoneGivesRights) {
            return Err(Refusal::NoAdminRight);
        }
        // JOB-8b: a right makes nobody an administrator.
        let found: Option<AdminRecord> = step.get(admin_name(tenant, admin));
        let made = step.quirks.has(Quirk::RightMakesAdministrator).then(AdminRecord::default);
        let mut record = found.or(made).ok_or(Refusal::BadCredential)?;
        if !restore && !record.restore {
            return Err(Refusal::NoRestoreRight);
        }
        record.restore = restore;
        step.put(admin_name(tenant, admin), &record);
        for (id, _) in self.running(step).iter().filter(|_| !restore).take(limits::JOBS) {
            let Some(job) = job(step, id) else { continue };
            let state = job.state_at(step.now);
            let under_it = job.tenant == tenant && job.admin.as_deref() == Some(admin);
            let survives = step.quirks.has(Quirk::JobOutlivesRight);
            if under_it && !survives && matches!(state, JobState::Assigned | JobState::KeyHeld) {
                self.set_job(step, id, job, JobState::Ending);
            }
        }
        step.send(from.clone(), Body::Done);
        Ok(())
    }
}

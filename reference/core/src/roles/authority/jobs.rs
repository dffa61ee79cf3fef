//! Jobs at the authority (JOB).

use bailee_spec::action::{Point, Requester};
use bailee_spec::observation::{JobKind, JobState, Standing};
use bailee_spec::outcome::Refusal;

use super::{Authority, GrantHolder, GrantRecord, JobRecord, UserRecord, delivery, grant_name, job_name};
use crate::crypto::{labels, sign};
use crate::disk::Batch;
use crate::quirks::Quirk;
use crate::roles::{Context, Effects, deadline, fresh_id, refusal_code};
use crate::wire::{B32, Blob, Body, Frame};

fn over() -> Effects {
    Effects::refuse(Refusal::JobOver, None)
}

impl Authority {
    /// The job under way.
    pub fn running_job(&self, now: u64) -> Option<(B32, JobRecord)> {
        let id = self.totals().job?;
        let job = self.job(&id)?;
        (job.state_at(now) != JobState::None).then_some((id, job))
    }

    /// Whether the administrator of the tenant has the restore right.
    pub fn admin_right(&self) -> bool {
        self.disk.get("admin-right").unwrap_or(false)
    }

    fn may_use_key(&self, cx: &Context<'_>, user: &UserRecord) -> Result<(), Refusal> {
        match Standing::ALL[user.standing as usize] {
            Standing::Active => Ok(()),
            Standing::Suspended if cx.quirks.has(Quirk::SuspendedRestores) => Ok(()),
            Standing::Suspended => Err(Refusal::RestoreSuspended),
            Standing::Deactivated | Standing::Purged => Err(Refusal::UserDeactivated),
        }
    }

    fn may_request(&self, cx: &Context<'_>, by: Requester) -> Result<JobKind, Refusal> {
        let unless = |quirk, refusal, kind| if cx.quirks.has(quirk) { Ok(kind) } else { Err(refusal) };
        match by {
            Requester::Owner => Ok(JobKind::Own),
            Requester::OwnerWithoutStepUp => unless(Quirk::NoStepUp, Refusal::StepUpRequired, JobKind::Own),
            Requester::Neighbour => unless(Quirk::NeighbourRestores, Refusal::NotYourArchive, JobKind::Own),
            Requester::ForeignAdmin => unless(Quirk::ForeignAdminRestores, Refusal::OtherTenant, JobKind::OnBehalf),
            Requester::Admin if !self.admin_right() => {
                unless(Quirk::RightNotChecked, Refusal::NoRestoreRight, JobKind::OnBehalf)
            }
            Requester::Admin => Ok(JobKind::OnBehalf),
            Requester::Schedule => Ok(JobKind::Maintenance),
        }
    }

    /// JOB-1.
    ///
    /// # Errors
    /// The first failed check.
    pub fn request(&self, cx: &mut Context<'_>, by: Requester, tenant: &str, user: &str) -> Result<Effects, Refusal> {
        let kind = self.may_request(cx, by)?;
        let record = self.user(tenant, user).ok_or(Refusal::NotYourArchive)?;
        self.may_use_key(cx, &record)?;
        if record.enrolled.is_none() {
            return Err(Refusal::NotEnrolled);
        }
        if self.running_job(cx.now).is_some() {
            return Err(Refusal::Busy);
        }
        let restorer = self.point(Point::Restorer);
        if restorer.confirmed < self.totals().epoch && cx.now > restorer.lease {
            return Err(Refusal::NoRestorer);
        }
        let id = fresh_id(cx.rng);
        let job = JobRecord {
            tenant: tenant.into(),
            user: user.into(),
            kind: kind as u8,
            state: JobState::Assigned as u8,
            deadline: deadline(cx.now),
        };
        let mut batch = Batch::default();
        batch.put(job_name(&id), &job);
        let mut totals = self.totals();
        totals.job = Some(id);
        if kind == JobKind::OnBehalf {
            totals.on_behalf += 1;
            totals.notices += u64::from(!cx.quirks.has(Quirk::NoNotice));
        }
        batch.put("totals", &totals);
        let body = Body::AssignJob { job: id, tenant: tenant.into(), user: user.into() };
        let mut effects = Effects::accept().durable(batch).send(body);
        effects.opens = Some(id);
        Ok(effects)
    }

    fn with_state(&self, id: &B32, mut job: JobRecord, state: JobState) -> Batch {
        job.state = state as u8;
        let mut batch = Batch::default();
        batch.put(job_name(id), &job);
        batch
    }

    /// JOB-2, JOB-3, JOB-10.
    pub(super) fn step_job(&self, cx: &mut Context<'_>, id: &B32, frame: &Frame) -> Effects {
        let Some(job) = self.job(id) else { return over() };
        let state = job.state_at(cx.now);
        match &frame.body {
            Body::JobKey { recipient, signature } if state == JobState::Assigned => {
                self.take_job_key(cx, id, &job, recipient, signature)
            }
            Body::ConsumeGrant { grant } => self.consume_for_job(cx, id, &job, state, grant),
            Body::SealedKey { grant, sealed, receipt, signature } if state == JobState::Assigned => {
                if let Err(refusal) = self.of_this_store(cx, frame) {
                    let body = Body::Refusal { reason: refusal_code(refusal) };
                    return Effects::refuse(refusal, Some(body)).durable(self.with_state(id, job, JobState::None));
                }
                let body = delivery(grant, sealed, receipt, signature);
                Effects::accept().durable(self.with_state(id, job, JobState::KeyHeld)).send(body)
            }
            Body::KeystoreRefusal { reason } => Effects::accept()
                .durable(self.with_state(id, job, JobState::None))
                .send(Body::Refusal { reason: *reason }),
            Body::JobEnd { .. } if state != JobState::None => {
                Effects::accept().durable(self.with_state(id, job, JobState::None))
            }
            _ => over(),
        }
    }

    fn take_job_key(
        &self,
        cx: &mut Context<'_>,
        id: &B32,
        job: &JobRecord,
        recipient: &B32,
        signature: &Blob,
    ) -> Effects {
        let signed = [&id[..], &recipient[..]].concat();
        let Some(user) = self.user(&job.tenant, &job.user) else { return over() };
        if !sign::verify(&self.restorer, labels::SIGN_JOB_KEY, &signed, signature) {
            return over();
        }
        let mut batch = Batch::default();
        let body = self.grant(cx, &user, *recipient, GrantHolder::Job(*id), Some(*id), &mut batch);
        Effects::accept().durable(batch).send(body)
    }

    fn consume_for_job(&self, cx: &Context<'_>, job_id: &B32, job: &JobRecord, state: JobState, id: &B32) -> Effects {
        let refused = |refusal| Effects::refuse(refusal, Some(Body::GrantRefused { grant: *id }));
        let record = self.disk.get::<GrantRecord>(grant_name(id)).filter(|grant| !grant.used);
        let record = record.filter(|grant| grant.holder == GrantHolder::Job(*job_id));
        let (Some(mut grant), JobState::Assigned) = (record, state) else { return refused(Refusal::GrantVoid) };
        let Some(user) = self.user(&job.tenant, &job.user) else { return refused(Refusal::GrantVoid) };
        if let Err(refusal) = self.may_use_key(cx, &user) {
            return refused(refusal);
        }
        grant.used = true;
        self.consumed(id, &grant)
    }

    /// JOB-6.
    ///
    /// # Errors
    /// `JobOver`.
    pub fn abort(&self, now: u64) -> Result<Batch, Refusal> {
        let (id, job) = self.running_job(now).ok_or(Refusal::JobOver)?;
        if job.state_at(now) == JobState::Ending {
            return Err(Refusal::JobOver);
        }
        Ok(self.with_state(&id, job, JobState::Ending))
    }

    /// JOB-7: the job whose end was ordered and not confirmed.
    pub fn ending_job(&self, now: u64) -> Option<B32> {
        self.running_job(now).filter(|(_, job)| job.state_at(now) == JobState::Ending).map(|(id, _)| id)
    }

    /// JOB-7: the restorer has purged.
    pub fn job_ended(&self, id: &B32) -> Batch {
        self.job(id).map(|job| self.with_state(id, job, JobState::None)).unwrap_or_default()
    }

    /// JOB-8.
    ///
    /// # Errors
    /// `NoRestoreRight`: it was withdrawn before.
    pub fn withdraw_right(&self, now: u64) -> Result<Batch, Refusal> {
        if !self.admin_right() {
            return Err(Refusal::NoRestoreRight);
        }
        let mut batch = match self.running_job(now) {
            Some((id, job)) if job.kind() == Some(JobKind::OnBehalf) && job.state_at(now) != JobState::Ending => {
                self.with_state(&id, job, JobState::Ending)
            }
            _ => Batch::default(),
        };
        batch.put("admin-right", &false);
        Ok(batch)
    }

    /// JOB-8.
    pub fn grant_right(&self) -> Batch {
        let mut batch = Batch::default();
        batch.put("admin-right", &true);
        batch
    }
}

//! The restorer: for each job one archive key, in memory, until the job's end.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailee_spec::limits;
use bailee_spec::outcome::Refusal;

use super::mark::{Mark, Published};
use super::signed::{Release, job_key_body, open_block};
use crate::crypto::hpke::Recipient;
use crate::crypto::keys::{ArchiveKey, Owner};
use crate::crypto::labels;
use crate::crypto::sign::{PublicKey, Signing};
use crate::machine::{Done, Input, Peer, Role, Step, Timer};
use crate::quirks::Quirk;
use crate::wire::{B32, Blob, Body, Place, Signed};

/// What the restorer holds for a job.
#[derive(Clone)]
enum Hand {
    /// A job key: the archive key is on its way.
    Waiting(Arc<Recipient>),
    /// The archive key.
    Holding(Arc<ArchiveKey>),
}

/// A job in memory. Its key is with it alone, and goes with it at every end (JOB-14).
#[derive(Clone)]
struct Job {
    owner: Owner,
    /// The last second of the job by this clock, the margin subtracted (JOB-9a).
    until: u64,
    capability: Blob,
    signature: Blob,
    hand: Hand,
    /// Whether any block was opened.
    opened: bool,
}

/// What is gone when the process stops.
#[derive(Clone, Default)]
pub struct Memory {
    jobs: BTreeMap<B32Key, Job>,
}

type B32Key = [u8; 32];

/// The restorer. Its store holds a revocation mark and nothing about keys.
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct Restorer {
    memory: Memory,
    key: Signing,
    /// The keystore's key for receipts, pinned (GEN-16).
    keystore: PublicKey,
    /// The most jobs at once; at least 1, at most `JOBS`.
    jobs: usize,
    /// By how many seconds it holds an end over early (GEN-13).
    pub(crate) margin: u64,
}

impl Restorer {
    /// A restorer that trusts this keystore.
    pub fn new(key: Signing, keystore: PublicKey) -> Self {
        let (jobs, margin) = (limits::JOBS, limits::MARGIN_SECONDS);
        Restorer { memory: Memory::default(), key, keystore, jobs, margin }
    }

    /// For clocks that differ by up to so many seconds.
    pub fn with_margin(mut self, seconds: u64) -> Self {
        self.margin = seconds;
        self
    }

    /// With fewer jobs at once.
    pub fn with_jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.clamp(1, limits::JOBS);
        self
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// Whether it has a job key for some job.
    pub fn waiting(&self) -> bool {
        self.memory.jobs.values().any(|job| matches!(job.hand, Hand::Waiting(_)))
    }

    /// The archive keys in its memory, and whose they are.
    pub fn held(&self) -> impl Iterator<Item = (&ArchiveKey, &Owner)> {
        self.memory.jobs.values().filter_map(|job| match &job.hand {
            Hand::Holding(key) => Some((&**key, &job.owner)),
            Hand::Waiting(_) => None,
        })
    }

    /// JOB-2: a job key of its own, in memory. The job ends by this clock before it ends by the authority's, whatever deadline
    /// the authority names.
    fn assign(&mut self, step: &mut Step<'_>, job: &B32, body: &Body) -> Done {
        let Body::AssignJob { tenant, user, deadline, capability, signature, .. } = body else {
            return Err(Refusal::JobOver);
        };
        let believed = step.quirks.has(Quirk::DeadlineBelieved);
        let end = if believed { *deadline } else { (*deadline).min(step.deadline()) };
        let margin = if step.quirks.has(Quirk::MarginIgnored) { 0 } else { self.margin };
        let until = end.saturating_sub(margin);
        if step.now > until {
            return Err(Refusal::JobOver);
        }
        // Carried twice: the job that is under way goes on.
        if self.memory.jobs.contains_key(&**job) {
            return Err(Refusal::JobOver);
        }
        self.make_room(tenant, user, until)?;
        let recipient = Recipient::generate(step.rng);
        let public = B32::from(recipient.public());
        let proof = self.key.sign(labels::SIGN_JOB_KEY, &job_key_body(job, &public));
        let assigned = Job {
            owner: Owner { tenant: tenant.clone(), user: user.clone(), epoch: 0 },
            until,
            capability: capability.clone(),
            signature: signature.clone(),
            hand: Hand::Waiting(Arc::new(recipient)),
            opened: false,
        };
        self.memory.jobs.insert(**job, assigned);
        step.set_timer(until + 1, Timer::Job(*job));
        step.send(Peer::Authority, Body::JobKey { recipient: public, signature: proof.into() });
        Ok(())
    }

    /// A user has one job at a time, so an older one of the same user is over; and one is given up if there are too many: the
    /// authority counts them, and knows of no more than it assigned. None makes room for an assignment that ends before it: that one
    /// is a late copy of an older one (JOB-2c).
    fn make_room(&mut self, tenant: &str, user: &str, until: u64) -> Done {
        let of_user = |job: &Job| job.owner.tenant == tenant && job.owner.user == user;
        let newer = self.memory.jobs.values().any(|job| of_user(job) && job.until > until);
        if newer && !Quirk::LateAssignment.is_on() {
            return Err(Refusal::JobOver);
        }
        let others = self.memory.jobs.iter().filter(|(_, job)| !of_user(job));
        let first = others.clone().min_by_key(|(_, job)| job.until).map(|(id, job)| (*id, job.until));
        let full = others.count() >= self.jobs;
        if full && first.is_some_and(|(_, first)| first > until) {
            return Err(Refusal::JobOver);
        }
        self.memory.jobs.retain(|_, job| !of_user(job));
        if let Some((id, _)) = first.filter(|_| full) {
            self.memory.jobs.remove(&id);
        }
        Ok(())
    }

    /// JOB-3: takes the key, wipes the job key, and asks storage for the archive.
    fn take_key(&mut self, step: &mut Step<'_>, id: &B32, release: &Release<'_>) -> Done {
        let job = self.memory.jobs.get_mut(&**id).ok_or(Refusal::JobOver)?;
        let Hand::Waiting(recipient) = &job.hand else { return Err(Refusal::JobOver) };
        if step.now > job.until {
            return Err(Refusal::JobOver);
        }
        let key = release.open(&self.keystore, &job.owner, recipient).ok_or(Refusal::JobOver)?;
        job.hand = Hand::Holding(Arc::new(key));
        let (capability, signature) = (job.capability.clone(), job.signature.clone());
        step.send(Peer::Storage, Body::Fetch { capability, signature, from: 0 });
        Ok(())
    }

    /// JOB-4: opens what storage gave; after the last block, or the first that does not open, purges and says how it ended.
    fn work(&mut self, step: &mut Step<'_>, id: &B32, blocks: &[Blob], next: Option<u64>) -> Done {
        let mark = Mark::of(step);
        let job = self.memory.jobs.get_mut(&**id).ok_or(Refusal::OutOfTurn)?;
        let Hand::Holding(key) = &job.hand else { return Err(Refusal::OutOfTurn) };
        let in_time = step.now <= job.until || step.quirks.has(Quirk::JobOutlives);
        let outcome = if !in_time || !mark.in_lease(step, self.margin) {
            Err(Refusal::LeaseExpired)
        } else if blocks.is_empty() && !job.opened {
            Err(Refusal::NothingStored)
        } else if blocks.iter().all(|block| open_block(key, &job.owner, block).is_some()) {
            Ok(())
        } else {
            // JOB-4a.
            Err(Refusal::CommitmentMismatch)
        };
        if let (Ok(()), Some(from)) = (outcome, next) {
            job.opened = true;
            let (capability, signature) = (job.capability.clone(), job.signature.clone());
            step.send(Peer::Storage, Body::Fetch { capability, signature, from });
            return Ok(());
        }
        let kept = if outcome.is_ok() { Quirk::KeyLeftOnSuccess } else { Quirk::KeyLeftOnFailure };
        self.end(step, id, outcome.is_ok(), kept);
        outcome
    }

    /// JOB-5: storage refused, so the job fails.
    fn fail(&mut self, step: &mut Step<'_>, id: &B32, reason: u8) -> Done {
        let mark = Mark::of(step);
        let job = self.memory.jobs.get(&**id).ok_or(Refusal::OutOfTurn)?;
        let in_time = step.now <= job.until && mark.in_lease(step, self.margin);
        let said = Refusal::ALL.get(usize::from(reason)).copied().unwrap_or(Refusal::Malformed);
        self.end(step, id, false, Quirk::KeyLeftOnFailure);
        Err(if in_time { said } else { Refusal::LeaseExpired })
    }

    /// JOB-4b: the key is purged first; then the authority is told.
    fn end(&mut self, step: &mut Step<'_>, id: &B32, completed: bool, kept: Quirk) {
        self.purge(step, id, kept);
        step.send_in(Peer::Authority, Some(*id), Body::JobEnd { completed });
        step.if_refused(Peer::Authority, Body::JobEnd { completed });
    }

    /// JOB-7: a user has one job at a time, so whatever is left of an earlier one goes too: its assignment may have come late. A later
    /// one stays: the order may have come late too.
    fn end_all_of(&mut self, step: &mut Step<'_>, id: &B32, (tenant, user): (&str, &str), deadline: u64) {
        // A restorer that takes one job at a time has nothing else to keep.
        let alone = self.jobs == 1;
        let last = deadline.saturating_sub(self.margin);
        let of_user =
            |job: &Job| job.until <= last && (alone || (job.owner.tenant == tenant && job.owner.user == user));
        let left: Vec<B32> =
            self.memory.jobs.iter().filter(|(_, job)| of_user(job)).map(|(id, _)| B32::from(*id)).collect();
        for id in &left {
            self.purge(step, id, Quirk::KeyLeftOnAbort);
        }
        self.end(step, id, false, Quirk::KeyLeftOnAbort);
    }

    fn purge(&mut self, step: &Step<'_>, id: &B32, kept: Quirk) {
        let holding = |job: &Job| matches!(job.hand, Hand::Holding(_));
        if !(step.quirks.has(kept) && self.memory.jobs.get(&**id).is_some_and(holding)) {
            self.memory.jobs.remove(&**id);
        }
    }
}

impl Role for Restorer {
    type Memory = Memory;

    fn place(&self) -> Place {
        Place::Restorer
    }

    fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn handle(&mut self, step: &mut Step<'_>, input: Input<'_>) -> Done {
        let (from, frame) = match input {
            Input::Frame { from, frame } => (from, frame),
            Input::Timer(Timer::Job(id)) => {
                // JOB-9a: a timer that fires early ends nothing. The authority ends the job by its own clock.
                if self.memory.jobs.get(&**id).is_some_and(|job| step.now > job.until) {
                    self.purge(step, id, Quirk::KeyLeftOnTimeout);
                }
                return Ok(());
            }
            Input::Timer(_) | Input::Checked { .. } => return Ok(()),
        };
        if let Body::Publish { from, entries, epoch, lease, .. } = &frame.body {
            let published = Published { from: *from, epoch: *epoch, lease: *lease };
            return Mark::of(step).hear(step, published, entries).map(|_| ());
        }
        let id = frame.exchange.ok_or(Refusal::JobOver)?;
        match (&frame.body, from) {
            (Body::AssignJob { job, .. }, _) if *job == id => self.assign(step, &id, &frame.body),
            (Body::KeyDelivery { grant, sealed, receipt, signature }, _) => {
                let receipt = Signed { body: receipt, signature };
                self.take_key(step, &id, &Release { grant, sealed, receipt })
            }
            (Body::Blocks { blocks, next }, _) => self.work(step, &id, blocks, *next),
            (Body::Refusal { reason }, Peer::Storage) => self.fail(step, &id, *reason),
            // JOB-3.
            (Body::Refusal { .. }, Peer::Authority) => {
                self.memory.jobs.remove(&*id);
                Ok(())
            }
            // JOB-7.
            (Body::EndJob { job, tenant, user, deadline }, _) if *job == id => {
                self.end_all_of(step, &id, (tenant, user), *deadline);
                Ok(())
            }
            // NET-9.
            _ => Err(Refusal::JobOver),
        }
    }

    /// JOB-3, NET-15: no service is told what the restorer thinks of its answer.
    fn answer(&self, _: &Peer, _: &crate::wire::Frame, _: Refusal) -> Option<crate::machine::Outgoing> {
        None
    }
}

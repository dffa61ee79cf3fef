//! The roles, as machines without input or output.
//!
//! A step reads the role's disk, changes its memory, and returns [`Effects`]: the verdict, one batch to be made durable, and
//! what is sent *after* that. Whoever runs the role commits the batch first; a crash in between loses what was to be sent.

pub mod authority;
pub mod custodian;
pub mod custody;
pub mod device;
pub mod keystore;
pub mod restorer;
pub mod storage;

use bailee_spec::outcome::Refusal;
use rand_core::CryptoRng;

use crate::disk::Batch;
use crate::quirks::Quirks;
use crate::wire::{B32, Body};

/// What a step has from outside.
pub struct Context<'a> {
    /// Seconds since the epoch of the run.
    pub now: u64,
    /// Randomness.
    pub rng: &'a mut dyn CryptoRng,
    /// Bugs that a test switched on.
    pub quirks: Quirks,
}

/// What a step leads to: first the batch, then the message.
#[derive(Debug)]
pub struct Effects {
    /// Accepted, or why not.
    pub verdict: Result<(), Refusal>,
    /// To be made durable before anything is sent.
    pub batch: Batch,
    /// To be sent in answer, or onwards.
    pub send: Option<Body>,
    /// The exchange that begins with this message, if one does.
    pub opens: Option<B32>,
}

impl Effects {
    /// Accepted; nothing durable yet, nothing sent yet.
    pub fn accept() -> Self {
        Effects { verdict: Ok(()), batch: Batch::default(), send: None, opens: None }
    }

    /// Refused, with this answer.
    pub fn refuse(refusal: Refusal, answer: Option<Body>) -> Self {
        Effects { verdict: Err(refusal), batch: Batch::default(), send: answer, opens: None }
    }

    /// With this batch.
    pub fn durable(mut self, batch: Batch) -> Self {
        self.batch = batch;
        self
    }

    /// With this message.
    pub fn send(mut self, body: Body) -> Self {
        self.send = Some(body);
        self
    }
}

/// The number of a refusal on the wire: its place in [`Refusal::ALL`].
pub fn refusal_code(refusal: Refusal) -> u8 {
    Refusal::ALL.iter().position(|r| *r == refusal).map_or(u8::MAX, |at| at as u8)
}

/// The end of a validity period that starts now (rule TIME-1).
pub fn deadline(now: u64) -> u64 {
    now + bailee_spec::limits::VALIDITY_SECONDS
}

/// 32 fresh random bytes.
pub fn fresh_id(rng: &mut dyn CryptoRng) -> B32 {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    B32::from(bytes)
}

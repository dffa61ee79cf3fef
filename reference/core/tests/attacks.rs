//! Attacks on the roles by a hostile or unlucky network, each driven by frames and timers: a frame lost, held back, carried twice,
//! overtaken, said by the wrong one or at the wrong moment; two workers over one store; a store that fails. Beside each attack is
//! what honest parties do at the same place, so that a refusal shows what it is about.

mod common;

#[path = "attacks/afresh.rs"]
mod afresh;
#[path = "attacks/attempts.rs"]
mod attempts;
#[path = "attacks/ceremonies.rs"]
mod ceremonies;
#[path = "attacks/devices.rs"]
mod devices;
#[path = "attacks/disaster.rs"]
mod disaster;
#[path = "attacks/ends.rs"]
mod ends;
#[path = "attacks/enrolment.rs"]
mod enrolment;
#[path = "attacks/jobs.rs"]
mod jobs;
#[path = "attacks/log.rs"]
mod log;
#[path = "attacks/machine.rs"]
mod machine;
#[path = "attacks/peers.rs"]
mod peers;
#[path = "attacks/release.rs"]
mod release;
#[path = "attacks/revocation.rs"]
mod revocation;
#[path = "attacks/staging.rs"]
mod staging;

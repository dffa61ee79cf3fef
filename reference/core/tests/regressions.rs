//! What was wrong once and must not come back, beside `loose.rs`: faults that writing such tests found, and the same attacks
//! from their other sides. Each has an honest run beside it, so that a refusal shows what it is about.

mod common;

#[path = "regressions/ceremonies.rs"]
mod ceremonies;
#[path = "regressions/services.rs"]
mod services;
#[path = "regressions/storage.rs"]
mod storage;

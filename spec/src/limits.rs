//! The limits of the protocol: sizes in bytes, times in seconds. `spec/protocol.md` §Limits gives the reasons.

/// The length of every validity period of `classic`: sign-in freshness, attempts, grants, capabilities, ceremonies,
/// custody windows, job and admission leases (rules TIME-1, GEN-13).
pub const VALIDITY_SECONDS: u64 = 600;
/// How much earlier than the authority the restorer lets a lease end (rule JOB-9a).
pub const RESTORER_MARGIN_SECONDS: u64 = 2;
/// Open enrolment attempts a user.
pub const OPEN_ATTEMPTS_PER_USER: usize = 8;
/// Devices a user.
pub const DEVICES_PER_USER: usize = 16;
/// The largest message on the wire.
pub const MESSAGE_BYTES: usize = 64 * 1024;
/// The largest name of a tenant or a user.
pub const NAME_BYTES: usize = 255;
/// The most custodians and the most shares.
pub const CUSTODIANS: usize = 16;

//! The limits of the protocol: sizes in bytes, times in seconds. `spec/protocol.md` §Limits gives the reasons.

/// The length of every validity period of `classic`: sign-in freshness, attempts, grants, capabilities, ceremonies,
/// custody windows, job and admission leases (rules TIME-1, GEN-13).
pub const VALIDITY_SECONDS: u64 = 600;
/// How much earlier than the authority an admission point holds an end over (rules GEN-13, JOB-9a).
pub const MARGIN_SECONDS: u64 = 2;
/// A validity period, in ticks, where the clocks of a scope tick one at a time (rule TIME-2).
pub const VALIDITY_TICKS: u8 = 3;
/// How many ticks earlier than the authority an admission point holds a deadline over (rule TIME-2).
pub const MARGIN_TICKS: u8 = 1;
/// The most ticks by which two clocks differ (rule TIME-2).
pub const SKEW_TICKS: u8 = 1;
/// Open enrolment attempts a user.
pub const OPEN_ATTEMPTS_PER_USER: usize = 8;
/// Devices a user.
pub const DEVICES_PER_USER: usize = 16;
/// Sessions, attempts, grants and jobs that the authority keeps of each user: of each kind the newest (rule GEN-17a).
pub const NEWEST_PER_USER: usize = 32;
/// The largest message on the wire.
pub const MESSAGE_BYTES: usize = 64 * 1024;
/// The largest name of a tenant or a user.
pub const NAME_BYTES: usize = 255;
/// The most custodians and the most shares.
pub const CUSTODIANS: usize = 16;
/// Wrong passwords in a row after which a user's sign-ins are refused for `VALIDITY_SECONDS`.
pub const GUESSES: u64 = 10;
/// Entries of the decision log in one message.
pub const PUBLISH_ENTRIES: usize = 32;
/// Blocks of an archive in one message.
pub const FETCH_BLOCKS: usize = 8;
/// Jobs under way at one restorer.
pub const JOBS: usize = 16;
/// Releases that wait at one node for their grant to be consumed.
pub const PENDING_RELEASES: usize = 256;
/// How often the authority tells each admission point what is new, and renews its lease.
pub const PUBLISH_SECONDS: u64 = 60;
/// How long custody waits for the alert sink.
pub const ALERT_SECONDS: u64 = 30;

//! Process-wide protection.

use std::io;

/// Forbids core dumps of this process, and with them attaching by other unprivileged processes of the same user.
///
/// To be called once, first thing in `main`, by every process that holds a secret.
///
/// # Errors
/// The operating system's error; `Unsupported` where there is no such call. A service says so and goes on.
#[cfg(all(target_os = "linux", not(miri)))]
pub fn disable_core_dumps() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    Ok(())
}

/// Forbids core dumps of this process. There is no such call here.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub fn disable_core_dumps() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

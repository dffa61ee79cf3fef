//! Where the programs lie, our own and the one that is measured, and how ours end.

use std::env;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The `bailee` to be measured: the one that was named, or the one beside our own program. Under `cargo run` the
/// latter is built first, so that it is never an old one.
///
/// # Errors
/// It cannot be built, or our own place is not known.
pub fn bailee(named: Option<&Path>) -> io::Result<PathBuf> {
    if let Some(named) = named {
        return std::path::absolute(named);
    }
    if let (Some(cargo), Some(crate_folder)) = (env::var_os("CARGO"), env::var_os("CARGO_MANIFEST_DIR")) {
        let arguments = ["build", "--release", "--quiet", "--package", "bailee", "--bin", "bailee"];
        let status = Command::new(cargo).args(arguments).current_dir(crate_folder).status()?;
        if !status.success() {
            return Err(io::Error::other("bailee does not build; name another with --bailee"));
        }
    }
    Ok(env::current_exe()?.with_file_name("bailee"))
}

/// A folder for what is made, `peers` beside the folder of our own program.
///
/// # Errors
/// Our own place is not known.
pub fn work_folder() -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    let build = own.ancestors().nth(2).unwrap_or(Path::new("."));
    Ok(build.join("peers"))
}

/// What one of our programs ends with: 0 if all went well, else 1. An error goes to standard error.
pub fn exit_code(outcome: Result<bool, impl Display>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

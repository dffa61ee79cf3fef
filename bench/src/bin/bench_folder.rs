//! `cargo bench-folder DIR`: how fast this project backs up a folder of yours.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bailee_bench::folder::{Pass, bench};
use bailee_bench::measure::launch_if_asked;
use bailee_bench::program;
use bailee_bench::report::Machine;
use clap::Parser;
use serde_json::json;

/// The exit code after an interruption.
const INTERRUPTED: i32 = 130;

/// Back a folder up into an archive of its own, once more, and restore it; with one thread, and with all.
///
/// The folder is only read. Archive and restored files lie in a new folder that is removed at the end, also after
/// Ctrl-C; the disk needs room for the folder once more, and for its archive. Exit codes: 0, 1 something failed or
/// was restored otherwise than it is, 2 usage.
#[derive(Parser)]
#[command(name = "cargo bench-folder")]
struct Arguments {
    /// The folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// With these numbers of threads [default: 1 and as many as there are processors].
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    threads: Vec<u16>,
    /// Where the new folder is made [default: the system's folder for temporary files].
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// The program to measure [default: the one of this build, built first].
    #[arg(long, value_name = "FILE")]
    bailee: Option<PathBuf>,
    /// JSON lines instead of the table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    if let Some(code) = launch_if_asked() {
        return code;
    }
    program::exit_code(run(&Arguments::parse()))
}

/// Whether everything was restored as it is.
fn run(arguments: &Arguments) -> io::Result<bool> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", arguments.folder.display()));
    let folder = fs::canonicalize(&arguments.folder).map_err(named)?;
    if !folder.is_dir() {
        return Err(io::Error::other(format!("{} is not a folder", folder.display())));
    }
    let bailee = program::bailee(arguments.bailee.as_deref())?;
    bailee_bench::tools::Tool::version(&bailee_bench::tools::Bailee::new(&bailee))
        .map_err(|missing| io::Error::other(missing.to_string()))?;
    let work = match &arguments.work {
        Some(work) => tempfile::tempdir_in(work)?,
        None => tempfile::tempdir()?,
    };
    let work_folder = fs::canonicalize(work.path())?;
    if work_folder.starts_with(&folder) {
        return Err(io::Error::other("the archive would lie in the folder itself; name another place with --work"));
    }
    remove_when_interrupted(work_folder.clone())?;
    let outcome = passes(arguments, &bailee, &folder, &work_folder);
    work.close()?;
    outcome
}

/// On Ctrl-C the programs that we started end by themselves; what they leave is removed.
fn remove_when_interrupted(work: PathBuf) -> io::Result<()> {
    ctrlc::set_handler(move || {
        // A program that is still ending may write once more, so that one attempt is not enough.
        for _ in 0..50 {
            if fs::remove_dir_all(&work).is_ok() || !work.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        std::process::exit(INTERRUPTED);
    })
    .map_err(io::Error::other)
}

fn passes(arguments: &Arguments, bailee: &Path, folder: &Path, work: &Path) -> io::Result<bool> {
    let machine = Machine::this();
    let mut threads: Vec<usize> = arguments.threads.iter().map(|&threads| threads.into()).collect();
    if threads.is_empty() {
        threads = vec![1, machine.processors];
        threads.dedup();
    }
    if !arguments.json {
        println!("{}, {} processors, {}", machine.cpu, machine.processors, machine.system);
        println!(
            "{:<14} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "", "threads", "wall s", "MB/s", "cpu s", "peak MB", "ratio"
        );
    }
    let mut different = None;
    for threads in threads {
        let tell = &mut |pass: &Pass| tell(pass, arguments.json);
        different = bench(bailee, folder, work, threads, tell)?.or(different);
    }
    if arguments.json {
        let same = different.is_none();
        println!(
            "{}",
            json!({"message_type": "summary", "machine": machine, "restored_as_it_is": same, "difference": different})
        );
    } else {
        println!("ratio is archive ÷ folder; MB/s are the folder's, whether they were read or not");
        println!("{}", different.as_deref().unwrap_or("restored as it is: diff -r --no-dereference finds nothing"));
    }
    Ok(different.is_none())
}

fn tell(pass: &Pass, json: bool) {
    if json {
        println!(
            "{}",
            json!({"message_type": "pass", "pass": pass, "bytes_per_second": pass.rate(), "ratio": pass.ratio()})
        );
        return;
    }
    println!(
        "{:<14} {:>7} {:>9.3} {:>9.1} {:>9.3} {:>9.1} {:>9.3}",
        pass.round.title(),
        pass.threads,
        pass.cost.wall,
        pass.rate() / 1e6,
        pass.cost.cpu,
        pass.cost.memory as f64 / 1e6,
        pass.ratio()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
        assert!(Arguments::try_parse_from(["bench-folder"]).is_err());
        assert!(Arguments::try_parse_from(["bench-folder", "x", "--threads", "0"]).is_err());
    }
}

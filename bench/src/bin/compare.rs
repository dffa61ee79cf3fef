//! `cargo bench-compare`: what changed between two runs of `cargo bench`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use bailee_bench::baseline::{Comparison, Verdict, compare, mean_ratio};
use bailee_bench::program::exit_code;
use clap::Parser;
use serde_json::json;

/// Ratios of every bench that both runs have: before ÷ after, more than 1 is faster now.
#[derive(Parser)]
#[command(name = "cargo bench-compare")]
struct Arguments {
    /// The baseline that was saved first.
    #[arg(long, default_value = "before")]
    before: String,
    /// The run to compare with it [default: the last one].
    #[arg(long, default_value = "new", hide_default_value = true)]
    after: String,
    /// Where criterion keeps its runs.
    #[arg(long, value_name = "DIR", default_value = "target/criterion")]
    folder: PathBuf,
    /// JSON lines instead of the table; the last one is the summary.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    exit_code(run(&Arguments::parse()).map(|()| true))
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let found = compare(&arguments.folder, &arguments.before, &arguments.after)?;
    for one in &found {
        if arguments.json {
            println!("{}", json!({"message_type": "bench", "comparison": one}));
        } else {
            println!("{:<60} {:>8.3} {:?}", one.bench, one.ratio, one.verdict);
        }
    }
    let count = |verdict| found.iter().filter(|one| one.verdict == verdict).count();
    let (faster, slower) = (count(Verdict::Faster), count(Verdict::Slower));
    let least = found.iter().min_by(|a, b| a.ratio.total_cmp(&b.ratio)).map(|one: &Comparison| &one.bench);
    let mean = mean_ratio(&found);
    if arguments.json {
        println!(
            "{}",
            json!({"message_type": "summary", "benches": found.len(), "mean_ratio": mean, "faster": faster,
                "slower": slower, "slowest_now": least})
        );
    } else {
        println!("{} benches: {mean:.3} in the mean, {faster} faster, {slower} slower", found.len());
    }
    Ok(())
}

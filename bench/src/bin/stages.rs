//! `cargo stages`: how much of the processors' time the whole block path spends on its stages.

use std::process::ExitCode;

use bailee_archive::ArchiveError;
use bailee_bench::memory::MemoryFolder;
use bailee_bench::program::exit_code;
use bailee_bench::report::Machine;
use bailee_bench::stages::{Figures, measure};
use clap::Parser;
use serde_json::{Value, json};

/// Processor time of each stage alone, and the whole path over the same bytes in memory, with one thread and two.
#[derive(Parser)]
#[command(name = "cargo stages")]
struct Arguments {
    /// MiB of each kind of content.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    mebibytes: u32,
    /// How often; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: u16,
    /// Names every choice in the content.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// JSON lines instead of the table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    exit_code(run(&Arguments::parse()).map(|()| true))
}

fn run(arguments: &Arguments) -> Result<(), ArchiveError> {
    let bytes = (arguments.mebibytes as usize) << 20;
    let contents = [
        ("text", MemoryFolder::text(arguments.seed, bytes)?),
        ("random", MemoryFolder::noise(arguments.seed, bytes)?),
    ];
    let mut summary = serde_json::Map::new();
    for (content, folder) in &contents {
        let figures = measure(content, folder, &[1, 2], arguments.repetitions.into())?;
        let ratios = ratios(&figures);
        if arguments.json {
            println!("{}", json!({"message_type": "stages", "figures": figures, "ratios": ratios}));
        } else {
            tell(&figures);
        }
        summary.insert((*content).to_string(), ratios);
    }
    if arguments.json {
        let (machine, load) = (Machine::this(), load());
        println!(
            "{}",
            json!({"message_type": "summary", "ratios": summary, "machine": machine, "load_average": load})
        );
    } else {
        println!(
            "\nload average {:.2}. stages ÷ threads ÷ wall: 1 if the threads did nothing but the stages",
            load()
        );
    }
    Ok(())
}

fn ratios(figures: &Figures) -> Value {
    json!({
        "one_thread_vs_stages": figures.efficiency(1),
        "two_threads_vs_stages": figures.efficiency(2),
        "one_thread_cpu_vs_stages": figures.cpu_efficiency(1),
        "two_threads_cpu_vs_stages": figures.cpu_efficiency(2),
        "two_threads_vs_one": figures.two_threads_vs_one(),
        "stages_two_vs_one": figures.stages_two_vs_one,
    })
}

/// The load average of the last minute: what else the machine had to do.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

fn tell(figures: &Figures) {
    let rate = |seconds: f64| figures.bytes as f64 / 1e6 / seconds;
    let cost = &figures.stages;
    println!("\n{}, {:.1} MB{:>18} {:>10}", figures.content, figures.bytes as f64 / 1e6, "cpu s", "MB/s");
    let rows = [
        ("read", cost.read),
        ("cut", cost.cut),
        ("name", cost.name),
        ("gather", cost.gather),
        ("seal", cost.seal),
        ("all stages", cost.sum()),
    ];
    for (stage, seconds) in rows {
        println!("  {stage:<22} {seconds:>10.4} {:>10.0}", rate(seconds));
    }
    for (threads, whole) in &figures.whole {
        println!(
            "  whole, {threads} thread(s)    {:>10.4} {:>10.0}  wall {:.4} s; stages ÷ threads ÷ wall {:.3}; ÷ cpu {:.3}",
            whole.cpu,
            rate(whole.wall),
            whole.wall,
            figures.efficiency(*threads).unwrap_or(f64::NAN),
            figures.cpu_efficiency(*threads).unwrap_or(f64::NAN),
        );
    }
    println!(
        "  two threads are {:.2} times as fast as one; doing the stages alone, {:.2} times",
        figures.two_threads_vs_one().unwrap_or(f64::NAN),
        figures.stages_two_vs_one,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
        assert!(Arguments::try_parse_from(["stages", "--mebibytes", "0"]).is_err());
    }
}

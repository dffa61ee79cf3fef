//! `cargo peers`: this project and other backup programs over the same seeded trees.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bailee_bench::chart::svg;
use bailee_bench::corpus::{Changes, Corpus, Kind, Recipe};
use bailee_bench::measure::launch_if_asked;
use bailee_bench::program;
use bailee_bench::report::{Machine, Report};
use bailee_bench::rounds::{Comparison, Observer, Problem, Run};
use bailee_bench::scaling::{self, Scaling};
use bailee_bench::tools::{Bailee, Borg, Bupstash, Copy, Missing, Restic, Round, Rustic, Tool, Walk, walk_if_asked};
use clap::Parser;
use serde_json::{Value, json};

/// Compare this project with other backup programs on the same data.
///
/// Runs `bailee` and whichever of restic, borg, rustic and bupstash are installed, alternately and with a warm page
/// cache, at zstd 3 or what is nearest and encrypted: first backup, unchanged, one file in a hundred changed,
/// restore, restore of one file. Ratios of time are theirs ÷ ours (more is better), of size ours ÷ theirs (less is
/// better). The first tree that each restores is compared with its source.
///
/// Exit codes: 0, 1 something failed, was restored wrongly, or `bailee` could not take part, 2 usage.
#[derive(Parser)]
#[command(name = "cargo peers")]
struct Arguments {
    /// Which trees.
    #[arg(long, value_delimiter = ',', default_value = "text,random,small,mixed")]
    corpus: Vec<Kind>,
    /// Which programs, beside the floors `walk` and `cp`; all that are installed unless told otherwise.
    #[arg(long, value_delimiter = ',', default_value = "bailee,bailee-unpadded,restic,borg,rustic,bupstash")]
    tools: Vec<String>,
    /// How often each does each round; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: u16,
    /// The size of the trees, as a share of the full one.
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    scale: f64,
    /// Names the trees and their changes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Take the tree `text` from the text files in these folders instead of making it.
    #[arg(long, num_args = 1.., value_name = "DIR")]
    text_from: Vec<PathBuf>,
    /// Keep the made trees here, and work here [default: `peers` in the build directory].
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// The program to measure [default: the one of this build, built first].
    #[arg(long, value_name = "FILE")]
    bailee: Option<PathBuf>,
    /// JSON lines instead of the table; the last is the summary.
    #[arg(long)]
    json: bool,
    /// Draw the wall times.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Make the trees, tell what is in them, and end.
    #[arg(long)]
    corpora_only: bool,
    /// Measure `bailee` alone, against the number of files and against bytes, with one thread and two.
    #[arg(long, conflicts_with_all = ["corpora_only", "svg"])]
    scaling: bool,
    /// With `--scaling`: the bytes of the largest tree.
    #[arg(long, default_value_t = 2_000_000_000, value_name = "BYTES")]
    max_bytes: u64,
}

/// More than 0, at most 10.
fn scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| "not a number".to_string())?;
    if scale > 0.0 && scale <= 10.0 { Ok(scale) } else { Err("must be above 0 and at most 10".to_string()) }
}

fn main() -> ExitCode {
    if let Some(code) = launch_if_asked().or_else(walk_if_asked) {
        return code;
    }
    let arguments = Arguments::parse();
    let outcome = run(&arguments);
    if let (Err(error), true) = (&outcome, arguments.json) {
        println!("{}", json!({"message_type": "error", "message": error.to_string()}));
    }
    program::exit_code(outcome)
}

/// Whether all went well.
fn run(arguments: &Arguments) -> io::Result<bool> {
    let work = match &arguments.work {
        Some(work) => std::path::absolute(work)?,
        None => program::work_folder()?,
    };
    fs::create_dir_all(&work)?;
    if arguments.scaling {
        return scale_up(arguments, &work);
    }
    let corpora = corpora(arguments, &work.join("corpora"))?;
    if arguments.corpora_only {
        return Ok(true);
    }
    compare(arguments, &work.join("runs"), &corpora)
}

fn corpora(arguments: &Arguments, cache: &Path) -> io::Result<Vec<(Kind, Corpus)>> {
    let mut corpora = Vec::new();
    for &kind in &arguments.corpus {
        eprintln!("{kind}: making the tree, or finding it in {}", cache.display());
        let text_from = if kind == Kind::Text { arguments.text_from.clone() } else { Vec::new() };
        let recipe = Recipe { kind, seed: arguments.seed, scale: arguments.scale, text_from };
        let corpus = recipe.in_cache(cache)?;
        let s = &corpus.statistics;
        if arguments.json {
            println!("{}", json!({"message_type": "corpus", "recipe": recipe, "statistics": s}));
        } else {
            println!(
                "{kind}: {} files, {:.1} MB, median {} bytes, largest {}; zstd 3 in groups of 1 MiB {:.3}, file by file {:.3}; {}",
                s.files,
                s.bytes as f64 / 1e6,
                s.median_size,
                s.largest,
                s.ratio_grouped,
                s.ratio_single,
                &s.digest[..16]
            );
        }
        corpora.push((kind, corpus));
    }
    Ok(corpora)
}

fn compare(arguments: &Arguments, work: &Path, corpora: &[(Kind, Corpus)]) -> io::Result<bool> {
    let bailee = program::bailee(arguments.bailee.as_deref())?;
    let (tools, versions, missing) = choose(all_tools(&bailee), &arguments.tools)?;
    for missing in &missing {
        eprintln!("{missing}");
    }
    let mut narrator = Narrator { json: arguments.json, runs: Vec::new(), problems: Vec::new() };
    let how = Comparison { tools: &tools, repetitions: arguments.repetitions.into(), seed: arguments.seed, work };
    for (kind, corpus) in corpora {
        how.over(*kind, &corpus.folder, &mut narrator)?;
    }
    let bytes = corpora.iter().map(|(kind, corpus)| (kind.to_string(), corpus.statistics.bytes)).collect();
    let Narrator { runs, problems, .. } = narrator;
    let report = Report { machine: Machine::this(), versions, missing, bytes, runs, problems };
    if let Some(file) = &arguments.svg {
        fs::write(file, svg(&report))?;
    }
    if arguments.json {
        println!("{}", report.summary());
    } else {
        println!("{}", report.table());
    }
    let without_us = report.missing.iter().any(|missing| missing.tool == "bailee");
    Ok(report.problems.is_empty() && !without_us)
}

fn all_tools(bailee: &Path) -> Vec<Box<dyn Tool>> {
    vec![
        Box::new(Bailee::new(bailee)),
        Box::new(Bailee::unpadded(bailee)),
        Box::new(Restic),
        Box::new(Borg),
        Box::new(Rustic),
        Box::new(Bupstash),
        Box::new(Walk),
        Box::new(Copy),
    ]
}

/// Those that take part, their versions, and those that were wanted and cannot.
type Chosen = (Vec<Box<dyn Tool>>, BTreeMap<String, String>, Vec<Missing>);

/// The wanted ones and the floors, of these.
fn choose(tools: Vec<Box<dyn Tool>>, wanted: &[String]) -> io::Result<Chosen> {
    let floor = |tool: &dyn Tool| tool.rounds().len() == 1 && tool.name() != "bailee-unpadded";
    if let Some(unknown) = wanted.iter().find(|wanted| !tools.iter().any(|tool| tool.name() == wanted.as_str())) {
        return Err(io::Error::other(format!("no tool is called {unknown}")));
    }
    let (mut chosen, mut versions, mut missing) = (Vec::new(), BTreeMap::new(), Vec::new());
    for tool in tools {
        if !floor(tool.as_ref()) && !wanted.iter().any(|wanted| wanted == tool.name()) {
            continue;
        }
        match tool.version() {
            Ok(version) => {
                versions.insert(tool.name().to_string(), version);
                chosen.push(tool);
            }
            Err(why) => missing.push(why),
        }
    }
    Ok((chosen, versions, missing))
}

fn scale_up(arguments: &Arguments, work: &Path) -> io::Result<bool> {
    let bailee = program::bailee(arguments.bailee.as_deref())?;
    Bailee::new(&bailee).version().map_err(|missing| io::Error::other(missing.to_string()))?;
    let how = Scaling {
        bailee: &bailee,
        work,
        seed: arguments.seed,
        scale: arguments.scale,
        most_bytes: arguments.max_bytes,
        repetitions: arguments.repetitions.into(),
    };
    let points = how.run(&mut |point| {
        let told = json!({"message_type": "point", "point": point});
        if arguments.json { println!("{told}") } else { eprintln!("{told}") }
    })?;
    let mut summary = scaling::summary(&points);
    summary["machine"] = json!(Machine::this());
    if arguments.json {
        println!("{summary}");
    } else {
        println!("{}", scaling::table(&points));
    }
    Ok(true)
}

/// Tells on standard error what goes on, and keeps what was measured.
struct Narrator {
    json: bool,
    runs: Vec<Run>,
    problems: Vec<Problem>,
}

impl Narrator {
    fn line(&self, kind: &str, mut value: Value) {
        if self.json {
            value["message_type"] = json!(kind);
            println!("{value}");
        }
    }
}

impl Observer for Narrator {
    fn begins(&mut self, corpus: Kind, round: Round, tool: &str, repetition: usize) {
        eprint!("{corpus}, {}, {}: {tool} … ", round.title(), repetition + 1);
    }

    fn run(&mut self, run: &Run) {
        eprintln!("{:.3} s", run.cost.wall);
        self.line("run", json!(run));
        self.runs.push(run.clone());
    }

    fn problem(&mut self, problem: &Problem) {
        eprintln!("error: {}", problem.what);
        self.line("problem", json!(problem));
        self.problems.push(problem.clone());
    }

    fn changed(&mut self, corpus: Kind, changes: &Changes) {
        eprintln!("{corpus}: {} files changed: {changes:?}", changes.all());
        self.line("changes", json!({"corpus": corpus, "changes": changes}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
        assert!(Arguments::try_parse_from(["peers", "--scale", "0"]).is_err());
        assert!(Arguments::try_parse_from(["peers", "--repetitions", "0"]).is_err());
        assert!(Arguments::try_parse_from(["peers", "--corpus", "text,random", "--scale", "0.1"]).is_ok());
    }

    #[test]
    fn missing_tools_are_told_and_the_others_take_part() {
        let tools = all_tools(Path::new("/no/such/bailee"));
        let (chosen, versions, missing) = choose(tools, &["bailee".to_string()]).unwrap();
        assert_eq!(chosen.iter().map(|tool| tool.name()).collect::<Vec<_>>(), ["walk", "cp"]);
        assert!(versions.contains_key("cp"));
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].to_string(), "bailee takes no part: /no/such/bailee is not installed");
    }

    #[test]
    fn an_unknown_tool_is_refused_by_name() {
        let error = choose(all_tools(Path::new("bailee")), &["tar".to_string()]).err().unwrap();
        assert_eq!(error.to_string(), "no tool is called tar");
    }
}

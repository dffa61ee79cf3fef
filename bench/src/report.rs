//! What the runs come to: medians, ratios, a table, JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use serde::Serialize;
use serde_json::{Value, json};

use crate::corpus::Kind;
use crate::measure::Cost;
use crate::rounds::{Problem, Run};
use crate::tools::{Missing, Round};

/// The tool that the others are compared with, and the same without padding.
const OURS: &str = "bailee";
const UNPADDED: &str = "bailee-unpadded";

/// The machine that it was measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// As the processor calls itself.
    pub cpu: String,
    /// How many processors this process may use.
    pub processors: usize,
    /// Bytes.
    pub memory: u64,
    /// The kernel's name and release.
    pub system: String,
}

impl Machine {
    /// This one, as far as it tells.
    pub fn this() -> Self {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map(|(_, value)| value.trim().to_string()).unwrap_or_default()
        };
        let kib: u64 = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
        Machine {
            cpu: field("/proc/cpuinfo", "model name"),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory: kib * 1024,
            system: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map(|release| format!("Linux {}", release.trim()))
                .unwrap_or_default(),
        }
    }
}

/// The median of all repetitions of one tool in one round over one corpus, each figure by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Median {
    /// Over which corpus.
    pub corpus: Kind,
    /// What was done.
    pub round: Round,
    /// By which tool.
    pub tool: String,
    /// How many runs.
    pub runs: usize,
    /// What it cost.
    #[serde(flatten)]
    pub cost: Cost,
    /// Bytes of the repository; none for a floor.
    pub repository: Option<u64>,
}

/// The medians of runs, in the order in which each first occurs.
pub fn medians(runs: &[Run]) -> Vec<Median> {
    let mut groups: Vec<Vec<&Run>> = Vec::new();
    for run in runs {
        let same = |group: &&mut Vec<&Run>| {
            (group[0].corpus, group[0].round, &group[0].tool) == (run.corpus, run.round, &run.tool)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(run),
            None => groups.push(vec![run]),
        }
    }
    groups.into_iter().map(|group| median_of(&group)).collect()
}

fn median_of(group: &[&Run]) -> Median {
    let of = |figure: &dyn Fn(&Run) -> f64| median(&group.iter().map(|run| figure(run)).collect::<Vec<_>>());
    let first = group[0];
    Median {
        corpus: first.corpus,
        round: first.round,
        tool: first.tool.clone(),
        runs: group.len(),
        cost: Cost {
            wall: of(&|run| run.cost.wall),
            cpu: of(&|run| run.cost.cpu),
            memory: of(&|run| run.cost.memory as f64) as u64,
        },
        repository: first.repository.map(|_| of(&|run| run.repository.unwrap_or(0) as f64) as u64),
    }
}

/// The middle one, or the mean of the two in the middle; 0 of nothing.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    match (figures.len(), figures.len() / 2) {
        (0, _) => 0.0,
        (length, middle) if length % 2 == 1 => figures[middle],
        (_, middle) => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}

/// `text_first_vs_restic`: the other's wall time ÷ ours, so more than 1 is faster. `text_size_vs_restic`: our
/// repository after the first backup ÷ theirs, so less than 1 is smaller; `text_unpadded_size_vs_restic` likewise
/// without padding.
pub fn ratios(medians: &[Median]) -> BTreeMap<String, f64> {
    let find = |corpus, round, tool: &str| {
        medians.iter().find(|median| (median.corpus, median.round, median.tool.as_str()) == (corpus, round, tool))
    };
    let mut ratios = BTreeMap::new();
    for other in medians.iter().filter(|median| median.tool != OURS && median.tool != UNPADDED) {
        let (corpus, round, tool) = (other.corpus, other.round, &other.tool);
        if let Some(ours) = find(corpus, round, OURS) {
            ratios.insert(format!("{corpus}_{}_vs_{tool}", round.name()), rounded(other.cost.wall / ours.cost.wall));
        }
        for (name, ours) in [("size", OURS), ("unpadded_size", UNPADDED)] {
            let ours = find(corpus, round, ours).and_then(|ours| ours.repository);
            if let (Round::First, Some(ours), Some(theirs)) = (round, ours, other.repository) {
                ratios.insert(format!("{corpus}_{name}_vs_{tool}"), rounded(ours as f64 / theirs as f64));
            }
        }
    }
    ratios
}

/// To three places, which is more than a run repeats.
fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

/// All that is known at the end.
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// Each tool that took part, and its version.
    pub versions: BTreeMap<String, String>,
    /// Those that could not.
    pub missing: Vec<Missing>,
    /// Bytes of each corpus.
    pub bytes: BTreeMap<String, u64>,
    /// All runs.
    pub runs: Vec<Run>,
    /// What went wrong.
    pub problems: Vec<Problem>,
}

impl Report {
    /// The last line of the JSON.
    pub fn summary(&self) -> Value {
        let medians = medians(&self.runs);
        let mut memory: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
        let mut cpu: BTreeMap<String, f64> = BTreeMap::new();
        for median in &medians {
            let key = format!("{}_{}", median.corpus, median.round.name());
            memory.entry(key.clone()).or_default().insert(&median.tool, median.cost.memory);
            if let (OURS, Some(&bytes)) = (median.tool.as_str(), self.bytes.get(&median.corpus.to_string())) {
                cpu.insert(key, rounded(median.cost.cpu * 1e9 / bytes as f64));
            }
        }
        json!({"message_type": "summary", "ratios": ratios(&medians), "memory": memory, "cpu_seconds_per_gb": cpu,
            "medians": medians, "machine": self.machine, "versions": self.versions, "missing": self.missing,
            "problems": self.problems})
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = self.heading();
        let medians = medians(&self.runs);
        let mut last = None;
        for median in &medians {
            if last != Some((median.corpus, median.round)) {
                last = Some((median.corpus, median.round));
                let title = format!("{}, {}", median.corpus, median.round.title());
                let _ = writeln!(text, "\n{title:<31} wall s    cpu s  peak MB  repository MB   vs bailee");
            }
            let ours = medians
                .iter()
                .find(|ours| ours.tool == OURS && (ours.corpus, ours.round) == (median.corpus, median.round));
            let times = ours
                .filter(|_| median.tool != UNPADDED)
                .map_or(String::new(), |ours| format!("{:.2} ×", median.cost.wall / ours.cost.wall));
            let repository = median.repository.map_or(String::new(), |bytes| format!("{:.1}", bytes as f64 / 1e6));
            let Cost { wall, cpu, memory } = median.cost;
            let line = format!(
                "  {:<27} {wall:>8.3} {cpu:>8.3} {:>8.1} {repository:>14} {times:>11}",
                median.tool,
                memory as f64 / 1e6
            );
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for problem in &self.problems {
            let _ = writeln!(
                text,
                "\n{} on {}, {}: {}",
                problem.tool,
                problem.corpus,
                problem.round.title(),
                problem.what
            );
        }
        for missing in &self.missing {
            let _ = writeln!(text, "\n{missing}");
        }
        text
    }

    fn heading(&self) -> String {
        let Machine { cpu, processors, memory, system } = &self.machine;
        let versions: Vec<String> = self.versions.iter().map(|(tool, version)| format!("{tool} {version}")).collect();
        format!("{cpu}, {processors} processors, {:.1} GB, {system}\n{}\n", *memory as f64 / 1e9, versions.join("; "))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn run(tool: &str, round: Round, repetition: usize, wall: f64, repository: u64) -> Run {
        let cost = Cost { wall, cpu: 2.0 * wall, memory: 1000 * (repetition as u64 + 1) };
        Run {
            corpus: Kind::Text,
            round,
            tool: tool.to_string(),
            repetition,
            cost,
            repository: (repository > 0).then_some(repository),
        }
    }

    pub(crate) fn report() -> Report {
        let mut runs = Vec::new();
        for (repetition, wall) in [1.0, 9.0, 2.0].into_iter().enumerate() {
            runs.push(run("bailee", Round::First, repetition, wall, 150));
            runs.push(run("bailee-unpadded", Round::First, repetition, wall, 140));
            runs.push(run("restic", Round::First, repetition, 5.0 * wall, 300));
        }
        runs.push(run("bailee", Round::Unchanged, 0, 0.4, 150));
        runs.push(run("walk", Round::Unchanged, 0, 0.2, 0));
        Report {
            machine: Machine { cpu: "a <fast> one".into(), processors: 2, memory: 1 << 34, system: "Linux".into() },
            versions: [("restic".to_string(), "0.14.0".to_string())].into(),
            missing: vec![Missing { tool: "borg".into(), why: "borg is not installed".into() }],
            bytes: [("text".to_string(), 2_000_000_000)].into(),
            runs,
            problems: Vec::new(),
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(
            [median(&[]), median(&[3.0]), median(&[1.0, 4.0]), median(&[9.0, 1.0, 2.0])],
            [0.0, 3.0, 2.5, 2.0]
        );
    }

    #[test]
    fn ratios_are_theirs_over_ours_for_time_and_ours_over_theirs_for_size() {
        let ratios = ratios(&medians(&report().runs));
        let expected = [
            ("text_first_vs_restic", 5.0),
            ("text_size_vs_restic", 0.5),
            ("text_unchanged_vs_walk", 0.5),
            ("text_unpadded_size_vs_restic", 0.467),
        ];
        assert_eq!(ratios, expected.map(|(name, ratio)| (name.to_string(), ratio)).into());
    }

    #[test]
    fn the_summary_has_ratios_memory_and_what_is_missing() {
        let summary = report().summary();
        assert_eq!(summary["message_type"], "summary");
        assert_eq!(summary["ratios"]["text_first_vs_restic"], 5.0);
        assert_eq!(summary["memory"]["text_first"]["bailee"], 2000);
        assert_eq!(summary["cpu_seconds_per_gb"]["text_first"], 2.0, "the median run took 4 CPU seconds for 2 GB");
        assert_eq!(summary["missing"][0]["tool"], "borg");
        let table = report().table();
        assert!(table.contains("5.00 ×") && table.contains("borg takes no part: borg is not installed"), "{table}");
    }

    #[test]
    fn without_our_own_run_there_is_no_ratio() {
        let mut report = report();
        report.runs.retain(|run| run.tool != "bailee" && run.tool != "bailee-unpadded");
        assert_eq!(report.summary()["ratios"], json!({}));
    }
}

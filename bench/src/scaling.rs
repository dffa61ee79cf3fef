//! Cost against the number of files and against bytes: a straight line, or not.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use crate::corpus;
use crate::measure::{Cost, measure};
use crate::report::median;
use crate::rounds::warm;
use crate::tools::{Bailee, Place, Tool};

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Files of 2 KiB, from 10,000 to 100,000.
    Files,
    /// Bytes in files of 1 MiB, from 100 MB.
    Bytes,
}

/// A first backup of a tree of some size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// What grows.
    pub axis: Axis,
    /// With how many threads.
    pub threads: usize,
    /// How much of it: files or bytes.
    pub amount: u64,
    /// What the backup cost.
    #[serde(flatten)]
    pub cost: Cost,
}

/// How far to go.
pub struct Scaling<'a> {
    /// The program that is measured.
    pub bailee: &'a Path,
    /// Trees and archives come here, and are removed.
    pub work: &'a Path,
    /// Names the trees.
    pub seed: u64,
    /// 1 for the full size.
    pub scale: f64,
    /// The largest tree of the second series, before it is scaled.
    pub most_bytes: u64,
    /// How often each backup is made; the median counts, each figure by itself.
    pub repetitions: usize,
}

const SMALL_FILE: usize = 2048;
const LARGE_FILE: usize = 1 << 20;
const FILES: [f64; 4] = [10_000.0, 25_000.0, 50_000.0, 100_000.0];
const LEAST_BYTES: f64 = 1e8;
/// The bytes grow in so many equal factors.
const STEPS: i32 = 3;

impl Scaling<'_> {
    /// Measures every point, with one thread and with two, and tells of each.
    ///
    /// # Errors
    /// The work folder cannot be written, or a backup failed.
    pub fn run(&self, tell: &mut dyn FnMut(&Point)) -> io::Result<Vec<Point>> {
        let files = FILES.map(|files| (Axis::Files, (files * self.scale).max(1.0) as u64));
        let factor = (self.most_bytes as f64 / LEAST_BYTES).max(1.0).powf(1.0 / f64::from(STEPS));
        let large = |step| (LEAST_BYTES * factor.powi(step) * self.scale / LARGE_FILE as f64).max(1.0) as u64;
        let bytes = (0..=STEPS).map(|step| (Axis::Bytes, large(step) * LARGE_FILE as u64));
        let mut points = Vec::new();
        for (axis, amount) in files.into_iter().chain(bytes) {
            let tree = tempfile::tempdir_in(self.work)?;
            match axis {
                Axis::Files => corpus::files_of(tree.path(), self.seed, amount as usize, SMALL_FILE)?,
                Axis::Bytes => corpus::files_of(tree.path(), self.seed, amount as usize / LARGE_FILE, LARGE_FILE)?,
            }
            for threads in [1, 2] {
                let point = Point { axis, threads, amount, cost: self.median_backup(tree.path(), threads)? };
                tell(&point);
                points.push(point);
            }
        }
        Ok(points)
    }

    fn median_backup(&self, tree: &Path, threads: usize) -> io::Result<Cost> {
        let costs: Vec<Cost> =
            (0..self.repetitions).map(|_| self.first_backup(tree, threads)).collect::<Result<_, _>>()?;
        let of = |figure: Figure| median(&costs.iter().map(figure).collect::<Vec<_>>());
        Ok(Cost {
            wall: of(|cost| cost.wall),
            cpu: of(|cost| cost.cpu),
            memory: of(|cost| cost.memory as f64) as u64,
        })
    }

    fn first_backup(&self, tree: &Path, threads: usize) -> io::Result<Cost> {
        let state = tempfile::tempdir_in(self.work)?;
        let place = Place { source: tree.to_path_buf(), state: state.path().to_path_buf() };
        fs::create_dir(place.state.join("home"))?;
        let bailee = Bailee::new(self.bailee).threads(threads);
        for step in bailee.prepare(&place) {
            measure(&step, &[]).map_err(io::Error::other)?;
        }
        warm(tree)?;
        nix::unistd::sync();
        measure(&bailee.back_up(&place, "first"), &[]).map_err(io::Error::other)
    }
}

/// A straight line through points by least squares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Line {
    /// What every run costs.
    pub fixed: f64,
    /// What each unit adds.
    pub slope: f64,
    /// The share of the spread that the line explains: 1 if all points lie on it.
    pub r_squared: f64,
}

/// The line through these points; none through fewer than two amounts.
pub fn line(points: &[(f64, f64)]) -> Option<Line> {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|&(x, y)| of(x - mean_x, y - mean_y)).sum::<f64>();
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    if points.is_empty() || xx == 0.0 {
        return None;
    }
    let slope = xy / xx;
    let r_squared = if yy == 0.0 { 1.0 } else { xy * xy / (xx * yy) };
    Some(Line { fixed: mean_y - slope * mean_x, slope, r_squared })
}

/// A figure of a cost.
type Figure = fn(&Cost) -> f64;

/// What is drawn a line through.
const FIGURES: [(&str, Figure); 3] =
    [("wall_seconds", |cost| cost.wall), ("cpu_seconds", |cost| cost.cpu), ("peak_bytes", |cost| cost.memory as f64)];

/// Axis, threads, name of the figure, and the line through it.
type Fitted = (Axis, usize, &'static str, Line);

fn lines(points: &[Point]) -> Vec<Fitted> {
    let mut lines = Vec::new();
    for axis in [Axis::Files, Axis::Bytes] {
        for threads in [1, 2] {
            let of_both = |point: &&Point| (point.axis, point.threads) == (axis, threads);
            for (name, figure) in FIGURES {
                let pairs: Vec<(f64, f64)> =
                    points.iter().filter(of_both).map(|point| (point.amount as f64, figure(&point.cost))).collect();
                lines.extend(line(&pairs).map(|line| (axis, threads, name, line)));
            }
        }
    }
    lines
}

/// How much faster two threads are than one, at the largest amount.
fn speed_up(points: &[Point], axis: Axis) -> Option<f64> {
    let largest = |threads| {
        let of_both = |point: &&Point| (point.axis, point.threads) == (axis, threads);
        points.iter().filter(of_both).max_by_key(|point| point.amount)
    };
    Some(largest(1)?.cost.wall / largest(2)?.cost.wall)
}

/// The last line of the JSON.
pub fn summary(points: &[Point]) -> Value {
    let lines: Vec<Value> = lines(points)
        .into_iter()
        .map(
            |(axis, threads, figure, line)| json!({"axis": axis, "threads": threads, "figure": figure, "line": line}),
        )
        .collect();
    json!({"message_type": "summary", "lines": lines, "points": points,
        "two_threads_vs_one": {"files": speed_up(points, Axis::Files), "bytes": speed_up(points, Axis::Bytes)}})
}

/// For people.
pub fn table(points: &[Point]) -> String {
    let mut text = String::from("first backup        amount  threads   wall s    cpu s  peak MB\n");
    for Point { axis, threads, amount, cost } in points {
        let Cost { wall, cpu, memory } = cost;
        let axis = if *axis == Axis::Files { "files" } else { "bytes" };
        let _ = writeln!(
            text,
            "{axis:<12} {amount:>13} {threads:>8} {wall:>8.3} {cpu:>8.3} {:>8.1}",
            *memory as f64 / 1e6
        );
    }
    text += "\nleast squares\n";
    for (axis, threads, figure, line) in lines(points) {
        let (unit, of) = if axis == Axis::Files { ("file", 1.0) } else { ("GB", 1e9) };
        let Line { fixed, slope, r_squared } = line;
        let (seconds, fixed, slope) =
            if figure == "peak_bytes" { ("MB", fixed / 1e6, slope / 1e6) } else { ("s", fixed, slope) };
        let slope = if axis == Axis::Files {
            format!("{:.3} µ{seconds}", slope * 1e6)
        } else {
            format!("{:.3} {seconds}", slope * of)
        };
        let slope = slope.replace("µMB", "bytes");
        let _ = writeln!(
            text,
            "  {figure:<13} {threads} thread(s): {fixed:.3} {seconds} + {slope} a {unit}, R² {r_squared:.4}"
        );
    }
    for (axis, of) in [(Axis::Files, "files"), (Axis::Bytes, "bytes")] {
        if let Some(times) = speed_up(points, axis) {
            let _ = writeln!(text, "two threads are {times:.2} × one at the most {of}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_is_found() {
        let found = line(&[(0.0, 1.0), (10.0, 3.0), (20.0, 5.0)]).unwrap();
        assert!(
            (found.fixed - 1.0).abs() < 1e-9
                && (found.slope - 0.2).abs() < 1e-9
                && (found.r_squared - 1.0).abs() < 1e-9
        );
        assert!(line(&[(0.0, 0.0), (1.0, 1.0), (2.0, 8.0)]).unwrap().r_squared < 0.9);
        assert_eq!(line(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(line(&[]), None);
    }

    #[test]
    fn the_summary_has_a_line_a_figure_and_what_two_threads_bring() {
        let point = |axis, threads: usize, amount| {
            let wall = amount as f64 * 1e-5 / threads as f64;
            Point { axis, threads, amount, cost: Cost { wall, cpu: amount as f64 * 1e-5, memory: 40_000_000 } }
        };
        let points: Vec<Point> = [Axis::Files, Axis::Bytes]
            .into_iter()
            .flat_map(|axis| {
                [(1, 1000), (2, 1000), (1, 3000), (2, 3000)].map(|(threads, amount)| point(axis, threads, amount))
            })
            .collect();
        let summary = summary(&points);
        assert_eq!(summary["lines"].as_array().unwrap().len(), 12);
        assert_eq!(summary["two_threads_vs_one"]["files"], 2.0);
        let table = table(&points);
        assert!(table.contains("10.000 µs a file") && table.contains("0.000 bytes a file"), "{table}");
    }
}

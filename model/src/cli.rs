//! `cargo model …`

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bailee_model::bench::{self, Figures};
use bailee_model::check::{How, Report, Strategy, by_stateright, check, serve, shape};
use bailee_model::machines;
use bailee_model::protocol::{Mutation, properties, scopes};
use bailee_model::story;
use bailee_spec::Scope;
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::json;

/// A violation was found, or a verdict was not the expected one.
const VIOLATION: u8 = 100;
/// Nothing ran.
const NOTHING: u8 = 4;

/// Checks the bounded symbolic model of the protocol. Exhaustive within each scope; not a cryptographic proof.
#[derive(Parser)]
#[command(name = "cargo model", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// The project's own explorer.
    Bailee,
    /// stateright, breadth first and depth first.
    Stateright,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A numbered table and a sequence diagram.
    Text,
    /// A Mermaid sequence diagram.
    Mermaid,
    /// An SVG sequence diagram.
    Svg,
    /// The actions as data.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Check scopes: every reachable state, every action in each.
    Check {
        /// Only this scope.
        #[arg(long)]
        scope: Option<String>,
        /// Scopes of your own, as TOML in the form of spec/scopes.toml.
        #[arg(long)]
        scope_file: Option<PathBuf>,
        /// Which engine.
        #[arg(long, value_enum, default_value = "bailee")]
        engine: Engine,
        /// Leave this property out: the run must then fail (shows that the door can).
        #[arg(long)]
        without: Option<String>,
        /// Threads. A scope whose properties need the transitions is explored by one.
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// JSON lines.
        #[arg(long)]
        json: bool,
        /// Also write a JUnit report.
        #[arg(long)]
        junit: Option<PathBuf>,
    },
    /// Switch every protocol bug on in turn; each must be caught by its property.
    Mutants {
        /// Leave this property out: the run must then fail.
        #[arg(long)]
        without: Option<String>,
        /// JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Time the explorer beside stateright on the same model: medians, as ratios.
    Bench {
        /// On these scopes.
        #[arg(long, default_values = ["late", "recovery", "disaster"])]
        scope: Vec<String>,
        /// Scopes of your own, as TOML in the form of spec/scopes.toml.
        #[arg(long)]
        scope_file: Option<PathBuf>,
        /// Repetitions of each engine.
        #[arg(long, default_value_t = 5)]
        repetitions: usize,
        /// Also beside SPIN's breadth-first search, on the large scope of model/twin (needs spin and gcc).
        #[arg(long)]
        spin: bool,
        /// JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Print which pairs of parts meet in which scope, and which meet in none and why.
    Coverage {
        /// JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Draw each role's state machine from the model, as Mermaid.
    Graph {
        /// In this scope.
        #[arg(long)]
        scope: String,
    },
    /// Open stateright's Explorer on a scope, on loopback.
    Explore {
        /// The scope.
        #[arg(long)]
        scope: String,
        /// The port on 127.0.0.1.
        #[arg(long, default_value_t = 3000)]
        port: u16,
    },
    /// Print the shortest counterexample or witness of a property or a claim.
    Explain {
        /// A property id, or a claim (C13).
        id: String,
        /// With this bug.
        #[arg(long)]
        mutation: Option<String>,
        /// In this scope.
        #[arg(long)]
        scope: Option<String>,
        /// How.
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
}

/// Runs the command line.
pub(crate) fn run() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Check { scope, scope_file, engine, without, threads, json, junit } => {
            selected(scope.as_deref(), scope_file).and_then(|scopes| match engine {
                Engine::Bailee => run_check(&scopes, without.as_deref(), threads, json, junit),
                Engine::Stateright => run_second(&scopes, json),
            })
        }
        Command::Mutants { without, json } => run_mutants(without.as_deref(), json),
        Command::Bench { scope, scope_file, repetitions, spin, json } => {
            run_bench(&scope, scope_file.as_ref(), repetitions, json)
                .and_then(|code| if spin { bench_spin(repetitions, json).map(|()| code) } else { Ok(code) })
        }
        Command::Coverage { json } => bailee_model::coverage::lines(json).map(|(lines, whole)| {
            lines.into_iter().for_each(line);
            if whole { 0 } else { VIOLATION }
        }),
        Command::Graph { scope } => selected(Some(&scope), None).and_then(|scopes| {
            for machine in scopes.iter().map(machines::machines).collect::<Result<Vec<_>, _>>()?.iter().flatten() {
                line(machines::mermaid(machine));
            }
            Ok(0)
        }),
        Command::Explore { scope, port } => selected(Some(&scope), None).and_then(|scopes| {
            eprintln!("the Explorer of scope {scope} is at http://127.0.0.1:{port} until you interrupt it");
            scopes.first().map_or(Ok(NOTHING), |scope| serve(scope, port).map(|()| 0))
        }),
        Command::Explain { id, mutation, scope, format } => {
            explain(&id, mutation.as_deref(), scope.as_deref(), format)
        }
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(1)
        }
    }
}

/// Writes a line; a reader who went away is no error of ours.
fn line(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn selected(name: Option<&str>, file: Option<PathBuf>) -> Result<Vec<Scope>, String> {
    let all = match file {
        Some(path) => {
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            scopes::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => scopes::committed(),
    };
    let names: Vec<String> = all.iter().map(|scope| scope.name.clone()).collect();
    let chosen: Vec<Scope> = match name {
        Some(name) => all.into_iter().filter(|scope| scope.name == name).collect(),
        None => all.into_iter().filter(|scope| scope.focused).collect(),
    };
    match (chosen.is_empty(), name) {
        (true, None) => Err(format!("no scope is marked focused; name one with --scope: {}", names.join(", "))),
        (true, Some(name)) => Err(format!("there is no scope {name}; there are: {}", names.join(", "))),
        _ => Ok(chosen),
    }
}

fn known_property(id: Option<&str>) -> Result<Option<&'static str>, String> {
    let Some(id) = id else { return Ok(None) };
    properties::find(id).map(|property| Some(property.id)).ok_or_else(|| format!("there is no property {id}"))
}

/// Says once in ten seconds how far a long exploration is.
fn tell_states(states: usize) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let since = last.get_or_insert_with(Instant::now);
    if since.elapsed().as_secs() >= 10 {
        *since = Instant::now();
        eprintln!("{states} states so far");
    }
}

fn run_check(
    scopes: &[Scope],
    without: Option<&str>,
    threads: usize,
    json: bool,
    junit: Option<PathBuf>,
) -> Result<u8, String> {
    let without = known_property(without)?;
    let mut reports = Vec::new();
    for scope in scopes {
        let report =
            check(scope, How { strict: true, without, threads, progress: Some(tell_states), ..How::default() })?;
        if !json {
            print_report(&report);
        }
        for why in &report.refused {
            eprintln!("{}: refused: {why}", report.scope);
        }
        reports.push(report);
    }
    if reports.is_empty() {
        return Ok(NOTHING);
    }
    let missing = without.filter(|id| !reports.iter().any(|r| r.verdicts.iter().any(|v| v.id == *id)));
    if let Some(id) = missing {
        eprintln!("property {id} is declared and was not checked");
    }
    if json {
        line(check_summary(&reports));
    }
    if let Some(path) = junit {
        std::fs::write(&path, junit_report(&reports)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(if missing.is_none() && reports.iter().all(Report::passed) { 0 } else { VIOLATION })
}

fn print_report(report: &Report) {
    line(format_args!(
        "{:<18} {:>9} states {:>10} transitions  depth {:>3}  {:>7.2} s  {:>5.1} B/state",
        report.scope,
        report.states,
        report.transitions,
        report.depth,
        report.elapsed.as_secs_f64(),
        report.bytes_per_state,
    ));
    for verdict in &report.verdicts {
        let mark = if verdict.verdict == verdict.expected { " " } else { "!" };
        let note = match (verdict.exceptions, verdict.steps) {
            (Some(exceptions), _) => format!("{exceptions} exceptions"),
            (None, Some(steps)) => format!("{steps} steps"),
            (None, None) => String::new(),
        };
        let promise = if verdict.expected == "broken" { " (expected: the profile cannot keep it)" } else { "" };
        line(format_args!("  {mark} {:<30} {:<17} {}{promise}  {note}", verdict.id, verdict.kind, verdict.verdict));
    }
}

fn check_summary(reports: &[Report]) -> serde_json::Value {
    let scopes: Vec<_> = reports
        .iter()
        .map(|r| {
            json!({"scope": r.scope, "engine": "bailee", "states": r.states, "transitions": r.transitions,
                "depth": r.depth, "seconds": r.elapsed.as_secs_f64()})
        })
        .collect();
    let properties: Vec<_> = reports.iter().flat_map(|r| &r.verdicts).collect();
    json!({"message_type": "summary", "scopes": scopes, "properties": properties})
}

fn junit_report(reports: &[Report]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for report in reports {
        let failed = report.verdicts.iter().filter(|v| v.verdict != v.expected).count() + report.refused.len();
        let tests = report.verdicts.len() + report.refused.len();
        let name = &report.scope;
        out += &format!("  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failed}\">\n");
        for v in &report.verdicts {
            out += &format!("    <testcase classname=\"{name}\" name=\"{}\">", v.id);
            if v.verdict != v.expected {
                out += &format!("<failure message=\"{} where {} was expected\"/>", v.verdict, v.expected);
            }
            out += "</testcase>\n";
        }
        for why in &report.refused {
            let why = why.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
            out +=
                &format!("    <testcase classname=\"{name}\" name=\"run\"><failure message=\"{why}\"/></testcase>\n");
        }
        out += "  </testsuite>\n";
    }
    out + "</testsuites>\n"
}

fn run_second(scopes: &[Scope], json: bool) -> Result<u8, String> {
    let mut rows = Vec::new();
    let mut verdict_rows = Vec::new();
    let mut agree = true;
    for scope in scopes {
        let own = check(scope, How::default())?;
        for (engine, strategy) in [("stateright-bfs", Strategy::Breadth), ("stateright-dfs", Strategy::Depth)] {
            let started = Instant::now();
            let other = by_stateright(scope, How::default(), strategy)?;
            let seconds = started.elapsed().as_secs_f64();
            let same_verdicts = other
                .verdicts
                .iter()
                .all(|(id, holds)| own.verdicts.iter().any(|v| v.id == *id && (v.verdict == "holds") == *holds));
            let same = other.states == own.states && other.transitions == own.transitions && same_verdicts;
            agree &= same;
            if !json {
                let word = if same { "agrees" } else { "DISAGREES" };
                line(format_args!(
                    "{:<18} {engine} {word}: {} states, {} transitions, {seconds:.2} s (own: {}, {}, {:.2} s)",
                    scope.name,
                    other.states,
                    other.transitions,
                    own.states,
                    own.transitions,
                    own.elapsed.as_secs_f64()
                ));
            }
            rows.push(json!({"scope": scope.name, "engine": engine, "states": other.states,
                "transitions": other.transitions, "depth": own.depth, "seconds": seconds}));
        }
        verdict_rows.extend(own.verdicts.into_iter().map(|v| json!(v)));
    }
    if json {
        line(json!({"message_type": "summary", "scopes": rows, "properties": verdict_rows}));
    }
    Ok(if agree { 0 } else { VIOLATION })
}

fn run_mutants(without: Option<&str>, json: bool) -> Result<u8, String> {
    let without = known_property(without)?;
    let scopes = scopes::committed();
    let mut right = BTreeMap::new();
    let mut caught = 0;
    for &mutation in Mutation::ALL {
        let scope = scopes.iter().find(|scope| scope.name == mutation.scope());
        let scope = scope.ok_or_else(|| format!("{}: there is no scope {}", mutation.id(), mutation.scope()))?;
        let report = check(scope, How { mutation: Some(mutation), without, ..How::default() })?;
        let seen: Vec<_> = mutation.properties().iter().filter_map(|id| report.unexpected(id)).collect();
        let right = match right.get(mutation.scope()) {
            Some(shape) => *shape,
            None => {
                let shape = shape(scope, None, &check(scope, How::default())?.graph)?;
                *right.entry(mutation.scope()).or_insert(shape)
            }
        };
        let changed = shape(scope, Some(mutation), &report.graph)? != right;
        let ok = seen.len() == mutation.properties().len() && changed;
        let steps = seen.iter().find_map(|verdict| verdict.steps);
        caught += u32::from(ok);
        let seconds = report.elapsed.as_secs_f64();
        if json {
            line(json!({"message_type": "mutant", "mutation": mutation.id(), "scope": scope.name,
                "properties": mutation.properties(), "caught": ok, "steps": steps, "changes_graph": changed,
                "seconds": seconds}));
        } else {
            let word = match (ok, changed) {
                (true, _) => "caught",
                (false, false) => "CHANGES NOTHING",
                (false, true) => "MISSED",
            };
            let steps = steps.map_or(String::new(), |steps| format!("{steps:>3} steps"));
            let properties = mutation.properties().join(" and ");
            line(format_args!(
                "{word} {:<24} {:<16} {seconds:>5.2} s {steps:>9}  {properties}",
                mutation.id(),
                scope.name,
            ));
        }
    }
    let total = Mutation::ALL.len();
    if json {
        line(json!({"message_type": "summary", "total": total, "caught": caught}));
    } else {
        line(format_args!("{caught} of {total} mutations caught"));
    }
    Ok(if caught as usize == total { 0 } else { VIOLATION })
}

fn run_bench(names: &[String], file: Option<&PathBuf>, repetitions: usize, json: bool) -> Result<u8, String> {
    for name in names {
        for scope in selected(Some(name), file.cloned())? {
            let figures = bench::measure(&scope, repetitions)?;
            line(if json { bench_json(&figures).to_string() } else { bench_text(&figures) });
        }
    }
    Ok(0)
}

/// SPIN on the twin, and the explorer on the same scope: counts must be equal before times are compared.
fn bench_spin(repetitions: usize, json: bool) -> Result<(), String> {
    let twin = Path::new("model/twin");
    let output = std::process::Command::new(twin.join("check")).arg("--time").output();
    let output =
        output.map_err(|error| format!("model/twin/check: {error}: run this from the root of the project"))?;
    if !output.status.success() {
        return Err(format!("model/twin/check --time: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let spin: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .map_err(|error| format!("model/twin/check --time: {error}"))?;
    let scopes = selected(spin["scope"].as_str(), Some(twin.join("large.toml")))?;
    let scope = scopes.first().ok_or("model/twin/large.toml has no scope")?;
    let own = bench::own_alone(scope, repetitions)?;
    if (spin["states"].as_u64(), spin["transitions"].as_u64()) != (Some(own.states), Some(own.transitions)) {
        return Err(format!("SPIN and the explorer disagree: {spin}, {own:?}"));
    }
    let spin_seconds = spin["seconds"].as_f64().ok_or("SPIN's time is missing")?;
    let (one, two) = (spin_seconds / own.one.as_secs_f64(), spin_seconds / own.two.as_secs_f64());
    if json {
        line(json!({"message_type": "bench-spin", "scope": scope.name, "states": own.states,
            "transitions": own.transitions, "spin_seconds": spin_seconds, "seconds": own.one.as_secs_f64(),
            "seconds_two_threads": own.two.as_secs_f64(), "tried": own.tried, "ratio": one, "ratio_two_threads": two}));
    } else {
        line(format_args!(
            "{}: {} states, {} transitions; SPIN, breadth first {spin_seconds:.3} s; own explorer {:.3} s ({one:.2} x), \
             2 threads {:.3} s ({two:.2} x); it tries {} actions, the twin only those that change something",
            scope.name,
            own.states,
            own.transitions,
            own.one.as_secs_f64(),
            own.two.as_secs_f64(),
            own.tried
        ));
    }
    Ok(())
}

fn bench_text(f: &Figures) -> String {
    let rate = |time: std::time::Duration| f.transitions as f64 / time.as_secs_f64() / 1e6;
    let row = |what: &str, time: std::time::Duration| {
        let ratio = f.stateright.as_secs_f64() / time.as_secs_f64();
        format!("  {what:<34} {:>8.3} s {:>7.2} M transitions/s {ratio:>6.2} x\n", time.as_secs_f64(), rate(time))
    };
    let (still, components) = f.graph_costs();
    format!(
        "{}: {} states of {} bits, {} transitions, {:.1} bytes a state\n{}{}{}{}{}  can always still {still:.1} ms, \
         components {components:.1} ms a million transitions",
        f.scope,
        f.states,
        f.bits,
        f.transitions,
        f.bytes_per_state,
        row("stateright, breadth first, 1 thread", f.stateright),
        row("stateright, breadth first, 2 threads", f.stateright_two),
        row("own explorer, 1 thread", f.own),
        row("own explorer, 2 threads", f.own_two),
        row("bare loop over next_state", f.bare),
    )
}

fn bench_json(f: &Figures) -> serde_json::Value {
    let (one, two) = f.ratios();
    let (still, components) = f.graph_costs();
    json!({"message_type": "bench", "scope": f.scope, "bits": f.bits, "states": f.states, "transitions": f.transitions,
        "bytes_per_state": f.bytes_per_state, "bare_seconds": f.bare.as_secs_f64(), "seconds": f.own.as_secs_f64(),
        "seconds_two_threads": f.own_two.as_secs_f64(), "stateright_seconds": f.stateright.as_secs_f64(),
        "stateright_seconds_two_threads": f.stateright_two.as_secs_f64(), "ratio": one, "ratio_two_threads": two,
        "can_always_still_ms_per_million": still, "components_ms_per_million": components})
}

/// The property that a claim's broken promise is.
fn property_of_claim(id: &str) -> &str {
    match id {
        "C13" => "key-only-in-session",
        "C14" => "vendor-holds-no-key",
        "C15" => "no-master-key",
        "C16" => "shares-are-not-data",
        "C33" => "on-behalf-unseen",
        other => other,
    }
}

fn explain(id: &str, mutation: Option<&str>, scope: Option<&str>, format: Format) -> Result<u8, String> {
    let property = properties::find(property_of_claim(id)).ok_or_else(|| format!("there is no property {id}"))?;
    let mutation = match mutation {
        Some(id) => {
            Some(*Mutation::ALL.iter().find(|m| m.id() == id).ok_or_else(|| format!("there is no mutation {id}"))?)
        }
        None => None,
    };
    let named = |s: &&Scope| match (scope, mutation) {
        (Some(name), _) => s.name == name,
        (None, Some(mutation)) => s.name == mutation.scope(),
        (None, None) => s.properties.iter().any(|id| id == property.id),
    };
    let scopes = scopes::committed();
    let scope = scopes.iter().find(named).ok_or("no scope checks this property")?;
    let story = story::tell(scope, property, mutation)?;
    line(match format {
        Format::Text => story.text(),
        Format::Mermaid => story.mermaid(),
        Format::Svg => story.svg(),
        Format::Json => story.json().to_string(),
    });
    Ok(0)
}

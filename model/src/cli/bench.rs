//! `cargo model bench`: the explorer beside stateright and SPIN, as ratios.

use std::path::Path;

use bailee_model::bench::{self, Figures};
use bailee_model::command::{Failure, line};
use bailee_model::scope_file::select;
use serde_json::json;

/// Times the explorer beside stateright on each named scope.
pub(super) fn run_bench(
    names: &[String],
    file: Option<&Path>,
    repetitions: usize,
    json: bool,
) -> Result<u8, Failure> {
    for name in names {
        for scope in select(file, Some(name))?.chosen {
            let figures = bench::measure(&scope, repetitions)?;
            line(if json { bench_json(&figures).to_string() } else { bench_text(&figures) });
        }
    }
    Ok(0)
}

/// SPIN on the twin, and the explorer on the same scope: counts must be equal before times are compared.
pub(super) fn bench_spin(repetitions: usize, json: bool) -> Result<(), Failure> {
    let twin = Path::new("model/twin");
    let output = std::process::Command::new(twin.join("check")).arg("--time").output();
    let output =
        output.map_err(|error| format!("model/twin/check: {error}: run this from the root of the project"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return Err(format!("model/twin/check --time: {said}").into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let spin: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .map_err(|error| format!("model/twin/check --time: {error}"))?;
    let scopes = select(Some(&twin.join("large.toml")), spin["scope"].as_str())?.chosen;
    let scope = scopes.first().ok_or("model/twin/large.toml has no scope")?;
    let own = bench::own_alone(scope, repetitions)?;
    if (spin["states"].as_u64(), spin["transitions"].as_u64()) != (Some(own.states), Some(own.transitions)) {
        return Err(format!("SPIN and the explorer disagree: {spin}, {own:?}").into());
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

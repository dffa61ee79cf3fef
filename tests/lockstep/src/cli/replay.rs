//! `cargo lockstep replay`: a story, on both readings.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bailee_core::quirks::Quirks;
use bailee_lockstep::locksmith::Loot;
use bailee_lockstep::pair::Pair;
use bailee_lockstep::shrink::{Step, Told, check_indices, parse, run_both, run_through};
use bailee_model::command::{Failure, NOTHING, VIOLATION, counted, line};
use bailee_model::protocol::{Mutation, Protocol, mutation};
use bailee_model::scope_file::load;
use bailee_spec::scope::Part;
use bailee_spec::{Action, Scope};
use clap::Args;

use super::bugs::{quirk, quirks_of};

/// Which stories, and how.
#[derive(Args)]
pub(super) struct ReplayArguments {
    /// The file; standard input without one.
    file: Option<PathBuf>,
    /// Where the scopes of the story are, if they are your own (spec/scopes.md).
    #[arg(long)]
    scope_file: Option<PathBuf>,
    /// Switch this bug on in the reference alone.
    #[arg(long, value_name = "BUG")]
    with: Option<String>,
    /// Write what the adversary of the story holds in the end into this new folder, for `cargo locksmith`.
    #[arg(long)]
    loot: Option<PathBuf>,
}

/// Replays every story of the input.
pub(super) fn run_replay(arguments: &ReplayArguments) -> Result<u8, Failure> {
    let text = match &arguments.file {
        Some(path) => {
            std::fs::read_to_string(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?
        }
        None => std::io::read_to_string(std::io::stdin()).map_err(|error| format!("standard input: {error}"))?,
    };
    let stories = parse(&text).map_err(|error| Failure::Usage(format!("the story: {error}")))?;
    let mut codes = Vec::new();
    for told in &stories {
        codes.push(replay_one(told, arguments)?);
    }
    if codes.is_empty() {
        eprintln!("there is no story in it, so nothing ran");
    }
    let worst = [VIOLATION, 0].into_iter().find(|code| codes.contains(code));
    Ok(worst.unwrap_or(NOTHING))
}

fn replay_one(told: &Told, arguments: &ReplayArguments) -> Result<u8, Failure> {
    let usage = |what: String| Failure::Usage(format!("the story: {what}"));
    let scope = load(arguments.scope_file.as_deref())?.into_iter().find(|scope| scope.name == told.scope);
    let scope = scope.ok_or_else(|| usage(format!("there is no scope {}", told.scope)))?;
    check_indices(&scope, &told.actions).map_err(usage)?;
    let loot = arguments.loot.as_deref();
    if let Some(folder) = loot.filter(|folder| folder.exists()) {
        return Err(Failure::Usage(format!("{}: it exists; name a new folder", folder.display())));
    }
    match &told.mutation {
        None => {
            let quirks = quirks_of(arguments.with.as_deref())?;
            as_it_is(&Protocol::new(&scope, None).map_err(usage)?, quirks, &told.actions, loot)
        }
        Some(_) if arguments.with.is_some() => Err(usage("it has a bug of its own; leave --with out".into())),
        Some(id) => {
            let mutation = mutation::find(id).ok_or_else(|| usage(format!("there is no mutation {id}")))?;
            with_bug(&scope, mutation, &told.actions, loot)
        }
    }
}

/// The story as the protocol is: both readings must agree after every step.
fn as_it_is(protocol: &Protocol, quirks: Quirks, actions: &[Action], loot: Option<&Path>) -> Result<u8, Failure> {
    let started = Instant::now();
    let (pair, steps) = run_both(protocol, quirks, actions)?;
    tell(&steps, protocol.scope.nodes);
    if steps.iter().any(|step| !step.differences.is_empty()) {
        return Ok(VIOLATION);
    }
    let (steps, seconds) = (counted(actions.len() as u64, "step"), started.elapsed().as_secs_f64());
    line(format_args!("both readings agree after each of {steps} ({seconds:.3} s)"));
    tell_loot(protocol, pair, loot)?;
    Ok(0)
}

/// The story of a bug, with the bug of the same name switched on in the reference: every step must end as in the story, and
/// the reference must leave the right rules. How a bug shows in detail may differ between the readings, and is told.
fn with_bug(scope: &Scope, mutation: Mutation, actions: &[Action], loot: Option<&Path>) -> Result<u8, Failure> {
    let (id, about) = (mutation.id(), mutation.about());
    let Some(quirk) = quirk(id) else {
        eprintln!("the reference has no bug {id} to switch on ({about}): the story is one of the model alone");
        return Ok(NOTHING);
    };
    let quirks = Quirks::only(quirk);
    line(format_args!("with {id} switched on in both readings: {about}"));
    let mutated = Protocol::new(scope, Some(mutation))?;
    let (pair, steps) = run_through(&mutated, quirks, actions)?;
    tell(&steps, scope.nodes);
    let (_, against_the_rules) = run_both(&Protocol::new(scope, None)?, quirks, actions)?;
    let leaves = against_the_rules.iter().position(|step| !step.differences.is_empty());
    match leaves {
        Some(at) => {
            let how = against_the_rules[at].differences.first().map_or("", String::as_str);
            line(format_args!("the reference leaves the right rules at step {}: {how}", at + 1));
        }
        None => line(format_args!("the reference keeps to the right rules all the same: {id} does not show on it")),
    }
    let as_told = steps.iter().all(|step| step.model == step.reference);
    if !as_told || leaves.is_none() {
        return Ok(VIOLATION);
    }
    let detail = steps.iter().filter(|step| !step.differences.is_empty()).count() as u64;
    let steps = counted(actions.len() as u64, "step");
    line(match detail {
        0 => format!("both readings agree after each of {steps}"),
        _ => format!("each of {steps} ends as told; after {detail} the two bugs differ in detail, as above"),
    });
    tell_loot(&mutated, pair, loot)?;
    Ok(0)
}

fn tell(steps: &[Step], nodes: u8) {
    for (i, step) in steps.iter().enumerate() {
        let (word, ending) = match (step.differences.is_empty(), step.model == step.reference) {
            (true, _) => ("agree ", step.model.words()),
            (false, true) => ("DIFFER", step.model.words()),
            (false, false) => {
                ("DIFFER", format!("model {}; reference {}", step.model.words(), step.reference.words()))
            }
        };
        line(format_args!("{:>3}  {word}  {}: {ending}", i + 1, step.words(nodes)));
        step.differences.iter().for_each(|difference| line(format_args!("     {difference}")));
    }
}

/// What the locksmith opens with the adversary's bytes, and those bytes as files.
fn tell_loot(protocol: &Protocol, pair: Pair, folder: Option<&Path>) -> Result<(), Failure> {
    // Where nobody steals anything, the adversary is the one who sits at the vendor's restorer.
    let steals = protocol.scope.parts.contains(&Part::Adversary);
    let loot = if steals { pair.loot } else { Loot::at_the_restorer(&pair.ensemble) };
    let bytes = loot.bytes(bailee_lockstep::pair::size_of(&protocol.scope));
    for opened in bytes.open_all() {
        let (tenant, user) = &opened.owner;
        line(format_args!("the locksmith opened a sealed {} of {tenant}/{user}, with {}", opened.what, opened.with));
    }
    let Some(folder) = folder else { return Ok(()) };
    bytes.write(folder)?;
    line(format_args!("what the adversary holds is in {0}: cargo locksmith {0}", folder.display()));
    Ok(())
}

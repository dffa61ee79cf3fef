//! A counterexample or a witness as a story: one concrete run, as a table, a diagram, and data that can be replayed.

mod holdings;
mod step;
mod svg;
mod words;

use bailee_spec::action::Action;
use bailee_spec::scope::Scope;
use bailee_spec::{Claim, claim};
use serde_json::json;

pub use holdings::{Holdings, holdings};
pub use step::Step;
pub use words::{ends, happens, parties, rule};

use crate::check::{How, check, holds_for};
use crate::command::counted;
use crate::explorer::Id;
use crate::protocol::properties::{Kind, Property};
use crate::protocol::{Mutation, Protocol, SmallWorld};

/// A story.
#[derive(Clone, Debug)]
pub struct Story {
    /// The scope.
    pub scope: String,
    /// How many keystore nodes the scope has.
    pub nodes: u8,
    /// The property.
    pub property: &'static Property,
    /// The claims that rest on the property.
    pub promises: Vec<Claim>,
    /// The change of the rules that was switched on.
    pub mutation: Option<Mutation>,
    /// What the story shows.
    pub shows: &'static str,
    /// Why it ends where it does.
    pub end: &'static str,
    /// The steps, all by the same actors under the same names.
    pub steps: Vec<Step>,
    /// The option that names the file of the scope; empty for a committed one.
    pub file_option: String,
}

/// What was found about a property in one scope.
pub struct Found {
    /// The shortest run that decides it, if a single run does.
    pub story: Option<Story>,
    /// Whether the property holds there.
    pub holds: bool,
    /// The states that were looked at.
    pub states: u64,
}

/// The shortest story that decides a property in a scope.
///
/// # Errors
/// When nothing decides it: the property holds everywhere, or its witness is nowhere.
pub fn tell(scope: &Scope, property: &'static Property, mutation: Option<Mutation>) -> Result<Story, String> {
    let found = look(scope, property, mutation)?;
    let shows = shown(property).0;
    found.story.ok_or_else(|| format!("scope {} has no {shows} of {}", scope.name, property.id))
}

/// What a story about a property shows, and why it ends where it does.
fn shown(property: &Property) -> (&'static str, &'static str) {
    match property.kind {
        Kind::Sometimes(_) => ("witness", "The state after the last step shows it."),
        Kind::Always(_) => ("counterexample", "The state after the last step breaks it."),
        Kind::AlwaysStep(_) => ("counterexample", "The last step breaks it."),
        Kind::CanAlwaysStill(_) => ("counterexample", "From here its goal is out of reach."),
        Kind::LeadsTo(..) => ("counterexample", "From here the roles can go on for ever and never reach its goal."),
    }
}

/// Looks for a story about a property in every state of a scope.
///
/// # Errors
/// When the scope contradicts itself or is too large.
pub fn look(scope: &Scope, property: &'static Property, mutation: Option<Mutation>) -> Result<Found, String> {
    let mut only = scope.clone();
    only.properties = vec![property.id.to_string()];
    let report = check(&only, How { mutation, ..How::default() })?;
    let verdict = &report.verdicts[0];
    let (holds, states) = (verdict.verdict == "holds", report.states);
    let Some(at) = verdict.at else { return Ok(Found { story: None, holds, states }) };
    let model = Protocol::new(scope, mutation)?;
    let (mut steps, world) = concrete(&model, &report.graph.path(at), |id| report.graph.key(id));
    if let Kind::AlwaysStep(holds) = property.kind
        && let Some(&action) = model.actions.iter().find(|&&action| !holds_for(&model, &world, action, holds))
    {
        steps.push(step(&model, &world, action).0);
    }
    let claims = claim::parse(bailee_spec::CLAIMS)?;
    let promises = claims.into_iter().filter(|claim| claim.properties.iter().any(|id| id == property.id)).collect();
    let (shows, end) = shown(property);
    let story = Story {
        scope: scope.name.clone(),
        nodes: scope.nodes,
        property,
        promises,
        mutation,
        shows,
        end,
        steps,
        file_option: String::new(),
    };
    Ok(Found { story: Some(story), holds, states })
}

fn step(model: &Protocol, world: &SmallWorld, action: Action) -> (Step, SmallWorld) {
    let message = match action {
        Action::Deliver { lane } | Action::DeliverThenCrash { lane } => world.lane(lane).message.get(),
        _ => None,
    };
    let (outcome, next) = model.step(world, action);
    (Step { action, message, outcome, after: model.rules.observe(&next) }, next)
}

/// One concrete run along a path of sorted states: at each step an action whose sorted result is the next state.
pub fn concrete(model: &Protocol, path: &[Id], key: impl Fn(Id) -> u128) -> (Vec<Step>, SmallWorld) {
    let mut world = model.start();
    let mut steps = Vec::new();
    for &to in &path[1..] {
        let wanted = key(to);
        let found = model.actions.iter().find_map(|&action| {
            let (told, next) = step(model, &world, action);
            (next != world && model.pack(&model.canonical(&next)) == wanted).then_some((told, next))
        });
        let Some((told, next)) = found else { break };
        steps.push(told);
        world = next;
    }
    (steps, world)
}

impl Story {
    /// What the story is about: the promises that rest on the property, or the property where none does.
    pub fn title(&self) -> String {
        let promises: Vec<String> =
            self.promises.iter().map(|claim| format!("{}: {}", claim.id, claim.text)).collect();
        if promises.is_empty() { self.property.about.to_string() } else { promises.join("\n") }
    }

    /// What it shows, of which property, where, and how long it is.
    fn summary(&self) -> String {
        let steps = counted(self.steps.len() as u64, "step");
        let with = self.mutation.map_or(String::new(), |mutation| format!(" with {} switched on", mutation.id()));
        format!("{} of {} in scope {}{with}, {steps}", self.shows, self.property.id, self.scope)
    }

    /// The command that replays the story on both readings, to be pasted into a shell.
    pub fn replay_line(&self) -> String {
        let with = self.mutation.map_or(String::new(), |mutation| format!(" --with {}", mutation.id()));
        let (id, scope, file) = (self.property.id, &self.scope, &self.file_option);
        format!("cargo model explain {id} --scope {scope}{with}{file} --format json | cargo lockstep replay{file}")
    }

    /// The title, and the story under it.
    pub fn text(&self) -> String {
        format!("{}\n\n{}", self.title(), self.table())
    }

    /// A numbered table, what the adversary holds in the end, and how to replay it.
    pub fn table(&self) -> String {
        let mut out = format!("{}\n", self.summary());
        if !self.promises.is_empty() {
            out += &format!("{}: {}\n", self.property.id, self.property.about);
        }
        if let Some(mutation) = self.mutation {
            out += &format!("{}: {}\n", mutation.id(), mutation.about());
        }
        out.push('\n');
        let row = |step: &Step| (parties(step.action, step.message, self.nodes), words::label(step));
        let rows: Vec<_> = self.steps.iter().map(row).collect();
        let left = rows.iter().map(|((from, _), _)| from.len()).max().unwrap_or(0);
        let right = rows.iter().map(|((_, to), _)| to.len()).max().unwrap_or(0);
        for (number, ((from, to), label)) in (1..).zip(&rows) {
            let (arrow, to) = if from == to { ("  ", "") } else { ("->", to.as_str()) };
            out += &format!("{number:>3}  {from:>left$} {arrow} {to:<right$}  {label}\n");
        }
        out += &format!("     {}\n\n{}", self.end, holdings(&self.steps).text());
        out + &format!("\nreplay: {}\n", self.replay_line())
    }

    /// A Mermaid sequence diagram.
    pub fn mermaid(&self) -> String {
        let name = |who: &str| who.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        // A semicolon ends a statement of Mermaid, and a number sign begins an entity.
        let plain = |label: String| label.replace(';', ",").replace('#', "");
        let mut out = String::from("sequenceDiagram\n");
        for line in self.title().lines() {
            out += &format!("    %% {line}\n");
        }
        for step in &self.steps {
            let (from, to) = parties(step.action, step.message, self.nodes);
            out += &format!("    {}->>{}: {}\n", name(&from), name(&to), plain(words::label(step)));
        }
        out
    }

    /// An SVG sequence diagram.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }

    /// The story as data that can be replayed.
    pub fn json(&self) -> serde_json::Value {
        let actions: Vec<_> = self.steps.iter().map(|step| json!(step.action)).collect();
        let told = |step: &Step| {
            let (from, to) = parties(step.action, step.message, self.nodes);
            json!({"from": from, "to": to, "text": words::label(step)})
        };
        let steps: Vec<_> = self.steps.iter().map(told).collect();
        let promises: Vec<_> =
            self.promises.iter().map(|claim| json!({"id": claim.id, "text": claim.text})).collect();
        let Holdings { things, opens, within_reach } = holdings(&self.steps);
        json!({"message_type": "story", "scope": self.scope, "property": self.property.id,
            "about": self.property.about, "promises": promises, "mutation": self.mutation.map(Mutation::id),
            "shows": self.shows, "end": self.end, "actions": actions, "steps": steps,
            "adversary_holds": things, "adversary_opens_users": opens,
            "within_reach": within_reach, "replay": self.replay_line()})
    }
}

//! A counterexample or a witness as a story: one concrete run, as a table, a diagram, and data that can be replayed.

mod svg;

use bailee_spec::action::{Action, Lane};
use bailee_spec::observation::Message;
use bailee_spec::scope::Scope;
use bailee_spec::{Observation, Outcome};
use serde_json::json;

use crate::check::{How, check, holds_for};
use crate::explorer::Id;
use crate::protocol::properties::{Kind, Property};
use crate::protocol::{Mutation, Protocol, SmallWorld};

/// One step of a story.
#[derive(Clone, Debug)]
pub struct Step {
    /// What happened.
    pub action: Action,
    /// The message that was delivered, if one was.
    pub message: Option<Message>,
    /// How it ended.
    pub outcome: Outcome,
    /// What an onlooker sees after it.
    pub after: Observation,
}

/// A story.
#[derive(Clone, Debug)]
pub struct Story {
    /// The scope.
    pub scope: String,
    /// The property.
    pub property: &'static str,
    /// What the story shows.
    pub shows: &'static str,
    /// Why it ends where it does.
    pub end: &'static str,
    /// The steps, all by the same actors under the same names.
    pub steps: Vec<Step>,
}

/// The shortest story that decides a property in a scope.
///
/// # Errors
/// When nothing decides it: the property holds everywhere, or its witness is nowhere.
pub fn tell(scope: &Scope, property: &'static Property, mutation: Option<Mutation>) -> Result<Story, String> {
    let mut only = scope.clone();
    only.properties = vec![property.id.to_string()];
    let report = check(&only, How { mutation, ..How::default() })?;
    let verdict = &report.verdicts[0];
    let (shows, end) = match property.kind {
        Kind::Sometimes(_) => ("witness", "the state after the last step shows it"),
        Kind::Always(_) => ("counterexample", "the state after the last step breaks it"),
        Kind::AlwaysStep(_) => ("counterexample", "the last step breaks it"),
        Kind::CanAlwaysStill(_) => ("counterexample", "from here its goal is out of reach"),
        Kind::LeadsTo(..) => ("counterexample", "from here the roles can go on for ever and never reach its goal"),
    };
    let at = verdict.at.ok_or_else(|| format!("scope {} has no {shows} of {}", scope.name, property.id))?;
    let model = Protocol::new(scope, mutation)?;
    let (mut steps, world) = concrete(&model, &report.graph.path(at), |id| report.graph.key(id));
    if let Kind::AlwaysStep(holds) = property.kind
        && let Some(&action) = model.actions.iter().find(|&&action| !holds_for(&model, &world, action, holds))
    {
        steps.push(step(&model, &world, action).0);
    }
    Ok(Story { scope: scope.name.clone(), property: property.id, shows, end, steps })
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

/// Who speaks to whom in a step.
fn parties(step: &Step) -> (String, String) {
    let client = |lane: &Lane| match lane {
        Lane::Device(d) => format!("device {d}"),
        Lane::Late(d) => format!("device {d} (late)"),
        Lane::Job => "restorer".to_string(),
        Lane::Point(point) | Lane::LatePoint(point) => format!("{point:?}").to_lowercase(),
    };
    match (&step.action, step.message) {
        (Action::Deliver { lane } | Action::DeliverThenCrash { lane }, Some(message)) => {
            use Message as M;
            let (from, to) = match message {
                M::OpenEnrolment
                | M::CreateAccount
                | M::Escrow
                | M::ReleaseKey
                | M::GrantConsumed
                | M::GrantRefused => ("authority".to_string(), "keystore".to_string()),
                M::EnrolmentOpened
                | M::AccountCreated
                | M::Receipt
                | M::ConsumeGrant
                | M::SealedKey
                | M::AlreadyEscrowed
                | M::KeystoreRefusal => ("keystore".to_string(), "authority".to_string()),
                M::SignIn
                | M::BeginEnrolment
                | M::PresentCertificate
                | M::EscrowKey
                | M::AddDevice
                | M::JobKey
                | M::JobEnd
                | M::Confirm => (client(lane), "authority".to_string()),
                _ => ("authority".to_string(), client(lane)),
            };
            (from, to)
        }
        (Action::RequestShare { custodian, .. }, _) => (format!("custodian {custodian}"), "custody".into()),
        (Action::SubmitShare { custodian, .. } | Action::AckShare { custodian, .. }, _) => {
            (format!("custodian {custodian}"), "keystore".into())
        }
        (Action::Append { device } | Action::Fetch { device }, _) => (format!("device {device}"), "storage".into()),
        (Action::SignIn { device } | Action::OpenBackup { device } | Action::Contact { device }, _) => {
            (format!("device {device}"), "authority".into())
        }
        (Action::ReadHost { .. } | Action::CorruptCustodian { .. } | Action::StealSnapshot, _) => {
            ("adversary".into(), "keystore".into())
        }
        (Action::Request { by, .. }, _) => (format!("{by:?}").to_lowercase(), "authority".into()),
        (Action::FinishJob | Action::FailJob | Action::CrashRestorer, _) => ("restorer".into(), "restorer".into()),
        (
            Action::Restart { .. }
            | Action::Seal { .. }
            | Action::OpenCeremony { .. }
            | Action::Announce { .. }
            | Action::UnsealTogether { .. }
            | Action::RekeyTogether
            | Action::Snapshot
            | Action::StageRestore { .. },
            _,
        ) => ("operator".into(), "keystore".into()),
        _ => ("environment".into(), "authority".into()),
    }
}

fn title(step: &Step) -> String {
    let name = match step.message {
        Some(message) => format!("{message:?}"),
        None => format!("{:?}", step.action),
    };
    match step.outcome {
        Outcome::Accepted => name,
        Outcome::Refused(refusal) => format!("{name}: refused, {refusal:?}"),
    }
}

impl Story {
    /// A numbered table.
    pub fn text(&self) -> String {
        let mut out = format!("{} of {} in scope {}\n\n", self.shows, self.property, self.scope);
        for (i, step) in self.steps.iter().enumerate() {
            let (from, to) = parties(step);
            out += &format!("{:>3}  {from:>18} -> {to:<18} {}\n", i + 1, title(step));
        }
        out += &format!("     {}\n", self.end);
        out + "\nreplay: cargo lockstep replay (actions on standard input, from --format json)\n"
    }

    /// A Mermaid sequence diagram.
    pub fn mermaid(&self) -> String {
        let name = |who: &str| who.replace([' ', '(', ')'], "_");
        let mut out = String::from("sequenceDiagram\n");
        for step in &self.steps {
            let (from, to) = parties(step);
            out += &format!("    {}->>{}: {}\n", name(&from), name(&to), title(step));
        }
        out
    }

    /// An SVG sequence diagram.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }

    /// The actions as data.
    pub fn json(&self) -> serde_json::Value {
        let actions: Vec<_> = self.steps.iter().map(|step| json!(step.action)).collect();
        json!({"scope": self.scope, "property": self.property, "shows": self.shows, "end": self.end, "actions": actions})
    }
}

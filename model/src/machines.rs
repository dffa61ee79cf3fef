//! Each role's state machine, drawn from the model itself: which of its states follow which, by what action.

use std::collections::{BTreeMap, BTreeSet};

use bailee_spec::scope::Scope;

use crate::explorer::{Options, Watch, explore};
use crate::protocol::{Protocol, SmallWorld};

/// The machines that can be drawn: a name, and what a world says its state is. Only first users, devices and nodes are
/// looked at: the others are alike.
type Look = fn(&SmallWorld) -> String;

const MACHINES: &[(&str, Look)] = &[
    ("device", |w| format!("{:?}", w.devices[0].disk)),
    ("program", |w| format!("{:?}", w.devices[0].program)),
    ("device at the authority", |w| format!("{:?}", w.devices[0].at_authority)),
    ("attempt", |w| format!("{:?}", w.devices[0].attempt)),
    ("capability", |w| format!("{:?}", w.devices[0].capability)),
    ("user", |w| format!("{:?}", w.users[0].standing)),
    ("account", |w| format!("{:?}", w.users[0].account)),
    ("node", |w| {
        let seal = if w.nodes[0].sealed { "Sealed" } else { "Unsealed" };
        format!("{seal}_{:?}", w.nodes[0].ceremony)
    }),
    ("custody window", |w| format!("{:?}", w.nodes[0].window)),
    ("job", |w| format!("{:?}", w.job.state)),
    ("storage", |w| format!("{:?}", w.points[1].freshness)),
];

/// A machine: its transitions, each with the actions that make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: &'static str,
    /// From, to, by.
    pub transitions: BTreeMap<(String, String), BTreeSet<String>>,
}

/// Every machine that moves in a scope.
///
/// # Errors
/// When the scope contradicts itself or is too large.
pub fn machines(scope: &Scope) -> Result<Vec<Machine>, String> {
    let model = Protocol::new(scope, None)?;
    let graph = explore(&model, Options::default(), &Watch::default()).map_err(|stopped| stopped.to_string())?;
    let mut found: Vec<Machine> =
        MACHINES.iter().map(|(name, _)| Machine { name, transitions: BTreeMap::new() }).collect();
    for id in 0..graph.states() as u32 {
        let world = model.unpack(graph.key(id));
        for &action in &model.actions {
            let (_, next) = model.step(&world, action);
            if next == world {
                continue;
            }
            let label = label(&world, action);
            for ((_, look), machine) in MACHINES.iter().zip(&mut found) {
                let (from, to) = (look(&world), look(&next));
                if from != to {
                    machine.transitions.entry((from, to)).or_default().insert(label.clone());
                }
            }
        }
    }
    found.retain(|machine| !machine.transitions.is_empty());
    Ok(found)
}

/// The message that is delivered, or the action's name.
fn label(world: &SmallWorld, action: bailee_spec::Action) -> String {
    use bailee_spec::Action;
    match action {
        Action::Deliver { lane } | Action::DeliverThenCrash { lane } => {
            world.lane(lane).message.get().map_or_else(|| "nothing".into(), |message| format!("{message:?}"))
        }
        other => {
            let whole = format!("{other:?}");
            whole.split([' ', '{']).next().unwrap_or(&whole).to_string()
        }
    }
}

/// A machine as a Mermaid state diagram.
pub fn mermaid(machine: &Machine) -> String {
    let mut out = format!("---\ntitle: {}\n---\nstateDiagram-v2\n", machine.name);
    for ((from, to), by) in &machine.transitions {
        let by: Vec<&str> = by.iter().map(String::as_str).collect();
        out += &format!("    {from} --> {to}: {}\n", by.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_sealed_by_a_restart_and_opened_by_a_ceremony() {
        let scope = crate::protocol::scopes::committed().into_iter().find(|scope| scope.name == "nodes").unwrap();
        let machines = machines(&scope).unwrap();
        let node = machines.iter().find(|machine| machine.name == "node").unwrap();
        let by = |from: &str, to: &str| node.transitions.get(&(from.to_string(), to.to_string())).cloned();
        assert!(by("Unsealed_None", "Sealed_None").unwrap().contains("Restart"));
        assert!(by("Sealed_Unseal", "Unsealed_None").unwrap().contains("SubmitShare"));
        assert_eq!(by("Sealed_None", "Unsealed_None"), None, "no node opens without a ceremony");
        assert!(mermaid(node).contains("Unsealed_None --> Sealed_None"));
    }
}

//! Properties of the transition graph: *can always still* and *leads to* under weak fairness.

use super::Id;

/// The kept transitions, by state.
#[derive(Clone, Debug, Default)]
pub struct Transitions {
    /// Where the transitions of each state begin; one more than there are states.
    pub offsets: Vec<u64>,
    /// The target of each.
    pub targets: Vec<Id>,
    /// The class of each.
    pub classes: Vec<u8>,
}

impl Transitions {
    /// The transitions of a state: target and class.
    #[inline]
    pub fn of(&self, id: Id) -> impl Iterator<Item = (Id, u8)> + '_ {
        let range = self.offsets[id as usize] as usize..self.offsets[id as usize + 1] as usize;
        self.targets[range.clone()].iter().copied().zip(self.classes[range].iter().copied())
    }

    /// The number of states.
    #[inline]
    pub fn states(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }
}

/// The states from which no goal state can be reached, in order of discovery.
///
/// Sweeps over the transitions, backwards and forwards in turn, until nothing changes: no reverse graph is needed.
pub fn cannot_reach(graph: &Transitions, goal: impl Fn(Id) -> bool) -> Vec<Id> {
    let states = graph.states() as Id;
    let mut can: Vec<bool> = (0..states).map(goal).collect();
    let mut backwards = true;
    loop {
        let mut changed = false;
        for i in 0..states {
            let id = if backwards { states - 1 - i } else { i };
            if !can[id as usize] && graph.of(id).any(|(to, _)| can[to as usize]) {
                can[id as usize] = true;
                changed = true;
            }
        }
        if !changed {
            break;
        }
        backwards = !backwards;
    }
    (0..states).filter(|id| !can[*id as usize]).collect()
}

/// A run that goes on for ever without the wanted state: how it starts, and the states that it repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasso {
    /// A state of the component, the first in order of discovery.
    pub entry: Id,
    /// The component's states.
    pub component: Vec<Id>,
}

/// Looks for a fair run that is in `from` once and never in `to` after that.
///
/// Fairness is weak and per class: a class that `fair` names and that is enabled in every state of the run's tail is
/// taken in it. A run may also stop where no fair class is enabled.
pub fn unfulfilled(
    graph: &Transitions,
    from: impl Fn(Id) -> bool,
    to: impl Fn(Id) -> bool,
    fair: &[bool; 256],
) -> Option<Lasso> {
    let states = graph.states();
    let within = reached_without(graph, &from, &to);
    components(graph, &within).into_iter().find_map(|component| {
        let mut inside = vec![];
        let mut always_enabled = *fair;
        let mut taken = [false; 256];
        let set: std::collections::HashSet<Id> = component.iter().copied().collect();
        for &id in &component {
            let mut enabled = [false; 256];
            for (target, class) in graph.of(id) {
                enabled[class as usize] = true;
                if set.contains(&target) {
                    taken[class as usize] = true;
                    inside.push(target);
                }
            }
            for class in 0..256 {
                always_enabled[class] &= enabled[class];
            }
        }
        debug_assert!(component.iter().all(|id| (*id as usize) < states));
        let starved = (0..256).any(|class| always_enabled[class] && !taken[class]);
        let entry = component.iter().copied().min()?;
        (!starved).then_some(Lasso { entry, component })
    })
}

/// The states that a run can be in after `from` without having met `to`.
fn reached_without(graph: &Transitions, from: impl Fn(Id) -> bool, to: impl Fn(Id) -> bool) -> Vec<bool> {
    let states = graph.states() as Id;
    let mut within = vec![false; states as usize];
    let mut stack: Vec<Id> = (0..states).filter(|&id| from(id) && !to(id)).collect();
    for &id in &stack {
        within[id as usize] = true;
    }
    while let Some(id) = stack.pop() {
        for (target, _) in graph.of(id) {
            if !within[target as usize] && !to(target) {
                within[target as usize] = true;
                stack.push(target);
            }
        }
    }
    within
}

/// The strongly connected components of the marked states, single states included, by Tarjan's algorithm without
/// recursion: its stack grows to the number of states.
pub fn components(graph: &Transitions, within: &[bool]) -> Vec<Vec<Id>> {
    const NEW: u32 = u32::MAX;
    let mut index = vec![NEW; within.len()];
    let mut low = vec![0u32; within.len()];
    let mut on_stack = vec![false; within.len()];
    let mut stack = Vec::new();
    let mut found = Vec::new();
    let mut next = 0;
    let mut work: Vec<(Id, u64)> = Vec::new();
    for root in 0..within.len() as Id {
        if !within[root as usize] || index[root as usize] != NEW {
            continue;
        }
        work.push((root, graph.offsets[root as usize]));
        while let Some(&mut (id, ref mut at)) = work.last_mut() {
            let i = id as usize;
            if index[i] == NEW {
                index[i] = next;
                low[i] = next;
                next += 1;
                stack.push(id);
                on_stack[i] = true;
            }
            if *at < graph.offsets[i + 1] {
                let target = graph.targets[*at as usize];
                *at += 1;
                let t = target as usize;
                if within[t] && index[t] == NEW {
                    work.push((target, graph.offsets[t]));
                } else if within[t] && on_stack[t] {
                    low[i] = low[i].min(index[t]);
                }
                continue;
            }
            work.pop();
            if let Some(&(parent, _)) = work.last() {
                low[parent as usize] = low[parent as usize].min(low[i]);
            }
            if low[i] == index[i] {
                let mut component = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member as usize] = false;
                    component.push(member);
                    if member == id {
                        break;
                    }
                }
                found.push(component);
            }
        }
    }
    found
}

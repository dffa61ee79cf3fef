//! What a model adds to stateright's trait, so that its states can be kept as keys.

use stateright::Model;

use super::Key;

/// A model whose states can be packed into a key, exactly.
pub trait Packed: Model {
    /// Bits that a key uses, at most 128. Keys of up to 64 bits take half the memory.
    fn key_bits(&self) -> u32;

    /// Packs a state. Two states have the same key only if they are equal.
    fn pack_state(&self, state: &Self::State) -> Key;

    /// The state of a key.
    fn unpack_state(&self, key: Key) -> Self::State;

    /// The class of an action in a state, for coverage and fairness: for example which message, or which actor.
    fn class(&self, state: &Self::State, action: &Self::Action) -> u8;

    /// Adds the packed next states of a state to `found`, in the order of its actions. `key` is the state's own key, and
    /// `actions` is an empty list to work with.
    ///
    /// Override it where it costs less to find the next states together than one after another. What it finds must be what
    /// [`Model::actions`], [`Model::next_state`] and [`Model::within_boundary`] give.
    fn successors(
        &self,
        state: &Self::State,
        _key: Key,
        actions: &mut Vec<Self::Action>,
        found: &mut Vec<Successor>,
    ) {
        self.actions(state, actions);
        for action in actions.drain(..) {
            let class = self.class(state, &action);
            if let Some(next) = self.next_state(state, action).filter(|next| self.within_boundary(next)) {
                found.push(Successor { class, key: self.pack_state(&next) });
            }
        }
    }
}

/// A next state, and how it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Successor {
    /// The class of the action.
    pub class: u8,
    /// The packed state.
    pub key: Key,
}

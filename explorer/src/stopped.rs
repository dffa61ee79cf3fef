//! Why an exploration ends without a result, and how a panic of the model becomes such a reason.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Key, Packed};

/// Why an exploration ended without a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// There are more states than a 32-bit id can count.
    TooManyStates,
    /// A key has more bits than the model says, or the model says more than 128.
    WideKey,
    /// A thread could not be started: what the system said.
    NoThread(String),
    /// The model, or what watches the exploration, panicked.
    Panicked(Panicked),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::TooManyStates => f.write_str("more states than can be counted"),
            Stopped::WideKey => f.write_str("a key is wider than `key_bits` says, or wider than 128 bits"),
            Stopped::NoThread(why) => write!(f, "a thread could not be started: {why}"),
            Stopped::Panicked(panicked) => panicked.fmt(f),
        }
    }
}

impl std::error::Error for Stopped {}

/// A panic in the model, or in what watches the exploration. Of several, the one at the first state is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// The call that panicked.
    pub asked: Asked,
    /// The action that it was about, as its `Debug` shows it.
    pub action: Option<String>,
    /// The keys from an initial state to the state that it was about; empty if it was about none.
    pub path: Vec<Key>,
    /// The text of the panic.
    pub message: String,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked", self.asked)?;
        if let Some(action) = &self.action {
            write!(f, " on {action}")?;
        }
        if let Some(key) = self.path.last() {
            write!(f, " in the state {key:#x}, {} steps from the start", self.path.len() - 1)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A call of the explorer into code that is not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// [`Packed::key_bits`].
    KeyBits,
    /// [`stateright::Model::init_states`].
    InitStates,
    /// [`stateright::Model::within_boundary`].
    WithinBoundary,
    /// [`Packed::pack_state`].
    PackState,
    /// [`Packed::unpack_state`].
    UnpackState,
    /// The invariant at this place of [`crate::Watch::invariants`].
    Invariant(usize),
    /// The witness at this place of [`crate::Watch::witnesses`].
    Witness(usize),
    /// The judge of [`crate::Watch::steps`].
    Steps,
    /// [`stateright::Model::actions`].
    Actions,
    /// [`Packed::class`].
    Class,
    /// [`stateright::Model::next_state`].
    NextState,
    /// [`Packed::successors`], if none of the calls that it stands for panics in the same way.
    Successors,
    /// [`crate::Watch::progress`].
    Progress,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Asked::KeyBits => "key_bits",
            Asked::InitStates => "init_states",
            Asked::WithinBoundary => "within_boundary",
            Asked::PackState => "pack_state",
            Asked::UnpackState => "unpack_state",
            Asked::Invariant(place) => return write!(f, "invariant {place}"),
            Asked::Witness(place) => return write!(f, "witness {place}"),
            Asked::Steps => "the judge of steps",
            Asked::Actions => "actions",
            Asked::Class => "class",
            Asked::NextState => "next_state",
            Asked::Successors => "successors",
            Asked::Progress => "progress",
        };
        f.write_str(name)
    }
}

/// Does the work; if it panics, the text of the panic.
///
/// # Errors
/// The text of the panic. The panic hook has run by then, so a default one has printed the place in the source.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(text)
}

fn text(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>().map(|text| *text) {
        Ok(text) => text,
        Err(payload) => match payload.downcast_ref::<&'static str>() {
            Some(text) => (*text).to_string(),
            None => {
                // It is of a type of the model, whose drop could panic again.
                std::mem::forget(payload);
                "a panic without a text".to_string()
            }
        },
    }
}

/// What the explorer asks for at the start; a panic in it is about no state.
pub(crate) fn ask<T>(asked: Asked, work: impl FnOnce() -> T) -> Result<T, Stopped> {
    caught(work).map_err(|message| Stopped::Panicked(Panicked { asked, action: None, path: Vec::new(), message }))
}

/// Which of the calls that `successors` stands for panics with this text in this state, and on which action.
pub(crate) fn within_successors<M>(model: &M, key: Key, message: &str) -> (Asked, Option<String>)
where
    M: Packed,
    M::Action: fmt::Debug,
{
    let asked = Cell::new(Asked::UnpackState);
    let mut about = None;
    let again = caught(|| {
        let state = model.unpack_state(key);
        asked.set(Asked::Actions);
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        for action in actions {
            about = Some(format!("{action:?}"));
            asked.set(Asked::Class);
            model.class(&state, &action);
            asked.set(Asked::NextState);
            if let Some(next) = model.next_state(&state, action) {
                asked.set(Asked::WithinBoundary);
                if model.within_boundary(&next) {
                    asked.set(Asked::PackState);
                    model.pack_state(&next);
                }
            }
        }
    });
    match again {
        Err(text) if text == message => (asked.get(), about),
        _ => (Asked::Successors, None),
    }
}

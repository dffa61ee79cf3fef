//! One step of a story.

use bailee_spec::action::Action;
use bailee_spec::observation::Message;
use bailee_spec::{Observation, Outcome};

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

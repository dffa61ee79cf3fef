//! A world of the model and an ensemble of the reference that have gone the same way.

use bailee_core::crypto::password::Cost;
use bailee_core::crypto::sharing::SharingError;
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::quirks::Quirks;
use bailee_model::protocol::{Protocol, SmallWorld, model};
use bailee_spec::scope::{Part, Scope, Start};
use bailee_spec::{Action, Observation, Outcome};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::locksmith::Loot;

/// Both readings after the same actions.
#[derive(Clone)]
pub struct Pair {
    /// The model's state.
    pub world: SmallWorld,
    /// The reference's.
    pub ensemble: Ensemble,
    /// What the adversary took from the reference.
    pub loot: Loot,
    /// The reference's randomness.
    pub rng: ChaCha8Rng,
}

/// What one reading did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How the action ended.
    pub outcome: Outcome,
    /// What an onlooker sees after it.
    pub observation: Observation,
}

/// The reference's size for a scope.
pub fn size_of(scope: &Scope) -> Size {
    Size {
        users: scope.users,
        tenants: scope.tenants,
        devices_per_user: scope.devices_per_user,
        nodes: scope.nodes,
        custodians: scope.custodians,
        threshold: scope.threshold,
        late: scope.parts.contains(&Part::Late),
    }
}

impl Pair {
    /// Both readings at the start of a scope, reached by the protocol's own steps. Passwords are hashed at test cost.
    ///
    /// # Errors
    /// When the numbers of custodians and shares allow no sharing.
    pub fn start(protocol: &Protocol, quirks: Quirks, seed: u64) -> Result<Pair, SharingError> {
        let scope = &protocol.scope;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut ensemble = Ensemble::new(size_of(scope), Cost::TEST, Quirks::none(), &mut rng)?;
        for action in model::enrolling_actions(scope) {
            ensemble.act(action, &mut rng);
        }
        if scope.start == Start::Sealed {
            for node in 0..scope.nodes {
                ensemble.act(Action::Restart { node }, &mut rng);
            }
        }
        if scope.parts.contains(&Part::Publication) {
            ensemble.publish_by_messages(&scope.points, &mut rng);
        }
        let ensemble = ensemble.with_quirks(quirks);
        Ok(Pair { world: protocol.start(), ensemble, loot: Loot::default(), rng })
    }

    /// What both see now.
    pub fn observe(&self, protocol: &Protocol) -> (Observation, Observation) {
        let opened = self.loot.opened(self.ensemble.size());
        (protocol.rules.observe(&self.world), self.ensemble.observe(&opened))
    }

    /// Carries the action out on the reference.
    pub fn act(&mut self, action: Action) -> Outcome {
        let outcome = self.ensemble.act(action, &mut self.rng);
        if outcome == Outcome::Accepted {
            self.loot.take(action, &self.ensemble);
        }
        outcome
    }
}

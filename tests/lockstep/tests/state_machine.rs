//! Long random walks with far larger parameters than any scope: two dozen users of three tenants, two devices each,
//! and whole ceremonies of five custodians. The model is the reference state machine of `proptest-state-machine`, the ensemble of real
//! roles is the system under test; outcome and observation are compared after every action, and a disagreement is shrunk.
//!
//! The seed and the number of cases are fixed, so that a change and not the day decides; `PROPTEST_RNG_SEED` and
//! `PROPTEST_CASES` choose others.

use std::fmt;
use std::marker::PhantomData;
use std::sync::LazyLock;

use bailee_core::crypto::password::Cost;
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::quirks::{Quirk, Quirks};
use bailee_lockstep::pair::{Seen, size_of};
use bailee_lockstep::replay::differences;
use bailee_model::protocol::step::Rules;
use bailee_model::protocol::world::World;
use bailee_model::protocol::{actions, model};
use bailee_spec::action::Point;
use bailee_spec::scope::{Part, Profile, Scope, Start};
use bailee_spec::{Action, Outcome};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

const USERS: usize = 24;
const TENANTS: u8 = 3;
const DEVICES: usize = 48;
/// Where a walk is read from, to be replayed: its actions as JSON.
const WALK: &str = "BAILEE_WALK";

/// What is left out of the walks: the adversary, who reads and changes nothing, and ceremonies message by message, which the
/// scopes `unsealing` and `custodian-lost` replay exhaustively. `UnsealTogether` and `RekeyTogether` stand for them (CER-8, KEY-4) and are defined
/// only where no ceremony is half done and no alert sink fails. Publication and clocks, which the reference does not have.
const LEFT_OUT: [Part; 7] = [
    Part::Adversary,
    Part::Ceremony,
    Part::Rekey,
    Part::CustodianLoss,
    Part::AlertOutage,
    Part::Publication,
    Part::Clocks,
];

/// Everything else that can happen, to two dozen users at once.
fn large() -> Scope {
    Scope {
        name: "large".into(),
        about: "random walks".into(),
        profile: Profile::Classic,
        users: USERS as u8,
        tenants: TENANTS,
        devices_per_user: (DEVICES / USERS) as u8,
        nodes: 1,
        custodians: 5,
        threshold: 3,
        start: Start::Fresh,
        points: Point::ALL.to_vec(),
        parts: Part::ALL.iter().copied().filter(|part| !LEFT_OUT.contains(part)).collect(),
        sorted: false,
        lockstep: false,
        focused: false,
        properties: Vec::new(),
        expected: None,
    }
}

/// The large scope, read once.
struct Large {
    rules: Rules,
    size: Size,
    actions: Vec<Action>,
    deliveries: Vec<Action>,
}

static LARGE: LazyLock<Large> = LazyLock::new(|| {
    let scope = large();
    let actions = actions::actions_of(&scope);
    let deliveries = actions.iter().copied().filter(|action| matches!(action, Action::Deliver { .. })).collect();
    Large { rules: model::rules_of(&scope, None), size: size_of(&scope), actions, deliveries }
});

/// The model's state, and how the last action ended.
#[derive(Clone)]
struct Model {
    world: World<USERS, DEVICES>,
    outcome: Outcome,
}

impl fmt::Debug for Model {
    /// A world of this size is no reading matter; the actions say how it came about.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{USERS} users, {DEVICES} devices")
    }
}

impl Model {
    fn fresh() -> Self {
        Model { world: World::fresh(), outcome: Outcome::Accepted }
    }

    fn after(&self, action: Action) -> Self {
        let (outcome, world) = LARGE.rules.step(&self.world, action);
        Model { world, outcome }
    }
}

impl ReferenceStateMachine for Model {
    type State = Model;
    type Transition = Action;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::fresh()).boxed()
    }

    /// Half of the actions deliver something, so that exchanges get on; three in four change the state: the next such action
    /// in the list. Walks are shrunk by leaving actions out, not by putting others in their place.
    fn transitions(state: &Model) -> BoxedStrategy<Action> {
        let world = state.world;
        (any::<u16>(), any::<bool>(), 0..4u8)
            .prop_map(move |(place, deliver, any)| {
                let from = if deliver { &LARGE.deliveries } else { &LARGE.actions };
                let start = usize::from(place) % from.len();
                let moves = |action: &&Action| LARGE.rules.step(&world, **action).1 != world;
                let next = from[start..].iter().chain(&from[..start]).find(moves).filter(|_| any > 0);
                *next.unwrap_or(&from[start])
            })
            .no_shrink()
            .boxed()
    }

    fn apply(state: Model, action: &Action) -> Model {
        state.after(*action)
    }
}

/// The bug that the reference has in a test, if any.
trait Bug {
    fn quirks() -> Quirks;
}

struct NoBug;

impl Bug for NoBug {
    fn quirks() -> Quirks {
        Quirks::none()
    }
}

/// The authority skips the session check.
struct SessionNotChecked;

impl Bug for SessionNotChecked {
    fn quirks() -> Quirks {
        Quirks::only(Quirk::SessionNotChecked)
    }
}

/// The console asks for no step-up: only seen once somebody has enrolled.
struct NoStepUp;

impl Bug for NoStepUp {
    fn quirks() -> Quirks {
        Quirks::only(Quirk::NoStepUp)
    }
}

/// The roles, and the way they went.
struct Reference {
    ensemble: Ensemble,
    rng: ChaCha8Rng,
    way: Vec<Action>,
}

impl Reference {
    fn fresh(quirks: Quirks) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let ensemble = Ensemble::new(LARGE.size, Cost::TEST, quirks, &mut rng).expect("three of five");
        Reference { ensemble, rng, way: Vec::new() }
    }

    /// Does the action and compares with what the model says of it.
    fn follow(&mut self, action: Action, model: &Model) -> Result<(), String> {
        self.way.push(action);
        let outcome = self.ensemble.act(action, &mut self.rng);
        let reference = Seen { outcome, observation: self.ensemble.observe(&[]) };
        let model = Seen { outcome: model.outcome, observation: LARGE.rules.observe(&model.world) };
        if model == reference {
            return Ok(());
        }
        let differ = differences(&model, &reference).join("; ");
        Err(format!("after {} actions, the last {action:?}: {differ}\n{}", self.way.len(), replay_line(&self.way)))
    }
}

/// The one line that shows a disagreement again.
fn replay_line(way: &[Action]) -> String {
    let walk = serde_json::to_string(way).unwrap_or_default();
    format!(
        "replay: {WALK}='{walk}' cargo test --release -p bailee-lockstep --test state_machine a_given_walk_agrees"
    )
}

struct Walk<B>(PhantomData<B>);

impl<B: Bug> StateMachineTest for Walk<B> {
    type SystemUnderTest = Reference;
    type Reference = Model;

    fn init_test(_: &Model) -> Reference {
        Reference::fresh(B::quirks())
    }

    fn apply(mut reference: Reference, model: &Model, action: Action) -> Reference {
        if let Err(disagreement) = reference.follow(action, model) {
            panic!("{disagreement}")
        }
        reference
    }
}

/// So many cases from a fixed seed, unless the environment says otherwise.
fn config(cases: u32) -> Config {
    let mut config = Config { failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(0);
    }
    config
}

prop_state_machine! {
    #![proptest_config(config(8))]

    #[test]
    fn large_walks_agree(sequential 300..500 => Walk<NoBug>);
}

/// A bug is found within the same walks, and what is printed is short: at most `most` actions, and the line that replays them.
fn is_found_and_shrunk<B: Bug>(most: usize) {
    let config = config(16);
    let walks = Model::sequential_strategy(300..500);
    let result = TestRunner::new(config.clone()).run(&walks, |(state, actions, seen)| {
        Walk::<B>::test_sequential(config.clone(), state, actions, seen);
        Ok(())
    });
    let Err(TestError::Fail(reason, (_, actions, _))) = result else { panic!("not found: {result:?}") };
    assert!(actions.len() <= most, "{} actions: {actions:?}", actions.len());
    assert!(reason.message().ends_with(&replay_line(&actions)), "{reason}");
    // The walk alone shows the bug, and without the bug the readings agree on it.
    assert!(along(&actions, B::quirks()).is_err());
    assert_eq!(along(&actions, Quirks::none()), Ok(()));
}

/// Both readings along a walk.
fn along(walk: &[Action], quirks: Quirks) -> Result<(), String> {
    let (mut model, mut reference) = (Model::fresh(), Reference::fresh(quirks));
    for &action in walk {
        model = model.after(action);
        reference.follow(action, &model)?;
    }
    Ok(())
}

/// Sign in, reach the authority and the device, let time pass, and go on all the same: five actions. Shrinking leaves out
/// one at a time, so that a pair that undoes itself may stay.
#[test]
fn a_stale_session_is_found_and_shrunk() {
    is_found_and_shrunk::<SessionNotChecked>(8);
}

/// A whole enrolment, fifteen actions, is needed before anybody can ask for a restore.
#[test]
fn a_missing_step_up_is_found_and_shrunk() {
    is_found_and_shrunk::<NoStepUp>(24);
}

/// The walk of the environment, or one through every action once.
#[test]
fn a_given_walk_agrees() {
    let walk: Vec<Action> = match std::env::var(WALK) {
        Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| panic!("{WALK}: {error}")),
        Err(_) => LARGE.actions.clone(),
    };
    assert!(!walk.is_empty(), "an empty walk shows nothing");
    if let Err(disagreement) = along(&walk, Quirks::none()) {
        panic!("{disagreement}")
    }
}

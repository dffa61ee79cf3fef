//! Whole walks without save-points: long, random, and with more users than any scope.

use std::collections::BTreeMap;

use bailee_core::crypto::password::Cost;
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::quirks::{Quirk, Quirks};
use bailee_lockstep::pair::Pair;
use bailee_lockstep::replay::replay;
use bailee_model::explorer::{Options, Watch, explore};
use bailee_model::protocol::step::Rules;
use bailee_model::protocol::world::World;
use bailee_model::protocol::{Protocol, actions, model, scopes};
use bailee_model::story;
use bailee_spec::action::Point;
use bailee_spec::scope::{Expected, Part, Profile, Scope, Start};
use bailee_spec::{Action, Outcome, Refusal};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

const USERS: usize = 24;
const TENANTS: u8 = 3;
const DEVICES: usize = 48;

/// Two dozen users of three tenants, two devices each, every part switched on that goes together.
fn large() -> Scope {
    Scope {
        name: "large".into(),
        about: "random walks".into(),
        profile: Profile::Classic,
        users: USERS as u8,
        tenants: TENANTS,
        devices_per_user: 2,
        nodes: 1,
        custodians: 5,
        threshold: 3,
        start: Start::Fresh,
        points: Point::ALL.to_vec(),
        parts: vec![
            Part::SignIn,
            Part::Backup,
            Part::Revocation,
            Part::Suspension,
            Part::Deactivation,
            Part::Purge,
            Part::OwnRestore,
            Part::OnBehalf,
            Part::Maintenance,
            Part::Abort,
            Part::AdminRight,
            Part::UnsealTogether,
            Part::RekeyTogether,
            Part::Disaster,
            Part::KeyReturn,
            Part::DeviceCrash,
            Part::Late,
            Part::CrashAfterWrite,
            Part::KeystoreRestart,
            Part::RestorerCrash,
            Part::Time,
        ],
        sorted: false,
        lockstep: false,
        focused: false,
        properties: Vec::new(),
        expected: None::<Expected>,
    }
}

/// Walks; returns how many actions changed the state, or the first difference.
fn walk(choices: &[u16], seed: u64, quirks: Quirks) -> Result<usize, String> {
    let scope = large();
    let rules: Rules = model::rules_of(&scope, None);
    let actions = actions::actions_of(&scope);
    let delivers: Vec<Action> = actions.iter().copied().filter(|a| matches!(a, Action::Deliver { .. })).collect();
    let mut world: World<USERS, DEVICES> = World::fresh();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let size = Size {
        users: USERS as u8,
        tenants: TENANTS,
        devices_per_user: 2,
        nodes: 1,
        custodians: 5,
        threshold: 3,
        late: true,
    };
    let mut ensemble = Ensemble::new(size, Cost::TEST, quirks, &mut rng).map_err(|e| format!("{e:?}"))?;
    let mut moved = 0;
    for &choice in choices {
        // Half of the choices deliver something, so that exchanges get on; and three in four do something that changes
        // the state: the next such action in the list.
        let from = if choice & 1 == 0 { &delivers } else { &actions };
        let start = usize::from(choice >> 3) % from.len();
        let moves = |action: &&Action| rules.step(&world, **action).1 != world;
        let next = from[start..].iter().chain(&from[..start]).find(moves).filter(|_| choice & 6 != 0);
        let action = *next.unwrap_or(&from[start]);
        let (outcome, next) = rules.step(&world, action);
        let real = ensemble.act(action, &mut rng);
        moved += usize::from(next != world && outcome == Outcome::Accepted);
        world = next;
        let (seen, observed) = (rules.observe(&world), ensemble.observe(&[]));
        if real != outcome || seen != observed {
            return Err(format!("after {action:?}: model {outcome:?}, reference {real:?}"));
        }
    }
    Ok(moved)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn long_random_walks_agree(choices in prop::collection::vec(any::<u16>(), 400), seed in any::<u64>()) {
        let moved = walk(&choices, seed, Quirks::none());
        prop_assert!(moved.as_ref().is_ok_and(|moved| *moved > 100), "{moved:?}");
    }
}

#[test]
fn a_bug_is_seen_by_a_walk() {
    let choices: Vec<u16> = (0..4000u32).map(|i| (i.wrapping_mul(2654435761) >> 16) as u16).collect();
    assert!(
        walk(&choices, 3, Quirks::only(Quirk::NeighbourRestores)).is_err()
            || walk(&choices, 3, Quirks::only(Quirk::NoStepUp)).is_err()
    );
}

/// For every kind of transition and every refusal of a scope, one whole walk from the start that ends in it, never forked:
/// state that leaked from one step to the next outside a save-point would show here.
#[test]
fn unforked_walks_agree_with_the_forked_runs() {
    for name in ["enrolment", "recovery", "revocation", "disaster", "unsealing"] {
        let scope = scopes::committed().into_iter().find(|scope| scope.name == name).unwrap();
        let protocol = Protocol::new(&scope, None).unwrap();
        let graph = explore(&protocol, Options::default(), &Watch::default()).unwrap();
        let mut ends: BTreeMap<(u8, Option<Refusal>), (u32, Action)> = BTreeMap::new();
        for id in 0..graph.states() as u32 {
            let world = protocol.unpack(graph.key(id));
            for &action in &protocol.actions {
                let (outcome, next) = protocol.step(&world, action);
                let kind = match outcome {
                    Outcome::Accepted if next == world => continue,
                    Outcome::Accepted => (model::class_of(&world, &action), None),
                    Outcome::Refused(refusal) => (0, Some(refusal)),
                };
                ends.entry(kind).or_insert((id, action));
            }
        }
        assert!(ends.len() > 15, "{name}: only {} kinds", ends.len());
        for ((class, refusal), (id, _)) in ends {
            let (steps, world) = story::concrete(&protocol, &graph.path(id), |id| graph.key(id));
            let mut pair = Pair::start(&protocol, Quirks::none(), 9).unwrap();
            for step in steps {
                assert_eq!(pair.act(step.action), step.outcome, "{name}: {:?}", step.action);
                assert_eq!(pair.ensemble.observe(&[]), step.after, "{name}: {:?}", step.action);
            }
            // In the concrete world the same kind of end, by whichever actor stands in that place.
            let last =
                protocol.actions.iter().copied().find(|action| match (protocol.step(&world, *action), refusal) {
                    ((Outcome::Refused(r), _), Some(wanted)) => r == wanted,
                    ((Outcome::Accepted, next), None) => next != world && model::class_of(&world, action) == class,
                    _ => false,
                });
            let last = last.unwrap();
            let (outcome, next) = protocol.step(&world, last);
            assert_eq!(pair.act(last), outcome, "{name}: {last:?}");
            assert_eq!(pair.ensemble.observe(&[]), protocol.rules.observe(&next), "{name}: {last:?}");
        }
    }
}

#[test]
fn a_small_scope_is_replayed_whole() {
    let scope = scopes::committed().into_iter().find(|scope| scope.name == "neighbours").unwrap();
    let protocol = Protocol::new(&scope, None).unwrap();
    let report = replay(&protocol, Quirks::none(), 2, 1, &|_, _| ()).unwrap();
    assert_eq!(report.executed, scope.expected.unwrap().transitions);
    assert!(report.disagreements.is_empty());
    assert!(report.refusals > 0);
    let report = replay(&protocol, Quirks::only(Quirk::KeyLeftOnAbort), 2, 1, &|_, _| ()).unwrap();
    assert!(!report.disagreements.is_empty(), "a key left behind must be seen");
}

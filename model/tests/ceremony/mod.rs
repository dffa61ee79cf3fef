//! The teaching model says what its comments promise.

use bailee_model::explorer::beside::{Strategy, Walk, Whole, walk};

use super::*;

#[test]
fn it_is_at_most_150_lines_and_runs() {
    assert!(include_str!("../../examples/ceremony.rs").lines().count() <= 150);
    main().unwrap();
}

#[test]
fn without_the_slip_both_properties_hold_and_nothing_is_vacuous() {
    let model = Ceremony { keeps_shares: false };
    let found = check(&model).unwrap();
    assert_eq!(found.broken, [None, None]);
    assert!(found.complete && found.witnessed[0].is_some());
    assert!(found.fired[..4].iter().all(|&times| times > 0), "{:?}", &found.fired[..4]);
    // Sealed; or a ceremony with at most one right share of three; or opened by two of three. Wrong shares of any in both.
    assert_eq!(found.states(), 1 + (1 + 3) * 8 + 3 * 8);
    let transitions = found.transitions;
    let Walk { states, transitions: theirs, .. } = walk(Whole(model), Strategy::Breadth, &[]);
    assert_eq!((states, theirs), (found.states() as u64, transitions));
}

#[test]
fn the_slip_breaks_one_property_after_five_steps() {
    let model = Ceremony { keeps_shares: true };
    let found = check(&model).unwrap();
    assert_eq!(found.broken[0], None);
    let actions: Vec<Action> = found.steps(&model, found.broken[1].unwrap()).iter().map(|step| step.action).collect();
    let share = |custodian| Action::GiveShare { custodian, right: true };
    assert_eq!(actions, [Action::OpenCeremony, share(0), Action::Restart, Action::OpenCeremony, share(1)]);
}

#[test]
fn every_key_is_that_of_its_state() {
    let model = Ceremony { keeps_shares: true };
    let found = check(&model).unwrap();
    for key in found.ids().map(|id| found.key(id)) {
        assert_eq!(model.pack_state(&model.unpack_state(key)), key);
    }
}

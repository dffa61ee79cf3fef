//! The comparison itself can fail: a reference that is wrong in one field alone is reported with that field, and so is one
//! that accepts everything.

use bailee_core::quirks::Quirks;
use bailee_lockstep::pair::{Pair, Seen};
use bailee_lockstep::replay::differences;
use bailee_model::protocol::{Protocol, scopes};
use bailee_spec::action::{Lane, Requester};
use bailee_spec::{Action, Observation, Outcome, Refusal};
use serde_json::Value;

/// An observation with something in every field.
fn busy() -> Observation {
    let scope = scopes::committed().into_iter().find(|scope| scope.name == "recovery").unwrap();
    let protocol = Protocol::new(&scope, None).unwrap();
    let mut pair = Pair::start(&protocol, Quirks::none(), 1).unwrap();
    let request = Action::Request { by: bailee_spec::action::Requester::Owner, user: 0 };
    for action in [request, Action::SignIn { device: 1 }, Action::Deliver { lane: Lane::Job }] {
        pair.act(action);
    }
    pair.ensemble.observe(&[false])
}

/// Every leaf of a value, by its path, changed in turn.
fn changed(value: &Value, path: &mut Vec<String>, root: &Value, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                path.push(name.clone());
                changed(inner, path, root, out);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (i, inner) in items.iter().enumerate() {
                path.push(i.to_string());
                changed(inner, path, root, out);
                path.pop();
            }
        }
        leaf => {
            let pointer = format!("/{}", path.join("/"));
            let mut copy = root.clone();
            *copy.pointer_mut(&pointer).unwrap() = match leaf {
                Value::Bool(bit) => Value::Bool(!bit),
                Value::Number(n) => Value::from(n.as_u64().unwrap() + 1),
                Value::Null => Value::from(7),
                Value::String(word) => Value::from(format!("not {word}")),
                _ => Value::Null,
            };
            out.push((path.join("."), copy));
        }
    }
}

#[test]
fn every_field_that_is_wrong_alone_is_reported() {
    let observation = busy();
    let root = serde_json::to_value(&observation).unwrap();
    let mut cases = Vec::new();
    changed(&root, &mut Vec::new(), &root, &mut cases);
    assert!(cases.len() > 60, "only {} fields", cases.len());
    let mut typed = 0;
    for (path, case) in cases {
        assert_ne!(case, root, "{path}");
        // A value of the field's own type is an observation again, and then `differences` must name the field.
        let Ok(wrong) = serde_json::from_value::<Observation>(case) else { continue };
        typed += 1;
        assert_ne!(wrong, observation, "{path} does not take part in the comparison");
        let seen = |observation| Seen { outcome: Outcome::Accepted, observation };
        let found = differences(&seen(observation.clone()), &seen(wrong));
        assert_eq!(found.len(), 1, "{path}: {found:?}");
    }
    assert!(typed > 30, "only {typed} fields were tried");
}

#[test]
fn a_reference_that_always_accepts_is_reported() {
    let observation = busy();
    let model = Seen { outcome: Outcome::Refused(Refusal::Sealed), observation: observation.clone() };
    let reference = Seen { outcome: Outcome::Accepted, observation };
    assert_eq!(differences(&model, &reference).len(), 1);
}

/// A bug of the reference is found at the end of a long walk, made small, told, kept, and found again from what was kept.
#[test]
fn a_disagreement_is_shrunk_and_replays() {
    use bailee_core::quirks::Quirk;
    use bailee_lockstep::shrink::{Told, keep, parse, run_both, shrink, story};
    let scope = scopes::committed().into_iter().find(|scope| scope.name == "recovery").unwrap();
    let protocol = Protocol::new(&scope, None).unwrap();
    let quirks = Quirks::only(Quirk::SuspendedRestores);
    let owner = Action::Request { by: bailee_spec::action::Requester::Owner, user: 0 };
    let deliver = Action::Deliver { lane: Lane::Device(1) };
    let walk = [
        Action::SignIn { device: 1 },
        deliver,
        deliver,
        Action::CrashDevice { device: 1 },
        Action::Restart { node: 0 },
        Action::Suspend { user: 0, by: Requester::Admin },
        Action::UnsealTogether { node: 0 },
        owner,
    ];
    let small = shrink(&protocol, quirks, &walk);
    assert_eq!(small, vec![Action::Suspend { user: 0, by: Requester::Admin }, owner]);
    let (_, steps) = run_both(&protocol, quirks, &small).unwrap();
    let told = story("recovery", 1, &steps);
    assert!(told.starts_with("disagreement about JOB-1 in recovery after 2 actions\n"), "{told}");
    assert!(
        told.contains("model refused, no key is used for a suspended user [RestoreSuspended]; reference accepted"),
        "{told}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = keep(folder.path(), "recovery", 1, &steps).unwrap();
    let kept = std::fs::read_to_string(path).unwrap();
    let expected = Told { scope: "recovery".into(), actions: small, mutation: None };
    assert_eq!(parse(&kept).unwrap(), [expected]);
    assert!(kept.lines().nth(1).unwrap().starts_with(r#"{"message_type":"step","do_action":{"#), "{kept}");
    let error = parse(&kept.replace("do_action", "do_nothing")).unwrap_err();
    assert!(error.starts_with("line 2: "), "{error}");
    // What agrees is left as it is.
    assert_eq!(shrink(&protocol, Quirks::none(), &walk), walk);
}

//! What is said to people and to machines: a last line always, names as they are, numbers that are true.

mod common;

use common::{Place, code, err, objects, out};

#[test]
fn wrong_usage_is_said_to_machines_too() {
    let (place, _) = Place::with_archive();
    for arguments in [
        &["forget", "--json"][..],
        &["restore", "1", "--json"],
        &["backup", "x", "--level", "99", "--json"],
        &["--archive", "", "snapshots", "--json"],
        &["nonsense", "--json"],
    ] {
        let output = place.run(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        let last = objects(&out(&output)).pop().unwrap_or_else(|| panic!("{arguments:?}"));
        assert_eq!((&last["message_type"], &last["code"]), (&"error".into(), &2.into()), "{arguments:?}");
        let message = last["message"].as_str().unwrap();
        assert!(!message.is_empty() && err(&output).contains("--help"), "{message}");
    }
    assert_eq!(out(&place.run(&["forget"])), "", "nobody asked");
    assert!(place.succeed(&["forget", "--help", "--json"]).contains("Usage: "));
}

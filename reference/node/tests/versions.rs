//! Which version is the latest, which versions belong together, and what it takes to forget the last of them: with clocks that
//! were wrong, and with several machines.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bailee_archive::tree::{Entry, EntryKind, Meta, Time};
use bailee_archive::{Archive, ArchiveKeys, BackUp, Counters, DeviceId, FolderStore, Origin, System, TreePath};
use bailee_core::crypto::keys::{Owner, subkey};
use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_secret::Secret;
use common::{Place, code, err, objects, out};
use serde_json::Value;

/// 2099-01-01 00:00:00 UTC.
const FAR_AHEAD: i64 = 4_070_908_800;
/// 2023-11-14 22:13:20 UTC.
const PAST: i64 = 1_700_000_000;
const DAY: i64 = 86_400;

/// One test at a time: a process that another test starts in this moment would, until it runs its program, hold the lock of an
/// archive that is open in this one.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn host(name: &str) -> Option<Origin> {
    Some(Origin { host: name.into(), user: b"somebody".to_vec(), machine: None })
}

/// Makes a version as a program would whose clock said this; its one file `f` has its time as content.
fn commit(place: &Place, recovery: &str, seconds: i64, label: &str, origin: Option<Origin>) {
    let letters: String = recovery.split_whitespace().skip(1).collect();
    let (_, bytes) = bech32::decode(&format!("bailee-key-1{letters}")).unwrap();
    let key = Secret::take(&mut bytes.try_into().unwrap());
    let owner = Owner { tenant: "standalone".into(), user: "standalone".into(), epoch: 0 };
    let device = Signing::from_seed(&subkey(&key, labels::KEY_STANDALONE_DEVICE, &owner));
    let store = FolderStore::open(place.at("archive")).unwrap();
    let archive = Archive::open(store, ArchiveKeys::new(&key, &owner), &[DeviceId(device.public())]).unwrap();
    let (counters, time) = (Counters::default(), Time { seconds, nanoseconds: 0 });
    let how = BackUp { origin: origin.as_ref(), ..BackUp::new(&device, time, &System, &counters) };
    let mut writer = archive.begin(&how).unwrap();
    let entry = |path, kind| Entry { path, meta: Meta::default(), kind };
    writer.entry(&entry(TreePath::root(), EntryKind::Directory)).unwrap();
    let content = writer.content(&mut seconds.to_string().as_bytes()).unwrap();
    let kind = EntryKind::File { content, changed: false, sparse: false };
    writer.entry(&entry(TreePath::root().join(b"f").unwrap(), kind)).unwrap();
    writer.commit(time, label.as_bytes()).unwrap();
}

fn last(said: &str) -> Value {
    objects(said).pop().unwrap()
}

/// The versions that are listed, without the summary.
fn listed(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let mut said = objects(&place.succeed(&[&["snapshots", "--json"], arguments].concat()));
    assert_eq!(said.pop().unwrap()["versions"], said.len());
    said
}

fn numbers(versions: &[Value]) -> Vec<u64> {
    versions.iter().map(|version| version["version"].as_u64().unwrap()).collect()
}

/// The versions that a policy would keep.
fn kept(place: &Place, arguments: &[&str]) -> Vec<u64> {
    let said = place.succeed(&[&["forget", "--dry-run", "--json"], arguments].concat());
    let keep: Vec<Value> = objects(&said).into_iter().filter(|said| said["message_type"] == "keep").collect();
    numbers(&keep)
}

#[test]
fn a_clock_that_was_ahead_once_takes_nothing_from_newer_versions() {
    let _alone = alone();
    let (place, recovery) = Place::with_archive();
    commit(&place, &recovery, FAR_AHEAD, "label", host("web"));
    let backup = ["backup", "--host", "web", "--label", "label", &place.text("source")];
    place.fill();
    let warned = place.run(&backup);
    assert_eq!(code(&warned), 0, "a warning of clocks leaves the version whole: {}", err(&warned));
    assert!(err(&warned).contains("version 1 has the time 2099-01-01T00:00:00Z, which is in the future"));
    let quiet = place.run(&backup);
    assert!(!err(&quiet).contains("in the future"), "the newest is no longer the one of 2099: {}", err(&quiet));

    let versions = listed(&place, &[]);
    assert_eq!(numbers(&versions), [1, 2, 3]);
    let ahead: Vec<&Value> = versions.iter().map(|version| &version["in_future"]).collect();
    assert_eq!(ahead, [true, false, false]);
    let marked: Vec<bool> =
        place.succeed(&["snapshots"]).lines().map(|line| line.ends_with("  (in the future)")).collect();
    assert_eq!(marked, [true, false, false]);

    for (rule, expected) in [("--keep-last", [3]), ("--keep-daily", [3]), ("--keep-monthly", [3])] {
        assert_eq!(kept(&place, &[rule, "1"]), expected, "{rule}");
    }
    assert_eq!(kept(&place, &["--keep-daily", "2"]), [1, 3], "a time that is wrong is a day like another");
    let forgotten = place.run(&["forget", "--keep-last", "1"]);
    assert_eq!(code(&forgotten), 0);
    assert!(err(&forgotten).contains("warning: version 1 has the time 2099"), "{}", err(&forgotten));
    assert_eq!(place.succeed(&["restore", "latest", "--stdout", "docs/deep/note.txt"]), "note");
    assert_eq!(numbers(&listed(&place, &[])), [3]);
}

#[test]
fn two_machines_of_one_name_are_two_groups() {
    let _alone = alone();
    let (place, recovery) = Place::with_version();
    let source = place.text("source");
    assert_eq!(code(&place.recover("second", &recovery)), 0);
    let second = |arguments: &[&str]| {
        let output = place.command(arguments).env("BAILEE_HOME", place.at("second")).output().unwrap();
        assert_eq!(code(&output), 0, "{}", err(&output));
    };
    let before = place.succeed(&["snapshots"]);
    let name = listed(&place, &[])[0]["host"].as_str().unwrap().to_string();
    assert!(before.contains(&format!("  {name}  ")) && !before.contains(&format!("{name}#")), "{before}");
    second(&["backup", &source]);
    place.succeed(&["backup", &source]);
    second(&["backup", &source]);

    let versions = listed(&place, &[]);
    let machine = |at: usize| versions[at]["machine"].as_str().unwrap();
    assert_eq!((machine(0), machine(1)), (machine(2), machine(3)));
    assert_ne!(machine(0), machine(1));
    let named = [0, 1].map(|at| format!("{name}#{}", &machine(at)[..4]));
    let lines = place.succeed(&["snapshots"]);
    for (line, name) in lines.lines().zip(named.iter().cycle()) {
        assert!(line.contains(&format!("  {name}  ")), "{line}");
    }

    assert_eq!(kept(&place, &["--keep-last", "1"]), [3, 4]);
    assert_eq!(kept(&place, &["--keep-last", "1", "--group-by", "host"]), [3, 4]);
    assert_eq!(kept(&place, &["--keep-last", "1", "--group-by", "label"]), [4]);
    assert_eq!(numbers(&listed(&place, &["--host", &named[0]])), [1, 3]);
    assert_eq!(numbers(&listed(&place, &["--host", &name])), [1, 2, 3, 4]);
    let said = place.succeed(&["forget", "--keep-last", "1", "--json"]);
    let summary = last(&said);
    assert_eq!((&summary["groups"], &summary["forgotten"], &summary["kept"]), (&2.into(), &2.into(), &2.into()));
    assert_eq!(numbers(&listed(&place, &[])), [3, 4]);
}

#[test]
fn a_host_that_is_named_stands_for_machines_that_do_not_last() {
    let _alone = alone();
    let (place, recovery) = Place::with_archive();
    place.fill();
    let backup = ["backup", "--host", "container", &place.text("source")];
    place.succeed(&backup);
    assert_eq!(code(&place.recover("second", &recovery)), 0);
    assert_eq!(code(&place.command(&backup).env("BAILEE_HOME", place.at("second")).output().unwrap()), 0);
    for version in listed(&place, &[]) {
        assert_eq!((&version["host"], &version["machine"]), (&"container".into(), &Value::Null));
        assert!(!version["user"].as_str().unwrap().is_empty());
    }
    assert_eq!(kept(&place, &["--keep-last", "1"]), [2]);
    for wrong in ["", &"x".repeat(256)] {
        place.fail(2, &["backup", "--host", wrong, &place.text("source")]);
    }
    place.succeed(&["backup", "--host", &"x".repeat(255), &place.text("source")]);
}

#[test]
fn the_machine_is_drawn_once_and_a_damaged_one_is_noted() {
    let _alone = alone();
    let (place, _) = Place::with_archive();
    place.fill();
    let (source, file) = (place.text("source"), place.home.join("machine"));
    place.succeed(&["backup", "--dry-run", &source]);
    assert!(!file.exists(), "a dry run makes no file");
    place.succeed(&["backup", &source]);
    let drawn = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    place.succeed(&["backup", &source]);
    assert!(listed(&place, &[]).iter().all(|version| version["machine"] == drawn.trim_end()));

    fs::write(&file, &drawn[1..]).unwrap();
    let noted = place.run(&["backup", &source]);
    assert_eq!(code(&noted), 0);
    assert!(err(&noted).contains("machine was damaged"), "{}", err(&noted));
    let noted = last(&place.succeed(&["backup", "--json", &source]));
    assert!(noted["notes"][0].as_str().unwrap().contains("machine was damaged"), "{noted}");
    let versions = listed(&place, &[]);
    assert_eq!((&versions[2]["machine"], &versions[3]["machine"]), (&Value::Null, &Value::Null));
    assert_eq!(fs::read_to_string(&file).unwrap(), drawn[1..], "it is left for the user to look at");
    fs::write(&file, &drawn).unwrap();
    assert_eq!(kept(&place, &["--keep-last", "1"]), [2, 4], "a group of its own");
}

/// Versions 1 to 4 of two hosts and two labels.
fn two_by_two() -> (Place, String) {
    let (place, recovery) = Place::with_archive();
    for (at, (name, label)) in [("web", "/home"), ("db", "/home"), ("web", "/srv"), ("db", "/srv")].iter().enumerate()
    {
        commit(&place, &recovery, PAST + at as i64 * DAY, label, host(name));
    }
    (place, recovery)
}

#[test]
fn a_version_is_chosen_among_those_of_a_host_and_a_label() {
    let _alone = alone();
    let (place, _) = two_by_two();
    let of = |number: i64| (PAST + (number - 1) * DAY).to_string();
    for (which, number) in [
        (&[][..], 4),
        (&["--host", "web"], 3),
        (&["--label", "/home"], 2),
        (&["--host", "web", "--label", "/home"], 1),
    ] {
        let restored = place.succeed(&[&["restore", "latest", "--stdout", "f"], which].concat());
        assert_eq!(restored, of(number), "{which:?}");
        assert_eq!(last(&place.succeed(&[&["ls", "--json"], which].concat()))["version"], number);
        let found = place.succeed(&[&["find", "f", "--in", "latest"], which].concat());
        assert_eq!(found, format!("    {number}  f\n"));
        let differs = last(&place.succeed(&[&["diff", "latest", "latest", "--json"], which].concat()));
        assert_eq!((&differs["before"], &differs["after"]), (&number.into(), &number.into()));
    }
    assert_eq!(place.succeed(&["find", "f", "--host", "db"]), "    2  f\n    4  f\n");
    assert_eq!(numbers(&listed(&place, &["--host", "db"])), [2, 4]);
    assert_eq!(numbers(&listed(&place, &["--label", "/nowhere"])), [0; 0]);
    for command in [
        &["restore", "latest", "--stdout", "f"][..],
        &["ls"],
        &["find", "f"],
        &["find", "f", "--in", "latest"],
        &["diff", "1", "3"],
    ] {
        let said = place.fail(2, &[command, &["--host", "wep"]].concat());
        assert!(said.contains("no version of host wep") && said.contains("bailee snapshots"), "{said}");
    }
    assert!(place.fail(2, &["ls", "2", "--host", "web"]).contains("no version of host web is 2"));
}

#[test]
fn the_rules_hold_for_the_versions_that_are_chosen() {
    let _alone = alone();
    let (place, recovery) = two_by_two();
    commit(&place, &recovery, PAST + 4 * DAY, "/home", host("web"));
    assert_eq!(kept(&place, &["--keep-last", "1"]), [2, 3, 4, 5]);
    assert_eq!(kept(&place, &["--keep-last", "1", "--group-by", "host"]), [4, 5]);
    assert_eq!(kept(&place, &["--keep-last", "1", "--group-by", ""]), [5]);
    assert_eq!(kept(&place, &["--keep-last", "1", "--group-by", "host", "--host", "web"]), [5]);
    assert!(place.fail(2, &["forget", "--keep-last", "1", "--host", "wep"]).contains("no version of host wep"));
    let said = last(&place.succeed(&["forget", "--keep-last", "1", "--group-by", "host", "--host", "web", "--json"]));
    assert_eq!((&said["forgotten"], &said["groups"]), (&2.into(), &1.into()));
    assert_eq!(numbers(&listed(&place, &[])), [2, 4, 5], "what was not chosen is left alone");
    for wrong in [&["--keep-last", "1", "--group-by", "folder"][..], &["5", "--group-by", "host"]] {
        place.fail(2, &[&["forget"], wrong].concat());
    }
}

#[test]
fn versions_that_do_not_say_where_they_were_made_are_of_one_host() {
    let _alone = alone();
    let (place, recovery) = Place::with_archive();
    for (day, label, origin) in [(0, "a", None), (1, "b", None), (2, "a", None), (3, "a", host("web"))] {
        commit(&place, &recovery, PAST + day * DAY, label, origin);
    }
    assert_eq!(kept(&place, &["--keep-last", "1"]), [2, 3, 4]);
    let first = &listed(&place, &[])[0];
    assert_eq!([&first["host"], &first["user"], &first["machine"]], [&Value::Null; 3]);
    let line = place.succeed(&["snapshots"]).lines().next().unwrap().to_string();
    assert!(line.ends_with("  -    -         a"), "{line}");
}

fn left(place: &Place) -> Vec<u64> {
    numbers(&listed(place, &[]))
}

#[test]
fn the_last_version_of_a_group_is_not_forgotten_by_the_way() {
    let _alone = alone();
    let (place, recovery) = two_by_two();
    commit(&place, &recovery, PAST + 4 * DAY, "/home", host("web"));
    for arguments in [&["forget", "1", "5"][..], &["forget", "1", "5", "--dry-run"], &["forget", "1", "5", "--json"]]
    {
        let refused = place.run(arguments);
        assert_eq!(code(&refused), 2);
        let said = err(&refused);
        assert!(said.contains("the last version of host web, label /home; nothing was forgotten"), "{said}");
        assert!(said.contains("--allow-last"), "{said}");
        assert!(!out(&refused).contains("forget\""), "no verdict is said that does not hold: {}", out(&refused));
    }
    let several = place.fail(2, &["forget", "2", "3", "latest"]);
    assert!(several.contains("host db, label /home, and of 1 more group"), "{several}");
    assert_eq!(left(&place), [1, 2, 3, 4, 5]);
    place.succeed(&["forget", "1"]);
    place.succeed(&["forget", "5", "2", "--allow-last"]);
    assert_eq!(left(&place), [3, 4]);
}

#[test]
fn it_is_said_what_forgetting_means() {
    let _alone = alone();
    let (place, recovery) = two_by_two();
    commit(&place, &recovery, PAST + 4 * DAY, "/home", host("web"));
    let said = |output: Output| (code(&output), err(&output));
    let means = "The data stays until `bailee prune`, but no command brings a forgotten version back.";
    for (arguments, would) in [
        (&["forget", "1", "--dry-run"][..], "1 version would be forgotten (dry run), 4 kept; 1 group looked at."),
        (&["forget", "--keep-last", "1"], "1 version forgotten, 4 kept; 4 groups looked at."),
    ] {
        let (code, said) = said(place.run(arguments));
        assert_eq!((code, said.trim_end()), (0, &*format!("{would} {means}")));
    }
    let (code, said) = said(place.run(&["forget", "--keep-last", "1"]));
    assert_eq!((code, said.trim_end()), (0, "0 versions forgotten, 4 kept; 4 groups looked at."));
    place.fail(2, &["forget", "--keep-last", "0"]);
}

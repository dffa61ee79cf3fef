//! Restores over what is there: what is said of it, what a kill leaves, and what another user gets.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::{Place, code, err, objects, out};
use serde_json::Value;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn of_type<'a>(said: &'a [Value], kind: &str) -> Vec<&'a str> {
    said.iter().filter(|o| o["message_type"] == kind).map(|o| o["path"].as_str().unwrap()).collect()
}

#[test]
fn what_was_left_or_replaced_is_named_and_counted() {
    let (place, _) = Place::with_version();
    let (source, report) = (place.text("source"), place.at("source/docs/report.txt"));
    fs::write(&report, b"a week of work").unwrap();
    fs::remove_file(place.at("source/empty")).unwrap();
    // `--resume` was how a restore was told to go on; it is still taken.
    for more in [&[][..], &["--resume"], &["--overwrite", "never"], &["--overwrite", "if-newer"]] {
        let output = place.run(&[&["restore", "1", "--target", &source], more].concat());
        assert_eq!(code(&output), 3, "{more:?}: {}", err(&output));
        assert_eq!(out(&output), format!("left as it was: {}\n", report.display()));
        let last = " 1 existing file was left as it is (see --overwrite).\n";
        assert!(err(&output).ends_with(last) && err(&output).lines().count() == 1, "{}", err(&output));
        assert_eq!(fs::read(&report).unwrap(), b"a week of work");
        assert!(place.at("source/empty").exists());
    }
    let output = place.run(&["restore", "1", "--target", &source, "--json"]);
    let said = objects(&out(&output));
    let summary = said.last().unwrap();
    assert_eq!((code(&output), of_type(&said, "left")), (3, vec![report.to_str().unwrap()]));
    let counts = ["left", "replaced", "missing", "chosen", "warnings"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!(counts, [1, 0, 0, 8, 0], "{summary}");

    let said = objects(&place.succeed(&["restore", "1", "--target", &source, "--overwrite", "always", "--json"]));
    let summary = said.last().unwrap();
    assert_eq!(of_type(&said, "replaced"), [report.to_str().unwrap()]);
    assert_eq!((&summary["left"], &summary["replaced"]), (&0.into(), &1.into()));
    assert_eq!(fs::read(&report).unwrap(), b"quarterly figures\n".repeat(5000));
}

#[test]
fn many_names_are_cut_short_for_people_and_the_rest_is_counted() {
    let (place, _) = Place::with_archive();
    fs::create_dir(place.at("source")).unwrap();
    let write = |text: &str| (0..25).for_each(|n| fs::write(place.at(&format!("source/{n}")), text).unwrap());
    write("of the version");
    place.succeed(&["backup", &place.text("source")]);
    write("other");
    let source = place.text("source");
    for (when, exit, line, last) in [
        ("never", 3, "left as it was: ", " 25 existing files were left as they are (see --overwrite)."),
        ("if-changed", 0, "replaced: ", " 25 existing files were replaced."),
    ] {
        let output = place.run(&["restore", "1", "--target", &source, "--overwrite", when]);
        assert_eq!(code(&output), exit, "{}", err(&output));
        let lines = out(&output);
        assert_eq!(lines.lines().filter(|found| found.starts_with(line)).count(), 20, "{lines}");
        assert_eq!(lines.lines().nth(20), Some("and 5 more (see --json)"));
        assert!(err(&output).trim_end().ends_with(last), "{}", err(&output));
    }
}

#[test]
fn what_could_not_be_restored_is_counted() {
    let (place, _) = Place::with_version();
    fs::create_dir_all(place.at("target/empty")).unwrap();
    fs::write(place.at("target/docs"), b"").unwrap();
    let output = place.run(&["restore", "1", "--target", &place.text("target"), "--overwrite", "always"]);
    assert_eq!(code(&output), 3);
    let said = err(&output);
    // The folder `docs`, the three entries in it, and `empty`.
    assert!(said.ends_with(" 5 of 8 could not be restored.\n"), "{said}");
    assert!(said.contains("target/docs: not made: ") && said.contains("target/empty: not made: "), "{said}");
    let output = place.run(&["restore", "1", "--target", &place.text("target"), "--json"]);
    let summary = objects(&out(&output)).pop().unwrap();
    assert_eq!((&summary["missing"], &summary["chosen"]), (&5.into(), &8.into()), "{summary}");
}

#[test]
fn the_help_says_what_happens_to_existing_files() {
    let help = Place::new().succeed(&["restore", "--help"]);
    assert!(["--overwrite", "never", "if-newer", "if-changed", "always"].iter().all(|word| help.contains(word)));
    assert!(!help.contains("--resume"), "{help}");
}

/// Whenever a restore is killed, each existing file is whole, be it the former or the new one; the same command goes on.
#[test]
fn a_killed_restore_leaves_no_half_of_a_file_and_is_completed_by_the_same_command() {
    const FILES: usize = 400;
    let (place, _) = Place::with_archive();
    let content = |version: usize, file: usize| format!("{version} {file} ").repeat(2_000 + file);
    fs::create_dir(place.at("source")).unwrap();
    for version in 1..=2 {
        for file in 0..FILES {
            fs::write(place.at(&format!("source/{file}")), content(version, file)).unwrap();
        }
        place.succeed(&["backup", &place.text("source")]);
    }
    let (target, mut in_its_midst) = (place.text("target"), 0);
    for round in 0..200 {
        place.succeed(&["restore", "1", "--target", &target, "--overwrite", "always"]);
        let arguments = ["restore", "2", "--target", &target, "--overwrite", "always"];
        let mut child = place.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(5 + round));
        child.kill().unwrap();
        child.wait().unwrap();
        let is_new = |file: usize| {
            let found = fs::read_to_string(place.at(&format!("target/{file}"))).unwrap();
            let is_new = found == content(2, file);
            assert!(is_new || found == content(1, file), "{file} is neither the former file nor the new one");
            is_new
        };
        let new = (0..FILES).filter(|file| is_new(*file)).count();
        place.succeed(&arguments);
        assert_eq!(bailee_files::compare(&place.at("source"), &place.at("target")).unwrap(), []);
        in_its_midst += usize::from((1..FILES).contains(&new));
        if in_its_midst == 3 {
            return;
        }
    }
    panic!("no kill came in the midst of it");
}

/// Runs a command as a user who is nobody else and in no group. None where that cannot be.
fn as_nobody(place: &Place, arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(place.at("bailee")).args(arguments);
    command.env("BAILEE_HOME", &place.home).env("BAILEE_ARCHIVE", place.at("archive")).stdin(Stdio::null());
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: nobody may run a program here: {error}");
            None
        }
    }
}

fn give_away(path: &Path) {
    chown(path, Some(65_534), Some(65_534)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give_away(&entry.unwrap().path()));
    }
}

/// Into a folder of a third group, which everything made in it inherits. That group and everyone get what the former group and
/// everyone had both.
#[test]
fn another_user_gives_a_third_group_no_more_than_everyone() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may act as another user");
        return;
    }
    let (place, _) = Place::with_archive();
    let modes = [("private", 0o660), ("readable", 0o664), ("denied", 0o604), ("program", 0o6755), ("only", 0o220)];
    fs::create_dir_all(place.at("source/folder")).unwrap();
    for (name, mode) in modes {
        fs::write(place.at("source").join(name), name).unwrap();
        set_mode(&place.at("source").join(name), mode);
    }
    let pipe = (rustix::fs::CWD, place.at("source/pipe"), rustix::fs::FileType::Fifo);
    rustix::fs::mknodat(pipe.0, &pipe.1, pipe.2, 0o600.into(), 0).unwrap();
    set_mode(&pipe.1, 0o2664);
    set_mode(&place.at("source/folder"), 0o770);
    let capability: [u8; 20] = std::array::from_fn(|at| match at {
        3 => 2, // The second version of the format.
        5 => 4, // May bind low ports.
        _ => 0,
    });
    let private = place.at("source/private");
    rustix::fs::setxattr(&private, "security.capability", &capability, rustix::fs::XattrFlags::empty()).unwrap();
    place.succeed(&["backup", &place.text("source")]);

    fs::copy(env!("CARGO_BIN_EXE_bailee"), place.at("bailee")).unwrap();
    set_mode(place.folder.path(), 0o755);
    ["home", "archive"].iter().for_each(|name| give_away(&place.at(name)));
    fs::create_dir(place.at("shared")).unwrap();
    chown(place.at("shared"), None, Some(12_345)).unwrap();
    set_mode(&place.at("shared"), 0o2777);
    let arguments = ["restore", "1", "--target", &place.text("shared/target"), "--json"];
    let Some(output) = as_nobody(&place, &arguments) else { return };
    assert_eq!(code(&output), 3, "the set-id bits are named: {}", err(&output));
    assert_eq!(err(&output).matches("set-user-id bit").count(), 1, "{}", err(&output));
    assert_eq!(err(&output).matches("set-group-id bit").count(), 2, "{}", err(&output));
    assert_eq!(err(&output).matches("capabilities").count(), 1, "{}", err(&output));
    for (name, mode) in [
        ("private", 0o600),
        ("readable", 0o644),
        ("denied", 0o600),
        ("program", 0o755),
        ("only", 0o200),
        ("pipe", 0o644),
        ("folder", 0o700),
    ] {
        let found = fs::metadata(place.at("shared/target").join(name)).unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (mode, 65_534, 12_345), "{name}");
    }
    // It has all that this user could give: nothing is left to do, and what it lacks is said again.
    let inode = fs::metadata(place.at("shared/target/only")).unwrap().ino();
    let again = as_nobody(&place, &arguments).unwrap();
    let summary = objects(&out(&again)).pop().unwrap();
    assert_eq!((code(&again), &summary["left"], &summary["kept"]), (3, &0.into(), &5.into()), "{summary}");
    assert_eq!(err(&again), err(&output));
    assert_eq!(fs::metadata(place.at("shared/target/only")).unwrap().ino(), inode);
}

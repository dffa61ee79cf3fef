//! Local archives through the program, as a user runs it: whole sessions on temporary folders.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use common::{Place, code, copy_of, err, noise, objects, out};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[test]
fn a_whole_session() {
    let (place, _) = Place::with_version();
    let source = place.at("source");
    fs::write(source.join("docs/report.txt"), b"other figures").unwrap();
    fs::write(source.join("new"), b"new").unwrap();
    fs::remove_file(source.join("empty")).unwrap();
    fs::set_permissions(source.join("docs/deep"), fs::Permissions::from_mode(0o750)).unwrap();
    place.succeed(&["backup", &place.text("source")]);

    let versions = place.succeed(&["snapshots"]);
    assert_eq!(versions.lines().count(), 2, "{versions}");
    assert!(versions.lines().all(|line| line.ends_with("/source") && line.contains("Z ")), "{versions}");

    let listed = place.succeed(&["ls", "1", "docs"]);
    assert_eq!(listed, "docs\ndocs/deep\ndocs/deep/note.txt\ndocs/report.txt\n");
    let long = place.succeed(&["ls", "--long", "latest", "link"]);
    assert!(long.starts_with("lrwxrwxrwx") && long.ends_with(" link -> docs\n"), "{long}");
    assert!(place.fail(1, &["ls", "1", "nowhere"]).contains("bailee find"));

    let found = place.succeed(&["find", "note*"]);
    assert_eq!(found, "    1  docs/deep/note.txt\n    2  docs/deep/note.txt\n");
    assert_eq!(place.succeed(&["find", "--in", "2", "/*e*"]), "    2  new\n    2  same note\n");

    let difference = place.succeed(&["diff", "1", "2"]);
    let lines: Vec<&str> = difference.lines().collect();
    assert_eq!(lines, ["U .", "U docs/deep", "M docs/report.txt", "- empty", "+ new"]);
    assert_eq!(place.succeed(&["diff", "2", "2"]), "", "and no difference is no other exit code");

    place.succeed(&["restore", "latest", "--target", &place.text("restored")]);
    assert_eq!(bailee_files::compare(&source, &place.at("restored")).unwrap(), []);
    let old = place.succeed(&["restore", "1", "--stdout", "docs/report.txt"]);
    assert_eq!(old, "quarterly figures\n".repeat(5000));
    assert_eq!(place.succeed(&["restore", "1", "--stdout", "same note"]), "note", "through a hard link");
    assert!(place.fail(2, &["restore", "1", "--stdout", "docs"]).contains("is no file"));
    let said = place.fail(3, &["restore", "1", "--target", &place.text("source")]);
    assert!(said.contains("left as") && said.contains("--overwrite"), "{said}");

    place.succeed(&["check"]);
    place.succeed(&["check", "--read-data"]);
    let stats = place.succeed(&["stats"]);
    assert!(stats.contains("versions                2\n") && stats.contains(" in 1 segment\n"), "{stats}");
}

#[test]
fn a_version_is_named_by_number_digest_or_latest() {
    let (place, _) = Place::with_version();
    let digest = objects(&place.succeed(&["snapshots", "--json"]))[0]["digest"].as_str().unwrap().to_string();
    for name in ["latest", "1", &digest, &digest[..4], &digest[..9].to_uppercase()] {
        assert_eq!(place.succeed(&["ls", name, "empty"]), "empty\n", "{name}");
    }
    assert!(place.fail(2, &["ls", "7"]).contains("bailee snapshots"));
    assert!(place.fail(2, &["ls", &digest[..3]]).contains("4 digits"));
}

#[test]
fn the_recovery_code_alone_opens_the_archive_and_goes_on_with_it() {
    let (place, recovery) = Place::with_version();
    assert!(recovery.starts_with("bailee-key-1 "), "{recovery}");
    assert_eq!(recovery.lines().count(), 1);
    let typed = format!("  {}\n", recovery.trim().to_uppercase().replace(' ', "-"));
    let recovered = place.recover("second home", &typed);
    assert_eq!(code(&recovered), 0, "{}", err(&recovered));
    let second = Place { folder: tempfile::tempdir().unwrap(), home: place.at("second home") };
    let run = |arguments: &[&str]| {
        let output = second.command(arguments).env("BAILEE_ARCHIVE", place.at("archive")).output().unwrap();
        assert_eq!(code(&output), 0, "{}", err(&output));
        out(&output)
    };
    run(&["backup", &place.text("source")]);
    assert_eq!(run(&["snapshots"]).lines().count(), 2);
    // And the first goes on with what the second made.
    place.succeed(&["backup", &place.text("source")]);
    assert_eq!(place.succeed(&["snapshots"]).lines().count(), 3);
    // The key is there: the code is looked at all the same.
    let again = place.recover("second home", &typed);
    assert!(code(&again) == 0 && err(&again).contains("the code is right"), "{}", err(&again));
    assert_eq!(code(&place.recover("second home", "rubbish")), 2);
    let (_, other) = Place::with_archive();
    assert_eq!(code(&place.recover("second home", &other)), 12);
    let (empty, code_of_empty) = Place::with_archive();
    assert_eq!(
        code(&empty.recover("home", &other)),
        12,
        "an empty archive tells nothing, the key that is there does"
    );
    assert_eq!(code(&empty.recover("home", &code_of_empty)), 0);
}

#[test]
fn a_slip_is_told_from_a_wrong_code() {
    let (place, recovery) = Place::with_version();
    let last = if recovery.trim().ends_with('q') { 'p' } else { 'q' };
    let slip = format!("{}{last}", &recovery.trim()[..recovery.trim().len() - 1]);
    let mistyped = place.recover("second", &slip);
    assert_eq!(code(&mistyped), 2);
    assert!(err(&mistyped).contains("was mistyped: its checksum is wrong"), "{}", err(&mistyped));
    let (_, other) = Place::with_version();
    let wrong = place.recover("second", &other);
    assert_eq!(code(&wrong), 12);
    assert!(err(&wrong).contains("does not open the archive"), "{}", err(&wrong));
    assert!(!place.at("second").exists(), "a refused code is not kept");
    assert_eq!(code(&place.recover("second", "")), 2);
    let long = place.recover("second", &"q".repeat(100_000));
    assert_eq!(code(&long), 2, "{}", err(&long));
}

#[test]
fn where_there_is_no_archive_the_way_to_one_is_said() {
    let place = Place::new();
    for arguments in [&["snapshots"][..], &["init", "--recover"], &["backup", "/"], &["check"]] {
        assert!(place.fail(10, arguments).contains("bailee init --archive"), "{arguments:?}");
    }
    fs::create_dir(place.at("archive")).unwrap();
    place.fail(10, &["snapshots"]);
    fs::write(place.at("archive/other"), b"x").unwrap();
    assert!(place.fail(2, &["init"]).contains("something in it"));
    assert_eq!(code(&place.command(&["snapshots"]).env_remove("BAILEE_ARCHIVE").output().unwrap()), 2);
}

#[test]
fn without_its_key_an_archive_stays_shut() {
    let (place, _) = Place::with_version();
    fs::remove_dir_all(&place.home).unwrap();
    assert!(place.fail(12, &["snapshots"]).contains("--recover"));
    assert!(place.fail(2, &["init"]).contains("an archive in"));
    assert!(!place.home.exists(), "nothing was made by the way");
}

#[test]
fn a_second_writer_is_kept_out_and_a_reader_is_not() {
    let (place, _) = Place::with_version();
    let lock = File::options().append(true).create(true).open(place.at("archive/lock")).unwrap();
    lock.try_lock().unwrap();
    let source = place.text("source");
    assert!(place.fail(11, &["backup", &source]).contains("another writer"));
    place.succeed(&["snapshots"]);
    drop(lock);
    place.succeed(&["backup", &source]);
}

/// A name in a socket's folder is no trouble; a path that is deeper than an archive holds is, and it alone.
#[test]
fn what_cannot_be_kept_is_named_and_the_rest_is_kept() {
    let (place, _) = Place::with_archive();
    place.fill();
    let mut deep = place.at("source");
    while deep.as_os_str().len() < 3_000 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    let output = place.run(&["backup", &place.text("source"), "--json"]);
    assert_eq!(code(&output), 3, "{}", err(&output));
    assert!(err(&output).contains("too many components"), "{}", err(&output));
    let said = objects(&out(&output));
    assert!(said.iter().any(|object| object["message_type"] == "warning"));
    assert_eq!(said.last().unwrap()["warnings"], 1);
    assert_eq!(place.succeed(&["ls", "latest", "docs/report.txt"]), "docs/report.txt\n");
}

#[test]
fn a_rollback_is_refused_until_it_is_accepted() {
    let (place, _) = Place::with_version();
    copy_of(&place.at("archive"), &place.at("old copy"));
    place.succeed(&["backup", &place.text("source")]);
    fs::remove_dir_all(place.at("archive")).unwrap();
    copy_of(&place.at("old copy"), &place.at("archive"));
    for arguments in [&["snapshots"][..], &["backup", &place.text("source")], &["ls"]] {
        let said = place.fail(1, arguments);
        assert!(said.contains("version 2 is remembered") && said.contains("--accept-rollback"), "{said}");
    }
    let accepted = place.run(&["snapshots", "--accept-rollback"]);
    assert_eq!(code(&accepted), 0, "{}", err(&accepted));
    assert!(err(&accepted).contains("warning"), "{}", err(&accepted));
    place.succeed(&["snapshots"]);
    place.succeed(&["backup", &place.text("source")]);
}

#[test]
fn a_key_store_that_others_may_read_is_refused_with_the_mend() {
    let (place, _) = Place::with_version();
    fs::set_permissions(&place.home, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(place.fail(1, &["snapshots"]).contains("chmod 700"));
    fs::set_permissions(&place.home, fs::Permissions::from_mode(0o700)).unwrap();
    place.succeed(&["snapshots"]);
}

/// Numbers and names that differ from run to run.
fn redacted(mut object: Value) -> Value {
    const VARY: [&str; 14] = [
        "digest",
        "device",
        "time",
        "mtime",
        "label",
        "seconds",
        "archive_id",
        "key_file",
        "target",
        "uid",
        "gid",
        "host",
        "user",
        "machine",
    ];
    const SIZES: [&str; 8] = [
        "files_new",
        "files_changed",
        "files_unchanged",
        "bytes_new",
        "bytes_stored",
        "block_bytes",
        "bytes_on_disk",
        "mode",
    ];
    for name in VARY.iter().chain(&SIZES) {
        if let Some(value) = object.get_mut(*name) {
            *value = format!("[{name}]").into();
        }
    }
    if object["message_type"] == "recovery_code" {
        object["code"] = "[code]".into();
    }
    object
}

#[test]
fn every_json_line_has_a_type_and_the_last_is_a_summary() {
    let place = Place::new();
    let mut said = Vec::new();
    let mut run = |arguments: &[&str], expected: i32| {
        let output = place.run(&[arguments, &["--json"]].concat());
        assert_eq!(code(&output), expected, "{arguments:?}: {}", err(&output));
        let lines = objects(&out(&output));
        assert!(lines.iter().all(|line| line["message_type"].is_string()), "{lines:?}");
        let last = if expected == 0 { "summary" } else { "error" };
        assert_eq!(lines.last().unwrap()["message_type"], last, "{arguments:?}");
        said.push(format!("bailee {}", arguments[0]));
        // A slow machine says how far it is; a fast one has nothing to say.
        let lines = lines.into_iter().filter(|line| line["message_type"] != "status");
        said.extend(lines.map(|line| redacted(line).to_string()));
    };
    run(&["init"], 0);
    place.fill();
    let (source, target) = (place.text("source"), place.text("target"));
    run(&["backup", &source], 0);
    fs::write(place.at("source/empty"), b"no more").unwrap();
    run(&["backup", &source], 0);
    run(&["snapshots"], 0);
    run(&["ls", "latest"], 0);
    run(&["find", "empty"], 0);
    run(&["diff", "1", "2"], 0);
    run(&["restore", "1", "--target", &target], 0);
    run(&["check", "--read-data"], 0);
    run(&["forget", "--keep-last", "1", "--dry-run"], 0);
    run(&["stats"], 0);
    run(&["ls", "9"], 2);
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn no_output_and_no_file_but_the_key_has_the_key() {
    let (place, recovery) = Place::with_version();
    let letters: String = recovery.split_whitespace().skip(1).collect();
    let grouped: Vec<&str> = recovery.split_whitespace().skip(1).collect();
    let record = fs::read_dir(&place.home)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "key"))
        .unwrap();
    let prefix = bech32::Hrp::parse("bailee-key-").unwrap();
    let (hrp, key) = bech32::decode(&format!("bailee-key-1{letters}")).unwrap();
    assert_eq!((hrp, key.len()), (prefix, 32));
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = fs::read(&record).unwrap();
    assert!(bytes.windows(32).any(|window| window == key), "the key file has the key: the search works");
    let source = place.text("source");
    let target = place.text("target");
    let mut outputs = Vec::new();
    for arguments in [
        &["backup", &source][..],
        &["snapshots"],
        &["snapshots", "--json"],
        &["ls", "-l"],
        &["find", "*"],
        &["restore", "1", "--target", &target, "--json"],
        &["check", "--read-data"],
        &["stats"],
        &["init"],
        &["--help"],
        &["ls", "77"],
    ] {
        let output = place.run(arguments);
        outputs.push([output.stdout, output.stderr].concat());
    }
    for typed in [recovery.as_str(), "bailee-key-1 wrong", &recovery[..recovery.len() - 3]] {
        for home in ["home", "second"] {
            let output = place.recover(home, typed);
            outputs.push([output.stdout, output.stderr].concat());
        }
    }
    outputs.extend(fs::read_dir(place.at("archive")).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()));
    for output in outputs {
        let text = String::from_utf8_lossy(&output).to_lowercase();
        assert!(!output.windows(32).any(|window| window == key), "{text}");
        assert!(
            !text.contains(&hex) && !text.contains(&letters) && !text.contains(&grouped[..3].join(" ")),
            "{text}"
        );
    }
}

#[test]
fn a_reader_who_leaves_ends_a_listing_quietly() {
    let (place, _) = Place::with_archive();
    fs::create_dir(place.at("source")).unwrap();
    for number in 0..3000 {
        fs::write(place.at("source").join(format!("a file with a long name, number {number}")), b"").unwrap();
    }
    place.succeed(&["backup", &place.text("source")]);
    for json in [&["ls"][..], &["ls", "--json"]] {
        let mut child = place.command(json).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((code(&output), err(&output)), (0, String::new()));
    }
}

/// Whether a process has a handler for a signal.
fn catches(process: u32, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim();
    u64::from_str_radix(mask, 16).unwrap_or(0) & (1 << (signal.as_raw() - 1)) != 0
}

/// Starts a command and sends it a signal as soon as it listens.
fn interrupted(command: &mut Command, signal: Signal) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !catches(child.id(), Signal::TERM) && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    // It may have ended by then.
    let _ = kill_process(Pid::from_child(&child), signal);
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    output
}

/// The same command, begun by another program.
fn begun_by(program: &[&str], command: &Command) -> Command {
    let mut all = Command::new(program[0]);
    all.args(&program[1..]).arg(command.get_program()).args(command.get_args());
    all.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    all
}

#[test]
fn a_command_that_waits_is_interrupted_cleanly() {
    let (place, _) = Place::with_version();
    for (signal, expected) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::TERM, 143)] {
        let command = place.command(&["init", "--recover", "--json"]);
        // The tests themselves may be run by `nohup`.
        let mut command = begun_by(&["env", "--default-signal=HUP"], &command);
        let output = interrupted(command.env("BAILEE_HOME", place.at("second")), signal);
        assert_eq!(code(&output), expected, "{}", err(&output));
        assert_eq!(err(&output), "\ninterrupted: nothing was changed\n");
        assert_eq!(objects(&out(&output)).last().unwrap()["code"], expected);
        assert!(!place.at("second").exists());
    }
}

/// What is said goes into a pipe that is full and that nobody reads.
#[test]
fn a_polite_kill_ends_what_cannot_say_so() {
    let (place, _) = Place::with_version();
    for number in 0..3000 {
        fs::write(place.at("source").join(format!("{number}-{}", "n".repeat(100))), b"x").unwrap();
    }
    place.succeed(&["backup", &place.text("source")]);
    let mut child = place.command(&["ls", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    // Once it has slept for a while, it waits for room in the pipe.
    let mut asleep = 0;
    while asleep < 20 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        asleep = if stat.contains(") S ") && catches(child.id(), Signal::TERM) { asleep + 1 } else { 0 };
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

/// `nohup` is how a long backup is left alone.
#[test]
fn a_closed_terminal_does_not_end_what_nohup_began() {
    let (place, _) = Place::with_version();
    let mut command = begun_by(&["nohup"], &place.command(&["init", "--recover", "--json"]));
    command.env("BAILEE_HOME", place.at("second")).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !catches(child.id(), Signal::TERM) && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    assert!(!catches(child.id(), Signal::HUP));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    // It would be closed before waiting.
    let _stdin = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn an_interrupted_backup_leaves_the_archive_whole() {
    let (place, _) = Place::with_version();
    for number in 0..2000 {
        fs::write(place.at("source").join(number.to_string()), number.to_string().repeat(1000)).unwrap();
    }
    // On a machine with much else to do the backup may be through before it is interrupted.
    let mut tries = 0;
    loop {
        let output = interrupted(&mut place.command(&["backup", &place.text("source")]), Signal::INT);
        tries += 1;
        if code(&output) == 130 {
            assert!(err(&output).contains("interrupted: "), "{}", err(&output));
            break;
        }
        assert_eq!(code(&output), 0, "{}", err(&output));
        assert!(tries < 50, "never interrupted");
    }
    place.succeed(&["check", "--read-data"]);
    place.succeed(&["backup", &place.text("source")]);
    place.succeed(&["restore", "latest", "--target", &place.text("restored")]);
    assert_eq!(bailee_files::compare(&place.at("source"), &place.at("restored")).unwrap(), []);
}

#[test]
fn quiet_says_nothing_that_is_no_data() {
    let (place, _) = Place::with_version();
    for arguments in [&["backup", "-q", &place.text("source")][..], &["snapshots", "--quiet"], &["check", "-q"]] {
        assert_eq!(err(&place.run(arguments)), "", "{arguments:?}");
    }
}

#[test]
fn a_policy_is_applied_to_each_folder_for_itself() {
    let (place, _) = Place::with_version();
    fs::create_dir(place.at("other")).unwrap();
    place.succeed(&["backup", &place.text("source")]);
    place.succeed(&["backup", &place.text("other")]);
    let said = place.succeed(&["forget", "--keep-last", "1", "--dry-run"]);
    let verdicts: Vec<&str> = said.lines().map(|line| line.rsplit("  ").next().unwrap()).collect();
    assert_eq!(verdicts, ["forget", "keep (last)", "keep (last)"], "{said}");
    assert_eq!(place.succeed(&["snapshots"]).lines().count(), 3, "a dry run");
    assert!(place.fail(2, &["forget", "--keep-daily", "0"]).contains("keeps nothing"));
    place.fail(2, &["forget"]);
    place.fail(2, &["forget", "1", "--keep-last", "1"]);
}

/// Two folders of one name are two things; and whoever wants them to be one says so.
#[test]
fn a_policy_is_applied_to_each_label_for_itself() {
    let (place, _) = Place::with_archive();
    for folder in ["a/data", "b/data"] {
        fs::create_dir_all(place.at(folder)).unwrap();
        place.succeed(&["backup", &place.text(folder)]);
    }
    let forgotten = |arguments: &[&str]| {
        let said = place.succeed(&[&["forget", "--dry-run", "--json", "--keep-last", "1"], arguments].concat());
        objects(&said).last().unwrap()["forgotten"].as_u64().unwrap()
    };
    assert_eq!(forgotten(&[]), 0);
    let listed = objects(&place.succeed(&["snapshots", "--json"]));
    let real = place.at("b/data").canonicalize().unwrap();
    assert_eq!(listed[1]["label"], real.to_str().unwrap());
    for folder in ["a/data", "b/data"] {
        place.succeed(&["backup", "--label", "both", &place.text(folder)]);
    }
    assert_eq!(forgotten(&[]), 1);
    assert!(place.succeed(&["snapshots"]).lines().last().unwrap().ends_with("  both"));
    for label in ["", &"x".repeat(16 * 1024 + 1)] {
        place.fail(2, &["backup", "--label", label, &place.text("a/data")]);
    }
}

#[test]
fn a_version_is_kept_if_any_rule_keeps_it() {
    let (place, _) = Place::with_version();
    place.succeed(&["backup", &place.text("source")]);
    let rules = ["--keep-last", "2", "--keep-daily", "7", "--keep-weekly", "4", "--keep-monthly", "12"];
    let said = place.succeed(&[&["forget", "--dry-run"], &rules[..]].concat());
    let verdicts: Vec<&str> = said.lines().map(|line| line.rsplit("  ").next().unwrap()).collect();
    assert!(verdicts[0].starts_with("keep (last"), "{said}");
    assert_eq!(verdicts[1], "keep (last, daily, weekly, monthly)");
    place.fail(2, &["forget", "1", "--keep-daily", "7", "--keep-weekly", "4"]);
}

#[test]
fn what_was_forgotten_is_gone_and_the_rest_is_whole() {
    let (place, _) = Place::with_version();
    fs::write(place.at("source/passing"), noise(3_000_000)).unwrap();
    place.succeed(&["backup", &place.text("source")]);
    fs::remove_file(place.at("source/passing")).unwrap();
    place.succeed(&["backup", &place.text("source")]);
    let size = || -> u64 {
        fs::read_dir(place.at("archive")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    let planned = objects(&place.succeed(&["prune", "--dry-run", "--json"]));
    assert_eq!(planned.last().unwrap()["bytes_removed"], 0, "everything is needed");
    place.succeed(&["forget", "2"]);
    let left: Vec<u64> =
        objects(&place.succeed(&["snapshots", "--json"])).iter().filter_map(|v| v["version"].as_u64()).collect();
    assert_eq!(left, [1, 3]);
    let before = size();
    let planned = objects(&place.succeed(&["prune", "--dry-run", "--json"]));
    assert!(planned.last().unwrap()["bytes_removed"].as_u64().unwrap() > 3_000_000, "{planned:?}");
    assert_eq!(size(), before, "a dry run");
    place.succeed(&["prune"]);
    assert!(size() + 2_900_000 < before, "{} of {before} bytes are left", size());
    place.succeed(&["check", "--read-data"]);
    place.succeed(&["backup", &place.text("source")]);
    place.succeed(&["restore", "latest", "--target", &place.text("restored")]);
    assert_eq!(bailee_files::compare(&place.at("source"), &place.at("restored")).unwrap(), []);
    // A policy, in earnest; and another machine that remembers more than is left.
    place.succeed(&["forget", "--keep-last", "1"]);
    assert_eq!(place.succeed(&["snapshots"]).lines().count(), 1);
}

#[test]
fn a_machine_that_remembers_a_forgotten_version_goes_on() {
    let (place, recovery) = Place::with_version();
    assert_eq!(code(&place.recover("second", &recovery)), 0);
    let second =
        |arguments: &[&str]| place.command(arguments).env("BAILEE_HOME", place.at("second")).output().unwrap();
    assert_eq!(code(&second(&["backup", &place.text("source")])), 0);
    place.succeed(&["forget", "2", "--allow-last"]);
    place.succeed(&["prune"]);
    let seen = second(&["snapshots"]);
    assert_eq!((code(&seen), out(&seen).lines().count()), (0, 1), "{}", err(&seen));
}

#[test]
fn a_part_is_restored_and_a_restore_goes_on() {
    let (place, _) = Place::with_version();
    let names = |folder: &str| {
        let mut names: Vec<String> = fs::read_dir(place.at(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    place.succeed(&["restore", "1", "--target", &place.text("part"), "docs/deep", "empty"]);
    assert_eq!((names("part"), names("part/docs")), (vec!["docs".into(), "empty".into()], vec!["deep".to_string()]));
    place.succeed(&["restore", "1", "--target", &place.text("glob"), "*.txt"]);
    assert_eq!(names("glob/docs"), ["deep", "report.txt"]);
    place.fail(1, &["restore", "1", "--target", &place.text("none"), "no such thing"]);

    place.succeed(&["restore", "1", "--target", &place.text("whole"), "--verify"]);
    fs::write(place.at("whole/docs/report.txt"), b"half of it").unwrap();
    fs::remove_file(place.at("whole/empty")).unwrap();
    let whole = place.text("whole");
    let again = place.succeed(&["restore", "1", "--target", &whole, "--overwrite", "if-changed", "--json"]);
    assert_eq!(objects(&again).last().unwrap()["kept"], 1);
    assert_eq!(bailee_files::compare(&place.at("source"), &place.at("whole")).unwrap(), []);
}

#[test]
fn what_is_excluded_is_left_out_and_a_dry_run_writes_nothing() {
    let (place, _) = Place::with_archive();
    place.fill();
    fs::write(place.at("patterns"), "# of nobody's interest\n*.txt\n!note.txt\n").unwrap();
    let (source, patterns) = (place.text("source"), place.text("patterns"));
    let planned = place.succeed(&["backup", &source, "--exclude", "empty", "--dry-run", "--json"]);
    let planned = objects(&planned).pop().unwrap();
    assert_eq!((&planned["version"], &planned["files_new"]["files"]), (&Value::Null, &2.into()), "{planned}");
    assert_eq!(place.succeed(&["snapshots"]), "");
    place.succeed(&[
        "backup",
        &source,
        "--exclude-file",
        &patterns,
        "--exclude",
        "empty",
        "--level",
        "1",
        "--no-padding",
    ]);
    assert_eq!(place.succeed(&["ls"]), ".\ndocs\ndocs/deep\ndocs/deep/note.txt\nlink\nsame note\n");
    assert!(place.fail(2, &["backup", &source, "--exclude", "a{b", "--dry-run"]).contains("a{b"));
    place.fail(2, &["backup", &source, "--level", "99"]);
}

#[test]
fn unchanged_files_are_not_read_again() {
    let (place, _) = Place::with_archive();
    place.fill();
    let source = place.text("source");
    // A file that changed just now may change once more within the same tick of the file system's clock: it is read again.
    std::thread::sleep(std::time::Duration::from_secs(3));
    place.succeed(&["backup", &source]);
    let again = objects(&place.succeed(&["backup", &source, "--json"])).pop().unwrap();
    assert_eq!(
        (&again["files_changed"]["files"], &again["files_unchanged"]["files"]),
        (&0.into(), &3.into()),
        "{again}"
    );
    fs::write(place.at("source/docs/report.txt"), b"other").unwrap();
    let changed = objects(&place.succeed(&["backup", &source, "--json"])).pop().unwrap();
    assert_eq!(changed["files_changed"]["files"], 1, "{changed}");
}

#[test]
fn a_backup_of_the_folder_that_holds_archive_and_keys_has_neither() {
    let (place, _) = Place::with_version();
    let everything = place.folder.path().to_str().unwrap();
    place.succeed(&["backup", everything]);
    let listed = place.succeed(&["ls", "latest"]);
    assert!(listed.contains("source/empty") && !listed.contains("archive/") && !listed.contains("home/"), "{listed}");
}

/// A byte of a block is altered: the check names what is lost, the rest restores, and the archive is used all the same.
#[test]
fn damage_is_named_and_the_rest_restores() {
    let (place, _) = Place::with_archive();
    fs::create_dir(place.at("source")).unwrap();
    for name in ["first", "second"] {
        let mut bytes = noise(2_000_000);
        bytes.extend(name.as_bytes());
        bytes.rotate_right(name.len());
        fs::write(place.at("source").join(name), bytes).unwrap();
    }
    fs::write(place.at("source/third"), noise(2_500_000).split_off(2_000_000)).unwrap();
    place.succeed(&["backup", &place.text("source")]);
    let segment = fs::read_dir(place.at("archive"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[500_000] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let checked = place.run(&["check", "--read-data", "--json"]);
    assert_eq!(code(&checked), 1, "{}", err(&checked));
    let said = objects(&out(&checked));
    let lost: Vec<&str> =
        said.iter().filter(|o| o["message_type"] == "lost").map(|o| o["path"].as_str().unwrap()).collect();
    assert!(!lost.is_empty() && lost.len() < 3, "{lost:?}");
    assert!(said.iter().any(|object| object["message_type"] == "damage"));
    let summary = said.last().unwrap();
    assert_eq!((&summary["message_type"], &summary["whole"]), (&"summary".into(), &false.into()));
    let restored = place.run(&["restore", "1", "--target", &place.text("restored"), "--json"]);
    assert_eq!(code(&restored), 3, "{}", err(&restored));
    for name in ["first", "second", "third"] {
        let whole = fs::read(place.at("restored").join(name))
            .is_ok_and(|found| found == fs::read(place.at("source").join(name)).unwrap());
        assert_eq!(whole, !lost.contains(&name), "{name}");
    }
}

#[test]
fn a_folder_is_watched() {
    let (place, _) = Place::with_version();
    let mut child = place
        .command(&["backup", "--watch", &place.text("source")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let versions = || place.succeed(&["snapshots"]).lines().count();
    let wait_for = |count| {
        let begun = std::time::Instant::now();
        while versions() < count {
            assert!(begun.elapsed().as_secs() < 60, "no version {count}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    };
    wait_for(2);
    fs::write(place.at("source/new"), b"seen").unwrap();
    wait_for(3);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(place.succeed(&["restore", "3", "--stdout", "new"]), "seen");
}

#[test]
fn the_help_has_the_exit_codes() {
    let help = Place::new().succeed(&["--help"]);
    assert!(help.contains("130  interrupted") && help.contains("12  no key"), "{help}");
    assert!(help.contains("129  interrupted") && help.contains("143  interrupted"), "{help}");
    assert!(help.contains("of check: damage") && !help.contains("or a difference"), "{help}");
}

/// The line of the list of commands is not all that is said of one.
#[test]
fn the_help_of_a_command_says_what_its_line_does_not() {
    let place = Place::new();
    for (command, said) in [
        ("backup", "The archive and the key store are left out"),
        ("forget", "They hold for each group on its own"),
        ("diff", "The exit code is 0 with differences, too"),
        ("init", "The key store is $BAILEE_HOME"),
        ("find", "a name in any folder"),
        ("snapshots", "`backup --label`"),
        ("check", "Exit code 1 if anything is damaged"),
    ] {
        let help = place.succeed(&[command, "--help"]);
        assert!(help.split_whitespace().collect::<Vec<_>>().join(" ").contains(said), "{help}");
    }
}

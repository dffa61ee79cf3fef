//! A machine that does not give what is asked of it: a full disk, no permission, files that go. A line says so, the exit code is
//! right, and everything else is saved.

mod common;

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use common::{Place, code, err, noise, objects, out};

/// A disk of its own, in memory, in a mount namespace that a child process holds open.
struct SmallDisk {
    holder: Child,
    path: PathBuf,
}

impl SmallDisk {
    /// None, and a line that says so, where the system does not allow it.
    fn new(place: &Place, megabytes: usize) -> Option<Self> {
        let folder = place.at("disk");
        fs::create_dir(&folder).unwrap();
        let script = r#"mount -t tmpfs -o "size=$1m" tmpfs "$0" && echo ready && read end"#;
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .arg(&folder)
            .arg(megabytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let path = PathBuf::from(format!("/proc/{}/root{}", holder.id(), folder.to_str().unwrap()));
        let disk = SmallDisk { holder, path };
        if said != "ready\n" {
            eprintln!("skipped: no disk can be mounted here");
            return None;
        }
        Some(disk)
    }

    fn text(&self, name: &str) -> String {
        self.path.join(name).to_str().unwrap().to_string()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Files of a million bytes each that do not compress.
fn fill(place: &Place, files: usize) {
    let bytes = noise(files * 1_000_000);
    for (number, bytes) in bytes.chunks(1_000_000).enumerate() {
        fs::write(place.at("source").join(number.to_string()), bytes).unwrap();
    }
}

fn is_as_restored(place: &Place, arguments: &[&str]) {
    place.succeed(&[&["restore", "latest", "--target", &place.text("restored")], arguments].concat());
    assert_eq!(bailee_files::compare(&place.at("source"), &place.at("restored")).unwrap(), []);
}

#[test]
fn an_archive_on_a_full_disk_keeps_its_versions_and_goes_on_when_there_is_room() {
    let place = Place::new();
    let Some(disk) = SmallDisk::new(&place, 24) else { return };
    let (archive, source) = (disk.text("archive"), place.text("source"));
    let on = ["--archive", &archive];
    place.succeed(&[&["init"], &on[..]].concat());
    place.fill();
    place.succeed(&[&["backup", &source], &on[..]].concat());
    let filler = disk.path.join("filler");
    fs::write(&filler, noise(14_000_000)).unwrap();
    fill(&place, 15);

    let said = place.fail(1, &[&["backup", &source], &on[..]].concat());
    assert!(said.contains("No space left on device") && said.contains("make room"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert_eq!(place.succeed(&[&["snapshots"], &on[..]].concat()).lines().count(), 1);
    place.succeed(&[&["check", "--read-data"], &on[..]].concat());
    assert_eq!(place.succeed(&[&["restore", "1", "--stdout", "docs/deep/note.txt"], &on[..]].concat()), "note");

    fs::remove_file(filler).unwrap();
    let again = objects(&place.succeed(&[&["backup", &source, "--json"], &on[..]].concat())).pop().unwrap();
    let new = again["bytes_new"].as_u64().unwrap();
    assert!(new < 12_000_000, "{new} bytes are stored a second time");
    is_as_restored(&place, &on);
}

#[test]
fn a_restore_to_a_full_disk_goes_on_when_there_is_room() {
    let (place, _) = Place::with_version();
    let Some(disk) = SmallDisk::new(&place, 16) else { return };
    fill(&place, 10);
    place.succeed(&["backup", &place.text("source")]);
    let filler = disk.path.join("filler");
    fs::write(&filler, noise(10_000_000)).unwrap();
    let target = disk.text("target");
    let said = place.fail(1, &["restore", "latest", "--target", &target]);
    assert!(said.contains("No space left on device") && said.contains("run the same command again"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    fs::remove_file(filler).unwrap();
    let again = place.succeed(&["restore", "latest", "--target", &target, "--json"]);
    assert!(objects(&again).last().unwrap()["kept"].as_u64().unwrap() > 0);
    assert_eq!(bailee_files::compare(&place.at("source"), &disk.path.join("target")).unwrap(), []);
}

/// Segments may not grow beyond a limit of the process: a write fails in its midst.
#[test]
fn a_write_that_fails_in_its_midst_costs_that_backup_alone() {
    let (place, _) = Place::with_version();
    fill(&place, 8);
    let script = r#"trap "" XFSZ; ulimit -f 8192; exec "$0" "$@""#;
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_bailee"), "backup", &place.text("source")])
        .env("BAILEE_HOME", &place.home)
        .env("BAILEE_ARCHIVE", place.at("archive"))
        .output()
        .unwrap();
    let said = err(&output);
    assert_eq!(code(&output), 1, "{said}");
    assert!(said.contains("File too large") && said.contains("nothing that was committed is lost"), "{said}");
    place.succeed(&["check", "--read-data"]);
    assert_eq!(place.succeed(&["snapshots"]).lines().count(), 1);
    place.succeed(&["backup", &place.text("source")]);
    is_as_restored(&place, &[]);
}

/// Nobody could open it: its recovery code was never shown.
#[test]
fn an_archive_whose_key_cannot_be_kept_is_not_left_behind() {
    let place = Place::new();
    fs::write(&place.home, b"in the way").unwrap();
    let said = place.fail(1, &["init"]);
    assert!(said.contains("the archive was removed again") && said.lines().count() == 2, "{said}");
    assert!(!place.at("archive").exists());
    fs::create_dir(place.at("archive")).unwrap();
    place.fail(1, &["init"]);
    assert_eq!(fs::read_dir(place.at("archive")).unwrap().count(), 0, "a folder that was there stays, as it was");
    fs::remove_file(&place.home).unwrap();
    place.succeed(&["init"]);
}

#[test]
fn a_listing_that_cannot_be_written_is_an_error() {
    let (place, _) = Place::with_version();
    for arguments in [&["ls"][..], &["snapshots", "--json"], &["restore", "1", "--stdout", "docs/report.txt"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = place.command(arguments).stdout(full).output().unwrap();
        assert_eq!(code(&output), 1, "{arguments:?}");
        assert!(err(&output).contains("standard output: No space left on device"), "{}", err(&output));
    }
}

/// Runs a command for which permissions count, though the test may be root's. None where that cannot be.
fn bound_by_permissions(place: &Place, arguments: &[&str]) -> Option<Output> {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.arg("--bounding-set=-dac_override,-dac_read_search").arg(env!("CARGO_BIN_EXE_bailee"));
        command
    } else {
        Command::new(env!("CARGO_BIN_EXE_bailee"))
    };
    command.args(arguments).env("BAILEE_HOME", &place.home).env("BAILEE_ARCHIVE", place.at("archive"));
    match command.stdin(Stdio::null()).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: root cannot lay down its rights here: {error}");
            None
        }
    }
}

fn allow(place: &Place, name: &str, mode: u32) {
    fs::set_permissions(place.at(name), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_may_not_be_read_is_named_and_the_rest_is_saved() {
    let (place, _) = Place::with_archive();
    place.fill();
    fs::create_dir(place.at("source/closed")).unwrap();
    fs::write(place.at("source/closed/inside"), b"inside").unwrap();
    fs::write(place.at("source/secret"), b"secret").unwrap();
    allow(&place, "source/closed", 0);
    allow(&place, "source/secret", 0);
    let output = bound_by_permissions(&place, &["backup", &place.text("source"), "--json"]);
    allow(&place, "source/closed", 0o700);
    let Some(output) = output else { return };
    let said = err(&output);
    assert_eq!(code(&output), 3, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].contains("source/closed: ") && lines[1].contains("source/secret: left out: "), "{said}");
    assert!(lines.iter().all(|line| line.contains("Permission denied")), "{said}");
    let summary = objects(&out(&output)).pop().unwrap();
    assert_eq!(summary["warnings"], 2);
    assert_eq!(summary["files_new"]["files"], 3, "what was left out is not counted: {summary}");
    let listed = place.succeed(&["ls"]);
    assert!(!listed.contains("secret") && !listed.contains("inside"), "{listed}");
    fs::remove_file(place.at("source/closed/inside")).unwrap();
    place.succeed(&["restore", "1", "--target", &place.text("restored")]);
    assert_eq!(fs::read(place.at("restored/docs/deep/note.txt")).unwrap(), b"note");
}

#[test]
fn an_archive_that_may_not_be_written_is_read_all_the_same() {
    let (place, _) = Place::with_version();
    for entry in fs::read_dir(place.at("archive")).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o400)).unwrap();
    }
    allow(&place, "archive", 0o500);
    let source = place.text("source");
    for arguments in [&["backup", &source][..], &["forget", "1"], &["prune"]] {
        let Some(output) = bound_by_permissions(&place, arguments) else { return };
        let said = err(&output);
        assert_eq!(code(&output), 1, "{arguments:?}: {said}");
        assert!(said.contains("Permission denied") && said.contains("may not be written"), "{said}");
    }
    let target = place.text("restored");
    for arguments in [
        &["snapshots"][..],
        &["ls"],
        &["check", "--read-data"],
        &["restore", "1", "--target", &target],
        &["stats"],
        &["backup", &source, "--dry-run"],
        &["forget", "1", "--allow-last", "--dry-run"],
        &["prune", "--dry-run"],
    ] {
        let output = bound_by_permissions(&place, arguments).unwrap();
        assert_eq!(code(&output), 0, "{arguments:?}: {}", err(&output));
    }
    assert_eq!(bailee_files::compare(&place.at("source"), &place.at("restored")).unwrap(), []);
    allow(&place, "archive", 0o700);
}

#[test]
fn a_key_store_that_may_not_be_written_is_read_all_the_same() {
    let (place, _) = Place::with_version();
    let source = place.text("source");
    let shut = |mode: u32, inner: u32| {
        allow(&place, "home/catalogues", mode);
        for entry in fs::read_dir(&place.home).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            fs::set_permissions(entry.path(), Permissions::from_mode(inner)).unwrap();
        }
        allow(&place, "home", mode);
    };
    shut(0o500, 0o400);
    for arguments in [
        &["snapshots"][..],
        &["check"],
        &["backup", &source, "--dry-run"],
        &["prune", "--dry-run"],
        &["find", "empty"],
    ] {
        let Some(output) = bound_by_permissions(&place, arguments) else { return };
        assert_eq!((code(&output), err(&output).contains("warning")), (0, false), "{arguments:?}: {}", err(&output));
    }
    shut(0o700, 0o600);

    // What is missing is accepted all the same, though that cannot be kept.
    let old = place.at("old");
    common::copy_of(&place.at("archive"), &old);
    place.succeed(&["backup", &source]);
    shut(0o500, 0o400);
    let old = old.to_str().unwrap();
    let said = err(&bound_by_permissions(&place, &["snapshots", "--archive", old]).unwrap());
    assert!(said.contains("--accept-rollback"), "{said}");
    let accepted = bound_by_permissions(&place, &["snapshots", "--archive", old, "--accept-rollback"]).unwrap();
    assert_eq!((code(&accepted), out(&accepted).lines().count()), (0, 1), "{}", err(&accepted));
    assert!(err(&accepted).contains("refused again the next time"), "{}", err(&accepted));
    shut(0o700, 0o600);
}

#[test]
fn a_dry_run_looks_while_another_writes_and_leaves_nothing_behind() {
    let (place, _) = Place::with_archive();
    place.fill();
    let lock = File::options().append(true).create(true).open(place.at("archive/lock")).unwrap();
    lock.lock().unwrap();
    let before = fs::read_dir(&place.home).unwrap().count();
    for arguments in [&["backup", &place.text("source"), "--dry-run"][..], &["prune", "--dry-run"]] {
        place.succeed(arguments);
    }
    place.fail(11, &["backup", &place.text("source")]);
    assert_eq!(fs::read_dir(&place.home).unwrap().count(), before, "nothing is made in the key store");
    lock.unlock().unwrap();
    place.succeed(&["backup", &place.text("source")]);
    lock.lock().unwrap();
    place.succeed(&["forget", "1", "--allow-last", "--dry-run"]);
}

/// What was mounted there is gone, and the folder that it was mounted on has at most `lost+found` in it.
#[test]
fn an_empty_folder_is_no_version_of_one_that_was_full() {
    let (place, _) = Place::with_version();
    let source = place.text("source");
    fs::rename(place.at("source"), place.at("full")).unwrap();
    fs::create_dir_all(place.at("source/lost+found")).unwrap();
    let archive =
        || fs::read_dir(place.at("archive")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum::<u64>();
    let before = archive();
    for arguments in [&["backup", &source][..], &["backup", &source, "--dry-run"]] {
        let said = place.fail(1, arguments);
        assert!(said.contains("is it mounted?") && said.contains("version 1 had 8 entries"), "{said}");
        assert!(said.contains("--allow-empty") && said.lines().count() == 2, "{said}");
    }
    assert_eq!(archive(), before, "nothing is written");
    // What is excluded is not in a version either; another label has no version yet.
    fs::write(place.at("source/lost+found/x.tmp"), b"").unwrap();
    place.fail(1, &["backup", &source, "--exclude", "*.tmp"]);
    place.succeed(&["backup", &source, "--exclude", "*.tmp", "--label", "other"]);
    place.succeed(&["backup", &source, "--exclude", "*.tmp", "--allow-empty"]);
    place.succeed(&["backup", &source, "--exclude", "*.tmp"]);
    assert_eq!(place.succeed(&["find", "report.txt"]), "    1  docs/report.txt\n");
    fs::remove_dir_all(place.at("source")).unwrap();
    assert!(place.fail(1, &["backup", &source]).contains("name a folder that is there"));
}

/// Else its empty version would be the last, and the folder could be empty unnoticed from then on.
#[test]
fn a_folder_of_which_nothing_can_be_read_is_no_version_of_one_that_was_full() {
    let (place, _) = Place::with_archive();
    fs::create_dir_all(place.at("source/inner")).unwrap();
    let files = ["source/one", "source/inner/two"];
    files.iter().for_each(|file| fs::write(place.at(file), b"text").unwrap());
    let source = place.text("source");
    place.succeed(&["backup", &source]);
    let all = |mode: u32| files.iter().for_each(|file| allow(&place, file, mode));
    let backup = |arguments: &[&str]| bound_by_permissions(&place, &[&["backup", &source], arguments].concat());
    let refused = |output: &Output| {
        let said = err(output);
        assert_eq!(code(output), 1, "{said}");
        assert!(said.contains("can be read, while version 1 had 4 entries"), "{said}");
        assert!(said.contains("Permission denied") && said.contains("--allow-empty"), "{said}");
    };
    all(0);
    let Some(output) = backup(&[]) else { return };
    refused(&output);
    allow(&place, files[0], 0o600);
    assert_eq!(code(&backup(&["--dry-run"]).unwrap()), 0, "one can be read");
    fs::remove_file(place.at(files[0])).unwrap();
    allow(&place, "source/inner", 0);
    let output = backup(&[]).unwrap();
    allow(&place, "source/inner", 0o700);
    refused(&output);
    assert_eq!(code(&backup(&["--allow-empty"]).unwrap()), 3);
}

#[test]
fn a_folder_of_which_everything_is_excluded_is_not_called_empty() {
    let (place, _) = Place::with_version();
    let said = place.fail(1, &["backup", &place.text("source"), "--exclude", "*"]);
    assert!(said.contains("is excluded, while version 1 had 8 entries. Nothing was written"), "{said}");
    assert!(said.contains("--exclude-file") && !said.contains("is empty"), "{said}");
}

#[test]
fn the_archive_and_the_key_store_are_no_folders_to_back_up() {
    let (place, _) = Place::with_version();
    fs::create_dir(place.at("archive/inner")).unwrap();
    std::os::unix::fs::symlink(place.at("archive"), place.at("other name")).unwrap();
    for (folder, what) in [
        ("archive", "the archive itself"),
        ("archive/inner", "the archive itself"),
        ("other name", "the archive itself"),
        ("home", "the key store"),
        ("home/catalogues", "the key store"),
    ] {
        let said = place.fail(2, &["backup", &place.text(folder)]);
        assert!(said.contains(what), "{folder}: {said}");
    }
    assert_eq!(place.succeed(&["snapshots"]).lines().count(), 1);
}

#[test]
fn a_watch_goes_on_while_the_folder_is_empty() {
    let (place, _) = Place::with_version();
    fs::remove_dir_all(place.at("source")).unwrap();
    fs::create_dir(place.at("source")).unwrap();
    let arguments = ["backup", "--watch", "--json", &place.text("source")];
    let mut child = place.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines =
        BufReader::new(child.stdout.take().unwrap()).lines().map(|line| objects(&line.unwrap()).remove(0));
    let warning = lines.find(|object| object["message_type"] == "warning").unwrap();
    assert!(warning["message"].as_str().unwrap().contains("is it mounted?"), "{warning}");
    fs::write(place.at("source/back"), b"back").unwrap();
    let summary = lines.find(|object| object["message_type"] == "summary").unwrap();
    assert_eq!(summary["version"], 2);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Root may read it and may not keep its time of last access: it is opened a second time, without that.
#[test]
fn what_belongs_to_others_is_read_all_the_same() {
    let (place, _) = Place::with_archive();
    place.fill();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    for name in ["source/docs", "source/docs/report.txt"] {
        std::os::unix::fs::chown(place.at(name), Some(4_242), Some(4_242)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-fowner", env!("CARGO_BIN_EXE_bailee"), "backup", &place.text("source")]);
    let output = command.env("BAILEE_HOME", &place.home).env("BAILEE_ARCHIVE", place.at("archive")).output().unwrap();
    assert_eq!(code(&output), 0, "{}", err(&output));
    is_as_restored(&place, &[]);
}

#[test]
fn a_segment_that_may_not_be_read_is_no_matter_of_writing() {
    let (place, _) = Place::with_version();
    allow(&place, "archive/0000000000000001.seg", 0);
    let Some(output) = bound_by_permissions(&place, &["snapshots"]) else { return };
    let said = err(&output);
    assert_eq!(code(&output), 1, "{said}");
    assert!(said.contains("Permission denied") && said.contains("may not be read from here"), "{said}");
}

#[test]
fn a_target_that_may_not_be_written_is_named() {
    let (place, _) = Place::with_version();
    fs::create_dir(place.at("shut")).unwrap();
    allow(&place, "shut", 0o500);
    let Some(output) = bound_by_permissions(&place, &["restore", "1", "--target", &place.text("shut/inner")]) else {
        return;
    };
    assert_eq!(code(&output), 1, "{}", err(&output));
    assert!(err(&output).contains("shut/inner: Permission denied"), "{}", err(&output));
}

/// Its owner is let in for as long as it takes, and nobody else loses or gains anything.
#[test]
fn a_folder_that_its_owner_closed_is_restored_into_and_closed_again() {
    let (place, _) = Place::with_version();
    let target = place.text("restored");
    place.succeed(&["restore", "1", "--target", &target]);
    for (overwrite, expected) in [("never", 0o555), ("always", 0o755)] {
        allow(&place, "source/docs", 0o755);
        fs::remove_file(place.at("restored/docs/report.txt")).unwrap();
        allow(&place, "restored/docs", 0o555);
        allow(&place, "restored", 0o055);
        let arguments = ["restore", "1", "--target", &target, "--overwrite", overwrite];
        let Some(output) = bound_by_permissions(&place, &arguments) else { return };
        assert_eq!(code(&output), 0, "{}", err(&output));
        let mode = |name: &str| fs::metadata(place.at(name)).unwrap().permissions().mode() & 0o7777;
        let whole = if overwrite == "never" { 0o055 } else { mode("source") };
        assert_eq!((mode("restored"), mode("restored/docs")), (whole, expected), "{overwrite}");
        allow(&place, "restored", 0o755);
        assert!(place.at("restored/docs/report.txt").exists());
    }
}

/// While a long file is read, one that comes after it goes.
#[test]
fn a_file_that_vanishes_is_named_and_the_rest_is_saved() {
    let (place, _) = Place::with_archive();
    place.fill();
    File::create(place.at("source/a long one")).unwrap().set_len(256 << 20).unwrap();
    fs::write(place.at("source/left"), b"left").unwrap();
    let mut pause = Duration::from_millis(2);
    // It may go before the folder is listed, or after it was read.
    for _ in 0..40 {
        fs::write(place.at("source/vanishing"), b"there a moment ago").unwrap();
        let arguments = ["backup", &place.text("source"), "--json"];
        let child = place.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(pause);
        fs::remove_file(place.at("source/vanishing")).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = err(&output);
        if code(&output) == 3 && said.contains("source/vanishing: left out: No such file or directory") {
            assert_eq!(place.succeed(&["restore", "latest", "--stdout", "left"]), "left");
            assert!(!place.succeed(&["ls", "latest"]).contains("vanishing"));
            return;
        }
        assert!([0, 3].contains(&code(&output)), "{said}");
        pause += Duration::from_millis(2);
    }
    panic!("it never vanished in time");
}

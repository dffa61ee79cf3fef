//! `bailee demo` as a user runs it, on folders of every kind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bailee")).arg("demo").args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a-file-with-a-long-name"), b"content ".repeat(1000)).unwrap();
    fs::create_dir(folder.path().join("inside")).unwrap();
    fs::write(folder.path().join("inside/empty"), b"").unwrap();
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Numbers vary with the folder and the clock; the words do not.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut in_number = false;
    for c in text.chars() {
        let digit = c.is_ascii_digit() || (in_number && c == '.');
        if digit && !in_number {
            out.push('#');
        }
        if !digit {
            out.push(c);
        }
        in_number = digit;
    }
    out
}

#[test]
fn the_narration() {
    let folder = folder();
    let output = demo(&[text(folder.path()), "--seed", "1"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    insta::assert_snapshot!(without_numbers(&out(&output)));
}

#[test]
fn the_source_of_the_reference_comes_back() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = demo(&[text(source), "--json"]);
    assert_eq!(code(&output), 0, "{}", out(&output));
    let summary: serde_json::Value = serde_json::from_str(out(&output).lines().last().unwrap()).unwrap();
    assert_eq!(summary["message_type"], "summary");
    assert_eq!(summary["trees_identical"], true);
    assert_eq!(summary["restores"], 2);
    assert!(summary["bytes"].as_u64().unwrap() > 100_000);
}

#[test]
fn links_modes_times_and_specials_come_back() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    symlink("/nowhere", at("dangling")).unwrap();
    symlink("..", at("up")).unwrap();
    fs::hard_link(at("inside/empty"), at("linked")).unwrap();
    fs::write(at("quiet"), b"x").unwrap();
    fs::set_permissions(at("quiet"), fs::Permissions::from_mode(0o4000)).unwrap();
    fs::set_permissions(at("inside"), fs::Permissions::from_mode(0o1550)).unwrap();
    fs::File::create(at("sparse")).unwrap().set_len(300_000_000).unwrap();
    filetime::set_file_mtime(at("sparse"), filetime::FileTime::from_unix_time(-5, 7)).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let output = demo(&[text(folder.path())]);
    let whole = rustix::process::geteuid().is_root();
    assert_eq!(code(&output), if whole { 0 } else { 3 }, "{}", out(&output));
    assert!(out(&output).contains("Both restored folders are identical to the source."));
    fs::set_permissions(at("inside"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn an_empty_folder_and_a_link_to_a_folder_are_backed_up() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(code(&demo(&[text(folder.path())])), 0);
    let link = tempfile::tempdir().unwrap();
    symlink(folder.path(), link.path().join("link")).unwrap();
    assert_eq!(code(&demo(&[text(&link.path().join("link"))])), 0);
}

#[test]
fn what_cannot_be_kept_is_named_and_the_rest_is_whole() {
    let folder = folder();
    let mut deep = folder.path().to_path_buf();
    // Deeper than an archive goes; made step by step, since the system does not take so long a path either.
    let start = std::env::current_dir().unwrap();
    for _ in 0..513 {
        deep.push("d");
        if deep.as_os_str().len() < 3_000 {
            fs::create_dir(&deep).unwrap();
        }
    }
    assert_eq!(std::env::current_dir().unwrap(), start);
    let output = demo(&[text(folder.path())]);
    assert_eq!(code(&output), 3, "{}", out(&output));
    assert!(out(&output).contains("too many components"), "{}", out(&output));
    assert!(out(&output).contains("1 warnings above"), "{}", out(&output));
}

#[test]
fn what_is_no_folder_is_refused_with_what_to_do() {
    let folder = folder();
    let missing = demo(&[text(&folder.path().join("missing"))]);
    assert_eq!(code(&missing), 2);
    assert!(err(&missing).contains("name an existing folder"), "{}", err(&missing));
    let file = demo(&[text(&folder.path().join("a-file-with-a-long-name"))]);
    assert_eq!(code(&file), 2);
    assert!(err(&file).contains("is not a folder"), "{}", err(&file));
    assert_eq!(code(&demo(&[])), 2);
}

#[test]
fn what_is_kept_is_kept_outside() {
    let folder = folder();
    let inside = folder.path().join("kept");
    let output = demo(&[text(folder.path()), "--keep", text(&inside)]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("is inside the folder to back up"), "{}", err(&output));
    assert!(!inside.exists());
    let outside = tempfile::tempdir().unwrap();
    let kept = outside.path().join("kept");
    assert_eq!(code(&demo(&[text(folder.path()), "--keep", text(&kept)])), 0);
    let restored = fs::read(kept.join("restored-on-behalf/a-file-with-a-long-name")).unwrap();
    assert_eq!(restored, b"content ".repeat(1000));
    let again = demo(&[text(folder.path()), "--keep", text(&kept)]);
    assert_eq!(code(&again), 2);
    assert!(err(&again).contains("does not exist yet"), "{}", err(&again));
}

#[test]
fn nothing_is_left_behind() {
    let (folder, temporary) = (folder(), tempfile::tempdir().unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_bailee"))
        .arg("demo")
        .arg(folder.path())
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), 0);
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

//! The two programs as a user runs them, with a stand-in for `bailee` that copies.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Keeps the tree as it is. `DAMAGE` is what it does to the restored tree before it ends.
const STAND_IN: &str = r#"#!/bin/sh
set -e
command="$1"
case "$command" in --version) echo "bailee 0.0-stand-in"; exit;; esac
case "$2" in --help) exit 0;; esac
archive="$3"
for last; do :; done
case "$command" in
init) mkdir "$archive";;
backup) rm -rf "$archive/kept"; cp -a "$last" "$archive/kept";;
restore) if [ "$5" = --stdout ]; then cat "$archive/kept/$last"; else cp -a "$archive/kept/." "$last"; cd "$last"; DAMAGE; fi;;
esac
"#;

fn stand_in(folder: &Path, damage: &str) -> PathBuf {
    let path = folder.join("bailee-stand-in");
    fs::write(&path, STAND_IN.replace("DAMAGE", damage)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

fn peers(folder: &Path, bailee: &Path, more: &[&str]) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_peers"));
    run.args([
        "--json",
        "--tools",
        "bailee",
        "--scale",
        "0.001",
        "--repetitions",
        "2",
        "--corpus",
        "mixed",
        "--work",
    ]);
    run.arg(folder.join("work")).arg("--bailee").arg(bailee).args(more).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_round_is_run_and_the_summary_comes_last() {
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("chart.svg");
    let output = peers(folder.path(), &stand_in(folder.path(), ":"), &["--svg", chart.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = lines(&output);
    let runs = |tool: &str| lines.iter().filter(|line| line["message_type"] == "run" && line["tool"] == tool).count();
    assert_eq!((runs("bailee"), runs("walk"), runs("cp")), (10, 2, 2), "five rounds, two floors, twice");
    let summary = lines.last().unwrap();
    assert_eq!(summary["message_type"], "summary");
    assert!(summary["ratios"]["mixed_unchanged_vs_walk"].as_f64().is_some_and(|ratio| ratio > 0.0));
    assert!(summary["ratios"]["mixed_restore_vs_cp"].as_f64().is_some_and(|ratio| ratio > 0.0));
    assert!(summary["memory"]["mixed_first"]["bailee"].as_u64().is_some_and(|bytes| bytes > 1 << 16));
    assert_eq!(summary["versions"]["bailee"], "0.0-stand-in");
    assert!(roxmltree::Document::parse(&fs::read_to_string(chart).unwrap()).is_ok());
    assert!(!folder.path().join("work/runs/mixed").exists(), "what was made for the runs is gone");
}

#[test]
fn a_wrong_restore_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let damage = "rm -r large";
    let output = peers(folder.path(), &stand_in(folder.path(), damage), &[]);
    assert_eq!(output.status.code(), Some(1));
    let summary = lines(&output).pop().unwrap();
    assert_eq!(summary["problems"][0]["round"], "restore");
    assert!(summary["problems"][0]["what"].as_str().unwrap().contains("WRONG RESTORE"), "{summary}");
    assert_eq!(summary["ratios"]["mixed_restore_vs_cp"], Value::Null);
}

#[test]
fn without_a_bailee_the_others_are_measured_and_the_code_is_1() {
    let folder = tempfile::tempdir().unwrap();
    let output = peers(folder.path(), Path::new("/no/such/bailee"), &[]);
    assert_eq!(output.status.code(), Some(1));
    let summary = lines(&output).pop().unwrap();
    assert_eq!(summary["missing"][0]["why"], "/no/such/bailee is not installed");
    assert!(summary["memory"]["mixed_restore"]["cp"].is_u64());
}

#[test]
fn scaling_draws_a_line_through_every_figure() {
    let folder = tempfile::tempdir().unwrap();
    let bailee = stand_in(folder.path(), ":");
    let output = peers(folder.path(), &bailee, &["--scaling", "--max-bytes", "10000000000"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = lines(&output).pop().unwrap();
    assert_eq!(summary["points"].as_array().unwrap().len(), 16);
    assert_eq!(summary["lines"].as_array().unwrap().len(), 12);
    assert!(summary["two_threads_vs_one"]["files"].as_f64().is_some_and(|times| times > 0.0));
}

#[test]
fn a_users_folder_is_measured_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    fs::create_dir_all(own.join("a")).unwrap();
    fs::create_dir(folder.path().join("work")).unwrap();
    fs::write(own.join("a/file"), [7; 100_000]).unwrap();
    let bench = |damage: &str| {
        let mut run = Command::new(env!("CARGO_BIN_EXE_bench_folder"));
        run.arg(&own).args(["--json", "--threads", "1,2", "--work"]).arg(folder.path().join("work"));
        run.arg("--bailee").arg(stand_in(folder.path(), damage)).output().unwrap()
    };
    let output = bench(":");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = lines(&output);
    assert_eq!(told.len(), 7, "three rounds, twice, and the summary");
    assert_eq!(told[0]["pass"]["bytes"], 100_000);
    assert_eq!(told[0]["ratio"], 1.0);
    assert_eq!(told[6]["restored_as_it_is"], true);
    let output = bench("echo x >> a/file");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(lines(&output)[6]["restored_as_it_is"], false);
    assert_eq!(fs::read_dir(folder.path().join("work")).unwrap().count(), 0);
}

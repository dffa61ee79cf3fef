//! The commands as a user runs them: what they print, what they exit with, and that they can fail.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bailee_core::quirks::Quirk;
use bailee_model::protocol::{Mutation, mutation, properties, scopes};
use bailee_model::story::{Story, look};
use serde_json::{Value, json};

/// Runs the program in a folder, where it keeps what it finds.
fn lockstep(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailee-lockstep"));
    command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The program need not read what it refuses.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn complained(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json_lines(output: &Output) -> Vec<Value> {
    said(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

const SMALL: &str = "[[scope]]\nname = \"small\"\nstart = \"sealed\"\nparts = [\"ceremony\", \"time\"]\n";

#[test]
fn the_sums_add_up_and_what_was_left_out_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = lockstep(folder.path(), &["--scope", "nodes", "--json"], "");
    assert_eq!(code(&output), 0, "{}", complained(&output));
    let summary = json_lines(&output).pop().unwrap();
    let row = &summary["scopes"][0];
    let parts = ["accepted", "refusals", "idle", "disagreements"].map(|part| number(&row[part]));
    assert_eq!(number(&row["tried"]), parts.iter().sum::<u64>(), "{row}");
    assert!(number(&row["executed"]) == number(&row["transitions"]) && number(&row["accepted"]) > 0);
    let claims = &summary["claims"];
    let parts = ["covered", "tested", "argued", "planned", "not_shown"].map(|part| number(&claims[part]));
    assert_eq!(number(&claims["total"]), parts.iter().sum::<u64>(), "{claims}");

    let file = folder.path().join("small.toml");
    std::fs::write(&file, format!("{SMALL}\n{}lockstep = false\n", SMALL.replace("small", "model-only"))).unwrap();
    let output = lockstep(folder.path(), &["--scope-file", "small.toml"], "");
    let told = said(&output);
    assert_eq!(code(&output), 0, "{}", complained(&output));
    assert!(told.contains("1 scope: ") && told.contains("0 disagreements"), "{told}");
    assert!(told.ends_with("left out, for the model alone: model-only\n"), "{told}");
}

#[test]
fn a_disagreement_is_told_once_with_its_rule_and_replays() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--scope", "neighbours", "--with", "suspended-restores", "--json", "--junit", "report.xml"];
    let output = lockstep(folder.path(), &arguments, "");
    assert_eq!(code(&output), 100, "{}", complained(&output));
    let lines = json_lines(&output);
    let found: Vec<&Value> = lines.iter().filter(|line| line["message_type"] == "disagreement").collect();
    assert!(!found.is_empty());
    for (i, one) in found.iter().enumerate() {
        assert_eq!(one["rule"], "JOB-1");
        assert!(found[..i].iter().all(|other| other["actions"] != one["actions"]), "told twice: {one}");
        let replay = one["replay"].as_str().unwrap();
        assert!(!complained(&output).contains(replay));
        let words: Vec<&str> = replay.strip_prefix("cargo lockstep ").unwrap().split(' ').collect();
        let again = lockstep(folder.path(), &words, "");
        assert_eq!(code(&again), 100, "{}", complained(&again));
        assert!(said(&again).contains("reference accepted"), "{}", said(&again));
    }
    let text = std::fs::read_to_string(folder.path().join("report.xml")).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("failures"), Some("1"));
    assert!(root.attribute("time").unwrap().parse::<f64>().unwrap() > 0.0);
    let failed = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
    assert_eq!(failed.parent().unwrap().attribute("name"), Some("lockstep"));
    assert!(failed.attribute("message").unwrap().contains("JOB-1"));

    let output = lockstep(folder.path(), &["--scope", "neighbours", "--with", "suspended-restores"], "");
    let told = said(&output);
    let heads = told.lines().filter(|line| line.starts_with("disagreement about JOB-1 in neighbours")).count();
    assert_eq!(heads, found.len(), "{told}");
}

#[test]
fn the_junit_report_of_a_run_that_agrees_has_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let output = lockstep(folder.path(), &["--scope", "nodes", "--junit", "report.xml"], "");
    assert_eq!(code(&output), 0);
    let text = std::fs::read_to_string(folder.path().join("report.xml")).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    assert_eq!(document.root_element().attribute("failures"), Some("0"));
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase")).count();
    assert_eq!(document.root_element().attribute("tests"), Some(cases.to_string().as_str()));
    assert!(cases > 10);
}

#[test]
fn wrong_usage_ends_with_2_a_failure_with_1_and_nothing_to_do_with_4() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("empty.toml", "");
    file("twice.toml", &format!("{SMALL}{SMALL}"));
    file("model.toml", &format!("{SMALL}lockstep = false\n"));
    let story = |actions: Value| json!({"scope": "recovery", "actions": actions}).to_string();
    let device = story(json!([{"action": "advance"}, {"action": "sign_in", "device": 7}]));
    let lane = story(json!([{"action": "deliver", "lane": {"late": 2}}]));
    let nowhere = json!({"scope": "nowhere", "actions": []}).to_string();
    for (arguments, input, expected, what) in [
        (&["--scope", "nowhere"][..], "", 2, "there is no scope nowhere; there are: enrolment"),
        (&["--scope", "late-race"], "", 2, "for the model alone: cargo model check --scope late-race"),
        (&["--with", "magic"], "", 2, "the reference has no bug magic"),
        (&["--threads", "0"], "", 2, "--threads"),
        (&["--scope-file", "none.toml"], "", 2, "none.toml: "),
        (&["--scope-file", "empty.toml"], "", 2, "empty.toml: it has no [[scope]]"),
        (&["--scope-file", "twice.toml"], "", 2, "line 5: the name small is that of line 1 too"),
        (&["--scope-file", "model.toml"], "", 4, "nothing ran"),
        (&["--scope", "nodes", "--junit", "no/such/folder.xml"], "", 1, "no/such/folder.xml"),
        (&["replay", "none.jsonl"], "", 2, "none.jsonl: "),
        (&["replay"], "x", 2, "the story: line 1: "),
        (&["replay"], "", 4, "there is no story in it"),
        (&["replay"], &nowhere, 2, "there is no scope nowhere"),
        (&["replay"], &device, 2, "step 2: there is no device 7: scope recovery has 2 devices"),
        (&["replay"], &lane, 2, "step 1: there is no device 2"),
        (&["nonsense"], "", 2, "nonsense"),
    ] {
        let output = lockstep(folder.path(), arguments, input);
        assert_eq!(code(&output), expected, "{arguments:?}: {}", complained(&output));
        assert!(complained(&output).contains(what), "{arguments:?}: {}", complained(&output));
    }
}

#[test]
fn a_long_story_replays() {
    const STEPS: usize = 10_000;
    let round = [
        json!({"action": "sign_in", "device": 1}),
        json!({"action": "deliver", "lane": {"device": 1}}),
        json!({"action": "deliver", "lane": {"device": 1}}),
        json!({"action": "crash_device", "device": 1}),
        json!({"action": "request", "by": "owner", "user": 0}),
        json!({"action": "advance"}),
        json!({"action": "deliver", "lane": "job"}),
    ];
    let actions: Vec<&Value> = round.iter().cycle().take(STEPS).collect();
    let told = json!({"scope": "recovery", "actions": actions}).to_string();
    let folder = tempfile::tempdir().unwrap();
    let output = lockstep(folder.path(), &["replay"], &told);
    assert_eq!(code(&output), 0, "{}", complained(&output));
    assert_eq!(said(&output).lines().filter(|line| line.contains("  agree   ")).count(), STEPS);
}

/// The story of a mutation, if a run tells it.
fn story_of(mutation: Mutation, property: &str) -> Option<Story> {
    let scope = scopes::committed().into_iter().find(|scope| scope.name == mutation.scope()).unwrap();
    look(&scope, properties::find(property).unwrap(), Some(mutation)).unwrap().story
}

/// Stories of a bug that end otherwise on the reference: the bug, the property that is broken, and why.
const OTHERWISE: &[(Quirk, &str, &str)] = &[
    (
        Quirk::OneShareFewer,
        "unsealed-by-threshold",
        "two shares do not open what three sealed, whatever the node counts",
    ),
    (Quirk::ShareToAnyone, "share-to-owner", "the custodian's client refuses a share that is not its own"),
    (Quirk::ShareToAnyone, "strangers-change-nothing", "the custodian's client refuses a share that is not its own"),
    (
        Quirk::PendingSurvives,
        "no-release-after-ack",
        "the reference compares the grant's epoch too, so a pending release that survives is void",
    ),
    (
        Quirk::MarkNotStored,
        "can-confirm",
        "the story is the way to a state from which nothing good follows, and no more",
    ),
];

#[test]
fn the_story_of_each_bug_replays_with_the_same_bug_in_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let (mut replayed, mut otherwise) = (0, Vec::new());
    for &quirk in Quirk::ALL {
        // A bug of bytes has no mutation: a named test sees it (`bugs.toml`).
        let Some(mutation) = mutation::find(quirk.id()) else { continue };
        for property in mutation.properties() {
            let Some(story) = story_of(mutation, property) else { continue };
            let output = lockstep(folder.path(), &["replay"], &story.json().to_string());
            let told = said(&output);
            assert!(told.contains(mutation.about()), "{told}");
            match code(&output) {
                0 => {
                    assert!(told.contains("the reference leaves the right rules at step "), "{told}");
                    replayed += 1;
                }
                100 => otherwise.push((quirk, *property)),
                code => panic!("{}: {code}: {}", quirk.id(), complained(&output)),
            }
        }
    }
    let explained: Vec<_> = OTHERWISE.iter().map(|(quirk, property, _)| (*quirk, *property)).collect();
    assert_eq!(otherwise, explained, "those that the list above explains");
    assert!(replayed >= 30, "only {replayed}");
}

/// The names in code in a cell of a table.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// `spec/protocol.md` 19.20: the story of each break is told and replays with the same bug on, and each bug is one that a test sees.
#[test]
fn each_break_is_shown_again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("spec/protocol.md")).unwrap();
    let seen = std::fs::read_to_string(root.join("tests/lockstep/bugs.toml")).unwrap();
    let section = text.split("### 19.20 ").nth(1).unwrap().split("### ").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mut breaks, mut stories) = (0, 0);
    for row in section.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let [_, _, told, bugs, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        for story in names(told).chunks(2) {
            let [property, bug] = story else { panic!("{row}") };
            let story = story_of(mutation::find(bug).unwrap(), property).unwrap_or_else(|| panic!("{row}"));
            let output = lockstep(folder.path(), &["replay"], &story.json().to_string());
            assert_eq!(code(&output), 0, "{bug}: {}", said(&output));
            assert!(said(&output).contains("the reference leaves the right rules at step "), "{}", said(&output));
            stories += 1;
        }
        for bug in names(bugs) {
            assert!(seen.contains(&format!("id = \"{bug}\"")), "no test sees {bug}");
        }
        breaks += 1;
    }
    assert!(breaks == 13 && stories >= 12, "{breaks} breaks, {stories} stories");
}

#[test]
fn a_bug_that_the_reference_does_not_have_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mutation = mutation::find("serves-sealed").unwrap();
    let story = story_of(mutation, "sealed-serves-nothing").unwrap();
    let output = lockstep(folder.path(), &["replay"], &story.json().to_string());
    assert_eq!(code(&output), 4);
    assert!(complained(&output).contains("the reference has no bug serves-sealed to switch on"));
}

/// As printed, in a shell, at the root of the project: this builds both programs as `.cargo/config.toml` says.
#[test]
fn a_printed_replay_line_runs_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let betrayal = scopes::committed().into_iter().find(|scope| scope.name == "betrayal").unwrap();
    let plain = look(&betrayal, properties::find("shares-are-not-data").unwrap(), None).unwrap().story.unwrap();
    let mutated = story_of(mutation::find("no-wipe").unwrap(), "contact-wipes").unwrap();
    for (story, expected) in [(plain, "the locksmith opened"), (mutated, "both readings agree after each of")] {
        let text = story.text();
        let line = text.lines().find_map(|line| line.strip_prefix("replay: ")).unwrap();
        let output = Command::new("sh").args(["-c", line]).current_dir(&root).output().unwrap();
        assert_eq!(code(&output), 0, "{line}: {}", complained(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
}

//! What is said to people and to machines: a last line always, names as they are, numbers that are true.

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

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

/// A name with every trouble: what the terminal would obey, what it would hide, what is no text.
#[test]
fn names_are_whole_for_machines_and_no_two_look_alike_to_people() {
    let (place, _) = Place::with_archive();
    let source = place.at("so\\urce\u{202e}");
    fs::create_dir(&source).unwrap();
    for name in ["a\nb", "a\\nb", "gnp.\u{202e}exe"] {
        fs::write(source.join(name), b"").unwrap();
    }
    symlink("to\\n", source.join("l1")).unwrap();
    symlink("to\n", source.join("l2")).unwrap();
    symlink(OsStr::from_bytes(b"to\xff"), source.join("l3")).unwrap();
    place.succeed(&["backup", source.to_str().unwrap()]);

    let listed = place.succeed(&["ls", "-l"]);
    let shown: Vec<&str> = listed.lines().skip(1).map(|line| line.split("Z ").nth(1).unwrap()).collect();
    let names = [r"a\nb", r"a\\nb", r"gnp.\u{202e}exe", r"l1 -> to\\n", r"l2 -> to\n", r"l3 -> to\xff"];
    assert_eq!(shown, names);
    let said = objects(&place.succeed(&["ls", "--json"]));
    let of = |name: &str| said.iter().find(|object| object["path"] == name).unwrap();
    assert_eq!((&of("l1")["target"], &of("l2")["target"]), (&"to\\n".into(), &"to\n".into()));
    assert_eq!((&of("l3")["target"], &of("l3")["target_hex"]), (&"to\\xff".into(), &"746fff".into()));
    assert!(place.succeed(&["snapshots"]).trim_end().ends_with(r"so\\urce\u{202e}"));
    let label = objects(&place.succeed(&["snapshots", "--json"]))[0]["label"].as_str().unwrap().to_string();
    assert_eq!(label, source.canonicalize().unwrap().to_str().unwrap());
}

#[test]
fn a_warning_names_its_path_as_it_is() {
    let (place, _) = Place::with_archive();
    let mut deep = place.at("source\\").join(OsStr::from_bytes(b"\xff\n"));
    fs::create_dir_all(&deep).unwrap();
    let top = deep.clone();
    while deep.as_os_str().len() < 3_000 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    let output = place.run(&["backup", &place.text("source\\"), "--json"]);
    assert_eq!(code(&output), 3, "{}", err(&output));
    let said = objects(&out(&output));
    let warning = said.iter().find(|object| object["message_type"] == "warning").unwrap();
    let hex: String = top.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(warning["path_hex"].as_str().unwrap().starts_with(&hex), "{warning}");
    assert!(err(&output).contains(r"source\\/\xff\n/d/d"), "{}", err(&output));
}

#[test]
fn what_was_not_read_is_not_counted_as_read() {
    let (place, _) = Place::with_version();
    let bytes: u64 = 90_000 + 4;
    // A catalogue trusts no file that was written in the moment before.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    place.succeed(&["backup", &place.text("source")]);
    let last = |arguments: &[&str]| objects(&place.succeed(arguments)).pop().unwrap();
    for arguments in [&["backup", "--json"][..], &["backup", "--json", "--dry-run"]] {
        let summary = last(&[arguments, &[&place.text("source")]].concat());
        let said = ["bytes_total", "bytes_read", "bytes_new"].map(|name| summary[name].as_u64().unwrap());
        assert_eq!(said, [bytes, 0, 0], "{summary}");
        assert_eq!(summary["files_unchanged"]["bytes"], bytes);
    }
    assert_eq!(objects(&place.succeed(&["snapshots", "--json"]))[2]["bytes"], bytes);
    let said = err(&place.run(&["backup", &place.text("source")]));
    assert!(said.contains("8 entries of 87.9 KiB; 0 B read, 0 B new, "), "{said}");
}

#[test]
fn a_word_that_nothing_matches_is_named_and_the_rest_is_restored() {
    let (place, _) = Place::with_version();
    let target = place.text("target");
    let output = place.run(&["restore", "1", "empty", "zzz*", "nowhere", "--target", &target, "--json"]);
    assert_eq!(code(&output), 3, "{}", err(&output));
    assert!(place.at("target/empty").exists());
    let said = err(&output);
    assert!(said.contains("warning: zzz*: nothing") && said.contains("warning: nowhere: nothing"), "{said}");
    let summary = objects(&out(&output)).pop().unwrap();
    assert_eq!((&summary["unmatched"], &summary["warnings"]), (&2.into(), &2.into()));
    for word in ["zzz*", "nowhere"] {
        assert!(place.fail(1, &["restore", "1", word, "--target", &place.text("other")]).contains("bailee find"));
    }
}

/// A bracket that is not closed is itself, for every command.
#[test]
fn what_is_a_pattern_for_one_command_is_one_for_all() {
    let (place, _) = Place::with_archive();
    place.fill();
    fs::write(place.at("source/["), b"").unwrap();
    let source = place.text("source");
    place.succeed(&["backup", &source]);
    place.succeed(&["backup", &source, "--exclude", "["]);
    assert_eq!(place.succeed(&["find", "["]), "    1  [\n");
    place.succeed(&["restore", "1", "[", "--target", &place.text("target")]);
    place.fail(2, &["backup", &source, "--exclude", "[z-a]"]);
    place.fail(2, &["find", "[z-a]"]);
    place.fail(2, &["restore", "1", "[z-a]", "--target", &place.text("other")]);
}

/// Each name, as it is, means itself for every command; what it would match as a pattern is there, too.
#[test]
fn a_name_with_the_signs_of_a_pattern_is_itself() {
    let (place, _) = Place::with_archive();
    let names =
        ["[abc].txt", "some[dir]/some[file]", "a*b", "!bang", "#hash", "trail ", "back\\slash", "q?", "{a,b}", "{"];
    let others = ["a.txt", "somed/somef", "acb", "bang", "trail", "backslash", "qq", "a", "deep/a*b"];
    for name in names.iter().chain(&others) {
        let path = place.at("source").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    let source = place.text("source");
    place.succeed(&["backup", &source]);
    for name in names {
        let shown = name.replace('\\', "\\\\");
        for word in [name, &format!("/{name}"), &format!("./{name}"), &format!("{name}/")] {
            assert_eq!(place.succeed(&["ls", "1", word]), format!("{shown}\n"), "{word}");
            assert_eq!(place.succeed(&["restore", "1", word, "--stdout"]), name);
        }
        let deep = if name == "a*b" { "    1  deep/a*b\n" } else { "" };
        assert_eq!(place.succeed(&["find", "--in", "1", name]), format!("    1  {shown}\n{deep}"));
        assert_eq!(place.succeed(&["find", "--in", "1", &format!("/{name}")]), format!("    1  {shown}\n"));
        place.succeed(&["backup", &source, "--exclude", name]);
        let differs = place.succeed(&["diff", "1", "latest"]);
        let left_out: Vec<&str> = differs.lines().filter(|line| line.starts_with("- ")).collect();
        assert_eq!(left_out, [format!("- {shown}")], "{name}");
    }
}

/// In one version it is a name, in others it would be a pattern.
#[test]
fn what_is_called_exactly_so_is_found_alone() {
    let (place, _) = Place::with_version();
    fs::write(place.at("source/docs/*.txt"), b"").unwrap();
    fs::write(place.at("source").join(OsStr::from_bytes(b"odd\xff*")), b"").unwrap();
    place.succeed(&["backup", &place.text("source")]);
    assert_eq!(place.succeed(&["find", "*.txt"]), "    2  docs/*.txt\n");
    assert_eq!(place.succeed(&["find", "docs/*.txt"]), "    2  docs/*.txt\n");
    let matched = "    1  docs/deep/note.txt\n    1  docs/report.txt\n";
    assert_eq!(place.succeed(&["find", "--in", "1", "*.txt"]), matched, "no name in the versions that are searched");
    let find = |word: &[u8]| {
        let output = place.command(&["find"]).arg(OsStr::from_bytes(word)).output().unwrap();
        assert_eq!(code(&output), 0, "{}", err(&output));
        out(&output)
    };
    assert_eq!((find(b"odd\xff*"), find(b"odd*\xff")), ("    2  odd\\xff*\n".into(), String::new()));
}

#[test]
fn a_file_of_patterns_is_read_as_editors_write_it() {
    let (place, _) = Place::with_archive();
    place.fill();
    let (source, file) = (place.text("source"), place.text("patterns"));
    fs::write(&file, "\u{feff}*.txt \r\n!note.txt\r\nempty").unwrap();
    place.succeed(&["backup", &source, "--exclude-file", &file]);
    assert_eq!(place.succeed(&["ls"]), ".\ndocs\ndocs/deep\ndocs/deep/note.txt\nlink\nsame note\n");
    for (bytes, said) in [
        (&b"*.txt\n[z-a]\n"[..], "patterns, line 2: "),
        (b"*.txt\rcaf\xe9\r", "patterns, line 2: it is not UTF-8"),
        (b"\xff\xfe*\0.\0o\0", "patterns: it is UTF-16"),
    ] {
        fs::write(&file, bytes).unwrap();
        let told = place.fail(2, &["backup", &source, "--exclude-file", &file]);
        assert!(told.contains(said), "{told}");
    }
    assert_eq!(place.succeed(&["snapshots"]).lines().count(), 1);
}

#[test]
fn a_mistake_with_a_folder_has_a_second_line_that_says_what_to_do() {
    let (place, _) = Place::with_version();
    let (absent, file) = (place.text("absent"), place.text("source/empty"));
    let below = place.text("absent/target");
    for (arguments, next) in [
        (&["restore", "1", "--target", &below][..], "make the folder above it first"),
        (&["restore", "1", "--target", &file], "in the place of a folder"),
        (&["backup", &absent], "name a folder that is there"),
        (&["backup", &file], "name the folder that it lies in"),
        (&["restore", "1", "em*", "--stdout"], "the path of one file and no pattern"),
    ] {
        let output = place.run(arguments);
        let said = err(&output);
        assert!([1, 2].contains(&code(&output)), "{said}");
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines.len() == 2 && lines[1].contains(next), "{said}");
    }
}

/// As a variable of a script that is not set.
#[test]
fn an_empty_word_does_not_mean_the_whole() {
    let (place, _) = Place::with_version();
    let target = place.text("target");
    for arguments in [
        &["restore", "latest", "", "--target", &target][..],
        &["restore", "latest", "docs", "", "--target", &target],
        &["restore", "latest", "", "--stdout"],
        &["ls", "latest", ""],
    ] {
        let said = place.fail(2, arguments);
        assert!(said.contains("a path is empty") && said.contains("/ for all of it"), "{said}");
    }
    assert!(!place.at("target").exists());
    let all = place.succeed(&["ls"]);
    for whole in [".", "/"] {
        assert_eq!(place.succeed(&["ls", "latest", whole]), all);
        place.succeed(&["restore", "latest", whole, "--target", &target]);
    }
}

/// Many lines of one kind are cut short for people, and no place is named twice.
#[test]
fn damage_in_many_places_is_told_briefly_and_once() {
    let (place, _) = Place::with_version();
    for number in (4..=64).step_by(2) {
        fs::write(place.at(&format!("archive/{number:016x}.seg")), b"").unwrap();
    }
    let checked = place.run(&["check", "--json"]);
    assert_eq!(code(&checked), 1, "{}", err(&checked));
    let said = objects(&out(&checked));
    let mut places: Vec<&str> =
        said.iter().filter(|o| o["message_type"] == "damage").map(|o| o["message"].as_str().unwrap()).collect();
    let all = places.len();
    assert!(all > 30, "{places:?}");
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), all, "each once");
    let advice = "  no version has lost anything: `bailee repair`, or the next backup, puts the archive right";
    assert_eq!(err(&checked).lines().collect::<Vec<_>>(), [advice]);

    let checked = place.run(&["check"]);
    let (lines, more) = (out(&checked), format!("and {} more (see --json)", all - 20));
    assert_eq!(lines.lines().filter(|line| line.starts_with("damaged: ")).count(), 20, "{lines}");
    assert!(lines.contains(&more) && err(&checked).ends_with(&format!("{advice}\n")), "{lines}{}", err(&checked));
    let listed = err(&place.run(&["snapshots", "--quiet"]));
    let (first, rest) = listed.split_once('\n').unwrap();
    assert!(
        first.starts_with("warning: the archive is damaged: ") && first.ends_with(&format!("(and {} more)", all - 1))
    );
    assert!(rest.starts_with("  see what that costs with `bailee check`") && rest.lines().count() == 1, "{listed}");
}

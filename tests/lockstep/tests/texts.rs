//! The texts of `spec/` are true: rule ids, refusals, labels, limits, message kinds and formats agree with the code.
//!
//! Every checker is a function from a text to what is wrong with it, and is shown to fail on a text that was doctored.

#[path = "texts/archives.rs"]
mod archives;
#[path = "texts/cddl.rs"]
mod cddl;
#[path = "texts/citations.rs"]
mod citations;
#[path = "texts/files.rs"]
mod files;
#[path = "texts/imports.rs"]
mod imports;
#[path = "texts/negative.rs"]
mod negative;
#[path = "texts/outside.rs"]
mod outside;
#[path = "texts/rule_ids.rs"]
mod rule_ids;
#[path = "texts/samples.rs"]
mod samples;

use std::collections::{BTreeMap, BTreeSet};

use bailee_core::crypto::labels;
use bailee_core::wire::Body;
use bailee_spec::outcome::Refusal;
use cddl::Grammar;
use files::{sources, text};
use rule_ids::{definitions, rule_ids};

// Rule ids.

/// Cited rules that no norm defines, and rules that are defined twice.
fn rule_errors(norms: &[&str], citing: &[(String, String)]) -> Vec<String> {
    let mut errors = Vec::new();
    let mut defined = BTreeSet::new();
    for (id, _) in norms.iter().flat_map(|norm| definitions(norm)) {
        if !defined.insert(id.clone()) {
            errors.push(format!("{id} is defined twice"));
        }
    }
    for (place, text) in citing {
        for (_, id) in rule_ids(text) {
            if !defined.contains(&id) {
                errors.push(format!("{place}: {id} is not defined"));
            }
        }
    }
    errors
}

/// Whether a file holds ids of rules that are not there, to show that they are seen.
fn has_made_up_ids(path: &str) -> bool {
    ["texts.rs", "texts/citations.rs"].iter().any(|name| path.ends_with(name))
}

fn norms() -> (String, String) {
    (text("spec/alphabet.md"), text("spec/protocol.md"))
}

#[test]
fn every_cited_rule_is_defined_once() {
    let (alphabet, protocol) = norms();
    let mut citing: Vec<(String, String)> = ["model", "reference", "spec/src", "tests", "bench", "fuzz"]
        .iter()
        .flat_map(|folder| sources(folder))
        .collect();
    citing.retain(|(path, _)| !has_made_up_ids(path));
    for path in
        ["spec/alphabet.md", "spec/protocol.md", "spec/threat-model.md", "spec/formats.cddl", "spec/claims.toml"]
    {
        citing.push((path.into(), text(path)));
    }
    assert!(citing.iter().map(|(_, text)| rule_ids(text).len()).sum::<usize>() > 500, "the scanner sees citations");
    assert_eq!(rule_errors(&[&alphabet, &protocol], &citing), Vec::<String>::new());
}

#[test]
fn a_rule_that_is_not_there_is_seen() {
    let citing = |text: &str| vec![("place".to_string(), text.to_string())];
    let norm = "- **ENR-1** first. **ENR-1a** more.";
    assert_eq!(rule_errors(&[norm], &citing("as ENR-1, ENR-1a.")), Vec::<String>::new());
    assert_eq!(rule_errors(&[norm], &citing("as ENR-2.")), ["place: ENR-2 is not defined"]);
    assert_eq!(rule_errors(&[norm], &citing("(ENR-1b)")), ["place: ENR-1b is not defined"]);
    assert_eq!(rule_errors(&[norm, norm], &citing("")), ["ENR-1 is defined twice", "ENR-1a is defined twice"]);
    assert_eq!(rule_ids("HIDDEN-1 ENR-x ENR-12ab CER-4").len(), 1, "only the last is a rule");
}

// Tables.

/// The rows of every table in a text, cell by cell.
fn rows(text: &str) -> Vec<Vec<String>> {
    let is_row = |line: &&str| line.starts_with("| ");
    text.lines()
        .filter(is_row)
        .map(|line| line.trim_matches('|').split(" | ").map(|c| c.trim().into()).collect())
        .collect()
}

fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n## {heading}")).unwrap_or_else(|| panic!("no section {heading}"));
    let rest = &text[start + 1..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

fn in_ticks(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

/// What differs between what a table lists, in order, and what the code has.
fn list_errors(what: &str, listed: &[String], real: &[String]) -> Vec<String> {
    let mut errors: Vec<String> = real
        .iter()
        .filter(|name| !listed.contains(name))
        .map(|name| format!("{what} {name} is not in the table"))
        .collect();
    errors.extend(listed.iter().filter(|name| !real.contains(name)).map(|name| format!("there is no {what} {name}")));
    if errors.is_empty() && listed != real {
        errors.push(format!("the {what}s are in another order, or one is there twice"));
    }
    errors
}

/// Numbered names: `| 3 | `Name` | … |`, with the number that is the name's place.
fn numbered(rows: &[Vec<String>], errors: &mut Vec<String>) -> Vec<String> {
    let mut names = Vec::new();
    for row in rows {
        if let [number, name, ..] = row.as_slice()
            && let (Ok(number), Some(name)) = (number.parse::<usize>(), in_ticks(name))
        {
            if number != names.len() {
                errors.push(format!("{name} has the number {number} and not {}", names.len()));
            }
            names.push(name.to_string());
        }
    }
    names
}

// Refusals.

/// Whether a rule names a refusal, itself or by a rule that it refers to.
fn speaks(rules: &BTreeMap<String, String>, id: &str, refusal: &str) -> bool {
    let named = |id: &str| rules.get(id).is_some_and(|body| body.contains(&format!("`{refusal}`")));
    let refers = || rules.get(id).into_iter().flat_map(|body| rule_ids(body));
    named(id) || refers().any(|(_, other)| named(&other))
}

/// Whether the reference ever refuses so.
fn raises(core: &str, refusal: &str) -> bool {
    core.match_indices(&format!("Refusal::{refusal}"))
        .any(|(at, found)| !core[at + found.len()..].starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// The refusal table against the enumeration, the rules that it cites, and the code that raises them.
fn refusal_errors(protocol: &str, alphabet: &str, core: &str) -> Vec<String> {
    let table = rows(section(protocol, "18"));
    let mut errors = Vec::new();
    let listed = numbered(&table, &mut errors);
    let real: Vec<String> = Refusal::ALL.iter().map(|refusal| format!("{refusal:?}")).collect();
    errors.extend(list_errors("refusal", &listed, &real));
    let mut rules: BTreeMap<String, String> = BTreeMap::new();
    for (id, body) in definitions(alphabet).into_iter().chain(definitions(protocol)) {
        rules.entry(id).or_default().push_str(&body);
    }
    for row in table.iter().filter(|row| row.len() == 4) {
        let (Some(name), raised) = (in_ticks(&row[1]), &row[3]) else { continue };
        let reserved = raised.starts_with("reserved");
        let in_code = raises(core, name);
        if reserved == in_code {
            errors.push(format!("{name}: reserved is {reserved}, raised by the reference is {in_code}"));
        }
        if !reserved && rule_ids(raised).is_empty() {
            errors.push(format!("{name} is raised by no rule"));
        }
        for (_, id) in rule_ids(raised) {
            if !reserved && !speaks(&rules, &id, name) {
                errors.push(format!("{id} does not speak of {name}"));
            }
        }
        for (id, body) in definitions(alphabet) {
            let refuses = body.contains(&format!("→ `{name}`")) || body.contains(&format!("refuses `{name}`"));
            if refuses && !rule_ids(raised).iter().any(|(_, cited)| *cited == id) {
                errors.push(format!("{name}: {id} raises it and is not cited"));
            }
        }
    }
    errors
}

fn core_sources() -> String {
    sources("reference/core/src").into_iter().map(|(_, text)| text).collect()
}

#[test]
fn the_refusal_table_is_the_enumeration() {
    let (alphabet, protocol) = norms();
    assert_eq!(refusal_errors(&protocol, &alphabet, &core_sources()), Vec::<String>::new());
}

#[test]
fn a_wrong_refusal_table_is_seen() {
    let (alphabet, protocol) = norms();
    let core = core_sources();
    for (old, new, said) in [
        ("| `NotLost` |", "| `NotFound` |", "there is no refusal NotFound"),
        ("| 33 | `GrantVoid`", "| 34 | `GrantVoid`", "GrantVoid has the number 34 and not 33"),
        (
            "another body | reserved |",
            "another body | REV-1 |",
            "Conflict: reserved is false, raised by the reference is false",
        ),
        ("stored | REV-2, DIS-6c, PUB-3 |", "stored | REV-2, REV-3 |", "REV-3 does not speak of Overtaken"),
        ("| REV-1 |\n| 35", "| REV-2 |\n| 35", "REV-2 does not speak of NotYourDevice"),
        ("| DIS-5 |\n| 40", "| none |\n| 40", "NothingKept is raised by no rule"),
        ("JOB-6a, JOB-8, JOB-8b |", "JOB-6a, JOB-8b |", "NoRestoreRight: JOB-8 raises it and is not cited"),
    ] {
        let doctored = protocol.replacen(old, new, 1);
        assert!(doctored != protocol, "{old} is not in the text");
        let errors = refusal_errors(&doctored, &alphabet, &core);
        assert!(errors.iter().any(|error| error == said), "{said}: {errors:?}");
    }
}

// Labels and message kinds.

fn label_errors(protocol: &str) -> Vec<String> {
    let prefix = "bailee/v1/";
    let listed: Vec<String> = rows(section(protocol, "4"))
        .iter()
        .filter_map(|row| in_ticks(&row[0]))
        .map(|label| format!("{prefix}{label}"))
        .collect();
    let real: Vec<String> = labels::ALL.iter().map(|label| label.to_string()).collect();
    list_errors("label", &listed, &real)
}

/// The short names of the text for those who send and receive, in the order of section 5.
const PARTIES: [(&str, &str); 16] = [
    ("Client", "CL"),
    ("Device", "DV"),
    ("Authority", "AU"),
    ("Keystore", "KS"),
    ("Storage", "ST"),
    ("Restorer", "RS"),
    ("Custody", "CU"),
    ("Custodian", "CN"),
    ("Alerts", "AL"),
    ("Holder", "holder"),
    ("User", "user"),
    ("Admin", "admin"),
    ("Schedule", "schedule"),
    ("Operator", "OP"),
    ("Stranger", "stranger"),
    ("Person", "person"),
];

fn parties<T: std::fmt::Debug>(all: &[T]) -> String {
    let short = |party: &T| {
        let name = format!("{party:?}");
        PARTIES.iter().find(|(long, _)| *long == name).map_or(name, |(_, short)| short.to_string())
    };
    all.iter().map(short).collect::<Vec<_>>().join(", ")
}

/// The table of kinds against the one that the roles enforce: number, name, and who may send it to whom.
fn kind_errors(protocol: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let table = rows(section(protocol, "5"));
    let listed = numbered(&table, &mut errors);
    let real: Vec<String> = Body::TABLE.iter().map(|(_, name, ..)| name.to_string()).collect();
    errors.extend(list_errors("kind", &listed, &real));
    for (_, name, senders, places) in Body::TABLE {
        let way = format!("{} → {}", parties(senders), parties(places));
        let row = table.iter().find(|row| row.get(1).is_some_and(|cell| in_ticks(cell) == Some(name)));
        if let Some(said) = row.and_then(|row| row.get(2)).filter(|said| **said != way) {
            errors.push(format!("{name} goes {way}, and the text says {said}"));
        }
    }
    errors
}

#[test]
fn the_tables_of_labels_and_kinds_are_those_of_the_code() {
    let (_, protocol) = norms();
    assert_eq!(label_errors(&protocol), Vec::<String>::new());
    assert_eq!(kind_errors(&protocol), Vec::<String>::new());
}

#[test]
fn a_wrong_label_or_kind_is_seen() {
    let (_, protocol) = norms();
    let wrong = protocol.replacen("| `sign/ack` |", "| `sign/nod` |", 1);
    let said = ["label bailee/v1/sign/ack is not in the table", "there is no label bailee/v1/sign/nod"];
    assert_eq!(label_errors(&wrong), said);
    let wrong = protocol.replacen("| 22 | `GoReplace` |", "| 22 | `GoAway` |", 1);
    assert_eq!(kind_errors(&wrong), ["kind GoReplace is not in the table", "there is no kind GoAway"]);
    let wrong = protocol.replacen("| 37 | `Erase` | AU → DV |", "| 37 | `Erase` | AU, ST → DV |", 1);
    assert_eq!(kind_errors(&wrong), ["Erase goes AU → DV, and the text says AU, ST → DV"]);
}

// Limits.

/// The value of a sum of products of numbers and known names.
fn value(expression: &str, known: &BTreeMap<String, u64>) -> Option<u64> {
    let flat = expression.replace(['\n', ' '], "");
    if let Some((before, rest)) = flat.split_once('(') {
        let (inner, after) = rest.split_once(')')?;
        return value(&format!("{before}{}{after}", value(inner, known)?), known);
    }
    let factor = |word: &str| word.replace('_', "").parse().ok().or_else(|| known.get(word).copied());
    let product = |term: &str| term.split('*').map(factor).product::<Option<u64>>();
    flat.split('+').map(product).sum()
}

/// The constants of a source file of limits.
fn constants(source: &str) -> BTreeMap<String, u64> {
    let mut known = BTreeMap::new();
    for item in source.split("pub const ").skip(1) {
        let (name, rest) = item.split_once(':').unwrap();
        let expression = rest.split_once('=').unwrap().1.split_once(';').unwrap().0;
        let found = value(expression, &known).unwrap_or_else(|| panic!("{name} = {expression}"));
        known.insert(name.to_string(), found);
    }
    known
}

fn limit_errors(table: &str, constants: &BTreeMap<String, u64>) -> Vec<String> {
    let mut listed = BTreeMap::new();
    for row in rows(table) {
        if let Some(name) = in_ticks(&row[0]) {
            listed.insert(name.to_string(), row[1].parse::<u64>().ok());
        }
    }
    let mut errors = Vec::new();
    for (name, value) in constants {
        match listed.remove(name) {
            Some(Some(said)) if said == *value => {}
            Some(said) => errors.push(format!("{name} is {value}, and the text says {said:?}")),
            None => errors.push(format!("{name} is not in the table")),
        }
    }
    errors.extend(listed.keys().map(|name| format!("there is no limit {name}")));
    errors
}

/// The table of the protocol's limits, and that of the archive's.
fn limit_tables(protocol: &str) -> (&str, &str) {
    section(protocol, "17").split_once("Archive formats:").unwrap()
}

#[test]
fn the_limits_are_those_of_the_code() {
    let (_, protocol) = norms();
    let (own, archive) = limit_tables(&protocol);
    let real = constants(&text("spec/src/limits.rs"));
    assert_eq!(
        real["MESSAGE_BYTES"],
        bailee_spec::limits::MESSAGE_BYTES as u64,
        "the source is read as the compiler does"
    );
    assert_eq!(limit_errors(own, &real), Vec::<String>::new());
    let real = constants(&text("reference/archive/src/limits.rs"));
    assert_eq!(limit_errors(archive, &real), Vec::<String>::new());
}

#[test]
fn a_wrong_limit_is_seen() {
    let real = constants("pub const A: usize = 4 * 1_024;\npub const B: u64 = 2 + A * (30 + 2) + A;");
    assert_eq!(real["B"], 2 + 4096 * 33);
    let table = "| `A` | 4096 | x |\n| `B` | 135170 | y |";
    assert_eq!(limit_errors(table, &real), Vec::<String>::new());
    assert_eq!(
        limit_errors("| `A` | 4097 | x |", &real),
        ["A is 4096, and the text says Some(4097)", "B is not in the table"]
    );
    assert_eq!(limit_errors(&format!("{table}\n| `C` | 1 | z |"), &real), ["there is no limit C"]);
}

// The threat model.

/// Promises that the claims say are broken here, and the section on them does not name; and the other way round.
fn broken_promise_errors(threats: &str, claims: &str) -> Vec<String> {
    let listed: Vec<String> = rows(section(threats, "5")).into_iter().map(|row| row[0].clone()).collect();
    let listed: Vec<String> = listed.into_iter().filter(|id| id.starts_with('C')).collect();
    let broken = |claim: &bailee_lockstep::claims::Claim| claim.classic == "X" && !claim.planned;
    let real = bailee_lockstep::claims::parse(claims).unwrap().into_iter().filter(broken).map(|claim| claim.id);
    list_errors("broken promise", &listed, &real.collect::<Vec<_>>())
}

#[test]
fn the_threat_model_names_every_broken_promise() {
    let threats = text("spec/threat-model.md");
    assert_eq!(broken_promise_errors(&threats, bailee_spec::CLAIMS), Vec::<String>::new());
    let silent = threats.replacen("\n| C15 |", "\n| D15 |", 1);
    assert_eq!(broken_promise_errors(&silent, bailee_spec::CLAIMS), ["broken promise C15 is not in the table"]);
}

// Formats.

fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn grammar_errors(text: &str) -> Vec<String> {
    let grammar = match Grammar::parse(text) {
        Ok(grammar) => grammar,
        Err(error) => return vec![error],
    };
    let mut errors = grammar.undefined();
    let real: Vec<String> = Body::TABLE.iter().map(|(_, name, ..)| kebab(name)).collect();
    errors.extend(list_errors("message", &grammar.alternatives("body"), &real));
    errors
}

#[test]
fn the_grammar_is_whole_and_names_every_kind() {
    assert_eq!(grammar_errors(&text("spec/formats.cddl")), Vec::<String>::new());
}

#[test]
fn a_broken_grammar_is_seen() {
    let grammar = text("spec/formats.cddl");
    for (old, new, said) in [
        ("grant-holder = ", "grand-holder = ", "grant-record: grant-holder is not defined"),
        ("/ go-replace /", "/ refusal /", "message go-replace is not in the table"),
        ("count = u64", "mark = u64", "mark is defined twice"),
        ("b16 = bstr .size 16", "b16 = bstr .size [", "b16: a number expected"),
    ] {
        let doctored = grammar.replacen(old, new, 1);
        let errors = grammar_errors(&doctored);
        assert!(errors.iter().any(|error| error.contains(said)), "{said}: {errors:?}");
    }
}

#[test]
fn every_kind_of_frame_and_every_record_fits_the_grammar() {
    let grammar = Grammar::parse(&text("spec/formats.cddl")).unwrap();
    let (frames, records) = samples::run_all();
    let seen: BTreeSet<u8> = frames.iter().map(|(number, _)| *number).collect();
    let missing: Vec<&str> =
        Body::TABLE.iter().filter(|(number, ..)| !seen.contains(number)).map(|(_, name, ..)| *name).collect();
    assert_eq!(missing, [""; 0], "the run shows every kind");
    for (number, bytes) in &frames {
        let name = Body::TABLE[usize::from(*number)].1;
        assert_eq!(grammar.check("frame", bytes), Ok(()), "{name}");
        assert_eq!(grammar.check(&kebab(name), body_of(bytes)), Ok(()), "{name}");
    }
    for (row, bytes) in &records {
        assert_eq!(grammar.check(row.rule, bytes), Ok(()), "{row:?}: {bytes:02x?}");
    }
    let unseen: Vec<_> = samples::DISK.iter().filter(|row| !records.iter().any(|(found, _)| found == row)).collect();
    assert!(unseen.is_empty(), "the run leaves every record: {unseen:?}");
}

/// The body of a frame: what comes after the head of three members, the exchange and the generation.
fn body_of(frame: &[u8]) -> &[u8] {
    let mut rest = &frame[1..];
    for _ in 0..2 {
        let length = match rest[0] {
            0xf6 | 0..24 => 1,
            0x58 => 2 + usize::from(rest[1]),
            other => panic!("{other:02x} begins no exchange and no generation"),
        };
        rest = &rest[length..];
    }
    rest
}

#[test]
fn what_the_roles_sign_and_bind_fits_the_grammar() {
    let grammar = Grammar::parse(&text("spec/formats.cddl")).unwrap();
    for (rule, bytes) in samples::bodies() {
        assert_eq!(grammar.check(&rule, &bytes), Ok(()), "{rule}: {bytes:02x?}");
    }
}

#[test]
fn what_an_archive_stores_and_seals_fits_the_grammar() {
    let grammar = Grammar::parse(&text("spec/formats.cddl")).unwrap();
    let samples = archives::records();
    for (rule, bytes) in &samples {
        assert_eq!(grammar.check(rule, bytes), Ok(()), "{rule}: {bytes:02x?}");
    }
    assert_eq!(
        archives::kinds_of_entries(&samples),
        7,
        "files, directories, links, hard links, pipes, sockets, devices"
    );
    let rules: BTreeSet<&str> = samples.iter().map(|(rule, _)| rule.as_str()).collect();
    assert_eq!(rules.len(), 10, "{rules:?}");
}

#[test]
fn bytes_that_do_not_fit_are_seen() {
    let grammar = Grammar::parse(&text("spec/formats.cddl")).unwrap();
    for (number, bytes) in samples::run_all().0 {
        let longer = [&bytes[..], &[0]].concat();
        assert!(grammar.check("frame", &longer).is_err(), "{number} with a byte after it");
        assert!(grammar.check("frame", &bytes[..bytes.len() - 1]).is_err(), "{number} without its last byte");
        assert!(grammar.check("ceremony-body", &bytes).is_err(), "{number} is no ceremony");
    }
    let refused = [
        ("session-opened", &[0x82, 0x01, 0x81, 0x41, 0x00][..], "a commitment of one byte"),
        ("go-replace", &[0x82, 0x18, 0x16, 0x80], "an integer in a longer form"),
        ("go-replace", &[0x82, 0x17, 0x80], "the number of another kind"),
        ("go-replace", &[0x9f, 0x16, 0x80, 0xff], "an array of indefinite length"),
        ("job-end", &[0x82, 0x18, 0x1b, 0x81, 0xf6], "nothing in the place of a truth value"),
        ("keystore-refusal", &[0x82, 0x17, 0x81, 0x18, 0x48], "a number beyond the last refusal"),
        ("u32", &[0x1b, 0, 0, 0, 1, 0, 0, 0, 0], "more than four bytes"),
    ];
    for (rule, bytes, what) in refused {
        assert!(grammar.check(rule, bytes).is_err(), "{what}");
    }
    assert_eq!(grammar.check("go-replace", &[0x82, 0x16, 0x80]), Ok(()));
    assert_eq!(grammar.check("session-opened", &[0x82, 0x01, 0x80]), Ok(()));
}

/// GEN-10.
#[test]
fn the_last_refusal_number_is_the_last_refusal() {
    let said = format!("refusal-number = 0..{} ", Refusal::ALL.len() - 1);
    assert!(text("spec/formats.cddl").contains(&said), "{said}");
}

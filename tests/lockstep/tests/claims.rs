//! Every claim is shown by something that exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bailee_lockstep::bugs::{self, BUGS, claims_without_a_bug};
use bailee_lockstep::claims::{changed_by_mutations, coverage, parse};
use bailee_model::check::{How, check};
use bailee_model::protocol::{Mutation, mutation, properties, scopes};

fn sources(folder: &Path, out: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, out);
        } else if name.ends_with(".rs") {
            *out += &std::fs::read_to_string(&path).unwrap();
        }
    }
}

#[test]
fn every_claim_has_its_evidence() {
    let mut all = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), &mut all);
    let scopes = scopes::committed();
    for claim in parse(bailee_spec::CLAIMS).unwrap() {
        for id in &claim.properties {
            assert!(properties::find(id).is_some(), "{}: there is no property {id}", claim.id);
            let checked = scopes.iter().any(|scope| scope.properties.contains(id));
            assert!(claim.planned || checked, "{}: no scope checks {id}", claim.id);
        }
        for test in &claim.tests {
            assert!(all.contains(&format!("fn {test}(")), "{}: there is no test {test}", claim.id);
        }
        let shown = match claim.evidence.as_str() {
            "model" => !claim.properties.is_empty(),
            "test" => !claim.tests.is_empty(),
            "both" => !claim.properties.is_empty() && !claim.tests.is_empty(),
            other => other == "argument",
        };
        assert!(claim.planned || shown, "{}: evidence is {} and missing", claim.id, claim.evidence);
    }
}

#[test]
fn every_property_is_checked_somewhere_and_has_a_mutation() {
    let scopes = scopes::committed();
    for property in properties::ALL {
        let checked = scopes.iter().any(|scope| scope.properties.iter().any(|id| id == property.id));
        assert!(checked, "{} is checked in no scope", property.id);
        let mutated = Mutation::ALL.iter().any(|mutation| mutation.properties().contains(&property.id));
        assert!(mutated, "no mutation changes what is said of {}", property.id);
    }
    for mutation in Mutation::ALL {
        let scope = scopes.iter().find(|scope| scope.name == mutation.scope()).unwrap();
        for property in mutation.properties() {
            let named = scope.properties.iter().any(|id| id == property);
            assert!(named, "{}: {} does not check {property}", mutation.id(), scope.name);
        }
    }
}

/// Each bug has one id, and one list that knows it; and each is seen by lockstep or by a test that is named for it.
#[test]
fn every_bug_is_known_and_is_to_be_seen() {
    let listed = bugs::parse(BUGS).unwrap();
    let core: Vec<&str> = bailee_core::quirks::Quirk::ALL.iter().map(|quirk| quirk.id()).collect();
    let archive: Vec<&str> = bailee_archive::quirks::Quirk::ALL.iter().map(|quirk| quirk.id()).collect();
    let files: Vec<&str> = bailee_files::quirks::Quirk::ALL.iter().map(|quirk| quirk.id()).collect();
    let known = [core, archive, files].concat();
    let ids: BTreeSet<&str> = known.iter().copied().collect();
    assert_eq!(ids.len(), known.len(), "two bugs have one id");
    for bug in &listed {
        assert!(ids.contains(bug.id.as_str()), "there is no bug {}", bug.id);
    }
    for id in ids {
        let rows = listed.iter().filter(|bug| bug.id == id).count();
        let in_lockstep = mutation::find(id).is_some();
        assert!(rows + usize::from(in_lockstep) >= 1, "{id}: nothing is named that sees it");
    }
    assert!(known.len() >= 60, "{} bugs", known.len());
}

/// A claim that rests on a test: a bug makes it false, and one of the claim's own tests is named to see it.
#[test]
fn every_claim_that_rests_on_a_test_has_a_bug_that_the_test_sees() {
    let claims = parse(bailee_spec::CLAIMS).unwrap();
    let listed = bugs::parse(BUGS).unwrap();
    assert_eq!(claims_without_a_bug(&claims, &listed), Vec::<&str>::new());
    for bug in &listed {
        for id in &bug.claims {
            let claim = claims.iter().find(|claim| claim.id == *id);
            let claim = claim.unwrap_or_else(|| panic!("{}: there is no claim {id}", bug.id));
            let own = claim.tests.iter().any(|test| bug.test.name.rsplit("::").next() == Some(test));
            assert!(own || claim.tests.is_empty(), "{}: {} is no test of {id}", bug.id, bug.test);
        }
    }
}

#[test]
fn a_claim_without_evidence_is_seen() {
    let broken = "[[claim]]\nid = \"C99\"\ntext = \"x\"\norigin = \"bailee\"\nclassic = \"H\"\nblind = \"H\"\nenforcement = []\nevidence = \"model\"\n";
    let claim = &parse(broken).unwrap()[0];
    assert!(claim.properties.is_empty() && !claim.planned);
    assert!(parse("[[claim]]\nid = 3\n").unwrap_err().contains("line 2"));
}

#[test]
fn a_claim_is_covered_only_as_expected_and_only_if_a_mutation_changes_it() {
    let claims: Vec<_> = parse(bailee_spec::CLAIMS).unwrap().into_iter().filter(|claim| claim.id == "C15").collect();
    let betrayal = scopes::committed().into_iter().find(|scope| scope.name == "betrayal").unwrap();
    let covered = |mutation, changed: &[&str]| {
        let report = check(&betrayal, How { mutation, ..How::default() }).unwrap();
        coverage(&claims, &[&report], changed).covered
    };
    let changed = changed_by_mutations().unwrap();
    assert_eq!(covered(None, &changed), 1);
    assert_eq!(covered(Some(Mutation::EscrowStaysSealed), &changed), 0, "the verdict is not the expected one");
    assert_eq!(covered(None, &[]), 0, "no mutation changes the verdict");
}

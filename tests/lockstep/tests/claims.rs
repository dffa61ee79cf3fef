//! Every claim is shown by something that exists.

use std::path::{Path, PathBuf};

use bailee_lockstep::claims::{changed_by_mutations, coverage, parse};
use bailee_model::check::{How, check};
use bailee_model::protocol::{Mutation, properties, scopes};

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

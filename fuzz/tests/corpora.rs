//! The committed corpora, replayed; and the laws and the targets shown to fail.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use bailee_core::cbor;
use bailee_core::machine::Input;
use bailee_core::quirks::{Quirk, Quirks};
use bailee_core::wire::{Body, Frame};
use bailee_fuzz::stage::STAGE;
use bailee_fuzz::targets::lockstep;
use bailee_fuzz::{TARGETS, Target, law, seeds};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of a target's corpus, by name.
fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = here("corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files
        .map(|file| {
            let path = file.expect("a readable folder").path();
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a readable file"))
        })
        .collect()
}

/// What libFuzzer calls a file that it found, and git passes over.
fn is_digest(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Runs a target over its corpus: the committed files, and whatever a run on this machine has found.
fn replay(target: &str) {
    let target: Target = bailee_fuzz::find(target).expect("a target");
    let corpus = corpus(target.name);
    let named = corpus.keys().filter(|name| !is_digest(name)).count();
    assert!((3..=800).contains(&named), "{named} committed files");
    for (name, bytes) in corpus {
        assert!(catch_unwind(|| (target.run)(&bytes)).is_ok(), "corpus/{}/{name} breaks a law", target.name);
    }
}

macro_rules! replayed {
    ($($name:ident)*) => {
        mod replayed {
            $(#[test] fn $name() { super::replay(stringify!($name)); })*
        }

        const REPLAYED: &[&str] = &[$(stringify!($name),)*];
    };
}

replayed! {
    frame certificate admission escrow receipt grant capability ceremony share header record snapshot device_disk keyring
    seal hpke signature sharing password roles network block zstd_frame segment index manifest retention tree archive restore scope_file actions lockstep
}

#[test]
fn every_target_is_replayed_built_and_said() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, REPLAYED);
    let manifest = std::fs::read_to_string(here("Cargo.toml")).expect("the manifest");
    let readme = std::fs::read_to_string(here("README.md")).expect("the readme");
    for target in TARGETS {
        let main =
            std::fs::read_to_string(here("fuzz_targets").join(format!("{}.rs", target.name))).expect("a binary");
        assert!(main.contains(&format!("bailee_fuzz::targets::{}(data)", target.path)), "{main}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{}.rs\"", target.name)), "{}", target.name);
        assert!(readme.contains(&format!("| `{}` | {} |", target.name, target.about)), "{}", target.name);
    }
    let binaries = std::fs::read_dir(here("fuzz_targets")).expect("the binaries").count();
    assert_eq!(binaries, TARGETS.len());
    assert_eq!(std::fs::read_dir(here("corpus")).expect("the corpora").count(), TARGETS.len());
}

/// Run `cargo run --release -p bailee-fuzz --example make-seeds` after a change of format.
#[test]
fn the_committed_corpora_are_made_from_the_formats_of_today() {
    let mut names = std::collections::BTreeSet::new();
    for seed in seeds::all() {
        assert!(names.insert((seed.target, seed.name.clone())), "two seeds {}/{}", seed.target, seed.name);
        let committed = corpus(seed.target).remove(&seed.name);
        assert!(committed == Some(seed.bytes), "corpus/{}/{} is not what the code makes", seed.target, seed.name);
    }
}

/// A corpus of refusals alone would leave everything behind the decoders unseen.
#[test]
fn the_stage_accepts_what_was_delivered_on_it() {
    for (moment, flight) in &STAGE.history {
        let frame: Frame = cbor::decode(&flight.bytes, usize::MAX).expect("it was encoded here");
        let mut world = moment.clone();
        let mut effects = world.input(flight.to, Input::Frame { from: &flight.from, frame: &frame });
        if let Some(work) = effects.work.take() {
            let checked = work.run();
            let input = Input::Checked { from: &flight.from, frame: &frame, checked: &checked };
            effects = world.input(flight.to, input);
        }
        assert_eq!(effects.verdict, Ok(()), "{} at {:?}", frame.body.name(), flight.to);
    }
}

#[test]
fn the_corpus_has_a_frame_of_every_kind() {
    let frames = corpus("frame");
    let kinds: std::collections::BTreeSet<String> = frames
        .values()
        .filter_map(|bytes| cbor::decode::<Frame>(bytes, usize::MAX).ok())
        .map(|frame| frame.body.name().to_owned())
        .collect();
    let missing: Vec<_> = Body::TABLE.iter().filter(|(_, name, ..)| !kinds.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// NET-10: what is spoilt is refused, except that one flipped bit may make another text, which is no fault of the form.
#[test]
fn spoilt_frames_are_refused() {
    for (name, bytes) in corpus("frame") {
        let refused = cbor::decode::<Frame>(&bytes, usize::MAX).is_err();
        assert!(refused == name.starts_with("sign-in-") || name == "sign-in-flipped", "{name}");
    }
}

#[test]
fn limits_come_before_allocation() {
    let long = vec![0x9f; bailee_spec::limits::MESSAGE_BYTES + 1];
    for target in &TARGETS[..10] {
        (target.run)(&long);
    }
    let error = cbor::decode::<Frame>(&long, bailee_spec::limits::MESSAGE_BYTES).unwrap_err();
    assert!(matches!(error, cbor::CborError::TooLarge { .. }), "{error}");
}

// What shows that a target can fail.

fn fails(run: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    catch_unwind(run).is_err()
}

/// A decoder that takes any encoding of a value breaks the law on the corpus; so does one that leaves bytes unread, and one
/// that says nothing.
#[test]
fn planted_decoders_are_found_by_the_corpus() {
    let lenient = |bytes: &[u8]| minicbor::decode::<Frame>(bytes);
    let careless = |bytes: &[u8]| cbor::decode::<Frame>(&bytes[..bytes.len().saturating_sub(1)], usize::MAX);
    let silent = |bytes: &[u8]| cbor::decode::<Frame>(bytes, usize::MAX).map_err(|_| "");
    let frames = corpus("frame");
    let found_in = |name: &str, run: &(dyn Fn(&[u8]) + std::panic::RefUnwindSafe)| fails(|| run(&frames[name]));
    assert!(found_in("sign-in-wide-head", &|data| drop(law::canonical(lenient, cbor::encode, data))));
    assert!(found_in("sign-in-long", &|data| drop(law::canonical(careless, cbor::encode, data))));
    assert!(found_in("sign-in-cut", &|data| drop(law::canonical(silent, cbor::encode, data))));
    let sound = |bytes: &[u8]| cbor::decode::<Frame>(bytes, usize::MAX);
    for name in ["sign-in", "sign-in-wide-head", "sign-in-long", "sign-in-cut"] {
        assert!(!found_in(name, &|data| drop(law::canonical(sound, cbor::encode, data))), "{name}");
    }
}

/// Arbitrary walks find bugs that are planted in the reference, and say how to see them again.
#[test]
fn planted_bugs_are_found_by_the_walks() {
    const WALKS: usize = 64;
    for (quirk, scope) in [
        (Quirk::SessionNotChecked, "enrolment"),
        (Quirk::NoStepUp, "recovery"),
        (Quirk::PurgedReturns, "lifecycle"),
        (Quirk::ShareToAnyone, "unsealing"),
    ] {
        let scopes = 0..lockstep::scopes() as u8;
        let scope = scopes.clone().find(|number| lockstep::scope_name((*number).into()) == scope).expect("a scope");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut walks = (0..WALKS).map(|_| seeds::choices(scope, 96, &mut rng));
        let found = walks.find_map(|walk| lockstep::walk(&walk, Quirks::only(quirk), &mut |_| ()).err());
        let said = found.unwrap_or_else(|| panic!("{} is not seen", quirk.id()));
        assert!(said.contains("replay: echo '{"), "{said}");
    }
}

/// The walks go somewhere: each scope is entered, and most actions change the state.
#[test]
fn the_walks_move() {
    for (name, walk) in corpus("lockstep") {
        let moved = lockstep::walk(&walk, Quirks::none(), &mut |_| ()).expect("the readings agree");
        assert!(moved * 2 > (walk.len() - 1) / 2, "{name}: {moved} of {} actions", walk.len() / 2);
    }
}

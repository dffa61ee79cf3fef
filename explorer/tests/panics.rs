//! A panic of the model or of a watcher, on any thread and at any depth, ends the exploration with an error that names it.

use std::sync::mpsc::channel;
use std::time::Duration;

use bailee_explorer::{Asked, Exploration, Key, Options, Packed, Panicked, Stopped, Successor, Watch, explore};
use stateright::Model;

const WIDTH: u32 = 1 << 12;
const START: u32 = 1;
const FACTORS: [u32; 2] = [3, 5];
const PLANTED: &str = "planted";

/// Numbers below a power of two, each leading to two others. One call panics at one number.
#[derive(Clone, Copy)]
struct Faulty {
    call: Asked,
    at: u32,
}

impl Faulty {
    fn may_panic(&self, call: Asked, at: u32) {
        assert!((call, at) != (self.call, self.at), "{PLANTED}");
    }
}

impl Model for Faulty {
    type State = u32;
    type Action = u32;

    fn init_states(&self) -> Vec<u32> {
        self.may_panic(Asked::InitStates, self.at);
        vec![START]
    }

    fn actions(&self, state: &u32, actions: &mut Vec<u32>) {
        self.may_panic(Asked::Actions, *state);
        actions.extend(FACTORS);
    }

    fn next_state(&self, state: &u32, factor: u32) -> Option<u32> {
        if factor == FACTORS[1] {
            self.may_panic(Asked::NextState, *state);
        }
        Some((state * factor + 1) % WIDTH)
    }

    fn within_boundary(&self, state: &u32) -> bool {
        self.may_panic(Asked::WithinBoundary, *state);
        true
    }
}

impl Packed for Faulty {
    fn key_bits(&self) -> u32 {
        self.may_panic(Asked::KeyBits, self.at);
        u32::BITS
    }

    fn pack_state(&self, state: &u32) -> Key {
        self.may_panic(Asked::PackState, *state);
        Key::from(*state)
    }

    fn unpack_state(&self, key: Key) -> u32 {
        self.may_panic(Asked::UnpackState, key as u32);
        key as u32
    }

    fn class(&self, state: &u32, factor: &u32) -> u8 {
        self.may_panic(Asked::Class, *state);
        *factor as u8
    }
}

/// The work's result; fails if there is none in five minutes.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = channel();
    std::thread::spawn(move || send.send(work()));
    receive.recv_timeout(Duration::from_secs(300)).expect("the exploration hangs, or panicked itself")
}

fn run(model: Faulty, threads: usize) -> Result<Exploration, Stopped> {
    in_time(move || {
        let holds = |state: &u32| {
            model.may_panic(Asked::Invariant(1), *state);
            true
        };
        let shows = |state: &u32| {
            model.may_panic(Asked::Witness(0), *state);
            false
        };
        let judge = |state: &u32, _: &mut [bool]| model.may_panic(Asked::Steps, *state);
        let options = Options { threads, ..Options::default() };
        let watch = Watch {
            invariants: &[&|_| true, &holds],
            witnesses: &[&shows],
            steps: Some((1, &judge)),
            ..Watch::default()
        };
        explore(&model, options, &watch)
    })
}

fn panicked(model: Faulty, threads: usize) -> Panicked {
    match run(model, threads) {
        Err(Stopped::Panicked(panicked)) => panicked,
        other => panic!("{:?} at {}, {threads} threads: {other:?}", model.call, model.at),
    }
}

/// The farthest state, and the number of steps to it.
fn farthest() -> (u32, usize) {
    let sound = run(Faulty { call: Asked::Progress, at: 0 }, 1).unwrap();
    let last = sound.ids().last().unwrap();
    assert!(sound.depth() > 8, "too shallow to tell a late state from the first");
    (sound.key(last) as u32, sound.path(last).len() - 1)
}

#[test]
fn a_panic_in_any_call_about_a_state_is_named() {
    let (late, depth) = farthest();
    let calls = [
        (Asked::UnpackState, None),
        (Asked::Invariant(1), None),
        (Asked::Witness(0), None),
        (Asked::Steps, None),
        (Asked::Actions, None),
        (Asked::Class, Some("3")),
        (Asked::NextState, Some("5")),
    ];
    for (call, action) in calls {
        for (at, steps) in [(START, 0), (late, depth)] {
            for threads in [1, 2, 4] {
                let found = panicked(Faulty { call, at }, threads);
                assert_eq!(found.asked, call, "{threads} threads");
                assert_eq!(found.action.as_deref(), action, "{call:?}");
                assert_eq!(found.path.first(), Some(&Key::from(START)));
                assert_eq!((found.path.last(), found.path.len() - 1), (Some(&Key::from(at)), steps), "{call:?}");
                assert_eq!(found.message, PLANTED);
            }
        }
    }
}

#[test]
fn a_panic_about_a_next_state_is_named_with_the_state_before() {
    let (late, depth) = farthest();
    for call in [Asked::PackState, Asked::WithinBoundary] {
        for threads in [1, 2, 4] {
            let found = panicked(Faulty { call, at: late }, threads);
            assert_eq!((found.asked, found.path.len()), (call, depth), "{threads} threads");
            let (before, action) =
                (*found.path.last().unwrap() as u32, found.action.unwrap().parse::<u32>().unwrap());
            assert_eq!((before * action + 1) % WIDTH, late);
        }
    }
}

#[test]
fn a_panic_before_the_first_state_is_named() {
    for call in [Asked::KeyBits, Asked::InitStates, Asked::PackState, Asked::WithinBoundary] {
        for threads in [1, 2, 4] {
            let found = panicked(Faulty { call, at: START }, threads);
            assert_eq!((found.asked, found.path.len()), (call, 0), "{threads} threads");
        }
    }
}

#[test]
fn a_panic_of_who_is_told_the_progress_is_named() {
    let sound = Faulty { call: Asked::Progress, at: 0 };
    for after in [0, 1000] {
        for threads in [1, 2, 4] {
            let told = in_time(move || {
                let tell = |states: usize| assert!(states < after, "{PLANTED}");
                let options = Options { threads, ..Options::default() };
                explore(&sound, options, &Watch { progress: Some(&tell), ..Watch::default() }).unwrap_err()
            });
            let Stopped::Panicked(found) = told else { panic!("{told:?}") };
            assert_eq!((found.asked, found.message.as_str()), (Asked::Progress, PLANTED));
        }
    }
}

#[test]
fn of_many_panics_the_first_state_is_reported() {
    let found = |threads: usize| {
        in_time(move || {
            let model = Faulty { call: Asked::Progress, at: 0 };
            let small = |state: &u32| if *state > WIDTH / 2 { panic!("{state} is large") } else { true };
            let options = Options { threads, ..Options::default() };
            explore(&model, options, &Watch { invariants: &[&small], ..Watch::default() }).unwrap_err()
        })
    };
    for threads in [1, 2, 4] {
        let first = found(threads);
        let Stopped::Panicked(panicked) = &first else { panic!("{first:?}") };
        let (last, before) = panicked.path.split_last().unwrap();
        assert!(*last > Key::from(WIDTH / 2) && before.iter().all(|key| *key <= Key::from(WIDTH / 2)));
        assert_eq!(panicked.message, format!("{last} is large"));
        assert_eq!(first, found(threads), "{threads} threads");
    }
}

#[test]
fn the_error_says_what_panicked_where_and_how() {
    let told = Stopped::Panicked(panicked(Faulty { call: Asked::NextState, at: 4 }, 2)).to_string();
    assert_eq!(told, "next_state panicked on 5 in the state 0x4, 1 steps from the start: planted");
}

/// A panic whose payload has no text, and panics again when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// Counts for ever, in a key of eight bits, and finds its next states in its own way, which may panic where `next_state` does
/// not.
struct Counter {
    panics_at: Option<u32>,
}

impl Model for Counter {
    type State = u32;
    type Action = ();

    fn init_states(&self) -> Vec<u32> {
        vec![0]
    }

    fn actions(&self, _: &u32, actions: &mut Vec<()>) {
        actions.push(());
    }

    fn next_state(&self, state: &u32, (): ()) -> Option<u32> {
        Some(state + 1)
    }
}

impl Packed for Counter {
    fn key_bits(&self) -> u32 {
        u8::BITS
    }

    fn pack_state(&self, state: &u32) -> Key {
        Key::from(*state)
    }

    fn unpack_state(&self, key: Key) -> u32 {
        key as u32
    }

    fn class(&self, _: &u32, (): &()) -> u8 {
        0
    }

    fn successors(&self, state: &u32, key: Key, _: &mut Vec<()>, found: &mut Vec<Successor>) {
        if self.panics_at == Some(*state) {
            std::panic::panic_any(Bomb);
        }
        found.push(Successor { class: 0, key: key + 1 });
    }
}

#[test]
fn a_panic_of_successors_alone_and_without_a_text_is_named() {
    for threads in [1, 2, 4] {
        let options = Options { threads, ..Options::default() };
        let counter = Counter { panics_at: Some(9) };
        let told = in_time(move || explore(&counter, options, &Watch::default()).unwrap_err());
        let Stopped::Panicked(found) = told else { panic!("{told:?}") };
        assert_eq!((found.asked, found.action, found.path.len()), (Asked::Successors, None, 10));
        assert_eq!(found.message, "a panic without a text");
    }
}

#[test]
fn a_key_that_is_wider_than_the_model_says_is_refused() {
    for threads in [1, 2, 4] {
        let options = Options { threads, ..Options::default() };
        let counter = Counter { panics_at: None };
        let told = in_time(move || explore(&counter, options, &Watch::default()).unwrap_err());
        assert_eq!(told, Stopped::WideKey);
    }
}

//! What a lockstep step is made of: the constructions, one message, one observation, one save-point.

use std::hint::black_box;
use std::time::Duration;

use bailee_core::crypto::aead::{AwsLc, OneTimeAead, Portable};
use bailee_core::crypto::hpke::{Recipient, seal_to};
use bailee_core::crypto::sharing;
use bailee_core::crypto::sign::{self, Signing};
use bailee_core::crypto::{labels, seal};
use bailee_core::quirks::Quirks;
use bailee_lockstep::pair::Pair;
use bailee_model::explorer::{Options, Watch, explore};
use bailee_model::protocol::{Protocol, scopes};
use bailee_spec::Action;
use bailee_spec::action::Lane;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

fn constructions(c: &mut Criterion) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut group = c.benchmark_group("constructions");
    let message = vec![7u8; 1 << 20];
    group.throughput(Throughput::Bytes(message.len() as u64));
    group.bench_function("seal_once, 1 MiB", |b| {
        b.iter(|| seal::seal_once(&[1; 32], labels::SEAL_BLOCK, b"header", black_box(&message), &mut rng));
    });
    let sealed = seal::seal_once(&[1; 32], labels::SEAL_BLOCK, b"header", &message, &mut rng);
    group.bench_function("open, 1 MiB", |b| {
        b.iter(|| seal::open(&[1; 32], labels::SEAL_BLOCK, b"header", black_box(&sealed)));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("seal_once, 64 bytes", |b| {
        b.iter(|| seal::seal_once(&[1; 32], labels::SEAL_RECORD, b"header", black_box(&message[..64]), &mut rng));
    });
    let key = Signing::from_seed(&[2; 32]);
    let signature = key.sign(labels::SIGN_GRANT, b"body");
    group.bench_function("sign", |b| b.iter(|| key.sign(labels::SIGN_GRANT, black_box(b"body"))));
    group.bench_function("verify", |b| {
        b.iter(|| sign::verify(&key.public(), labels::SIGN_GRANT, black_box(b"body"), &signature));
    });
    let recipient = Recipient::from_seed(&[3; 32]);
    group.bench_function("hpke seal, 32 bytes", |b| {
        b.iter(|| seal_to(&recipient.public(), labels::HPKE_RELEASE, b"context", black_box(&[4; 32]), &mut rng));
    });
    let shares = sharing::split(3, 5, &mut rng).unwrap();
    group.bench_function("verify a share, 3 of 5", |b| {
        b.iter(|| sharing::verify(1, black_box(&shares.shares[0]), &shares.commitments, 3));
    });
}

/// One back end over the sizes of an index record, a chunk and a block. A fresh key each time, as in `seal_once`.
fn back_end<A: OneTimeAead>(c: &mut Criterion) {
    let mut group = c.benchmark_group("aead");
    for kibibytes in [4, 64, 1024] {
        let mut buffer = vec![7; kibibytes << 10];
        group.throughput(Throughput::Bytes(buffer.len() as u64));
        group.bench_function(format!("{}, seal {kibibytes} KiB", A::NAME), |b| {
            b.iter(|| A::seal(black_box(&[1; 32]), b"header and salt", &mut buffer));
        });
        let tag = A::seal(&[1; 32], b"header and salt", &mut buffer);
        let sealed = buffer.clone();
        group.bench_function(format!("{}, open {kibibytes} KiB", A::NAME), |b| {
            // Opening is in place: what was opened is sealed bytes again before the next round, at the cost of a copy.
            b.iter(|| {
                buffer.copy_from_slice(&sealed);
                A::open(black_box(&[1; 32]), b"header and salt", &mut buffer, &tag)
            });
        });
    }
}

fn aead(c: &mut Criterion) {
    back_end::<Portable>(c);
    back_end::<AwsLc>(c);
}

fn lockstep(c: &mut Criterion) {
    let scope = scopes::committed().into_iter().find(|scope| scope.name == "enrolment").unwrap();
    let protocol = Protocol::new(&scope, None).unwrap();
    let mut pair = Pair::start(&protocol, Quirks::none(), 1).unwrap();
    pair.act(Action::SignIn { device: 0 });
    let mut group = c.benchmark_group("lockstep");
    group.bench_function("save-point", |b| b.iter(|| black_box(&pair).clone()));
    group.bench_function("save-point and one message", |b| {
        b.iter(|| {
            let mut copy = black_box(&pair).clone();
            copy.act(Action::Deliver { lane: Lane::Device(0) })
        });
    });
    group.bench_function("observation", |b| b.iter(|| black_box(&pair).observe(&protocol)));
}

fn explorer(c: &mut Criterion) {
    let scope = scopes::committed().into_iter().find(|scope| scope.name == "enrolment").unwrap();
    let protocol = Protocol::new(&scope, None).unwrap();
    let mut group = c.benchmark_group("explorer");
    let transitions = scope.expected.map_or(1, |expected| expected.transitions);
    group.throughput(Throughput::Elements(transitions)).sample_size(10);
    group.bench_function("enrolment, own", |b| {
        b.iter(|| explore(&protocol, Options::default(), &Watch::default()).map(|graph| graph.states()));
    });
    group.bench_function("enrolment, stateright breadth first", |b| {
        use stateright::{Checker, Model};
        b.iter(|| protocol.clone().checker().spawn_bfs().join().unique_state_count());
    });
}

/// Short: all of `cargo bench` in a few minutes. `--measurement-time` asks for more.
fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20)
}

criterion_group! {
    name = benches;
    config = quick();
    targets = constructions, aead, lockstep, explorer
}
criterion_main!(benches);

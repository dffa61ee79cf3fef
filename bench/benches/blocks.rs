//! The block path: each stage alone, and all of it, over bytes in memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bailee_archive::block::{BlockSealer, Gathered, Padding, ZSTD_LEVEL, open_block};
use bailee_archive::chunker::{Chunker, KeyedChunker};
use bailee_archive::tree::{ChunkRef, Entry, EntryKind, Item, Meta, Record, RecordKind, decode_tree, encode_item};
use bailee_archive::{Archive, ArchiveId, ChunkId, MemoryStore, Randomness, Store, System, TreePath};
use bailee_bench::memory::{Deaf, Items, MemoryFolder, NullStore, back_up, fresh, keys, noise, trusted};
use bailee_bench::stages::WarmSealer;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const MIB: usize = 1 << 20;
/// How much goes through the whole path.
const PATH_BYTES: usize = 24 * MIB;
/// Entries of a large source tree.
const TREE_ENTRIES: usize = 76_000;
const MANY_CHUNKS: usize = 100_000;

/// So many bytes of text, in one piece.
fn text(bytes: usize) -> Vec<u8> {
    let folder = MemoryFolder::text(1, bytes + bytes / 8).unwrap();
    let mut text: Vec<u8> = folder.contents().flatten().copied().collect();
    assert!(text.len() >= bytes);
    text.truncate(bytes);
    text
}

fn floor(c: &mut Criterion) {
    let mut group = c.benchmark_group("floor");
    let (from, mut to) = (noise(1, 16 * MIB), vec![1; 16 * MIB]);
    group.throughput(Throughput::Bytes(from.len() as u64));
    group.bench_function("memcpy, 16 MiB", |b| b.iter(|| black_box(&mut to).copy_from_slice(black_box(&from))));
}

fn cutting(c: &mut Criterion) {
    let mut group = c.benchmark_group("cut");
    let keys = keys();
    for (kind, data) in [("text", text(4 * MIB)), ("random", noise(1, 4 * MIB)), ("zeros", vec![0; 4 * MIB])] {
        group.throughput(Throughput::Bytes(data.len() as u64));
        for (back_end, chunker) in
            [("fastest", KeyedChunker::new(&keys)), ("portable", KeyedChunker::portable(&keys))]
        {
            group.bench_function(format!("first_cut, {back_end}, {kind}"), |b| {
                b.iter(|| {
                    let mut rest = black_box(&data[..]);
                    while !rest.is_empty() {
                        rest = &rest[chunker.first_cut(rest)..];
                    }
                });
            });
            let mut cuts = Vec::new();
            group.bench_function(format!("cuts, {back_end}, {kind}"), |b| {
                b.iter(|| {
                    cuts.clear();
                    chunker.cuts(black_box(&data), 0, &mut cuts);
                });
            });
        }
    }
}

fn naming(c: &mut Criterion) {
    let mut group = c.benchmark_group("name");
    for kibibytes in [4, 16, 64] {
        let chunk = noise(1, kibibytes << 10);
        group.throughput(Throughput::Bytes(chunk.len() as u64));
        group.bench_function(format!("keyed BLAKE3, {kibibytes} KiB"), |b| {
            b.iter(|| blake3::keyed_hash(black_box(&[5; 32]), black_box(&chunk)));
        });
    }
}

fn compression(c: &mut Criterion) {
    let mut group = c.benchmark_group("compress");
    let mut out = vec![1; 2 * MIB];
    group.throughput(Throughput::Bytes(MIB as u64));
    for (kind, data) in [("text", text(MIB)), ("random", noise(1, MIB))] {
        for level in [1, 3] {
            let mut compressor = zstd::bulk::Compressor::new(level).unwrap();
            group.bench_function(format!("zstd {level}, 1 MiB of {kind}"), |b| {
                b.iter(|| compressor.compress_to_buffer(black_box(&data[..]), &mut out[..]).unwrap());
            });
        }
    }
    let packed = zstd::bulk::compress(&text(MIB), 3).unwrap();
    group.bench_function("zstd, back to 1 MiB of text", |b| {
        b.iter(|| zstd::bulk::decompress_to_buffer(black_box(&packed), &mut out[..]).unwrap());
    });
}

/// A block's worth of content in chunks of 64 KiB.
fn fill(gathered: &mut Gathered, data: &[u8]) {
    for (number, chunk) in (0..).zip(data.chunks(64 << 10)) {
        let mut id = ChunkId([0; 32]);
        id.0[..4].copy_from_slice(&u32::to_be_bytes(number));
        gathered.push(id, chunk).unwrap();
    }
}

fn sealing(c: &mut Criterion) {
    let mut group = c.benchmark_group("block");
    group.throughput(Throughput::Bytes(MIB as u64));
    let keys = keys();
    for (form, data) in [("zstd 3", text(MIB)), ("raw", noise(1, MIB))] {
        let (mut sealer, mut gathered) = (WarmSealer::new(ZSTD_LEVEL).unwrap(), Gathered::default());
        group.bench_function(format!("gather, {form}"), |b| {
            b.iter(|| {
                gathered.clear();
                fill(&mut gathered, black_box(&data));
            });
        });
        gathered.clear();
        group.bench_function(format!("seal, {form}"), |b| {
            b.iter_custom(|rounds| {
                let mut time = Duration::ZERO;
                for _ in 0..rounds {
                    fill(&mut gathered, &data);
                    sealer.warm();
                    let started = Instant::now();
                    black_box(sealer.seal(&keys, &mut gathered));
                    time += started.elapsed();
                }
                time
            });
        });
        fill(&mut gathered, &data);
        let archive = ArchiveId([1; 16]);
        let mut sealer = BlockSealer::new(ZSTD_LEVEL, Padding::Padme).unwrap();
        let sealed = sealer.seal(&keys, archive, &mut gathered, &mut *System.stream(0)).bytes().to_vec();
        group.bench_function(format!("open, {form}"), |b| {
            b.iter_batched(
                || sealed.clone(),
                |sealed| open_block(&keys, archive, sealed).ok(),
                BatchSize::LargeInput,
            );
        });
    }
}

fn whole_of<S: Store + Default>(c: &mut Criterion, store: &str, kind: &str, folder: &MemoryFolder) {
    let mut group = c.benchmark_group("back up");
    group.throughput(Throughput::Bytes(folder.bytes()));
    for threads in [1, 2] {
        group.bench_function(format!("{kind} to {store}, threads {threads}"), |b| {
            b.iter_batched(
                || fresh::<S>().unwrap(),
                |archive| back_up(archive, folder, folder.plan(), &mut Deaf, threads).ok(),
                BatchSize::PerIteration,
            );
        });
    }
}

fn whole(c: &mut Criterion) {
    let folders = [
        ("text", MemoryFolder::text(1, PATH_BYTES).unwrap()),
        ("random", MemoryFolder::noise(1, PATH_BYTES).unwrap()),
    ];
    for (kind, folder) in &folders {
        whole_of::<NullStore>(c, "nothing", kind, folder);
        whole_of::<MemoryStore>(c, "memory", kind, folder);
        unchanged(c, kind, folder);
        reading(c, kind, folder);
    }
}

fn unchanged(c: &mut Criterion, kind: &str, folder: &MemoryFolder) {
    let mut items = Items::default();
    let (archive, _) = back_up(fresh::<NullStore>().unwrap(), folder, folder.plan(), &mut items, 2).unwrap();
    let mut archive = Some(archive);
    let mut group = c.benchmark_group("unchanged");
    group.throughput(Throughput::Elements(folder.contents().count() as u64));
    group.bench_function(kind, |b| {
        b.iter(|| {
            let before = archive.take().unwrap();
            archive = back_up(before, folder, folder.known_plan(&items), &mut Deaf, 1).ok().map(|(after, _)| after);
        });
    });
}

fn reading(c: &mut Criterion, kind: &str, folder: &MemoryFolder) {
    let (archive, _) = back_up(fresh::<MemoryStore>().unwrap(), folder, folder.plan(), &mut Deaf, 2).unwrap();
    let mut group = c.benchmark_group("read back");
    group.throughput(Throughput::Bytes(folder.bytes()));
    group.bench_function(kind, |b| {
        b.iter(|| {
            for entry in archive.tree(&archive.versions()[0]) {
                if let EntryKind::File { content, .. } = entry.unwrap().kind {
                    archive.copy_content(&content, &mut std::io::sink()).unwrap();
                }
            }
        });
    });
}

/// An archive of many chunks: small files of one chunk each.
fn opening(c: &mut Criterion) {
    let content = noise(1, 64 * MANY_CHUNKS);
    let folder = MemoryFolder::new(content.chunks(64).map(<[u8]>::to_vec).collect()).unwrap();
    let (archive, _) = back_up(fresh::<MemoryStore>().unwrap(), &folder, folder.plan(), &mut Deaf, 2).unwrap();
    let mut store = Some(archive.into_store());
    let mut group = c.benchmark_group("open");
    group.throughput(Throughput::Elements(MANY_CHUNKS as u64));
    group.bench_function("archive of 100,000 chunks", |b| {
        b.iter(|| {
            let archive = Archive::open(store.take().unwrap(), keys(), &trusted()).unwrap();
            store = Some(archive.into_store());
        });
    });
}

/// The items of a tree of [`TREE_ENTRIES`] files of one chunk each, below a root.
fn items() -> Vec<Item> {
    let folder = MemoryFolder::new(vec![Vec::new(); TREE_ENTRIES]).unwrap();
    let entry = |path: &TreePath, kind| Item::Entry(Record { path: path.clone(), meta: Meta::default(), kind });
    let mut items = vec![entry(&TreePath::root(), RecordKind::Directory)];
    let mut inside = None;
    for (number, path) in (0u32..).zip(folder.paths()) {
        let folder = path.above().last().unwrap();
        if inside.as_ref() != Some(&folder) {
            items.push(entry(&folder, RecordKind::Directory));
            inside = Some(folder);
        }
        let mut id = [7; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        items.push(Item::Chunks(vec![ChunkRef { id: ChunkId(id), length: 14_000 }]));
        items.push(entry(path, RecordKind::File { size: 14_000, chunks: 1, changed: false, sparse: false }));
    }
    items
}

fn trees(c: &mut Criterion) {
    let items = items();
    let mut bytes = Vec::new();
    items.iter().for_each(|item| encode_item(item, &mut bytes).unwrap());
    let mut group = c.benchmark_group("tree");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    let mut out = Vec::with_capacity(bytes.len());
    group.bench_function("encode 76,000 files", |b| {
        b.iter(|| {
            out.clear();
            items.iter().for_each(|item| encode_item(black_box(item), &mut out).unwrap());
        });
    });
    group.bench_function("decode 76,000 files", |b| {
        b.iter(|| -> Vec<Entry> { decode_tree(black_box(&bytes)).unwrap() });
    });
}

criterion_group! {
    name = benches;
    config = quick();
    targets = floor, cutting, naming, compression, sealing, whole, opening, trees
}
criterion_main!(benches);

/// Short: all of `cargo bench` in a few minutes. `--measurement-time` asks for more.
fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(10)
}

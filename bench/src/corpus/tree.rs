//! The trees: how many files of which sizes lie where.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::Kind;
use super::text::{Language, Project};
use crate::dice::Dice;

/// The full sizes: files and bytes.
const TEXT_FILES: f64 = 76_000.0;
pub(super) const TEXT_BYTES: f64 = 1.07e9;
const SMALL_FILES: f64 = 50_000.0;
const SMALL_BYTES: f64 = 0.49e9;
const SMALL_MOST: f64 = 262_144.0;
const RANDOM_FILES: usize = 8;
const RANDOM_FILE: f64 = 134_217_728.0;
/// The spread of the logarithm of file sizes in source trees: half are below a few KiB, one in a thousand is a
/// hundred times that.
const SPREAD: f64 = 1.5;
/// No file of text is larger.
const TEXT_MOST: f64 = 4_194_304.0;
/// How many files a project has in memory.
const FILES_OF_A_PROJECT: usize = 50;
/// In a thousand projects: the next release of the one before, most of whose lines are the same.
const RELEASES: usize = 120;

/// Makes the tree of this kind in a folder that is there and empty.
///
/// # Errors
/// It cannot be written.
pub fn make(kind: Kind, seed: u64, scale: f64, folder: &Path) -> io::Result<()> {
    let count = |files: f64| ((files * scale).round() as usize).max(1);
    match kind {
        Kind::Text => text(folder, seed, count(TEXT_FILES), TEXT_BYTES * scale),
        Kind::Random => random(folder, seed, RANDOM_FILES, (RANDOM_FILE * scale) as usize),
        Kind::Small => small(folder, seed, count(SMALL_FILES), SMALL_BYTES * scale),
        Kind::Mixed => mixed(folder, seed, scale),
    }
}

/// A tree of so many files of text of one size: for cost against number and against bytes.
///
/// # Errors
/// It cannot be written.
pub fn files_of(folder: &Path, seed: u64, files: usize, size: usize) -> io::Result<()> {
    projects(folder, seed, &vec![size; files])
}

/// Text files in memory, in projects of fifty, log-normal sizes that sum to about `bytes`.
pub fn text_in_memory(seed: u64, bytes: usize) -> Vec<Vec<u8>> {
    let files = (bytes as f64 * TEXT_FILES / TEXT_BYTES).ceil() as usize;
    let language = Language::new(seed);
    let sizes = sizes(seed, files, bytes as f64, TEXT_MOST);
    let project = |(number, sizes): (u64, &[usize])| {
        let mut project = Project::new(&language, seed, number);
        sizes.iter().map(|&size| project.file(size).0).collect::<Vec<_>>()
    };
    (0..).zip(sizes.chunks(FILES_OF_A_PROJECT)).flat_map(project).collect()
}

fn text(folder: &Path, seed: u64, files: usize, bytes: f64) -> io::Result<()> {
    projects(folder, seed, &sizes(seed, files, bytes, TEXT_MOST))
}

/// Log-normal sizes that sum to `bytes` but for rounding and for what is cut at `most`.
fn sizes(seed: u64, files: usize, bytes: f64, most: f64) -> Vec<usize> {
    let mut dice = Dice::new(seed, u64::MAX);
    let drawn: Vec<f64> = (0..files).map(|_| dice.log_normal(SPREAD)).collect();
    let mut scale = bytes / drawn.iter().sum::<f64>();
    // The cut takes bytes away: three rounds find what the rest must be scaled by.
    for _ in 0..3 {
        scale *= bytes / drawn.iter().map(|size| (size * scale).min(most)).sum::<f64>();
    }
    drawn.iter().map(|size| (size * scale).min(most) as usize).collect()
}

/// Text files of these sizes, in projects of five to some hundreds. A new release has the sizes of the one before
/// instead.
fn projects(folder: &Path, seed: u64, sizes: &[usize]) -> io::Result<()> {
    let language = Language::new(seed);
    let mut layout = Dice::new(seed, u64::MAX - 1);
    let mut rest = sizes;
    let mut number = 0;
    let mut before: Vec<(String, Vec<u8>)> = Vec::new();
    while !rest.is_empty() {
        let root = folder.join(format!("project-{number:04}"));
        if !before.is_empty() && before.len() <= rest.len() && layout.per_mille(RELEASES) {
            for (path, content) in &mut before {
                edit_lines(content, &mut layout);
                write(&root.join(path), content, &mut layout)?;
            }
            rest = &rest[before.len()..];
        } else {
            let mut project = Project::new(&language, seed, number);
            before.clear();
            let files = (5 + layout.skewed(300)).min(rest.len());
            for (place, &size) in rest[..files].iter().enumerate() {
                let (content, ending) = project.file(size);
                let part = ["src", "src/inner", "include", "doc", "tests", "."][layout.skewed(6)];
                let path = format!("{part}/file_{place:03}.{ending}");
                write(&root.join(&path), &content, &mut layout)?;
                before.push((path, content));
            }
            rest = &rest[files..];
        }
        number += 1;
    }
    Ok(())
}

/// A new release: one line in thirty is another one of the file.
fn edit_lines(content: &mut Vec<u8>, dice: &mut Dice) {
    let lines: Vec<&[u8]> = content.split_inclusive(|&byte| byte == b'\n').collect();
    let edited = lines.iter().flat_map(|line| if dice.below(30) == 0 { dice.pick(&lines) } else { line }.iter());
    *content = edited.copied().collect();
}

fn random(folder: &Path, seed: u64, files: usize, size: usize) -> io::Result<()> {
    let mut part = vec![0; 1 << 20];
    for number in 0..files {
        let mut dice = Dice::new(seed, number as u64);
        let mut file = File::create(folder.join(format!("random-{number}.bin")))?;
        let mut rest = size;
        while rest > 0 {
            let bytes = rest.min(part.len());
            dice.fill(&mut part[..bytes]);
            file.write_all(&part[..bytes])?;
            rest -= bytes;
        }
    }
    Ok(())
}

/// Text, records and incompressible files side by side, as an installed system has them.
fn small(folder: &Path, seed: u64, files: usize, bytes: f64) -> io::Result<()> {
    let language = Language::new(seed);
    let mut dice = Dice::new(seed, u64::MAX - 2);
    let mut project = Project::new(&language, seed, 0);
    for (number, size) in sizes(seed, files, bytes, SMALL_MOST).into_iter().enumerate() {
        if number % 200 == 0 {
            project = Project::new(&language, seed, number as u64);
        }
        let (content, ending) = match dice.below(100) {
            0..60 => project.file(size),
            60..85 => (records(size, &mut dice), "dat"),
            _ => (noise(size, &mut dice), "png"),
        };
        let path = format!("part-{:03}/{}/file-{number:05}.{ending}", number / 200, dice.skewed(4));
        write(&folder.join(path), &content, &mut dice)?;
    }
    Ok(())
}

/// Like tables in a program: fixed records of a counter, small numbers and a few names.
fn records(size: usize, dice: &mut Dice) -> Vec<u8> {
    let mut content = Vec::with_capacity(size + 32);
    let mut counter = 0u32;
    while content.len() < size {
        counter += 1 + dice.skewed(64) as u32;
        content.extend_from_slice(&counter.to_le_bytes());
        content.extend_from_slice(&(dice.skewed(5000) as u32).to_le_bytes());
        content.extend_from_slice(&[dice.skewed(16) as u8, 0, 0, 1]);
        content.extend_from_slice(&(dice.skewed(1 << 20) as u32).to_be_bytes());
    }
    content.truncate(size);
    content
}

fn noise(size: usize, dice: &mut Dice) -> Vec<u8> {
    let mut content = vec![0; size];
    dice.fill(&mut content);
    content
}

fn mixed(folder: &Path, seed: u64, scale: f64) -> io::Result<()> {
    let part = |name: &str| {
        let path = folder.join(name);
        fs::create_dir_all(&path).map(|()| path)
    };
    let count = |files: f64| ((files * scale).round() as usize).max(1);
    text(&part("text")?, seed, count(TEXT_FILES / 4.0), TEXT_BYTES * scale / 4.0)?;
    small(&part("small")?, seed, count(SMALL_FILES / 4.0), SMALL_BYTES * scale / 4.0)?;
    random(&part("random")?, seed, 2, (RANDOM_FILE * scale) as usize)?;
    let mut dice = Dice::new(seed, u64::MAX - 3);
    let large = part("large")?;
    let language = Language::new(seed);
    let mut project = Project::new(&language, seed, 1 << 20);
    write(&large.join("service.log"), &project.file((RANDOM_FILE * scale) as usize).0, &mut dice)?;
    write(&large.join("table.db"), &records((RANDOM_FILE * scale) as usize, &mut dice), &mut dice)?;
    let odd = part("odd")?;
    for number in 0..count(400.0) {
        write(&odd.join(format!("empty/{number}")), b"", &mut dice)?;
        fs::create_dir_all(odd.join(format!("no-files/{number}")))?;
        symlink(format!("../empty/{}", dice.below(500)), odd.join(format!("no-files/{number}/link")))?;
        let program = odd.join(format!("program-{number}"));
        write(&program, format!("#!/bin/sh\necho {number}\n").as_bytes(), &mut dice)?;
        fs::set_permissions(&program, Permissions::from_mode(0o755))?;
        fs::hard_link(&program, odd.join(format!("zweiter Name für {number}")))?;
    }
    Ok(())
}

/// Writes a file with a seeded time of change in the years before 2026, and the folders that it needs.
fn write(path: &Path, content: &[u8], dice: &mut Dice) -> io::Result<()> {
    let mut file = match File::create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            File::create(path)?
        }
        created => created?,
    };
    file.write_all(content)?;
    let time = Duration::new(dice.between(1_500_000_000, 1_760_000_000) as u64, dice.below(1_000_000_000) as u32);
    file.set_modified(UNIX_EPOCH + time)
}

/// Every path below a folder but for the folder itself, depth first, names by bytes. Follows no link.
pub(crate) fn walk(folder: &Path, visit: &mut dyn FnMut(&Path, &fs::Metadata) -> io::Result<()>) -> io::Result<()> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort_unstable();
    for path in paths {
        let metadata = fs::symlink_metadata(&path)?;
        visit(&path, &metadata)?;
        if metadata.is_dir() {
            walk(&path, visit)?;
        }
    }
    Ok(())
}

//! Where a test of the claims lies, and the command that runs it.

use std::path::{Path, PathBuf};

/// A test that was found in the sources.
pub(super) struct Place {
    /// File and line, from the root of the project.
    pub(super) at: String,
    /// The command that runs it.
    pub(super) run: String,
}

/// The places of a test: more than one where two packages have one of that name, none where there are no sources.
pub(super) fn places(test: &str) -> Vec<Place> {
    let Some(root) = root() else { return Vec::new() };
    let mut found = Vec::new();
    search(&root, &root, &format!("fn {test}("), &mut |file, number| found.push(place(&root, file, number, test)));
    found.sort_by(|a, b| a.at.cmp(&b.at));
    found
}

/// The root of the project: the nearest folder, from here upwards, that holds the claims.
fn root() -> Option<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).or_else(|| std::env::current_dir().ok())?;
    here.ancestors().find(|folder| folder.join("spec/claims.toml").is_file()).map(Path::to_path_buf)
}

fn search(root: &Path, folder: &Path, text: &str, tell: &mut dyn FnMut(&Path, usize)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let skipped = name.starts_with('.') || (folder == root && name == "target");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !skipped {
            search(root, &path, text, tell);
        } else if name.ends_with(".rs")
            && let Ok(source) = std::fs::read_to_string(&path)
            && let Some(number) = source.lines().position(|line| line.trim_start().starts_with(text))
        {
            tell(&path, number + 1);
        }
    }
}

fn place(root: &Path, file: &Path, number: usize, test: &str) -> Place {
    let at = format!("{}:{number}", file.strip_prefix(root).unwrap_or(file).display());
    let package = file.ancestors().skip(1).find(|folder| folder.join("Cargo.toml").is_file()).unwrap_or(root);
    let Some(name) = package_name(package) else {
        return Place { at, run: format!("cargo test --release --workspace {test}") };
    };
    let inside = file.strip_prefix(package).unwrap_or(file);
    let target = match (inside.parent(), inside.file_stem()) {
        (Some(folder), Some(stem)) if folder == Path::new("tests") => format!(" --test {}", stem.to_string_lossy()),
        _ => String::new(),
    };
    Place { at, run: format!("cargo test --release --package {name}{target} {test}") }
}

fn package_name(folder: &Path) -> Option<String> {
    let manifest: toml::Table = std::fs::read_to_string(folder.join("Cargo.toml")).ok()?.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_of_every_claim_is_found_with_a_command() {
        for claim in bailee_spec::claim::parse(bailee_spec::CLAIMS).unwrap() {
            for test in &claim.tests {
                let places = places(test);
                assert!(!places.is_empty(), "{}: {test}", claim.id);
                for place in places {
                    assert!(place.run.contains(" --package bailee") && place.run.ends_with(test), "{}", place.run);
                }
            }
        }
    }
}

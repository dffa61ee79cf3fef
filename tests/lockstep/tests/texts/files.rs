//! The files of the repository, for tests that read them.

use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the repository, as text.
pub(crate) fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every source file below a folder, with its path.
pub(crate) fn sources(folder: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.extend((!path.ends_with("target")).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "pml") {
                let content = std::fs::read_to_string(&path).unwrap();
                out.push((path.strip_prefix(root()).unwrap().display().to_string(), content));
            }
        }
    }
    out
}

/// A source file cut in two: what it compiles to, and the module of its tests at its end.
pub(crate) fn without_tests(content: &str) -> (&str, &str) {
    let starts = |at: &usize| {
        let mut lines = content[*at..].lines();
        let (condition, module) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        condition.contains("test") && module.contains("mod ") && module.ends_with('{')
    };
    let at = content.match_indices("#[cfg(").map(|(at, _)| at).find(starts);
    at.map_or((content, ""), |at| content.split_at(at))
}

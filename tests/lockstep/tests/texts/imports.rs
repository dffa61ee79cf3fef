//! No two files of a crate import each other, except the pairs that `.ci/mutual-imports` still has.
//!
//! A file imports another if it names something in that file's module by a path: in a `use`, or where it stands. What a
//! file only hands on (`pub use`) is no import, and neither are tests.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::{sources, text, without_tests};

/// A module's place in its crate: the root is empty.
type Module = Vec<String>;

/// The modules of a crate, each with its file.
type Modules = BTreeMap<Module, String>;

/// The folders of the workspace's crates.
fn crates() -> Vec<String> {
    let workspace: toml::Value = toml::from_str(&text("Cargo.toml")).unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    members.iter().map(|member| member.as_str().unwrap().to_string()).collect()
}

/// The module of a file, by its path below `src`; programs beside a library are crates of their own.
fn module(below: &str, has_library: bool) -> Option<Module> {
    let path = below.strip_suffix(".rs")?;
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["lib"] => Some(Vec::new()),
        ["main"] => (!has_library).then(Vec::new),
        ["bin", ..] => None,
        [above @ .., "mod"] => Some(above.iter().map(|part| part.to_string()).collect()),
        all => Some(all.iter().map(|part| part.to_string()).collect()),
    }
}

/// What is compiled into the crate: no comments, and nothing of its tests.
fn code_of(content: &str) -> String {
    let (code, _) = without_tests(content);
    code.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The paths of a `use` tree, each in full.
fn flatten(tree: &str) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    let (mut depth, mut start) = (0, 0);
    let ends = tree.char_indices().filter_map(|(at, c)| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        (c == ',' && depth == 0).then_some(at)
    });
    for end in ends.chain([tree.len()]).collect::<Vec<_>>() {
        let part = tree[start..end].trim();
        start = end + 1;
        let names = |path: &str| -> Vec<String> {
            let plain = path.split(" as ").next().unwrap_or(path);
            plain.split("::").map(|name| name.trim().to_string()).filter(|name| !name.is_empty()).collect()
        };
        match part.split_once('{') {
            Some((before, rest)) => {
                let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
                out.extend(flatten(inner).into_iter().map(|path| [names(before), path].concat()));
            }
            None if !part.is_empty() => out.push(names(part)),
            None => {}
        }
    }
    out
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The paths that code names: those of its `use` items without the public ones, and those that stand in it.
fn paths(code: &str) -> Vec<Vec<String>> {
    let (mut out, mut rest) = (Vec::new(), String::new());
    let mut left = code;
    while let Some(at) = left.find("use ") {
        let (before, from) = left.split_at(at);
        let line = before.rsplit('\n').next().unwrap_or(before).trim();
        let public = line.starts_with("pub");
        rest.push_str(before);
        if line.is_empty() || (public && line.split_whitespace().count() == 1) {
            let (tree, after) = from[4..].split_once(';').unwrap_or((&from[4..], ""));
            out.extend((!public).then(|| flatten(tree)).into_iter().flatten());
            left = after;
        } else {
            rest.push_str(&from[..4]);
            left = &from[4..];
        }
    }
    rest.push_str(left);
    for word in rest.split(|c: char| !is_name(c) && c != ':') {
        if word.contains("::") && !word.starts_with(':') {
            out.push(word.split("::").map(|name| name.trim_matches(':').to_string()).collect());
        }
    }
    out
}

/// The module in which a path of a module looks for its last names.
fn resolve(modules: &Modules, from: &Module, path: &[String]) -> Option<Module> {
    let mut names = path.iter().peekable();
    let mut at = match names.peek()?.as_str() {
        "crate" => {
            names.next();
            Vec::new()
        }
        "self" | "super" => from.clone(),
        child => modules.contains_key(&[from.as_slice(), &[child.to_string()]].concat()).then(|| from.clone())?,
    };
    for name in names {
        let below = [at.as_slice(), std::slice::from_ref(name)].concat();
        match name.as_str() {
            "self" => {}
            "super" => drop(at.pop()?),
            _ if modules.contains_key(&below) => at = below,
            _ => break,
        }
    }
    Some(at)
}

/// The pairs of files of a crate that import each other, in order.
fn mutual(files: &[(String, String)], src: &str) -> BTreeSet<(String, String)> {
    let below = |path: &str| path.strip_prefix(src).and_then(|path| path.strip_prefix('/')).map(String::from);
    let has_library = files.iter().any(|(path, _)| below(path).as_deref() == Some("lib.rs"));
    let place = |path: &str| below(path).and_then(|below| module(&below, has_library));
    let modules: Modules = files.iter().filter_map(|(path, _)| Some((place(path)?, path.clone()))).collect();
    let mut imports = BTreeSet::new();
    for (path, content) in files {
        let Some(from) = place(path) else { continue };
        for named in paths(&code_of(content)) {
            if let Some(to) = resolve(&modules, &from, &named).filter(|to| *to != from) {
                imports.insert((path.clone(), modules[&to].clone()));
            }
        }
    }
    let back = |(a, b): &&(String, String)| a < b && imports.contains(&(b.clone(), a.clone()));
    imports.iter().filter(back).cloned().collect()
}

/// Pairs that are not on the list, and lines of the list that are no pairs any more.
fn pair_errors(pairs: &BTreeSet<String>, list: &str) -> Vec<String> {
    let listed: BTreeSet<String> =
        list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(String::from).collect();
    let new = pairs.difference(&listed).map(|pair| format!("these import each other: {pair}"));
    let old = listed.difference(pairs).map(|pair| format!("no pair any more, take it off the list: {pair}"));
    new.chain(old).collect()
}

#[test]
fn no_further_files_import_each_other() {
    let mut pairs = BTreeSet::new();
    let crates = crates();
    assert!(crates.len() > 10, "the workspace is read: {crates:?}");
    for folder in crates {
        let src = format!("{folder}/src");
        let files = sources(&src);
        assert!(!files.is_empty(), "{src} is read");
        let found = mutual(&files, &src);
        pairs.extend(found.into_iter().map(|(a, b)| format!("{a} {b}")));
    }
    let errors = pair_errors(&pairs, &text(".ci/mutual-imports"));
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn a_pair_is_seen_in_each_form() {
    let file = |path: &str, content: &str| (format!("c/src/{path}"), content.to_string());
    let pairs = |files: &[(String, String)]| mutual(files, "c/src").into_iter().collect::<Vec<_>>();
    let pair = |a: &str, b: &str| vec![(format!("c/src/{a}"), format!("c/src/{b}"))];
    let library = file("lib.rs", "pub mod a;\npub mod b;\npub use a::A;\n");
    let a = file("a.rs", "use std::fmt;\nuse crate::{b::{B, other as o}, c::C};\npub struct A(B);\n");
    let b = |content: &str| file("b.rs", content);
    let seen = [
        "use crate::a::A;",
        "use super::a;",
        "fn f() { crate::a::g() }",
        "fn f(x: &super::a::A) {}",
        "use crate::{\n    // why\n    a::{self, A},\n};",
    ];
    for content in seen {
        assert_eq!(pairs(&[library.clone(), a.clone(), b(content)]), pair("a.rs", "b.rs"), "{content}");
    }
    let unseen = [
        "// use crate::a::A;",
        "pub use crate::a::A;",
        "pub(crate) use super::a::A;",
        "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n",
        "use std::a::A;\nfn f() { because(a) }",
    ];
    for content in unseen {
        assert_eq!(pairs(&[library.clone(), a.clone(), b(content)]), [], "{content}");
    }
    let above = file("p/mod.rs", "mod q;\nfn f() { q::g() }\nfn h() {}\n");
    assert_eq!(pairs(&[above.clone(), file("p/q.rs", "use super::h;\n")]), pair("p/mod.rs", "p/q.rs"));
    assert_eq!(pairs(&[above, file("p/q.rs", "fn g() {}\n")]), []);
}

#[test]
fn the_list_of_pairs_only_shrinks() {
    let pairs = BTreeSet::from(["a b".to_string()]);
    assert_eq!(pair_errors(&pairs, "# why\n\na b\n"), Vec::<String>::new());
    assert_eq!(pair_errors(&pairs, ""), ["these import each other: a b"]);
    assert_eq!(pair_errors(&BTreeSet::new(), "a b\n"), ["no pair any more, take it off the list: a b"]);
}

//! Errors that cross a module are types: nobody can tell two texts apart but by their words, and so nobody may have to.

use std::fs;
use std::path::{Path, PathBuf};

use crate::source::{members, root, shown, words};

#[test]
fn no_public_signature_fails_with_a_text() {
    let root = root();
    let mut found = Vec::new();
    // A program without a library tells its errors to people only.
    for name in members(&root).into_iter().filter(|name| root.join(name).join("src/lib.rs").exists()) {
        for file in sources(&root.join(&name).join("src")) {
            found.extend(texts(&words(&file)).into_iter().map(|what| format!("{}: {what}", shown(&root, &file))));
        }
    }
    assert!(found.is_empty(), "errors that are texts; make each an enum or a struct:\n  {}", found.join("\n  "));
}

/// Crates that only people and tests meet: what fails there is told, and nobody decides by it.
const TELL_PEOPLE: [&str; 5] = ["kubefed", "tests", "tests/kit", "tests/bench", "xtask"];

#[test]
fn libraries_have_errors_of_their_own() {
    let root = root();
    let all = members(&root);
    let (people, libraries): (Vec<_>, Vec<_>) = all.iter().partition(|name| TELL_PEOPLE.contains(&name.as_str()));
    assert_eq!(people.len(), TELL_PEOPLE.len(), "{people:?}");
    let manifest = |name: &String| fs::read_to_string(root.join(name).join("Cargo.toml")).expect("a manifest");
    let found: Vec<&String> = libraries.into_iter().filter(|name| takes_any_error(&manifest(name))).collect();
    assert!(found.is_empty(), "crates that depend on anyhow; make each error an enum with thiserror: {found:?}");
}

/// Whether a crate depends on `anyhow`, but for its tests.
fn takes_any_error(manifest: &str) -> bool {
    let mut counts = false;
    manifest.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            counts = line.ends_with("dependencies]") && !line.contains("dev-dependencies");
            return line.contains("dependencies.anyhow]") && !line.contains("dev-dependencies");
        }
        counts && line.strip_prefix("anyhow").is_some_and(|rest| rest.starts_with([' ', '=', '.']))
    })
}

#[test]
fn any_error_is_found_wherever_a_manifest_can_have_it() {
    assert!(takes_any_error("[dependencies]\nserde = \"1\"\nanyhow = \"1\""));
    assert!(takes_any_error("[target.'cfg(unix)'.dependencies]\nanyhow.workspace = true"));
    assert!(takes_any_error("[dependencies.anyhow]\nworkspace = true"));
    assert!(!takes_any_error("[dependencies]\nanyhow-like = \"1\"\n[dev-dependencies]\nanyhow = { workspace = true }"));
}

/// The sources below a folder but those of tests alone.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a folder that can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            all.extend(sources(&path));
        } else if name.ends_with(".rs") && name != "tests.rs" && !name.ends_with("_tests.rs") {
            all.push(path);
        }
    }
    all
}

/// What of a file can be used in other modules, by `pub` or `pub(crate)` or as part of a public trait, and has a text as its
/// error. What a parent alone may use is private: its text is wrapped there, with the place it is about.
fn texts(words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next: Vec<&str> = words[at + 1..].iter().take(3).map(String::as_str).collect();
        let shut = next.first() == Some(&"(") && next != ["(", "crate", ")"];
        if word != "pub" || shut {
            continue;
        }
        let item = &words[at..];
        let item = &item[..length(item)];
        if fails_with_text(item) {
            found.push(item.iter().take(8).cloned().collect::<Vec<_>>().join(" "));
        }
    }
    found
}

/// How many words an item has up to its body; of a trait, whose methods are as public as it is, up to its end.
fn length(item: &[String]) -> usize {
    let deepest = if item.iter().take(6).any(|word| word == "trait") { i32::MAX } else { 0 };
    let mut depth = 0;
    let end = item.iter().position(|word| {
        depth += i32::from(word == "{") - i32::from(word == "}");
        depth > deepest || depth < 0 || (depth == 0 && matches!(word.as_str(), ";" | "}"))
    });
    end.map_or(item.len(), |end| end + 1)
}

/// Whether a `Result` among these words has `String` as its error.
fn fails_with_text(words: &[String]) -> bool {
    let starts = words.windows(2).enumerate().filter(|(_, pair)| pair[0] == "Result" && pair[1] == "<");
    starts.into_iter().any(|(at, _)| {
        let mut depth = 0;
        let mut last = Vec::new();
        for (n, word) in words[at + 1..].iter().enumerate() {
            let arrow = word == ">" && words[at + n] == "-";
            match word.as_str() {
                "<" | "(" | "[" => depth += 1,
                ">" if !arrow => depth -= 1,
                ")" | "]" => depth -= 1,
                "," if depth == 1 => {
                    last.clear();
                    continue;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
            last.push(word.as_str());
        }
        last == ["String"]
    })
}

#[test]
fn texts_are_found_wherever_a_signature_can_have_them() {
    let of = |text: &str| {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("lib.rs");
        fs::write(&file, text).expect("written");
        texts(&words(&file)).len()
    };
    assert_eq!(of("pub fn f(a: u8) -> Result<Vec<(u8, String)>, String> { x }"), 1);
    assert_eq!(of("pub(crate) async fn f<T>() -> std::result::Result<(), String>;"), 1);
    assert_eq!(of("pub fn f(check: impl Fn() -> Result<(), String> + Send) {}"), 1);
    assert_eq!(of("pub struct S { pub rules: Result<Arc<[u8]>, String> }"), 1);
    assert_eq!(of("pub trait T { fn a(&self); async fn f(&self) -> Result<u8, String>; }"), 1);
    // Texts that are what comes of it, what a module has for itself, and what tests do.
    assert_eq!(of("pub fn f() -> Result<String, Wrong> { g().map_err(|e: Result<u8, String>| e) } fn g() -> Result<u8, String> {}"), 0);
    assert_eq!(of("pub(super) fn f() -> Result<u8, String> {} #[cfg(test)] mod t { pub fn f() -> Result<u8, String> {} }"), 0);
    assert_eq!(of("pub trait T { fn a(&self) { let x: u8; } } fn f() -> Result<u8, String> {}"), 0);
}

//! A wait that asks again gives way before: on one thread, what is waited for may have to run there, and a limit of the wait too.
//! Looked for are loops with `while` that do nothing but ask; one with `loop` can hide a pause anywhere.

use std::fs;
use std::path::{Path, PathBuf};

use crate::source::{members, root, shown, tokens};

#[test]
fn nothing_asks_again_without_giving_way() {
    let root = root();
    let found: Vec<String> = members(&root)
        .iter()
        .flat_map(|name| sources(&root.join(name)))
        .filter(|file| restless(&tokens(&fs::read_to_string(file).expect("a file that can be read"))))
        .map(|file| shown(&root, &file))
        .collect();
    assert!(found.is_empty(), "loops with nothing in them around an await; let them sleep or yield:\n  {}", found.join("\n  "));
}

#[test]
fn a_loop_that_only_asks_is_found() {
    assert!(restless(&tokens("async { while list().await.len() != 1 {} }")));
    assert!(restless(&tokens("while a().await\n    != 1\n{}")));
    assert!(restless(&tokens("while let Err(_) = a().await {}")));
    assert!(restless(&tokens("while matches!(a().await, X { .. }) {}")));
    assert!(!restless(&tokens("while a().await != 1 { yield_now().await }")));
    assert!(!restless(&tokens("while a.next_if(b) {} a().await")));
    assert!(!restless(&tokens("while let Some(Ok(_)) = body.frame().await {}")), "a stream that ends gives way");
}

/// Whether a `while` among these words awaits in its condition, and does nothing. What takes from a stream until it ends gives way.
fn restless(words: &[String]) -> bool {
    words.split(|word| word == "while").skip(1).any(|rest| {
        let takes = rest.first().is_some_and(|word| word == "let") && rest.get(1).is_some_and(|word| word == "Some");
        // The first brace outside of brackets opens the body.
        let mut depth = 0;
        let open = rest.iter().position(|word| {
            depth += i32::from(word == "(") - i32::from(word == ")");
            depth == 0 && word == "{"
        });
        let (condition, body) = rest.split_at(open.unwrap_or(rest.len()));
        !takes && condition.iter().any(|word| word == "await") && body.get(1).is_some_and(|word| word == "}")
    })
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a folder that can be read").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            all.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            all.push(path);
        }
    }
    all
}

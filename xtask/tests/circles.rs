//! No file imports, over others, itself: who reads a file reads what it uses first, and there is an end to that.
//!
//! An import is a `use` of an item of the same crate, followed through re-exports to the file that has it. That a module
//! declares its children is none, nor is what it re-exports, nor what tests use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Name = Vec<String>;

/// One `use` of one item.
struct Use {
    public: bool,
    path: Name,
    /// What it is called here.
    called: String,
}

struct Module {
    file: PathBuf,
    uses: Vec<Use>,
}

struct Crate(BTreeMap<Name, Module>);

#[test]
fn no_files_import_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let mut found = Vec::new();
    for name in members(root) {
        let read = Crate::read(&root.join(&name).join("src"));
        assert!(!read.0.is_empty(), "{name} has no sources");
        for circle in read.circles() {
            let files: Vec<String> = circle.iter().map(|module| shown(root, &read.0[module].file)).collect();
            found.push(files.join(" -> "));
        }
    }
    assert!(found.is_empty(), "files that import each other in a circle:\n  {}", found.join("\n  "));
}

/// Folders of the crates.
fn members(root: &Path) -> Vec<String> {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("a manifest");
    let (_, list) = manifest.split_once("members = [").expect("a workspace has members");
    let (list, _) = list.split_once(']').expect("a list ends");
    list.split(',').map(|name| name.trim().trim_matches('"').to_owned()).filter(|name| !name.is_empty()).collect()
}

fn shown(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).display().to_string()
}

impl Crate {
    fn read(src: &Path) -> Self {
        let mut modules = BTreeMap::new();
        let roots = ["lib.rs", "main.rs"].map(|name| src.join(name));
        if let Some(file) = roots.into_iter().find(|file| file.exists()) {
            module(file, Vec::new(), src, &mut modules);
        }
        Self(modules)
    }

    /// The modules that are imported by each.
    fn edges(&self) -> BTreeMap<&Name, BTreeSet<&Name>> {
        let imported = |(name, module): (&'_ Name, &'_ Module)| -> BTreeSet<Name> {
            let uses = module.uses.iter().filter(|one| !one.public);
            uses.filter_map(|one| self.absolute(name, &one.path)).map(|path| self.holder(&path, 0)).collect()
        };
        let known = |name: &Name| self.0.get_key_value(name).map(|(name, _)| name);
        let all = self.0.iter().map(|(name, module)| {
            let mut of: BTreeSet<&Name> = imported((name, module)).iter().filter_map(known).collect();
            of.remove(name);
            (name, of)
        });
        all.collect()
    }

    /// A path as it is from the crate's root; `None` is another crate's.
    fn absolute(&self, from: &Name, path: &[String]) -> Option<Name> {
        let (first, rest) = path.split_first()?;
        let (mut base, mut rest) = match first.as_str() {
            "crate" => (Name::new(), rest),
            "self" | "super" => (from.clone(), path),
            child => (self.0.contains_key(&joined(from, child)).then(|| from.clone())?, path),
        };
        while let [first, more @ ..] = rest {
            match first.as_str() {
                "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            rest = more;
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The module that has an item, followed through re-exports.
    fn holder(&self, path: &[String], steps: usize) -> Name {
        let most = (0..=path.len()).rev().find(|n| self.0.contains_key(&path[..*n])).unwrap_or(0);
        let (name, rest) = path.split_at(most);
        let reexport = rest.first().and_then(|item| self.0[name].uses.iter().find(|one| one.called == *item));
        match reexport.and_then(|one| self.absolute(&name.to_vec(), &one.path)) {
            Some(mut there) if steps < 8 => {
                there.extend(rest[1..].iter().cloned());
                self.holder(&there, steps + 1)
            }
            _ => name.to_vec(),
        }
    }

    /// One circle for each knot there is, each file once.
    fn circles(&self) -> Vec<Vec<Name>> {
        let edges = self.edges();
        let mut told = BTreeSet::new();
        let mut out = Vec::new();
        for start in edges.keys() {
            if told.contains(start) {
                continue;
            }
            if let Some(circle) = shortest(&edges, start) {
                told.extend(circle.iter().copied());
                out.push(circle.into_iter().cloned().collect());
            }
        }
        out
    }
}

/// The shortest way from a module back to itself.
fn shortest<'a>(edges: &BTreeMap<&'a Name, BTreeSet<&'a Name>>, start: &'a Name) -> Option<Vec<&'a Name>> {
    let mut came_from: BTreeMap<&Name, &Name> = BTreeMap::new();
    let mut ring = vec![start];
    while !ring.is_empty() {
        let mut next = Vec::new();
        for at in ring {
            for to in &edges[at] {
                if *to == start {
                    let mut way = vec![at];
                    while let Some(before) = came_from.get(way[way.len() - 1]) {
                        way.push(before);
                    }
                    way.reverse();
                    return Some(way);
                }
                if !came_from.contains_key(to) {
                    came_from.insert(to, at);
                    next.push(*to);
                }
            }
        }
        ring = next;
    }
    None
}

fn joined(name: &[String], child: &str) -> Name {
    name.iter().cloned().chain([child.to_owned()]).collect()
}

/// Reads a module and its children, which are in `folder`.
fn module(file: PathBuf, name: Name, folder: &Path, into: &mut BTreeMap<Name, Module>) {
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let tokens = without_tests(&tokens(&text));
    let mut uses = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "mod" if tokens.get(at + 2).is_some_and(|t| t == ";") => {
                let child = &tokens[at + 1];
                let inside = folder.join(child);
                let files = [folder.join(format!("{child}.rs")), inside.join("mod.rs")];
                if let Some(file) = files.into_iter().find(|file| file.exists()) {
                    module(file, joined(&name, child), &inside, into);
                }
                at += 3;
            }
            "use" => {
                let public = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
                let length = tokens[at..].iter().position(|t| t == ";").unwrap_or(tokens.len() - at);
                tree(&mut tokens[at + 1..at + length].iter().map(String::as_str).peekable(), &[], public, &mut uses);
                at += length;
            }
            _ => at += 1,
        }
    }
    into.insert(name, Module { file, uses });
}

/// One branch of a `use` and what follows it within the same braces.
fn tree<'a>(tokens: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>, before: &[String], public: bool, into: &mut Vec<Use>) {
    let mut path = before.to_vec();
    let mut called = None;
    let mut whole = true;
    let mut put = |path: &mut Name, called: &mut Option<String>, whole: &mut bool| {
        if *whole && path.len() > before.len() {
            if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
                path.pop();
            }
            let last = path.last().cloned().unwrap_or_default();
            into.push(Use { public, path: path.clone(), called: called.take().unwrap_or(last) });
        }
        (*path, *whole) = (before.to_vec(), true);
    };
    let mut braces = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            "::" => {}
            "as" => called = tokens.next().map(str::to_owned),
            "," => put(&mut path, &mut called, &mut whole),
            "{" => {
                let mut depth = 1;
                let mut inside = Vec::new();
                for token in tokens.by_ref() {
                    depth += i32::from(token == "{") - i32::from(token == "}");
                    if depth == 0 {
                        break;
                    }
                    inside.push(token);
                }
                braces.push((path.clone(), inside));
                whole = false;
            }
            name => path.push(name.to_owned()),
        }
    }
    put(&mut path, &mut called, &mut whole);
    for (path, inside) in braces {
        tree(&mut inside.into_iter().peekable(), &path, public, into);
    }
}

/// Leaves out modules that are there for tests only.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].iter().zip(mark).all(|(token, mark)| token == mark) || tokens.len() - at < mark.len() {
            out.push(tokens[at].clone());
            at += 1;
            continue;
        }
        // The item the mark is of, up to its end.
        at += mark.len();
        let mut depth = 0;
        while at < tokens.len() {
            let token = tokens[at].as_str();
            at += 1;
            match token {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    out
}

/// Words and signs, without comments and what is quoted.
fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw(rest) {
            length
        } else if first == '"' {
            quoted(rest)
        } else if let Some(length) = character(rest) {
            length
        } else if word > 0 {
            out.push(rest[..word].to_owned());
            word
        } else if rest.starts_with("::") {
            out.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                out.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    out
}

/// The length of a raw string that begins here.
fn raw(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inside = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - inside.len() + inside.find(&end)? + end.len())
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// The length of a character literal that begins here; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        return Some(2 + 1 + inside[2..].find('\'')? + 1);
    }
    inside[first.len_utf8()..].starts_with('\'').then(|| 2 + first.len_utf8())
}

#[test]
fn circles_are_found_through_reexports_and_not_in_tests() {
    let dir = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, text).expect("written");
    };
    put("lib.rs", "mod a; mod b; mod c; mod d; pub use b::inner::Thing as It;");
    // Over a re-export and a child, in braces, and under another name.
    put("a.rs", "use crate::{c, It}; // use crate::d;\n const S: &str = \"use crate::d;\"; const C: char = '\"';");
    put("b.rs", "pub mod inner;");
    put("b/inner.rs", "use super::super::a::{self as first, Other}; pub struct Thing;");
    // Only its tests import who imports it.
    put("c.rs", "pub fn c() {} #[cfg(test)] mod tests { use crate::a; } #[cfg(test)] use crate::d;");
    put("d.rs", "use crate::c::c; use r#\"crate::d\"#;");
    let circles = Crate::read(dir.path()).circles();
    assert_eq!(circles, [[vec!["a".to_owned()], vec!["b".to_owned(), "inner".to_owned()]]]);
}

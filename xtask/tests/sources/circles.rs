//! No file imports, over others, itself: who reads a file reads what it uses first, and there is an end to that.
//!
//! An import is a `use` of an item of the same crate, or the item's path written out where it is used (`crate::a::b()`,
//! `super::b()`, `child::b()`), followed through re-exports to the file that has it. That a module declares its children
//! is none, nor is what it re-exports and does not use itself, nor what tests use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::source::{members, root, shown, words};

type Name = Vec<String>;

/// One `use` of one item.
struct Use {
    /// It is there for others, and this file does not use it.
    passed_on: bool,
    path: Name,
    /// What it is called here.
    called: String,
}

struct Module {
    file: PathBuf,
    uses: Vec<Use>,
    /// Paths that are written out.
    written: Vec<Name>,
}

struct Crate(BTreeMap<Name, Module>);

#[test]
fn no_files_import_each_other_in_a_circle() {
    let root = root();
    let mut found = Vec::new();
    for name in members(&root) {
        let read = Crate::read(&root.join(&name).join("src"));
        assert!(!read.0.is_empty(), "{name} has no sources");
        for circle in read.circles() {
            let files: Vec<String> = circle.iter().map(|module| shown(&root, &read.0[module].file)).collect();
            found.push(files.join(" -> "));
        }
    }
    assert!(found.is_empty(), "files that import each other in a circle:\n  {}", found.join("\n  "));
}

/// Crates whose rooms the architecture lists, lowest first, and what stands above the list.
const ROOMS: [(&str, &str); 2] =
    [("federation-apiserver", "## Rooms of the API server"), ("controller-manager", "## Rooms of the controller manager")];

#[test]
fn rooms_know_only_those_above_them_in_the_architecture() {
    let root = root();
    let page = std::fs::read_to_string(root.join("docs/architecture.md")).expect("a page");
    let found: Vec<String> = ROOMS
        .iter()
        .flat_map(|(name, heading)| {
            let wrong = upwards(&Crate::read(&root.join(name).join("src")), &rooms(&page, heading));
            wrong.into_iter().map(move |wrong| format!("{name}: {wrong}"))
        })
        .collect();
    assert!(found.is_empty(), "against the order of rooms in docs/architecture.md:\n  {}", found.join("\n  "));
}

/// What knows a room below its own, or is in none, and rooms that are not there.
fn upwards(read: &Crate, rows: &[Vec<String>]) -> Vec<String> {
    let row = |module: &Name| rows.iter().position(|row| module.first().is_some_and(|top| row.contains(top)));
    let mut found = Vec::new();
    for (module, imports) in read.edges() {
        // The crate's root puts things together, and says for others what is where.
        let Some(top) = module.first() else { continue };
        let Some(here) = row(module) else {
            found.push(format!("{top} is in no room"));
            continue;
        };
        let upwards = imports.into_iter().filter(|other| row(other).is_some_and(|there| there > here));
        found.extend(upwards.map(|other| format!("{} knows {}", module.join("::"), other.join("::"))));
    }
    let gone = rows.iter().flatten().filter(|room| !read.0.contains_key(std::slice::from_ref(*room)));
    found.extend(gone.map(|room| format!("{room} is not there")));
    found.dedup();
    found
}

/// The modules of each row of the table of rooms.
fn rooms(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = page.split_once(heading).expect("rooms are listed");
    let table = section.lines().map(str::trim).skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let first = |line: &str| line.split('|').nth(1).unwrap_or_default().to_owned();
    let named = |cell: String| cell.split('`').skip(1).step_by(2).map(|name| name.trim_end_matches('/').to_owned()).collect();
    table.skip(2).map(|line| named(first(line))).collect()
}

#[test]
fn rooms_are_read_from_the_page_and_looked_at_one_way() {
    let page = "x\n## Rooms\n\ntext\n\n| room | what |\n|---|---|\n| `a`, `b` | the ground |\n| `c/` | `d` |\n\n| `e` | other |";
    let rows = rooms(page, "## Rooms");
    assert_eq!(rows, [vec!["a", "b"], vec!["c"]]);
    let wrong = |files: &[(&str, &str)]| {
        let dir = tempfile::tempdir().expect("a folder");
        files.iter().for_each(|(name, text)| put(dir.path(), name, text));
        upwards(&Crate::read(dir.path()), &rows)
    };
    let lib = ("lib.rs", "mod a; mod b; mod c; pub use c::f;");
    let (down, beside) = (("c.rs", "mod d; pub use d::f; use crate::a::A;"), ("b.rs", "use crate::a::A;"));
    let child = ("c/d.rs", "pub fn f() {}");
    assert!(wrong(&[lib, ("a.rs", ""), beside, down, child]).is_empty());
    // Through what others pass on as well.
    let up = ("a.rs", "use crate::f; fn a() { f() } #[cfg(test)] mod tests { use crate::c; }");
    assert_eq!(wrong(&[lib, up, beside, down, child]), ["a knows c::d"]);
    let roomless = ("lib.rs", "mod a; mod c; mod e;");
    assert_eq!(wrong(&[roomless, ("a.rs", ""), ("e.rs", ""), down, child]), ["e is in no room", "b is not there"]);
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
            let uses = module.uses.iter().filter(|one| !one.passed_on);
            let used = uses.filter_map(|one| self.absolute(name, &one.path));
            let written = module.written.iter().filter_map(|path| self.written(name, module, path));
            used.chain(written).map(|path| self.holder(&path, 0)).collect()
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

    /// As [`Crate::absolute`], of a path in code: it may begin with what a `use` of the file brings.
    fn written(&self, from: &Name, module: &Module, path: &[String]) -> Option<Name> {
        self.absolute(from, path).or_else(|| {
            let brought = module.uses.iter().find(|one| one.called == path[0])?;
            let mut there = self.absolute(from, &brought.path)?;
            there.extend(path[1..].iter().cloned());
            Some(there)
        })
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
    let tokens = words(&file);
    let (mut uses, mut written) = (Vec::new(), Vec::new());
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
                let passed_on = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
                let length = tokens[at..].iter().position(|t| t == ";").unwrap_or(tokens.len() - at);
                tree(&mut tokens[at + 1..at + length].iter().map(String::as_str).peekable(), &[], passed_on, &mut uses);
                at += length;
            }
            // `pub(in crate::a)` says who may use, and uses nothing.
            "in" if at > 1 && tokens[at - 1] == "(" && tokens[at - 2] == "pub" => at += 1 + path(&tokens[at + 1..]),
            _ => {
                let length = path(&tokens[at..]);
                if length > 0 && (at == 0 || tokens[at - 1] != ".") {
                    written.push(tokens[at..at + length].iter().step_by(2).cloned().collect());
                }
                at += length.max(1);
            }
        }
    }
    // A word alone may be what a `use` brought, and is of no account else.
    for one in &mut uses {
        one.passed_on &= !written.iter().any(|path: &Name| path[0] == one.called);
    }
    written.retain(|path| path.len() > 1);
    into.insert(name, Module { file, uses, written });
}

/// How many tokens the path has that begins here.
fn path(tokens: &[String]) -> usize {
    let word = |at: usize| tokens.get(at).is_some_and(|t| t.starts_with(|c: char| c.is_alphabetic() || c == '_'));
    let mut length = usize::from(word(0));
    while length > 0 && tokens.get(length).is_some_and(|t| t == "::") && word(length + 1) {
        length += 2;
    }
    length
}

/// One branch of a `use` and what follows it within the same braces.
fn tree<'a>(tokens: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>, before: &[String], passed_on: bool, into: &mut Vec<Use>) {
    let mut path = before.to_vec();
    let mut called = None;
    let mut whole = true;
    let mut put = |path: &mut Name, called: &mut Option<String>, whole: &mut bool| {
        if *whole && path.len() > before.len() {
            if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
                path.pop();
            }
            let last = path.last().cloned().unwrap_or_default();
            into.push(Use { passed_on, path: path.clone(), called: called.take().unwrap_or(last) });
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
        tree(&mut inside.into_iter().peekable(), &path, passed_on, into);
    }
}

#[test]
fn circles_are_found_through_reexports_and_not_in_tests() {
    let dir = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| put(dir.path(), name, text);
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

#[test]
fn circles_are_found_through_paths_that_are_written_out() {
    let circles = |files: &[(&str, &str)]| {
        let dir = tempfile::tempdir().expect("a folder");
        files.iter().for_each(|(name, text)| put(dir.path(), name, text));
        let of = |names: Name| names.join("::");
        Crate::read(dir.path()).circles().into_iter().map(|circle| circle.into_iter().map(of).collect()).collect::<Vec<Vec<String>>>()
    };
    let lib = ("lib.rs", "pub mod a; mod b; mod d;");
    let a = ("a.rs", "fn f() { crate::b::c::g::<u8>(&x) }");
    let b = ("b.rs", "pub(in crate::a) mod c; pub(crate) use c::g; use super::a as first;");
    let back = |text: &'static str| circles(&[lib, a, b, ("b/c.rs", text), ("d.rs", "pub use crate::a::f; fn d() { b::x(); }")]);
    let ab = vec![vec!["a".to_owned(), "b::c".to_owned()]];
    assert_eq!(back("fn g() { super::super::a::f() }"), ab);
    assert_eq!(back("use crate::a; fn g() { a::f() }"), ab);
    // By what another module passes on.
    assert_eq!(back("fn g() { crate::d::f() }"), ab);
    // Another crate's, a comment's, and who may use it.
    assert!(back("// crate::a::f()\npub(in crate::a) fn g() { rand::a::f(); tokio::spawn(1) }").is_empty());
    // What is passed on and used as well is an import.
    let d = |text: &'static str| circles(&[("lib.rs", "mod d;"), ("d.rs", text), ("d/e.rs", "pub struct E; fn e() { super::d() }")]);
    assert_eq!(d("mod e; pub use e::E; pub fn d() -> E { E }"), [["d", "d::e"]]);
    assert_eq!(d("mod e; pub fn d() { e::E; }"), [["d", "d::e"]]);
    assert!(d("mod e; pub use e::{E, e}; pub fn d() { x.e() }").is_empty());
}

fn put(dir: &Path, name: &str, text: &str) {
    let file = dir.join(name);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    std::fs::write(file, text).expect("written");
}

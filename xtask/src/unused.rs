//! Dependencies that a crate names and does not use: a look at its source text, which costs nothing to build and
//! milliseconds to run. What is needed without being named is listed where cargo-machete looks for it too,
//! `[package.metadata.cargo-machete] ignored`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell::{cargo, root};

/// Fails with a line for each dependency that no source file of its crate names.
pub(crate) fn check() -> Result<()> {
    let out = cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"]).output().context("running cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&out.stdout).context("reading cargo metadata")?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let folders: Vec<PathBuf> = packages.iter().filter_map(folder).collect();
    let mut unused = vec![];
    for package in packages {
        let Some(folder) = folder(package) else { continue };
        let mut sources = vec![];
        read(&folder, &folders, &mut sources)?;
        for name in dependencies(package) {
            if !sources.iter().any(|text| names(text, &name.replace('-', "_"))) {
                unused.push(format!("{}: {name}", folder.strip_prefix(root()).unwrap_or(&folder).join("Cargo.toml").display()));
            }
        }
    }
    if !unused.is_empty() {
        bail!("dependencies that nothing uses:\n  {}", unused.join("\n  "));
    }
    Ok(())
}

fn folder(package: &Value) -> Option<PathBuf> {
    Path::new(package["manifest_path"].as_str()?).parent().map(Path::to_owned)
}

/// Names of a package's dependencies as its source spells them but for hyphens, without those it excuses.
fn dependencies(package: &Value) -> Vec<String> {
    let texts =
        |value: &Value| -> Vec<String> { value.as_array().into_iter().flatten().filter_map(|v| Some(v.as_str()?.to_owned())).collect() };
    let excused = texts(&package["metadata"]["cargo-machete"]["ignored"]);
    let all = package["dependencies"].as_array().into_iter().flatten();
    let mut found: Vec<String> = all.filter_map(|d| Some(d["rename"].as_str().or_else(|| d["name"].as_str())?.to_owned())).collect();
    found.sort();
    found.dedup();
    found.retain(|name| !excused.contains(name));
    found
}

/// The texts of all source files of a package; packages within its folder are their own.
fn read(folder: &Path, packages: &[PathBuf], into: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            let hidden = path.file_name().is_some_and(|n| n == "target" || n.as_encoded_bytes().starts_with(b"."));
            if !hidden && !packages.contains(&path) {
                read(&path, packages, into)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?);
        }
    }
    Ok(())
}

/// Whether a text names a crate: `name::` or `use name` with nothing before it that makes it another's part.
fn names(text: &str, name: &str) -> bool {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
        line.match_indices(name).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + name.len()..]);
            let whole = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            let alone = before.trim_end().ends_with("use") && after.starts_with([';', ' ']);
            whole && (after.starts_with("::") || alone)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_named_by_a_path_or_a_use() {
        for text in ["use http::Uri;", "let a: http::Uri = b;", "pub use http;", "#[http::main]", "    http::get()", "use http as h;"] {
            assert!(names(text, "http"), "{text}");
        }
        for text in ["let a = \"http://x\";", "// http::Uri", "use hyper::http::Uri;", "my_http::get()", "use httpx;", "http_body::Body"] {
            assert!(!names(text, "http"), "{text}");
        }
    }

    #[test]
    fn what_is_excused_is_not_looked_for() {
        let package = serde_json::json!({
            "metadata": {"cargo-machete": {"ignored": ["b"]}},
            "dependencies": [{"name": "a-b", "rename": null}, {"name": "b", "rename": null}, {"name": "c", "rename": "d"}, {"name": "a-b", "rename": null}],
        });
        assert_eq!(dependencies(&package), ["a-b", "d"]);
    }
}

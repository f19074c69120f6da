//! The Rust that is said to be enough is one that is built with, and what clippy bans it bans everywhere.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Whoever has a newer Rust may build with it; that the stated one is enough is known because CI builds with it.
#[test]
fn the_stated_rust_version_is_the_one_that_ci_builds_with() {
    let stated = env!("CARGO_PKG_RUST_VERSION");
    let rustc = Command::new("rustc").arg("--version").current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("rustc runs");
    let text = String::from_utf8(rustc.stdout).expect("text");
    let version = text.split(' ').nth(1).unwrap_or_default();
    let builds = version.rsplit_once('.').map_or(version, |(minor, _)| minor);
    let numbers = |version: &str| version.split('.').map(|n| n.parse::<u32>().expect("a number")).collect::<Vec<_>>();
    assert!(numbers(builds) >= numbers(stated), "this builds with {version}, and Cargo.toml asks for {stated} or later");
    assert!(
        std::env::var_os("CI").is_none() || builds == stated,
        "rust-version in Cargo.toml is {stated}, but CI builds with {version}, and so nobody knows that {stated} is enough: \
         set rust-version to \"{builds}\""
    );
}

#[test]
fn a_crates_own_bans_come_on_top_of_everybodys() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let all = fs::read_to_string(root.join("clippy.toml")).expect("the bans");
    let own = fs::read_to_string(root.join("controller-manager/clippy.toml")).expect("the bans of the controller manager");
    assert!(own.contains(&all), "controller-manager/clippy.toml lacks something of clippy.toml: copy all of that into it");
}

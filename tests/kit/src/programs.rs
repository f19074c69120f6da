//! Where the programs of a cluster are: built once and cached outside the work tree by version.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::{build, cache_dir};

/// The folder of built programs and images for the pinned versions; it may not exist yet.
pub fn dir() -> PathBuf {
    cache_dir().join(format!("kit-{}", build::fingerprint()))
}

/// The folder, when the programs are there.
pub fn built() -> Result<PathBuf> {
    let dir = dir();
    if !dir.join("complete").exists() {
        bail!("the programs of a real cluster are not built\nhint: run `cargo xtask kit build`");
    }
    Ok(dir)
}

/// Builds what is missing; instantaneous when everything is there.
pub fn ensure(say: &dyn Fn(&str)) -> Result<PathBuf> {
    if let Ok(dir) = built() {
        return Ok(dir);
    }
    build::all(&dir(), say)?;
    built()
}

/// One program: from `$KUBEBUILDER_ASSETS`, the kit's folder, or `PATH`, in this order.
pub fn find(name: &str) -> Result<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = assets.into_iter().chain([dir()]).chain(std::env::split_paths(&path));
    match folders.map(|d| d.join(name)).find(|p| is_program(p)) {
        Some(found) => Ok(found),
        None => bail!("{name} is in none of $KUBEBUILDER_ASSETS, the kit's folder and PATH\nhint: run `cargo xtask kit build`"),
    }
}

fn is_program(path: &Path) -> bool {
    path.is_file()
}

//! Paths by their text.

use std::path::{Component, Path, PathBuf};

/// A path without `.` and, by the text alone, `..`: Go's `filepath.Clean` of an absolute path.
pub fn clean(path: &Path) -> String {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if parts.len() > 1 => drop(parts.pop()),
            Component::ParentDir => {}
            part => parts.push(part),
        }
    }
    parts.iter().collect::<PathBuf>().display().to_string()
}

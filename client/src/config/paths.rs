//! Paths in an entry: relative to the directory of their file, absolute while the entry is worked on.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::kubeconfig::clean;

/// Fields that are paths; those of clusters and of users have different names.
const PATHS: [&str; 4] = ["certificate-authority", "client-certificate", "client-key", "tokenFile"];

/// What paths in a file are relative to.
pub(super) fn base(file: &Path) -> PathBuf {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

pub(super) fn resolved(fields: Map<String, Value>, base: &Path) -> Map<String, Value> {
    each(fields, |path| if Path::new(path).is_relative() { clean(&base.join(path)) } else { path.to_owned() })
}

/// Relative where that needs no `..`, as kubectl writes them.
pub(super) fn relative(fields: Map<String, Value>, base: &Path) -> Map<String, Value> {
    each(fields, |path| {
        let cleaned = clean(Path::new(path));
        match Path::new(&cleaned).strip_prefix(base) {
            Ok(rest) if rest.as_os_str().is_empty() => ".".to_owned(),
            Ok(rest) => rest.display().to_string(),
            Err(_) => path.to_owned(),
        }
    })
}

fn each(mut fields: Map<String, Value>, change: impl Fn(&str) -> String) -> Map<String, Value> {
    for key in PATHS {
        if let Some(Value::String(path)) = fields.get_mut(key)
            && !path.is_empty()
        {
            *path = change(path);
        }
    }
    fields
}

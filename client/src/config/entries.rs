//! Entries as files have them, fields that nobody knows included, to be moved to another file: paths are absolute.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::list::List;
use super::paths;
use crate::kubeconfig::{Source, clean};
use crate::{Error, Files, Kubeconfig, edit};

/// The fields of an entry.
pub type Fields = Map<String, Value>;

/// The fields that say something: what is false or empty is as if it were not there, as to kubectl.
pub(super) fn meant(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    fields.iter().filter(|(_, value)| says(value)).collect()
}

/// The entries of a kubeconfig, or of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entries {
    clusters: BTreeMap<String, Fields>,
    users: BTreeMap<String, Fields>,
    contexts: BTreeMap<String, Fields>,
}

impl Entries {
    /// Those of a text; relative paths in it are relative to a file's directory.
    ///
    /// # Errors
    /// What kubectl would not read either.
    pub fn read(bytes: &[u8], file: &Path) -> Result<Self, Error> {
        Kubeconfig::read(bytes, Source::Shown(file))?;
        let (root, base) = (edit::root(file, bytes)?, paths::base(file));
        let mut all = Self::default();
        for list in List::ALL {
            for item in root.get(list.key()).and_then(Value::as_array).into_iter().flatten() {
                let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
                let fields = item.get(list.word()).and_then(Value::as_object).cloned().unwrap_or_default();
                all.of_mut(list).insert(name.to_owned(), absolute(fields, &base));
            }
        }
        Ok(all)
    }

    /// Those of all files; the first to name something wins.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn of_files(files: &Files) -> Result<Self, Error> {
        let mut all = Self::default();
        for path in files.existing() {
            let cause = |cause| Error::Read { file: path.display().to_string(), cause };
            let one = Self::read(&crate::kubeconfig::bytes(path).map_err(cause)?, path)?;
            for list in List::ALL {
                for (name, fields) in one.of(list) {
                    all.of_mut(list).entry(name.clone()).or_insert_with(|| fields.clone());
                }
            }
        }
        Ok(all)
    }

    /// The entries of a list by name.
    pub fn of(&self, list: List) -> &BTreeMap<String, Fields> {
        match list {
            List::Clusters => &self.clusters,
            List::Users => &self.users,
            List::Contexts => &self.contexts,
        }
    }

    pub(super) fn of_mut(&mut self, list: List) -> &mut BTreeMap<String, Fields> {
        match list {
            List::Clusters => &mut self.clusters,
            List::Users => &mut self.users,
            List::Contexts => &mut self.contexts,
        }
    }
}

/// A field of a context that names another entry.
pub(super) fn reference(context: &Fields, list: List) -> &str {
    context.get(list.word()).and_then(Value::as_str).unwrap_or_default()
}

fn absolute(fields: Fields, base: &Path) -> Fields {
    let mut fields = paths::resolved(fields, base);
    // A bare name is looked up in PATH.
    if let Some(Value::String(command)) = fields.get_mut("exec").and_then(|exec| exec.get_mut("command"))
        && command.contains('/')
        && Path::new(command).is_relative()
    {
        *command = clean(&base.join(&*command));
    }
    fields
}

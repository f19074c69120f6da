//! What `kubectl config` does: which file a change goes to, and what it makes of an entry. The text is changed by
//! [`crate::edit`], under the lock, from what the file says then.

mod fields;
mod paths;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

pub use fields::{ClusterPatch, ContextPatch, ExecPatch, Pairs, Pem, UserPatch};

pub use crate::kubeconfig::clean;

use crate::edit::{self, Change, Entry};
use crate::{Error, Files, Kubeconfig};

/// The lists of a kubeconfig.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum List {
    /// Its clusters.
    Clusters,
    /// Its users.
    Users,
    /// Its contexts.
    Contexts,
}

impl List {
    /// The list's key in a file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Users => "users",
            Self::Contexts => "contexts",
        }
    }

    /// The key of one entry's fields, which is also the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clusters => "cluster",
            Self::Users => "user",
            Self::Contexts => "context",
        }
    }
}

/// The kubeconfig files of a run, merged, and changed one by one.
pub struct Config {
    files: Files,
    /// What they say together.
    pub merged: Kubeconfig,
}

impl Config {
    /// Reads the files; one that is not there is empty.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn load(files: Files) -> Result<Self, Error> {
        Ok(Self { merged: files.load_any()?, files })
    }

    /// The names in a list, sorted.
    pub fn names(&self, list: List) -> Vec<&str> {
        match list {
            List::Clusters => self.merged.clusters.keys().map(String::as_str).collect(),
            List::Users => self.merged.users.keys().map(String::as_str).collect(),
            List::Contexts => self.merged.contexts.keys().map(String::as_str).collect(),
        }
    }

    /// The file that says what an entry is; none where there is no such entry.
    fn origin(&self, list: List, name: &str) -> Option<&Path> {
        let origin = match list {
            List::Clusters => &self.merged.clusters.get(name)?.origin,
            List::Users => &self.merged.users.get(name)?.origin,
            List::Contexts => &self.merged.contexts.get(name)?.origin,
        };
        origin.as_deref()
    }

    fn missing(&self, what: String, list: List, name: &str) -> Error {
        Error::Missing { what, hint: format!("there are: {}", crate::kubeconfig::nearest(self.names(list).into_iter(), name)) }
    }

    /// Changes the fields of an entry in the file that has it, or makes it where new entries go. Returns whether it
    /// was there.
    ///
    /// # Errors
    /// A file that cannot be read, understood, locked or written; it is then as it was.
    pub fn set(&self, list: List, name: &str, patch: &dyn Fn(&mut Map<String, Value>)) -> Result<bool, Error> {
        let origin = self.origin(list, name);
        let path = origin.unwrap_or_else(|| self.files.to_write());
        edit::update(path, &|root| {
            let old = fields_of(root, list, name);
            let base = paths::base(path);
            let was = old.clone().map(|old| paths::resolved(old, &base)).unwrap_or_default();
            let mut fields = was.clone();
            patch(&mut fields);
            if old.is_some() && meant(&fields) == meant(&was) {
                return Ok(Vec::new());
            }
            Ok(vec![put(list, name, paths::relative(fields, &base))])
        })?;
        Ok(origin.is_some())
    }

    /// Takes an entry out of the file that has it and says which that is. Contexts that name it, and
    /// `current-context`, stay.
    ///
    /// # Errors
    /// That there is none; otherwise as [`Config::set`].
    pub fn delete(&self, list: List, name: &str) -> Result<PathBuf, Error> {
        let word = list.word();
        let Some(path) = self.origin(list, name) else {
            let file = self.files.to_write().display();
            return Err(self.missing(format!("cannot delete {word} {name}, not in {file}"), list, name));
        };
        edit::update(path, &|_| Ok(vec![Change::Delete { list: list.key(), name: name.to_owned() }]))?;
        Ok(path.to_owned())
    }

    /// Gives a context another name, in `current-context` too.
    ///
    /// # Errors
    /// That there is none, or one of the new name; otherwise as [`Config::set`].
    pub fn rename_context(&self, old: &str, new: &str) -> Result<(), Error> {
        let (list, file) = (List::Contexts, self.files.to_write().display());
        let Some(path) = self.origin(list, old) else {
            return Err(self.missing(format!("cannot rename the context {old:?}, it's not in {file}"), list, old));
        };
        if self.origin(list, new).is_some() {
            return Err(Error::Missing {
                what: format!("cannot rename the context {old:?}, the context {new:?} already exists in {file}"),
                hint: format!("choose another name, or delete it first: kubefed config delete-context {new}"),
            });
        }
        edit::update(path, &|root| {
            let Some(fields) = fields_of(root, list, old) else { return Ok(Vec::new()) };
            Ok(vec![put(list, new, fields), Change::Delete { list: list.key(), name: old.to_owned() }])
        })?;
        if self.merged.current_context == old { self.set_current(new) } else { Ok(()) }
    }

    /// Makes a context the current one.
    ///
    /// # Errors
    /// That there is none of this name; otherwise as [`Config::set`].
    pub fn use_context(&self, name: &str) -> Result<(), Error> {
        if name.is_empty() {
            return Err(self.missing("empty context names are not allowed".to_owned(), List::Contexts, name));
        }
        if !self.merged.contexts.contains_key(name) {
            return Err(self.missing(format!("no context exists with the name: {name:?}"), List::Contexts, name));
        }
        self.set_current(name)
    }

    fn set_current(&self, name: &str) -> Result<(), Error> {
        if self.merged.current_context == name {
            return Ok(());
        }
        edit::update(self.files.to_write(), &|_| Ok(vec![Change::Current(name.to_owned())])).map(drop)
    }

    /// The current context's name.
    ///
    /// # Errors
    /// That none is set.
    pub fn current_context(&self) -> Result<&str, Error> {
        match self.merged.current_context.as_str() {
            "" => Err(Error::Missing {
                what: "current-context is not set".to_owned(),
                hint: "choose one: kubefed config use-context NAME; kubefed config get-contexts lists them".to_owned(),
            }),
            name => Ok(name),
        }
    }
}

/// The fields that say something: what is false or empty is as if it were not there, as to kubectl.
fn meant(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    fields.iter().filter(|(_, value)| says(value)).collect()
}

fn put(list: List, name: &str, fields: Map<String, Value>) -> Change {
    Change::Put(Entry { list: list.key(), name: name.to_owned(), value: Value::Object(fields) })
}

/// The fields of an entry in a file, without those that are null; none where there is no such entry.
fn fields_of(root: &Value, list: List, name: &str) -> Option<Map<String, Value>> {
    let items = root.get(list.key())?.as_array()?;
    let item = items.iter().find(|item| item.get("name").and_then(Value::as_str).unwrap_or_default() == name)?;
    let fields = item.get(list.word()).and_then(Value::as_object).cloned().unwrap_or_default();
    Some(fields.into_iter().filter(|(_, value)| !value.is_null()).collect())
}

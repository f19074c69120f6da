//! What `kubectl config` does: which file a change goes to, and what it makes of an entry. The text is changed by
//! [`crate::edit`], under the lock, from what the file says then.

mod difference;
mod entries;
mod export;
mod fields;
mod import;
mod list;
mod paths;
mod properties;
mod property;
mod schema;
mod view;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

pub use difference::differences;
pub use entries::{Entries, Fields};
pub use export::{Export, export};
pub use import::{Coming, import};
pub use list::List;

pub use fields::{ClusterPatch, ContextPatch, ExecPatch, Pairs, Pem, UserPatch};

pub use property::{Place, Property, truth};
pub use schema::unknown_fields;
pub use view::{View, view};

pub use crate::kubeconfig::clean;

use self::entries::meant;
use crate::edit::undo::Journal;
use crate::edit::{self, Change, Entry};
use crate::{Context, Error, Files, Kubeconfig};

/// What is done to the fields of an entry.
pub type Patch<'a> = &'a dyn Fn(&mut Map<String, Value>);

/// The kubeconfig files of a run, merged, and changed one by one.
pub struct Config {
    files: Files,
    /// What they say together.
    pub merged: Kubeconfig,
    journal: Journal,
}

impl Config {
    /// Reads the files; one that is not there is empty. Changes are told as what `did` says, which is no secret.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn load(files: Files, did: &str) -> Result<Self, Error> {
        Ok(Self { merged: files.load_any()?, files, journal: Journal::new(did) })
    }

    /// The files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    fn update(&self, path: &Path, changes: edit::Changes<'_>) -> Result<bool, Error> {
        edit::update(path, changes, &self.journal)
    }

    /// Takes entries in as [`import()`] decided, into the file where new entries go, which it returns.
    ///
    /// # Errors
    /// A name that was taken since; otherwise as [`Config::set`].
    pub fn take_in(&self, coming: &[Coming]) -> Result<&Path, Error> {
        let path = self.files.to_write();
        let base = paths::base(path);
        self.update(path, &|root| {
            let new = coming.iter().filter_map(|coming| Some((coming, coming.new.clone()?)));
            new.map(|(coming, fields)| match fields_of(root, coming.list, &coming.is) {
                Some(_) => Err(Error::Write {
                    doing: "importing into",
                    file: path.to_owned(),
                    what: format!("somebody just wrote {} {:?}", coming.list.word(), coming.is),
                    hint: "repeat the command; nothing was changed".to_owned(),
                }),
                None => Ok(put(coming.list, &coming.is, paths::relative(fields, &base))),
            })
            .collect()
        })?;
        Ok(path)
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
    pub fn set(&self, list: List, name: &str, patch: Patch<'_>) -> Result<bool, Error> {
        let base = paths::base(self.place(list, name));
        self.set_written(list, name, &|fields| {
            let was = paths::resolved(fields.clone(), &base);
            let mut now = was.clone();
            patch(&mut now);
            if meant(&now) != meant(&was) {
                *fields = paths::relative(now, &base);
            }
        })
    }

    /// As [`Config::set`], paths in the fields as they are written in the file.
    fn set_written(&self, list: List, name: &str, patch: Patch<'_>) -> Result<bool, Error> {
        self.update(self.place(list, name), &|root| {
            let old = fields_of(root, list, name);
            let was = old.clone().unwrap_or_default();
            let mut fields = was.clone();
            patch(&mut fields);
            let same = old.is_some() && meant(&fields) == meant(&was);
            Ok(if same { Vec::new() } else { vec![put(list, name, fields)] })
        })?;
        Ok(self.origin(list, name).is_some())
    }

    /// The file an entry is in, or goes to.
    fn place(&self, list: List, name: &str) -> &Path {
        self.origin(list, name).unwrap_or_else(|| self.files.to_write())
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
        self.update(path, &|_| Ok(vec![Change::Delete { list: list.key(), name: name.to_owned() }]))?;
        Ok(path.to_owned())
    }

    /// Takes contexts out, and the clusters and users that only they use. Returns what went, contexts first.
    ///
    /// # Errors
    /// As [`Config::delete`].
    pub fn prune(&self, names: &[String]) -> Result<Vec<(List, String)>, Error> {
        let all = &self.merged;
        let (going, staying): (Vec<_>, Vec<_>) = all.contexts.iter().partition(|(name, _)| names.contains(name));
        let of = |context: &Context, list: List| if list == List::Clusters { context.cluster.clone() } else { context.user.clone() };
        let mut gone: Vec<(List, String)> = going.iter().map(|(name, _)| (List::Contexts, (*name).clone())).collect();
        for list in [List::Clusters, List::Users] {
            let mut only: Vec<String> = going.iter().map(|(_, context)| of(context, list)).collect();
            only.sort();
            only.dedup();
            only.retain(|name| self.origin(list, name).is_some() && staying.iter().all(|(_, context)| of(context, list) != *name));
            gone.extend(only.into_iter().map(|name| (list, name)));
        }
        for (list, name) in &gone {
            self.delete(*list, name)?;
        }
        Ok(gone)
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
        let rename = || Change::Rename { list: list.key(), old: old.to_owned(), new: new.to_owned() };
        self.update(path, &|_| Ok(vec![rename()]))?;
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
        self.update(self.files.to_write(), &|_| Ok(vec![Change::Current(name.to_owned())])).map(drop)
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

//! `kubectl config set` and `unset`: values by their paths.

use super::property::{Property, truth};
use super::{Config, schema};
use crate::edit::Change;
use crate::kubeconfig::{Preferences, nearest};
use crate::{Error, Files};

impl Config {
    /// Sets one value by its path; an entry that is not there is made.
    ///
    /// # Errors
    /// A path that names no single value, a value that cannot stand there; otherwise as [`Config::set`].
    pub fn set_property(&self, path: &str, text: &str, raw: bool) -> Result<(), Error> {
        let refused = |what: &str, hint: &str| Err(Error::Property { what: what.to_owned(), hint: hint.to_owned() });
        if text.is_empty() {
            return refused("you cannot use set to unset a property", &format!("kubefed config unset {path}"));
        }
        match Property::parse(path)? {
            Property::Current => self.set_current(text),
            Property::Colors => match truth(text) {
                Some(colors) => self.set_preferences(&Preferences { colors, ..self.merged.preferences.clone() }),
                None => refused(&format!("{path}: the value is neither true nor false"), "give true or false"),
            },
            Property::Preferences => refused("preferences is no single value", "set one of its fields: preferences.colors"),
            Property::All(list) => {
                refused(&format!("{path} is no single value"), &format!("set a field of one entry: {}.NAME.FIELD", list.key()))
            }
            Property::Entry(list, name) => {
                let word = list.word();
                let fields = schema::of(list).iter().map(|field| field.name);
                let hint = format!("its fields are: {}", nearest(fields, name.rsplit('.').next().unwrap_or_default()));
                refused(&format!("{path} names a whole {word} \"{name}\""), &hint)
            }
            Property::Field(list, name, place) => {
                let value = place.value(path, text, raw)?;
                self.set_written(list, &name, &|fields| place.put(fields, value.clone())).map(drop)
            }
        }
    }

    /// Takes something away by its path; what is not there is no error, but a field of an entry that is not there is.
    ///
    /// # Errors
    /// A path that names nothing that can be there; otherwise as [`Config::set`].
    pub fn unset_property(&self, path: &str) -> Result<(), Error> {
        match Property::parse(path)? {
            Property::Current => self.clear_current(),
            Property::Colors => self.set_preferences(&Preferences { colors: false, ..self.merged.preferences.clone() }),
            Property::Preferences => self.set_preferences(&Preferences::default()),
            Property::All(list) => self.names(list).into_iter().try_for_each(|name| self.delete(list, name).map(drop)),
            Property::Entry(list, name) if self.origin(list, &name).is_none() => Ok(()),
            Property::Entry(list, name) => self.delete(list, &name).map(drop),
            Property::Field(list, name, _) if self.origin(list, &name).is_none() => {
                Err(self.missing(format!("there is no {} \"{name}\"", list.word()), list, &name))
            }
            Property::Field(list, name, place) => self.set_written(list, &name, &|fields| place.put(fields, None)).map(drop),
        }
    }

    /// Empties `current-context` in the first file that says one; that of a later file counts then, as with kubectl.
    fn clear_current(&self) -> Result<(), Error> {
        for path in self.files.existing() {
            let mut config = Files::from(Some(path), None, None).load_any()?;
            if !std::mem::take(&mut config.current_context).is_empty() {
                return self.update(path, &|_| Ok(vec![Change::Current(String::new())])).map(drop);
            }
        }
        Ok(())
    }

    /// Writes preferences where kubectl does: into the first file that has others.
    fn set_preferences(&self, new: &Preferences) -> Result<(), Error> {
        if self.merged.preferences == *new {
            return Ok(());
        }
        for path in self.files.paths() {
            if Files::from(Some(path), None, None).load_any()?.preferences != *new {
                return self.update(path, &|_| Ok(vec![Change::Preferences(new.clone())])).map(drop);
            }
        }
        Ok(())
    }
}

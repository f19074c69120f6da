//! Paths of `kubectl config set` and `unset`: `users.NAME.token`, and, beyond kubectl's, the names that fields have in
//! the file, what is in `exec` and `auth-provider`, lists, and `users["NAME"].token` for names of any kind.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::list::List;
use super::schema::{self, Field, Kind};
use crate::Error;
use crate::kubeconfig::nearest;
use crate::yaml::base64;

const LISTS: [List; 3] = [List::Clusters, List::Users, List::Contexts];

/// What a path names.
#[derive(Clone, Debug, PartialEq)]
pub enum Property {
    /// `current-context`.
    Current,
    /// `preferences`.
    Preferences,
    /// `preferences.colors`.
    Colors,
    /// All entries of a list.
    All(List),
    /// One entry, by name.
    Entry(List, String),
    /// Something of an entry.
    Field(List, String, Place),
}

/// Where in an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    steps: Vec<Step>,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Variable(String),
}

fn wrong(what: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Property { what: what.into(), hint: hint.into() }
}

impl Property {
    /// Understands a path.
    ///
    /// # Errors
    /// What in it is not known, and what is.
    pub fn parse(path: &str) -> Result<Self, Error> {
        if path.is_empty() {
            return Err(wrong("you must specify a property", "for example contexts.NAME.namespace, or current-context"));
        }
        for list in LISTS {
            let Some(rest) = path.strip_prefix(list.key()) else { continue };
            if rest.is_empty() {
                return Ok(Self::All(list));
            }
            if let Some(quoted) = rest.strip_prefix("[\"") {
                let Some((name, rest)) = quoted.split_once("\"]") else {
                    return Err(wrong(format!("{path}: the name does not end"), format!("write {}[\"NAME\"].FIELD", list.key())));
                };
                return match rest.strip_prefix('.') {
                    Some(fields) => Self::field(path, list, name.to_owned(), &fields.split('.').collect::<Vec<_>>()),
                    None if rest.is_empty() => Ok(Self::Entry(list, name.to_owned())),
                    None => Err(wrong(format!("{path}: after the name comes a dot"), format!("write {}[\"NAME\"].FIELD", list.key()))),
                };
            }
            if let Some(rest) = rest.strip_prefix('.') {
                return Self::dotted(path, list, rest);
            }
        }
        match path {
            "current-context" => Ok(Self::Current),
            "preferences" => Ok(Self::Preferences),
            "preferences.colors" => Ok(Self::Colors),
            "kind" | "apiVersion" => Err(wrong(format!("{path} is always the same"), "it is Config, and v1")),
            _ if path == "extensions" || path.starts_with("extensions.") || path.starts_with("preferences.extensions") => {
                Err(wrong(format!("{path} belongs to other programs"), "change it with them, or with an editor"))
            }
            _ => {
                let known = ["clusters", "users", "contexts", "current-context", "preferences"];
                let first = path.split(['.', '[']).next().unwrap_or_default();
                let there = nearest(known.into_iter(), first);
                Err(wrong(format!("{path}: there is no property \"{first}\""), format!("paths begin with: {there}")))
            }
        }
    }

    /// A name ends where a field begins: at the first word that is one.
    fn dotted(path: &str, list: List, rest: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = rest.split('.').collect();
        match parts.iter().skip(1).position(|part| schema::find(schema::of(list), part).is_some()) {
            Some(at) => Self::field(path, list, parts[..=at].join("."), &parts[at + 1..]),
            None => Ok(Self::Entry(list, rest.to_owned())),
        }
    }

    fn field(path: &str, list: List, name: String, parts: &[&str]) -> Result<Self, Error> {
        Ok(Self::Field(list, name, Place::parse(path, list, parts)?))
    }
}

fn unknown(path: &str, part: &str, fields: &[Field]) -> Error {
    let there = nearest(fields.iter().map(|field| field.name), part);
    wrong(format!("{path}: there is no field \"{part}\""), format!("fields there are: {there}"))
}

impl Place {
    fn parse(path: &str, list: List, parts: &[&str]) -> Result<Self, Error> {
        let mut steps = Vec::new();
        let mut kind = Kind::Fields(schema::of(list));
        let mut rest = parts;
        while let [part, after @ ..] = rest {
            let key = || rest.join(".");
            match kind {
                Kind::Fields(fields) => {
                    let field = schema::find(fields, part).ok_or_else(|| unknown(path, part, fields))?;
                    steps.push(Step::Key(field.name.to_owned()));
                    kind = field.kind;
                    rest = after;
                    continue;
                }
                Kind::Settings => {
                    steps.push(Step::Key(key()));
                    kind = Kind::Text;
                }
                Kind::Lists => {
                    steps.push(Step::Key(key()));
                    kind = Kind::Texts;
                }
                Kind::Variables => {
                    steps.push(Step::Variable(key()));
                    kind = Kind::Text;
                }
                Kind::Text | Kind::Bytes | Kind::Flag | Kind::Texts | Kind::Extensions => {
                    let hint = format!("if dots or words like that are part of the name, write {}[\"NAME\"].FIELD", list.key());
                    return Err(wrong(format!("{path}: nothing comes after a value, there is \"{}\"", key()), hint));
                }
            }
            rest = &[];
        }
        Ok(Self { steps, kind })
    }

    /// What a text means here: nothing, where that is the same as leaving the field out.
    ///
    /// # Errors
    /// A text that cannot stand here.
    pub fn value(&self, path: &str, text: &str, raw: bool) -> Result<Option<Value>, Error> {
        Ok(match self.kind {
            Kind::Text => Some(json!(text)),
            Kind::Bytes if raw => Some(json!(STANDARD.encode(text))),
            Kind::Bytes => {
                // What was given may be secret: it is not shown.
                let bytes = base64(text).ok_or_else(|| {
                    wrong(format!("{path}: the value is not valid base64"), "give base64, or the bytes themselves with --set-raw-bytes")
                })?;
                Some(json!(STANDARD.encode(bytes)))
            }
            Kind::Flag => match truth(text) {
                Some(value) => value.then_some(json!(true)),
                None => return Err(wrong(format!("{path}: the value is neither true nor false"), "give true or false")),
            },
            Kind::Texts => Some(json!(text.split(',').collect::<Vec<_>>())),
            Kind::Fields(fields) => {
                let there = nearest(fields.iter().map(|field| field.name), "");
                return Err(wrong(format!("{path} is no single value"), format!("set one of its fields: {there}")));
            }
            Kind::Settings | Kind::Lists | Kind::Variables => {
                return Err(wrong(format!("{path} is no single value"), format!("set one of them: {path}.KEY")));
            }
            Kind::Extensions => {
                return Err(wrong(format!("{path} belongs to other programs"), "change it with them, or with an editor"));
            }
        })
    }

    /// Sets what is here in an entry's fields, or takes it away.
    pub fn put(&self, fields: &mut Map<String, Value>, value: Option<Value>) {
        put(fields, &self.steps, value);
    }
}

fn put(fields: &mut Map<String, Value>, steps: &[Step], value: Option<Value>) {
    let [Step::Key(key), rest @ ..] = steps else { return };
    match (rest, value) {
        ([], Some(value)) => drop(fields.insert(key.clone(), value)),
        ([], None) => drop(fields.remove(key)),
        (_, None) if !fields.contains_key(key) => {}
        ([Step::Variable(name)], value) => {
            let slot = fields.entry(key).or_insert(Value::Null);
            let mut all = slot.as_array().cloned().unwrap_or_default();
            let at = all.iter().position(|one| one["name"] == **name);
            match (at, value) {
                (Some(at), Some(value)) => all[at]["value"] = value,
                (None, Some(value)) => all.push(json!({"name": name, "value": value})),
                (Some(at), None) => drop(all.remove(at)),
                (None, None) => {}
            }
            *slot = Value::Array(all);
        }
        (rest, value) => {
            let slot = fields.entry(key).or_insert(Value::Null);
            if slot.is_null() {
                *slot = json!({});
            }
            if let Some(inner) = slot.as_object_mut() {
                put(inner, rest, value);
            }
        }
    }
}

/// Go's notation of truth.
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &str) -> String {
        match Property::parse(path) {
            Ok(property) => format!("{property:?}"),
            Err(e) => format!("error: {e}"),
        }
    }

    /// An entry after a value was set in it, and after it was taken away again.
    fn changed(path: &str, text: &str) -> [String; 2] {
        let Property::Field(_, _, place) = Property::parse(path).unwrap() else { panic!("{path}") };
        let mut fields = Map::new();
        place.put(&mut fields, place.value(path, text, false).unwrap());
        let set = Value::Object(fields.clone()).to_string();
        place.put(&mut fields, None);
        [set, Value::Object(fields).to_string()]
    }

    #[test]
    fn a_name_ends_where_a_field_begins() {
        let name = |path: &str| match Property::parse(path).unwrap() {
            Property::Field(_, name, _) | Property::Entry(_, name) => name,
            other => format!("{other:?}"),
        };
        assert_eq!(name("clusters.my.dotted.name.server"), "my.dotted.name");
        assert_eq!(name("clusters.my.dotted.name"), "my.dotted.name");
        assert_eq!(name("clusters..server"), "");
        assert_eq!(name("clusters.server.server"), "server");
        assert_eq!(name("users[\"my.token.name\"].token"), "my.token.name");
        assert_eq!(name("users[\"a\"]"), "a");
        assert_eq!(name("contexts.'\"a\"'.user"), "'\"a\"'");
    }

    #[test]
    fn what_is_not_known_is_told_with_what_is() {
        let paths = [
            "",
            "cluster.a.server",
            ".a",
            "kind",
            "extensions.e",
            "users.my.token.name.token",
            "users[\"a",
            "users[\"a\"]token",
            "users[\"a\"].tokn",
            "users.a.exec.comand",
            "users.a.token.b",
        ];
        insta::assert_snapshot!(
            paths
                .map(|path| {
                    let e = Property::parse(path).unwrap_err();
                    let failure = program::failure::Failure::from(e);
                    format!("{}\n  {}", failure.message, failure.hint.unwrap())
                })
                .join("\n")
        );
        assert_eq!(parsed("preferences.colors"), "Colors");
    }

    #[test]
    fn every_kind_of_value_is_set_and_taken_away() {
        let empty = || "{}".to_owned();
        assert_eq!(changed("users.u.act-as", "x"), [r#"{"as":"x"}"#.to_owned(), empty()]);
        assert_eq!(changed("users.u.as-groups", "a,b"), [r#"{"as-groups":["a","b"]}"#.to_owned(), empty()]);
        assert_eq!(
            changed("users.u.as-user-extra.k.l", "a"),
            [r#"{"as-user-extra":{"k.l":["a"]}}"#.to_owned(), r#"{"as-user-extra":{}}"#.to_owned()]
        );
        assert_eq!(
            changed("users.u.exec.env.A", "x"),
            [r#"{"exec":{"env":[{"name":"A","value":"x"}]}}"#.to_owned(), r#"{"exec":{"env":[]}}"#.to_owned()]
        );
        assert_eq!(
            changed("users.u.exec.provideClusterInfo", "T"),
            [r#"{"exec":{"provideClusterInfo":true}}"#.to_owned(), r#"{"exec":{}}"#.to_owned()]
        );
        assert_eq!(
            changed("clusters.c.certificate-authority-data", "aGk="),
            [r#"{"certificate-authority-data":"aGk="}"#.to_owned(), empty()]
        );
        assert_eq!(changed("clusters.c.insecure-skip-tls-verify", "false"), [empty(), empty()]);
    }
}

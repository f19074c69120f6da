//! Entries of one kubeconfig taken into another: what is the same is not doubled, and what has a name that is taken gets
//! another one, in the contexts too. Nothing that is there changes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::entries::{Entries, Fields, meant, reference};
use super::list::List;
use crate::Error;

/// What becomes of one entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Coming {
    /// Its list.
    pub list: List,
    /// Its name where it comes from.
    pub came: String,
    /// Its name here.
    pub is: String,
    /// What it says here; none where an entry that is here says it already.
    pub new: Option<Fields>,
}

/// Decides what becomes of each entry: clusters, users, then contexts. `called` is the name of the only context.
///
/// # Errors
/// A context that names an entry it does not come with; `called` of several contexts, or a name that is taken.
pub fn import(mine: &Entries, theirs: &Entries, called: Option<&str>) -> Result<Vec<Coming>, Error> {
    let contexts = theirs.of(List::Contexts);
    if called.is_some() && contexts.len() != 1 {
        return Err(Error::Property {
            what: format!("--as names one context, there are {}", contexts.len()),
            hint: "leave --as out, or take them one by one: kubefed config export CONTEXT --kubeconfig=FILE | kubefed config import - --as=NAME".to_owned(),
        });
    }
    let mut all = Vec::new();
    let mut names: BTreeMap<List, BTreeMap<String, String>> = BTreeMap::new();
    for list in [List::Clusters, List::Users] {
        let mut taken = Taken { mine: mine.of(list), coming: Vec::new() };
        for (name, fields) in theirs.of(list) {
            let coming = taken.place(list, name, fields.clone(), called.unwrap_or(name));
            names.entry(list).or_default().insert(name.clone(), coming.is.clone());
            all.push(coming);
        }
    }
    let mut taken = Taken { mine: mine.of(List::Contexts), coming: Vec::new() };
    for (name, fields) in contexts {
        let mut fields = fields.clone();
        for list in [List::Clusters, List::Users] {
            let wanted = reference(&fields, list).to_owned();
            if wanted.is_empty() {
                continue;
            }
            let Some(is) = names.get(&list).and_then(|names| names.get(&wanted)) else {
                let word = list.word();
                return Err(Error::Missing {
                    what: format!("context \"{name}\" names {word} \"{wanted}\", which does not come with it"),
                    hint: format!("here it would mean another {word}; add the entry to what is imported, or take the context out of it"),
                });
            };
            fields.insert(list.word().to_owned(), Value::String(is.clone()));
        }
        let wanted = called.unwrap_or(name);
        let coming = taken.place(List::Contexts, wanted, fields, wanted);
        if let Some(called) = called.filter(|called| *called != coming.is && coming.new.is_some()) {
            return Err(Error::Missing {
                what: format!("there is another context \"{called}\""),
                hint: format!("choose another name with --as, or take the old one away: kubefed config delete-context {called}"),
            });
        }
        all.push(Coming { came: name.clone(), ..coming });
    }
    Ok(all)
}

/// The names of a list that are not free.
struct Taken<'a> {
    mine: &'a BTreeMap<String, Fields>,
    coming: Vec<String>,
}

impl Taken<'_> {
    /// The entry that says the same, or a name for a new one: its own if that is free, else one made of `other`.
    fn place(&mut self, list: List, name: &str, fields: Fields, other: &str) -> Coming {
        let same = |there: &Fields| meant(there) == meant(&fields);
        let by_name = self.mine.get_key_value(name).filter(|(_, there)| same(there));
        let there = by_name.or_else(|| self.mine.iter().find(|(_, there)| same(there)));
        let (is, new) = match there {
            Some((is, _)) => (is.clone(), None),
            None => {
                let numbered = (2_u32..).map(|number| format!("{other}-{number}"));
                let mut names = [name.to_owned(), other.to_owned()].into_iter().chain(numbered);
                let free = names.find(|name| !self.mine.contains_key(name) && !self.coming.contains(name));
                let is = free.unwrap_or_else(|| name.to_owned());
                self.coming.push(is.clone());
                (is, Some(fields))
            }
        };
        Coming { list, came: name.to_owned(), is, new }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn entries(text: &str) -> Entries {
        Entries::read(text.as_bytes(), Path::new("/dir/config")).unwrap()
    }

    const THEIRS: &str = "clusters: [{name: kubernetes, cluster: {server: 'https://b', certificate-authority: ca.pem, future: 1}}]\n\
        users: [{name: admin, user: {token: t}}, {name: other, user: {}}]\n\
        contexts: [{name: main, context: {cluster: kubernetes, user: admin}}, {name: none, context: {}}]\n";
    const MINE: &str = "clusters: [{name: kubernetes, cluster: {server: 'https://a'}}]\n\
        users: [{name: admin, user: {token: u}}, {name: admin-2, user: {}}, {name: mine, user: {token: t}}]\n\
        contexts: [{name: main, context: {cluster: kubernetes, user: admin}}]\n";

    fn told(mine: &Entries, theirs: &Entries, called: Option<&str>) -> String {
        let lines = import(mine, theirs, called).unwrap().into_iter().map(|coming| {
            let new = coming.new.map_or("there".to_owned(), |fields| Value::Object(fields).to_string());
            format!("{} {} -> {}: {new}", coming.list.word(), coming.came, coming.is)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_collides_gets_another_name_everywhere() {
        insta::assert_snapshot!(told(&entries(MINE), &entries(THEIRS), None));
    }

    #[test]
    fn a_second_time_there_is_nothing_to_do() {
        let (mut mine, theirs) = (entries(MINE), entries(THEIRS));
        for coming in import(&mine, &theirs, None).unwrap() {
            if let Some(fields) = coming.new {
                assert!(mine.of_mut(coming.list).insert(coming.is, fields).is_none(), "nothing is replaced");
            }
        }
        assert!(import(&mine, &theirs, None).unwrap().iter().all(|coming| coming.new.is_none()));
    }

    #[test]
    fn a_name_that_is_given_counts_or_is_refused() {
        let one =
            entries("clusters: [{name: kubernetes, cluster: {server: b}}]\ncontexts: [{name: main, context: {cluster: kubernetes}}]\n");
        assert_eq!(
            told(&entries(MINE), &one, Some("prod")),
            "cluster kubernetes -> prod: {\"server\":\"b\"}\ncontext main -> prod: {\"cluster\":\"prod\"}"
        );
        for (theirs, called) in [(&one, "main"), (&entries(THEIRS), "x")] {
            assert!(import(&entries(MINE), theirs, Some(called)).is_err(), "{called}");
        }
        let alone = entries("contexts: [{name: main, context: {user: admin}}]\n");
        assert!(import(&entries(MINE), &alone, None).unwrap_err().to_string().contains("does not come with it"));
    }
}

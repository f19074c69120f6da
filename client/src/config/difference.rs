//! What changed from one kubeconfig to another, without what it says: values are secrets.

use std::collections::BTreeMap;

use crate::Kubeconfig;

/// A line for each entry that is new, gone or changed, and for the current context.
pub fn differences(was: &Kubeconfig, is: &Kubeconfig) -> Vec<String> {
    let mut all = Vec::new();
    entries("context", &was.contexts, &is.contexts, &mut all);
    entries("cluster", &was.clusters, &is.clusters, &mut all);
    entries("user", &was.users, &is.users, &mut all);
    if was.current_context != is.current_context {
        let name = |name: &str| if name.is_empty() { "none".to_owned() } else { format!("{name:?}") };
        all.push(format!("current-context: {} instead of {}", name(&is.current_context), name(&was.current_context)));
    }
    if (&was.preferences, &was.extensions) != (&is.preferences, &is.extensions) {
        all.push("preferences: changed".to_owned());
    }
    all
}

fn entries<T: PartialEq>(word: &str, was: &BTreeMap<String, T>, is: &BTreeMap<String, T>, all: &mut Vec<String>) {
    for (name, entry) in is {
        match was.get(name) {
            None => all.push(format!("{word} {name:?}: new")),
            Some(old) if old != entry => all.push(format!("{word} {name:?}: changed")),
            Some(_) => {}
        }
    }
    all.extend(was.keys().filter(|name| !is.contains_key(*name)).map(|name| format!("{word} {name:?}: gone")));
}

//! Contexts as a kubeconfig of their own, for another machine: everything they use stands in it, and nothing else.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::entries::{Entries, Fields, reference};
use super::list::List;
use crate::Error;
use crate::kubeconfig::{bytes, nearest};

/// A kubeconfig for another machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// What it says.
    pub config: Value,
    /// What it uses nevertheless of the machine it will be on, a sentence each.
    pub remarks: Vec<String>,
}

/// Makes a kubeconfig of contexts; the first one is its current context.
///
/// # Errors
/// A context, or an entry it names, that is not there; a file that cannot be read.
pub fn export(all: &Entries, contexts: &[String]) -> Result<Export, Error> {
    let mut chosen = Entries::default();
    let mut remarks = Vec::new();
    for name in contexts {
        let context = find(all, List::Contexts, name, "")?;
        for list in [List::Clusters, List::Users] {
            let wanted = reference(context, list);
            if !wanted.is_empty() && !chosen.of(list).contains_key(wanted) {
                let fields = find(all, list, wanted, &format!("; context \"{name}\" names it"))?.clone();
                remarks.extend(outside(wanted, &fields));
                chosen.of_mut(list).insert(wanted.to_owned(), embedded(list, wanted, fields)?);
            }
        }
        chosen.of_mut(List::Contexts).insert(name.clone(), context.clone());
    }
    let list =
        |list: List| -> Vec<Value> { chosen.of(list).iter().map(|(name, fields)| json!({"name": name, list.word(): fields})).collect() };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": list(List::Clusters),
        "users": list(List::Users),
        "contexts": list(List::Contexts),
        "current-context": contexts.first(),
    });
    Ok(Export { config, remarks })
}

fn find<'a>(all: &'a Entries, list: List, name: &str, why: &str) -> Result<&'a Fields, Error> {
    let word = list.word();
    all.of(list).get(name).ok_or_else(|| Error::Missing {
        what: format!("there is no {word} \"{name}\"{why}"),
        hint: format!("{word}s there are: {}", nearest(all.of(list).keys().map(String::as_str), name)),
    })
}

/// Files that a field names, and the field their contents go to.
const CLUSTER: [(&str, &str); 1] = [("certificate-authority", "certificate-authority-data")];
const USER: [(&str, &str); 3] =
    [("client-certificate", "client-certificate-data"), ("client-key", "client-key-data"), ("tokenFile", "token")];

fn embedded(list: List, name: &str, mut fields: Fields) -> Result<Fields, Error> {
    let pairs: &[(&str, &str)] = if list == List::Clusters { &CLUSTER } else { &USER };
    for (field, into) in pairs {
        let path = fields.get(*field).and_then(Value::as_str).unwrap_or_default().to_owned();
        if path.is_empty() {
            continue;
        }
        let wrong = |what: String, hint: &str| Error::Entry { entry: format!("{} \"{name}\"", list.word()), what, hint: hint.to_owned() };
        let both = fields.get(*into).and_then(Value::as_str).is_some_and(|data| !data.is_empty());
        // A file with a token counts more than a token, as it does where it is used.
        if both && *into != "token" {
            return Err(wrong(format!("{field} and {into} are both there"), "take one of the two away: kubefed config unset"));
        }
        let contents = bytes(Path::new(&path)).map_err(|e| wrong(format!("{field}: {path}: {e}"), "check the path and its permissions"))?;
        let value = if *into == "token" { String::from_utf8_lossy(&contents).trim().to_owned() } else { STANDARD.encode(contents) };
        fields.insert((*into).to_owned(), Value::String(value));
        fields.remove(*field);
    }
    Ok(fields)
}

/// What an entry uses that no file can hold.
fn outside(name: &str, fields: &Fields) -> Vec<String> {
    let exec = fields.get("exec").filter(|exec| !exec.is_null()).map(|exec| {
        let command = exec.get("command").and_then(Value::as_str).unwrap_or_default();
        format!("user \"{name}\" runs {command}: it has to be on the other machine too, and logged in there")
    });
    let provider = fields.get("auth-provider").filter(|provider| !provider.is_null());
    let provider = provider.map(|_| format!("user \"{name}\" has an auth-provider, which newer programs do not know"));
    exec.into_iter().chain(provider).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_context_stands_alone() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("ca.pem", "ca"), ("key.pem", "key"), ("token", " t0ken\n")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let text = "clusters: [{name: c, cluster: {server: s, certificate-authority: ca.pem, future: [1]}}, {name: d, cluster: {}}]\n\
            users: [{name: u, user: {client-key: key.pem, tokenFile: token, token: old, exec: {command: ./plugin}}}, {name: v, user: {client-key: none}}]\n\
            contexts: [{name: k, context: {cluster: c, user: u}}, {name: l, context: {cluster: c, user: v}}, {name: m, context: {user: w}}]\n";
        let all = Entries::read(text.as_bytes(), &dir.path().join("config")).unwrap();
        let made = |names: &[&str]| export(&all, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let one = made(&["k"]).unwrap();
        insta::assert_snapshot!(crate::yaml::to_yaml(&one.config).replace(&dir.path().display().to_string(), "/DIR"));
        assert_eq!(one.remarks.len(), 1);
        for (names, what) in [
            (&["x"][..], "there is no context \"x\""),
            (&["k", "l"], "user \"v\": client-key: "),
            (&["m"], "there is no user \"w\"; context \"m\" names it"),
        ] {
            let said = made(names).unwrap_err().to_string();
            assert!(said.starts_with(what), "{said}");
        }
    }
}

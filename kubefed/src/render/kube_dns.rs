//! The member's `kube-dns` ConfigMap: our entries in it, and nobody else's.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use thiserror::Error;

/// Namespace of the cluster's DNS.
pub const NAMESPACE: &str = "kube-system";
/// Name of kube-dns' ConfigMap.
pub const NAME: &str = "kube-dns";
const FEDERATIONS: &str = "federations";
const STUB_DOMAINS: &str = "stubDomains";

/// Why a ConfigMap cannot be changed without breaking what others wrote into it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// Its stub domains are not what kube-dns reads.
    #[error("{STUB_DOMAINS} is no JSON object: {0}")]
    StubDomains(#[source] serde_json::Error),
}

/// What a federation adds to a member's DNS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Names {
    /// `<federation>=<zone>`, as v1 wrote it.
    pub item: String,
    /// Zone and the name servers to forward it to, each `host[:port]`; at least one.
    pub stub: Option<(String, Vec<String>)>,
}

/// Changed keys of the ConfigMap's data: a new value, or none where the key goes. Empty when nothing changes.
pub type Changes = BTreeMap<&'static str, Option<String>>;

/// What changes when the federation's names go in.
///
/// # Errors
/// When `stubDomains` is there and is no JSON object.
pub fn add(data: &BTreeMap<String, String>, names: &Names) -> Result<Changes, Unreadable> {
    let mut changes = Changes::new();
    let mut items = items(data);
    if !items.contains(&names.item.as_str()) {
        items.push(&names.item);
        changes.insert(FEDERATIONS, Some(items.join(",")));
    }
    if let Some((zone, servers)) = &names.stub {
        let mut stubs = stubs(data)?;
        let wanted = json!(servers);
        if stubs.get(zone) != Some(&wanted) {
            stubs.insert(zone.clone(), wanted);
            changes.insert(STUB_DOMAINS, Some(Value::Object(stubs).to_string()));
        }
    }
    Ok(changes)
}

/// What changes when they go out again. A key that would be left empty goes.
///
/// # Errors
/// When `stubDomains` is there and is no JSON object.
pub fn remove(data: &BTreeMap<String, String>, names: &Names) -> Result<Changes, Unreadable> {
    let mut changes = Changes::new();
    let items = items(data);
    if items.contains(&names.item.as_str()) {
        let rest: Vec<&str> = items.into_iter().filter(|i| *i != names.item).collect();
        changes.insert(FEDERATIONS, (!rest.is_empty()).then(|| rest.join(",")));
    }
    if let Some((zone, servers)) = &names.stub {
        let mut stubs = stubs(data)?;
        if stubs.get(zone) == Some(&json!(servers)) {
            stubs.remove(zone);
            changes.insert(STUB_DOMAINS, (!stubs.is_empty()).then(|| Value::Object(stubs).to_string()));
        }
    }
    Ok(changes)
}

fn items(data: &BTreeMap<String, String>) -> Vec<&str> {
    data.get(FEDERATIONS).into_iter().flat_map(|v| v.split(',')).map(str::trim).filter(|i| !i.is_empty()).collect()
}

fn stubs(data: &BTreeMap<String, String>) -> Result<Map<String, Value>, Unreadable> {
    match data.get(STUB_DOMAINS).map(String::as_str).filter(|t| !t.trim().is_empty()) {
        None => Ok(Map::new()),
        Some(text) => serde_json::from_str(text).map_err(Unreadable::StubDomains),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::names::map;

    fn names() -> Names {
        Names { item: "fellowship=example.com".into(), stub: Some(("example.com".into(), vec!["10.0.0.10:53".into(), "10.0.0.11".into()])) }
    }

    /// The data after the changes.
    fn after(mut data: BTreeMap<String, String>, changes: Changes) -> BTreeMap<String, String> {
        for (key, value) in changes {
            match value {
                Some(value) => data.insert(key.to_owned(), value),
                None => data.remove(key),
            };
        }
        data
    }

    #[test]
    fn joining_and_leaving_restores_what_others_wrote() {
        for before in [
            map::<0>([]),
            map([("federations", "other=example.org"), ("upstreamNameservers", "[\"1.2.3.4\"]")]),
            map([("stubDomains", r#"{"acme.local":["1.2.3.4"]}"#)]),
        ] {
            let joined = after(before.clone(), add(&before, &names()).unwrap());
            assert!(joined["federations"].ends_with("fellowship=example.com"));
            let stubs: Value = serde_json::from_str(&joined["stubDomains"]).unwrap();
            assert_eq!(stubs["example.com"], json!(["10.0.0.10:53", "10.0.0.11"]));
            assert!(add(&joined, &names()).unwrap().is_empty(), "a second join changes nothing");
            assert_eq!(after(joined.clone(), remove(&joined, &names()).unwrap()), before);
        }
    }

    #[test]
    fn what_is_not_ours_is_not_touched() {
        let theirs = map([("federations", "fellowship=example.org"), ("stubDomains", r#"{"example.com":["9.9.9.9"]}"#)]);
        assert!(remove(&theirs, &names()).unwrap().is_empty());
        assert!(add(&map([("stubDomains", "torn")]), &names()).unwrap_err().to_string().starts_with("stubDomains is no JSON object"));
    }
}

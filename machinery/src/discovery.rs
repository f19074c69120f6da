//! What a server says it serves: the collections of a namespace, each once, in all versions of all groups.

use std::collections::BTreeSet;

use serde_json::Value;

/// API groups that compute what they list from other objects.
const COMPUTED: [&str; 3] = ["metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"];

/// An answer that is no discovery document. It says nothing, in particular not that nothing is served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer to {0} does not say what is served")]
pub struct Unreadable(String);

/// One version of one API group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupVersion {
    /// Name of the group; empty for the core group.
    pub group: String,
    /// Group and version as objects have it in `apiVersion`.
    pub api_version: String,
}

/// The objects of one resource, in the version they are listed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// The version that lists them.
    pub version: GroupVersion,
    /// The resource, as it stands in paths.
    pub resource: String,
    /// The kind of its objects.
    pub kind: String,
}

impl GroupVersion {
    fn core() -> Self {
        Self { group: String::new(), api_version: "v1".to_owned() }
    }

    /// Path of what it serves.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/{}/{}", if self.group.is_empty() { "api" } else { "apis" }, self.api_version)
    }
}

/// Every version a server has, out of its answer to `/apis`: the preferred version of a group comes first, as
/// resources are in some versions of a group only. Groups that store nothing are left out.
///
/// # Errors
/// When the answer is no list of groups, or a group in it has no versions.
pub fn versions(groups: &Value) -> Result<Vec<GroupVersion>, Unreadable> {
    let unreadable = || Unreadable("/apis".to_owned());
    let mut found = vec![GroupVersion::core()];
    for group in array(groups, "groups").ok_or_else(unreadable)? {
        let name = group["name"].as_str().ok_or_else(unreadable)?;
        if COMPUTED.contains(&name) {
            continue;
        }
        let named = |version: &Value| version["groupVersion"].as_str().map(str::to_owned).ok_or_else(unreadable);
        let mut served = array(group, "versions").ok_or_else(unreadable)?.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        if served.is_empty() {
            return Err(unreadable());
        }
        // The sort is stable: the others stay in the server's order.
        served.sort_by_key(|version| group["preferredVersion"]["groupVersion"] != version.as_str());
        found.extend(served.into_iter().map(|api_version| GroupVersion { group: name.to_owned(), api_version }));
    }
    Ok(found)
}

/// Picks the collections of a namespace out of version after version.
#[derive(Debug, Default)]
pub struct Collections {
    taken: BTreeSet<(String, String)>,
}

impl Collections {
    /// Collections that `version` lists and that no version before it did, out of what it says of itself.
    ///
    /// # Errors
    /// When that is no list of resources.
    pub fn of(&mut self, version: &GroupVersion, resources: &Value) -> Result<Vec<Collection>, Unreadable> {
        let resources = array(resources, "resources").ok_or_else(|| Unreadable(version.path()))?;
        let listed = |r: &&Value| r["namespaced"] == true && array(r, "verbs").is_some_and(|verbs| verbs.iter().any(|v| v == "list"));
        let mut found = Vec::new();
        for resource in resources.iter().filter(listed) {
            let name = resource["name"].as_str().unwrap_or_default();
            if !name.is_empty() && !name.contains('/') && self.taken.insert((version.group.clone(), name.to_owned())) {
                let kind = resource["kind"].as_str().unwrap_or_default().to_owned();
                found.push(Collection { version: version.clone(), resource: name.to_owned(), kind });
            }
        }
        Ok(found)
    }
}

/// A list within an answer. A server in Go writes an empty one as null; one that is not there at all is none.
fn array<'a>(of: &'a Value, name: &str) -> Option<&'a [Value]> {
    match of.get(name)? {
        Value::Array(items) => Some(items),
        Value::Null => Some(&[]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group(name: &str, versions: &[&str], preferred: &str) -> Value {
        let named = |version: &str| json!({"groupVersion": format!("{name}/{version}"), "version": version});
        let versions: Vec<Value> = versions.iter().map(|v| named(v)).collect();
        json!({"name": name, "versions": versions, "preferredVersion": named(preferred)})
    }

    fn resource(name: &str, namespaced: bool, verb: &str) -> Value {
        json!({"name": name, "kind": "K", "namespaced": namespaced, "verbs": ["get", verb]})
    }

    #[test]
    fn d25_every_version_of_a_group_is_walked_the_preferred_one_first() {
        let groups = json!({"groups": [
            group("networking.example.com", &["v1alpha3", "v1beta1", "v1"], "v1"), group("metrics.k8s.io", &["v1beta1"], "v1beta1"),
        ]});
        let paths: Vec<String> = versions(&groups).unwrap().iter().map(GroupVersion::path).collect();
        let group = "/apis/networking.example.com";
        assert_eq!(paths, ["/api/v1".to_owned(), format!("{group}/v1"), format!("{group}/v1alpha3"), format!("{group}/v1beta1")]);
    }

    #[test]
    fn d25_a_resource_is_taken_once_in_the_first_version_that_lists_it() {
        let version = |v: &str| GroupVersion { group: "g".into(), api_version: format!("g/{v}") };
        let mut collections = Collections::default();
        let mut names = |v: &str, resources: Value| -> Vec<String> {
            let found = collections.of(&version(v), &json!({"resources": resources})).unwrap();
            found.into_iter().map(|c| format!("{}/{}", c.version.api_version, c.resource)).collect()
        };
        let preferred = json!([
            resource("routes", true, "list"),
            resource("routes/status", true, "list"),
            resource("classes", false, "list"),
            resource("filters", true, "create"),
        ]);
        assert_eq!(names("v1", preferred), ["g/v1/routes"]);
        let older = json!([resource("routes", true, "list"), resource("filters", true, "list")]);
        assert_eq!(names("v1alpha3", older), ["g/v1alpha3/filters"]);
        // Another group's resource of the same name is another resource.
        let other = GroupVersion { group: "h".into(), api_version: "h/v1".into() };
        assert_eq!(collections.of(&other, &json!({"resources": [resource("routes", true, "list")]})).unwrap().len(), 1);
    }

    #[test]
    fn d25_an_answer_that_says_nothing_is_not_empty() {
        for groups in [json!({}), json!({"groups": {}}), json!({"groups": [group("g", &[], "v1")]}), json!({"groups": [{"name": "g"}]})] {
            assert_eq!(versions(&groups), Err(Unreadable("/apis".into())), "{groups}");
        }
        assert_eq!(versions(&json!({"groups": null})).unwrap(), [GroupVersion::core()]);

        let mut collections = Collections::default();
        assert_eq!(collections.of(&GroupVersion::core(), &json!({"status": "Failure"})), Err(Unreadable("/api/v1".into())));
        assert_eq!(collections.of(&GroupVersion::core(), &json!({"resources": null})), Ok(Vec::new()));
    }
}

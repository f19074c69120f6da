//! The discovery documents as JSON, from the resource table.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use machinery::conversion;
use machinery::schema::Gvk;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::auth::Verb;
use crate::registry::resource::{Resource, Subresource};

/// Groups in the order kube-apiserver lists them: kubectl resolves ambiguous short names by it.
/// Others follow by name.
const ORDER: &[&str] = &[
    "",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
];

/// One group; versions by preference.
pub(super) struct Group<'a> {
    pub name: &'a str,
    pub versions: Vec<Version<'a>>,
}

/// One version of a group; resources by name.
pub(super) struct Version<'a> {
    pub name: &'a str,
    pub resources: Vec<&'a Resource>,
}

impl Group<'_> {
    pub(super) fn is_core(&self) -> bool {
        self.name.is_empty()
    }

    /// Where the resources of a version are.
    pub(super) fn path(&self, version: &str) -> String {
        if self.is_core() { format!("/api/{version}") } else { format!("/apis/{}/{version}", self.name) }
    }

    fn group_version(&self, version: &str) -> String {
        if self.is_core() { version.to_owned() } else { format!("{}/{version}", self.name) }
    }
}

/// The table by group and version.
pub(super) fn groups<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Vec<Group<'a>> {
    let mut out: Vec<Group<'a>> = Vec::new();
    for resource in resources {
        let group = match out.iter_mut().position(|g| resource.group == g.name) {
            Some(i) => &mut out[i],
            None => {
                out.push(Group { name: &resource.group, versions: Vec::new() });
                out.last_mut().expect("just pushed")
            }
        };
        match group.versions.iter_mut().find(|v| resource.version == v.name) {
            Some(version) => version.resources.push(resource),
            None => group.versions.push(Version { name: &resource.version, resources: vec![resource] }),
        }
    }
    let place = |name: &str| ORDER.iter().position(|o| *o == name).unwrap_or(ORDER.len());
    out.sort_by_key(|g| (place(g.name), g.name));
    for group in &mut out {
        group.versions.sort_by_key(|v| std::cmp::Reverse(priority(v.name)));
        group.versions.iter_mut().for_each(|v| v.resources.sort_by(|a, b| a.plural.cmp(&b.plural)));
    }
    out
}

/// Kubernetes' order of versions: stable, beta, alpha, and within these the higher number first.
/// What is no version name comes last.
fn priority(version: &str) -> (u8, u32, u32) {
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    let split = |word: &str, level| -> Option<(u8, u32, u32)> {
        let (major, minor) = rest.split_once(word)?;
        Some((level, major.parse().ok()?, minor.parse().ok()?))
    };
    rest.parse().ok().map(|major| (3, major, 0)).or_else(|| split("beta", 2)).or_else(|| split("alpha", 1)).unwrap_or((0, 0, 0))
}

/// `/api`.
pub(super) fn api_versions(groups: &[Group<'_>], server_address: &str) -> Value {
    let core = groups.iter().find(|g| g.is_core());
    let versions: Vec<&str> = core.into_iter().flat_map(|g| g.versions.iter().map(|v| v.name)).collect();
    json!({
        "kind": "APIVersions",
        "versions": versions,
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    })
}

/// `/apis`.
pub(super) fn group_list(groups: &[Group<'_>]) -> Value {
    let entries: Vec<Value> = groups.iter().filter(|g| !g.is_core()).map(entry).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": entries})
}

/// `/apis/{group}`.
pub(super) fn group(group: &Group<'_>) -> Value {
    let mut out = entry(group);
    out["kind"] = "APIGroup".into();
    out["apiVersion"] = "v1".into();
    out
}

fn entry(group: &Group<'_>) -> Value {
    let versions: Vec<Value> =
        group.versions.iter().map(|v| json!({"groupVersion": group.group_version(v.name), "version": v.name})).collect();
    json!({"name": group.name, "preferredVersion": versions.first(), "versions": versions})
}

/// `/api/{version}` and `/apis/{group}/{version}`.
pub(super) fn resource_list(group: &Group<'_>, version: &Version<'_>) -> Value {
    let mut resources = Vec::new();
    for r in &version.resources {
        let mut out = json!({
            "name": r.plural, "singularName": r.singular, "namespaced": r.namespaced, "kind": r.kind, "verbs": names(r.verbs),
        });
        add_names(&mut out, r);
        if r.verbs.contains(&Verb::List) {
            out["storageVersionHash"] = storage_version_hash(r).into();
        }
        resources.push(out);
        for sub in subresources(r) {
            let name = format!("{}/{}", r.plural, sub.name);
            let mut out =
                json!({"name": name, "singularName": "", "namespaced": r.namespaced, "kind": sub.kind, "verbs": names(sub.verbs)});
            if !sub.group.is_empty() {
                out["group"] = sub.group.into();
                out["version"] = sub.version.into();
            }
            resources.push(out);
        }
    }
    let group_version = group.group_version(version.name);
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

/// `APIGroupDiscoveryList` of `apidiscovery.k8s.io`.
pub(super) fn aggregated(groups: &[Group<'_>], version: &str) -> Value {
    let items: Vec<Value> = groups.iter().map(aggregated_group).collect();
    let api_version = format!("apidiscovery.k8s.io/{version}");
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items})
}

fn aggregated_group(group: &Group<'_>) -> Value {
    let version = |v: &Version<'_>| {
        let resources: Vec<Value> = v.resources.iter().map(|r| aggregated_resource(r)).collect();
        json!({"version": v.name, "resources": resources, "freshness": "Current"})
    };
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    let metadata = if group.is_core() { json!({}) } else { json!({"name": group.name}) };
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_resource(r: &Resource) -> Value {
    let response = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut out = json!({
        "resource": r.plural,
        "responseKind": response("", "", &r.kind),
        "scope": if r.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": r.singular,
        "verbs": names(r.verbs),
    });
    add_names(&mut out, r);
    let subs = subresources(r);
    if !subs.is_empty() {
        let sub =
            |s: &Sub<'_>| json!({"subresource": s.name, "responseKind": response(s.group, s.version, s.kind), "verbs": names(s.verbs)});
        out["subresources"] = subs.iter().map(sub).collect();
    }
    out
}

fn names(verbs: &[Verb]) -> Vec<&str> {
    verbs.iter().map(Verb::as_str).collect()
}

fn add_names(out: &mut Value, r: &Resource) {
    for (key, names) in [("shortNames", &r.short_names), ("categories", &r.categories)] {
        if !names.is_empty() {
            out[key] = names.iter().collect();
        }
    }
}

/// A subresource; group and version are empty where they are those of the resource.
pub(crate) struct Sub<'a> {
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'a str,
    pub(crate) verbs: &'static [Verb],
}

/// Subresources by name.
pub(crate) fn subresources(r: &Resource) -> Vec<Sub<'_>> {
    const CHANGE: &[Verb] = &[Verb::Get, Verb::Patch, Verb::Update];
    let mut out: Vec<Sub<'_>> = r
        .subresources
        .iter()
        .map(|sub| match sub {
            Subresource::Status => Sub { name: "status", group: "", version: "", kind: &r.kind, verbs: CHANGE },
            Subresource::Approval => Sub { name: "approval", group: "", version: "", kind: &r.kind, verbs: CHANGE },
            Subresource::Scale => Sub { name: "scale", group: "autoscaling", version: "v1", kind: "Scale", verbs: CHANGE },
            Subresource::Token => {
                Sub { name: "token", group: "authentication.k8s.io", version: "v1", kind: "TokenRequest", verbs: &[Verb::Create] }
            }
            Subresource::Finalize => Sub { name: "finalize", group: "", version: "", kind: &r.kind, verbs: &[Verb::Update] },
        })
        .collect();
    out.sort_by_key(|s| s.name);
    out
}

/// Tells clients which version objects are stored in, without naming it: eight bytes of a hash.
fn storage_version_hash(r: &Resource) -> String {
    let served = Gvk::new(&*r.group, &*r.version, &*r.kind);
    let stored = conversion::stored_as(&served).unwrap_or(served);
    STANDARD.encode(&Sha256::digest(format!("{}/{}/{}", stored.group, stored.version, stored.kind))[..8])
}

//! Everything that is served: one table of resources a profile, opened in the store.

mod core;
mod federation;
mod groups;
pub(crate) mod meta;
mod namespaces;
pub mod resource;
mod services;
mod workloads;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use machinery::schema::{Gvk, TypeId, Types};

use crate::config::Profile;
use crate::storage::ROOT;
use crate::storage::store::{ResourceStore, Store};
use resource::Resource;

pub use namespaces::KUBERNETES;

/// The resources of a profile, by group and then by name.
pub fn resources(profile: Profile) -> Vec<&'static Resource> {
    let common = [
        &groups::FEDERATED[..],
        core::RESOURCES,
        groups::AUTHENTICATION,
        groups::AUTHORIZATION,
        groups::COORDINATION,
        groups::DISCOVERY,
        groups::RBAC,
    ];
    let special: &[&[Resource]] = match profile {
        Profile::Federation => &[groups::FEDERATION],
        Profile::Member => &[core::MEMBER],
    };
    let mut all: Vec<&'static Resource> = common.iter().chain(special).flat_map(|table| table.iter()).collect();
    all.sort_by_key(|r| (r.group, r.plural));
    all
}

/// One served resource, opened.
pub struct Entry {
    /// Its description.
    pub resource: &'static Resource,
    /// Its kind.
    pub gvk: Gvk,
    /// Its type.
    pub type_id: TypeId,
    /// Whether objects have copies in members.
    pub federated: bool,
    store: Option<Arc<ResourceStore>>,
}

impl Entry {
    /// Where its objects are.
    ///
    /// # Panics
    /// For resources that are only asked; handlers turn those away before.
    pub fn store(&self) -> &ResourceStore {
        self.store.as_deref().expect("questions are answered before anybody looks for their store")
    }
}

/// All served resources.
pub struct Registry {
    entries: Vec<Arc<Entry>>,
    index: HashMap<&'static str, Vec<usize>>,
}

impl Registry {
    /// Opens the resources of a profile. Events vanish after `event_ttl`.
    pub fn open(store: &Store, profile: Profile, event_ttl: Duration) -> Self {
        let types = Types::builtin();
        let mut entries = Vec::new();
        let mut index: HashMap<&'static str, Vec<usize>> = HashMap::new();
        for resource in resources(profile) {
            let gvk = Gvk::new(resource.group, resource.version, resource.kind);
            let Some(type_id) = types.kind(&gvk.group, &gvk.version, &gvk.kind) else {
                tracing::error!("{resource:?} has no schema and is not served; this is a defect");
                continue;
            };
            let ttl = resource.ttl.map(|_| event_ttl);
            let opened = resource.stored().then(|| store.resource(&key_prefix(resource), resource.selectable, ttl));
            index.entry(resource.plural).or_default().push(entries.len());
            entries.push(Arc::new(Entry { resource, gvk, type_id, federated: profile == Profile::Federation, store: opened }));
        }
        Self { entries, index }
    }

    /// The resource of that group, version and plural name.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Entry>> {
        let candidates = self.index.get(plural)?.iter().map(|i| &self.entries[*i]);
        candidates.into_iter().find(|e| e.resource.group == group && e.resource.version == version)
    }

    /// All of them, by group and name.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// Namespaces, which every profile has.
    ///
    /// # Panics
    /// Never: a test holds that every profile serves them.
    pub fn namespaces(&self) -> &Arc<Entry> {
        self.find("", "v1", "namespaces").expect("every profile serves namespaces")
    }
}

/// Where a resource's objects are: etcd's layout of Kubernetes, with the group in it.
fn key_prefix(resource: &Resource) -> String {
    if resource.group.is_empty() { format!("{ROOT}{}/", resource.plural) } else { format!("{ROOT}{}/{}/", resource.group, resource.plural) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_a_schema() {
        for profile in [Profile::Federation, Profile::Member] {
            let all = resources(profile);
            assert!(all.iter().any(|r| r.plural == "namespaces"));
            for r in all {
                assert!(Types::builtin().kind(r.group, r.version, r.kind).is_some(), "{r:?}");
            }
        }
    }

    #[test]
    fn members_have_nodes_and_the_federation_has_clusters() {
        let names = |p| resources(p).into_iter().map(|r| r.plural).collect::<Vec<_>>();
        let (federation, member) = (names(Profile::Federation), names(Profile::Member));
        assert!(federation.contains(&"clusters") && !federation.contains(&"pods"));
        assert!(member.contains(&"nodes") && member.contains(&"pods") && !member.contains(&"clusters"));
    }
}

//! Everything that is served: one table of resources a profile, opened in the store.

pub(crate) mod certificates;
mod core;
mod federation;
mod groups;
pub(crate) mod meta;
mod namespaces;
pub mod resource;
mod services;
mod workloads;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use machinery::conversion;
use machinery::schema::{self, Gvk, TypeId, Types};
use machinery::table;
use serde_json::Value;

use crate::config::Profile;
use crate::storage::ROOT;
use crate::storage::object::Layout;
use crate::storage::store::{ResourceStore, Store};
use resource::Resource;

pub use namespaces::KUBERNETES;

/// The resources that a profile begins with, by group and then by name.
pub fn resources(profile: Profile) -> Vec<Resource> {
    let special = match profile {
        Profile::Federation => groups::federation(),
        Profile::Member => core::member(),
    };
    let mut all = [
        groups::all_federated(),
        core::resources(),
        groups::authentication(),
        groups::authorization(),
        groups::certificates(),
        groups::coordination(),
        groups::discovery(),
        groups::rbac_resources(),
        special,
    ]
    .concat();
    all.sort_by(|a, b| (a.group.as_str(), a.plural.as_str()).cmp(&(&b.group, &b.plural)));
    all
}

/// One served resource, opened.
pub struct Entry {
    /// Its description.
    pub resource: Resource,
    /// Its kind, in the version it is served in.
    pub gvk: Gvk,
    /// The kind as it is stored, where that is another version.
    stored_as: Option<Gvk>,
    /// The types its own is among.
    pub types: Arc<Types>,
    /// Its type.
    pub type_id: TypeId,
    /// What a table of it shows.
    pub layout: Arc<Layout>,
    /// Whether objects have copies in members.
    pub federated: bool,
    store: Option<Arc<ResourceStore>>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.resource.fmt(f)
    }
}

impl Entry {
    /// Where its objects are.
    ///
    /// # Panics
    /// For resources that are only asked; handlers turn those away before.
    pub fn store(&self) -> &ResourceStore {
        self.store.as_deref().expect("questions are answered before anybody looks for their store")
    }

    /// The kind in the version it is stored in.
    pub fn stored_gvk(&self) -> &Gvk {
        self.stored_as.as_ref().unwrap_or(&self.gvk)
    }

    /// Whether objects are shown in another version than they are stored in.
    pub fn converts(&self) -> bool {
        self.stored_as.is_some()
    }

    /// A stored object in the version it is served in.
    pub fn shown<'a>(&self, stored: &'a Value) -> Cow<'a, Value> {
        if !self.converts() {
            return Cow::Borrowed(stored);
        }
        let mut object = stored.clone();
        conversion::from_stored(&self.gvk, &mut object);
        Cow::Owned(object)
    }

    /// Makes an object of the version it is served in one as it is stored.
    pub fn take_in(&self, object: &mut Value) {
        if self.converts() {
            schema::default(&self.types, &self.gvk, object);
            conversion::to_stored(&self.gvk, object);
        }
        conversion::drop_carried(&self.gvk, object);
    }
}

/// What is served at one moment. It never changes: a change makes another.
pub struct Catalog {
    types: Arc<Types>,
    entries: Vec<Arc<Entry>>,
    index: HashMap<String, Vec<usize>>,
}

impl Catalog {
    fn new(types: Arc<Types>, mut entries: Vec<Arc<Entry>>) -> Self {
        entries.sort_by(|a, b| (a.resource.group.as_str(), a.resource.plural.as_str()).cmp(&(&b.resource.group, &b.resource.plural)));
        let mut index: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, entry) in entries.iter().enumerate() {
            index.entry(entry.resource.plural.to_string()).or_default().push(at);
        }
        Self { types, entries, index }
    }

    /// The resource of that group, version and plural name.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Entry>> {
        let candidates = self.index.get(plural)?.iter().map(|i| &self.entries[*i]);
        candidates.into_iter().find(|e| e.resource.group == *group && e.resource.version == *version)
    }

    /// The types of all of them.
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// All of them, by group and name.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// Those with objects, each in the version that is stored.
    pub fn stores(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.iter().filter(|e| e.resource.stored() && !e.converts())
    }
}

/// Why a resource cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The types given with it have none for its kind.
    #[error("{group}/{version} {kind} has no type", group = .0.group, version = .0.version, kind = .0.kind)]
    NoType(Gvk),
}

/// All served resources. They may become more and fewer while the server runs: whoever looked something up goes on
/// with what was served then.
pub struct Registry {
    store: Arc<Store>,
    federated: bool,
    event_ttl: Duration,
    current: ArcSwap<Catalog>,
    /// Held while a change is made from what there is.
    changing: Mutex<()>,
    namespaces: Arc<Entry>,
}

impl Registry {
    /// Opens the resources of a profile. Events vanish after `event_ttl`.
    ///
    /// # Panics
    /// Never: a test holds that every profile serves namespaces.
    pub fn open(store: &Arc<Store>, profile: Profile, event_ttl: Duration) -> Self {
        let federated = profile == Profile::Federation;
        let types = Types::shared();
        // Versions of a kind have one, so that what is kept for one is there for the others.
        let mut layouts: HashMap<(String, String), Arc<Layout>> = HashMap::new();
        let mut layout_of = |resource: &Resource| {
            let of = layouts.entry((resource.group.to_string(), resource.kind.to_string()));
            Arc::clone(of.or_insert_with(|| layout(resource)))
        };
        let open = |resource: Resource| match entry(store, layout_of(&resource), resource, &types, federated, event_ttl) {
            Ok(entry) => Some(Arc::new(entry)),
            Err(error) => {
                tracing::error!(%error, "a built-in resource is not served; this is a defect");
                None
            }
        };
        let catalog = Catalog::new(Arc::clone(&types), resources(profile).into_iter().filter_map(open).collect());
        let namespaces = catalog.find("", "v1", "namespaces").expect("every profile serves namespaces").clone();
        Self {
            store: Arc::clone(store),
            federated,
            event_ttl,
            current: ArcSwap::from_pointee(catalog),
            changing: Mutex::new(()),
            namespaces,
        }
    }

    /// What is served now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.current.load_full()
    }

    /// The resource of that group, version and plural name.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Entry>> {
        self.current.load().find(group, version, plural).cloned()
    }

    /// Namespaces, which every profile has.
    pub fn namespaces(&self) -> &Arc<Entry> {
        &self.namespaces
    }

    /// Serves a resource from now on, instead of another of the same group, version and plural name. Objects that are
    /// stored under that name are taken up. `types` are from now on those of everything that is served.
    ///
    /// # Errors
    /// When `types` has none for its kind; nothing changes then.
    pub fn put(&self, resource: Resource, types: &Arc<Types>) -> Result<Arc<Entry>, RegistryError> {
        let entry = Arc::new(entry(&self.store, layout(&resource), resource, types, self.federated, self.event_ttl)?);
        self.change(&entry.resource.group, &entry.resource.version, &entry.resource.plural, Some((&entry, types)));
        Ok(entry)
    }

    /// Serves a resource no more; what is stored of it stays. Says whether it was served.
    pub fn remove(&self, group: &str, version: &str, plural: &str) -> bool {
        self.change(group, version, plural, None)
    }

    fn change(&self, group: &str, version: &str, plural: &str, put: Option<(&Arc<Entry>, &Arc<Types>)>) -> bool {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.current.load();
        let old = now.find(group, version, plural);
        let others = now.entries.iter().filter(|e| old.is_none_or(|old| !Arc::ptr_eq(old, e)));
        let types = put.map_or(&now.types, |(_, types)| types);
        let next = Catalog::new(Arc::clone(types), others.chain(put.map(|(entry, _)| entry)).cloned().collect());
        self.current.store(Arc::new(next));
        old.is_some()
    }
}

fn layout(resource: &Resource) -> Arc<Layout> {
    Arc::new(Layout::new(table::columns_for(&resource.group, &resource.kind)))
}

fn entry(
    store: &Store,
    layout: Arc<Layout>,
    resource: Resource,
    types: &Arc<Types>,
    federated: bool,
    event_ttl: Duration,
) -> Result<Entry, RegistryError> {
    let gvk = Gvk::new(&*resource.group, &*resource.version, &*resource.kind);
    let Some(type_id) = types.kind(&gvk.group, &gvk.version, &gvk.kind) else { return Err(RegistryError::NoType(gvk)) };
    let ttl = resource.ttl.map(|_| event_ttl);
    let opened = resource.stored().then(|| store.resource(&key_prefix(&resource), resource.selectable.clone(), ttl));
    let stored_as = conversion::stored_as(&gvk);
    Ok(Entry { layout, gvk, stored_as, types: Arc::clone(types), type_id, federated, store: opened, resource })
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
                assert!(Types::builtin().kind(&r.group, &r.version, &r.kind).is_some(), "{r:?}");
            }
        }
    }

    #[test]
    fn members_have_nodes_and_the_federation_has_clusters() {
        let names = |p| resources(p).into_iter().map(|r| r.plural.to_string()).collect::<Vec<_>>();
        let (federation, member) = (names(Profile::Federation), names(Profile::Member));
        assert!(federation.contains(&"clusters".to_owned()) && !federation.contains(&"pods".to_owned()));
        assert!(member.contains(&"nodes".to_owned()) && member.contains(&"pods".to_owned()) && !member.contains(&"clusters".to_owned()));
    }
}

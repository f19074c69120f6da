//! Services as they were last seen, in the federation or in a member.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{Arc, PoisonError, RwLock},
};

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;

use crate::follow::Change;

/// Namespace and name of an object.
pub(super) type Name = (String, String);

/// What is known of Services, by namespace and name. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Services(Arc<RwLock<BTreeMap<Name, Arc<Service>>>>);

impl Services {
    /// One of them.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Namespace and name of each.
    pub fn names(&self) -> BTreeSet<(String, String)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Takes in what a follower tells. Returns the names under which something else is known now.
    pub(crate) fn take(&self, change: &Change<Service>) -> BTreeSet<Name> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Listed(listing) => {
                let mut now: BTreeMap<Name, Arc<Service>> = listing.objects.iter().map(|s| (name(s), Arc::new(s.clone()))).collect();
                for head in &listing.unreadable {
                    // It is there, so it stays as it is known: a name is never emptied because something cannot be read.
                    let name = (head.namespace.clone(), head.name.clone());
                    if let Some(service) = known.get(&name) {
                        now.insert(name, service.clone());
                    }
                }
                let before = mem::replace(&mut *known, now);
                differing(&before, &known)
            }
            Change::Changed(service) => {
                known.insert(name(service), Arc::new(service.clone()));
                [name(service)].into()
            }
            Change::Gone(head, _) => {
                let name = (head.namespace.clone(), head.name.clone());
                known.remove(&name);
                [name].into()
            }
            Change::Unreadable(..) | Change::Watching | Change::Failing(_) => BTreeSet::new(),
        }
    }
}

fn name(service: &Service) -> Name {
    (service.namespace().unwrap_or_default(), service.name_any())
}

/// Names under which two states hold something else.
pub(super) fn differing<V: PartialEq>(before: &BTreeMap<Name, V>, now: &BTreeMap<Name, V>) -> BTreeSet<Name> {
    let names = before.keys().chain(now.keys());
    names.filter(|name| before.get(*name) != now.get(*name)).cloned().collect()
}

//! The federated kinds as the controller manager numbers them, and the objects of them.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use federation_api::record::ObjectRef;

pub use federation_api::kinds::{Family, KINDS, Kind};

/// Index into [`KINDS`].
pub type KindId = usize;

/// `Namespace`.
pub const NAMESPACE: KindId = id("Namespace");

/// `HorizontalPodAutoscaler`.
pub const AUTOSCALER: KindId = id("HorizontalPodAutoscaler");

/// Index of a kind in [`KINDS`]; for constants, where a name that is not there does not compile.
pub const fn id(kind: &str) -> KindId {
    let mut id = 0;
    while !same(KINDS[id].kind.as_bytes(), kind.as_bytes()) {
        id += 1;
    }
    id
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    a.len() == b.len() && at == a.len()
}

/// Something for each kind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PerKind<T>([T; KINDS.len()]);

impl<T> PerKind<T> {
    /// Made for each kind.
    pub fn new(of: impl FnMut(KindId) -> T) -> Self {
        Self(std::array::from_fn(of))
    }

    /// Each kind with its own.
    pub fn iter(&self) -> impl Iterator<Item = (KindId, &T)> {
        self.0.iter().enumerate()
    }
}

impl PerKind<bool> {
    /// The kinds it is true of.
    pub fn which(&self) -> impl Iterator<Item = KindId> {
        self.iter().filter_map(|(kind, on)| on.then_some(kind))
    }
}

impl<T: Default> Default for PerKind<T> {
    fn default() -> Self {
        Self::new(|_| T::default())
    }
}

impl<T> Index<KindId> for PerKind<T> {
    type Output = T;

    fn index(&self, kind: KindId) -> &T {
        &self.0[kind]
    }
}

impl<T> IndexMut<KindId> for PerKind<T> {
    fn index_mut(&mut self, kind: KindId) -> &mut T {
        &mut self.0[kind]
    }
}

/// URL path of one object of a kind, or of the namespace's collection when `name` is empty.
pub fn path(kind: &Kind, namespace: &str, name: &str) -> String {
    let mut path = if kind.group.is_empty() { "/api/" } else { "/apis/" }.to_owned() + &kind.api_version();
    if !namespace.is_empty() {
        path.push_str("/namespaces/");
        path.push_str(namespace);
    }
    path.push('/');
    path.push_str(kind.resource);
    if !name.is_empty() {
        path.push('/');
        path.push_str(name);
    }
    path
}

/// The kind a record speaks of, if it is one of ours.
pub fn kind_of(object: &ObjectRef) -> Option<KindId> {
    KINDS.iter().position(|k| k.group == object.group && k.resource == object.resource)
}

/// Names one federated object, and its copies.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectKey {
    /// Index into [`KINDS`].
    pub kind: KindId,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// A key that many tables share.
pub(crate) type Key = Arc<ObjectKey>;

impl ObjectKey {
    /// The kind's data.
    pub fn kind(&self) -> &'static Kind {
        &KINDS[self.kind]
    }

    /// v1's key: `namespace/name`, or the name alone for cluster-scoped objects.
    pub fn full_name(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }

    /// URL path of the object.
    pub fn path(&self) -> String {
        path(self.kind(), &self.namespace, &self.name)
    }

    /// The reference that goes into a record.
    pub fn object_ref(&self) -> ObjectRef {
        let kind = self.kind();
        ObjectRef {
            group: kind.group.into(),
            version: kind.version.into(),
            resource: kind.resource.into(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

/// Whether an object is propagated at all, see [`Kind::is_propagated`].
pub fn is_propagated(key: &ObjectKey) -> bool {
    key.kind().is_propagated(&key.namespace, &key.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let key = |kind, namespace: &str, name: &str| ObjectKey { kind, namespace: namespace.into(), name: name.into() };
        assert_eq!(key(NAMESPACE, "", "demo").path(), "/api/v1/namespaces/demo");
        assert_eq!(key(id("Deployment"), "demo", "web").path(), "/apis/apps/v1/namespaces/demo/deployments/web");
    }

    #[test]
    fn what_clusters_own_is_left_alone() {
        let key = |kind, namespace: &str, name: &str| ObjectKey { kind, namespace: namespace.into(), name: name.into() };
        assert!(!is_propagated(&key(NAMESPACE, "", "default")));
        assert!(!is_propagated(&key(NAMESPACE, "", "kube-system")));
        assert!(!is_propagated(&key(id("ConfigMap"), "kube-system", "coredns")));
        assert!(!is_propagated(&key(id("Service"), "default", "kubernetes")));
        assert!(is_propagated(&key(id("ConfigMap"), "default", "settings")));
        assert!(is_propagated(&key(NAMESPACE, "", "demo")));
    }
}

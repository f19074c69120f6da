//! The live set of roles and bindings: changes in, compiled snapshots out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use futures::{Stream, StreamExt as _};
use serde_json::Value;
use tokio::sync::watch;

use super::aggregate;
use super::object::{Binding, RbacKind, Role, RoleRef, Subject, read};
use super::rule::Rule;
use super::snapshot::{Grant, Index, Snapshot, Ungranted};

/// News of roles and bindings, from a list or a watch.
#[derive(Clone, Debug)]
pub enum Change {
    /// All objects of one kind; those not among them are gone.
    Replaced(RbacKind, Vec<Value>),
    /// An object is new or changed.
    Put(RbacKind, Value),
    /// An object is gone.
    Deleted {
        /// Which kind.
        kind: RbacKind,
        /// Its namespace; empty for cluster-scoped kinds.
        namespace: String,
        /// Its name.
        name: String,
    },
}

type Key = (String, String);

/// Objects as parsed; guarded by a mutex that only writers take.
#[derive(Debug, Default)]
struct Objects {
    cluster_roles: BTreeMap<String, Role>,
    roles: BTreeMap<Key, Role>,
    cluster_bindings: BTreeMap<Key, Binding>,
    bindings: BTreeMap<Key, Binding>,
}

/// What has to be compiled again.
#[derive(Default)]
struct Stale {
    cluster_roles: bool,
    cluster_bindings: bool,
    roles: bool,
    namespaces: BTreeSet<String>,
}

/// A revision of storage for each kind, in the order of [`RbacKind`].
pub type Revisions = [u64; RbacKind::ALL.len()];

/// Roles and bindings of the server.
#[derive(Debug, Default)]
pub struct Rbac {
    /// Writers take turns; never held across an await.
    objects: Mutex<Objects>,
    snapshot: ArcSwap<Snapshot>,
    /// One bit for each kind that has been listed.
    listed: AtomicU8,
    followed: watch::Sender<Revisions>,
}

impl Rbac {
    /// Nothing is granted yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether all four kinds have been listed; before that everybody but system:masters is refused.
    pub fn synced(&self) -> bool {
        self.listed.load(Ordering::Acquire) == 0b1111
    }

    /// Notes that all changes of a kind up to `revision` have been applied.
    pub(super) fn followed_to(&self, kind: RbacKind, revision: u64) {
        self.followed.send_modify(|all| all[kind as usize] = revision);
    }

    /// Waits until what was stored by `revisions` counts for decisions, as long as that takes.
    pub async fn reach(&self, revisions: &Revisions) {
        let mut followed = self.followed.subscribe();
        // The sender lives as long as `self`.
        let _ = followed.wait_for(|seen| seen.iter().zip(revisions).all(|(seen, wanted)| seen >= wanted)).await;
    }

    /// Follows a stream of changes until it ends, taking those that wait together in one step.
    pub async fn follow(&self, changes: impl Stream<Item = Change>) {
        let mut batches = std::pin::pin!(changes.ready_chunks(256));
        while let Some(batch) = batches.next().await {
            self.apply(batch);
        }
    }

    /// Takes changes over; decisions see all of them or none.
    pub fn apply(&self, changes: impl IntoIterator<Item = Change>) {
        // A writer that panicked has published nothing half-made; what it took over still holds.
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut stale, mut listed) = (Stale::default(), 0);
        for change in changes {
            match change {
                Change::Replaced(kind, all) => {
                    objects.clear(kind, &mut stale);
                    all.iter().for_each(|object| objects.put(kind, object, &mut stale));
                    listed |= 1 << kind as u8;
                }
                Change::Put(kind, object) => objects.put(kind, &object, &mut stale),
                Change::Deleted { kind, namespace, name } => objects.delete(kind, &(namespace, name), &mut stale),
            }
        }
        let next = objects.compile(&self.snapshot.load(), stale);
        self.snapshot.store(Arc::new(next));
        self.listed.fetch_or(listed, Ordering::Release);
    }

    pub(super) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Rules of the role a binding in `namespace` refers to; `None` when there is no such role.
    pub fn role_rules(&self, kind: &str, name: &str, namespace: &str) -> Option<Arc<[Rule]>> {
        self.snapshot.load().role(kind, name, namespace)
    }
}

impl Objects {
    fn clear(&mut self, kind: RbacKind, stale: &mut Stale) {
        match kind {
            RbacKind::ClusterRole => {
                self.cluster_roles.clear();
                stale.cluster_roles = true;
            }
            RbacKind::ClusterRoleBinding => {
                self.cluster_bindings.clear();
                stale.cluster_bindings = true;
            }
            RbacKind::Role => {
                stale.roles = true;
                stale.namespaces.extend(std::mem::take(&mut self.roles).into_keys().map(|k| k.0));
            }
            RbacKind::RoleBinding => stale.namespaces.extend(std::mem::take(&mut self.bindings).into_keys().map(|k| k.0)),
        }
    }

    fn put(&mut self, kind: RbacKind, object: &Value, stale: &mut Stale) {
        if let Err(problem) = self.take(kind, object, stale) {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text("namespace"), text("name"));
            tracing::error!(
                resource = kind.plural(),
                namespace,
                name,
                "an object grants nothing, because it does not fit its type: {problem}"
            );
            self.delete(kind, &(namespace, name), stale);
        }
    }

    fn take(&mut self, kind: RbacKind, object: &Value, stale: &mut Stale) -> Result<(), serde_json::Error> {
        match kind {
            RbacKind::ClusterRole => {
                let role: Role = read(object)?;
                self.cluster_roles.insert(role.metadata.name.clone(), role);
                stale.cluster_roles = true;
            }
            RbacKind::ClusterRoleBinding => {
                let binding: Binding = read(object)?;
                self.cluster_bindings.insert((String::new(), binding.metadata.name.clone()), binding);
                stale.cluster_bindings = true;
            }
            RbacKind::Role => {
                let role: Role = read(object)?;
                stale.roles = true;
                stale.namespaces.insert(role.metadata.namespace.clone());
                self.roles.insert((role.metadata.namespace.clone(), role.metadata.name.clone()), role);
            }
            RbacKind::RoleBinding => {
                let binding: Binding = read(object)?;
                stale.namespaces.insert(binding.metadata.namespace.clone());
                self.bindings.insert((binding.metadata.namespace.clone(), binding.metadata.name.clone()), binding);
            }
        }
        Ok(())
    }

    fn delete(&mut self, kind: RbacKind, key: &Key, stale: &mut Stale) {
        match kind {
            RbacKind::ClusterRole => stale.cluster_roles |= self.cluster_roles.remove(&key.1).is_some(),
            RbacKind::ClusterRoleBinding => stale.cluster_bindings |= self.cluster_bindings.remove(key).is_some(),
            RbacKind::Role => {
                stale.roles |= self.roles.remove(key).is_some();
                stale.namespaces.insert(key.0.clone());
            }
            RbacKind::RoleBinding => {
                self.bindings.remove(key);
                stale.namespaces.insert(key.0.clone());
            }
        }
    }

    /// The next snapshot, sharing with the last one what did not change.
    fn compile(&self, last: &Snapshot, mut stale: Stale) -> Snapshot {
        let mut next = Snapshot {
            cluster: last.cluster.clone(),
            namespaces: last.namespaces.clone(),
            cluster_roles: last.cluster_roles.clone(),
            roles: last.roles.clone(),
        };
        if stale.cluster_roles {
            next.cluster_roles = Arc::new(aggregate::resolve(&self.cluster_roles));
            // Any binding anywhere may refer to a cluster role.
            stale.cluster_bindings = true;
            stale.namespaces.extend(self.bindings.keys().map(|k| k.0.clone()));
        }
        if stale.roles {
            let rules = |role: &Role| role.rules.clone().unwrap_or_default().into();
            next.roles = Arc::new(self.roles.iter().map(|(k, role)| (k.clone(), rules(role))).collect());
        }
        if stale.cluster_bindings {
            next.cluster = Arc::new(index(self.cluster_bindings.values(), "", &next));
        }
        for namespace in stale.namespaces {
            let first = (namespace.clone(), String::new());
            let local = self.bindings.range(first..).take_while(|(k, _)| k.0 == namespace).map(|(_, b)| b);
            let index = index(local, &namespace, &next);
            if index.is_empty() {
                next.namespaces.remove(&namespace);
            } else {
                next.namespaces.insert(namespace, Arc::new(index));
            }
        }
        next
    }
}

fn index<'a>(bindings: impl Iterator<Item = &'a Binding>, namespace: &str, snapshot: &Snapshot) -> Index {
    let mut out = Index::default();
    for binding in bindings {
        let rules = grant_rules(&binding.role_ref, namespace, snapshot);
        if let Err(problem) = &rules {
            tracing::debug!("binding {} grants nothing: {problem}", binding.metadata.name);
        }
        let grant = Arc::new(Grant { rules, source: source(binding, namespace) });
        for subject in binding.subjects.iter().flatten() {
            add(&mut out, subject, namespace, &grant);
        }
    }
    out
}

fn grant_rules(role: &RoleRef, namespace: &str, snapshot: &Snapshot) -> Result<Arc<[Rule]>, Ungranted> {
    if !matches!(role.kind.as_str(), "Role" | "ClusterRole") {
        return Err(Ungranted::Kind(role.kind.clone()));
    }
    snapshot
        .role(&role.kind, &role.name, namespace)
        .ok_or_else(|| Ungranted::Missing { kind: role.kind.to_lowercase(), name: role.name.clone() })
}

fn source(binding: &Binding, namespace: &str) -> String {
    let (kind, name) = if namespace.is_empty() {
        ("ClusterRoleBinding", binding.metadata.name.clone())
    } else {
        ("RoleBinding", format!("{}/{namespace}", binding.metadata.name))
    };
    format!("{kind} {name:?} of {} {:?}", binding.role_ref.kind, binding.role_ref.name)
}

fn add(out: &mut Index, subject: &Subject, namespace: &str, grant: &Arc<Grant>) {
    let said = format!("{} {:?}", subject.kind, subject.name);
    match subject.kind.as_str() {
        "User" => out.add_user(subject.name.clone(), grant.clone(), said),
        "Group" => out.add_group(subject.name.clone(), grant.clone(), said),
        "ServiceAccount" => {
            let of = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
            if !of.is_empty() {
                let said = format!("ServiceAccount {:?}", format!("{}/{of}", subject.name));
                out.add_user(format!("system:serviceaccount:{of}:{}", subject.name), grant.clone(), said);
            }
        }
        _ => {}
    }
}

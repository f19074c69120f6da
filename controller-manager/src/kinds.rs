//! The kinds the federation propagates, as data.

use federation_api::{keys, record::ObjectRef};
use kube::core::{ApiResource, GroupVersionKind};

/// What distinguishes the treatment of a kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// The same object in each cluster.
    Plain,
    /// As plain, but addresses and node ports are each cluster's own.
    Service,
    /// `spec.replicas` is divided among clusters; the key names the annotation with preferences.
    Replicated(&'static str),
    /// As plain, with counters in its status.
    Counted,
    /// `spec.parallelism` and `spec.completions` are divided among clusters.
    Job,
    /// `spec.minReplicas` and `spec.maxReplicas` are divided among clusters; in each, the copy decides about the
    /// replicas of its target.
    Autoscaler,
}

/// One federated kind.
#[derive(Debug)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Plural resource name; also v1's name of the controller in `--controllers`.
    pub resource: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// How it is treated.
    pub family: Family,
    /// Status counters summed over the clusters.
    pub counters: &'static [&'static str],
}

/// Index into [`KINDS`].
pub type KindId = usize;

/// Index of `Namespace` in [`KINDS`].
pub const NAMESPACE: KindId = 0;

/// Index of `HorizontalPodAutoscaler` in [`KINDS`].
pub const AUTOSCALER: KindId = 8;

/// All federated kinds, namespaces first.
pub static KINDS: [Kind; 10] = [
    Kind { group: "", version: "v1", kind: "Namespace", resource: "namespaces", namespaced: false, family: Family::Plain, counters: &[] },
    Kind { group: "", version: "v1", kind: "ConfigMap", resource: "configmaps", namespaced: true, family: Family::Plain, counters: &[] },
    Kind { group: "", version: "v1", kind: "Secret", resource: "secrets", namespaced: true, family: Family::Plain, counters: &[] },
    Kind { group: "", version: "v1", kind: "Service", resource: "services", namespaced: true, family: Family::Service, counters: &[] },
    Kind {
        group: "apps",
        version: "v1",
        kind: "Deployment",
        resource: "deployments",
        namespaced: true,
        family: Family::Replicated(keys::DEPLOYMENT_PREFERENCES),
        counters: &["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"],
    },
    Kind {
        group: "apps",
        version: "v1",
        kind: "ReplicaSet",
        resource: "replicasets",
        namespaced: true,
        family: Family::Replicated(keys::REPLICA_SET_PREFERENCES),
        counters: &["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
    },
    Kind {
        group: "apps",
        version: "v1",
        kind: "DaemonSet",
        resource: "daemonsets",
        namespaced: true,
        family: Family::Counted,
        counters: &[
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
        ],
    },
    Kind {
        group: "batch",
        version: "v1",
        kind: "Job",
        resource: "jobs",
        namespaced: true,
        family: Family::Job,
        counters: &["active", "succeeded", "failed"],
    },
    Kind {
        group: "autoscaling",
        version: "v2",
        kind: "HorizontalPodAutoscaler",
        resource: "horizontalpodautoscalers",
        namespaced: true,
        family: Family::Autoscaler,
        counters: &["currentReplicas", "desiredReplicas"],
    },
    Kind {
        group: "networking.k8s.io",
        version: "v1",
        kind: "Ingress",
        resource: "ingresses",
        namespaced: true,
        family: Family::Plain,
        counters: &[],
    },
];

impl Kind {
    /// `apiVersion` of the kind.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// What kube needs to address objects of the kind.
    pub fn api_resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.kind), self.resource)
    }

    /// URL path of one object, or of the namespace's collection when `name` is empty.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let mut path =
            if self.group.is_empty() { format!("/api/{}", self.version) } else { format!("/apis/{}/{}", self.group, self.version) };
        if !namespace.is_empty() {
            path.push_str("/namespaces/");
            path.push_str(namespace);
        }
        path.push('/');
        path.push_str(self.resource);
        if !name.is_empty() {
            path.push('/');
            path.push_str(name);
        }
        path
    }
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
        self.kind().path(&self.namespace, &self.name)
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

/// Namespaces every cluster has and manages itself: nothing in them is propagated.
const CLUSTER_OWNED: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// Whether an object is propagated at all. The namespace `default` exists in every cluster: what is in
/// it is propagated, itself it is neither taken over nor deleted.
pub fn is_propagated(key: &ObjectKey) -> bool {
    if key.kind == NAMESPACE {
        return key.name != "default" && !CLUSTER_OWNED.contains(&key.name.as_str());
    }
    let own_service = key.kind().family == Family::Service && key.namespace == "default" && key.name == "kubernetes";
    !CLUSTER_OWNED.contains(&key.namespace.as_str()) && !own_service
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let key = |kind, namespace: &str, name: &str| ObjectKey { kind, namespace: namespace.into(), name: name.into() };
        assert_eq!(key(NAMESPACE, "", "demo").path(), "/api/v1/namespaces/demo");
        assert_eq!(key(4, "demo", "web").path(), "/apis/apps/v1/namespaces/demo/deployments/web");
    }

    #[test]
    fn indices_are_those_of_the_table() {
        assert_eq!((KINDS[NAMESPACE].kind, KINDS[AUTOSCALER].kind), ("Namespace", "HorizontalPodAutoscaler"));
    }

    #[test]
    fn what_clusters_own_is_left_alone() {
        let key = |kind, namespace: &str, name: &str| ObjectKey { kind, namespace: namespace.into(), name: name.into() };
        assert!(!is_propagated(&key(NAMESPACE, "", "default")));
        assert!(!is_propagated(&key(NAMESPACE, "", "kube-system")));
        assert!(!is_propagated(&key(1, "kube-system", "coredns")));
        assert!(!is_propagated(&key(3, "default", "kubernetes")));
        assert!(is_propagated(&key(1, "default", "settings")));
        assert!(is_propagated(&key(NAMESPACE, "", "demo")));
    }
}

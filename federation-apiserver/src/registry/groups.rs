//! The groups besides the core one.

use super::core::Rbac;
use super::federation::Clusters;
use super::resource::{Resource, Strategy, Subresource};
use super::workloads::Jobs;

/// Rules of kinds with a spec and a status and no rule of their own.
struct SpecAndStatus;

impl Strategy for SpecAndStatus {}

/// Rules of autoscalers, whose generation Kubernetes does not count.
struct Autoscalers;

impl Strategy for Autoscalers {
    fn counts_generations(&self) -> bool {
        false
    }
}

/// Rules of kinds with a spec that counts generations, without status.
struct SpecOnly;

impl Strategy for SpecOnly {
    fn has_status(&self) -> bool {
        false
    }
}

const STATUS: &[Subresource] = &[Subresource::Status];
const STATUS_AND_SCALE: &[Subresource] = &[Subresource::Scale, Subresource::Status];

const fn apps(kind: &'static str, plural: &'static str, singular: &'static str) -> Resource {
    Resource {
        categories: &["all"],
        subresources: STATUS_AND_SCALE,
        strategy: &SpecAndStatus,
        ..Resource::namespaced("apps", "v1", kind, plural, singular)
    }
}

pub(super) static APPS: &[Resource] = &[
    Resource { short_names: &["ds"], subresources: STATUS, ..apps("DaemonSet", "daemonsets", "daemonset") },
    Resource { short_names: &["deploy"], ..apps("Deployment", "deployments", "deployment") },
    Resource { short_names: &["rs"], ..apps("ReplicaSet", "replicasets", "replicaset") },
];

pub(super) static MEMBER_APPS: &[Resource] = &[Resource { short_names: &["sts"], ..apps("StatefulSet", "statefulsets", "statefulset") }];

pub(super) static AUTHENTICATION: &[Resource] = &[
    Resource::question("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview"),
    Resource::question("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", "tokenreview"),
];

const AUTHORIZATION_GROUP: &str = "authorization.k8s.io";

pub(super) static AUTHORIZATION: &[Resource] = &[
    Resource {
        namespaced: true,
        ..Resource::question(AUTHORIZATION_GROUP, "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", "localsubjectaccessreview")
    },
    Resource::question(AUTHORIZATION_GROUP, "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview"),
    Resource::question(AUTHORIZATION_GROUP, "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview"),
    Resource::question(AUTHORIZATION_GROUP, "v1", "SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview"),
];

pub(super) static AUTOSCALING: &[Resource] = &[Resource {
    short_names: &["hpa"],
    categories: &["all"],
    subresources: STATUS,
    strategy: &Autoscalers,
    ..Resource::namespaced("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler")
}];

pub(super) static BATCH: &[Resource] = &[Resource {
    categories: &["all"],
    subresources: STATUS,
    selectable: &["status.successful"],
    strategy: &Jobs,
    ..Resource::namespaced("batch", "v1", "Job", "jobs", "job")
}];

pub(super) static COORDINATION: &[Resource] = &[Resource::namespaced("coordination.k8s.io", "v1", "Lease", "leases", "lease")];

pub(super) static DISCOVERY: &[Resource] = &[Resource {
    strategy: &SpecOnly,
    ..Resource::namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "endpointslice")
}];

pub(super) static FEDERATION: &[Resource] = &[
    Resource { subresources: STATUS, strategy: &Clusters, ..Resource::cluster("federation", "v1beta1", "Cluster", "clusters", "cluster") },
    Resource {
        strategy: &SpecOnly,
        ..Resource::cluster("federation", "v1beta1", "PropagationRecord", "propagationrecords", "propagationrecord")
    },
];

pub(super) static NETWORKING: &[Resource] = &[Resource {
    short_names: &["ing"],
    subresources: STATUS,
    strategy: &SpecAndStatus,
    ..Resource::namespaced("networking.k8s.io", "v1", "Ingress", "ingresses", "ingress")
}];

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

const fn rbac(kind: &'static str, plural: &'static str, singular: &'static str) -> Resource {
    Resource { strategy: &Rbac, ..Resource::namespaced(RBAC_GROUP, "v1", kind, plural, singular) }
}

pub(super) static RBAC: &[Resource] = &[
    Resource { namespaced: false, ..rbac("ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding") },
    Resource { namespaced: false, ..rbac("ClusterRole", "clusterroles", "clusterrole") },
    rbac("RoleBinding", "rolebindings", "rolebinding"),
    rbac("Role", "roles", "role"),
];

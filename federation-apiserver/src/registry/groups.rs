//! The federated kinds, and the groups besides the core one.

use federation_api::credential;
use federation_api::kinds::{KINDS, Kind, Served};

use super::certificates::{self, Requests};
use super::core::{Claims, Rbac, ServiceAccounts};
use super::federation::{Clusters, Credentials};
use super::namespaces::Namespaces;
use super::resource::{ALL_VERBS, Plain, Resource, Strategy, Subresource};
use super::services::Services;
use super::workloads::Jobs;
use crate::auth::Verb;
use crate::names::{Name, Names};

/// Rules of kinds with a spec and a status and no rule of their own.
struct SpecAndStatus;

impl Strategy for SpecAndStatus {}

/// Rules of kinds with a spec and a status whose generation Kubernetes does not count.
struct Uncounted;

impl Strategy for Uncounted {
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
/// Rules of a kind that the federation spreads over its members.
fn strategy(kind: &Kind) -> &'static dyn Strategy {
    match (kind.kind, kind.served) {
        ("Namespace", _) => &Namespaces,
        ("Service", _) => &Services,
        ("Job", _) => &Jobs,
        ("PersistentVolumeClaim", _) => &Claims,
        ("ServiceAccount", _) => &ServiceAccounts,
        ("Role" | "RoleBinding", _) => &Rbac,
        (_, Served { status: true, generations: true, .. }) => &SpecAndStatus,
        (_, Served { status: true, .. }) => &Uncounted,
        (_, Served { generations: true, .. }) => &SpecOnly,
        _ => &Plain,
    }
}

/// A kind that the federation spreads over its members.
fn federated(kind: &Kind) -> Resource {
    let subresources: &[Subresource] = match (kind.kind, kind.served.scale, kind.served.status) {
        ("Namespace", ..) => &[Subresource::Finalize, Subresource::Status],
        ("ServiceAccount", ..) => &[Subresource::Token],
        (_, true, _) => &[Subresource::Scale, Subresource::Status],
        (_, _, true) => STATUS,
        _ => &[],
    };
    Resource {
        group: Name::Fixed(kind.group),
        version: Name::Fixed(kind.version),
        kind: Name::Fixed(kind.kind),
        plural: Name::Fixed(kind.resource),
        singular: Name::Fixed(kind.served.singular),
        short_names: Names::Fixed(kind.served.short_names),
        categories: Names::Fixed(kind.served.categories),
        namespaced: kind.namespaced,
        // Namespaces are not deleted by the collection.
        verbs: if kind.kind == "Namespace" { NO_DELETECOLLECTION } else { ALL_VERBS },
        subresources,
        selectable: Names::Fixed(kind.served.selectable),
        strategy: strategy(kind),
        ttl: None,
    }
}

/// The kinds that the federation spreads over its members, in every version they are served in.
pub(super) fn all_federated() -> Vec<Resource> {
    let other = |kind: &'static Kind| kind.served.also.iter().map(|version| Resource { version: Name::Fixed(version), ..federated(kind) });
    KINDS.iter().flat_map(|kind| std::iter::once(federated(kind)).chain(other(kind))).collect()
}

const NO_DELETECOLLECTION: &[Verb] = &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch];

pub(super) fn authentication() -> Vec<Resource> {
    vec![
        Resource::question("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview"),
        Resource::question("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", "tokenreview"),
    ]
}

const AUTHORIZATION_GROUP: &str = "authorization.k8s.io";

pub(super) fn authorization() -> Vec<Resource> {
    vec![
        Resource {
            namespaced: true,
            ..Resource::question(
                AUTHORIZATION_GROUP,
                "v1",
                "LocalSubjectAccessReview",
                "localsubjectaccessreviews",
                "localsubjectaccessreview",
            )
        },
        Resource::question(AUTHORIZATION_GROUP, "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview"),
        Resource::question(AUTHORIZATION_GROUP, "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview"),
        Resource::question(AUTHORIZATION_GROUP, "v1", "SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview"),
    ]
}

pub(super) fn certificates() -> Vec<Resource> {
    vec![Resource {
        short_names: Names::Fixed(&["csr"]),
        subresources: &[Subresource::Approval, Subresource::Status],
        selectable: Names::Fixed(&["spec.signerName"]),
        strategy: &Requests,
        ..Resource::cluster(certificates::GROUP, "v1", "CertificateSigningRequest", certificates::PLURAL, "certificatesigningrequest")
    }]
}

pub(super) fn coordination() -> Vec<Resource> {
    vec![Resource::namespaced("coordination.k8s.io", "v1", "Lease", "leases", "lease")]
}

pub(super) fn discovery() -> Vec<Resource> {
    vec![Resource {
        strategy: &SpecOnly,
        ..Resource::namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "endpointslice")
    }]
}

pub(super) fn federation() -> Vec<Resource> {
    vec![
        Resource {
            subresources: STATUS,
            strategy: &Clusters,
            ..Resource::cluster("federation", "v1beta1", "Cluster", "clusters", "cluster")
        },
        Resource {
            short_names: Names::Fixed(&["cred"]),
            // They are kept until they have expired, so nobody deletes them by the collection.
            verbs: NO_DELETECOLLECTION,
            subresources: STATUS,
            selectable: Names::Fixed(&["spec.type", "spec.user"]),
            strategy: &Credentials,
            ..Resource::cluster("federation", "v1beta1", credential::KIND, credential::PLURAL, "credential")
        },
        Resource {
            strategy: &SpecOnly,
            ..Resource::cluster("federation", "v1beta1", "PropagationRecord", "propagationrecords", "propagationrecord")
        },
    ]
}

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

fn rbac(kind: &'static str, plural: &'static str, singular: &'static str) -> Resource {
    Resource { strategy: &Rbac, ..Resource::namespaced(RBAC_GROUP, "v1", kind, plural, singular) }
}

pub(super) fn rbac_resources() -> Vec<Resource> {
    vec![
        Resource { namespaced: false, ..rbac("ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding") },
        Resource { namespaced: false, ..rbac("ClusterRole", "clusterroles", "clusterrole") },
    ]
}

//! Every annotation, label, finalizer and well-known name of the federation.
//!
//! The `federation.alpha.kubernetes.io` and `federation.kubernetes.io` keys are those of
//! Kubernetes Federation v1 and work unchanged.

/// API group of our own kinds.
pub const GROUP: &str = "federation";
/// Version of our own kinds.
pub const VERSION: &str = "v1beta1";
/// `apiVersion` of our own kinds.
pub const API_VERSION: &str = "federation/v1beta1";

/// Annotation on everything `kubefed` creates: the federation it belongs to.
pub const FEDERATION_NAME: &str = "federation.alpha.kubernetes.io/federation-name";
/// Annotation on everything `kubefed join` creates: the cluster it was created for.
pub const CLUSTER_NAME: &str = "federation.alpha.kubernetes.io/cluster-name";
/// Annotation on federated objects: JSON array of label requirements on Cluster labels.
pub const CLUSTER_SELECTOR: &str = "federation.alpha.kubernetes.io/cluster-selector";
/// Annotation on federated Deployments: replica preferences as JSON.
pub const DEPLOYMENT_PREFERENCES: &str = "federation.kubernetes.io/deployment-preferences";
/// Annotation on federated ReplicaSets: replica preferences as JSON.
pub const REPLICA_SET_PREFERENCES: &str = "federation.kubernetes.io/replica-set-preferences";
/// Annotation on federated StatefulSets: replica preferences as JSON.
pub const STATEFUL_SET_PREFERENCES: &str = "federation.kubernetes.io/stateful-set-preferences";
/// Annotation on federated Jobs: preferences for parallelism and completions as JSON.
pub const JOB_PREFERENCES: &str = "federation.kubernetes.io/job-preferences";
/// Annotation on federated Services: addresses per cluster, as v1 wrote them.
pub const SERVICE_INGRESSES: &str = "federation.kubernetes.io/service-ingresses";
/// Annotation on a Cluster: the member's service account. The misspelling is v1's wire format.
pub const SERVICE_ACCOUNT_NAME: &str = "federation.kubernetes.io/servive-account-name";
/// Annotation on a Cluster: the member's cluster role.
pub const CLUSTER_ROLE_NAME: &str = "federation.kubernetes.io/cluster-role-name";
/// Annotation on a federated object: `abort` (default) or `adopt` objects that already exist in a member.
pub const CONFLICT: &str = "federation.kubernetes.io/conflict";

/// Annotation on a federated Secret or ConfigMap with Helm's record of a release: `true` spreads it to the members.
pub const PROPAGATE: &str = "federation.kubernetes.io/propagate";

/// Annotation on a Cluster: `allow` lets deletions that the brake stopped go on, as long as it is there.
pub const MASS_DELETION: &str = "federation.kubernetes.io/mass-deletion";

/// Annotation on a Cluster, kept by the controller manager: what the brake let through in the last day, by the hour.
pub const RECENT_DELETIONS: &str = "federation.kubernetes.io/recent-deletions";

/// Annotation on a Cluster: `allow` lets deletions of DNS names that the brake holds back go on, in the whole zone and as
/// long as it is there.
pub const DNS_DELETION: &str = "federation.kubernetes.io/dns-deletion";

/// Annotation on a Cluster: `true` lets a Cluster without `secretRef` be used although its server cannot be checked.
pub const INSECURE: &str = "federation.kubernetes.io/insecure";

/// Annotation on a Cluster: uid of the member's namespace `kube-system`, which tells one cluster from another whatever
/// their names and addresses. `kubefed join` notes it; the controller manager does where it is missing.
pub const CLUSTER_UID: &str = "federation.kubernetes.io/cluster-uid";

/// Condition of a Cluster that tells, with status `False`, what is wrong with the end of the federation's credentials there. There
/// is none while all is well.
pub const CREDENTIALS_RENEWED: &str = "CredentialsRenewed";
/// Reason of [`CREDENTIALS_RENEWED`]: the token has no end.
pub const TOKEN_WITHOUT_END: &str = "TokenWithoutEnd";
/// Reason of [`CREDENTIALS_RENEWED`]: the token ends within days, and nobody renews it.
pub const TOKEN_ENDS_SOON: &str = "TokenEndsSoon";
/// Reason of [`CREDENTIALS_RENEWED`]: the token should have been renewed by now.
pub const TOKEN_NOT_RENEWED: &str = "TokenNotRenewed";
/// Reasons of [`CREDENTIALS_RENEWED`] after which the member is lost one day, if nobody does anything.
pub const CREDENTIALS_ENDING: [&str; 2] = [TOKEN_ENDS_SOON, TOKEN_NOT_RENEWED];

/// Annotation on a Cluster: `kubefed join` changes it whenever it stored other credentials, so that they are read at once.
pub const CREDENTIALS: &str = "federation.kubernetes.io/credentials";

/// Key of a member's secret in the host: bearer token of the federation's account.
pub const SECRET_TOKEN: &str = "token";
/// Key of a member's secret: the terms of that token, by which the controller manager makes the next
/// ([`TokenTerms`](crate::member_token::TokenTerms)); absent for tokens that others made.
pub const SECRET_TOKEN_TERMS: &str = "token-terms";
/// Key of a member's secret: PEM of the authority of its serving certificate; absent or empty is the system's roots.
pub const SECRET_CA: &str = "ca.crt";
/// Key of a member's secret: the URL the credentials are for. They are sent nowhere else.
pub const SECRET_SERVER: &str = "server";
/// Key of a member's secret: the name its certificate is checked for, where that is not the host of the URL.
pub const SECRET_TLS_SERVER_NAME: &str = "tls-server-name";
/// Key of a member's secret: `true` lets its certificate be anything, as in the kubeconfig it was joined with.
pub const SECRET_INSECURE: &str = "insecure-skip-tls-verify";
/// Key of a member's secret: URL of the proxy it is reached through.
pub const SECRET_PROXY: &str = "proxy-url";
/// Key of a member's secret: a whole kubeconfig with everything inline, in place of the keys above, as v1 read it.
pub const SECRET_KUBECONFIG: &str = "kubeconfig";

/// Label on every object the federation writes into a member; the value is the federation's name.
pub const MANAGED_BY: &str = "federation.kubernetes.io/managed-by";
/// Annotation on every object the federation writes into a member: uid of the federated object.
pub const SOURCE_UID: &str = "federation.kubernetes.io/source-uid";
/// Annotation on every object the federation writes into a member: digest of what was written.
pub const APPLIED: &str = "federation.kubernetes.io/applied";
/// All annotations the federation puts on its copies: whoever makes a copy the member's own takes them off.
pub const COPY_ANNOTATIONS: [&str; 2] = [SOURCE_UID, APPLIED];

/// Finalizer on federated objects: member copies are deleted before the object goes.
pub const DELETE_FROM_CLUSTERS: &str = "federation.kubernetes.io/delete-from-underlying-clusters";
/// Finalizer on federated objects: while present, deletion leaves the member copies in place.
pub const ORPHAN: &str = "orphan";
/// Kubernetes' finalizer for the contrary of [`ORPHAN`]: an object has one of them at most. Nobody collects garbage in the
/// federation, so it says only that copies go with the object.
pub const FOREGROUND: &str = "foregroundDeletion";

/// The federation's finalizers that an object lacks, of those it has.
pub fn missing_finalizers<'a>(present: impl IntoIterator<Item = &'a str>) -> Vec<&'static str> {
    let (mut from_clusters, mut orphan) = (false, false);
    for finalizer in present {
        from_clusters |= finalizer == DELETE_FROM_CLUSTERS;
        orphan |= finalizer == ORPHAN || finalizer == FOREGROUND;
    }
    let missing = [(DELETE_FROM_CLUSTERS, from_clusters), (ORPHAN, orphan)];
    missing.into_iter().filter(|(_, has)| !has).map(|(finalizer, _)| finalizer).collect()
}

/// Field manager of every write into a member.
pub const FIELD_MANAGER: &str = "federation";

/// Node label with the zone; the beta label is read where this one is missing.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Node label with the region; the beta label is read where this one is missing.
pub const REGION_LABEL: &str = "topology.kubernetes.io/region";
/// Zone label of Kubernetes before 1.17.
pub const ZONE_LABEL_BETA: &str = "failure-domain.beta.kubernetes.io/zone";
/// Region label of Kubernetes before 1.17.
pub const REGION_LABEL_BETA: &str = "failure-domain.beta.kubernetes.io/region";

/// Namespace of the control plane in the host and of our credentials in members.
pub const DEFAULT_SYSTEM_NAMESPACE: &str = "federation-system";
/// Label `app` on everything `kubefed init` creates.
pub const APP: &str = "federated-cluster";
/// Lease of the controller manager that leads, in the federation.
pub const LEADER_LEASE: &str = "federation-controller-manager";
/// Namespace of [`LEADER_LEASE`].
pub const LEADER_LEASE_NAMESPACE: &str = "kube-system";
/// User (certificate common name) of the controller manager at the federation API server.
pub const CONTROLLER_MANAGER_USER: &str = "federation-controller-manager";

//! The kinds a federation spreads over its members, told once: propagation, the names of controllers, the rights in
//! members, what `unjoin` takes away, what the API server serves, its roles and the table in `docs/placement.md` are
//! derived from this table.

use crate::keys;

/// How a kind is treated on its way into the members.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// The same object in each cluster.
    Plain,
    /// As plain, but addresses and node ports are each cluster's own.
    Service,
    /// `spec.replicas` is divided among clusters.
    Replicated,
    /// `spec.parallelism` and `spec.completions` are divided among clusters.
    Job,
    /// `spec.minReplicas` and `spec.maxReplicas` are divided among clusters; in each, the copy decides about the
    /// replicas of its target.
    Autoscaler,
    /// The same object in each cluster, bound to storage there: a copy that is not wanted any more stays, and its status
    /// says whether all are bound.
    Claim,
    /// The same object in each cluster, which starts Jobs there by that cluster's clock.
    Schedule,
}

/// Who may do what with a kind in a namespace, by Kubernetes' roles `view`, `edit` and `admin`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// `view` reads; nobody writes who has rights in a namespace only.
    Read,
    /// `view` reads, `edit` writes.
    Write,
    /// `edit` reads and writes: what is in it lets one be somebody else.
    Secret,
    /// `admin` reads and writes: it grants rights.
    Grant,
}

/// What the API server serves of a kind besides the object itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Served {
    /// Other versions it is served in besides its own, in which it is stored.
    pub also: &'static [&'static str],
    /// Singular name.
    pub singular: &'static str,
    /// Short names for kubectl.
    pub short_names: &'static [&'static str],
    /// Categories for kubectl, for example `all`.
    pub categories: &'static [&'static str],
    /// Whether it has `/status`.
    pub status: bool,
    /// Whether it has `/scale`.
    pub scale: bool,
    /// Selectable fields besides `metadata.name` and `metadata.namespace`, as dotted paths.
    pub selectable: &'static [&'static str],
    /// Whether `metadata.generation` counts changes of the spec.
    pub generations: bool,
    /// Who may do what with it.
    pub access: Access,
}

/// One federated kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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
    /// Annotation with preferences about how it is divided, where it is divided by its own.
    pub preferences: Option<&'static str>,
    /// Status counters summed over the clusters.
    pub counters: &'static [&'static str],
    /// Whether its controller makes other objects, which go and stay with it.
    pub owner: bool,
    /// Whether an object stays in the federation unless annotation [`keys::PROPAGATE`] says otherwise.
    pub opt_in: bool,
    /// How the API server serves it.
    pub served: Served,
}

/// Namespaces every cluster has and manages itself: nothing in them is propagated.
const CLUSTER_OWNED: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// Rights the federation needs in a member on each kind. Writes are applies: a patch, and create where there is nothing yet.
pub const MEMBER_VERBS: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

const fn kind(group: &'static str, kind: &'static str, resource: &'static str, singular: &'static str) -> Kind {
    Kind {
        group,
        version: "v1",
        kind,
        resource,
        namespaced: true,
        family: Family::Plain,
        preferences: None,
        counters: &[],
        owner: false,
        opt_in: false,
        served: Served {
            also: &[],
            singular,
            short_names: &[],
            categories: &[],
            status: false,
            scale: false,
            selectable: &[],
            generations: false,
            access: Access::Write,
        },
    }
}

impl Kind {
    /// Whether an object of this name is propagated at all. The namespace `default` exists in every cluster: what is in
    /// it is propagated, itself it is neither taken over nor deleted.
    pub fn is_propagated(&self, namespace: &str, name: &str) -> bool {
        if self.kind == "Namespace" {
            return name != "default" && !CLUSTER_OWNED.contains(&name);
        }
        let own_service = self.family == Family::Service && namespace == "default" && name == "kubernetes";
        !CLUSTER_OWNED.contains(&namespace) && !own_service
    }

    /// Served in other versions, too.
    const fn also(mut self, versions: &'static [&'static str]) -> Self {
        self.served.also = versions;
        self
    }

    const fn short(mut self, short_names: &'static [&'static str]) -> Self {
        self.served.short_names = short_names;
        self
    }

    /// With a status of its own, and a generation.
    const fn with_status(mut self) -> Self {
        self.served.status = true;
        self.served.generations = true;
        self
    }

    /// Without a status, though changes of its spec are counted.
    const fn with_generations(mut self) -> Self {
        self.served.generations = true;
        self
    }

    /// Without a count of its spec's changes, though it has a status.
    const fn without_generations(mut self) -> Self {
        self.served.generations = false;
        self
    }

    /// What `kubectl get all` shows.
    const fn in_all(mut self) -> Self {
        self.served.categories = &["all"];
        self
    }

    /// With `spec.replicas` to divide, and the annotation that tells how.
    const fn replicated(mut self, preferences: &'static str) -> Self {
        self.family = Family::Replicated;
        self.preferences = Some(preferences);
        self.served.scale = true;
        self.workload()
    }

    /// With a controller that makes pods.
    const fn workload(mut self) -> Self {
        self.owner = true;
        self.with_status().in_all()
    }

    const fn counting(mut self, counters: &'static [&'static str]) -> Self {
        self.counters = counters;
        self
    }

    /// Grants rights in the federation, and in members only when it is told to.
    const fn granting(mut self) -> Self {
        self.opt_in = true;
        self.access(Access::Grant)
    }

    const fn selectable(mut self, fields: &'static [&'static str]) -> Self {
        self.served.selectable = fields;
        self
    }

    const fn access(mut self, access: Access) -> Self {
        self.served.access = access;
        self
    }

    /// Whether the status of copies is looked at, rather than their metadata alone.
    pub const fn reports(&self) -> bool {
        !self.counters.is_empty() || matches!(self.family, Family::Claim | Family::Schedule)
    }

    /// `apiVersion` of the kind.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// All federated kinds: namespaces first, since everything else is in one.
pub const KINDS: &[Kind] = &[
    Kind { namespaced: false, ..kind("", "Namespace", "namespaces", "namespace") }
        .short(&["ns"])
        .with_status()
        .without_generations()
        .selectable(&["status.phase"])
        .access(Access::Read),
    kind("", "ConfigMap", "configmaps", "configmap").short(&["cm"]),
    kind("", "Secret", "secrets", "secret").selectable(&["type"]).access(Access::Secret),
    Kind { family: Family::Service, ..kind("", "Service", "services", "service") }
        .short(&["svc"])
        .with_status()
        .without_generations()
        .in_all()
        .selectable(&["spec.clusterIP", "spec.type"]),
    kind("apps", "Deployment", "deployments", "deployment").short(&["deploy"]).replicated(keys::DEPLOYMENT_PREFERENCES).counting(&[
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
    ]),
    kind("apps", "ReplicaSet", "replicasets", "replicaset").short(&["rs"]).replicated(keys::REPLICA_SET_PREFERENCES).counting(&[
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
    ]),
    kind("apps", "DaemonSet", "daemonsets", "daemonset").short(&["ds"]).workload().counting(&[
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
    ]),
    Kind { family: Family::Job, preferences: Some(keys::JOB_PREFERENCES), ..kind("batch", "Job", "jobs", "job") }
        .workload()
        .selectable(&["status.successful"])
        .counting(&["active", "succeeded", "failed"]),
    Kind {
        version: "v2",
        family: Family::Autoscaler,
        ..kind("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler")
    }
    .also(&["v1"])
    .short(&["hpa"])
    .in_all()
    .with_status()
    .without_generations()
    .counting(&["currentReplicas", "desiredReplicas"]),
    kind("networking.k8s.io", "Ingress", "ingresses", "ingress").short(&["ing"]).with_status(),
    kind("apps", "StatefulSet", "statefulsets", "statefulset").short(&["sts"]).replicated(keys::STATEFUL_SET_PREFERENCES).counting(&[
        "replicas",
        "currentReplicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
    ]),
    Kind { family: Family::Schedule, ..kind("batch", "CronJob", "cronjobs", "cronjob") }.short(&["cj"]).workload(),
    kind("networking.k8s.io", "NetworkPolicy", "networkpolicies", "networkpolicy").short(&["netpol"]).with_generations(),
    Kind { family: Family::Claim, ..kind("", "PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim") }
        .short(&["pvc"])
        .with_status()
        .without_generations(),
    kind("policy", "PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget").short(&["pdb"]).with_status().counting(&[
        "currentHealthy",
        "desiredHealthy",
        "disruptionsAllowed",
        "expectedPods",
    ]),
    kind("", "ServiceAccount", "serviceaccounts", "serviceaccount").short(&["sa"]),
    kind("rbac.authorization.k8s.io", "Role", "roles", "role").granting(),
    kind("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", "rolebinding").granting(),
];

/// The groups of the table, each once, in the table's order.
pub fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = Vec::new();
    for kind in KINDS {
        if !groups.contains(&kind.group) {
            groups.push(kind.group);
        }
    }
    groups
}

/// The kinds of a group.
pub fn of_group(group: &str) -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().filter(move |kind| kind.group == group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once_and_namespaces_come_first() {
        for (index, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[index + 1..].iter().all(|k| k.resource != kind.resource), "{kind:?}");
            assert_eq!(kind.served.singular, kind.kind.to_ascii_lowercase());
            assert_eq!(kind.namespaced, kind.kind != "Namespace");
        }
        assert_eq!(KINDS.first().map(|k| k.kind), Some("Namespace"));
    }

    /// The first cells of a document's rows that name kinds.
    fn kinds_in(table: &str) -> Vec<&str> {
        let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
        rows.flat_map(|cell| cell.split(", ")).map(|name| name.split(" (").next().unwrap_or(name).trim()).collect()
    }

    #[test]
    fn the_documents_tell_of_all_kinds_and_no_others() {
        let placement = include_str!("../../docs/placement.md");
        let table = placement.split("| kind | in the members |").nth(1).and_then(|rest| rest.split("\n\n").next());
        let mut told = kinds_in(table.unwrap_or_default());
        let mut known: Vec<&str> = KINDS.iter().map(|kind| kind.kind).collect();
        told.sort_unstable();
        known.sort_unstable();
        assert_eq!(told, known, "docs/placement.md");

        let of = |group: &str| of_group(group).map(|kind| kind.resource).collect::<Vec<_>>().join(", ");
        let rights = groups().into_iter().map(|group| if group.is_empty() { of(group) } else { format!("{} (`{group}`)", of(group)) });
        let row = format!("| {} | {} |", MEMBER_VERBS.join(", "), rights.collect::<Vec<_>>().join("; "));
        assert!(include_str!("../../docs/on-prem.md").contains(&row), "docs/on-prem.md needs the row\n{row}");

        let operations = include_str!("../../docs/operations.md");
        let named = operations.split("\nControllers: ").nth(1).and_then(|rest| rest.split(". ").next()).unwrap_or_default();
        for kind in KINDS {
            assert!(named.contains(&format!("`{}`", kind.resource)), "docs/operations.md does not name the controller {}", kind.resource);
        }
    }
}
